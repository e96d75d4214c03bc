//! The binary of what a patched process runs: it is built in the background after a patch, so that whatever starts next
//! is current at once.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::go::build::Build;
use crate::patch::sources::Sources;

/// When a build began, and what the packages were made of then, if that is known.
pub type Begun = (SystemTime, Option<Sources>);

/// That binary.
#[derive(Debug, Default)]
pub struct Ahead {
    work: Option<Work>,
    /// How many builds there were.
    number: u64,
}

#[derive(Debug)]
struct Work {
    /// Dropping it ends it.
    build: Option<Build>,
    out: PathBuf,
    /// How many saves there were when it began.
    saves: u64,
    begun: Begun,
}

impl Ahead {
    /// The number of the build that comes next.
    pub fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// It is being built into `out`. There were `saves` saves so far.
    pub fn begin(&mut self, build: Build, out: PathBuf, saves: u64, begun: Begun) {
        self.work = Some(Work { build: Some(build), out, saves, begun });
    }

    /// Ends what is under way, and takes back what was built.
    pub fn forget(&mut self) {
        if let Some(work) = self.work.take() {
            drop(work.build);
            drop(std::fs::remove_file(work.out));
        }
    }

    /// The build `number` has ended.
    pub fn ended(&mut self, number: u64, done: bool) {
        match &mut self.work {
            // An older one, which was given up.
            _ if number != self.number => {}
            Some(work) if done => drop(work.build.take()),
            _ => self.forget(),
        }
    }

    /// The binary, if it was built and there were no more than `saves` saves.
    pub fn take(&mut self, saves: u64) -> Option<(PathBuf, Begun)> {
        let work = self.work.take_if(|work| work.build.is_none() && work.saves == saves)?;
        Some((work.out, work.begun))
    }
}
