//! What a round of sync has to do: from the tree on this side (ours), the one on the other (theirs) and what both last
//! agreed on, the steps that make them agree again. A path at which only one side has changed follows that side; where
//! both have, nothing that somebody wrote is lost. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::replica::Expect;
use hotwatch_helper::tree::Tree;

use super::Winner;

/// Which side follows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Theirs follows ours; what only theirs has stays, or goes if it is to be a replica.
    OneWay { replica: bool },
    /// The other way round.
    Reverse { replica: bool },
    /// Each follows the other. Where both have changed, ours takes the path; what theirs had is kept beside it, or, if
    /// conflicts are resolved, out of the way on this side.
    TwoWay { resolved: bool },
}

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one here.
    Ours,
    /// The one in the target.
    Theirs,
}

impl Side {
    /// The one that is right.
    pub fn of(winner: Winner) -> Side {
        match winner {
            Winner::Ours => Side::Ours,
            Winner::Theirs => Side::Theirs,
        }
    }
}

/// The trees of a round.
#[derive(Debug, Clone, Copy)]
pub struct Trees<'a> {
    /// What both agreed on last.
    pub base: &'a Tree,
    /// What stands on this side.
    pub ours: &'a Tree,
    /// What stands on the other; for a one-way sync it is enough to know it where ours or the base has something.
    pub theirs: &'a Tree,
}

/// What is to be done at a path of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Move what theirs has out of the way, beside it: both have changed.
    Aside { path: Rel, entry: Entry },
    /// Keep a copy of what theirs has, on this side, out of the tree.
    Keep { path: Rel, entry: Entry },
    /// Remove it.
    Remove { side: Side, path: Rel, expect: Expect },
    /// Have this stand there.
    Put { side: Side, path: Rel, expect: Expect, entry: Entry },
}

impl Step {
    /// Where.
    pub fn path(&self) -> &Rel {
        match self {
            Step::Aside { path, .. }
            | Step::Keep { path, .. }
            | Step::Remove { path, .. }
            | Step::Put { path, .. } => path,
        }
    }
}

/// What a round has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// What both sides have at these paths already, though it is not what they agreed on last.
    pub agreed: Vec<(Rel, Option<Entry>)>,
    /// Paths that are left alone, and why.
    pub opaque: Vec<(Rel, String)>,
}

/// What is to stand at a path in the end.
#[derive(Debug)]
struct Decision {
    entry: Option<Entry>,
    /// Theirs is moved out of the way first, and everything else waits for that.
    aside: bool,
    /// A copy of theirs is kept.
    keep: bool,
}

/// What makes the sides agree at the paths of `scope`, each with all below it.
pub fn plan(flow: Flow, trees: Trees<'_>, scope: &BTreeSet<Rel>) -> Plan {
    let paths = paths(trees, scope);
    let opaque = opaque(trees, &paths);
    let mut plan = Plan { opaque, ..Plan::default() };
    let alone: BTreeSet<&Rel> = plan.opaque.iter().map(|(path, _)| path).collect();
    let is_alone = |path: &Rel| !alone.is_empty() && path.ancestors().any(|above| alone.contains(&above));
    let paths: Vec<&Rel> = paths.iter().filter(|path| !is_alone(path)).collect();
    let decisions = match flow {
        Flow::TwoWay { resolved } => two_way(trees, &paths, resolved),
        Flow::OneWay { replica } => one_way(trees.base, trees.ours, &paths, replica),
        Flow::Reverse { replica } => one_way(trees.base, trees.theirs, &paths, replica),
    };
    let certain = matches!(flow, Flow::TwoWay { .. });
    let expect = |tree: &Tree, path: &Rel| {
        if certain { Expect::Exactly(tree.get(path).cloned()) } else { Expect::Anything }
    };
    let (mut removes, mut puts) = (Vec::new(), Vec::new());
    // What stands aside is looked at anew, with all that was below it.
    let mut waits: Option<Rel> = None;
    for (path, decision) in decisions {
        if waits.as_ref().is_some_and(|above| path.is_at_or_below(above)) {
            continue;
        }
        let theirs = trees.theirs.get(&path).cloned();
        if decision.aside {
            plan.steps.extend(theirs.map(|entry| Step::Aside { path: path.clone(), entry }));
            waits = Some(path);
            continue;
        }
        if decision.keep {
            let file = theirs.filter(|entry| !entry.is_dir());
            plan.steps.extend(file.map(|entry| Step::Keep { path: path.clone(), entry }));
        }
        let sides = [(Side::Ours, trees.ours), (Side::Theirs, trees.theirs)];
        let differ: Vec<_> =
            sides.into_iter().filter(|(_, tree)| tree.get(&path) != decision.entry.as_ref()).collect();
        if differ.is_empty() && trees.base.get(&path) != decision.entry.as_ref() {
            plan.agreed.push((path.clone(), decision.entry.clone()));
        }
        for (side, tree) in differ {
            let (path, expect) = (path.clone(), expect(tree, &path));
            match decision.entry.clone() {
                Some(entry) => puts.push(Step::Put { side, path, expect, entry }),
                None => removes.push(Step::Remove { side, path, expect }),
            }
        }
    }
    // What is in a directory goes before it, and comes after it.
    plan.steps.extend(removes.into_iter().rev());
    plan.steps.extend(puts);
    plan
}

/// All paths in question, each directory before what is in it.
fn paths(trees: Trees<'_>, scope: &BTreeSet<Rel>) -> BTreeSet<Rel> {
    let Trees { base, ours, theirs } = trees;
    let mut paths = BTreeSet::new();
    for path in scope {
        // What leads to it may be new, or gone, as well.
        paths.extend(path.ancestors());
        for tree in [base, ours, theirs] {
            paths.extend(tree.under(path).map(|(path, _)| path.clone()));
        }
    }
    paths
}

/// Paths that are left alone since one of the sides has there what nobody touches.
fn opaque(trees: Trees<'_>, paths: &BTreeSet<Rel>) -> Vec<(Rel, String)> {
    let reason = |tree: &Tree, path: &Rel| match tree.get(path) {
        Some(Entry::Opaque(reason)) => Some(reason.clone()),
        _ => None,
    };
    let reasons = |path: &Rel| reason(trees.ours, path).or_else(|| reason(trees.theirs, path));
    paths.iter().filter_map(|path| Some((path.clone(), reasons(path)?))).collect()
}

fn one_way(base: &Tree, from: &Tree, paths: &[&Rel], replica: bool) -> BTreeMap<Rel, Decision> {
    // What the target has by itself is its own.
    let concerned = |path: &&&Rel| replica || from.get(path).is_some() || base.get(path).is_some();
    let decide = |path: &&Rel| {
        let entry = from.get(path).cloned();
        ((*path).clone(), Decision { entry, aside: false, keep: false })
    };
    paths.iter().filter(concerned).map(decide).collect()
}

fn two_way(trees: Trees<'_>, paths: &[&Rel], resolved: bool) -> BTreeMap<Rel, Decision> {
    let Trees { base, ours, theirs } = trees;
    let mut decisions: BTreeMap<Rel, Decision> = BTreeMap::new();
    // Directories in which something stays.
    let mut needed: BTreeSet<Rel> = BTreeSet::new();
    // What is in a directory first.
    for &path in paths.iter().rev() {
        let (mine, other, agreed) = (ours.get(path), theirs.get(path), base.get(path));
        let mut decision = decide(mine, other, agreed, resolved);
        if needed.contains(path) && decision.entry != Some(Entry::Dir) {
            match (&decision.entry, mine) {
                (None, _) => decision.entry = Some(Entry::Dir),
                // A file took the place of a directory here, in which there is something new there.
                (Some(_), Some(mine)) if !mine.is_dir() => {
                    decision = Decision { entry: Some(mine.clone()), aside: !resolved, keep: resolved };
                    if resolved {
                        lose_below(path, trees, &mut decisions);
                    }
                }
                // And the other way round.
                (Some(_), _) => {
                    decision = Decision { entry: Some(Entry::Dir), aside: !resolved, keep: resolved };
                }
            }
        }
        // Beside the one file that is synced there is nothing that takes part.
        if decision.aside && path.is_root() {
            (decision.aside, decision.keep) = (false, true);
        }
        if decision.entry.is_some() {
            needed.extend(path.parent());
        }
        decisions.insert(path.clone(), decision);
    }
    decisions
}

/// What is to stand where `mine` and `other` stand, who agreed on `agreed` last.
fn decide(mine: Option<&Entry>, other: Option<&Entry>, agreed: Option<&Entry>, resolved: bool) -> Decision {
    let follow = |entry: Option<&Entry>| Decision { entry: entry.cloned(), aside: false, keep: false };
    match (mine, other) {
        _ if mine == other => follow(mine),
        _ if mine == agreed => follow(other),
        _ if other == agreed => follow(mine),
        // A deletion loses to an edit, unless this side is right in any case.
        (None, Some(_)) if resolved => Decision { entry: None, aside: false, keep: true },
        (None, Some(_)) => follow(other),
        (Some(_), None) => follow(mine),
        (Some(mine), Some(other)) if mine.has_content_of(other) => follow(Some(mine)),
        (Some(_), _) => Decision { entry: mine.cloned(), aside: !resolved, keep: resolved },
        (None, None) => follow(None),
    }
}

/// Nothing is to stand below `path`; what theirs has changed there is kept.
fn lose_below(path: &Rel, trees: Trees<'_>, decisions: &mut BTreeMap<Rel, Decision>) {
    let below = decisions.iter_mut().filter(|(below, _)| below.is_at_or_below(path));
    for (below, decision) in below {
        let keep = trees.theirs.get(below) != trees.base.get(below);
        *decision = Decision { entry: None, aside: false, keep };
    }
}

/// Why nothing is done before a user has said what to do; `None` if all is as it should be.
pub fn halt(flow: Flow, trees: Trees<'_>) -> Option<Halt> {
    let Trees { base, ours, theirs } = trees;
    let root = Rel::root();
    let suspicious = |side: Side, tree: &Tree| {
        let gone = base.get(&root).is_some() && tree.get(&root).is_none();
        let emptied = base.files() >= 2 && tree.is_empty();
        let gone = gone.then_some(Halt { side, gone: true });
        gone.or(emptied.then_some(Halt { side, gone: false }))
    };
    let nothing_to_copy = |side: Side, from: &Tree, to: &Tree, replica: bool| {
        (replica && from.is_empty() && to.files() > 0)
            .then_some(Halt { side, gone: from.get(&root).is_none() })
    };
    match flow {
        Flow::OneWay { replica } => {
            suspicious(Side::Ours, ours).or_else(|| nothing_to_copy(Side::Ours, ours, theirs, replica))
        }
        Flow::Reverse { replica } => {
            suspicious(Side::Theirs, theirs).or_else(|| nothing_to_copy(Side::Theirs, theirs, ours, replica))
        }
        Flow::TwoWay { .. } => {
            // Both, and they agree.
            if ours.is_empty() && theirs.is_empty() {
                return None;
            }
            suspicious(Side::Ours, ours).or_else(|| suspicious(Side::Theirs, theirs))
        }
    }
}

/// A side that has lost everything, which is more likely an accident than meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halt {
    /// Which.
    pub side: Side,
    /// Whether the root itself is gone; otherwise nothing is in it.
    pub gone: bool,
}

#[cfg(test)]
mod tests;
