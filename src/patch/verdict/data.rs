//! Types, variables and the like: whether what the process has of them is what new code means by the same names. Those
//! are shared by all code, older and newer, and only one of each name can be in use. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Contents, Reason, Running};
use crate::patch::mangle::package_of;
use crate::patch::outline::description::method;
use crate::patch::outline::{Function, Outline};

/// What makes types of others (`reflect/type.go`), and counts all methods of those.
const MAKER: &str = "reflect.StructOf";

/// What was ever loaded of a package, also what is no longer in its sources.
#[derive(Debug, Default)]
pub struct Ever {
    types: BTreeMap<String, u64>,
    /// As the description says that came first, which stays the one that counts.
    hidden: BTreeMap<String, BTreeMap<String, String>>,
    asked: BTreeSet<String>,
    variables: BTreeSet<String>,
    dictionaries: BTreeMap<String, u64>,
}

impl Ever {
    /// Takes in what `outline` brings. Returns the hidden methods that it does not have as they were described first.
    pub fn add(&mut self, outline: &Outline) -> Vec<String> {
        let known = outline.types.keys().filter(|name| self.types.contains_key(*name));
        let differing = known.flat_map(|name| {
            hidden_methods(self, outline, name)
                .filter(|(_, was, is)| was != is)
                .map(|(name, ..)| name.clone())
        });
        let differing = differing.collect();
        for name in outline.types.keys().filter(|name| !self.types.contains_key(*name)) {
            let hidden = outline.hidden.get(name).cloned();
            self.hidden.extend(hidden.map(|hidden| (name.clone(), hidden)));
        }
        self.types.extend(outline.types.clone());
        self.asked.extend(outline.asked.iter().cloned());
        self.variables.extend(outline.variables.keys().cloned());
        self.dictionaries.extend(outline.dictionaries.clone());
        differing
    }
}

impl Running {
    /// Whether the types, variables and tables of `fresh` are what they were, as far as they were there; of the methods
    /// that types hide, those that are `asked` for count.
    pub(super) fn check_data(
        &self,
        fresh: &BTreeMap<String, Outline>,
        asked: &BTreeSet<&str>,
        contents: &dyn Contents,
    ) -> Result<(), Reason> {
        for (path, new) in fresh {
            let ever = &self.ever[path];
            check_known(ever, &self.now[path], new, contents)?;
            let has_type = |name: &str| contents.has(&format!("type:{name}"));
            if let Some(name) = self.check_new(&new.types, &ever.types, |ever| &ever.types, has_type) {
                return Err(Reason::Type(name));
            }
            let has = |name: &str| contents.has(name);
            if let Some(name) =
                self.check_new(&new.dictionaries, &ever.dictionaries, |ever| &ever.dictionaries, has)
            {
                return Err(Reason::Dictionary(name));
            }
        }
        if let Some(name) = self.hides_another(fresh, asked) {
            return Err(Reason::Type(name.clone()));
        }
        let after = self.after(fresh);
        let gone = |(path, new): (&String, &Outline)| {
            let old = &self.now[path];
            self.removed_type(old, &after).or_else(|| renumbered(old, new))
        };
        fresh.iter().find_map(gone).map_or(Ok(()), |name| Err(Reason::TypeGone(name)))
    }

    /// The names of hidden methods that an interface asks for, or has ever: all of them where types are made of such that
    /// have some.
    pub(super) fn asked<'a>(&'a self, fresh: &'a BTreeMap<String, Outline>) -> BTreeSet<&'a str> {
        let after = || self.now.values().chain(fresh.values());
        let mut functions = after().flat_map(|outline| outline.functions.values());
        let is_maker = |function: &Function| {
            [&function.calls, &function.mentions].iter().any(|names| names.contains(MAKER))
        };
        let all = functions.any(is_maker);
        let ever = self
            .ever
            .values()
            .flat_map(|ever| all.then_some(&ever.hidden))
            .chain(after().flat_map(|outline| all.then_some(&outline.hidden)));
        let hidden =
            ever.flat_map(BTreeMap::values).flat_map(BTreeMap::keys).map(|function| method(function));
        let asked = self.ever.values().flat_map(|ever| &ever.asked);
        let asked = asked.chain(fresh.values().flat_map(|outline| &outline.asked)).map(String::as_str);
        asked.chain(hidden).collect()
    }

    /// A type whose description in the process is not right about a hidden method in `asked`.
    fn hides_another<'a>(
        &'a self,
        fresh: &'a BTreeMap<String, Outline>,
        asked: &BTreeSet<&str>,
    ) -> Option<&'a String> {
        let kept = self.now.iter().filter(|(path, _)| !fresh.contains_key(*path));
        kept.chain(fresh).find_map(|(path, outline)| {
            let ever = self.ever.get(path)?;
            let mut known = outline.types.keys().filter(|name| ever.types.contains_key(*name));
            known.find(|name| {
                hidden_methods(ever, outline, name).any(|(function, was, is)| {
                    (was != is || self.parted.contains(function)) && asked.contains(method(function))
                })
            })
        })
    }

    /// Whether types and the like that a package has come to describe are what other packages have said of them, as far
    /// as they have; what they are called says `kind`.
    fn check_new(
        &self,
        new: &BTreeMap<String, u64>,
        own: &BTreeMap<String, u64>,
        of: impl Fn(&Ever) -> &BTreeMap<String, u64>,
        is_there: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let differs = |(name, digest): &(&String, &u64)| {
            let mut others = self.ever.values().filter_map(|ever| of(ever).get(*name)).peekable();
            if others.peek().is_some() {
                return !others.any(|other| other == *digest);
            }
            // An instance of what is the user's own, of which nobody says what it was.
            let is_own = package_of(name).is_some_and(|path| self.now.contains_key(&path));
            is_own && name.contains('[') && is_there(name)
        };
        let mut added = new.iter().filter(|(name, _)| !own.contains_key(*name));
        added.find(differs).map(|(name, _)| name.clone())
    }

    /// A type with a name of the user's that is in none of the packages any more.
    fn removed_type(&self, old: &Outline, after: &[&Outline]) -> Option<String> {
        let is_own = |name: &&String| {
            !name.contains(['[', '*', '(', ' ', '{'])
                && package_of(name).is_some_and(|path| self.now.contains_key(&path))
        };
        let mut named = old.types.keys().filter(is_own);
        named.find(|name| !after.iter().any(|outline| outline.types.contains_key(*name))).cloned()
    }
}

/// The hidden methods of the type `name`, with their types as they were described first and as they are.
fn hidden_methods<'a>(
    ever: &'a Ever,
    outline: &'a Outline,
    name: &str,
) -> impl Iterator<Item = (&'a String, Option<&'a String>, Option<&'a String>)> {
    let [was, is] = [&ever.hidden, &outline.hidden].map(|hidden| hidden.get(name));
    let functions: BTreeSet<&String> = was.into_iter().chain(is).flat_map(BTreeMap::keys).collect();
    let of =
        |methods: Option<&'a BTreeMap<String, String>>, function| methods.and_then(|all| all.get(function));
    functions.into_iter().map(move |function| (function, of(was, function), of(is, function)))
}

/// A type inside of a function whose number may have been another's: those are given in the order of the text.
fn renumbered(old: &Outline, new: &Outline) -> Option<String> {
    let number = |name: &str| name.rsplit_once('·').and_then(|(_, number)| number.parse::<u32>().ok());
    let last = old.types.keys().filter_map(|name| number(name)).max()?;
    let mut added = new.types.keys().filter(|name| !old.types.contains_key(*name));
    added.find(|name| number(name).is_some_and(|number| number <= last)).cloned()
}

/// Whether types and variables are what they were in `old`, and ever.
fn check_known(ever: &Ever, old: &Outline, new: &Outline, contents: &dyn Contents) -> Result<(), Reason> {
    let differs = |known: &BTreeMap<String, u64>, name: &String, digest: &u64| {
        known.get(name).is_some_and(|known| known != digest)
    };
    for (name, digest) in &new.types {
        if differs(&ever.types, name, digest) {
            return Err(Reason::Type(name.clone()));
        }
    }
    for (name, variable) in &new.variables {
        match old.variables.get(name) {
            Some(before) if before.of_type != variable.of_type => {
                let (was, is) = (before.of_type.clone(), variable.of_type.clone());
                return Err(Reason::VariableType { name: name.clone(), was, is });
            }
            Some(before) if before.digest != variable.digest => {
                return Err(Reason::VariableValue(name.clone()));
            }
            // It may also have been a function.
            None if ever.variables.contains(name) || contents.has(name) => {
                return Err(Reason::Returns(name.clone()));
            }
            _ => {}
        }
    }
    for (name, digest) in &new.dictionaries {
        if differs(&ever.dictionaries, name, digest) {
            return Err(Reason::Dictionary(name.clone()));
        }
    }
    new.itabs.difference(&old.itabs).find_map(|pair| missing(pair, contents)).map_or(Ok(()), Err)
}

/// The first method table that the functions of `change` use and the process has not got.
pub fn missing_table(
    change: &Change,
    fresh: &BTreeMap<String, Outline>,
    contents: &dyn Contents,
) -> Option<Reason> {
    let names = change.switched.iter().chain(&change.bound);
    let functions = names.flat_map(|name| fresh.values().filter_map(|outline| outline.functions.get(name)));
    let mut mentions = functions.flat_map(|function| &function.mentions);
    mentions.find_map(|name| missing(name.strip_prefix("go:itab.")?, contents))
}

/// Why a method table cannot be brought by a patch: the process has not got it, and may have made its own.
pub fn missing(pair: &str, contents: &dyn Contents) -> Option<Reason> {
    if contents.has(&format!("go:itab.{pair}")) {
        return None;
    }
    let (of, interface) = itab(pair, &|name| contents.has(&format!("type:{name}")))?;
    Some(Reason::Itab { of, interface })
}

/// The type and the interface of a method table, if the process knows both already: then it may have made its own.
fn itab(pair: &str, is_known: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    // Type arguments have commas too.
    let places = pair.match_indices(',').map(|(at, _)| (&pair[..at], &pair[at + 1..]));
    let mut known = places.filter(|(of, interface)| is_known(of) && is_known(interface));
    known.next().map(|(of, interface)| (of.to_owned(), interface.to_owned()))
}
