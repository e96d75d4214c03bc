//! What a program depends on, compiled once more: so that it can be loaded. A patch that comes to what the process has
//! not got, since its linker had no use for it, takes that from here. It is done in the background and once, since it
//! may take a minute where nothing is in the build cache yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::go::export::{self, Asked, ExportError, Program};

/// The archives; all handles are of the same.
#[derive(Debug, Clone, Default)]
pub struct Dependencies(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked for them, or they are being compiled.
    #[default]
    Unknown,
    /// By the path that the linker knows, with what the process was linked from.
    Known(BTreeMap<String, (PathBuf, PathBuf)>),
    /// They cannot be compiled.
    Failed(String),
}

impl Dependencies {
    /// Has those of `program` compiled, unless that was done, as `flags` say. False if there was nothing to do.
    pub fn compile(&self, program: &Program, asked: Asked<'_>, flags: &[String]) -> bool {
        if self.is_of(program) {
            return false;
        }
        let state = match export::loadable(asked, flags) {
            Ok(loadable) => State::Known(pairs(program, &loadable)),
            Err(ExportError::Run(_)) => State::Unknown,
            Err(error) => State::Failed(error.to_string()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
        true
    }

    fn is_of(&self, program: &Program) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Known(known) = &*state else { return false };
        let mut others = program.packages.iter().filter(|(_, package)| package.own.is_none());
        others.all(|(path, package)| known.get(path).is_some_and(|(linked, _)| *linked == package.archive))
    }

    /// The archive of the package `path`.
    ///
    /// # Errors
    /// There is none, or not yet; in words that end a sentence.
    pub fn archive(&self, path: &str) -> Result<PathBuf, String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Unknown => Err("what it depends on is still being compiled for that".to_owned()),
            State::Known(known) => match known.get(path) {
                Some((_, loadable)) => Ok(loadable.clone()),
                None => Err(format!("`{path}` cannot be loaded")),
            },
            State::Failed(why) => Err(why.clone()),
        }
    }
}

/// The archives of `program` that are nobody's own, each with the one in `loadable`.
fn pairs(program: &Program, loadable: &Program) -> BTreeMap<String, (PathBuf, PathBuf)> {
    let others = program.packages.iter().filter(|(_, package)| package.own.is_none());
    let pair = |(path, package): (&String, &export::Package)| {
        let loadable = loadable.packages.get(path)?.archive.clone();
        Some((path.clone(), (package.archive.clone(), loadable)))
    };
    others.filter_map(pair).collect()
}
