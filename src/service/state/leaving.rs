//! The part of the machine that follows processes on their way out: asked to stop, killed when they take too long,
//! given up when even that does not help. Where somebody else holds the port several may be on their way at once:
//! one that was replaced stays until its successor counts as good, then finishes what it has begun, and only then
//! is asked to stop.

use std::time::{Duration, Instant};

use super::{Effect, Machine, Process, Stage};
use crate::record::{Event, Level};

/// How long a killed group may take to vanish before the service goes on without it.
const KILLED_GRACE: Duration = Duration::from_secs(5);

/// A process whose successor has been started and does not count as good yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standby {
    pub pid: i32,
    /// How far it has come itself.
    pub stage: Stage,
    /// When it has had its time to finish what it has begun; `None` while it still gets more.
    pub drained: Option<Instant>,
}

/// A process on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub pid: i32,
    /// Whether that was asked of it.
    pub asked: bool,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// It finishes what it has begun, and is asked to stop then at the latest.
    Draining { until: Instant },
    /// It was asked to stop, and is killed then.
    Terminated { until: Instant },
    /// It was killed, and is given up then.
    Killed { until: Instant },
}

impl Leaving {
    /// When it is dealt with harder.
    pub fn deadline(&self) -> Instant {
        let (How::Draining { until } | How::Terminated { until } | How::Killed { until }) = self.how;
        until
    }
}

impl Machine {
    /// Ends what is left of the process `pid`, which may have ended itself.
    pub(super) fn terminate(&mut self, now: Instant, pid: i32, asked: bool) -> Leaving {
        self.effects.push(Effect::Terminate { pid });
        Leaving { pid, asked, how: How::Terminated { until: now + self.timing.grace } }
    }

    /// Asks `standby` to leave as soon as it has finished what it has begun.
    pub(super) fn drain(&mut self, now: Instant, standby: Standby) {
        let until = standby.drained.unwrap_or(now).max(now);
        self.effects.push(Effect::Retire { pid: standby.pid });
        self.leaving.push(Leaving { pid: standby.pid, asked: true, how: How::Draining { until } });
    }

    /// The process `pid` has nothing left to do.
    pub(super) fn idle(&mut self, now: Instant, pid: i32) {
        let drains = |leaving: &Leaving| leaving.pid == pid && matches!(leaving.how, How::Draining { .. });
        if let Some(index) = self.leaving.iter().position(drains) {
            self.leaving[index] = self.terminate(now, pid, true);
        }
    }

    /// The process `pid`, which is not the newest, has ended.
    pub(super) fn other_exited(&mut self, now: Instant, pid: i32) {
        if self.standby.take_if(|standby| standby.pid == pid).is_some() {
            if !matches!(self.process, Process::Running { stage: Stage::Settling { .. }, .. }) {
                self.effects.push(Effect::Switch(None));
            }
            let leaving = self.terminate(now, pid, false);
            self.leaving.push(leaving);
        }
        // What it leaves behind has to go as well.
        self.idle(now, pid);
    }

    /// Nothing of the process `pid` is left.
    pub(super) fn gone(&mut self, pid: i32) {
        let newest = match self.process {
            Process::Ending(leaving) if leaving.pid == pid => {
                self.process = Process::None;
                Some(leaving)
            }
            _ => None,
        };
        let other = self.leaving.iter().position(|leaving| leaving.pid == pid);
        let leaving = newest.or_else(|| other.map(|index| self.leaving.remove(index)));
        if leaving.is_some_and(|leaving| leaving.asked) {
            self.tell(Event::Stopped { pid });
        }
    }

    /// Asks every process to stop.
    pub(super) fn leave_all(&mut self, now: Instant) {
        let serves = self.standby.is_some() || matches!(self.process, Process::Running { .. });
        if serves && self.timing.drain.is_some() {
            self.effects.push(Effect::Switch(None));
        }
        if let Process::Running { pid, .. } = self.process {
            self.process = Process::Ending(self.terminate(now, pid, true));
        }
        if let Some(standby) = self.standby.take() {
            let leaving = self.terminate(now, standby.pid, true);
            self.leaving.push(leaving);
        }
        let draining: Vec<i32> = self.leaving.iter().map(|leaving| leaving.pid).collect();
        draining.into_iter().for_each(|pid| self.idle(now, pid));
    }

    /// Stops for good, at once if it is to `kill`.
    pub(super) fn stop(&mut self, now: Instant, kill: bool) {
        self.ending = true;
        self.faults.call_off();
        self.cancel();
        self.leave_all(now);
        if kill {
            self.each_leaving(|machine, leaving| machine.kill(now, leaving));
        }
    }

    /// Deals harder with who has had its time.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.each_leaving(|machine, leaving| {
            if now < leaving.deadline() {
                return Some(leaving);
            }
            let Leaving { pid, asked, how } = leaving;
            match how {
                How::Draining { .. } => Some(machine.terminate(now, pid, true)),
                How::Terminated { .. } => {
                    if asked {
                        let grace = humantime::format_duration(machine.timing.grace);
                        let message = format!("did not stop within {grace}; killed");
                        machine.tell(Event::Notice { level: Level::Warning, message });
                    }
                    machine.kill(now, leaving)
                }
                How::Killed { .. } => {
                    let message = format!("the process group {pid} does not end although it was killed");
                    machine.tell(Event::Notice { level: Level::Warning, message });
                    machine.effects.push(Effect::Abandon { pid });
                    if asked {
                        machine.tell(Event::Stopped { pid });
                    }
                    None
                }
            }
        });
    }

    fn kill(&mut self, now: Instant, leaving: Leaving) -> Option<Leaving> {
        self.effects.push(Effect::Kill { pid: leaving.pid });
        Some(Leaving { how: How::Killed { until: now + KILLED_GRACE }, ..leaving })
    }

    /// Replaces everyone on the way out by what `next` makes of them.
    fn each_leaving(&mut self, next: impl Fn(&mut Machine, Leaving) -> Option<Leaving>) {
        if let Process::Ending(leaving) = self.process {
            self.process = next(self, leaving).map_or(Process::None, Process::Ending);
        }
        let others = std::mem::take(&mut self.leaving);
        self.leaving = others.into_iter().filter_map(|leaving| next(self, leaving)).collect();
    }
}
