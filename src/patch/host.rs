//! The executable that a service runs, as patches see it: where its symbols are, and what its memory holds at first.
//! It is linked to fixed addresses, so what it has can be named by number.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::read::elf::{ElfFile64, ProgramHeader};
use object::{LittleEndian, Object, ObjectSymbol, SymbolKind, elf};

use super::bytes::{u32_at, u64_at};
use super::generations::is_type;

/// Why an executable cannot be patched.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It cannot be read.
    #[error("cannot read the service's executable: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("the service's executable is no ELF file for x86-64: live patches need linux/amd64")]
    Format,
    /// It has no fixed address.
    #[error("the service's executable is position independent: build it without `-buildmode=pie`")]
    Pie,
    /// Its symbols are gone.
    #[error("the service's executable is stripped: build it without `-ldflags=-s`")]
    Stripped,
    /// It was not linked as one that exports its symbols.
    #[error("the service's executable lacks `{0}`: it was not built for live patches")]
    Lacks(String),
}

/// What a symbol of the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Instructions.
    Function,
    /// A variable or a constant.
    Data,
    /// A variable of which each thread has its own; its address counts from where those of the thread are.
    Thread,
}

/// A symbol of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Where it is in memory.
    pub address: u64,
    /// How many bytes it takes.
    pub size: u64,
    /// What it is.
    pub nature: Nature,
}

/// Where the host's `runtime.moduledata` has what a patch has to change, in bytes from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields {
    /// The functions' table, by address.
    pub ftab: u64,
    /// The end of the last function.
    pub maxpc: u64,
    /// The symbols that `plugin.Lookup` finds.
    pub ptab: u64,
    /// The name that the module is known by.
    pub pluginpath: u64,
    /// Fingerprints of packages.
    pub pkghashes: u64,
    /// What initialises packages.
    pub inittasks: u64,
    /// Fingerprints of shared libraries.
    pub modulehashes: u64,
    /// The module loaded after it.
    pub next: u64,
}

/// A part of the file that is mapped.
#[derive(Debug, Clone, Copy)]
struct Segment {
    address: u64,
    at: u64,
    length: u64,
}

/// A service's executable.
#[derive(Debug)]
pub struct Host {
    file: File,
    segments: Vec<Segment>,
    symbols: HashMap<String, Known>,
    fields: Fields,
}

impl Host {
    /// Reads the executable at `path`, which must stay as it is for as long as this lives.
    ///
    /// # Errors
    /// It is none that can be patched.
    pub fn read(path: &Path) -> Result<Host, HostError> {
        let file = File::open(path)?;
        let (segments, symbols) = tables(&std::fs::read(path)?)?;
        let mut host = Host { file, segments, symbols, fields: Fields::default() };
        host.fields = host.read_fields()?;
        Ok(host)
    }

    /// The symbol `name`, which other modules may refer to.
    pub fn find(&self, name: &str) -> Option<Known> {
        self.symbols.get(name).copied()
    }

    /// The descriptors of types, by address.
    pub fn types(&self) -> HashMap<u64, &str> {
        let types = self.symbols.iter().filter(|(name, _)| is_type(name));
        types.map(|(name, known)| (known.address, name.as_str())).collect()
    }

    /// The `length` bytes at `address`, as they are when the program starts; `None` where nothing is.
    pub fn bytes(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        // Whoever asks may have taken any number for an address.
        let holds = |segment: &&Segment| {
            let at = address.checked_sub(segment.address);
            at.and_then(|at| at.checked_add(length)).is_some_and(|end| end <= segment.length)
        };
        let segment = self.segments.iter().find(holds)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, segment.at + (address - segment.address)).ok()?;
        Some(bytes)
    }

    /// The fingerprint of what the package `path` exports; `None` if the host does not contain it.
    pub fn fingerprint(&self, path: &str) -> Option<[u8; 8]> {
        let known = self.find(&format!("go:link.pkghashbytes.{path}"))?;
        self.bytes(known.address, 8)?.try_into().ok()
    }

    /// Where things are in `runtime.moduledata`.
    pub fn fields(&self) -> Fields {
        self.fields
    }

    fn read_fields(&self) -> Result<Fields, HostError> {
        const TYPE: &str = "type:runtime.moduledata";
        let lacks = |name: &str| HostError::Lacks(name.to_owned());
        let known = self.find(TYPE).ok_or_else(|| lacks(TYPE))?;
        let fields = self.struct_fields(known).ok_or_else(|| lacks(TYPE))?;
        let field = |name: &str| fields.get(name).copied().ok_or_else(|| lacks(name));
        Ok(Fields {
            ftab: field("ftab")?,
            maxpc: field("maxpc")?,
            ptab: field("ptab")?,
            pluginpath: field("pluginpath")?,
            pkghashes: field("pkghashes")?,
            inittasks: field("inittasks")?,
            modulehashes: field("modulehashes")?,
            next: field("next")?,
        })
    }

    /// The fields of the struct that `known` describes (`StructType` and `Name` in `internal/abi/type.go`), with
    /// their offsets.
    fn struct_fields(&self, known: Known) -> Option<HashMap<String, u64>> {
        const FIELDS: usize = 56;
        const FIELD: usize = 24;
        let descriptor = self.bytes(known.address, 80)?;
        let (at, count) = (u64_at(&descriptor, FIELDS)?, u64_at(&descriptor, FIELDS + 8)?);
        let table = self.bytes(at, count.checked_mul(FIELD as u64)?)?;
        let fields = table.chunks_exact(FIELD).map(|field| {
            let name = u64_at(field, 0)?;
            // One byte of flags, the length, the name; none of these is longer than the length's first byte says.
            let length = self.bytes(name + 1, 1)?[0];
            let name = String::from_utf8(self.bytes(name + 2, u64::from(length))?).ok()?;
            Some((name, u64_at(field, 16)?))
        });
        fields.collect()
    }

    /// The bits that tell which words of the type described by `descriptor` are pointers, with their address.
    /// `None` for those whose bits are made only when needed, or that have no pointers.
    pub fn pointer_mask(&self, descriptor: &[u8]) -> Option<(u64, Vec<u8>)> {
        /// `TFlagGCMaskOnDemand`; before Go 1.24 that was a bit of the kind.
        const ON_DEMAND: u8 = 1 << 4;
        const PROGRAM: u8 = 1 << 6;
        let pointers = u64_at(descriptor, 8)?;
        let (flags, kind) = (*descriptor.get(20)?, *descriptor.get(23)?);
        if pointers == 0 || flags & ON_DEMAND != 0 || kind & PROGRAM != 0 {
            return None;
        }
        let at = u64_at(descriptor, 32)?;
        Some((at, self.bytes(at, (pointers / 8).div_ceil(8))?))
    }

    /// How many bytes the program that makes the pointer bits takes, with its length in front, for a type that has
    /// one (before Go 1.24).
    pub fn pointer_program(&self, descriptor: &[u8]) -> Option<(u64, Vec<u8>)> {
        const PROGRAM: u8 = 1 << 6;
        if descriptor.get(23)? & PROGRAM == 0 {
            return None;
        }
        let at = u64_at(descriptor, 32)?;
        let length = u32_at(&self.bytes(at, 4)?, 0)?;
        Some((at, self.bytes(at, 4 + u64::from(length))?))
    }
}

/// The mapped parts and the symbols of the executable `bytes`.
fn tables(bytes: &[u8]) -> Result<(Vec<Segment>, HashMap<String, Known>), HostError> {
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|_| HostError::Format)?;
    let header = file.elf_header();
    if header.e_machine.get(LittleEndian) != elf::EM_X86_64 {
        return Err(HostError::Format);
    }
    match header.e_type.get(LittleEndian) {
        elf::ET_EXEC => {}
        elf::ET_DYN => return Err(HostError::Pie),
        _ => return Err(HostError::Format),
    }
    let loaded =
        file.elf_program_headers().iter().filter(|program| program.p_type(LittleEndian) == elf::PT_LOAD);
    let segments = loaded.map(|program| Segment {
        address: program.p_vaddr(LittleEndian),
        at: program.p_offset(LittleEndian),
        length: program.p_filesz(LittleEndian),
    });
    let threads =
        file.elf_program_headers().iter().find(|program| program.p_type(LittleEndian) == elf::PT_TLS);
    // An executable's own end where a thread's register points to.
    let threads = threads.map_or(0, |program| {
        let align = program.p_align(LittleEndian).max(1);
        program.p_memsz(LittleEndian).next_multiple_of(align).wrapping_neg()
    });
    let mut symbols: HashMap<String, Known> = HashMap::new();
    let (mut locals, mut ambiguous) = (HashMap::new(), HashSet::new());
    for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
        let nature = match symbol.kind() {
            SymbolKind::Text => Nature::Function,
            SymbolKind::Data => Nature::Data,
            SymbolKind::Tls => Nature::Thread,
            _ => continue,
        };
        let Ok(name) = symbol.name() else { continue };
        let start = if nature == Nature::Thread { threads } else { 0 };
        let known = Known { address: start.wrapping_add(symbol.address()), size: symbol.size(), nature };
        if symbol.is_global() {
            symbols.insert(name.to_owned(), known);
        } else if nature == Nature::Function && !name.starts_with("local.") {
            // From Go 1.27 on, closures. Those of C may share a name.
            let other = locals.insert(name, known);
            ambiguous.extend(other.map(|_| name));
        }
    }
    locals.retain(|name, _| !ambiguous.contains(name));
    if symbols.is_empty() {
        return Err(HostError::Stripped);
    }
    for (name, known) in locals {
        symbols.entry(name.to_owned()).or_insert(known);
    }
    Ok((segments.collect(), symbols))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_read() {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&path, [7; 16]).unwrap();
        let segments = vec![Segment { address: 0x1000, at: 0, length: 16 }];
        let file = File::open(&path).unwrap();
        let host = Host { file, segments, symbols: HashMap::new(), fields: Fields::default() };
        assert_eq!(host.bytes(0x1008, 8), Some(vec![7; 8]));
        for address in [0, 0xfff, 0x1009, u64::MAX - 3] {
            assert_eq!(host.bytes(address, 8), None);
        }
    }

    #[test]
    fn what_is_no_host_is_said() {
        // Rust's own programs can be loaded anywhere.
        let own = std::env::current_exe().unwrap();
        assert!(matches!(Host::read(&own), Err(HostError::Pie)));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(matches!(Host::read(file.path()), Err(HostError::Format)));
        assert!(matches!(Host::read(Path::new("/nowhere")), Err(HostError::Read(_))));
    }
}
