//! What a process runs, found out once it has been started: which archives it was linked from, and the outlines of the
//! user's own packages, compiled as a patch would be. Saves of the time before that is known restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Process;
use super::round::Why;
use crate::config::Service;
use crate::go::export::{self, Asked, Own, Package, Program, Run};
use crate::patch::agent;
use crate::patch::compile::Order;
use crate::patch::dependencies::Dependencies;
use crate::patch::generations::Loaded;
use crate::patch::host::Host;
use crate::patch::link::MAIN;
use crate::patch::object::Object;
use crate::patch::outline::Outline;
use crate::patch::recipe::Recipe;
use crate::patch::session::Session;
use crate::patch::sources::{Inputs, Sources};
use crate::patch::tool;
use crate::patch::verdict;

/// How long a process may take until its agent answers; what its packages do first may take long.
const HELLO: Duration = Duration::from_secs(60);

/// What is kept over restarts.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    kept: Arc<Mutex<Kept>>,
    dependencies: Dependencies,
}

#[derive(Debug, Default)]
struct Kept {
    /// Outlines by the archive of which they are, which the build cache names by its content.
    outlines: HashMap<PathBuf, Outline>,
    /// The program as it was listed last.
    program: Option<Program>,
}

impl Baselines {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, archive: &PathBuf) -> Option<Outline> {
        self.lock().outlines.get(archive).cloned()
    }

    /// Keeps this, and nothing else.
    fn keep(&self, outlines: HashMap<PathBuf, Outline>, program: &Program) {
        *self.lock() = Kept { outlines, program: Some(program.clone()) };
    }

    /// What the packages are made of now, if it is known which they are.
    pub fn sources(&self, recipe: &Recipe) -> Option<Sources> {
        let program = self.lock().program.clone()?;
        Sources::read(&program, recipe.workspace.as_deref(), None).ok()
    }
}

/// All that is known of a process.
pub struct Running {
    pub(super) recipe: Recipe,
    pub(super) tools: Arc<tool::Running>,
    pub(super) service: Service,
    pub(super) process: Process,
    pub(super) program: Program,
    pub(super) sources: Sources,
    pub(super) loaded: Loaded,
    pub(super) session: Session,
    pub(super) outlines: verdict::Running,
    /// The archives of packages that were patched since, newest.
    pub(super) fresh: BTreeMap<String, PathBuf>,
    /// The loadable archives of packages that the sources have come to import since.
    pub(super) imported: BTreeMap<String, PathBuf>,
    /// What can be taken from the packages that the process was linked from.
    pub(super) dependencies: Dependencies,
    /// The functions that the last patch has replaced, as the linker names them.
    pub(super) switched: BTreeSet<String>,
}

impl Running {
    /// The user's own packages, each after those that it imports, as they are in `sources`.
    ///
    /// # Errors
    /// One of them comes to itself.
    pub(super) fn in_order(&self, sources: &Sources) -> Result<Vec<String>, Why> {
        let mut order = Vec::new();
        for path in self.outlines.now.keys() {
            self.add_in_order(path, sources, &mut Vec::new(), &mut order)?;
        }
        Ok(order)
    }

    /// Adds `path`, which is imported by the last one of `by`.
    fn add_in_order<'a>(
        &'a self,
        path: &'a str,
        sources: &'a Sources,
        by: &mut Vec<&'a str>,
        order: &mut Vec<String>,
    ) -> Result<(), Why> {
        let package = self.program.packages.get(path).and_then(|package| package.own.as_ref());
        let Some(own) = package.filter(|_| !order.iter().any(|known| known == path)) else { return Ok(()) };
        if by.contains(&path) {
            return Err(Why::Broken(format!("`{path}` imports itself, if only by way of others")));
        }
        by.push(path);
        for import in sources.inputs(path).into_iter().flat_map(|inputs| &inputs.imports) {
            self.add_in_order(own.renamed.get(import).unwrap_or(import), sources, by, order)?;
        }
        by.pop();
        order.push(path.to_owned());
        Ok(())
    }

    /// Compiles in the background what later patches may take from the packages that the process was linked from.
    /// Returns a description of the work, which borrows nothing.
    pub fn preparation(&self) -> impl FnOnce() -> bool + Send + use<> {
        let (tools, service, flags) =
            (Arc::clone(&self.tools), self.service.clone(), self.recipe.flags.clone());
        let (dependencies, program) = (self.dependencies.clone(), self.program.clone());
        move || {
            let package = service.package.as_deref().unwrap_or(".");
            let run: Run<'_> = &|command| tools.run_behind(command);
            let asked = Asked { dir: &service.dir, env: &service.env, package, run };
            dependencies.compile(&program, asked, &flags)
        }
    }

    /// Finds out what `process` runs.
    ///
    /// # Errors
    /// It cannot be patched; in words.
    pub fn find(
        recipe: Recipe,
        service: Service,
        process: Process,
        baselines: &Baselines,
        tools: Arc<tool::Running>,
    ) -> Result<Running, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        fs::create_dir_all(&process.dir).map_err(|error| words(&error))?;
        let host = Host::read(&process.binary).map_err(|error| words(&error))?;
        let package = service.package.as_deref().unwrap_or(".");
        let run: Run<'_> = &|command| tools.run(command);
        let asked = Asked { dir: &service.dir, env: &service.env, package, run };
        let program = export::compiled(asked, &recipe.flags).map_err(|error| words(&error))?;
        let modules: BTreeSet<&String> =
            program.packages.values().filter_map(|package| Some(&package.own.as_ref()?.module)).collect();
        if let Some(new) = modules.into_iter().find(|module| !recipe.modules.contains(module)) {
            return Err(format!("the module `{new}` has joined since it was built"));
        }
        let before = process.before.as_ref();
        let sources = Sources::read(&program, recipe.workspace.as_deref(), before);
        let sources = sources.map_err(|error| words(&error))?;
        // Times are too coarse to tell a save from the build that it has started.
        if before != Some(&sources) && sources.written_since(&program, process.built) {
            return Err("its files were written while it was built".to_owned());
        }
        let loaded = Loaded::new(host);
        let outlines = Compiling {
            recipe: &recipe,
            process: &process,
            program: &program,
            sources: &sources,
            loaded: &loaded,
            tools: &tools,
        }
        .all(baselines)?;
        let again = Sources::read(&program, recipe.workspace.as_deref(), Some(&sources));
        if again.map_err(|error| words(&error))? != sources {
            baselines.keep(HashMap::new(), &program);
            return Err("its files were written while they were compiled again".to_owned());
        }
        let stream = process.stream.try_clone().map_err(|error| words(&error))?;
        let mut session = Session::start(stream).map_err(|error| words(&error))?;
        let hello = session.hello(HELLO).map_err(|error| words(&error))?;
        if !hello.alone {
            return Err(format!("GODEBUG does not contain {} in the process", agent::SETTING));
        }
        if !hello.writable {
            return Err("the system does not let a process write over its own code".to_owned());
        }
        let outlines = verdict::Running::new(outlines);
        let (fresh, switched) = (BTreeMap::new(), BTreeSet::new());
        Ok(Running {
            recipe,
            tools,
            service,
            process,
            program,
            sources,
            loaded,
            session,
            outlines,
            fresh,
            imported: BTreeMap::new(),
            dependencies: baselines.dependencies.clone(),
            switched,
        })
    }
}

/// What it takes to compile the user's own packages as they were when the process was built.
struct Compiling<'a> {
    recipe: &'a Recipe,
    process: &'a Process,
    program: &'a Program,
    sources: &'a Sources,
    loaded: &'a Loaded,
    tools: &'a tool::Running,
}

impl Compiling<'_> {
    /// The outlines of all of them.
    fn all(&self, baselines: &Baselines) -> Result<BTreeMap<String, Outline>, String> {
        let packages = self.program.packages.iter();
        let own: Vec<(&String, &Package)> = packages.filter(|(_, package)| package.own.is_some()).collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || {
            while let Some((path, package)) = own.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outline = baselines.get(&package.archive).map_or_else(|| self.one(path, package), Ok);
                // Whoever fails ends the others with what they have begun.
                if outline.is_err() {
                    next.store(own.len(), Ordering::Relaxed);
                }
                found.lock().unwrap_or_else(PoisonError::into_inner).insert((*path).clone(), outline);
            }
        };
        let threads = self.recipe.tools.threads.min(own.len());
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let found: BTreeMap<String, Outline> =
            found.into_iter().map(|(path, outline)| Ok((path, outline?))).collect::<Result<_, String>>()?;
        let by_archive = |(path, outline): (&String, &Outline)| {
            Some((self.program.packages.get(path)?.archive.clone(), outline.clone()))
        };
        baselines.keep(found.iter().filter_map(by_archive).collect(), self.program);
        Ok(found)
    }

    fn one(&self, path: &str, package: &Package) -> Result<Outline, String> {
        let Some(own) = &package.own else { return Ok(Outline::default()) };
        let read = |archive: &PathBuf| {
            let bytes =
                fs::read(archive).map_err(|error| format!("cannot read `{}`: {error}", archive.display()))?;
            Object::parse(bytes).map_err(|error| format!("`{path}`: {error}"))
        };
        if own.obstacle.is_some() {
            // Never compiled again, but who calls whom is of interest.
            return Ok(Outline::of(&read(&package.archive)?, &[]));
        }
        let strange = || format!("the files of `{path}` are not those that the go command lists");
        let inputs = self.sources.inputs(path).filter(|inputs| lists(own, inputs)).ok_or_else(strange)?;
        let (agent, run) = (agent(self.recipe, path), |command: &mut _| self.tools.run(command));
        let (agent, into) = (agent.as_deref(), self.process.dir.as_path());
        let order = Order { path, own, inputs, agent, keep: None, flags: &[], into, run: &run };
        let compiled = self.recipe.tools.compile(&order, self.program, &|_| None);
        let compiled = compiled.map_err(|error| error.to_string())?;
        let outline = Outline::of(&read(&compiled.archive)?, &compiled.captures);
        drop(fs::remove_file(compiled.archive));
        if let Some(name) = outline.unlike(&Outline::of(&read(&package.archive)?, &[])) {
            return Err(format!("`{name}` of `{path}` does not come out the same when it is compiled again"));
        }
        // What nobody imports has no fingerprint that counts.
        if path != MAIN && self.loaded.fingerprint(path).is_some_and(|known| known != outline.fingerprint) {
            return Err(format!("`{path}` does not come out the same when it is compiled again"));
        }
        Ok(outline)
    }
}

/// The agent, where it is part of the package `path`.
pub(super) fn agent(recipe: &Recipe, path: &str) -> Option<PathBuf> {
    (path == MAIN).then(|| recipe.dir.join(agent::NAME))
}

/// Whether the go command has listed the same Go files.
fn lists(own: &Own, inputs: &Inputs) -> bool {
    let listed: BTreeSet<&String> = own.files.iter().filter(|file| *file != agent::NAME).collect();
    listed.into_iter().eq(&inputs.files)
}
