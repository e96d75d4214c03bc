//! The half of the machine that follows the newest process: from its start to its readiness, and until it counts
//! as good or gives way to what ran before it.

use std::time::{Duration, Instant};

use hotwatch_platform::process::Exit;

use super::{Attempt, Effect, Machine, Process, Stage, Standby, millis};
use crate::record::{Event, Level, Split};
use crate::service::protocol::{Launch, Report};

impl Machine {
    /// Makes way for a new binary, and starts it once there is room.
    pub(super) fn replace_if_possible(&mut self, now: Instant) {
        match self.process {
            Process::Running { pid, stage, .. }
                if self.fresh.is_some() && !self.held && !self.is_cooling(now) =>
            {
                // What takes the place of another is a restart, whatever it was built for.
                self.fresh = self.fresh.map(|since| since.or(Some(now)));
                let serves = !matches!(stage, Stage::Awaited { .. });
                let overlaps = self.timing.drain.is_some();
                if serves || !overlaps {
                    self.old_pid = Some(pid);
                }
                if serves && overlaps {
                    // It is what there is to go back to; whoever went before it is needed no longer.
                    self.is_good = true;
                    let older = self.standby.replace(Standby { pid, stage, drained: None });
                    older.into_iter().for_each(|older| self.drain(now, older));
                    self.start_fresh(now);
                } else {
                    self.stopping = Some(now);
                    self.process = Process::Ending(self.terminate(now, pid, true));
                }
            }
            Process::None if self.may_start() => {
                if self.fresh.is_some() {
                    self.start_fresh(now);
                } else if self.is_patched {
                    // The binary is older than what ran: a build is under way.
                } else if let Some(launch) = self.faults.due(now) {
                    self.start(now, launch);
                }
            }
            _ => {}
        }
    }

    fn start_fresh(&mut self, now: Instant) {
        self.serving = self.fresh.take().flatten();
        self.must_restart = false;
        let mut split = std::mem::take(&mut self.split);
        split.stop_ms = self.stopping.take().map_or(0, |since| millis(now - since));
        self.attempt = Some(Attempt { since: self.serving.unwrap_or(now), started: now, split });
        self.faults.forget();
        let keep = std::mem::take(&mut self.is_good);
        self.fallback |= keep;
        self.start(now, Launch::New { keep });
    }

    fn start(&mut self, now: Instant, launch: Launch) {
        self.takes_patches = false;
        self.parted = None;
        if launch == Launch::Back {
            (self.fallback, self.is_good) = (false, true);
        }
        self.process = Process::Starting { since: now, launch };
        self.effects.push(Effect::Start(launch));
    }

    pub(super) fn started(&mut self, now: Instant, pid: i32) {
        if let Process::Starting { since, launch } = self.process {
            // What runs again after a bad attempt is what that has led to, and no attempt of its own.
            if let Some(attempt) = self.attempt.as_mut().filter(|_| launch != Launch::Back) {
                attempt.started = now;
                attempt.split.start_ms = millis(now - since);
            }
            // Who starts again what has ended does not wait for saves.
            if matches!(launch, Launch::New { .. }) {
                self.cooldown_until = Some(now + self.timing.cooldown);
            }
        }
        let late = Some(now + self.timing.ready_timeout);
        self.process = Process::Running { pid, started: now, stage: Stage::Awaited { late } };
        self.tell(Event::Started { pid });
        self.effects.push(Effect::Report(Report::Started));
        if self.ending {
            self.stop(now, false);
        }
    }

    /// What was to be started has to wait.
    pub(super) fn out_of_reach(&mut self, now: Instant) {
        match self.process {
            Process::Starting { launch: Launch::New { .. }, .. } => self.fresh = Some(self.serving.take()),
            Process::Starting { launch, .. } => self.faults.wait(now, launch),
            _ => {}
        }
        self.process = Process::None;
        self.away = true;
    }

    pub(super) fn not_started(&mut self, now: Instant, reason: String) {
        self.process = Process::None;
        if self.standby.is_none() {
            self.effects.push(Effect::Report(Report::Failed));
        }
        let error = Event::Notice { level: Level::Error, message: reason.clone() };
        let words = self.bad_start(now, reason);
        self.tell(words.unwrap_or(error));
    }

    pub(super) fn ready(&mut self, now: Instant, of: i32) {
        let Process::Running { pid, started, stage: Stage::Awaited { .. } } = self.process else { return };
        if pid != of {
            return;
        }
        let stage = Stage::Settling { until: now + self.timing.settle };
        self.process = Process::Running { pid, started, stage };
        if let Some(drain) = self.timing.drain {
            self.effects.push(Effect::Switch(Some(pid)));
            self.standby.iter_mut().for_each(|standby| standby.drained = Some(now + drain));
        }
        self.tell(Event::Ready { pid, ms: millis(now - started) });
        if let Some(reason) = self.faults.rolled_back() {
            (self.serving, self.old_pid) = (None, None);
            let (ms, split) = self.spent(now);
            self.tell(Event::RolledBack { reason, pid, started: true, ms, split });
        } else if self.serving.take().is_some() {
            let old_pid = self.old_pid.take();
            let (ms, split) = self.spent(now);
            self.tell(Event::Restarted { old_pid, pid, ms, split });
        }
        self.effects.push(Effect::Report(Report::Ready));
        self.settle_if_due(now);
    }

    /// A process that has stayed up for long enough is what the next one is measured against.
    pub(super) fn settle_if_due(&mut self, now: Instant) {
        if let Process::Running { pid, stage: stage @ Stage::Settling { .. }, .. } = &mut self.process
            && stage.deadline().is_some_and(|until| until <= now)
        {
            let pid = *pid;
            *stage = Stage::Settled;
            self.tell(Event::Good { pid });
            self.effects.push(Effect::Prepare);
            self.is_good = true;
            if std::mem::take(&mut self.fallback) {
                self.effects.push(Effect::Keep);
            }
            if let Some(standby) = self.standby.take() {
                self.drain(now, standby);
            }
        }
    }

    /// The process has taken too long to become ready.
    pub(super) fn late(&mut self, now: Instant) {
        let Process::Running { pid, stage: Stage::Awaited { late }, .. } = &mut self.process else { return };
        let pid = *pid;
        *late = None;
        self.effects.push(Effect::TellLate { pid, gives_up: self.fallback });
        if self.standby.is_none() {
            self.effects.push(Effect::Report(Report::Failed));
        }
        if self.fallback {
            let timeout = humantime::format_duration(self.timing.ready_timeout);
            self.process = Process::Ending(self.terminate(now, pid, true));
            let words = self.bad_start(now, format!("PID {pid} was not ready after {timeout}"));
            self.effects.extend(words.map(Effect::Tell));
        }
    }

    pub(super) fn exited(&mut self, now: Instant, of: i32, exit: Exit) {
        let (code, signal) = match exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        let (started, stage) = match self.process {
            Process::Running { pid, started, stage } if pid == of => (started, stage),
            _ => return self.other_exited(now, of),
        };
        self.tell(Event::Exited { pid: of, code, signal });
        if matches!(stage, Stage::Awaited { .. }) && self.standby.is_none() {
            self.effects.push(Effect::Report(Report::Failed));
        }
        if self.timing.drain.is_some() && self.standby.is_none() {
            self.effects.push(Effect::Switch(None));
        }
        // A service is its leader: what it leaves behind would hold its port.
        self.process = Process::Ending(self.terminate(now, of, false));
        if self.fresh.is_some() && self.standby.is_none() {
            // Another one takes its place anyway.
            return;
        }
        let words = match stage {
            _ if self.away && self.standby.is_none() => {
                let message =
                    format!("PID {of} ended with {exit}, as what it ran in did; it is started there again");
                self.faults.wait(now, Launch::Again);
                Some(Event::Notice { level: Level::Warning, message })
            }
            // It has done what it was there for.
            Stage::Settling { .. } | Stage::Settled if exit == Exit::Code(0) && self.standby.is_none() => {
                let message = "it has ended by itself; the next save starts it again".to_owned();
                Some(Event::Notice { level: Level::Info, message })
            }
            Stage::Awaited { .. } | Stage::Settling { .. } => {
                let after = humantime::format_duration(Duration::from_millis(millis(now - started)));
                self.bad_start(now, format!("PID {of} ended after {after} with {exit}"))
            }
            Stage::Settled => Some(self.faults.crash(now, &format!("PID {of} ended with {exit}"))),
        };
        self.effects.extend(words.map(Effect::Tell));
    }

    /// What was started last gives way to what ran before it, for that `reason`. Returns what to tell if nothing did.
    fn bad_start(&mut self, now: Instant, reason: String) -> Option<Event> {
        let Some(Standby { pid, stage, .. }) = self.standby.take() else {
            return self.faults.bad_start(now, reason, self.fallback);
        };
        if let Process::Ending(leaving) = self.process {
            self.leaving.push(leaving);
        }
        self.effects.extend([Effect::Restore, Effect::Switch(Some(pid))]);
        self.process = Process::Running { pid, started: now, stage };
        (self.fallback, self.is_good) = (false, true);
        (self.serving, self.old_pid) = (None, None);
        self.faults.went_back();
        self.effects.push(Effect::Report(Report::Ready));
        let (ms, split) = self.spent(now);
        Some(Event::RolledBack { reason, pid, started: false, ms, split })
    }

    /// How long the last attempt at another process has taken up to `now`, and where that went.
    fn spent(&self, now: Instant) -> (u64, Split) {
        let Some(Attempt { since, started, mut split }) = self.attempt else { return (0, Split::default()) };
        let ms = millis(now - since);
        split.ready_ms = millis(now - started);
        let accounted = split.build_ms + split.stop_ms + split.start_ms + split.ready_ms;
        split.wait_ms = ms.saturating_sub(accounted);
        (ms, split)
    }
}
