//! The packages of a save, compiled as the process's were: those that changed, and those that see another thing of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::baseline::{Running, agent};
use super::round::Why;
use crate::go::export::Run;
use crate::patch::compile::{CompileError, Order};
use crate::patch::keep;
use crate::patch::link::MAIN;
use crate::patch::object::Object;
use crate::patch::outline::Outline;
use crate::patch::sources::{Inputs, Sources};
use crate::patch::verdict::Reason;

/// How many packages are compiled for one save; more are a matter for a build.
const PACKAGES: usize = 40;

/// The packages of a save, as they were compiled.
#[derive(Default)]
pub(super) struct Fresh {
    pub outlines: BTreeMap<String, Outline>,
    pub archives: BTreeMap<String, PathBuf>,
    /// What is compiled instead of what is on disk.
    pub inputs: BTreeMap<String, Inputs>,
}

impl Running {
    /// Compiles the packages `changed`, and those that see something else of them than before.
    pub(super) fn compile(&self, changed: &[String], sources: &Sources, dir: &Path) -> Result<Fresh, Why> {
        let (mut due, mut fresh) = (changed.iter().collect::<BTreeSet<_>>(), Fresh::default());
        for path in &self.in_order(sources)? {
            let imports = &self.outlines.now[path].imports;
            let sees_another = imports.keys().any(|import| {
                let compiled = fresh.outlines.get(import);
                compiled.is_some_and(|outline| outline.fingerprint != self.outlines.now[import].fingerprint)
            });
            if sees_another {
                due.insert(path);
            }
            if !due.contains(path) {
                continue;
            }
            if fresh.outlines.len() == PACKAGES {
                return Err(Why::Restart(format!("more than {PACKAGES} packages are concerned")));
            }
            let (archive, outline) = self.compile_one(path, None, &fresh, sources, dir)?;
            let is_seen = outline.fingerprint != self.outlines.now[path].fingerprint;
            if let Some(user) = self.program.used_elsewhere.get(path).filter(|_| is_seen) {
                return Err(Why::Restart(format!("`{user}` imports `{path}`, and is not compiled with it")));
            }
            fresh.archives.insert(path.clone(), archive);
            fresh.outlines.insert(path.clone(), outline);
        }
        Ok(fresh)
    }

    pub(super) fn compile_one(
        &self,
        path: &str,
        keep: Option<&Path>,
        fresh: &Fresh,
        sources: &Sources,
        dir: &Path,
    ) -> Result<(PathBuf, Outline), Why> {
        let inputs = fresh.inputs.get(path).or_else(|| sources.inputs(path));
        let (Some(own), Some(inputs)) = (&self.program.packages[path].own, inputs) else {
            return Err(Why::Restart(format!("package `{path}` is not the user's own")));
        };
        if let Some(obstacle) = own.obstacle.or(inputs.uses_cgo.then_some("uses cgo")) {
            return Err(Why::Restart(format!("package `{path}` {obstacle}")));
        }
        let agent = agent(&self.recipe, path);
        let run: Run<'_> = &|command| self.tools.run(command);
        let order = Order { path, own, inputs, agent: agent.as_deref(), keep, flags: &[], into: dir, run };
        let newest = |path: &str| fresh.archives.get(path).or_else(|| self.fresh.get(path)).cloned();
        let compiled = match self.recipe.tools.compile(&order, &self.program, &newest) {
            Ok(compiled) => compiled,
            Err(CompileError::Refused(words)) => return Err(refused(&words)),
            Err(error) => return Err(Why::Restart(error.to_string())),
        };
        let object = object(&compiled.archive)?;
        Ok((compiled.archive, Outline::of(&object, &compiled.captures)))
    }

    /// The packages as they are linked. A main that is among them has to keep what only others reach.
    pub(super) fn objects(
        &self,
        fresh: &Fresh,
        changed: &[String],
        sources: &Sources,
        dir: &Path,
    ) -> Result<Vec<(String, Object)>, Why> {
        let mut packages = Vec::new();
        for (path, archive) in &fresh.archives {
            if path != MAIN {
                packages.push((path.clone(), object(archive)?));
            }
        }
        if let Some(archive) = fresh.archives.get(MAIN) {
            let mut archive = archive.clone();
            if !packages.is_empty() {
                let names = keep::names(&packages, changed);
                let paths = packages.iter().map(|(path, _)| path.as_str());
                let text = keep::text(paths, names.iter().map(String::as_str));
                let kept = dir.join("zz_hotwatch_keep.go");
                let write = |error| Why::Restart(format!("cannot write to `{}`: {error}", dir.display()));
                fs::write(&kept, text).map_err(write)?;
                archive = self.compile_one(MAIN, Some(&kept), fresh, sources, dir)?.0;
            }
            packages.insert(0, (MAIN.to_owned(), object(&archive)?));
        }
        Ok(packages)
    }
}

/// What a refusal of the compiler means. What it cannot import may well be there, but not in the process.
fn refused(words: &str) -> Why {
    let import = words.split_once("could not import ").and_then(|(_, rest)| rest.split_whitespace().next());
    match import {
        Some(path) => Reason::Import(path.to_owned()).into(),
        None => Why::Broken(words.to_owned()),
    }
}

pub(super) fn object(archive: &Path) -> Result<Object, Why> {
    let bytes = fs::read(archive).map_err(|error| Why::Restart(error.to_string()))?;
    Object::parse(bytes).map_err(|error| Why::Restart(error.to_string()))
}
