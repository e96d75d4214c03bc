//! What is known of each service now, and what became of the last saves: a pure fold over records, of bounded size.
//! Views that show a state instead of a stream of events read this and nothing else.

mod page;
mod patches;
mod table;
mod timeline;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::plan;
use crate::record::{Event, Level, Record, Rung};
pub use page::{MARK, page};
pub use table::{services, timeline};
pub use timeline::{Outcome, Reload};

/// How many reloads are kept.
const RELOADS: usize = 1000;

/// How many files are kept as the cause of one.
const CAUSES: usize = 100;

/// How far a service has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing of it runs yet.
    #[default]
    Waiting,
    /// Its process runs and is not ready yet.
    Starting,
    /// Its process is ready.
    Ready,
    /// Nothing runs, since it could not be built or started.
    Failed,
    /// Its process ended by itself.
    Crashed,
    /// Its process ended by itself too often to be started again.
    Held,
    /// hotwatch stopped it.
    Stopped,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub service: String,
    /// How far it has come.
    pub state: State,
    /// Since when.
    #[serde(with = "humantime_serde")]
    pub since: SystemTime,
    /// Whether a build of it runs.
    pub building: bool,
    /// Its process.
    pub pid: Option<i32>,
    /// The port that its configuration names.
    pub port: Option<u16>,
    /// When its process was started.
    #[serde(with = "humantime_serde")]
    pub started: Option<SystemTime>,
    /// How often a process followed another.
    pub restarts: u64,
    /// How often its process was patched.
    pub generations: u32,
    /// How many functions were replaced then, counted each time.
    pub patched: u64,
    /// Those that the newest patch has replaced.
    pub newest: Vec<String>,
    /// How much memory the patches take, in bytes.
    pub patch_bytes: u64,
    /// How many goroutines were in older versions of functions when the newest patch was loaded.
    pub stale_goroutines: u64,
    /// How long its last build took, in milliseconds; none has ended yet if it is not there.
    pub last_build_ms: Option<u64>,
    /// Whether that build succeeded.
    pub last_build_ok: Option<bool>,
    /// What went wrong last, in one line, until it is mended.
    pub failure: Option<String>,
    /// What the last save led to, and why.
    pub verdict: Option<String>,
    /// Resident memory of its processes in bytes; filled in when it is asked for.
    pub rss_bytes: Option<u64>,
    /// Processor time that they use, in percent of one processor; filled in when it is asked for.
    pub cpu_percent: Option<f32>,
    /// Whether its user has stopped it; it is not built then.
    #[serde(skip)]
    pub down: bool,
    /// Whether a process of it was ever started.
    #[serde(skip)]
    ran: bool,
    /// When the build that runs began.
    #[serde(skip)]
    build: Option<SystemTime>,
    /// The files for which a reload is under way.
    #[serde(skip)]
    changed: Vec<String>,
    /// How many of them there were before the last save.
    #[serde(skip)]
    before: usize,
    /// The process before the newest one, and when it was started: behind a held port it may go on.
    #[serde(skip)]
    standby: Option<(i32, SystemTime)>,
    /// What was asked of it last.
    #[serde(skip)]
    asked: &'static str,
    /// How long the build took that has made a binary of which it is not known yet whether it differs.
    #[serde(skip)]
    built: Option<u64>,
}

/// What is known of all of them.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The services, in start order; those that nobody configured come last.
    pub services: Vec<Service>,
    /// What became of the last saves, oldest first.
    pub reloads: std::collections::VecDeque<Reload>,
    /// Whether saves wait.
    pub paused: bool,
}

impl Service {
    fn new(name: &str, port: Option<u16>, since: SystemTime) -> Service {
        Service {
            service: name.to_owned(),
            state: State::Waiting,
            since,
            building: false,
            pid: None,
            port,
            started: None,
            restarts: 0,
            generations: 0,
            patched: 0,
            newest: Vec::new(),
            patch_bytes: 0,
            stale_goroutines: 0,
            last_build_ms: None,
            last_build_ok: None,
            failure: None,
            verdict: None,
            rss_bytes: None,
            cpu_percent: None,
            down: false,
            ran: false,
            build: None,
            changed: Vec::new(),
            before: 0,
            standby: None,
            asked: "",
            built: None,
        }
    }

    fn becomes(&mut self, state: State, at: SystemTime) {
        (self.state, self.since) = (state, at);
    }

    /// Its process is not the one that was patched.
    fn forget_patches(&mut self) {
        (self.generations, self.patched) = (0, 0);
        (self.patch_bytes, self.stale_goroutines) = (0, 0);
        self.newest.clear();
    }

    /// Its process is gone.
    fn ends(&mut self, state: State, at: SystemTime) {
        (self.pid, self.started) = (None, None);
        self.forget_patches();
        self.becomes(state, at);
    }

    /// Takes in what happened to it; returns what became of a save, if that is decided now.
    fn take(&mut self, at: SystemTime, event: &Event) -> Option<Reload> {
        match event {
            Event::Building => (self.building, self.build) = (true, Some(at)),
            Event::Build { ok, ms, failure } => {
                (self.building, self.build) = (false, None);
                (self.last_build_ms, self.last_build_ok) = (Some(*ms), Some(*ok));
                self.failure = (!ok).then(|| failure.summary.clone());
                self.built = ok.then_some(*ms);
                if *ok {
                    return None;
                }
                if self.pid.is_none() {
                    self.becomes(State::Failed, at);
                }
                let error = failure.summary.clone();
                return Some(self.reload(at, *ms, Outcome::Failed { error }));
            }
            Event::Cancelled { .. } => {
                self.building = false;
                let ms = self.build.take().map_or(0, |since| millis(since, at));
                return Some(self.reload(at, ms, Outcome::Cancelled));
            }
            Event::Change { paths } => {
                self.before = self.changed.len();
                let new = paths.iter().filter(|path| !self.changed.contains(path)).take(CAUSES);
                self.changed.extend(new.cloned().collect::<Vec<_>>());
                self.changed.truncate(CAUSES);
            }
            Event::Verdict { rung, reason } => {
                self.verdict = Some(reason.clone());
                if *rung == Rung::Nothing {
                    if let Some(ms) = self.built.take().filter(|_| self.pid.is_some()) {
                        return Some(self.reload(at, ms, Outcome::Unchanged));
                    }
                    self.changed.truncate(self.before);
                }
            }
            Event::Asked { what } => {
                self.asked = what;
                self.down = *what == "stop" || (self.down && *what == "build");
                // A build is told to end without a word then.
                self.building &= *what != "stop";
            }
            Event::Started { pid } => {
                self.restarts += u64::from(std::mem::replace(&mut self.ran, true));
                self.standby = self.pid.zip(self.started);
                (self.pid, self.started, self.built) = (Some(*pid), Some(at), None);
                self.forget_patches();
                self.becomes(State::Starting, at);
            }
            Event::Ready { .. } => {
                self.failure = self.failure.take().filter(|_| self.last_build_ok == Some(false));
                self.becomes(State::Ready, at);
            }
            Event::Restarted { old_pid, pid, ms, split } => {
                let restarted = Outcome::Restarted { old_pid: *old_pid, pid: *pid, split: *split };
                return Some(self.reload(at, *ms, restarted));
            }
            Event::Patched { generation, functions, stale_goroutines, memory_bytes, ms, .. } => {
                (self.generations, self.failure) = (*generation, None);
                self.patched += functions.len() as u64;
                self.newest.clone_from(functions);
                (self.patch_bytes, self.stale_goroutines) = (*memory_bytes, *stale_goroutines);
                let patched = Outcome::Patched { generation: *generation, functions: functions.clone() };
                return Some(self.reload(at, *ms, patched));
            }
            Event::Exited { code, signal, .. } => {
                self.failure = Some(match (code, signal) {
                    (Some(code), _) => format!("exited with code {code}"),
                    (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
                });
                self.ends(State::Crashed, at);
            }
            // One that was replaced behind a held port may end long after.
            Event::Stopped { pid } if self.pid.is_none_or(|current| current == *pid) => {
                self.ends(State::Stopped, at);
            }
            Event::RolledBack { reason, pid, started, ms, split } => {
                (self.pid, self.failure) = (Some(*pid), Some(reason.clone()));
                if !started {
                    self.started = self.standby.filter(|(standby, _)| standby == pid).map(|(_, since)| since);
                }
                self.becomes(State::Ready, at);
                let rolled_back = Outcome::RolledBack { error: reason.clone(), split: *split };
                return Some(self.reload(at, *ms, rolled_back));
            }
            Event::Held { reason } => {
                self.failure = Some(reason.clone());
                self.ends(State::Held, at);
            }
            Event::Notice { level: Level::Error, message } => {
                self.failure = Some(message.clone());
                if self.pid.is_none() {
                    self.becomes(State::Failed, at);
                }
            }
            Event::Notice { .. }
            | Event::Synced { .. }
            | Event::Effects { .. }
            | Event::Log { .. }
            | Event::Settled
            | Event::Stopped { .. }
            | Event::Good { .. }
            | Event::Watching { .. }
            | Event::StillBuilding { .. }
            | Event::Paused
            | Event::Resumed => {}
        }
        None
    }

    fn reload(&mut self, at: SystemTime, ms: u64, outcome: Outcome) -> Reload {
        // A build that gave way to a newer save leaves its causes to the next.
        let (changed, asked) = match outcome {
            Outcome::Cancelled => (self.changed.clone(), self.asked),
            _ => (std::mem::take(&mut self.changed), std::mem::take(&mut self.asked)),
        };
        let reason = match (&changed[..], asked) {
            ([], "") => String::new(),
            ([], asked) => format!("asked to {asked}"),
            (changed, _) => format!("{} changed", plan::list(changed)),
        };
        Reload { at, service: self.service.clone(), reason, ms, outcome }
    }
}

/// Milliseconds from `since` to `at`; 0 if the clock was set back meanwhile.
fn millis(since: SystemTime, at: SystemTime) -> u64 {
    let took = at.duration_since(since).unwrap_or_default();
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Snapshot {
    /// From now on the services are these, with the ports that they listen on. What is known of them stays.
    pub fn configure<'a>(
        &mut self,
        services: impl IntoIterator<Item = (&'a Name, Option<u16>)>,
        now: SystemTime,
    ) {
        let mut old = std::mem::take(&mut self.services);
        for (name, port) in services {
            let known = old.iter().position(|service| service.service == name.as_str());
            let known = known.map(|index| old.swap_remove(index));
            let new = || Service::new(name.as_str(), port, now);
            self.services.push(Service { port, ..known.unwrap_or_else(new) });
        }
    }

    /// The names of the services.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| service.service.as_str())
    }

    /// Takes in what happened.
    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::Paused => self.paused = true,
            Event::Resumed => self.paused = false,
            _ => {}
        }
        let Some(name) = &record.service else { return };
        // Of services that have left nothing is known any more.
        let service = self.services.iter_mut().find(|service| service.service == name.as_str());
        if let Some(reload) = service.and_then(|service| service.take(record.at, &record.event)) {
            if self.reloads.len() == RELOADS {
                self.reloads.pop_front();
            }
            self.reloads.push_back(reload);
        }
    }
}

#[cfg(test)]
mod tests;
