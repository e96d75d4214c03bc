//! The half of the machine that follows the process: from its start to its readiness, and to the end of its group.

use std::time::Instant;

use hotwatch_platform::process::Exit;

use super::{Effect, KILLED_GRACE, Machine, Process, millis};
use crate::record::Event;
use crate::service::protocol::Report;

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
                    self.process = Process::Starting { since: now };
                    self.effects.push(Effect::Start);
                }
            }
            _ => {}
        }
    }

    pub(super) fn started(&mut self, now: Instant, pid: i32) {
        if let Process::Starting { since } = self.process {
            self.split.start_ms = millis(now - since);
        }
        let late = Some(now + self.timing.ready_timeout);
        self.process = Process::Running { pid, started: now, ready: false, late };
        self.cooldown_until = Some(now + self.timing.cooldown);
        self.tell(Event::Started { pid });
        self.effects.push(Effect::Report(Report::Started));
        if self.ending {
            self.stop(now, Effect::Terminate);
        }
    }

    pub(super) fn ready(&mut self, now: Instant, of: i32) {
        let Process::Running { pid, started, ready: false, .. } = self.process else { return };
        if pid != of {
            return;
        }
        self.process = Process::Running { pid, started, ready: true, late: None };
        self.tell(Event::Ready { pid, ms: millis(now - started) });
        if let Some(since) = self.serving.take() {
            let old_pid = self.old_pid.take();
            let (ms, mut split) = (millis(now - since), std::mem::take(&mut self.split));
            split.ready_ms = millis(now - started);
            let accounted = split.build_ms + split.stop_ms + split.start_ms + split.ready_ms;
            split.wait_ms = ms.saturating_sub(accounted);
            self.tell(Event::Restarted { old_pid, pid, ms, split });
        }
        self.effects.push(Effect::Report(Report::Ready));
    }

    pub(super) fn exited(&mut self, now: Instant, of: i32, exit: Exit) {
        let Process::Running { pid, ready, .. } = self.process else { return };
        if pid != of {
            return;
        }
        let (code, signal) = match exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(signal) => (None, Some(signal)),
        };
        self.tell(Event::Exited { pid, code, signal });
        if !ready {
            self.effects.push(Effect::Report(Report::Failed));
        }
        // A service is its leader: what it leaves behind would hold its port.
        self.end(now, pid, false);
        self.effects.push(Effect::Terminate);
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
