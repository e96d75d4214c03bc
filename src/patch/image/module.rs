//! What the Go linker has written about the patch as a module (`runtime.moduledata`), and what has to be changed in
//! it: the patch is no plugin that anything is looked up in. Pure.

use std::collections::HashMap;

use super::super::bytes::{u32_at, u64_at};
use super::super::host::Fields;
use super::super::mangle::package_of;
use super::ImageError;
use super::bind::Place;
use super::generated::Parts;
use super::relocatable::{Reloc, Relocatable, Spot};

/// The name of the module's description.
const MODULE: &str = "local.moduledata";

/// References that are not what the object says.
#[derive(Debug)]
pub struct Overrides {
    /// The module's description.
    pub module: Spot,
    /// Where they lead instead, by where they are.
    pub places: HashMap<Spot, Place>,
}

/// Changes the description in `object` for the generation `generation`, and says which of its references lead
/// elsewhere.
///
/// # Errors
/// The description is not where it is expected, or is something else.
pub fn overrides(
    object: &mut Relocatable,
    fields: Fields,
    parts: &mut Parts,
    generation: u32,
) -> Result<Overrides, ImageError> {
    let strange = |what: &str| ImageError::Object(format!("no {what}"));
    let (index, module) = object.find(MODULE).ok_or_else(|| strange(MODULE))?;
    let at = |field: u64| Spot { at: module.at + field, ..module };

    // It describes what is here, used or not: where the first function is, say.
    let end = module.at + object.symbols[index].size;
    let relocs = object.sections[module.section].relocs.iter();
    let relocs = relocs.filter(|reloc| (module.at..end).contains(&reloc.at));
    let mut places: HashMap<Spot, Place> = relocs
        .filter_map(|reloc| {
            let spot = object.symbols.get(reloc.symbol)?.spot?;
            let spot = Spot { at: spot.at.checked_add_signed(reloc.add)?, ..spot };
            Some((Spot { at: reloc.at, ..module }, Place::Own(spot)))
        })
        .collect();

    // The loader refuses a name that it has seen.
    let name = format!("patch {generation}");
    places.insert(at(fields.pluginpath), Place::Own(parts.set_name(&name)));
    write(object, at(fields.pluginpath + 8), name.len() as u64);
    // Nothing is looked up, and the fingerprints were compared before.
    for slice in [fields.ptab, fields.pkghashes, fields.modulehashes] {
        write(object, at(slice + 8), 0);
        write(object, at(slice + 16), 0);
    }

    // The end of the last function was noted down before that function, which registers the module, got its code. The
    // functions' table has the end that the runtime compares it with.
    let table = target(object, at(fields.ftab)).ok_or_else(|| strange("table of functions"))?;
    let count =
        word(object, at(fields.ftab + 8)).ok_or_else(|| strange("length of the table of functions"))?;
    let last = table.at + count.saturating_sub(1) * 8;
    let end = u32_at(&object.sections[table.section].bytes, last as usize)
        .ok_or_else(|| strange("last function"))?;
    let (_, text) = object.find("runtime.text").ok_or_else(|| strange("runtime.text"))?;
    places.insert(at(fields.maxpc), Place::Own(Spot { at: text.at + u64::from(end), ..text }));
    Ok(Overrides { module, places })
}

/// Has only the packages initialised that are new: to ask for one that is just being initialised would end the process.
/// The description in `object` is where `overrides` says.
pub fn initialise(
    object: &mut Relocatable,
    overrides: &mut Overrides,
    fields: Fields,
    is_new: &dyn Fn(&str) -> bool,
) {
    let at = |field: u64| Spot { at: overrides.module.at + field, ..overrides.module };
    let (slice, count) = (at(fields.inittasks), at(fields.inittasks + 8));
    let tasks = target(object, slice).map_or_else(Vec::new, |table| {
        let end = table.at + 8 * word(object, count).unwrap_or_default();
        let relocs = object.sections[table.section].relocs.iter();
        let mut relocs: Vec<&Reloc> = relocs.filter(|reloc| (table.at..end).contains(&reloc.at)).collect();
        relocs.sort_unstable_by_key(|reloc| reloc.at);
        let new = relocs.into_iter().filter_map(|reloc| {
            let symbol = object.symbols.get(reloc.symbol)?;
            let package = package_of(symbol.name.strip_suffix(".inittask")?)?;
            is_new(&package).then_some(Place::Own(symbol.spot?))
        });
        new.zip(0..).map(|(task, number)| (Spot { at: table.at + 8 * number, ..table }, task)).collect()
    });
    for field in [count, at(fields.inittasks + 16)] {
        write(object, field, tasks.len() as u64);
    }
    overrides.places.extend(tasks);
}

fn write(object: &mut Relocatable, spot: Spot, number: u64) {
    let start = spot.at as usize;
    if let Some(bytes) = object.sections[spot.section].bytes.get_mut(start..start + 8) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
}

fn word(object: &Relocatable, spot: Spot) -> Option<u64> {
    u64_at(&object.sections[spot.section].bytes, spot.at as usize)
}

/// Where the reference at `spot` leads in the object.
fn target(object: &Relocatable, spot: Spot) -> Option<Spot> {
    let reloc = object.sections[spot.section].relocs.iter().find(|reloc| reloc.at == spot.at)?;
    let target = object.symbols.get(reloc.symbol)?.spot?;
    Some(Spot { at: target.at.checked_add_signed(reloc.add)?, ..target })
}
