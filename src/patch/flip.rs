//! What the linker is told about variables that a patch brings along but never uses, since those of the host stand in
//! for them: that they hold no pointers. Otherwise it would ask imported types for a layout that it cannot always
//! see. Pure.
//!
//! Doing so to any other variable would hide its pointers from the collector.

use std::collections::HashSet;

use super::object::{KIND_AT, Kind, Object, Target};

/// What the names of static temporaries of initialisers contain.
pub const TEMPORARY: &str = "..stmp_";

/// The archive of `object`, with those of its variables without pointers that stand elsewhere already, as
/// `is_loaded` says, and the temporaries of their initialisers.
pub fn flipped(object: &Object, is_loaded: impl Fn(&str) -> bool) -> Vec<u8> {
    let kept = kept(object, &is_loaded);
    let mut bytes = object.bytes().to_vec();
    for (index, symbol) in object.symbols().iter().enumerate() {
        let to = match symbol.kind {
            Kind::Data => Kind::NoPointers,
            Kind::Zero => Kind::ZeroNoPointers,
            _ => continue,
        };
        let is_temporary = symbol.name.contains(TEMPORARY);
        let unused = if is_temporary { !kept.contains(&index) } else { is_loaded(&symbol.name) };
        if unused && let Some(entry) = object.entry(index) {
            bytes[entry + KIND_AT] = to.number(object.minor());
        }
    }
    bytes
}

/// The temporaries that variables begin with which nobody has yet.
fn kept(object: &Object, is_loaded: &impl Fn(&str) -> bool) -> HashSet<usize> {
    let symbols = object.symbols();
    let is_new = |index: &usize| {
        let symbol = &symbols[*index];
        symbol.kind == Kind::Data && !symbol.name.contains(TEMPORARY) && !is_loaded(&symbol.name)
    };
    let mut open: Vec<usize> = (0..symbols.len()).filter(is_new).collect();
    let mut kept = HashSet::new();
    while let Some(index) = open.pop() {
        for reloc in object.relocs(&symbols[index]) {
            if let Target::Own(target) = reloc.target
                && symbols[target].name.contains(TEMPORARY)
                && kept.insert(target)
            {
                open.push(target);
            }
        }
    }
    kept
}
