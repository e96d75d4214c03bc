//! The part of the machine that does what a user asks of one service. Who was stopped by its user stays down, and is
//! not built either, until it is asked for again; what was saved meanwhile is built then.

use std::time::Instant;

use super::{Machine, Process};
use crate::record::{Event, Level};
use crate::service::protocol::Ask;

impl Machine {
    pub(super) fn asked(&mut self, now: Instant, ask: Ask) {
        self.busy = true;
        match ask {
            Ask::Stop if self.down => self.answer("it is stopped already".to_owned()),
            Ask::Stop => {
                self.down = true;
                self.fresh = None;
                self.faults.call_off();
                self.cancel();
                self.leave_all(now);
            }
            Ask::Start => match self.process {
                Process::Running { pid, .. } if !self.down => {
                    self.answer(format!("PID {pid} runs already"));
                }
                _ => self.run_again(now),
            },
            Ask::Restart => self.run_again(now),
            Ask::Build => self.build_again(now),
        }
    }

    fn run_again(&mut self, now: Instant) {
        self.down = false;
        self.cooldown_until = None;
        if self.has_binary {
            self.renew(now);
        }
        if self.last_build.is_some_and(|last| !last.succeeded) {
            self.build_again(now);
        }
    }

    fn build_again(&mut self, now: Instant) {
        self.cooldown_until = None;
        self.wants_binary = true;
        if let Some(last) = &mut self.last_build {
            (last.certain, last.repeated) = (false, false);
        }
        // One that runs already, or is run again in place of it, is for an older save.
        if self.build.is_none() {
            self.since.get_or_insert(now);
        }
    }

    fn answer(&mut self, message: String) {
        self.tell(Event::Notice { level: Level::Info, message });
    }
}
