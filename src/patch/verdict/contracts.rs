//! What a caller relies on beside a signature: which parameters a function keeps, writes to and calls. The compiler leaves
//! variables in the caller's frame, or does not copy what is never written, if the callee allows that (escape tags,
//! `cmd/compile/internal/escape`). Who is called anew is compiled for the new callee, but a body that was replaced may
//! go on running, and what it calls must do no more than it did. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, closures};
use crate::patch::capture;
use crate::patch::outline::{Function, Outline};

/// The flags that make the compiler tell (`EscapeMutationsCalls` in `cmd/compile/internal/base/debug.go`).
pub const FLAGS: [&str; 2] = ["-m=2", "-d=escapemutationscalls=1"];

/// What the compiler has told of the parameters at a line of a file, which has no directory.
pub type Told = BTreeMap<(String, u64), BTreeSet<String>>;

/// Bodies that were replaced and may still run.
#[derive(Debug, Default)]
pub struct Former {
    /// Whose they are.
    bodies: BTreeSet<String>,
    /// What they call.
    calls: BTreeSet<String>,
}

impl Former {
    /// The body that `name` has in `outline` is replaced.
    pub fn replace(&mut self, name: &str, outline: &Outline) {
        self.bodies.insert(name.to_owned());
        // Closures and deferred calls share its frame.
        let inside = format!("{name}.");
        let family =
            outline.functions.range(inside.clone()..).take_while(|(other, _)| other.starts_with(&inside));
        let own = outline.functions.get_key_value(name);
        for (_, function) in own.into_iter().chain(family) {
            self.calls.extend(function.calls.iter().cloned());
            let closures = function.mentions.iter().filter(|name| closures::parent(name).is_some());
            self.calls.extend(closures.cloned());
        }
    }

    /// Whether one of `name` was replaced.
    pub fn has(&self, name: &str) -> bool {
        self.bodies.contains(name)
    }

    /// The functions of `change` that such bodies may call.
    pub fn called(&self, change: &Change) -> BTreeSet<String> {
        change.switched.intersection(&self.calls).cloned().collect()
    }
}

/// The functions among `names` that may do something else with their parameters in `new` than in `old`, of which the
/// compiler has told as much.
pub fn differing(
    names: &BTreeSet<String>,
    old: (&Outline, &Told),
    new: (&Outline, &Told),
) -> BTreeSet<String> {
    let alike = |name: &&String| {
        let of = |(outline, told): (&Outline, &Told)| tags(outline.functions.get(*name)?, outline, told);
        matches!((of(old), of(new)), (Some(old), Some(new)) if old == new)
    };
    names.iter().filter(|name| !alike(name)).cloned().collect()
}

/// What was told of a function's parameters; `None` if that is not told of such functions.
fn tags(function: &Function, outline: &Outline, told: &Told) -> Option<BTreeSet<String>> {
    // Instances of generic functions, which several packages may hold.
    if function.is_shared {
        return None;
    }
    let (file, start) = &function.at;
    let starts = outline.functions.values().filter(|other| other.at.0 == *file && other.at.1 > *start);
    let end = starts.map(|other| other.at.1).min().unwrap_or(u64::MAX);
    let lines = told.range((file.clone(), *start)..(file.clone(), end));
    Some(lines.flat_map(|(_, told)| told.clone()).collect())
}

/// Takes what `output` of the compiler says of parameters.
pub fn told(output: &str) -> Told {
    let mut told = Told::new();
    for (at, what) in output.lines().filter_map(parse) {
        told.entry(at).or_default().insert(what);
    }
    told
}

/// As in `/src/x.go:17:20: parameter d leaks to {heap} for leak with derefs=1:`.
fn parse(line: &str) -> Option<((String, u64), String)> {
    let (place, what) = line.split_once(": ")?;
    let leaks =
        what.starts_with("parameter ") && what.contains(" leaks to ") && !what.contains(" leaks to {storage");
    let others =
        ["leaking param", "mutates param", "calls param"].iter().any(|start| what.starts_with(start));
    let none = what.ends_with(" does not escape, mutate, or call");
    let at = capture::position(place)?;
    (leaks || others || none).then(|| (at, what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_parameters() {
        let output = "/a/b.go:15:11: mutates param: c derefs=0\n/a/b.go:17:51: append(kept, *d) escapes to heap in leak:\n\
                      /a/b.go:17:20: parameter d leaks to {heap} for leak with derefs=1:\n/a/b.go:17:20:   flow: {heap} ← *d:\n\
                      /a/b.go:23:15: parameter c leaks to {storage for func literal} for (*s).m with derefs=0:\n\
                      /a/b.go:19:20: f does not escape, mutate, or call\n/a/b.go:28:3: &T{} does not escape\n";
        let told = told(output);
        let lines: Vec<u64> = told.keys().map(|(_, line)| *line).collect();
        assert_eq!(lines, [15, 17, 19]);
        assert_eq!(told[&("b.go".to_owned(), 15)], BTreeSet::from(["mutates param: c derefs=0".to_owned()]));
    }
}
