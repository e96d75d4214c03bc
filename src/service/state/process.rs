//! The half of the machine that follows the process: from its start to its readiness, until it counts as good, and
//! to the end of its group.

use std::time::Instant;

use hotwatch_platform::process::Exit;

use super::{Effect, KILLED_GRACE, Machine, Process, Stage, millis};
use crate::record::{Event, Level};
use crate::service::protocol::{Launch, Report};

impl Machine {
    /// Makes way for a new binary, and starts it once there is room.
    pub(super) fn replace_if_possible(&mut self, now: Instant) {
        match self.process {
            Process::Running { pid, .. } if self.fresh.is_some() && !self.held && !self.is_cooling(now) => {
                self.old_pid = Some(pid);
                self.stopping = Some(now);
                // What takes the place of another is a restart, whatever it was built for.
                self.fresh = self.fresh.map(|since| since.or(Some(now)));
                self.end(now, pid, true);
                self.effects.push(Effect::Terminate);
            }
            Process::None if self.launched && !self.held && !self.down => {
                if let Some(since) = self.fresh.take() {
                    self.serving = since;
                    self.must_restart = false;
                    self.split.stop_ms = self.stopping.take().map_or(0, |since| millis(now - since));
                    self.faults.forget();
                    let keep = std::mem::take(&mut self.is_good);
                    self.fallback |= keep;
                    self.start(now, Launch::New { keep });
                } else if let Some(launch) = self.faults.due(now) {
                    self.start(now, launch);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, now: Instant, launch: Launch) {
        if launch == Launch::Back {
            (self.fallback, self.is_good) = (false, true);
        }
        self.process = Process::Starting { since: now, launch };
        self.effects.push(Effect::Start(launch));
    }

    pub(super) fn started(&mut self, now: Instant, pid: i32) {
        if let Process::Starting { since, launch } = self.process {
            self.split.start_ms = millis(now - since);
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
            self.stop(now, Effect::Terminate);
        }
    }

    pub(super) fn not_started(&mut self, now: Instant, reason: String) {
        self.process = Process::None;
        self.effects.push(Effect::Report(Report::Failed));
        let words = self.faults.bad_start(now, reason.clone(), self.fallback);
        self.tell(words.unwrap_or(Event::Notice { level: Level::Error, message: reason }));
    }

    pub(super) fn ready(&mut self, now: Instant, of: i32) {
        let Process::Running { pid, started, stage: Stage::Awaited { .. } } = self.process else { return };
        if pid != of {
            return;
        }
        let stage = Stage::Settling { until: now + self.timing.settle };
        self.process = Process::Running { pid, started, stage };
        self.tell(Event::Ready { pid, ms: millis(now - started) });
        if let Some(reason) = self.faults.rolled_back() {
            (self.serving, self.old_pid) = (None, None);
            self.tell(Event::RolledBack { reason, pid });
        } else if let Some(since) = self.serving.take() {
            let old_pid = self.old_pid.take();
            let (ms, mut split) = (millis(now - since), std::mem::take(&mut self.split));
            split.ready_ms = millis(now - started);
            let accounted = split.build_ms + split.stop_ms + split.start_ms + split.ready_ms;
            split.wait_ms = ms.saturating_sub(accounted);
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
            self.tell(Event::Settled { pid });
            self.is_good = true;
            if std::mem::take(&mut self.fallback) {
                self.effects.push(Effect::Keep);
            }
        }
    }

    /// The process has taken too long to become ready.
    pub(super) fn late(&mut self, now: Instant) {
        let Process::Running { pid, stage: Stage::Awaited { late }, .. } = &mut self.process else { return };
        let pid = *pid;
        *late = None;
        self.effects.push(Effect::TellLate { gives_up: self.fallback });
        self.effects.push(Effect::Report(Report::Failed));
        if self.fallback {
            let timeout = humantime::format_duration(self.timing.ready_timeout);
            self.faults.bad_start(now, format!("PID {pid} was not ready after {timeout}"), true);
            self.end(now, pid, true);
            self.effects.push(Effect::Terminate);
        }
    }

    pub(super) fn exited(&mut self, now: Instant, of: i32, exit: Exit) {
        let Process::Running { pid, started, stage } = self.process else { return };
        if pid != of {
            return;
        }
        let (code, signal) = match exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        self.tell(Event::Exited { pid, code, signal });
        if matches!(stage, Stage::Awaited { .. }) {
            self.effects.push(Effect::Report(Report::Failed));
        }
        // A service is its leader: what it leaves behind would hold its port.
        self.end(now, pid, false);
        self.effects.push(Effect::Terminate);
        if self.fresh.is_some() {
            // Another one takes its place anyway.
            return;
        }
        let after = humantime::format_duration(std::time::Duration::from_millis(millis(now - started)));
        match stage {
            // It has done what it was there for.
            Stage::Settling { .. } | Stage::Settled if exit == Exit::Code(0) => {
                let message = "it has ended by itself; the next save starts it again".to_owned();
                self.tell(Event::Notice { level: Level::Info, message });
            }
            Stage::Awaited { .. } | Stage::Settling { .. } => {
                let reason = format!("PID {pid} ended after {after} with {exit}");
                let words = self.faults.bad_start(now, reason, self.fallback);
                self.effects.extend(words.map(Effect::Tell));
            }
            Stage::Settled => {
                let words = self.faults.crash(now, format!("PID {pid} ended with {exit}"));
                self.tell(words);
            }
        }
    }

    pub(super) fn gone(&mut self, of: i32) {
        if let Process::Ending { pid, asked, .. } = self.process
            && pid == of
        {
            if asked {
                self.tell(Event::Stopped { pid });
            }
            self.process = Process::None;
        }
    }

    pub(super) fn stop(&mut self, now: Instant, how: Effect) {
        self.ending = true;
        self.cancel();
        match self.process {
            Process::None | Process::Starting { .. } => {}
            Process::Ending { .. } if how == Effect::Terminate => {}
            Process::Running { pid, .. } | Process::Ending { pid, .. } => {
                self.end(now, pid, true);
                if how == Effect::Kill {
                    self.killed(now);
                }
                self.effects.push(how);
            }
        }
    }

    pub(super) fn end(&mut self, now: Instant, pid: i32, asked: bool) {
        self.process = Process::Ending { pid, asked, killed: false, deadline: now + self.timing.grace };
    }

    pub(super) fn killed(&mut self, now: Instant) {
        if let Process::Ending { killed, deadline, .. } = &mut self.process {
            *killed = true;
            *deadline = now + KILLED_GRACE;
        }
    }
}
