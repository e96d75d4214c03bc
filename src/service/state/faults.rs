//! What follows when a process ends by itself: one that started badly gives way, once, to what ran before it; any
//! other is started again, after a pause that grows, until it has ended too often.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::record::{Event, Level};
use crate::service::protocol::Launch;

/// How far back ends count.
const WINDOW: Duration = Duration::from_secs(60);

/// After so many ends within [`WINDOW`] nothing is started any more.
const TOO_MANY: usize = 5;

/// How long after the first, second, ... of these ends the process is started again.
const PAUSES: [Duration; TOO_MANY - 1] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// The ends of a service's processes, and what they lead to.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// When a process ended by itself, oldest first.
    ends: VecDeque<Instant>,
    /// What is started next, and when.
    next: Option<(Instant, Launch)>,
    /// Why what ran before runs again, until it is ready and that is told.
    back: Option<String>,
    /// Whether what runs, or ran last, is older than what was built last.
    is_old: bool,
}

impl Faults {
    /// When there is something to start.
    pub fn deadline(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// Whether what was built last was given up for what ran before it.
    pub fn is_old(&self) -> bool {
        self.is_old
    }

    /// Whether what ran before is about to run again.
    pub fn goes_back(&self) -> bool {
        matches!(self.next, Some((_, Launch::Back)))
    }

    /// This is started as soon as it can be.
    pub fn wait(&mut self, now: Instant, launch: Launch) {
        self.next = Some((now, launch));
    }

    /// Nothing is to be started by itself.
    pub fn call_off(&mut self) {
        self.next = None;
    }

    /// What is to be started now.
    pub fn due(&mut self, now: Instant) -> Option<Launch> {
        self.next.take_if(|(at, _)| *at <= now).map(|(_, launch)| launch)
    }

    /// Something else is started: what was before does not count any more.
    pub fn forget(&mut self) {
        *self = Faults::default();
    }

    /// The process ended at `now`, for that `reason`, before it counted as good. Returns what to tell.
    pub fn bad_start(&mut self, now: Instant, reason: String, fallback: bool) -> Option<Event> {
        if fallback {
            self.next = Some((now, Launch::Back));
            self.back = Some(reason);
            self.is_old = true;
            return None;
        }
        Some(self.crash(now, &reason))
    }

    /// What ran before goes on in its place.
    pub fn went_back(&mut self) {
        *self = Faults { is_old: true, ..Faults::default() };
    }

    /// The process ended at `now`, for that `reason`, although it was good. Returns what to tell.
    pub fn crash(&mut self, now: Instant, reason: &str) -> Event {
        self.ends.retain(|&end| now < end + WINDOW);
        self.ends.push_back(now);
        let Some(&pause) = PAUSES.get(self.ends.len() - 1) else {
            self.ends.clear();
            let reason = format!(
                "{reason}; that was the end number {TOO_MANY} within {} s. The next save starts it again, as does \
                 `hotwatch restart`",
                WINDOW.as_secs()
            );
            return Event::Held { reason };
        };
        self.next = Some((now + pause, Launch::Again));
        let message = format!("{reason}; it is started again in {}", humantime::format_duration(pause));
        Event::Notice { level: Level::Warning, message }
    }

    /// What ran before is ready; returns why it runs, if it does.
    pub fn rolled_back(&mut self) -> Option<String> {
        self.back.take()
    }
}
