//! Whether a change can be applied to a running process, decided from what its packages were and what they are now.
//! What cannot be shown to be safe restarts, and the reason says which symbol is in the way. Pure.

mod closures;
pub mod contracts;
mod data;
mod once;
mod reason;

use std::collections::{BTreeMap, BTreeSet};

use super::mangle::package_of;
use super::outline::description::{is_exported, method};
use super::outline::{Function, Outline};
use contracts::Former;
pub use data::missing;
use data::{Ever, missing_table};
pub use once::initialises;
pub use reason::{Reason, short as shown};

/// What runs: the packages as they were compiled last, by import path, and all that was ever loaded.
#[derive(Debug, Default)]
pub struct Running {
    /// The user's own packages as their functions run now.
    pub now: BTreeMap<String, Outline>,
    /// Types, variables and dictionaries of everything that was loaded, also of what is no longer in the sources, by
    /// package: two may describe types of one name that are not the same.
    ever: BTreeMap<String, Ever>,
    /// Functions of which older code, and what describes types, may mean another one than newer code does.
    parted: BTreeSet<String>,
    former: Former,
}

/// What the process contains, however it came there.
pub trait Contents {
    /// Whether a symbol of this name is there.
    fn has(&self, symbol: &str) -> bool;
    /// Whether the package is there.
    fn has_package(&self, path: &str) -> bool;
    /// Whether a package that is not the user's own imports it.
    fn is_imported_elsewhere(&self, path: &str) -> bool;
}

/// What was found out about a change beside what outlines tell.
#[derive(Debug, Default)]
pub struct Known {
    /// Functions that do not run again and need not, although they are others.
    pub accepted: BTreeSet<String>,
    /// Functions that do more with their parameters than before, as far as is known.
    pub unlike: BTreeSet<String>,
}

/// What is to be done about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that runs would differ.
    Nothing,
    /// These functions are replaced.
    Patch(Change),
    /// The process has to be started anew.
    Restart(Reason),
}

/// The functions that a patch brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Those whose every later call runs the new code, whoever calls.
    pub switched: BTreeSet<String>,
    /// Those that only new code calls: whoever runs older code means the older one.
    pub bound: BTreeSet<String>,
}

impl Running {
    /// What runs when a process was just started from `packages`.
    pub fn new(packages: BTreeMap<String, Outline>) -> Running {
        let mut running = Running::default();
        running.loaded(packages);
        running
    }

    /// Takes in that `change` was made, with which the packages are `packages`.
    pub fn patched(&mut self, packages: BTreeMap<String, Outline>, change: &Change) {
        let was_there = |name: &&String| self.now.values().any(|old| old.functions.contains_key(*name));
        self.parted.extend(change.bound.iter().filter(was_there).cloned());
        self.loaded(packages);
    }

    fn loaded(&mut self, packages: BTreeMap<String, Outline>) {
        for (path, outline) in packages {
            let before = self.now.get(&path);
            for (name, function) in before.into_iter().flat_map(|before| &before.functions) {
                let is_same = outline.functions.get(name).is_some_and(|new| new.digest == function.digest);
                if let Some(before) = before.filter(|_| !is_same) {
                    self.former.replace(name, before);
                }
            }
            let parted = self.ever.entry(path.clone()).or_default().add(&outline);
            self.parted.extend(parted);
            self.now.insert(path, outline);
        }
    }

    /// What to do about `fresh`, packages that were compiled again, in a process that holds `contents`.
    pub fn decide(
        &self,
        fresh: &BTreeMap<String, Outline>,
        contents: &dyn Contents,
        known: &Known,
    ) -> Verdict {
        self.change(fresh, contents, known).map_or_else(Verdict::Restart, |change| {
            // What only new code calls is as good as not written yet.
            if change.switched.is_empty() { Verdict::Nothing } else { Verdict::Patch(change) }
        })
    }

    /// The functions of `change`, for which the packages are to be `fresh`, that bodies which may still run call
    /// directly: those must not do more with their parameters than before.
    pub fn relied_on(&self, change: &Change, fresh: &BTreeMap<String, Outline>) -> BTreeSet<String> {
        let mut replaced = Former::default();
        for (path, new) in fresh {
            let Some(old) = self.now.get(path) else { continue };
            let differs = |name: &&String| {
                let digests =
                    [old, new].map(|outline| outline.functions.get(*name).map(|function| function.digest));
                digests[0].is_some() && digests[0] != digests[1]
            };
            let changed = old.functions.keys().filter(differs);
            changed.for_each(|name| replaced.replace(name, old));
        }
        &self.former.called(change) | &replaced.called(change)
    }

    fn change(
        &self,
        fresh: &BTreeMap<String, Outline>,
        contents: &dyn Contents,
        known: &Known,
    ) -> Result<Change, Reason> {
        for (path, new) in fresh {
            if !self.now.contains_key(path) {
                return Err(Reason::Package(path.clone()));
            }
            if let Some(path) = new.imports.keys().find(|path| !contents.has_package(path)) {
                return Err(Reason::Import(path.clone()));
            }
        }
        let after = self.after(fresh);
        let asked = self.asked(fresh);
        self.check_data(fresh, &asked, contents)?;
        for path in fresh.keys() {
            let old = &self.now[path];
            let is_imported = |path: &String| {
                after.iter().any(|outline| outline.imports.contains_key(path))
                    || contents.is_imported_elsewhere(path)
            };
            if let Some(import) = old.imports.keys().find(|import| !is_imported(import)) {
                return Err(Reason::ImportGone(import.clone()));
            }
        }
        let once = once::run_once(&after);
        let mut change = Change::default();
        for (path, new) in fresh {
            let old = &self.now[path];
            closures::check(old, new)?;
            self.check_removed(old, new, &asked)?;
            for (name, function) in new.functions.iter().filter(|(name, _)| !known.accepted.contains(*name)) {
                match old.functions.get(name) {
                    Some(before) if does_the_same(name, before, function) => {}
                    Some(before) => {
                        if let Some(by) = once.get(name) {
                            return Err(Reason::RunsOnce { function: name.clone(), by: by.clone() });
                        }
                        let is_switched = is_switched(name, [before, function], [old, new], &self.former)?;
                        if !is_switched && !is_part_of_another(name) && self.is_kept(name, new, &asked) {
                            return Err(Reason::Removed(name.clone()));
                        }
                        if is_switched && known.unlike.contains(name) && self.is_kept(name, new, &asked) {
                            return Err(Reason::Contract(name.clone()));
                        }
                        if is_switched && !known.unlike.contains(name) {
                            change.switched.insert(name.clone());
                        } else {
                            change.bound.insert(name.clone());
                        }
                    }
                    None if once.get(name) == Some(name) => {
                        return Err(Reason::RunsOnce { function: name.clone(), by: name.clone() });
                    }
                    // Another package has brought the same.
                    None if function.is_shared && contents.has(name) && self.is_current(name, function) => {}
                    // What was there before under this name may still be called.
                    None if contents.has(name) && !is_part_of_another(name) => {
                        return Err(Reason::Returns(name.clone()));
                    }
                    None => drop(change.bound.insert(name.clone())),
                }
            }
        }
        loop {
            let named = referrers(&after, &change);
            if named.is_empty() {
                return missing_table(&change, fresh, contents).map_or(Ok(change), Err);
            }
            for name in named {
                if let Some(by) = once.get(&name) {
                    return Err(Reason::RunsOnce { function: name, by: by.clone() });
                }
                // What the linker has left out nobody runs.
                if closures::belongs_to_its_frame(&name) || !contents.has(&name) {
                    change.bound.insert(name)
                } else {
                    change.switched.insert(name)
                };
            }
        }
    }

    /// The packages as they are once `fresh` is loaded.
    fn after<'a>(&'a self, fresh: &'a BTreeMap<String, Outline>) -> Vec<&'a Outline> {
        let kept = self.now.iter().filter(|(path, _)| !fresh.contains_key(*path)).map(|(_, outline)| outline);
        kept.chain(fresh.values()).collect()
    }

    /// Whether anybody may have kept the function `name`, or call it through an interface.
    fn is_kept(&self, name: &str, new: &Outline, asked: &BTreeSet<&str>) -> bool {
        keeps(new, name, asked) || self.now.values().any(|outline| keeps(outline, name, asked))
    }

    /// A function that is no longer there must not be one that somebody may have kept.
    fn check_removed(&self, old: &Outline, new: &Outline, asked: &BTreeSet<&str>) -> Result<(), Reason> {
        let removed = old.functions.keys().filter(|name| !new.functions.contains_key(*name));
        for name in removed.filter(|name| !is_part_of_another(name) && !is_of_type(name)) {
            if once::is_root(name) {
                return Err(Reason::RunsOnce { function: name.clone(), by: name.clone() });
            }
            if self.now.values().any(|outline| keeps(outline, name, asked)) {
                return Err(Reason::Removed(name.clone()));
            }
        }
        Ok(())
    }

    /// Whether what the process has of this name is `function`: it is nobody's own code, or other packages hold the same,
    /// as each does that uses a function with type parameters.
    fn is_current(&self, name: &str, function: &Function) -> bool {
        let mut others = self.now.values().filter_map(|outline| outline.functions.get(name)).peekable();
        let is_foreign = package_of(name).is_none_or(|path| !self.now.contains_key(&path));
        if others.peek().is_none() { is_foreign } else { others.all(|other| other.digest == function.digest) }
    }
}

/// Whether a function's code is what it was, and what it holds if it is a closure.
fn does_the_same(name: &str, before: &Function, after: &Function) -> bool {
    before.digest == after.digest && (closures::parent(name).is_none() || before.closures == after.closures)
}

/// Whether calls from older code are to reach the new code of a function that has changed.
fn is_switched(
    name: &str,
    [before, after]: [&Function; 2],
    [old, new]: [&Outline; 2],
    former: &Former,
) -> Result<bool, Reason> {
    if closures::belongs_to_its_frame(name) {
        return Ok(false);
    }
    let (Some(was), Some(is)) = (&before.signature, &after.signature) else {
        return Err(Reason::UnknownSignature(name.to_owned()));
    };
    if let Some(maker) = closures::parent(name) {
        let captures = closures::captures_the_same(name, before, after, old, new);
        if captures && was == is {
            // Where its maker has another body, the variables that it captures may have another place.
            let digests = [old, new].map(|outline| outline.functions.get(maker).map(|maker| maker.digest));
            let stays = former.has(maker) || digests[0] != digests[1];
            return Ok(!(stays && closures::is_short_lived(before, after)));
        }
        return closures::is_short_lived(before, after).then_some(false).ok_or_else(|| {
            if captures {
                Reason::ClosureSignature(name.to_owned())
            } else {
                Reason::Captures(name.to_owned())
            }
        });
    }
    Ok(was == is)
}

/// Whether what is in `outline` holds the function `name` in another way than to call it by name. A method counts that
/// values can be asked for.
fn keeps(outline: &Outline, name: &str, asked: &BTreeSet<&str>) -> bool {
    let method = method(name);
    outline.taken.contains(name)
        || (outline.methods.contains(name) && (is_exported(method) || asked.contains(method)))
        || outline.functions.values().any(|function| function.mentions.contains(name))
}

/// Whether a function is a closure, or made for another one by the compiler.
fn is_part_of_another(name: &str) -> bool {
    closures::parent(name).is_some() || closures::belongs_to_its_frame(name)
}

/// Whether a function is a type's own: what compares or hashes its values.
fn is_of_type(name: &str) -> bool {
    name.starts_with("type:.")
}

/// The functions whose code is what it was, but which mean others by the names that they use: those that older code
/// must not be switched to.
fn referrers(after: &[&Outline], change: &Change) -> BTreeSet<String> {
    let replaced: Vec<&String> = change.bound.iter().collect();
    let refers = |function: &Function| {
        replaced.iter().any(|name| function.calls.contains(*name) || function.mentions.contains(*name))
    };
    let functions = after.iter().flat_map(|outline| &outline.functions);
    let named = functions.filter(|(_, function)| refers(function)).map(|(name, _)| name);
    named.filter(|name| !change.switched.contains(*name) && !change.bound.contains(*name)).cloned().collect()
}

#[cfg(test)]
mod tests;
