use super::relocatable::{Reloc, Section, Spot, Symbol, Use};
use std::collections::HashMap;

use super::*;
use crate::patch::bytes::{u32_at, u64_at};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSegment, elf};

/// Where the unchanged function is in the host, and a variable.
const FAR: u64 = 0x0040_1000;
const VARIABLE: u64 = 0x0080_2000;

/// A patch of the function `changed`, which calls itself, calls `same` and takes the address of that, reads `variable`
/// and has an address of its own in its data; and of `same`, which the host has.
fn object() -> Relocatable {
    let mut text = vec![0xcc; 64];
    let code: [&[u8]; 5] = [
        &[0xe8, 27, 0, 0, 0],             // call same
        &[0x48, 0x8d, 0x05, 20, 0, 0, 0], // lea same, %rax
        &[0x48, 0x8b, 0x0d, 0, 0, 0, 0],  // mov variable@GOTPCREL, %rcx
        &[0xe8, 0xe8, 0xff, 0xff, 0xff],  // call changed
        &[0xc3],
    ];
    let code = code.concat();
    text[..code.len()].copy_from_slice(&code);
    text[32..37].copy_from_slice(&[0xe8, 0, 0, 0, 0]);
    let section = |used, bytes: Vec<u8>, relocs| Section {
        used,
        align: 16,
        size: bytes.len() as u64,
        bytes,
        relocs,
        variables: used == Use::Write,
    };
    let reloc = |at, kind, symbol, add| Reloc { at, kind, symbol, add };
    let sections = vec![
        section(
            Use::Execute,
            text,
            vec![reloc(15, elf::R_X86_64_GOTPCREL, 3, -4), reloc(33, elf::R_X86_64_PLT32, 5, -4)],
        ),
        section(Use::Write, vec![0; 8], vec![reloc(0, elf::R_X86_64_64, 1, 2)]),
    ];
    let symbol = |name: &str, at: Option<(usize, u64)>, size, function| Symbol {
        name: name.to_owned(),
        local: false,
        spot: at.map(|(section, at)| Spot { section, at }),
        size,
        function,
    };
    let symbols = vec![
        symbol("", None, 0, false),
        symbol("changed", Some((0, 0)), 25, true),
        symbol("same", Some((0, 32)), 5, true),
        symbol("variable", None, 0, false),
        symbol("own", Some((1, 0)), 8, false),
        symbol("nobody's", None, 0, false),
    ];
    Relocatable::of(sections, symbols)
}

/// The file, and where the parts of it are.
fn linked() -> (Vec<u8>, Layout, Fixes) {
    let mut object = object();
    let own = |section, at| Some(Place::Own(Spot { section, at }));
    let places = vec![None, own(0, 0), Some(Place::At(FAR)), Some(Place::At(VARIABLE)), own(1, 0), None];
    let binding = Binding::of(&object, places);
    let changed = HashSet::from(["changed".to_owned()]);
    code::name_calls(&mut object, &binding, &changed);
    let registry = Registry { last: VARIABLE, next: 0x100 };
    let mut parts = Parts::new(&object, &binding, &["changed".to_owned()], registry);
    let module = Spot { section: 1, at: 0 };
    let overrides = module::Overrides { module, places: HashMap::new() };
    let fixes = Fixes::of(&mut object, &binding, &mut parts, &overrides).unwrap();
    let sections = parts.finish(object.sections);
    let layout = Layout::new(&sections, fixes.relative(), parts.tables());
    let mut bytes = layout.file(&sections, &fixes.relocations(&layout));
    fixes.apply(&layout, &mut bytes);
    (bytes, layout, fixes)
}

/// Where the four bytes at `at` lead.
fn near(bytes: &[u8], at: u64) -> u64 {
    let distance = u32_at(bytes, at as usize).unwrap() as i32;
    (at + 4).wrapping_add_signed(i64::from(distance))
}

#[test]
fn references_lead_where_names_are() {
    let (bytes, layout, fixes) = linked();
    let start = layout.address(Spot { section: 0, at: 0 });
    // What is far is reached by an address nearby.
    let stub = near(&bytes, start + 1);
    assert_eq!(bytes[stub as usize..][..2], [0xff, 0x25]);
    assert_eq!(u64_at(&bytes, near(&bytes, stub + 2) as usize), Some(FAR));
    assert_eq!(bytes[start as usize + 6], 0x8b, "the address is loaded, not computed");
    assert_eq!(u64_at(&bytes, near(&bytes, start + 8) as usize), Some(FAR));
    assert_eq!(u64_at(&bytes, near(&bytes, start + 15) as usize), Some(VARIABLE));
    // What changed is counted, also when it calls itself.
    let (name, entry, counter) = &fixes.trampolines[0];
    let entry = layout.address(*entry);
    assert_eq!((name.as_str(), near(&bytes, start + 20)), ("changed", entry));
    assert_eq!(near(&bytes, entry + 4), layout.address(*counter));
    assert_eq!(near(&bytes, entry + 9), start);
    // Its own address is known when it is loaded.
    let relocations = fixes.relocations(&layout);
    assert!(
        relocations.contains(&(layout.address(Spot { section: 1, at: 0 }), start + 2)),
        "{relocations:?}"
    );
}

#[test]
fn the_file_is_a_library_whose_code_is_not_writable() {
    let (bytes, layout, fixes) = linked();
    let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).unwrap();
    assert!(file.is_little_endian());
    let segments: Vec<_> = file.segments().map(|segment| (segment.address(), segment.size())).collect();
    assert_eq!(segments.len(), 3);
    assert!(segments.is_sorted() && segments.iter().all(|(start, _)| start % 4096 == 0), "{segments:?}");
    let (start, end) = layout.text();
    assert_eq!((start, end - start), segments[1]);
    // One of its data, one for what is run at the start.
    assert_eq!(fixes.relative(), 2);
    assert_eq!(layout.memory(), 4 * 4096);
}

#[test]
fn what_nobody_has_matters_only_where_it_is_used() {
    // `same` refers to it, but is not used here.
    linked();
    let mut object = object();
    let own = |section, at| Some(Place::Own(Spot { section, at }));
    let binding =
        Binding::of(&object, vec![None, own(0, 0), own(0, 32), Some(Place::At(FAR)), own(1, 0), None]);
    let mut parts = Parts::new(&object, &binding, &[], Registry { last: 0, next: 0 });
    let module = Spot { section: 1, at: 0 };
    let overrides = module::Overrides { module, places: HashMap::new() };
    let error = Fixes::of(&mut object, &binding, &mut parts, &overrides).unwrap_err();
    assert_eq!(error, ImageError::Missing(vec!["nobody's".to_owned()]));
}
