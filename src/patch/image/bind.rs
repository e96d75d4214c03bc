//! To what each name in a patch refers: to the patch, or to what the service has loaded. Pure.
//!
//! Whatever has an identity stays what it is: variables, types, interface tables, whether a package was initialised,
//! and functions that did not change. What describes the patch's own code belongs to the patch.

use super::super::flip::TEMPORARY;
use super::super::generations::{Loaded, is_type};
use super::Changes;
use super::relocatable::{Relocatable, Section, Spot, Symbol};

/// What the names of function values end in.
const VALUE: &str = "·f";

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Into the patch.
    Own(Spot),
    /// To this address.
    At(u64),
}

/// The places of all symbols.
#[derive(Debug)]
pub struct Binding {
    places: Vec<Option<Place>>,
    /// What stands in the patch and is not used, in order: from where to where, section by section.
    idle: Vec<(Spot, Spot)>,
}

impl Binding {
    /// Where the symbols of `object` lead if the functions in `changes` are to be the patch's.
    pub fn new(object: &Relocatable, loaded: &Loaded, changes: Changes<'_>) -> Binding {
        let places: Vec<_> =
            object.symbols.iter().map(|symbol| place(object, symbol, loaded, changes)).collect();
        Binding::of(object, places)
    }

    /// Where the symbols of `object` lead if that is `places`, one for each.
    pub fn of(object: &Relocatable, places: Vec<Option<Place>>) -> Binding {
        let mut idle = Vec::new();
        for (symbol, place) in object.symbols.iter().zip(&places) {
            if let (Some(spot), Some(Place::At(_))) = (symbol.spot, place) {
                idle.push((spot, Spot { at: spot.at + symbol.size, ..spot }));
            }
        }
        idle.sort_unstable();
        idle.dedup();
        Binding { places, idle }
    }

    /// Where the symbol number `symbol` leads; `None` if nobody has it.
    pub fn place(&self, symbol: usize) -> Option<Place> {
        self.places.get(symbol).copied().flatten()
    }

    /// Whether what stands at `spot` is not used.
    pub fn is_idle(&self, spot: Spot) -> bool {
        let before = self.idle.partition_point(|(start, _)| *start <= spot);
        before > 0 && spot < self.idle[before - 1].1
    }
}

fn place(object: &Relocatable, symbol: &Symbol, loaded: &Loaded, changes: Changes<'_>) -> Option<Place> {
    let Some(spot) = symbol.spot else { return foreign(&symbol.name, loaded) };
    let own = Place::Own(spot);
    let stays = match symbol.name.strip_suffix(VALUE).filter(|_| !symbol.function) {
        _ if symbol.local => false,
        None if symbol.function => !changes.functions.contains(&symbol.name),
        // A value that was made before leads to the new code as well, and is equal to what is made from now on.
        Some(function) => !changes.bound.contains(function),
        None => is_shared(&object.sections, symbol),
    };
    let found = if stays { loaded.find(&symbol.name) } else { None };
    Some(found.map_or(own, |(address, _)| Place::At(address)))
}

/// Where `name` is, which the patch does not define. The host's linker leaves out the calling convention where there
/// is only one.
fn foreign(name: &str, loaded: &Loaded) -> Option<Place> {
    let found = loaded.find(name).or_else(|| loaded.find(name.strip_suffix(".abi0")?));
    found.map(|(address, _)| Place::At(address))
}

/// Whether there can be only one of `symbol`, which is no function, in a program.
pub fn is_shared(sections: &[Section], symbol: &Symbol) -> bool {
    let name = symbol.name.as_str();
    let is_variable = symbol.spot.is_some_and(|spot| sections[spot.section].variables);
    is_type(name)
        || name.starts_with("go:itab.")
        || name.ends_with(VALUE)
        || (is_variable && !name.contains(TEMPORARY) && !name.starts_with("go:"))
}
