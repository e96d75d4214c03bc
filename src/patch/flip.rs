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
    let laid_out = laid_out(object, is_loaded);
    let mut bytes = object.bytes().to_vec();
    for (index, symbol) in object.symbols().iter().enumerate() {
        let to = match symbol.kind {
            Kind::Data => Kind::NoPointers,
            Kind::Zero => Kind::ZeroNoPointers,
            _ => continue,
        };
        if !laid_out.contains(&index)
            && let Some(entry) = object.entry(index)
        {
            bytes[entry + KIND_AT] = to.number(object.minor());
        }
    }
    bytes
}

/// The numbers of the symbols in `object` for which the linker has to know where their pointers are.
pub fn laid_out(object: &Object, is_loaded: impl Fn(&str) -> bool) -> HashSet<usize> {
    let mut laid_out = kept(object, &is_loaded);
    let symbols = object.symbols().iter().enumerate();
    let variables = symbols.filter(|(_, symbol)| matches!(symbol.kind, Kind::Data | Kind::Zero));
    let new = variables.filter(|(_, symbol)| !symbol.name.contains(TEMPORARY) && !is_loaded(&symbol.name));
    laid_out.extend(new.map(|(index, _)| index));
    laid_out
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
