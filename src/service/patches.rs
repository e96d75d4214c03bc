//! A service's side of live patches: how it is built for them, the socket that its process inherits, and the patcher of
//! the process that was started last.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;

use super::ahead::Begun;
use super::preview::{self, Preview, Standing};
use super::protocol::Input;
use super::reply::Reply;
use crate::config::Service;
use crate::patch::patcher::{Baselines, Patcher, Process, Told, Weighed};
use crate::patch::recipe::{Recipe, Unable};
use crate::record::{Event, Level, Tell};

/// All of it.
#[derive(Debug)]
pub struct Patches {
    /// A directory for what belongs to it.
    dir: PathBuf,
    /// How the service is built; nothing as long as nobody knows, nothing inside if it cannot be patched.
    recipe: Option<Option<Recipe>>,
    /// When the last build began, and what its packages were made of then.
    built: Begun,
    /// Our end of what the agent of the process that is being started talks over.
    stream: Option<UnixStream>,
    /// The process that was started and is not ready yet.
    starting: Option<(i32, UnixStream)>,
    patcher: Option<(i32, Patcher)>,
    baselines: Baselines,
    /// How many patchers there have been.
    number: u64,
}

impl Patches {
    /// Those of a service whose directory for binaries is `cache`.
    pub fn new(cache: &Path) -> Patches {
        Patches {
            dir: cache.join("patches"),
            recipe: None,
            built: (SystemTime::now(), None),
            stream: None,
            starting: None,
            patcher: None,
            baselines: Baselines::default(),
            number: 0,
        }
    }

    /// The command that builds in the background what is there now, and what a build begins with.
    pub fn build_ahead(&self, service: &Service) -> Option<(Vec<String>, Begun)> {
        let recipe = self.recipe()?;
        Some((recipe.build(service), (SystemTime::now(), self.baselines.sources(recipe))))
    }

    /// What is started next was built already.
    pub fn adopt(&mut self, begun: Begun) {
        self.built = begun;
    }

    /// The command that builds `service` so that it can be patched; `None` if that is not wanted, or not possible, which
    /// is told once.
    pub fn build(&mut self, service: &Service, debugged: bool, tell: &Tell) -> Option<Vec<String>> {
        self.built = (SystemTime::now(), None);
        service.patch?;
        if debugged {
            return None;
        }
        if self.recipe().is_some_and(|recipe| !recipe.origin.stands()) {
            self.recipe = None;
        }
        if self.recipe.is_none() {
            self.recipe = match Recipe::find(service, &service.env, &self.dir) {
                Ok(recipe) => Some(Some(recipe)),
                // What keeps its packages from being listed keeps them from being built as well, which is told then.
                Err(Unable::Asked(_)) => None,
                Err(why) => {
                    let message = format!("cannot be patched while it runs: {why}; saves restart it");
                    tell.notice(Some(&service.name), Level::Warning, message);
                    Some(None)
                }
            };
        }
        let recipe = self.recipe()?;
        let (words, before) = (recipe.build(service), self.baselines.sources(recipe));
        self.built = (SystemTime::now(), before);
        Some(words)
    }

    fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref().and_then(Option::as_ref)
    }

    /// Whether it is built so that it can be patched.
    pub fn is_patchable(&self) -> bool {
        self.recipe().is_some()
    }

    /// The settings have changed.
    pub fn forget_recipe(&mut self) {
        self.recipe = None;
    }

    /// What the process that is started next inherits; `None` if it cannot be patched.
    pub fn agent(&mut self) -> Option<OwnedFd> {
        self.recipe()?;
        let (ours, theirs) = UnixStream::pair().ok()?;
        self.stream = Some(ours);
        Some(theirs.into())
    }

    /// It was started, as the process `pid`.
    pub fn started(&mut self, pid: i32) {
        self.starting = self.stream.take().map(|stream| (pid, stream));
    }

    /// Finds out what the process `pid` runs, which is ready now, to apply saves to it.
    pub fn begin(&mut self, pid: i32, service: &Service, binary: &Path, inputs: &Sender<Input>, tell: &Tell) {
        let (Some(recipe), Some(patch)) = (self.recipe().cloned(), service.patch) else { return };
        let Some((_, stream)) = self.starting.take_if(|(starting, _)| *starting == pid) else { return };
        self.number += 1;
        let process = Process {
            binary: binary.to_owned(),
            built: self.built.0,
            before: self.built.1.clone(),
            stream,
            dir: self.dir.join(self.number.to_string()),
            bounds: (patch.generations, patch.memory),
        };
        let (inputs, tell, name) = (inputs.clone(), tell.clone(), service.name.clone());
        let told = move |told| {
            let input = match told {
                Told::Ready => Input::Patchable { pid, able: Ok(()) },
                Told::Unable(why) => Input::Patchable { pid, able: Err(why) },
                Told::Done(outcome) => Input::Patched(outcome),
                Told::Prepared(took) => {
                    tell.notice(Some(&name), Level::Info, prepared(took));
                    return;
                }
                Told::Effects(generation, functions) => {
                    tell.fact(Some(&name), Event::Effects { pid, generation, functions });
                    return;
                }
            };
            // The service's thread may be gone already.
            let _ = inputs.send(input);
        };
        let patcher = Patcher::start(recipe, service.clone(), process, self.baselines.clone(), told);
        self.patcher = Some((pid, patcher));
    }

    /// Has the save applied to the process; false if there is none that can be patched.
    pub fn patch(&self) -> bool {
        self.patcher.as_ref().is_some_and(|(_, patcher)| patcher.patch())
    }

    /// Finds out what a save of all that is on disk would lead to, and tells it; says nothing of a service that takes no
    /// patches by its settings.
    pub fn weigh(&self, service: &Service, standing: Standing, reply: Reply<Preview>) {
        if service.patch.is_none() {
            return;
        }
        let name = service.name.to_string();
        let (pid, barred) = match standing {
            Standing::Idle(why) => return reply.send(preview::idle(name, why)),
            Standing::Running { pid, barred } => (pid, barred),
        };
        match self.patcher.as_ref().filter(|(patched, _)| *patched == pid) {
            Some((_, patcher)) => {
                patcher.weigh(move |weighed| reply.send(preview::preview(name, pid, barred, weighed)));
            }
            None => {
                let why = if self.is_patchable() { "is not ready yet" } else { "cannot be patched" };
                let weighed = Weighed::Restart(format!("PID {pid} {why}, so whatever differs restarts it"));
                reply.send(preview::preview(name, pid, None, weighed));
            }
        }
    }

    /// Nothing is left of the process `pid`.
    pub fn end(&mut self, pid: i32) {
        self.starting.take_if(|(starting, _)| *starting == pid);
        self.patcher.take_if(|(patched, _)| *patched == pid);
    }
}

fn prepared(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("its dependencies are compiled for patches as well, in the background ({seconds:.1} s)")
}
