//! Which first bytes of old functions become jumps to new ones, and whether that is safe. Goroutines stop only at
//! calls, so nothing may return into the bytes that are written over, and nothing may branch into them. Pure.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::generations::{Copy, Linked, Loaded, Trampoline};

/// The length of a jump, in bytes: `movabs $target, %r12; jmp *%r12`. Go functions keep nothing in that register when
/// they are entered (`src/cmd/compile/abi-internal.md`).
pub const ENTRY: usize = 13;

/// Where a function's frame has been made at the latest, in bytes from its start: the check of a large one's stack takes
/// up to 26 (`stacksplit` in `cmd/internal/obj/x86/obj6.go`). Nothing else pushes in compiled code.
const PROLOGUE: u64 = 32;

/// What stands between functions.
const PADDING: u8 = 0xcc;

/// Why a function cannot be redirected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JumpError {
    /// Another function may begin before the jump ends.
    #[error("`{0}` is too short to be redirected")]
    Short(String),
    /// Something branches to between the first bytes.
    #[error("`{0}` has a loop that begins with its first bytes, and cannot be redirected")]
    Branch(String),
    /// A call returns to between the first bytes.
    #[error("`{0}` calls another function with its first bytes, and cannot be redirected")]
    Call(String),
    /// Its instructions are not understood.
    #[error("`{0}` begins with unknown instructions, and cannot be redirected")]
    Unknown(String),
}

/// A jump to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The function.
    pub function: String,
    /// Where the old version begins.
    pub old: u64,
    /// How many bytes the old version takes.
    pub size: u64,
    /// What is there now.
    pub expected: [u8; ENTRY],
    /// Where it leads: bytes from where the new library is loaded.
    pub offset: u64,
}

impl Jump {
    /// Its instructions if the new library is loaded at `base`.
    pub fn code(&self, base: u64) -> [u8; ENTRY] {
        let mut code = [0x49, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xff, 0xe4];
        code[2..10].copy_from_slice(&(base + self.offset).to_le_bytes());
        code
    }
}

/// The jumps that make `linked` take effect: one in each loaded copy of each changed function.
///
/// # Errors
/// One of them cannot be written; none may be then.
pub fn plan(loaded: &Loaded, linked: &Linked) -> Result<Vec<Jump>, JumpError> {
    let jumps = linked.trampolines.iter().map(|trampoline| to(trampoline, loaded));
    Ok(jumps.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The jumps to `trampoline` alone, from each copy of its function.
///
/// # Errors
/// One of them cannot be written.
pub fn to(trampoline: &Trampoline, loaded: &Loaded) -> Result<Vec<Jump>, JumpError> {
    let function = &trampoline.function;
    let jump = |Copy { address, code, size }: Copy| {
        let expected = match loaded.entry(address) {
            // It was looked at then.
            Some(entry) => entry,
            None => checked(function, &code, size, &|at| {
                loaded.lead(address.wrapping_add(at)).map(|to| to.wrapping_sub(address))
            })?,
        };
        let (function, offset) = (function.clone(), trampoline.offset);
        Ok(Jump { function, old: address, size: size as u64, expected, offset })
    };
    loaded.copies(function).into_iter().map(jump).collect()
}

/// The first bytes of the function `name`, whose instructions are the first `size` bytes of `code`, if they may be
/// written over. `lead` tells where a word leads; all places count from where the function begins.
fn checked(
    name: &str,
    code: &[u8],
    size: usize,
    lead: &dyn Fn(u64) -> Option<u64>,
) -> Result<[u8; ENTRY], JumpError> {
    let short = || JumpError::Short(name.to_owned());
    let entry: [u8; ENTRY] = code.get(..ENTRY).and_then(|entry| entry.try_into().ok()).ok_or_else(short)?;
    if entry.iter().skip(size).any(|&byte| byte != PADDING) {
        return Err(short());
    }
    let instructions: Vec<Instruction> =
        Decoder::with_ip(64, &code[..size.min(code.len())], 0, DecoderOptions::NONE).into_iter().collect();
    let inside = |ip: u64| 0 < ip && ip < ENTRY as u64;
    let (framed, mut switches, mut tables) = (begins_with_frame(&instructions), 0, Vec::new());
    for instruction in &instructions {
        // The rest may be data of an assembler's function.
        let early = instruction.ip() < ENTRY as u64;
        if instruction.is_invalid() && early {
            return Err(JumpError::Unknown(name.to_owned()));
        }
        if instruction.mnemonic() == Mnemonic::Call && inside(instruction.next_ip()) {
            return Err(JumpError::Call(name.to_owned()));
        }
        let near =
            (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::NearBranch64);
        // What branches from one of them to another is written over with them.
        if near && !early && inside(instruction.near_branch64()) {
            return Err(JumpError::Branch(name.to_owned()));
        }
        switches += usize::from(instruction.mnemonic() == Mnemonic::Jmp && !near);
        let operand =
            Some(instruction.ip_rel_memory_address()).filter(|_| instruction.is_ip_rel_memory_operand());
        let table = match instruction.mnemonic() {
            Mnemonic::Lea => operand,
            // In a library its address is in a word.
            Mnemonic::Mov => operand.and_then(lead),
            _ => None,
        };
        if let Some(table) = table {
            let words = (0..).map_while(|word: u64| lead(table.wrapping_add(8 * word)));
            tables.push(words.take_while(|to| *to < size as u64).collect::<Vec<u64>>());
        }
    }
    // Nothing leads back to before a frame is made, if that takes as long as a jump. Otherwise each switch has to have a
    // table that is known; what stands behind that, or is no table, does no harm.
    tables.retain(|table| !table.is_empty());
    if !framed && (tables.len() < switches || switches > 0 && tables.into_iter().flatten().any(inside)) {
        return Err(JumpError::Branch(name.to_owned()));
    }
    Ok(entry)
}

/// Whether all that would be written over makes a frame: `push %rbp; mov %rsp, %rbp`, and `sub` if there are variables.
fn begins_with_frame(instructions: &[Instruction]) -> bool {
    let is_push = |instruction: &Instruction| instruction.mnemonic() == Mnemonic::Push;
    let Some(push) = instructions.iter().position(is_push).filter(|&at| instructions[at].ip() < PROLOGUE)
    else {
        return false;
    };
    let makes = |instruction: &&Instruction| {
        let pointer = instruction.op0_register();
        match instruction.mnemonic() {
            Mnemonic::Mov => (pointer, instruction.op1_register()) == (Register::RBP, Register::RSP),
            Mnemonic::Sub | Mnemonic::Add => pointer == Register::RSP,
            _ => false,
        }
    };
    let made = instructions[push + 1..].iter().take_while(makes).last().unwrap_or(&instructions[push]);
    made.next_ip() >= ENTRY as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sub $0x28, %rsp`.
    const ROOM: [u8; 4] = [0x48, 0x83, 0xec, 0x28];
    const FRAME: [u8; 10] = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x40, 0x55, 0x48, 0x89, 0xe5];
    /// `lea -0x168(%rsp), %r12; cmp 0x10(%r14), %r12; jbe`, after which the frame is made.
    const LARGE: [u8; 18] =
        [0x4c, 0x8d, 0xa4, 0x24, 0x98, 0xfe, 0xff, 0xff, 0x4d, 0x3b, 0x66, 0x10, 0x0f, 0x86, 0x10, 0, 0, 0];

    fn with(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn what_may_be_written_over() {
        let nops = [0x90; 30];
        type Refusal = fn(String) -> JumpError;
        let table: [(&str, Vec<u8>, Option<Refusal>); 12] = [
            ("a frame", with(&[&FRAME, &nops]), None),
            ("a call behind the jump's end", with(&[&FRAME, &[0xe8, 0, 0, 0, 0], &nops]), None),
            ("a call before it", with(&[&[0x55], &[0xe8, 0, 0, 0, 0], &nops]), Some(JumpError::Call)),
            ("a branch between them", with(&[&[0x74, 3], &nops]), None),
            ("a loop to the start", with(&[&nops, &[0xeb, 0xe0]]), None),
            ("a loop to the fifth byte", with(&[&nops, &[0xeb, 0xe5]]), Some(JumpError::Branch)),
            ("padding behind", with(&[&[0xc3], &[PADDING; 15]]), None),
            ("a table in a frame", with(&[&FRAME, &ROOM, &nops, &[0xff, 0xe0]]), None),
            ("a table behind a short frame", with(&[&FRAME, &nops, &[0xff, 0xe0]]), Some(JumpError::Branch)),
            ("a table in a large frame", with(&[&LARGE, &FRAME[6..], &nops, &[0xff, 0xe0]]), None),
            ("a table without", with(&[&nops, &[0xff, 0xe0]]), Some(JumpError::Branch)),
            ("no instruction", with(&[&[0x06], &nops]), Some(JumpError::Unknown)),
        ];
        for (what, code, error) in table {
            let size = if code[0] == 0xc3 { 1 } else { code.len() };
            let result = checked("f", &code, size, &|_| None);
            assert_eq!(result.err(), error.map(|error| error("f".to_owned())), "{what}");
        }
        assert_eq!(checked("f", &[0xc3; 5], 5, &|_| None), Err(JumpError::Short("f".to_owned())));
        let next = with(&[&[0xc3, PADDING, PADDING], &nops]);
        assert_eq!(checked("f", &next, 1, &|_| None), Err(JumpError::Short("f".to_owned())));
    }

    #[test]
    fn where_the_table_of_a_switch_leads() {
        // `lea table(%rip), %rcx; jmp *(%rcx,%rax,8)`, with the table 1000 bytes from the start.
        let code =
            [&[0x90; 6][..], &[0x48, 0x8d, 0x0d], &987_u32.to_le_bytes(), &[0xff, 0x24, 0xc1], &[0x90; 30]];
        let code = code.concat();
        let with = |table: &'static [u64]| {
            let lead = |at: u64| table.get(usize::try_from(at.checked_sub(1000)? / 8).ok()?).copied();
            checked("f", &code, code.len(), &lead).err()
        };
        let refused = Some(JumpError::Branch("f".to_owned()));
        assert_eq!(with(&[16, 20, 0, 13, 7000, 5]), None);
        assert_eq!(with(&[16, 5, 7000]), refused);
        assert_eq!(with(&[7000]), refused);
    }

    #[test]
    fn a_jump_is_an_absolute_address_in_a_register() {
        let jump = Jump { function: "f".to_owned(), old: 0, size: 20, expected: [0; ENTRY], offset: 0x10 };
        assert_eq!(jump.code(0x1000)[..4], [0x49, 0xbc, 0x10, 0x10]);
        assert_eq!(jump.code(0x1000)[10..], [0x41, 0xff, 0xe4]);
    }
}
