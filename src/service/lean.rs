//! Lean builds: without what only debuggers read in any package. They are not made before all packages are compiled that
//! way, which is done in the background, and not before there is a lean twin of the program that runs: otherwise
//! nobody could tell whether a lean build is the same program.

use std::path::PathBuf;

use crate::go::build::Build;

/// How far they have come.
#[derive(Debug, Default)]
pub struct Lean {
    stage: Stage,
    /// How many saves there were.
    saves: u64,
    /// How many there were when the build began that runs, or ran last.
    begun: u64,
    /// How many there were when the build began whose program runs; `None` if that is an older one.
    built: Option<u64>,
    /// Whether the build that runs, or ran last, is a lean one.
    is_lean: bool,
    /// The same of the last binary that was built and not started.
    fresh: Option<bool>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Untried,
    /// The twin is being built, since so many saves.
    UnderWay {
        #[expect(dead_code, reason = "dropping it ends it")]
        build: Build,
        twin: PathBuf,
        saves: u64,
    },
    /// There is a twin of what runs, unless that is lean itself.
    Ready { twin: Option<PathBuf> },
}

impl Lean {
    /// Whether nothing was done yet.
    pub fn is_untried(&self) -> bool {
        matches!(self.stage, Stage::Untried)
    }

    /// The twin is being built.
    pub fn begin(&mut self, build: Build, twin: PathBuf) {
        self.stage = Stage::UnderWay { build, twin, saves: self.saves };
    }

    /// That has ended; it counts if what was built is what runs.
    pub fn ended(&mut self, done: bool) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::UnderWay { twin, saves, .. }
                if done && saves == self.saves && Some(saves) == self.built =>
            {
                Stage::Ready { twin: Some(twin) }
            }
            Stage::UnderWay { twin, .. } => {
                drop(std::fs::remove_file(twin));
                Stage::Untried
            }
            stage => stage,
        };
    }

    /// Something was saved that differs.
    pub fn saved(&mut self) {
        self.saves += 1;
    }

    /// How many saves there were that differed.
    pub fn saves(&self) -> u64 {
        self.saves
    }

    /// A build begins; returns whether it is a lean one.
    pub fn begin_build(&mut self) -> bool {
        self.begun = self.saves;
        self.is_lean = matches!(self.stage, Stage::Ready { .. });
        self.is_lean
    }

    /// The build has ended, with a binary if it is `wanted`.
    pub fn built(&mut self, wanted: bool) {
        if wanted {
            self.fresh = Some(self.is_lean);
            self.built = Some(self.begun);
        }
    }

    /// What runs is what ran before the last build.
    pub fn went_back(&mut self) {
        self.built = None;
        self.forget();
    }

    /// What was built last was started.
    pub fn started(&mut self) {
        if let (Some(true), Stage::Ready { twin }) = (self.fresh.take(), &mut self.stage) {
            twin.take().into_iter().for_each(|twin| drop(std::fs::remove_file(twin)));
        }
    }

    /// What the next build is compared with instead of what runs.
    pub fn twin(&self) -> Option<PathBuf> {
        match &self.stage {
            Stage::Ready { twin } if self.is_lean => twin.clone(),
            _ => None,
        }
    }

    /// The settings are others, or all is over.
    pub fn forget(&mut self) {
        self.stage = Stage::Untried;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_is_that_of_what_runs() {
        let twin = PathBuf::from("/nowhere/twin");
        let mut lean = Lean::default();
        assert!(!lean.begin_build());
        lean.built(true);
        lean.started();
        lean.stage = Stage::Ready { twin: Some(twin.clone()) };
        assert_eq!(lean.twin(), None);
        lean.saved();
        assert!(lean.begin_build());
        assert_eq!(lean.twin(), Some(twin));
        lean.built(false);
        lean.started();
        assert!(lean.twin().is_some());
        lean.built(true);
        lean.started();
        assert_eq!(lean.twin(), None);
        assert!(lean.begin_build());
    }
}
