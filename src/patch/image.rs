//! The last step of linking, done here: from the object that the Go linker leaves to a library that can be loaded.
//! All that the service has already has a known address, so every reference is resolved now, and what nobody has is
//! found before anything is loaded. Pure.
//!
//! The parts are laid out in the order in which they may be used: read, execute, write once, write.

mod bind;
mod code;
mod fixes;
mod generated;
mod layout;
mod module;
mod relocatable;

use std::collections::{HashMap, HashSet};

use super::generations::{Code, Function, Linked, Loaded, Trampoline};
use super::host::Nature;
use super::link::MAIN;
use bind::{Binding, Place};
use fixes::Fixes;
use generated::{Parts, Registry};
use layout::Layout;
pub use relocatable::Relocatable;

/// Why no library can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The linker's object is not as expected.
    #[error("the Go linker left an object that is not understood: {0}")]
    Object(String),
    /// The service has not got what is referred to; its linker had no use for it.
    #[error("the running service lacks {}", list(.0))]
    Missing(Vec<String>),
    /// Changed functions that the linker has left out.
    #[error("the Go linker left out {}", list(.0))]
    Dropped(Vec<String>),
    /// A reference of a kind that is not supported.
    #[error("cannot redirect what refers to `{0}`")]
    Reference(String),
}

impl ImageError {
    /// The same, with names as the compiler gives them, where `names` has them by those that the linker gives.
    pub fn with_names(self, names: &HashMap<String, &str>) -> ImageError {
        let known = |name: String| names.get(&name).map_or(name, |name| (*name).to_owned());
        match self {
            ImageError::Missing(lacking) => ImageError::Missing(lacking.into_iter().map(known).collect()),
            other => other,
        }
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// A library and what is where in it, but for its path and its packages.
pub struct Image {
    /// The file.
    pub bytes: Vec<u8>,
    /// What is where.
    pub linked: Linked,
}

/// The functions that a patch brings.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a> {
    /// Those that are new in this patch, whether or not they were loaded before.
    pub functions: &'a HashSet<String>,
    /// Those of them that only new code comes to.
    pub bound: &'a HashSet<String>,
}

/// Makes the library of the generation `generation` from `object`, which has the functions of `changes`.
///
/// # Errors
/// See [`ImageError`].
pub fn build(
    mut object: Relocatable,
    loaded: &Loaded,
    generation: u32,
    changes: Changes<'_>,
) -> Result<Image, ImageError> {
    let changed = changes.functions;
    let dropped: Vec<String> = changed.iter().filter(|name| !object.defines(name)).cloned().collect();
    if !dropped.is_empty() {
        return Err(ImageError::Dropped(dropped));
    }
    let binding = Binding::new(&object, loaded, changes);
    code::name_calls(&mut object, &binding, changed);
    let known = |name: &&String| loaded.find(name).is_some_and(|(_, nature)| nature == Nature::Function);
    let mut counted: Vec<String> = changed.iter().filter(known).cloned().collect();
    counted.sort_unstable();
    let last = loaded
        .find("runtime.lastmoduledatap")
        .ok_or_else(|| ImageError::Missing(vec!["runtime.lastmoduledatap".to_owned()]))?;
    let registry = Registry { last: last.0, next: loaded.host().fields().next };
    let mut parts = Parts::new(&object, &binding, &counted, registry);
    let fields = loaded.host().fields();
    let mut overrides = module::overrides(&mut object, fields, &mut parts, generation)?;
    // What a package does at its start it has done, unless there was nothing of it so far.
    let is_new = |path: &str| path != MAIN && loaded.fingerprint(path).is_none();
    module::initialise(&mut object, &mut overrides, fields, &is_new);
    let fixes = Fixes::of(&mut object, &binding, &mut parts, &overrides)?;
    let sections = parts.finish(std::mem::take(&mut object.sections));
    let layout = Layout::new(&sections, fixes.relative(), parts.tables());
    let relocations = fixes.relocations(&layout);
    let mut bytes = layout.file(&sections, &relocations);
    fixes.apply(&layout, &mut bytes);
    let (start, end) = layout.text();
    let code = Code { offset: start, bytes: bytes[start as usize..end as usize].to_vec() };

    let mut linked = Linked {
        library: std::path::PathBuf::new(),
        functions: std::collections::BTreeMap::new(),
        trampolines: Vec::new(),
        data: HashMap::new(),
        packages: Vec::new(),
        code,
        leads: relocations.into_iter().collect(),
        memory: layout.memory(),
    };
    for (index, symbol) in object.symbols.iter().enumerate() {
        let Some(Place::Own(place)) = binding.place(index) else { continue };
        if symbol.local {
            continue;
        }
        let offset = layout.address(place);
        if symbol.function {
            linked.functions.insert(symbol.name.clone(), Function { offset, size: symbol.size });
        } else if bind::is_shared(&sections, symbol) && loaded.find(&symbol.name).is_none() {
            linked.data.insert(symbol.name.clone(), offset);
        }
    }
    linked.trampolines = fixes
        .trampolines
        .iter()
        .map(|(function, offset, counter)| Trampoline {
            function: function.clone(),
            offset: layout.address(*offset),
            counter: layout.address(*counter),
        })
        .collect();
    Ok(Image { bytes, linked })
}

#[cfg(test)]
mod tests;
