//! What the Go linker is shown in place of the service's executable: a shared library that has only the symbols that
//! a patch refers to, so that it is read in no time. `ldshlibsyms` in `cmd/link/internal/ld/lib.go` says what must
//! be in it. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use object::elf as codes;

use super::bytes::u64_at;
use super::elf::{
    FILE_HEADER, FileHeader, Names, RELOCATION, SYMBOL, SectionHeader, Symbol, relocation, word,
};
use super::generations::Loaded;
use super::host::Nature;

/// What the linker asks for in every plugin.
const WANTED: [&str; 6] = [
    "runtime.addmoduledata",
    "runtime.mapinitnoop",
    "runtime.unreachableMethod",
    "runtime.lastmoduledatap",
    "runtime.tlsg",
    "type:runtime.moduledata",
];

/// The file's name, which is in one of its symbols.
pub const NAME: &str = "host.so";

/// What the linker refers to although no program has it.
const INVENTED: [&str; 2] = ["runtime.addmoduledata", "runtime.mapinitnoop"];

/// Where the sections are that have no place in the host: above all that it has.
const TEXT: u64 = 0x7000_0000_0000;
const TYPES: u64 = 0x7100_0000_0000;

/// Notes of Go libraries (`cmd/link/internal/ld/elf.go`).
const NOTE_ABI_HASH: u32 = 2;
const NOTE_DEPENDENCIES: u32 = 3;

/// `Kind` in `internal/abi/type.go`: those whose layout is that of their parts.
pub(super) const ARRAY: u8 = 17;
pub(super) const STRUCT: u8 = 25;

/// A section to be written.
struct Section {
    name: &'static str,
    header: SectionHeader,
    bytes: Vec<u8>,
}

/// The library with what is loaded and named in `names`, as linkers name it, and the fingerprints of `packages`.
pub fn build<'a>(
    loaded: &Loaded,
    names: impl Iterator<Item = &'a str>,
    packages: impl Iterator<Item = &'a str>,
) -> Vec<u8> {
    let mut names: BTreeSet<String> = names.chain(WANTED).map(str::to_owned).collect();
    names.extend(packages.map(|package| format!("go:link.pkghash.{package}")));
    let types = Types::of(loaded, &names);

    let (mut symbols, mut strings, mut numbers) = (vec![0; SYMBOL], Names::new(), HashMap::new());
    let mut add = |name: &str, kind: u8, section: u16, address: u64, size: u64| {
        numbers.insert(name.to_owned(), (symbols.len() / SYMBOL) as u64);
        Symbol { name: strings.add(name), kind, section, address, size }.write(&mut symbols);
    };
    for name in &names {
        let invented = INVENTED.contains(&name.as_str()).then_some((TEXT, Nature::Function));
        let found = loaded.find(name).or(invented).or_else(|| loaded.find(&format!("{name}.abi0")));
        match found {
            _ if types.places.contains_key(name.as_str()) => {}
            // Which calling convention is meant, the reference says.
            Some((_, Nature::Function)) if name.starts_with("type:") => {
                add(name, codes::STT_FUNC, 2, TEXT, 0);
            }
            Some((_, Nature::Function)) => {
                for convention in [".abiinternal", ".abi0"] {
                    add(&format!("{name}{convention}"), codes::STT_FUNC, 2, TEXT, 0);
                }
            }
            Some((_, Nature::Data)) => add(name, codes::STT_OBJECT, 2, TEXT, 8),
            Some((_, Nature::Thread)) => add(name, codes::STT_TLS, 2, 0, 8),
            None => {}
        }
    }
    for (name, &(at, size)) in &types.places {
        add(name, codes::STT_OBJECT, 3, TYPES + at, size);
    }
    add(&format!("go:link.abihash.{NAME}"), codes::STT_OBJECT, 2, TEXT, 8);
    let mut relocations = Vec::new();
    for (at, name) in &types.references {
        relocation(&mut relocations, TYPES + at, numbers[name], codes::R_X86_64_64, 0);
    }

    let header = |kind, address, entry| SectionHeader { kind, address, entry, ..SectionHeader::default() };
    let plain =
        |name, address, bytes| Section { name, header: header(codes::SHT_PROGBITS, address, 0), bytes };
    let mut sections = vec![
        Section { name: "", header: header(codes::SHT_NULL, 0, 0), bytes: Vec::new() },
        Section { name: ".note.go", header: header(codes::SHT_NOTE, 0, 0), bytes: notes() },
        plain(".text", TEXT, vec![0; 8]),
        plain(".types", TYPES, if types.bytes.is_empty() { vec![0; 8] } else { types.bytes }),
        Section { name: ".dynsym", header: header(codes::SHT_DYNSYM, 0, SYMBOL as u64), bytes: symbols },
        Section { name: ".dynstr", header: header(codes::SHT_STRTAB, 0, 0), bytes: strings.bytes().to_vec() },
        Section { name: ".rela", header: header(codes::SHT_RELA, 0, RELOCATION as u64), bytes: relocations },
    ];
    sections[4].header.link = 5;
    sections[6].header.link = 4;
    sections.extend(types.masks.into_iter().map(|(address, bytes)| plain(".mask", address, bytes)));
    file(sections)
}

fn notes() -> Vec<u8> {
    let mut notes = Vec::new();
    for (kind, content) in [(NOTE_ABI_HASH, &[0x11; 20][..]), (NOTE_DEPENDENCIES, &[])] {
        for number in [4, content.len() as u32, kind] {
            word(&mut notes, number);
        }
        notes.extend(b"Go\0\0");
        notes.extend(content);
    }
    notes
}

/// A file of these sections and their names.
fn file(mut sections: Vec<Section>) -> Vec<u8> {
    let mut names = Names::new();
    for section in &mut sections {
        section.header.name = names.add(section.name);
    }
    let header =
        SectionHeader { name: names.add(".shstrtab"), kind: codes::SHT_STRTAB, ..SectionHeader::default() };
    sections.push(Section { name: ".shstrtab", header, bytes: names.bytes().to_vec() });

    let mut body = Vec::new();
    for section in &mut sections {
        body.resize(body.len().next_multiple_of(8), 0);
        section.header.at = (FILE_HEADER + body.len()) as u64;
        section.header.size = section.bytes.len() as u64;
        body.append(&mut section.bytes);
    }
    body.resize(body.len().next_multiple_of(8), 0);
    let mut out = Vec::with_capacity(FILE_HEADER + body.len());
    let (count, at) = (sections.len(), (FILE_HEADER + body.len()) as u64);
    FileHeader { programs: 0, sections_at: at, sections: count, names: count - 1 }.write(&mut out);
    out.append(&mut body);
    for section in sections {
        section.header.write(&mut out);
    }
    out
}

/// The host's descriptors of types, with what the linker reads to learn where their pointers are.
#[derive(Default)]
struct Types {
    /// One behind the other.
    bytes: Vec<u8>,
    /// Where each is among the bytes, and how long it is.
    places: BTreeMap<String, (u64, u64)>,
    /// Where one refers to another.
    references: Vec<(u64, String)>,
    /// Pointer bits, by their address in the host.
    masks: BTreeMap<u64, Vec<u8>>,
}

impl Types {
    /// Those of `names`, and what they consist of.
    fn of(loaded: &Loaded, names: &BTreeSet<String>) -> Types {
        let host = loaded.host();
        let by_address = host.types();
        let is_type = |name: &&String| name.starts_with("type:") && !name.starts_with("type:.");
        let mut open: Vec<String> = names.iter().filter(is_type).cloned().collect();
        let (mut types, mut references) = (Types::default(), Vec::new());
        while let Some(name) = open.pop() {
            let Some(known) = host.find(&name).filter(|_| !types.places.contains_key(&name)) else {
                continue;
            };
            let Some(descriptor) = host.bytes(known.address, known.size) else { continue };
            let start = types.bytes.len() as u64;
            types.places.insert(name, (start, known.size));
            let mask = host.pointer_mask(&descriptor).or_else(|| host.pointer_program(&descriptor));
            types.masks.extend(mask);
            let kind = descriptor.get(23).copied().unwrap_or_default() & 31;
            if matches!(kind, ARRAY | STRUCT) {
                // The fields of a struct are in a table that is part of its descriptor.
                for at in (0..descriptor.len()).step_by(8) {
                    let target = u64_at(&descriptor, at).and_then(|address| by_address.get(&address));
                    if let Some(target) = target {
                        references.push((start + at as u64, (*target).to_owned()));
                        open.push((*target).to_owned());
                    }
                }
            }
            types.bytes.extend(descriptor);
            types.bytes.resize(types.bytes.len().next_multiple_of(8), 0);
        }
        references.retain(|(_, name)| types.places.contains_key(name));
        types.references = references;
        types
    }
}
