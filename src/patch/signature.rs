//! What a function takes and returns, and what a closure captures, read from the debug information that the compiler
//! writes into every object. Only this tells whether a caller that was compiled earlier may call what is compiled now.
//!
//! The layout is that of `PutDefaultFunc` and `putvar` in `cmd/internal/dwarf/dwarf.go`; abbreviations are not in the
//! object, so their numbers are known here. What is not as expected is not guessed at. Pure.

use xxhash_rust::xxh3::Xxh3;

use super::bytes::{u8_at, u32_at, uleb_at};
use super::object::{Aux, Object, Reloc, Symbol, Target};

/// What a caller has to agree with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// Parameters and results by their types, receiver first.
    pub parameters: Vec<Parameter>,
    /// How much room they take, and where each of them is.
    pub layout: u64,
    /// What the closure that is called holds, as far as that is told.
    pub captured: Vec<Captured>,
}

/// A signature, and where it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// What it says.
    pub signature: Signature,
    /// The name of the file in which the function is, without its directory.
    pub file: String,
    /// The line at which it begins.
    pub line: u64,
}

/// A parameter or a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Whether it is a result.
    pub is_result: bool,
    /// Its type.
    pub of_type: String,
}

/// A variable that a closure holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Its name; `&x` for a variable `x` that lives elsewhere.
    pub name: String,
    /// Where in the closure it is, in bytes.
    pub offset: u64,
    /// Its type.
    pub of_type: String,
}

/// A function that is not part of another, and one that the compiler has made around another.
const FUNCTION: u64 = 3;
const WRAPPER: u64 = 4;

/// The frame's base, `DW_OP_call_frame_cfa`, as a block of one byte.
const FRAME_BASE: [u8; 2] = [1, 0x9c];

/// What a child of a function's entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Child {
    Variable {
        parameter: bool,
        captured: bool,
        by_list: bool,
    },
    /// The type behind a type parameter.
    Dictionary,
    /// A block within, or the end: parameters come before.
    Other,
}

fn child(abbreviation: u64, minor: u32) -> Child {
    let variable = |parameter, captured, by_list| Child::Variable { parameter, captured, by_list };
    match (minor >= 24, abbreviation) {
        (true, 32) => Child::Dictionary,
        (true, 37 | 38) => variable(false, true, abbreviation == 37),
        (true, 39 | 40) => variable(false, false, abbreviation == 39),
        (true, 43 | 44) => variable(true, true, abbreviation == 43),
        (true, 45 | 46) => variable(true, false, abbreviation == 45),
        (false, 41) => Child::Dictionary,
        (false, 12 | 13) => variable(false, false, abbreviation == 13),
        (false, 17 | 18) => variable(true, false, abbreviation == 18),
        _ => Child::Other,
    }
}

/// The signature of the function `symbol`; `None` if its debug information is missing or not understood. What a closure
/// captures is not told before Go 1.24, and only in part since: not what the compiler has made a variable of its own of.
pub fn of(object: &Object, symbol: &Symbol) -> Option<Declared> {
    let info = object.aux(symbol).find_map(|(aux, target)| match target {
        Target::Own(index) if aux == Aux::Debug => Some(&object.symbols()[index]),
        _ => None,
    })?;
    let mut declared = Reader::new(object, info).declared()?;
    let mut layout = Xxh3::new();
    for (aux, target) in object.aux(symbol) {
        let Target::Own(index) = target else { continue };
        let described = &object.symbols()[index];
        let content = object.content(described);
        match aux {
            // The first word is the size of all arguments.
            Aux::Function => layout.update(&content[..content.len().min(4)]),
            Aux::FunctionData if described.name.ends_with(".arginfo1") => layout.update(content),
            _ => {}
        }
    }
    declared.signature.layout = layout.digest();
    Some(declared)
}

struct Reader<'a> {
    object: &'a Object,
    bytes: &'a [u8],
    relocs: Vec<Reloc>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(object: &'a Object, info: &'a Symbol) -> Reader<'a> {
        Reader { object, bytes: object.content(info), relocs: object.relocs(info).collect(), at: 0 }
    }

    fn declared(mut self) -> Option<Declared> {
        let mut declared = Declared::default();
        let signature = &mut declared.signature;
        let kind = self.number()?;
        self.text()?;
        self.skip_range()?;
        match kind {
            FUNCTION => {
                // Files are counted from 1.
                let index = u32_at(self.bytes, self.at)?.checked_sub(1)?;
                let file = self.object.file(index as usize)?;
                declared.file = file.rsplit('/').next().unwrap_or(&file).to_owned();
                self.at += 4;
                declared.line = self.number()?;
                self.at += 1;
            }
            WRAPPER => self.at += 1,
            _ => return None,
        }
        loop {
            let (parameter, captured, by_list) = match child(self.number()?, self.object.minor()) {
                Child::Variable { parameter, captured, by_list } => (parameter, captured, by_list),
                Child::Dictionary => {
                    self.text()?;
                    self.type_name()?;
                    self.number()?;
                    continue;
                }
                Child::Other => return Some(declared),
            };
            let name = self.text()?;
            let is_result = parameter && self.byte()? != 0;
            self.number()?;
            let of_type = self.type_name()?;
            if captured {
                let offset = self.number()?;
                signature.captured.push(Captured { name, offset, of_type });
            } else if parameter {
                signature.parameters.push(Parameter { is_result, of_type });
            }
            if by_list {
                self.at += 4;
            } else {
                self.at += usize::from(self.byte()?);
            }
        }
    }

    /// Passes over where the function begins and ends, two addresses before DWARF 5 and two numbers since, and over its
    /// frame's base.
    fn skip_range(&mut self) -> Option<()> {
        let after =
            |length: usize| self.bytes.get(self.at + length..self.at + length + 2) == Some(&FRAME_BASE);
        let length = if after(16) { 16 } else { (2..=12).find(|&length| after(length))? };
        self.at += length + FRAME_BASE.len();
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        u8_at(self.bytes, self.at - 1)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, length) = uleb_at(self.bytes, self.at)?;
        self.at += length;
        Some(number)
    }

    fn text(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        self.at += end + 1;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// The type that is referred to here: by its own name, or by an entry of this function for a type parameter.
    fn type_name(&mut self) -> Option<String> {
        let reloc = self.relocs.iter().find(|reloc| reloc.at as usize == self.at)?;
        self.at += 4;
        let name = self.object.name(reloc.target);
        Some(format!("{}+{}", name.strip_prefix("go:info.").unwrap_or(name), reloc.add))
    }
}
