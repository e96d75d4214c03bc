//! Calls inside a patch. The Go linker has resolved them already; here they get their names back where they have to
//! lead elsewhere: those of unchanged functions to the service's, those of changed ones to where they are counted.
//! Pure.

use std::collections::{HashMap, HashSet};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};
use object::elf;

use super::bind::{Binding, Place};
use super::relocatable::{Reloc, Relocatable, Spot, Use};

/// Adds to `object` the relocations that name what its functions refer to in other functions, where that matters.
pub fn name_calls(object: &mut Relocatable, binding: &Binding, changed: &HashSet<String>) {
    // The functions that references are to be led to, by where they stand here.
    let mut targets: HashMap<Spot, usize> = HashMap::new();
    for (index, symbol) in object.symbols.iter().enumerate() {
        let leads = matches!(binding.place(index), Some(Place::At(_))) || changed.contains(&symbol.name);
        if let Some(spot) = symbol.spot.filter(|_| symbol.function && !symbol.local && leads) {
            targets.insert(spot, index);
        }
    }
    let sections = object.sections.iter().enumerate();
    let named: HashSet<Spot> = sections
        .flat_map(|(section, read)| read.relocs.iter().map(move |reloc| Spot { section, at: reloc.at }))
        .collect();
    let mut added: Vec<(usize, Reloc)> = Vec::new();
    for symbol in object.symbols.iter().filter(|symbol| symbol.function && !symbol.local) {
        let Some(spot) = symbol.spot.filter(|spot| !binding.is_idle(*spot)) else { continue };
        let section = &object.sections[spot.section];
        if section.used != Use::Execute {
            continue;
        }
        let end = (spot.at + symbol.size).min(section.size);
        let code = &section.bytes[spot.at as usize..end as usize];
        let mut decoder = Decoder::with_ip(64, code, spot.at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let Some((at, target)) = reference(&decoder, &instruction) else { continue };
            let inside = spot.at < target && target < end;
            if let Some(&symbol) = targets.get(&Spot { at: target, ..spot })
                && !inside
                && !named.contains(&Spot { at, ..spot })
                && (target != spot.at || instruction.mnemonic() == Mnemonic::Call)
            {
                added.push((spot.section, Reloc { at, kind: elf::R_X86_64_PC32, symbol, add: -4 }));
            }
        }
    }
    added.sort_unstable_by_key(|(section, reloc)| (*section, reloc.at));
    // Functions have a local name besides.
    added.dedup_by_key(|(section, reloc)| (*section, reloc.at));
    for (section, reloc) in added {
        object.sections[section].relocs.push(reloc);
    }
}

/// Where an instruction keeps the four bytes that say to what it refers, and what that is.
fn reference(decoder: &Decoder<'_>, instruction: &Instruction) -> Option<(u64, u64)> {
    let offsets = decoder.get_constant_offsets(instruction);
    let is_branch = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64;
    if is_branch && offsets.has_immediate() && offsets.immediate_size() == 4 {
        return Some((instruction.ip() + offsets.immediate_offset() as u64, instruction.near_branch64()));
    }
    let is_relative = instruction.is_ip_rel_memory_operand();
    if is_relative && offsets.has_displacement() && offsets.displacement_size() == 4 {
        let at = instruction.ip() + offsets.displacement_offset() as u64;
        return Some((at, instruction.ip_rel_memory_address()));
    }
    None
}
