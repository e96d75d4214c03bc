//! Where the parts of a library are in its file, which is as they are in memory, and the tables that the dynamic
//! linker reads (elf(5)). Pure.

use object::elf;

use super::super::elf::{
    FILE_HEADER, FileHeader, PAGE, PROGRAM_HEADER, ProgramHeader, RELOCATION, SYMBOL, long, relocation, word,
};
use super::relocatable::{Section, Spot, Use};

/// How many program headers there are.
const PROGRAMS: usize = 6;

/// Where the hash table of no symbols is, and how long.
const HASH: u64 = (FILE_HEADER + PROGRAMS * PROGRAM_HEADER) as u64;
const HASH_SIZE: u64 = 16;

/// Where the table of no symbols but the first is, which means nothing.
const SYMBOLS: u64 = HASH + HASH_SIZE;

/// Where their names are: none.
const STRINGS: u64 = SYMBOLS + SYMBOL as u64;

/// Where the relocations are.
const RELOCATIONS: u64 = STRINGS + 8;

/// A stretch of memory, in bytes from where the library is loaded.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    start: u64,
    end: u64,
}

/// The places of all sections.
#[derive(Debug)]
pub struct Layout {
    addresses: Vec<u64>,
    relative: usize,
    read: Stretch,
    execute: Stretch,
    once: Stretch,
    write: Stretch,
    /// Where the file ends; what follows begins as zero.
    file: u64,
    /// What is run when the library is loaded, and the dynamic linker's table.
    tables: (usize, usize),
}

impl Layout {
    /// Lays out `sections`, with room for `relative` relocations. `tables` are the numbers of the section with what
    /// is to be run at once and of that with the dynamic linker's table.
    pub fn new(sections: &[Section], relative: usize, tables: (usize, usize)) -> Layout {
        let mut addresses = vec![0; sections.len()];
        let mut at = RELOCATIONS + (relative * RELOCATION) as u64;
        let mut place = |used: Use, mut at: u64| {
            for (section, address) in sections.iter().zip(&mut addresses) {
                if section.used == used {
                    at = at.next_multiple_of(section.align);
                    *address = at;
                    at += section.size;
                }
            }
            at
        };
        let mut stretch = |used: Use, start: u64, at: &mut u64| {
            *at = place(used, *at);
            Stretch { start, end: *at }
        };
        let page = |at: u64| at.next_multiple_of(PAGE);
        let read = stretch(Use::Read, 0, &mut at);
        at = page(at);
        let execute = stretch(Use::Execute, at, &mut at);
        at = page(at);
        let once = stretch(Use::Once, at, &mut at);
        at = page(at);
        let mut write = stretch(Use::Write, at, &mut at);
        let file = write.end;
        write.end = stretch(Use::Zero, at, &mut at).end;
        Layout { addresses, relative, read, execute, once, write, file, tables }
    }

    /// Where `spot` is, in bytes from where the library is loaded.
    pub fn address(&self, spot: Spot) -> u64 {
        self.addresses[spot.section] + spot.at
    }

    /// Where the instructions are: from where to where.
    pub fn text(&self) -> (u64, u64) {
        (self.execute.start, self.execute.end)
    }

    /// How much memory the library takes, in bytes.
    pub fn memory(&self) -> u64 {
        self.write.end.next_multiple_of(PAGE)
    }

    /// The file, with `relocations` (where, and what is added to where the library is loaded) and with all other
    /// references still to be filled in.
    pub fn file(&self, sections: &[Section], relocations: &[(u64, u64)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.file as usize);
        FileHeader { programs: PROGRAMS, ..FileHeader::default() }.write(&mut out);
        for program in self.programs(sections) {
            program.write(&mut out);
        }
        // One bucket, which is empty, and one symbol.
        for number in [1, 1, 0, 0] {
            word(&mut out, number);
        }
        out.resize(RELOCATIONS as usize, 0);
        for &(at, add) in relocations {
            relocation(&mut out, at, 0, elf::R_X86_64_RELATIVE, add);
        }
        out.resize(self.file as usize, 0);
        let filled = sections.iter().zip(&self.addresses).filter(|(section, _)| !section.bytes.is_empty());
        for (section, &address) in filled {
            out[address as usize..][..section.bytes.len()].copy_from_slice(&section.bytes);
        }
        let dynamic = self.dynamic(sections);
        out[self.addresses[self.tables.1] as usize..][..dynamic.len()].copy_from_slice(&dynamic);
        out
    }

    fn programs(&self, sections: &[Section]) -> [ProgramHeader; PROGRAMS] {
        let load = |stretch: Stretch, flags: u32, file: u64| ProgramHeader {
            kind: elf::PT_LOAD,
            flags,
            at: stretch.start,
            in_file: file - stretch.start,
            in_memory: stretch.end - stretch.start,
            align: PAGE,
        };
        let (read, write) = (elf::PF_R, elf::PF_R | elf::PF_W);
        let part = |kind, at, size| ProgramHeader {
            kind,
            flags: read,
            at,
            in_file: size,
            in_memory: size,
            align: 8,
        };
        let table = self.tables.1;
        let once = self.write.start - self.once.start;
        [
            load(self.read, read, self.read.end),
            load(self.execute, read | elf::PF_X, self.execute.end),
            load(Stretch { end: self.write.end, ..self.once }, write, self.file),
            ProgramHeader {
                flags: write,
                ..part(elf::PT_DYNAMIC, self.addresses[table], sections[table].size)
            },
            part(elf::PT_GNU_RELRO, self.once.start, once),
            ProgramHeader { flags: write, align: 16, ..part(elf::PT_GNU_STACK, 0, 0) },
        ]
    }

    fn dynamic(&self, sections: &[Section]) -> Vec<u8> {
        let init = self.tables.0;
        let table = [
            (elf::DT_HASH, HASH),
            (elf::DT_SYMTAB, SYMBOLS),
            (elf::DT_SYMENT, SYMBOL as u64),
            (elf::DT_STRTAB, STRINGS),
            (elf::DT_STRSZ, 1),
            (elf::DT_RELA, RELOCATIONS),
            (elf::DT_RELASZ, (self.relative * RELOCATION) as u64),
            (elf::DT_RELAENT, RELOCATION as u64),
            (elf::DT_INIT_ARRAY, self.addresses[init]),
            (elf::DT_INIT_ARRAYSZ, sections[init].size),
            (elf::DT_NULL, 0),
        ];
        let mut out = Vec::new();
        for (tag, value) in table {
            long(&mut out, u64::from(tag));
            long(&mut out, value);
        }
        out
    }
}
