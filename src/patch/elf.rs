//! The records that ELF files for 64-bit little-endian machines are made of, as they are written here: the library
//! that the Go linker is shown, and the one that is loaded (elf(5)). Pure.

use object::elf;

/// The length of a file header, in bytes.
pub const FILE_HEADER: usize = 64;

/// The length of a program header, in bytes.
pub const PROGRAM_HEADER: usize = 56;

/// The length of a section header, in bytes.
pub const SECTION_HEADER: usize = 64;

/// The length of a symbol, in bytes.
pub const SYMBOL: usize = 24;

/// The length of a relocation, in bytes.
pub const RELOCATION: usize = 24;

/// The unit in which memory is protected, in bytes.
pub const PAGE: u64 = 4096;

/// The header of a shared library for x86-64.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileHeader {
    /// How many program headers follow it at once.
    pub programs: usize,
    /// Where the section headers are.
    pub sections_at: u64,
    /// How many there are.
    pub sections: usize,
    /// The one that holds their names.
    pub names: usize,
}

impl FileHeader {
    /// Appends it to `out`, which is empty.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend(elf::ELFMAG);
        out.extend([elf::ELFCLASS64, elf::ELFDATA2LSB, elf::EV_CURRENT]);
        out.extend([0; 9]);
        half(out, usize::from(elf::ET_DYN));
        half(out, usize::from(elf::EM_X86_64));
        word(out, 1);
        for number in [0, if self.programs == 0 { 0 } else { FILE_HEADER as u64 }, self.sections_at] {
            long(out, number);
        }
        word(out, 0);
        let sizes = [FILE_HEADER, PROGRAM_HEADER, self.programs, SECTION_HEADER, self.sections, self.names];
        for number in sizes {
            half(out, number);
        }
    }
}

/// A part of a file that is mapped, or that the dynamic linker reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProgramHeader {
    /// `PT_LOAD` and so on.
    pub kind: u32,
    /// How it may be used: `PF_R` and so on.
    pub flags: u32,
    /// Where it is, in the file as in memory.
    pub at: u64,
    /// How much of it is in the file.
    pub in_file: u64,
    /// How much of it is in memory.
    pub in_memory: u64,
    /// What its place is a multiple of.
    pub align: u64,
}

impl ProgramHeader {
    /// Appends it to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        word(out, self.kind);
        word(out, self.flags);
        for number in [self.at, self.at, self.at, self.in_file, self.in_memory, self.align] {
            long(out, number);
        }
    }
}

/// A part of a file that linkers read.
#[derive(Debug, Clone, Copy, Default)]
pub struct SectionHeader {
    /// Where its name is among the names.
    pub name: u32,
    /// `SHT_PROGBITS` and so on.
    pub kind: u32,
    /// `SHF_ALLOC` and so on.
    pub flags: u64,
    /// Where it is in memory.
    pub address: u64,
    /// Where it is in the file.
    pub at: u64,
    /// How long it is.
    pub size: u64,
    /// A section that belongs to it.
    pub link: u32,
    /// The length of an entry if it is a table.
    pub entry: u64,
}

impl SectionHeader {
    /// Appends it to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        word(out, self.name);
        word(out, self.kind);
        for number in [self.flags, self.address, self.at, self.size] {
            long(out, number);
        }
        word(out, self.link);
        word(out, 0);
        long(out, 8);
        long(out, self.entry);
    }
}

/// A symbol.
#[derive(Debug, Clone, Copy, Default)]
pub struct Symbol {
    /// Where its name is among the names.
    pub name: u32,
    /// `STT_FUNC` and so on; it is global.
    pub kind: u8,
    /// The section that it is in.
    pub section: u16,
    /// Its address.
    pub address: u64,
    /// How many bytes it takes.
    pub size: u64,
}

impl Symbol {
    /// Appends it to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        word(out, self.name);
        out.extend([elf::STB_GLOBAL << 4 | self.kind, elf::STV_DEFAULT]);
        half(out, usize::from(self.section));
        long(out, self.address);
        long(out, self.size);
    }
}

/// Appends a relocation to `out`: at `at`, of the kind `kind`, which names the symbol number `symbol` and adds `add`.
pub fn relocation(out: &mut Vec<u8>, at: u64, symbol: u64, kind: u32, add: u64) {
    long(out, at);
    long(out, symbol << 32 | u64::from(kind));
    long(out, add);
}

/// Appends a number of two bytes.
pub fn half(out: &mut Vec<u8>, number: usize) {
    out.extend((number as u16).to_le_bytes());
}

/// Appends a number of four bytes.
pub fn word(out: &mut Vec<u8>, number: u32) {
    out.extend(number.to_le_bytes());
}

/// Appends a number of eight bytes.
pub fn long(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

/// Names one behind the other, each ended by a zero; the first is empty.
#[derive(Debug)]
pub struct Names(Vec<u8>);

impl Names {
    /// Only the empty one.
    pub fn new() -> Names {
        Names(vec![0])
    }

    /// Adds `name`, and says where it is.
    pub fn add(&mut self, name: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend(name.as_bytes());
        self.0.push(0);
        at
    }

    /// All of them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
