//! Closures have no names of their own: the compiler numbers them within the function that holds them. Values of them
//! that were made earlier keep pointing to the old code, so it has to be clear which new one continues which old one.
//! Pure.

use std::collections::BTreeMap;

use super::Reason;
use crate::patch::outline::{Function, Outline};

/// The function that holds the closure `name`, or what stands for it where a variable is initialised; `None` if it is
/// none, as far as its name tells (`closureName` in `cmd/compile/internal/ir/func.go`).
pub fn parent(name: &str) -> Option<&str> {
    let (parent, last) = name.rsplit_once('.')?;
    let number = last.strip_prefix("func").unwrap_or(last);
    let is_closure = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    // A function or method may be called that as well: then what precedes is a package or a receiver.
    let inside = parent.rsplit_once('/').map_or(parent, |(_, inside)| inside);
    // Functions that initialise a package are numbered as well.
    let is_init = last == number && parent.ends_with(".init");
    (is_closure && inside.contains('.') && !parent.ends_with(')') && !is_init).then_some(parent)
}

/// Whether the compiler has made `name` for a statement of another function: `go` and `defer` with arguments, and
/// bodies of loops over functions. It is never called but for the frame that it was made in.
pub fn belongs_to_its_frame(name: &str) -> bool {
    let (parent, last) = name.rsplit_once('.').unwrap_or(("", name));
    let word = last.trim_end_matches(|c: char| c.is_ascii_digit());
    // A function or method may be called that as well: then what precedes is a package or a receiver.
    let inside = parent.rsplit_once('/').map_or(parent, |(_, inside)| inside);
    let is_numbered = word.len() < last.len() && inside.contains('.') && !parent.ends_with(')');
    word.ends_with("-range") || (is_numbered && matches!(word, "gowrap" | "deferwrap"))
}

/// Finds out whether each closure of `new` continues the one of the same number in `old`.
pub fn check(old: &Outline, new: &Outline) -> Result<(), Reason> {
    let after = by_parent(new);
    for (parent, before) in by_parent(old) {
        let Some(after) = after.get(parent) else {
            // Whoever has kept one has it for good.
            if before.values().all(|was| is_short_lived(was, was)) {
                continue;
            }
            return Err(Reason::Closures(parent.to_owned()));
        };
        let kept = |name: &str, was: &Function| after.get(name).is_some_and(|is| is.digest == was.digest);
        if before.iter().all(|(name, was)| kept(name, was)) {
            // Another one of the same kind may have taken its number.
            let mut added = after.iter().filter(|(name, _)| !before.contains_key(*name));
            let is_twin = |is: &Function, was: &Function| is_alike(is, was) && !is_short_lived(was, was);
            if added.any(|(_, is)| before.values().any(|was| is_twin(is, was))) {
                return Err(Reason::Closures(parent.to_owned()));
            }
            continue;
        }
        // One between others that are what they were is the one that it was. Of two nobody can tell: what was the first
        // may have become the second.
        let pairs = after.iter().filter_map(|(name, is)| Some((*before.get(name)?, *is)));
        let changed: Vec<_> = pairs.filter(|(was, is)| was.digest != is.digest).collect();
        let is_unclear = changed.len() > 1 && !changed.iter().all(|(was, is)| is_short_lived(was, is));
        if !before.keys().eq(after.keys()) || is_unclear {
            return Err(Reason::Closures(parent.to_owned()));
        }
    }
    Ok(())
}

/// Whether the code of a closure may be that of another one, but for its number, which is in the names of closures that
/// it holds itself.
fn is_alike(one: &Function, other: &Function) -> bool {
    let holds = |function: &Function| function.mentions.iter().any(|name| parent(name).is_some());
    one.digest == other.digest
        || (holds(one) && holds(other) && one.signature == other.signature && one.closures == other.closures)
}

fn by_parent(outline: &Outline) -> BTreeMap<&str, BTreeMap<&str, &Function>> {
    let mut parents: BTreeMap<&str, BTreeMap<&str, &Function>> = BTreeMap::new();
    for (name, function) in &outline.functions {
        if let Some(parent) = parent(name) {
            parents.entry(parent).or_default().insert(name, function);
        }
    }
    parents
}

/// Whether the closure `name` holds the same as before, so that its new code can work with what was made earlier.
pub fn captures_the_same(name: &str, was: &Function, is: &Function, old: &Outline, new: &Outline) -> bool {
    let types = |outline: &'_ Outline| {
        let maker = parent(name).and_then(|parent| outline.functions.get(parent));
        maker.map(|maker| maker.closure_types.clone())
    };
    let captured = |function: &Function| function.signature.as_ref().map(|it| it.captured.clone());
    was.closures == is.closures && captured(was) == captured(is) && types(old) == types(new)
}

/// Whether nobody can have kept the closure, so that it can be left with its old code where it was made.
pub fn is_short_lived(was: &Function, is: &Function) -> bool {
    let mut all = was.closures.iter().chain(&is.closures);
    !was.closures.is_empty() && !is.closures.is_empty() && all.all(|capture| !capture.lasts)
}
