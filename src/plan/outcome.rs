//! What a batch leads to, service by service, and how two parts of a batch add up.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

/// Why a file that belongs to a package of a program is not built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Idle {
    /// It is a test.
    Test,
    /// Build constraints leave it out.
    Excluded,
}

/// A service that a batch concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Its index.
    pub service: usize,
    /// The changed files, as they are shown to the user.
    pub paths: Vec<String>,
    /// What follows.
    pub lead: Lead,
}

/// What a change leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// A build.
    Build {
        /// Whether to restart even if the program turns out to be the same: it reads what changed by itself.
        restart: bool,
        /// Whether all of it was written by the steps before a build.
        generated: bool,
    },
    /// Nothing: only comments or formatting differ.
    Cosmetic,
    /// Nothing: it is not built in.
    Idle(Idle),
}

/// What a batch leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For whom.
    pub affected: Vec<Affected>,
    /// The steps before builds whose inputs changed, as pairs of service and step.
    pub steps: BTreeSet<(usize, usize)>,
    /// The services whose programs may consist of other files now.
    pub relist: BTreeSet<usize>,
}

impl Outcome {
    /// Takes in what a later part of the same batch leads to.
    pub fn absorb(&mut self, later: Outcome) {
        later.affected.into_iter().for_each(|one| self.absorb_one(one));
        for one in &mut self.affected {
            let mut named = HashSet::new();
            one.paths.retain(|path| named.insert(path.clone()));
        }
        self.steps.extend(later.steps);
        self.relist.extend(later.relist);
    }

    pub(super) fn absorb_one(&mut self, later: Affected) {
        let Some(one) = self.affected.iter_mut().find(|one| one.service == later.service) else {
            return self.affected.push(later);
        };
        // What leads to nothing is not worth a word beside what leads to something.
        match later.lead.weight().cmp(&one.lead.weight()) {
            Ordering::Greater => one.paths = later.paths,
            Ordering::Equal => one.paths.extend(later.paths),
            Ordering::Less => {}
        }
        one.lead = one.lead.and(later.lead);
    }
}

impl Lead {
    /// Heavier ones hide lighter ones.
    pub(super) fn weight(self) -> u8 {
        match self {
            Lead::Idle(_) => 0,
            Lead::Cosmetic => 1,
            Lead::Build { .. } => 2,
        }
    }

    /// What both together lead to.
    pub(super) fn and(self, other: Lead) -> Lead {
        match (self, other) {
            (Lead::Build { restart, generated }, Lead::Build { restart: also, generated: both }) => {
                Lead::Build { restart: restart || also, generated: generated && both }
            }
            (one, other) if other.weight() > one.weight() => other,
            (one, _) => one,
        }
    }
}
