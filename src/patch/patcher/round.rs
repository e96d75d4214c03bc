//! One save, applied: compile what changed and what depends on it, compare, decide, link, load, switch. Up to the
//! switch nothing has happened to the process, and what fails restarts it; so far goes whoever only asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::baseline::Running;
use super::compiling::Fresh;
use super::initial::Initial;
use super::{Link, Outcome, Patched, Took, Weighed};
use crate::patch::generations::Linked;
use crate::patch::jump::{self, Jump};
use crate::patch::mangle::mangled;
use crate::patch::outline::{Function, Outline};
use crate::patch::session::Made;
use crate::patch::sources::Sources;
use crate::patch::verdict::{Change, Contents, Known as Found, Reason, Verdict, shown};
use crate::record::Effect;

/// How often a round begins anew because files were written meanwhile.
const TRIES: u32 = 5;

/// Why a save is not applied.
#[derive(Debug)]
pub enum Why {
    /// Nothing of it is part of a package.
    Unchanged,
    /// It does not compile, as these words say.
    Broken(String),
    /// The process has to be started anew.
    Restart(String),
}

/// A patch that was linked and not loaded.
struct Prepared {
    generation: u32,
    fresh: Fresh,
    initial: Initial,
    change: Change,
    linked: Linked,
    link: Link,
    switched: BTreeSet<String>,
    jumps: Vec<Jump>,
    compiled: Duration,
}

impl Running {
    /// What would become of what is on disk now. Neither the process nor what is known of it changes.
    pub fn weigh(&mut self) -> Weighed {
        let (program, imported) = (self.program.clone(), self.imported.clone());
        let dir = self.process.dir.join("weighed");
        let now = Instant::now();
        let prepared = self.sources(None).and_then(|sources| self.prepare(&sources, now, |_| dir.clone()));
        (self.program, self.imported) = (program, imported);
        // What stays of it goes with the process's directory.
        drop(fs::remove_dir_all(dir));
        match prepared {
            Ok(Some(prepared)) => {
                Weighed::Patch(prepared.change.switched.iter().map(|name| shown(name).to_owned()).collect())
            }
            Ok(None) | Err(Why::Unchanged) => Weighed::Nothing,
            Err(Why::Broken(words)) => Weighed::Broken(words),
            Err(Why::Restart(reason)) => Weighed::Restart(reason),
        }
    }

    /// Applies what is on disk now.
    pub fn round(&mut self) -> Result<Outcome, Why> {
        let started = Instant::now();
        let own = self.process.dir.clone();
        for _ in 0..TRIES {
            let sources = self.sources(None)?;
            let prepared = self.prepare(&sources, started, |generation| own.join(generation.to_string()));
            // What was judged has to be what is there: a save in between, of which half may have been seen, is judged anew.
            if self.sources(Some(&sources))? != sources {
                continue;
            }
            return match prepared {
                Ok(Some(prepared)) => self.apply(prepared, sources, started),
                Ok(None) => Ok(Outcome::Nothing),
                // An earlier save was looked at so late that this one was on disk already, and is part of the patch.
                Err(Why::Unchanged) if self.is_patched_whole() => Ok(Outcome::Nothing),
                Err(why) => Err(why),
            };
        }
        Err(Why::Restart("its files are written again and again".to_owned()))
    }

    /// Whether the process was patched, and all that it is made of is known.
    fn is_patched_whole(&self) -> bool {
        let mut own = self.program.packages.values().filter_map(|package| package.own.as_ref());
        !self.loaded.generations().is_empty() && own.all(|own| own.obstacle.is_none())
    }

    /// What is on disk now. What is as in `before`, or as it was when it was looked at last, is not looked into.
    fn sources(&self, before: Option<&Sources>) -> Result<Sources, Why> {
        let workspace = self.recipe.workspace.as_deref();
        let sources = Sources::read(&self.program, workspace, before.or(Some(&self.sources)));
        sources.map_err(|error| Why::Restart(format!("its files cannot be read: {error}")))
    }

    /// Compiles and links in `dir` what is on disk now, `sources`, as the generation that comes next; `None` if nothing
    /// that runs differs.
    fn prepare(
        &mut self,
        sources: &Sources,
        started: Instant,
        dir: impl FnOnce(u32) -> PathBuf,
    ) -> Result<Option<Prepared>, Why> {
        let restart = |words: String| Why::Restart(words);
        if !self.recipe.origin.stands() {
            return Err(restart("the go command is another one, or is set otherwise".to_owned()));
        }
        let difference = self.sources.difference(sources);
        if let Some(file) = difference.beside {
            let name = file.file_name().unwrap_or(file.as_os_str()).display().to_string();
            return Err(restart(format!("`{name}` changed, which takes a build")));
        }
        if difference.changed.is_empty() {
            return Err(Why::Unchanged);
        }
        let generation = self.generation()?;
        let dir = dir(generation);
        let make = |error| restart(format!("cannot make `{}`: {error}", dir.display()));
        fs::create_dir_all(&dir).map_err(make)?;

        self.import(&difference.changed, sources)?;
        let mut fresh = self.compile(&difference.changed, sources, &dir)?;
        let (mut initial, mut found) = (Initial::default(), Found::default());
        let mut asked = BTreeSet::new();
        let verdict = loop {
            let verdict = self.outlines.decide(&fresh.outlines, &Known::of(self), &found);
            match &verdict {
                Verdict::Restart(reason) => {
                    let Some(path) = Running::to_initialise(reason, &initial) else { break verdict };
                    self.initialise(&path, reason, generation, &mut fresh, &mut initial, (sources, &dir))?;
                    found.accepted.clone_from(&initial.accepted);
                }
                Verdict::Patch(change) => {
                    let relied_on = self.outlines.relied_on(change, &fresh.outlines);
                    let new = &relied_on - &asked;
                    if new.is_empty() {
                        break verdict;
                    }
                    found.unlike.extend(self.unlike(&new, &fresh, sources, &dir)?);
                    asked.extend(new);
                }
                Verdict::Nothing => break verdict,
            }
        };
        let change = match verdict {
            // What a new package does at its start, it has to do.
            Verdict::Nothing => match self.not_loaded(&fresh) {
                Some(path) => return Err(Reason::Import(path.clone()).into()),
                // What a new variable begins with has to be computed, whether or not anybody reads it.
                None if !initial.functions.is_empty() => {
                    let function = initial.functions[0].clone();
                    return Err(Reason::RunsOnce { by: function.clone(), function }.into());
                }
                None => return Ok(None),
            },
            Verdict::Restart(reason) => return Err(reason.into()),
            Verdict::Patch(change) => change,
        };
        let compiled = started.elapsed();

        let changed = needed(&change, &initial.functions, &fresh.outlines, &Known::of(self));
        let packages = self.objects(&fresh, &changed, sources, &dir)?;
        let bound: Vec<String> = change.bound.iter().cloned().collect();
        let (linked, link) = self.link(generation, packages, (&changed, &bound), &dir)?;
        let minor = self.minor();
        let switched: BTreeSet<String> = change.switched.iter().map(|name| mangled(name, minor)).collect();
        let mut jumps = jump::plan(&self.loaded, &linked).map_err(|error| restart(error.to_string()))?;
        jumps.retain(|jump| switched.contains(&jump.function));
        Ok(Some(Prepared { generation, fresh, initial, change, linked, link, switched, jumps, compiled }))
    }

    /// Loads what was prepared since `started`, and switches to it.
    fn apply(&mut self, prepared: Prepared, sources: Sources, started: Instant) -> Result<Outcome, Why> {
        let Prepared { generation, fresh, initial, change, linked, link, switched, jumps, compiled } =
            prepared;
        let (linked_after, minor) = (started.elapsed(), self.minor());
        let restart = |words: String| Why::Restart(words);
        let offset =
            |name: &String| linked.functions.get(&mangled(name, minor)).map(|function| function.offset);
        let first: Vec<u64> = initial.functions.iter().filter_map(offset).collect();
        let made = Made::of(&self.loaded);
        let loaded =
            self.session.switch(&linked, &first, made, &jumps).map_err(|error| restart(error.to_string()))?;
        // What nothing comes to was not linked, and is as good as not written yet.
        let is_linked = |name: &String| linked.functions.contains_key(&mangled(name, minor));
        let (renamed, idle): (Vec<&String>, Vec<&String>) =
            change.bound.iter().partition(|name| is_linked(name));
        let renamed: Vec<String> = renamed.into_iter().map(|name| mangled(name, minor)).collect();
        let mut outlines = fresh.outlines;
        outlines.values_mut().for_each(|outline| outline.functions.retain(|name, _| !idle.contains(&name)));
        self.loaded.add(linked, loaded.base, &jumps, renamed.into_iter());
        self.switched = switched;
        self.outlines.patched(outlines, &change);
        self.fresh.extend(fresh.archives);
        self.sources = sources;
        let took =
            Took { compile: compiled, link: linked_after - compiled, load: started.elapsed() - linked_after };
        // That it cannot be told is no failure of the patch.
        let counts = self.session.stale(&jumps).unwrap_or_default();
        let mut stale: BTreeMap<String, u64> = BTreeMap::new();
        for (jump, count) in jumps.iter().zip(counts).filter(|(_, count)| *count > 0) {
            *stale.entry(shown(&jump.function).to_owned()).or_default() += count;
        }
        let functions = change.switched.iter().map(|name| shown(name).to_owned()).collect();
        let stale = stale.into_iter().collect();
        let memory = self.loaded.memory();
        Ok(Outcome::Patched(Patched { generation, functions, link, stale, memory, took }))
    }

    /// A package that one of `fresh` imports and the process has not got.
    fn not_loaded<'a>(&self, fresh: &'a Fresh) -> Option<&'a String> {
        let mut imports = fresh.outlines.values().flat_map(|outline| outline.imports.keys());
        imports.find(|path| *path != "unsafe" && self.loaded.fingerprint(path).is_none())
    }

    /// The number of the last patch, and how often each of its functions has run the new code since; none if that
    /// cannot be told.
    pub fn effects(&mut self) -> (u32, Vec<Effect>) {
        let number = u32::try_from(self.loaded.generations().len()).unwrap_or(u32::MAX);
        let Some(last) = self.loaded.generations().last() else { return (number, Vec::new()) };
        let counts = self.session.effects(last).unwrap_or_default();
        let functions = last.linked.trampolines.iter().map(|trampoline| &trampoline.function);
        let known = functions.zip(counts).filter(|(function, _)| self.switched.contains(*function));
        let effect =
            |(function, entered): (&String, u64)| Effect { function: shown(function).to_owned(), entered };
        (number, known.map(effect).collect())
    }

    /// The number of the patch that comes next.
    fn generation(&self) -> Result<u32, Why> {
        let number = u32::try_from(self.loaded.generations().len()).unwrap_or(u32::MAX).saturating_add(1);
        let (most, memory) = self.process.bounds;
        if number > most {
            return Err(Why::Restart(format!(
                "it was patched {most} times, which is as often as is allowed"
            )));
        }
        if self.loaded.memory() > memory {
            let megabytes = memory / 1_000_000;
            return Err(Why::Restart(format!("its patches take more than {megabytes} MB of memory")));
        }
        Ok(number)
    }

    fn minor(&self) -> u32 {
        let version = self.recipe.tools.version.strip_prefix("go1.").unwrap_or_default();
        let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
        version[..end].parse().unwrap_or_default()
    }
}

/// The functions that have to be linked: those that are switched to, those that run `first`, and what they come to of the
/// others that are new, or that the process has not got since nothing came to them before.
fn needed(
    change: &Change,
    first: &[String],
    fresh: &BTreeMap<String, Outline>,
    known: &Known<'_>,
) -> Vec<String> {
    let functions = |name: &String| -> Vec<&Function> {
        fresh.values().filter_map(|outline| outline.functions.get(name)).collect()
    };
    let (mut needed, mut open): (BTreeSet<&String>, Vec<&String>) =
        (BTreeSet::new(), change.switched.iter().chain(first).collect());
    while let Some(name) = open.pop() {
        if needed.insert(name) {
            let named = functions(name).into_iter();
            let named = named.flat_map(|function| function.calls.iter().chain(&function.mentions));
            let is_missing = |name: &String| !functions(name).is_empty() && !known.has(name);
            open.extend(named.filter(|name| change.bound.contains(*name) || is_missing(name)));
        }
    }
    needed.into_iter().cloned().collect()
}

/// What the process contains.
pub(super) struct Known<'a>(&'a Running, u32);

impl<'a> Known<'a> {
    /// The process that `running` is about.
    pub(super) fn of(running: &'a Running) -> Known<'a> {
        Known(running, running.minor())
    }
}

impl Contents for Known<'_> {
    fn has(&self, symbol: &str) -> bool {
        self.0.loaded.find(&mangled(symbol, self.1)).is_some()
    }

    fn has_package(&self, path: &str) -> bool {
        // `unsafe` is in the compiler.
        path == "unsafe" || self.0.loaded.fingerprint(path).is_some() || self.0.imported.contains_key(path)
    }

    fn is_imported_elsewhere(&self, path: &str) -> bool {
        path == "unsafe" || self.0.program.imported_elsewhere.contains(path)
    }
}
