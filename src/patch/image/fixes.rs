//! The references of a patch, each led to where its name was found to be. Pure.

use std::collections::BTreeSet;

use object::elf;

use super::ImageError;
use super::bind::{Binding, Place};
use super::generated::{Made, Parts};
use super::layout::Layout;
use super::module::Overrides;
use super::relocatable::{Reloc, Relocatable, Section, Spot, Use};

/// Instructions whose reference is the last that they have: `call`, `jmp`.
const BRANCHES: [u8; 2] = [0xe8, 0xe9];

/// `lea`, and what loads from where that points to.
const ADDRESS: u8 = 0x8d;
const LOAD: u8 = 0x8b;

/// A reference to be filled in.
#[derive(Debug, Clone, Copy)]
enum Fix {
    /// Four bytes: the distance from here to there, and what is added.
    Near(Spot, Spot, i64),
    /// Eight bytes: an address, and what is added.
    Far(Spot, Place, i64),
}

/// All references.
#[derive(Debug)]
pub struct Fixes {
    fixes: Vec<Fix>,
    /// The counting entries: the function, the entry and the counter.
    pub trampolines: Vec<(String, Spot, Spot)>,
}

impl Fixes {
    /// Those of `object`, whose instructions are changed where they have to reach further, and of `parts`.
    ///
    /// # Errors
    /// Something is referred to that nobody has, or in a way that is not supported.
    pub fn of(
        object: &mut Relocatable,
        binding: &Binding,
        parts: &mut Parts,
        overrides: &Overrides,
    ) -> Result<Fixes, ImageError> {
        let (mut fixes, mut missing) = (Vec::new(), BTreeSet::new());
        for index in 0..object.sections.len() {
            let relocs = std::mem::take(&mut object.sections[index].relocs);
            for reloc in relocs {
                let spot = Spot { section: index, at: reloc.at };
                let place = overrides.places.get(&spot).copied().map(|place| (place, 0));
                let Some((place, add)) = place.or_else(|| Some((binding.place(reloc.symbol)?, reloc.add)))
                else {
                    let name = &object.symbols[reloc.symbol].name;
                    if !binding.is_idle(spot) && !is_unused(name) {
                        missing.insert(name.clone());
                    }
                    continue;
                };
                let reloc = Reloc { add, ..reloc };
                let fix = fix(&mut object.sections[index], spot, reloc, place, parts);
                // The rest of a function that nothing enters need not be right.
                match fix {
                    Some(fix) => fixes.push(fix),
                    None if binding.is_idle(spot) => {}
                    None => return Err(ImageError::Reference(object.symbols[reloc.symbol].name.clone())),
                }
            }
        }
        if !missing.is_empty() {
            return Err(ImageError::Missing(missing.into_iter().collect()));
        }
        fixes.extend(parts.references(overrides.module).into_iter().map(|made| match made {
            Made::Near(at, to) => Fix::Near(at, to, -4),
            Made::Far(at, place) => Fix::Far(at, place, 0),
        }));
        let trampolines = parts.entries().map(|(name, entry, counter)| (name.to_owned(), entry, counter));
        Ok(Fixes { fixes, trampolines: trampolines.collect() })
    }

    /// How many depend on where the library is loaded.
    pub fn relative(&self) -> usize {
        self.fixes.iter().filter(|fix| matches!(fix, Fix::Far(_, Place::Own(_), _))).count()
    }

    /// Where those are, and what is added there to where the library is loaded.
    pub fn relocations(&self, layout: &Layout) -> Vec<(u64, u64)> {
        let relative = |fix: &Fix| match *fix {
            Fix::Far(at, Place::Own(to), add) => {
                Some((layout.address(at), layout.address(to).wrapping_add_signed(add)))
            }
            _ => None,
        };
        let mut relocations: Vec<_> = self.fixes.iter().filter_map(relative).collect();
        relocations.sort_unstable();
        relocations
    }

    /// Fills in the others in the file `bytes`.
    pub fn apply(&self, layout: &Layout, bytes: &mut [u8]) {
        for fix in &self.fixes {
            match *fix {
                Fix::Near(at, to, add) => {
                    let at = layout.address(at);
                    let distance = layout.address(to).wrapping_sub(at).wrapping_add_signed(add);
                    bytes[at as usize..][..4].copy_from_slice(&(distance as u32).to_le_bytes());
                }
                Fix::Far(at, Place::At(address), add) => {
                    let address = address.wrapping_add_signed(add);
                    bytes[layout.address(at) as usize..][..8].copy_from_slice(&address.to_le_bytes());
                }
                Fix::Far(_, Place::Own(_), _) => {}
            }
        }
    }
}

/// What the Go linker refers to on its own, in tables that were emptied and code that never runs.
fn is_unused(name: &str) -> bool {
    name.starts_with("go:link.") || name.starts_with("runtime.addmoduledata")
}

/// How the reference `reloc` at `spot` in `section` is led to `place`; `None` if it cannot be.
fn fix(section: &mut Section, spot: Spot, reloc: Reloc, place: Place, parts: &mut Parts) -> Option<Fix> {
    match reloc.kind {
        elf::R_X86_64_64 if matches!(section.used, Use::Once | Use::Write) => {
            Some(Fix::Far(spot, place, reloc.add))
        }
        elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => {
            let at = spot.at as usize;
            let executed = section.used == Use::Execute;
            let is_branch =
                executed && at > 0 && BRANCHES.contains(&section.bytes[at - 1]) && reloc.add == -4;
            match place {
                Place::Own(to) if is_branch => {
                    Some(Fix::Near(spot, parts.entry(to).unwrap_or(to), reloc.add))
                }
                Place::Own(to) => Some(Fix::Near(spot, to, reloc.add)),
                Place::At(address) if is_branch => Some(Fix::Near(spot, parts.stub(address), reloc.add)),
                Place::At(_) if executed && reloc.add == -4 => {
                    let code = section.bytes.get_mut(at.checked_sub(3)?..at)?;
                    let [prefix @ (0x48 | 0x4c), code @ ADDRESS, operands] = code else { return None };
                    let _ = prefix;
                    if *operands & 0xc7 != 0x05 {
                        return None;
                    }
                    *code = LOAD;
                    Some(Fix::Near(spot, parts.slot(place), reloc.add))
                }
                Place::At(_) => None,
            }
        }
        // What belongs to a thread has an offset in place of an address.
        elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTTPOFF if reloc.add == -4 => {
            Some(Fix::Near(spot, parts.slot(place), reloc.add))
        }
        _ => None,
    }
}
