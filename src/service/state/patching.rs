//! The part of the machine that has saves applied to the running process. What cannot be applied is built, as if
//! nobody had tried. A patched process runs what no binary holds, so before the next one is started there is a build.

use std::time::Instant;

use super::{Effect, Finished, Machine, Process, millis};
use crate::patch::patcher::{Outcome, Patched};
use crate::record::{Event, Level, PatchSplit, Rung};
use crate::service::preview::Standing;

impl Machine {
    /// Whether the next save is applied to the process.
    pub(super) fn is_to_be_patched(&self) -> bool {
        self.takes_patches
            && matches!(self.process, Process::Running { .. })
            && !(self.must_restart || self.wants_binary || self.held)
            && self.fresh.is_none()
    }

    /// The process that runs, if one does.
    pub fn pid(&self) -> Option<i32> {
        match self.process {
            Process::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// How things stand for whoever asks what a save would lead to.
    pub(super) fn standing(&self) -> Standing {
        let Process::Running { pid, .. } = self.process else {
            return Standing::Idle(match self.down {
                true => "it is stopped, and built when it is started again",
                false => "what is saved next is built and started",
            });
        };
        let barred = if self.fresh.is_some() {
            Some("a new build is there already, and takes its place".to_owned())
        } else if self.must_restart || self.wants_binary {
            Some("a build is due that takes its place".to_owned())
        } else {
            let parted = self.parted.as_ref();
            parted.map(|why| {
                format!("PID {pid} takes no patches any more, since a save could not be applied: {why}")
            })
        };
        Standing::Running { pid, barred }
    }

    pub(super) fn patchable(&mut self, of: i32, able: Result<(), String>) {
        if !matches!(self.process, Process::Running { pid, .. } if pid == of) {
            return;
        }
        self.takes_patches = able.is_ok();
        let (level, message) = match able {
            Ok(()) => {
                let promise = "what is safe to change is changed while it runs";
                (Level::Info, format!("PID {of} takes patches: {promise}"))
            }
            Err(why) => (Level::Warning, format!("PID {of} cannot be patched: {why}; saves restart it")),
        };
        self.tell(Event::Notice { level, message });
    }

    pub(super) fn patched(&mut self, now: Instant, outcome: Outcome) {
        let Some(build) = self.build.as_mut().filter(|build| build.patches) else { return };
        let running = match self.process {
            Process::Running { pid, .. } => Some(pid),
            _ => None,
        };
        match (outcome, running) {
            _ if self.ending || build.cancelled => self.build = None,
            (Outcome::Patched(patched), Some(pid)) => {
                let since = self.applied(now);
                self.tell(told(pid, patched, since.map_or(0, |since| millis(now - since))));
                self.effects.push(Effect::BuildAhead);
            }
            (Outcome::Nothing, Some(pid)) => {
                self.applied(now);
                let reason = format!("no function that runs differs; PID {pid} keeps running");
                self.tell(Event::Verdict { rung: Rung::Nothing, reason });
            }
            (outcome, _) => {
                build.patches = false;
                if let Outcome::Restart(reason) = outcome {
                    // It is replaced; what it is and what is on disk have parted.
                    self.takes_patches = false;
                    self.parted = Some(reason.clone());
                    self.tell(Event::Verdict { rung: Rung::Restart, reason });
                }
                self.effects.push(Effect::Build);
            }
        }
    }

    /// The process runs what is on disk. Returns when the save was noticed.
    fn applied(&mut self, now: Instant) -> Option<Instant> {
        let build = self.build.take()?;
        self.is_patched = true;
        if build.mixed {
            self.since = build.since.or(self.since);
        }
        self.last_build = Some(Finished {
            digest: build.digest,
            certain: !build.mixed,
            succeeded: true,
            repeated: false,
            at: now,
        });
        build.since
    }
}

fn told(pid: i32, patched: Patched, ms: u64) -> Event {
    let Patched { generation, functions, link, stale, memory, took } = patched;
    let parts = [took.compile, took.link, took.load];
    let [compile_ms, link_ms, load_ms] = parts.map(millis);
    let gather_ms = ms.saturating_sub(parts.into_iter().map(millis).sum());
    let split = PatchSplit { gather_ms, compile_ms, link_ms, load_ms };
    let stale_goroutines = stale.iter().map(|(_, count)| count).sum();
    let (link, memory_bytes) = (link.name(), memory);
    Event::Patched { pid, generation, functions, link, stale_goroutines, memory_bytes, ms, split }
}
