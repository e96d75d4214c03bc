//! What a service does next, as a pure machine: inputs go in, effects come out, and time is passed in. It holds
//! the promises of a reload. A failed build leaves the old process alone. A build is cancelled only by a save
//! that it has not read, and at most three times in a row. After a restart saves are gathered for a while, and
//! what then differs from what the last build read is built. There are never two processes at once.

mod asked;
mod building;
mod faults;
mod leaving;
mod patching;
mod process;

use std::time::{Duration, Instant};

use super::protocol::{Effect, Input, Launch, Renewal, Report, Timing};
use crate::change::Digest;
use crate::go::build::Made;
use crate::record::{Event, Failure, Split};
use faults::Faults;
use leaving::{Leaving, Standby};

/// How often in a row a running build gives way to a newer save.
const CANCELS_IN_A_ROW: u32 = 3;

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
    /// Whether the process is patched instead, as far as that goes.
    patches: bool,
    /// How it ended, while the save behind it may still go on.
    ended: Option<(Instant, Result<Made, Failure>)>,
}

impl Build {
    /// Whether people want to know that it still runs.
    fn is_to_be_mentioned(&self) -> bool {
        self.settled && !self.cancelled && self.ended.is_none()
    }
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

/// A process that was started in place of another, or is about to be.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// When the save behind it was noticed.
    since: Instant,
    started: Instant,
    /// Where the time went until then.
    split: Split,
}

#[derive(Debug)]
enum Process {
    None,
    /// [`Effect::Start`] was given.
    Starting {
        since: Instant,
        launch: Launch,
    },
    Running {
        pid: i32,
        started: Instant,
        stage: Stage,
    },
    /// On its way out.
    Ending(Leaving),
}

/// How far a process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is not ready yet, and late at that time, if it is not late already.
    Awaited { late: Option<Instant> },
    /// It is ready, and counts as good then.
    Settling { until: Instant },
    /// It is good.
    Settled,
}

impl Stage {
    fn deadline(self) -> Option<Instant> {
        match self {
            Stage::Awaited { late } => late,
            Stage::Settling { until } => Some(until),
            Stage::Settled => None,
        }
    }
}

/// A service's state.
#[derive(Debug)]
pub struct Machine {
    timing: Timing,
    /// Whether its turn to start has come.
    launched: bool,
    /// Whether what it depends on is being reloaded first.
    held: bool,
    /// Whether where it runs is out of reach, or not reached yet.
    away: bool,
    /// Whether it was looked for and is not there.
    lost: bool,
    /// Whether something is under way, or was asked for.
    busy: bool,
    ending: bool,
    /// Whether its user has stopped it.
    down: bool,
    /// The identity of the inputs on disk.
    wanted: Digest,
    /// When the oldest save that no build has read was noticed.
    since: Option<Instant>,
    /// `None` before the first build has ended.
    last_build: Option<Finished>,
    /// Whether there is something to start: some build has succeeded.
    has_binary: bool,
    build: Option<Build>,
    cancels: u32,
    /// Whether the save behind [`Machine::wanted`] is complete.
    settled: bool,
    /// Whether to restart even if the next binary is the same program.
    must_restart: bool,
    /// New settings, saved then, that the process takes over when the build has ended that is due anyway.
    settings: Option<Instant>,
    /// Whether saves can be applied to the process.
    takes_patches: bool,
    /// Why a save could not be applied to the process, which is to be replaced since.
    parted: Option<String>,
    /// Whether the process runs code that is newer than the binary.
    is_patched: bool,
    /// Whether a user has asked for a binary.
    wants_binary: bool,
    /// A new binary waits to be started, for a save noticed then.
    fresh: Option<Option<Instant>>,
    /// The process that was started last.
    process: Process,
    /// Where somebody else holds the port: the one before it, until that counts as good.
    standby: Option<Standby>,
    /// Those before that.
    leaving: Vec<Leaving>,
    /// Whether what was started last has stayed up for long enough.
    is_good: bool,
    /// Whether something good lies aside that may be started again.
    fallback: bool,
    faults: Faults,
    /// The save that the running process was started for.
    serving: Option<Instant>,
    /// The process that ran before.
    old_pid: Option<i32>,
    /// Where the time of what is to be started next has gone so far.
    split: Split,
    /// The newest attempt at another process.
    attempt: Option<Attempt>,
    /// When a process was asked to make way for the next.
    stopping: Option<Instant>,
    cooldown_until: Option<Instant>,
    effects: Vec<Effect>,
}

impl Machine {
    /// A service that has not been built yet. Its first [`Input::Tick`] starts the first build.
    /// It runs where is out of reach yet if it is `away`.
    pub fn new(timing: Timing, away: bool) -> Machine {
        Machine {
            timing,
            launched: false,
            held: false,
            away,
            lost: false,
            busy: true,
            ending: false,
            down: false,
            wanted: Digest::default(),
            since: None,
            last_build: None,
            has_binary: false,
            build: None,
            cancels: 0,
            settled: true,
            must_restart: false,
            takes_patches: false,
            parted: None,
            is_patched: false,
            wants_binary: false,
            settings: None,
            split: Split::default(),
            attempt: None,
            stopping: None,
            fresh: None,
            process: Process::None,
            standby: None,
            leaving: Vec::new(),
            is_good: false,
            fallback: false,
            faults: Faults::default(),
            serving: None,
            old_pid: None,
            cooldown_until: None,
            effects: Vec::new(),
        }
    }

    /// Whether a process may be started, if there is none.
    fn may_start(&self) -> bool {
        self.launched && !self.held && !self.down && !self.away
    }

    /// Whether where it runs is out of reach. When it is there again what should run is started.
    pub fn set_away(&mut self, away: bool) {
        self.away = away;
        let is_news = std::mem::replace(&mut self.lost, away) != away;
        let waits = matches!(self.process, Process::None) && !self.down;
        if away && is_news && waits && self.launched {
            // Nobody else is to wait for that.
            self.effects.push(Effect::Report(Report::Failed));
        }
        if !away && waits && self.has_binary && self.faults.deadline().is_none() {
            self.fresh.get_or_insert(None);
        }
    }

    /// It runs somewhere else from now on: in a target that is looked for first, or here.
    pub fn retarget(&mut self, is_target: bool) {
        (self.away, self.lost) = (is_target, false);
    }

    fn launch(&mut self) {
        self.launched = true;
        if self.lost {
            self.effects.push(Effect::Report(Report::Failed));
        }
    }

    /// Whether the process `pid` runs, and nobody has asked it to end.
    pub fn runs(&self, pid: i32) -> bool {
        matches!(self.process, Process::Running { pid: running, .. } if running == pid)
    }

    /// Whether the process, which has just ended, did so with what it ran in.
    pub fn ends_with_its_target(&mut self, away: bool) {
        self.away |= away;
    }

    /// Keeps to other times from now on.
    pub fn retime(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let to_replace =
            self.fresh.is_some() && !self.held && matches!(self.process, Process::Running { .. });
        let to_build = self.build.is_none() && self.is_due();
        let cooldown = self.cooldown_until.filter(|_| !self.ending && (to_replace || to_build));
        let build = self.build.as_ref().filter(|build| build.is_to_be_mentioned());
        let build = build.and_then(|build| build.begun).map(|begun| begun.mention);
        let process = match self.process {
            Process::Running { stage, .. } => stage.deadline(),
            Process::Ending(leaving) => Some(leaving.deadline()),
            Process::None if self.may_start() => self.faults.deadline(),
            Process::None | Process::Starting { .. } => None,
        };
        let leaving = self.leaving.iter().map(Leaving::deadline);
        [cooldown, build, process].into_iter().flatten().chain(leaving).min()
    }

    /// Takes in what happened at `now`; returns what is to be done.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        match input {
            Input::Launch => self.launch(),
            Input::Hold(held) => self.held = held,
            Input::Changed(changed) => self.changed(now, changed),
            Input::Rebased { from, to } => self.rebased(from, to),
            Input::Generated { digest, since } => self.generated(now, digest, since),
            Input::Reconfigured { how: Renewal::None, .. } => {}
            Input::Reconfigured { how, since, .. } => self.reconfigured(how == Renewal::Rebuild, since),
            Input::Touched { since, generated } => self.touched(since, generated),
            Input::Beside { since } => self.beside(since),
            Input::Building => {
                if let Some(build) = self.build.as_mut().filter(|build| !build.cancelled) {
                    build.begun = Some(Begun { at: now, mention: now + LONG_BUILD });
                    if build.settled {
                        self.tell(Event::Building);
                    }
                }
            }
            Input::Built(result) => self.built(now, result),
            Input::Patchable { pid, able } => self.patchable(pid, able),
            Input::Patched(outcome) => self.patched(now, outcome),
            // The actor has taken these in.
            Input::Feeds { .. } | Input::Fed { .. } | Input::Ended(_) => {}
            Input::Prepared(_) | Input::BuiltAhead(..) => {}
            Input::Reach { .. } | Input::Sync(_) => {}
            Input::Renewed { since, runs, .. } => self.renewed(since, runs),
            Input::Started { pid } => self.started(now, pid),
            Input::NotStarted(reason) => self.not_started(now, reason),
            Input::Away(away) => self.set_away(away),
            Input::OutOfReach => self.out_of_reach(now),
            Input::Ready { pid } => self.ready(now, pid),
            Input::Exited { pid, exit } => self.exited(now, pid, exit),
            Input::Idle { pid } => self.idle(now, pid),
            Input::Gone { pid } => self.gone(pid),
            Input::Ask(ask) => self.asked(now, ask),
            Input::Weigh(reply) => self.effects.push(Effect::Weigh(self.standing(), reply)),
            Input::Stop => self.stop(now, false),
            Input::Kill => self.stop(now, true),
            Input::Tick => self.tick(now),
        }
        if self.ending
            && self.build.as_ref().is_none_or(|build| build.ended.is_some())
            && matches!(self.process, Process::None)
            && self.leaving.is_empty()
        {
            self.effects.push(Effect::Report(Report::Stopped));
        } else if !self.ending {
            self.replace_if_possible(now);
            self.build_if_needed(now);
        }
        let is_busy = self.is_busy();
        if std::mem::replace(&mut self.busy, is_busy) && !is_busy && !self.ending {
            self.effects.push(Effect::Report(Report::Settled));
        }
        std::mem::take(&mut self.effects)
    }

    fn is_busy(&self) -> bool {
        let swapping = match self.process {
            Process::None => self.faults.goes_back() && !self.lost,
            Process::Starting { .. } | Process::Ending(_) => true,
            Process::Running { stage, .. } => matches!(stage, Stage::Awaited { late: Some(_) }),
        };
        // Who was replaced leaves behind everybody's back, but who was stopped is not until nothing of it is left.
        let stopping = self.down && !self.leaving.is_empty();
        // For what is out of reach nobody waits.
        let to_start = self.fresh.is_some() && !self.lost;
        swapping || stopping || self.build.is_some() || to_start || self.is_due()
    }

    fn tell(&mut self, event: Event) {
        self.effects.push(Effect::Tell(event));
    }

    fn is_cooling(&self, now: Instant) -> bool {
        self.cooldown_until.is_some_and(|until| now < until)
    }

    fn tick(&mut self, now: Instant) {
        let build = self.build.as_mut().filter(|build| build.is_to_be_mentioned());
        let begun = build.and_then(|build| build.begun.as_mut());
        if let Some(begun) = begun.filter(|begun| begun.mention <= now) {
            let elapsed = now - begun.at;
            begun.mention = now + elapsed;
            self.tell(Event::StillBuilding { ms: millis(elapsed) });
        }
        if let Process::Running { stage: Stage::Awaited { late: Some(late) }, .. } = self.process
            && late <= now
        {
            self.late(now);
        }
        self.hurry(now);
        self.settle_if_due(now);
    }
}

/// Whole milliseconds, rounded down.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
