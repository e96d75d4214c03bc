//! The object that the Go linker leaves for the system's linker: its sections, symbols and relocations. Pure.

use std::collections::HashMap;

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags,
    SectionKind, elf,
};

use super::ImageError;

/// How a section is used once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Never written.
    Read,
    /// Run.
    Execute,
    /// Written by the dynamic linker.
    Once,
    /// Variables.
    Write,
    /// Variables that begin as zero.
    Zero,
}

/// A part of the library.
#[derive(Debug, Clone)]
pub struct Section {
    /// How it is used.
    pub used: Use,
    /// What its address is a multiple of.
    pub align: u64,
    /// How long it is.
    pub size: u64,
    /// What it begins with; nothing if it begins as zero.
    pub bytes: Vec<u8>,
    /// What it refers to.
    pub relocs: Vec<Reloc>,
    /// Whether it holds variables.
    pub variables: bool,
}

/// A reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloc {
    /// Where it is in its section.
    pub at: u64,
    /// `R_X86_64_64` and so on.
    pub kind: u32,
    /// The number of the symbol that it refers to.
    pub symbol: usize,
    /// What is added.
    pub add: i64,
}

/// A place in the library: the number of a section, and bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    /// The section.
    pub section: usize,
    /// Bytes from its start.
    pub at: u64,
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Whether it means nothing to other modules.
    pub local: bool,
    /// Where it is, if it is defined.
    pub spot: Option<Spot>,
    /// How many bytes it takes.
    pub size: u64,
    /// Whether it is a function.
    pub function: bool,
}

/// An object.
#[derive(Debug)]
pub struct Relocatable {
    /// Its loaded sections.
    pub sections: Vec<Section>,
    /// Its symbols.
    pub symbols: Vec<Symbol>,
    /// The numbers of the defined ones by name, global ones before local ones.
    by_name: HashMap<String, usize>,
}

impl Relocatable {
    /// Reads the object `bytes`.
    ///
    /// # Errors
    /// It is none, or is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Relocatable, ImageError> {
        let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(damaged)?;
        let (mut sections, mut numbers) = (Vec::new(), HashMap::new());
        for section in file.sections() {
            if let Some(read) = read_section(&section)? {
                numbers.insert(section.index(), sections.len());
                sections.push(read);
            }
        }
        let mut symbols =
            vec![Symbol { name: String::new(), local: true, spot: None, size: 0, function: false }];
        for symbol in file.symbols() {
            symbols.resize(symbol.index().0, symbols[0].clone());
            let section = symbol.section_index().and_then(|section| numbers.get(&section));
            let spot = section.map(|&section| Spot { section, at: symbol.address() });
            let name = symbol.name().map_err(damaged)?;
            let function = symbol.kind() == object::SymbolKind::Text;
            // What a module calls in itself goes by these names.
            let own = name.strip_prefix("local.").filter(|_| function && symbol.is_local());
            let name = match (own, spot) {
                (Some(name), _) => name,
                // Which calling convention is meant.
                (None, None) => name.strip_suffix(".abiinternal").unwrap_or(name),
                (None, Some(_)) => name,
            };
            // So go the closures from Go 1.27 on, which are as much of a program as others.
            let closure = function && !name.starts_with("runtime.") && !name.starts_with("go:");
            let local = symbol.is_local() && own.is_none() && !closure;
            symbols.push(Symbol { name: name.to_owned(), local, spot, size: symbol.size(), function });
        }
        Ok(Relocatable::of(sections, symbols))
    }

    /// An object of these.
    pub fn of(sections: Vec<Section>, symbols: Vec<Symbol>) -> Relocatable {
        let mut by_name = HashMap::new();
        for (index, symbol) in symbols.iter().enumerate().filter(|(_, symbol)| symbol.spot.is_some()) {
            if !symbol.local || !by_name.contains_key(&symbol.name) {
                by_name.insert(symbol.name.clone(), index);
            }
        }
        Relocatable { sections, symbols, by_name }
    }

    /// Whether it has `name`.
    pub fn defines(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The number of the symbol `name`, and where it is.
    pub fn find(&self, name: &str) -> Option<(usize, Spot)> {
        let index = *self.by_name.get(name)?;
        Some((index, self.symbols[index].spot?))
    }
}

fn damaged(error: object::Error) -> ImageError {
    ImageError::Object(error.to_string())
}

/// The section as it will be loaded; `None` if it will not.
fn read_section<'a>(section: &impl ObjectSection<'a>) -> Result<Option<Section>, ImageError> {
    let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return Ok(None) };
    let name = section.name().map_err(damaged)?;
    let is_note = section.kind() == SectionKind::Note;
    // What it would register on its own is registered by other code.
    if sh_flags & u64::from(elf::SHF_ALLOC) == 0 || is_note || name == ".init_array" {
        return Ok(None);
    }
    let mut relocs = Vec::new();
    for (at, relocation) in section.relocations() {
        let (RelocationFlags::Elf { r_type }, RelocationTarget::Symbol(symbol)) =
            (relocation.flags(), relocation.target())
        else {
            return Err(ImageError::Object(format!("a relocation in `{name}` without a symbol")));
        };
        relocs.push(Reloc { at, kind: r_type, symbol: symbol.0, add: relocation.addend() });
    }
    let flag = |flag: u32| sh_flags & u64::from(flag) != 0;
    let bytes = section.data().map_err(damaged)?.to_vec();
    let used = match () {
        () if flag(elf::SHF_TLS) => return Err(ImageError::Object("variables of threads".to_owned())),
        () if flag(elf::SHF_EXECINSTR) => Use::Execute,
        () if name.starts_with(".data.rel.ro") => Use::Once,
        () if flag(elf::SHF_WRITE) && bytes.is_empty() => Use::Zero,
        () if flag(elf::SHF_WRITE) => Use::Write,
        () if relocs.is_empty() => Use::Read,
        () => Use::Once,
    };
    let variables = matches!(name, ".data" | ".noptrdata" | ".bss" | ".noptrbss");
    let (align, size) = (section.align().max(1), section.size());
    Ok(Some(Section { used, align, size, bytes, relocs, variables }))
}
