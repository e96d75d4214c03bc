//! Go object files as the compiler writes them: an archive with an object in it that names symbols, their content,
//! what that refers to, and what describes them. The format is that of `cmd/internal/goobj/objfile.go`; it has the
//! same magic from Go 1.20 to 1.27, but the numbers of the kinds moved in 1.24 (`cmd/internal/objabi/symkind.go`).
//! Pure.

mod symbol;

use std::collections::HashMap;
use std::ops::Range;

use super::bytes::{u16_at, u32_at};
pub use symbol::{Aux, Kind, Reloc, Symbol, Target};

/// What a Go object begins with.
const MAGIC: &[u8] = b"\0go120ld";

/// How many blocks its header names.
const BLOCKS: usize = 19;

/// The blocks that are read, by their place in the header.
mod block {
    pub const AUTOLIB: usize = 0;
    pub const FILES: usize = 2;
    pub const SYMBOLS: usize = 3;
    pub const HASHED64: usize = 4;
    pub const HASHED: usize = 5;
    pub const NON_PKG_DEFS: usize = 6;
    pub const NON_PKG_REFS: usize = 7;
    pub const RELOC_INDEX: usize = 11;
    pub const AUX_INDEX: usize = 12;
    pub const DATA_INDEX: usize = 13;
    pub const RELOCS: usize = 14;
    pub const AUX: usize = 15;
    pub const DATA: usize = 16;
    pub const REF_NAMES: usize = 17;
    pub const END: usize = 18;
}

/// The length of a symbol's entry, in bytes.
pub(super) const SYMBOL: usize = 21;

/// Where in a symbol's entry its kind stands.
pub(super) const KIND_AT: usize = 10;

/// Packages that references name by special numbers.
const NONE: u32 = i32::MAX as u32;
const HASHED64: u32 = NONE - 1;
const HASHED: u32 = NONE - 2;
const OWN: u32 = NONE - 4;

/// Why an object cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It is something else.
    #[error("no Go object file, or one of an unknown format")]
    Format,
    /// It ends too early, or refers to what is not there.
    #[error("a damaged Go object file")]
    Damaged,
}

/// A Go object.
#[derive(Debug)]
pub struct Object {
    bytes: Vec<u8>,
    /// Where the object begins in the archive, and the numbers in its header count from.
    base: usize,
    /// Of Go 1.x: x.
    minor: u32,
    blocks: [usize; BLOCKS],
    symbols: Vec<Symbol>,
    foreign: Vec<String>,
    /// By package and number in it, as references name them.
    numbers: HashMap<(u32, u32), Target>,
}

impl Object {
    /// Reads the object in the archive `bytes`.
    ///
    /// # Errors
    /// It is none, or is damaged.
    pub fn parse(bytes: Vec<u8>) -> Result<Object, ObjectError> {
        let base = find(&bytes, b"\n!\n\0go120ld").ok_or(ObjectError::Format)? + 3;
        let minor = minor(&bytes[..base]).ok_or(ObjectError::Format)?;
        let mut blocks = [0; BLOCKS];
        let header = base + MAGIC.len() + 8 + 4;
        for (number, block) in blocks.iter_mut().enumerate() {
            *block = base + word(&bytes, header + 4 * number)?;
        }
        if !blocks.is_sorted() || blocks[block::END] > bytes.len() {
            return Err(ObjectError::Damaged);
        }
        let (symbols, foreign, numbers) = (Vec::new(), Vec::new(), HashMap::new());
        let mut object = Object { bytes, base, minor, blocks, symbols, foreign, numbers };
        object.read_symbols()?;
        object.read_references()?;
        Ok(object)
    }

    fn read_symbols(&mut self) -> Result<(), ObjectError> {
        let ranges = [
            (OWN, block::SYMBOLS),
            (HASHED64, block::HASHED64),
            (HASHED, block::HASHED),
            (NONE, block::NON_PKG_DEFS),
        ];
        for (package, of) in ranges {
            for (number, at) in self.entries(of, SYMBOL).enumerate() {
                let index = self.symbols.len();
                let range = |of: usize, length: usize, into: usize| -> Result<Range<usize>, ObjectError> {
                    let at = self.blocks[of] + 4 * index;
                    let at = [word(&self.bytes, at)?, word(&self.bytes, at + 4)?];
                    let [start, end] = at.map(|number| self.blocks[into] + length * number);
                    let fits = start <= end && end <= self.blocks[into + 1];
                    if fits { Ok(start..end) } else { Err(ObjectError::Damaged) }
                };
                let symbol = Symbol {
                    name: self.string(at)?,
                    abi: u16_at(&self.bytes, at + 8).ok_or(ObjectError::Damaged)?,
                    kind: Kind::of(self.bytes[at + KIND_AT], self.minor),
                    flags: [self.bytes[at + 11], self.bytes[at + 12]],
                    size: u32_at(&self.bytes, at + 13).ok_or(ObjectError::Damaged)?,
                    relocs: range(block::RELOC_INDEX, 23, block::RELOCS)?,
                    aux: range(block::AUX_INDEX, 9, block::AUX)?,
                    content: range(block::DATA_INDEX, 1, block::DATA)?,
                };
                self.symbols.push(symbol);
                let number = u32::try_from(number).map_err(|_| ObjectError::Damaged)?;
                self.numbers.insert((package, number), Target::Own(index));
            }
        }
        Ok(())
    }

    fn read_references(&mut self) -> Result<(), ObjectError> {
        let defined = self.entries(block::NON_PKG_DEFS, SYMBOL).count();
        for (number, at) in self.entries(block::NON_PKG_REFS, SYMBOL).enumerate() {
            let name = self.string(at)?;
            let number = u32::try_from(defined + number).map_err(|_| ObjectError::Damaged)?;
            self.numbers.insert((NONE, number), Target::Foreign(self.foreign.len()));
            self.foreign.push(name);
        }
        for at in self.entries(block::REF_NAMES, 16) {
            let word = |at| u32_at(&self.bytes, at).ok_or(ObjectError::Damaged);
            let (reference, name) = ((word(at)?, word(at + 4)?), self.string(at + 8)?);
            self.numbers.entry(reference).or_insert(Target::Foreign(self.foreign.len()));
            self.foreign.push(name);
        }
        Ok(())
    }

    /// Where the entries of a block are, each `length` bytes long.
    fn entries(&self, of: usize, length: usize) -> std::iter::StepBy<Range<usize>> {
        let (start, end) = (self.blocks[of], self.blocks[of + 1]);
        (start..start + (end - start) / length * length).step_by(length)
    }

    fn string(&self, at: usize) -> Result<String, ObjectError> {
        let length = word(&self.bytes, at)?;
        let start = self.base + word(&self.bytes, at + 4)?;
        let bytes = self.bytes.get(start..start + length).ok_or(ObjectError::Damaged)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Of Go 1.x, x.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// The archive.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A hash of what other packages see of this one.
    pub fn fingerprint(&self) -> [u8; 8] {
        let at = self.base + MAGIC.len();
        self.bytes[at..at + 8].try_into().unwrap_or_default()
    }

    /// The packages that it imports, with the fingerprints that they had.
    pub fn imports(&self) -> impl Iterator<Item = (String, [u8; 8])> {
        self.entries(block::AUTOLIB, 16)
            .filter_map(|at| Some((self.string(at).ok()?, self.bytes.get(at + 8..at + 16)?.try_into().ok()?)))
    }

    /// The source file of the number `index`, as debug information counts them.
    pub fn file(&self, index: usize) -> Option<String> {
        self.entries(block::FILES, 8).nth(index).and_then(|at| self.string(at).ok())
    }

    /// The symbols that it defines.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The names of the symbols that it refers to but does not define.
    pub fn foreign(&self) -> &[String] {
        &self.foreign
    }

    /// A symbol's content; empty for what begins as zero.
    pub fn content(&self, symbol: &Symbol) -> &[u8] {
        &self.bytes[symbol.content.clone()]
    }

    /// What a symbol's content refers to.
    pub fn relocs(&self, symbol: &Symbol) -> impl Iterator<Item = Reloc> {
        symbol.relocs.clone().step_by(23).map(|at| {
            let entry = &self.bytes[at..at + 23];
            Reloc {
                at: u32_at(entry, 0).unwrap_or_default(),
                size: entry[4],
                kind: u16_at(entry, 5).unwrap_or_default(),
                add: i64::from_le_bytes(entry[7..15].try_into().unwrap_or_default()),
                target: self.target(entry, 15),
            }
        })
    }

    /// What describes a symbol further.
    pub fn aux(&self, symbol: &Symbol) -> impl Iterator<Item = (Aux, Target)> {
        symbol.aux.clone().step_by(9).map(|at| {
            let entry = &self.bytes[at..at + 9];
            let aux = match entry[0] {
                0 => Aux::Type,
                1 => Aux::Function,
                2 => Aux::FunctionData,
                3 => Aux::Debug,
                _ => Aux::Other,
            };
            (aux, self.target(entry, 1))
        })
    }

    fn target(&self, entry: &[u8], at: usize) -> Target {
        let word = |at| u32_at(entry, at).unwrap_or_default();
        self.numbers.get(&(word(at), word(at + 4))).copied().unwrap_or(Target::Nothing)
    }

    /// The name of what is referred to; empty for nothing.
    pub fn name(&self, target: Target) -> &str {
        match target {
            Target::Nothing => "",
            Target::Own(index) => &self.symbols[index].name,
            Target::Foreign(index) => &self.foreign[index],
        }
    }

    /// Where in the archive the entry of the symbol number `index` is.
    pub(super) fn entry(&self, index: usize) -> Option<usize> {
        let of = [block::SYMBOLS, block::HASHED64, block::HASHED, block::NON_PKG_DEFS];
        of.into_iter().flat_map(|of| self.entries(of, SYMBOL)).nth(index)
    }
}

/// A number in the file, as a place in it.
fn word(bytes: &[u8], at: usize) -> Result<usize, ObjectError> {
    u32_at(bytes, at).map(|number| number as usize).ok_or(ObjectError::Damaged)
}

/// Where `pattern` begins in `bytes`.
fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// The x of the Go 1.x that an object's first line names: `go object linux amd64 go1.26.8 ...`.
fn minor(head: &[u8]) -> Option<u32> {
    let head = String::from_utf8_lossy(head);
    let at = head.rfind("go object ")?;
    let version = head[at..].lines().next()?.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}
