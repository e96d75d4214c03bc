//! A target that is reached, and what stands there as far as is known: the other half of each pair.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hotwatch_helper::entry::{Entry, Rel};
use hotwatch_helper::filter::Filter;
use hotwatch_helper::tree::Tree;

use super::agreed::Agreed;
use super::far::Far;
use super::reconcile::{Flow, Halt};
use super::session::Lost;
use super::transport::Instance;
use crate::config;

/// How many paths are asked about at once.
const PATHS: usize = 10_000;

/// A target that is reached.
#[derive(Debug)]
pub struct Link {
    /// Tells it from others, and from those before.
    pub number: u64,
    /// Who it is.
    pub instance: Instance,
    /// How it is reached.
    pub far: Far,
    /// Where the helper lies there, if it does.
    pub helper: Option<String>,
    /// In words, how it is reached, and why so.
    pub words: String,
    /// The other half of each pair.
    pub halves: Vec<Half>,
    /// Whether its first round is over.
    pub began: bool,
    /// How often it was looked whether there is a better way.
    pub looked: u32,
    /// Why what has come last does not count: what runs after it has failed.
    pub failure: Option<String>,
}

/// The other half of a pair.
#[derive(Debug)]
pub struct Half {
    /// What stands there; for a one-way sync only where this side, or what was agreed on, has something.
    pub theirs: Tree,
    /// What was agreed on.
    pub agreed: Agreed,
    /// What has to be looked at.
    pub pending: Pending,
    /// What cannot be done at these paths, in words.
    pub trouble: BTreeMap<Rel, String>,
    /// Whether a lost side is what its user wants, for the next round.
    pub accepted: bool,
    /// Why nothing is done before a user has said what to do, in words; and which side has lost everything, if that is it.
    pub halted: Option<(Option<Halt>, String)>,
}

/// Paths that may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// These, with all below them.
    Paths(BTreeSet<Rel>),
    /// Anything.
    Everything,
}

impl Default for Pending {
    fn default() -> Pending {
        Pending::Paths(BTreeSet::new())
    }
}

impl Pending {
    /// These as well.
    pub fn add(&mut self, paths: impl IntoIterator<Item = Rel>) {
        if let Pending::Paths(pending) = self {
            pending.extend(paths);
        }
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        *self == Pending::default()
    }

    /// The paths to look at.
    pub fn scope(self) -> BTreeSet<Rel> {
        match self {
            Pending::Paths(paths) => paths,
            Pending::Everything => BTreeSet::from([Rel::root()]),
        }
    }
}

/// Which side follows which.
pub fn flow(mode: config::SyncMode) -> Flow {
    use config::SyncMode as Mode;
    match mode {
        Mode::OneWay => Flow::OneWay { replica: false },
        Mode::OneWayReplica => Flow::OneWay { replica: true },
        Mode::OneWayReverse => Flow::Reverse { replica: false },
        Mode::OneWayReplicaReverse => Flow::Reverse { replica: true },
        Mode::TwoWaySafe => Flow::TwoWay { resolved: false },
        Mode::TwoWayResolved => Flow::TwoWay { resolved: true },
    }
}

/// Whether changes there are of interest.
pub fn comes_back(flow: Flow) -> bool {
    !matches!(flow, Flow::OneWay { .. })
}

impl Link {
    /// Makes pair number `number`, which goes to `root`, known there. With changes there of interest, they are told from
    /// now on.
    ///
    /// # Errors
    /// It is out of reach; or why changes are not told, in words.
    pub fn open(
        &mut self,
        number: usize,
        root: &Path,
        pair: &config::Pair,
        watch: bool,
    ) -> Result<Option<String>, Lost> {
        let Far::Helper(session) = &mut self.far else { return Ok(None) };
        let wire = wire(number);
        session.open(wire, root, &pair.rules, &pair.options)?;
        if !watch {
            return Ok(None);
        }
        session.watch(wire)
    }

    /// Looks what stands there at the paths of `scope` and below them.
    ///
    /// # Errors
    /// It is out of reach.
    pub fn look(
        &mut self,
        number: usize,
        flow: Flow,
        ours: &Tree,
        scope: &BTreeSet<Rel>,
    ) -> Result<(), Lost> {
        let half = &mut self.halves[number];
        let Far::Helper(session) = &mut self.far else {
            // Nobody says what is there; what was sent is taken to be.
            half.theirs = half.agreed.tree().clone();
            return Ok(());
        };
        let deep = flow != Flow::OneWay { replica: false };
        let mut found: Vec<(Rel, Entry)> = Vec::new();
        if deep {
            found = session.scan(wire(number), scope.iter().cloned().collect(), true)?;
        } else {
            // What is there beside that is nobody's concern.
            let known = |tree: &Tree| {
                scope
                    .iter()
                    .flat_map(|path| tree.under(path).map(|(path, _)| path.clone()).collect::<Vec<_>>())
                    .collect::<Vec<_>>()
            };
            let mut paths: BTreeSet<Rel> = known(ours).into_iter().collect();
            paths.extend(known(half.agreed.tree()));
            let paths: Vec<Rel> = paths.into_iter().collect();
            for some in paths.chunks(PATHS) {
                found.extend(session.scan(wire(number), some.to_vec(), false)?);
            }
        }
        for path in scope {
            half.theirs.replace(path, []);
        }
        found.into_iter().for_each(|(path, entry)| half.theirs.set(path, Some(entry)));
        Ok(())
    }
}

/// The paths of `tree` that do not take part, as what is to be agreed on.
pub fn left_out(tree: &Tree, filter: &Filter) -> Vec<(Rel, Option<Entry>)> {
    let out = tree.iter().filter(|(path, entry)| filter.leaves_out_at(path, entry.is_dir()));
    out.map(|(path, _)| (path.clone(), None)).collect()
}

/// Whether `path` is one of `scope`, or below one.
pub fn is_within(path: &Rel, scope: &BTreeSet<Rel>) -> bool {
    path.ancestors().any(|above| scope.contains(&above))
}

/// The number of a pair as it goes over the wire.
pub fn wire(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
