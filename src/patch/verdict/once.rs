//! Functions that have run for the last time: `main`, initialisation, and what only these call. To change them in a
//! running process would change nothing. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::patch::outline::{Function, Outline};

/// The functions in `packages` that will not run again, each with the one that calls it; with itself if nobody does.
pub fn run_once(packages: &[&Outline]) -> BTreeMap<String, String> {
    let functions: BTreeMap<&str, &Function> = packages
        .iter()
        .flat_map(|outline| &outline.functions)
        .map(|(name, function)| (name.as_str(), function))
        .collect();
    let lasting = lasting(packages, &functions);
    let roots = functions.keys().filter(|name| is_root(name));
    let mut once: BTreeMap<String, String> =
        roots.map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
    let mut open: Vec<String> = once.keys().cloned().collect();
    while let Some(caller) = open.pop() {
        for callee in functions.get(caller.as_str()).into_iter().flat_map(|function| &function.calls) {
            if functions.contains_key(callee.as_str())
                && !lasting.contains(callee.as_str())
                && !once.contains_key(callee)
            {
                once.insert(callee.clone(), caller.clone());
                open.push(callee.clone());
            }
        }
    }
    once
}

/// Functions that somebody may still call: those whose address is somewhere, methods that nobody calls by name, and all
/// that these call.
fn lasting<'a>(packages: &[&'a Outline], functions: &BTreeMap<&'a str, &'a Function>) -> BTreeSet<&'a str> {
    let taken = packages.iter().flat_map(|outline| &outline.taken);
    let mentioned = functions.values().flat_map(|function| &function.mentions);
    let methods = packages.iter().flat_map(|outline| asked_for(&outline.methods, functions));
    let known = |name: &'a String| functions.get_key_value(name.as_str()).map(|(name, _)| *name);
    let mut open: Vec<&str> =
        taken.chain(methods).chain(mentioned).filter_map(known).filter(|name| !is_root(name)).collect();
    let mut lasting = BTreeSet::new();
    while let Some(name) = open.pop() {
        if lasting.insert(name) {
            open.extend(functions[name].calls.iter().filter_map(known).filter(|name| !is_root(name)));
        }
    }
    lasting
}

/// Those of `methods` that are there to be asked for by a value's type, as far as anybody can tell. Every method of a
/// type is listed in its description; one that is called by its name is not taken to be called in another way as well,
/// unless it is in the table of an interface, which counts as its address. Wrappers, which the compiler makes for such
/// lists and each package may hold, call what they wrap and nothing else.
fn asked_for<'a>(
    methods: &'a BTreeSet<String>,
    functions: &BTreeMap<&'a str, &'a Function>,
) -> impl Iterator<Item = &'a String> {
    let own = functions.values().filter(|function| !function.is_shared);
    let called: BTreeSet<&str> = own.flat_map(|function| &function.calls).map(String::as_str).collect();
    let is_wrapper = |name: &str| functions.get(name).is_some_and(|function| function.is_shared);
    let wrappers: Vec<bool> = methods.iter().map(|name| is_wrapper(name)).collect();
    let asked = methods
        .iter()
        .zip(wrappers)
        .filter(move |(name, is_wrapper)| !is_wrapper && !called.contains(name.as_str()));
    asked.map(|(name, _)| name)
}

/// Whether `name` gives variables of a package their values: `PKG.init`, `PKG.map.init.0`.
pub fn initialises(name: &str) -> bool {
    is_root(name) && name != "main.main" && (name.ends_with(".init") || name.contains(".map.init."))
}

/// Whether the runtime calls `name`, once: `main.main`, `PKG.init`, `PKG.init.0`, `PKG.map.init.0`.
pub fn is_root(name: &str) -> bool {
    let inside = name.rsplit_once('/').map_or(name, |(_, inside)| inside);
    let Some((_, inside)) = inside.split_once('.') else { return false };
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    name == "main.main"
        || inside == "init"
        || inside.strip_prefix("init.").is_some_and(number)
        || inside.strip_prefix("map.init.").is_some_and(number)
}
