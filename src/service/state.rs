//! What a service does next, as a pure machine: inputs go in, effects come out, and time is passed in. It holds
//! the promises of a reload. A failed build leaves the old process alone. A build is cancelled only by a save
//! that it has not read, and at most three times in a row. After a restart saves are gathered for a while, and
//! what then differs from what the last build read is built. There are never two processes at once.

use std::time::{Duration, Instant};

use hotwatch_platform::process::Exit;

use super::protocol::{Changed, Effect, Input, Made, Renewal, Report, Timing};
use crate::change::Digest;
use crate::record::{Event, Failure, Level, Rung, Split};

/// How often in a row a running build gives way to a newer save.
const CANCELS_IN_A_ROW: u32 = 3;

/// How long a killed group may take to vanish before the service goes on without it.
const KILLED_GRACE: Duration = Duration::from_secs(5);

/// How long after a write its event may be read.
const NOTICED_LATE: Duration = Duration::from_millis(50);

/// When a running build is first mentioned as taking long; then at every doubling.
const LONG_BUILD: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Build {
    /// What it reads.
    digest: Digest,
    /// When the save behind it was noticed; `None` for the first build.
    since: Option<Instant>,
    cancelled: bool,
    /// Whether the save behind it is known to be complete. Before that nobody is told of it.
    settled: bool,
    /// Whether something was saved while it ran, so that nobody knows what it has read.
    mixed: bool,
    /// Whether it only repeats the last one, to be certain. What is saved without a change while it runs is
    /// likely its own doing (a generator that writes the same again), and no reason for yet another.
    repeats: bool,
    /// `None` while it waits for others.
    begun: Option<Begun>,
    /// How it ended, while the save behind it may still go on.
    ended: Option<(Instant, Result<Made, Failure>)>,
}

/// A build that was not cancelled.
#[derive(Debug, Clone, Copy)]
struct Finished {
    digest: Digest,
    /// Whether that is what it has read, all of it.
    certain: bool,
    succeeded: bool,
    repeated: bool,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    /// When it is mentioned that this takes long.
    mention: Instant,
}

#[derive(Debug)]
enum Process {
    None,
    /// [`Effect::Start`] was given.
    Starting {
        since: Instant,
    },
    Running {
        pid: i32,
        started: Instant,
        ready: bool,
        /// When the user is told that it is still not ready.
        late: Option<Instant>,
    },
    /// On its way out, asked to or not.
    Ending {
        pid: i32,
        asked: bool,
        killed: bool,
        deadline: Instant,
    },
}

/// A service's state.
#[derive(Debug)]
pub struct Machine {
    timing: Timing,
    /// Whether its turn to start has come.
    launched: bool,
    ending: bool,
    /// The identity of the inputs on disk.
    wanted: Digest,
    /// When the oldest save that no build has read was noticed.
    since: Option<Instant>,
    /// `None` before the first build has ended.
    last_build: Option<Finished>,
    build: Option<Build>,
    cancels: u32,
    /// Whether the save behind [`Machine::wanted`] is complete.
    settled: bool,
    /// Whether to restart even if the next binary is the same program.
    must_restart: bool,
    /// A new binary waits to be started, for a save noticed then.
    fresh: Option<Option<Instant>>,
    process: Process,
    /// The save that the running process was started for.
    serving: Option<Instant>,
    /// The process that ran before.
    old_pid: Option<i32>,
    /// Where the time of the current reload has gone so far.
    split: Split,
    /// When a process was asked to make way for the next.
    stopping: Option<Instant>,
    cooldown_until: Option<Instant>,
    effects: Vec<Effect>,
}

impl Machine {
    /// A service that has not been built yet. Its first [`Input::Tick`] starts the first build.
    pub fn new(timing: Timing) -> Machine {
        Machine {
            timing,
            launched: false,
            ending: false,
            wanted: Digest::default(),
            since: None,
            last_build: None,
            build: None,
            cancels: 0,
            settled: true,
            must_restart: false,
            split: Split::default(),
            stopping: None,
            fresh: None,
            process: Process::None,
            serving: None,
            old_pid: None,
            cooldown_until: None,
            effects: Vec::new(),
        }
    }

    /// Keeps to other times from now on.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Whether a process runs that is not ready yet.
    pub fn awaits_readiness(&self) -> bool {
        matches!(self.process, Process::Running { ready: false, .. })
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let to_replace = self.fresh.is_some() && matches!(self.process, Process::Running { .. });
        let to_build = self.build.is_none() && self.is_stale();
        let cooldown = self.cooldown_until.filter(|_| !self.ending && (to_replace || to_build));
        let build = self.build.as_ref().filter(|build| build.settled && build.ended.is_none());
        let build = build.and_then(|build| build.begun).map(|begun| begun.mention);
        let process = match self.process {
            Process::Running { late, .. } => late,
            Process::Ending { deadline, .. } => Some(deadline),
            Process::None | Process::Starting { .. } => None,
        };
        [cooldown, build, process].into_iter().flatten().min()
    }

    /// Takes in what happened at `now`; returns what is to be done.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        match input {
            Input::Launch => self.launched = true,
            Input::Changed(changed) => self.changed(now, changed),
            Input::Rebased { from, to } => self.rebased(from, to),
            Input::Generated { digest, since } => self.generated(now, digest, since),
            Input::Reconfigured { how: Renewal::None, .. } => {}
            Input::Reconfigured { how, since, .. } => self.reconfigured(how == Renewal::Rebuild, since),
            Input::Touched { since } => self.touched(since),
            Input::Building => {
                if let Some(build) = self.build.as_mut().filter(|build| !build.cancelled) {
                    build.begun = Some(Begun { at: now, mention: now + LONG_BUILD });
                    if build.settled {
                        self.tell(Event::Building);
                    }
                }
            }
            Input::Built(result) => self.built(now, result),
            // The actor has taken these in.
            Input::Feeds { .. } | Input::Fed { .. } | Input::Ended(_) => {}
            Input::Started { pid } => self.started(now, pid),
            Input::NotStarted(reason) => {
                self.process = Process::None;
                self.tell(Event::Notice { level: Level::Error, message: reason });
                self.effects.push(Effect::Report(Report::Failed));
            }
            Input::Ready { pid } => self.ready(now, pid),
            Input::Exited { pid, exit } => self.exited(now, pid, exit),
            Input::Gone { pid } => self.gone(pid),
            Input::Stop => self.stop(now, Effect::Terminate),
            Input::Kill => self.stop(now, Effect::Kill),
            Input::Tick => self.tick(now),
        }
        if self.ending
            && self.build.as_ref().is_none_or(|build| build.ended.is_some())
            && matches!(self.process, Process::None)
        {
            self.effects.push(Effect::Report(Report::Stopped));
        } else if !self.ending {
            self.replace_if_possible(now);
            self.build_if_needed(now);
        }
        std::mem::take(&mut self.effects)
    }

    fn tell(&mut self, event: Event) {
        self.effects.push(Effect::Tell(event));
    }

    /// Whether the last finished build read something else than what is there now, or may have.
    fn is_stale(&self) -> bool {
        self.last_build.is_none_or(|last| !last.certain || last.digest != self.wanted)
    }

    /// The save that was waiting has turned out to change nothing.
    fn back_to_last_build(&mut self) {
        self.since = None;
        self.cancels = 0;
        let reason = "the content is back to what the last build read; nothing to do".to_owned();
        self.tell(Event::Verdict { rung: Rung::Nothing, reason });
    }

    fn is_cooling(&self, now: Instant) -> bool {
        self.cooldown_until.is_some_and(|until| now < until)
    }

    fn changed(&mut self, now: Instant, changed: Changed) {
        let Changed { digest, since, settled, restart } = changed;
        self.wanted = digest;
        self.settled = settled;
        self.must_restart |= restart;
        let stale = self.is_stale();
        if let Some(build) = &mut self.build {
            build.mixed |= build.digest != digest;
        }
        if self.build.as_ref().is_none_or(|build| build.cancelled || build.digest != digest) {
            self.since.get_or_insert(since);
        }
        if !settled {
            return;
        }
        match &mut self.build {
            Some(build) if build.cancelled => {}
            Some(build) if build.digest == digest => {
                if !std::mem::replace(&mut build.settled, true) && build.begun.is_some() {
                    let ended = build.ended.take();
                    self.tell(Event::Building);
                    if let Some((at, result)) = ended {
                        self.built(at, result);
                    }
                }
            }
            // A build that was begun on a chance has told nobody, and costs nobody anything.
            Some(build) if !build.settled => {
                build.cancelled = true;
                match build.ended.take() {
                    Some((at, result)) => self.built(at, result),
                    None => self.effects.push(Effect::CancelBuild),
                }
            }
            Some(_) if self.cancels >= CANCELS_IN_A_ROW => {
                let reason = format!("cancelled {} builds in a row; this one finishes first", self.cancels);
                self.tell(Event::Verdict { rung: Rung::Restart, reason });
            }
            Some(build) => {
                build.cancelled = true;
                self.cancels += 1;
                self.effects.push(Effect::CancelBuild);
                let reason = "a newer save changed what it reads".to_owned();
                self.tell(Event::Cancelled { reason });
            }
            None if !stale => self.back_to_last_build(),
            None => {
                let left = self.cooldown_until.map(|until| until.saturating_duration_since(now));
                if let Some(left) = left.filter(|left| !left.is_zero()) {
                    let reason =
                        format!("gathered: it has just been restarted, {} ms to go", left.as_millis());
                    self.tell(Event::Verdict { rung: Rung::Restart, reason });
                }
            }
        }
    }

    fn rebased(&mut self, from: Digest, to: Digest) {
        let read = self.build.as_mut().map(|build| &mut build.digest);
        let read = read.into_iter().chain(self.last_build.as_mut().map(|last| &mut last.digest));
        // What has read something else must not become equal by accident.
        for digest in read.chain([&mut self.wanted]).filter(|digest| **digest == from) {
            *digest = to;
        }
    }

    fn generated(&mut self, now: Instant, digest: Digest, since: Instant) {
        let just_now = |last: &Finished| since <= last.at + NOTICED_LATE;
        match (&self.build, &self.last_build) {
            (Some(build), _) if build.digest == self.wanted && !build.cancelled => {}
            (None, Some(last)) if last.digest == self.wanted && just_now(last) => {}
            _ => return self.changed(now, Changed { digest, since, settled: true, restart: false }),
        }
        // Its own work: the compiler, which comes after it, reads the result.
        self.rebased(self.wanted, digest);
    }

    fn reconfigured(&mut self, rebuild: bool, since: Instant) {
        self.must_restart = true;
        if rebuild {
            self.since.get_or_insert(since);
            if let Some(last) = &mut self.last_build {
                last.certain = false;
                last.repeated = false;
            }
            if let Some(build) = self.build.as_mut().filter(|build| !build.cancelled) {
                build.cancelled = true;
                self.effects.push(Effect::CancelBuild);
            }
        } else if self.last_build.is_some_and(|last| last.succeeded) {
            self.fresh.get_or_insert(Some(since));
        }
    }

    fn touched(&mut self, since: Instant) {
        if let Some(build) = &mut self.build {
            build.mixed |= !build.repeats;
            return;
        }
        let Some(last) = &mut self.last_build else { return };
        if last.repeated && since <= last.at + NOTICED_LATE {
            return;
        }
        if since <= last.at || !last.succeeded {
            // Some file may have been empty, or half there, when the build came by.
            last.certain = false;
            self.since.get_or_insert(since);
        } else if matches!(self.process, Process::None) {
            // It has ended by itself, and the user asks for it again.
            self.fresh.get_or_insert(Some(since));
        }
    }

    fn build_if_needed(&mut self, now: Instant) {
        if self.build.is_some() || !self.is_stale() || self.is_cooling(now) {
            return;
        }
        let repeats = self.last_build.is_some_and(|last| last.digest == self.wanted);
        let since = self.since.take();
        self.build = Some(Build {
            digest: self.wanted,
            since,
            cancelled: false,
            settled: self.settled,
            mixed: false,
            repeats,
            begun: None,
            ended: None,
        });
        self.effects.push(Effect::Build);
    }

    fn built(&mut self, now: Instant, result: Result<Made, Failure>) {
        let Some(mut build) = self.build.take() else { return };
        if !build.settled && !build.cancelled {
            build.ended = Some((now, result));
            self.build = Some(build);
            return;
        }
        if self.ending {
            return;
        }
        let ms = build.begun.map_or(0, |begun| millis(now - begun.at));
        if build.cancelled {
            // The save it was made for is still waiting, and is older than the one that cancelled it.
            self.since = build.since.or(self.since);
            if !self.is_stale() {
                self.back_to_last_build();
            }
            return;
        }
        self.cancels = 0;
        self.last_build = Some(Finished {
            digest: build.digest,
            certain: !build.mixed,
            succeeded: result.is_ok(),
            repeated: build.repeats,
            at: now,
        });
        match result {
            Ok(made) => {
                if made != Made::Nothing {
                    self.tell(Event::Build { ok: true, ms, failure: Failure::default() });
                }
                self.made(made, build.since, ms);
            }
            Err(failure) => {
                self.tell(Event::Build { ok: false, ms, failure });
                let reason = match self.process {
                    Process::Running { pid, .. } => format!("PID {pid} keeps running what was built before"),
                    Process::Starting { .. } | Process::Ending { asked: true, .. } => {
                        "what was built before is being started".to_owned()
                    }
                    Process::None | Process::Ending { asked: false, .. } => {
                        self.effects.push(Effect::Report(Report::Failed));
                        "still down; the next save builds it again".to_owned()
                    }
                };
                self.tell(Event::Verdict { rung: Rung::Nothing, reason });
            }
        }
    }

    /// A build succeeded, `ms` milliseconds after it began, for a save noticed at `since`.
    fn made(&mut self, made: Made, since: Option<Instant>, ms: u64) {
        match self.process {
            Process::Running { pid, .. } if made == Made::Same && !self.must_restart => {
                self.fresh = None;
                let reason = format!("the new binary is the same program; PID {pid} keeps running");
                self.tell(Event::Verdict { rung: Rung::Nothing, reason });
            }
            _ => {
                self.fresh = Some(since);
                self.split = Split { build_ms: ms, ..Split::default() };
            }
        }
    }

    /// Makes way for a new binary, and starts it once there is room.
    fn replace_if_possible(&mut self, now: Instant) {
        match self.process {
            Process::Running { pid, .. } if self.fresh.is_some() && !self.is_cooling(now) => {
                self.old_pid = Some(pid);
                self.stopping = Some(now);
                self.end(now, pid, true);
                self.effects.push(Effect::Terminate);
            }
            Process::None if self.launched => {
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

    fn started(&mut self, now: Instant, pid: i32) {
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

    fn ready(&mut self, now: Instant, of: i32) {
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

    fn exited(&mut self, now: Instant, of: i32, exit: Exit) {
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

    fn gone(&mut self, of: i32) {
        if let Process::Ending { pid, asked, .. } = self.process
            && pid == of
        {
            if asked {
                self.tell(Event::Stopped { pid });
            }
            self.process = Process::None;
        }
    }

    fn stop(&mut self, now: Instant, how: Effect) {
        self.ending = true;
        if let Some(build) = &mut self.build
            && !build.cancelled
        {
            build.cancelled = true;
            self.effects.push(Effect::CancelBuild);
        }
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

    fn end(&mut self, now: Instant, pid: i32, asked: bool) {
        self.process = Process::Ending { pid, asked, killed: false, deadline: now + self.timing.grace };
    }

    fn killed(&mut self, now: Instant) {
        if let Process::Ending { killed, deadline, .. } = &mut self.process {
            *killed = true;
            *deadline = now + KILLED_GRACE;
        }
    }

    fn tick(&mut self, now: Instant) {
        let begun = self.build.as_mut().and_then(|build| build.begun.as_mut());
        if let Some(begun) = begun.filter(|begun| begun.mention <= now) {
            let elapsed = now - begun.at;
            begun.mention = now + elapsed;
            self.tell(Event::StillBuilding { ms: millis(elapsed) });
        }
        match &mut self.process {
            Process::Running { late, .. } if late.is_some_and(|late| late <= now) => {
                *late = None;
                self.effects.push(Effect::TellLate);
                self.effects.push(Effect::Report(Report::Failed));
            }
            &mut Process::Ending { pid, killed: true, deadline, .. } if deadline <= now => {
                let message = format!("the process group {pid} does not end although it was killed");
                self.tell(Event::Notice { level: Level::Warning, message });
                self.effects.push(Effect::Abandon);
                self.gone(pid);
            }
            Process::Ending { killed: false, deadline, asked, .. } if *deadline <= now => {
                if *asked {
                    let grace = humantime::format_duration(self.timing.grace);
                    let message = format!("did not stop within {grace}; killed");
                    self.tell(Event::Notice { level: Level::Warning, message });
                }
                self.killed(now);
                self.effects.push(Effect::Kill);
            }
            _ => {}
        }
    }
}

/// Whole milliseconds, rounded down.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
