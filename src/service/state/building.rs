//! The half of the machine that decides when to build: on a save, once more when a build may not have read what is
//! there, and not while a newer save would make it pointless.

use std::time::Instant;

use super::{Build, CANCELS_IN_A_ROW, Effect, Finished, Leaving, Machine, NOTICED_LATE, Process, millis};
use crate::change::Digest;
use crate::go::build::Made;
use crate::record::{Event, Failure, Rung, Split};
use crate::service::protocol::{Changed, Report};

impl Machine {
    /// Whether the last finished build read something else than what is there now, or may have.
    pub(super) fn is_stale(&self) -> bool {
        let needs_binary = self.is_patched && !matches!(self.process, Process::Running { .. });
        needs_binary || self.last_build.is_none_or(|last| !last.certain || last.digest != self.wanted)
    }

    /// Whether that is to be built.
    pub(super) fn is_due(&self) -> bool {
        !self.down && self.is_stale()
    }

    /// The save that was waiting has turned out to change nothing.
    fn back_to_last_build(&mut self) {
        self.since = None;
        self.cancels = 0;
        self.take_over_settings();
        let reason = "the content is back to what the last build read; nothing to do".to_owned();
        self.tell(Event::Verdict { rung: Rung::Nothing, reason });
    }

    pub(super) fn changed(&mut self, now: Instant, changed: Changed) {
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
        // Whoever waits for this is told of the end, even if there is nothing to do.
        self.busy = true;
        match &mut self.build {
            Some(build) if build.cancelled => {}
            Some(build) if build.digest == digest => {
                let (was_settled, ended) = (std::mem::replace(&mut build.settled, true), build.ended.take());
                if !was_settled && build.begun.is_some() {
                    self.tell(Event::Building);
                }
                if let Some((at, result)) = ended {
                    self.built(at, result);
                }
            }
            // It is over soon, and one more follows.
            Some(build) if build.patches => {}
            // A build that was begun on a chance has told nobody, and costs nobody anything.
            Some(build) if !build.settled => self.cancel(),
            Some(_) if self.cancels >= CANCELS_IN_A_ROW => {
                let reason = format!("cancelled {} builds in a row; this one finishes first", self.cancels);
                self.tell(Event::Verdict { rung: Rung::Restart, reason });
            }
            Some(_) => {
                self.cancels += 1;
                self.cancel();
                let reason = "a newer save changed what it reads".to_owned();
                self.tell(Event::Cancelled { reason });
            }
            None if !stale => self.back_to_last_build(),
            None if self.down => {
                let reason = "it is stopped; this is built when it is started again".to_owned();
                self.tell(Event::Verdict { rung: Rung::Nothing, reason });
            }
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

    /// Ends the build, if one runs.
    pub(super) fn cancel(&mut self) {
        let Some(build) = self.build.as_mut().filter(|build| !build.cancelled) else { return };
        build.cancelled = true;
        match build.ended.take() {
            // It has ended already.
            Some((at, result)) => self.built(at, result),
            None => self.effects.push(Effect::CancelBuild),
        }
    }

    pub(super) fn rebased(&mut self, from: Digest, to: Digest) {
        let read = self.build.as_mut().map(|build| &mut build.digest);
        let read = read.into_iter().chain(self.last_build.as_mut().map(|last| &mut last.digest));
        // What has read something else must not become equal by accident.
        for digest in read.chain([&mut self.wanted]).filter(|digest| **digest == from) {
            *digest = to;
        }
    }

    pub(super) fn generated(&mut self, now: Instant, digest: Digest, since: Instant) {
        let just_now = |last: &Finished| since <= last.at + NOTICED_LATE;
        match (&self.build, &self.last_build) {
            (Some(build), _) if build.digest == self.wanted && !build.cancelled => {}
            (None, Some(last)) if last.digest == self.wanted && just_now(last) => {}
            _ => return self.changed(now, Changed { digest, since, settled: true, restart: false }),
        }
        // Its own work: the compiler, which comes after it, reads the result.
        self.rebased(self.wanted, digest);
    }

    pub(super) fn reconfigured(&mut self, rebuild: bool, since: Instant) {
        self.must_restart = true;
        // Whoever waits for this is told of the end, even if there is nothing to do.
        self.busy = true;
        if rebuild {
            self.since.get_or_insert(since);
            if let Some(last) = &mut self.last_build {
                last.certain = false;
                last.repeated = false;
            }
            self.cancel();
        } else {
            self.settings.get_or_insert(since);
            if self.build.is_none() && !self.is_stale() {
                self.take_over_settings();
            }
        }
    }

    /// Starts anew what was built last, if new settings are waiting for that.
    fn take_over_settings(&mut self) {
        if let Some(since) = self.settings.take()
            && self.has_binary
            && !self.down
        {
            self.renew(since);
        }
    }

    pub(super) fn touched(&mut self, since: Instant, generated: bool) {
        if let Some(build) = &mut self.build {
            // The compiler comes after the generator.
            build.mixed |= !build.repeats && !generated;
            return;
        }
        let Some(last) = &mut self.last_build else { return };
        if (last.repeated || generated) && since <= last.at + NOTICED_LATE {
            return;
        }
        if since <= last.at || !last.succeeded {
            // Some file may have been empty, or half there, when the build came by.
            last.certain = false;
            self.since.get_or_insert(since);
        } else if matches!(self.process, Process::None) && !self.down {
            // It has ended by itself, and the user asks for it again.
            self.renew(since);
        } else if self.faults.is_old() {
            // What it depends on may have been mended.
            last.certain = false;
            self.since.get_or_insert(since);
        }
    }

    /// Something has come to where it runs, or that was started anew.
    pub(super) fn renewed(&mut self, since: Instant, runs: bool) {
        self.busy = true;
        if runs && self.build.as_ref().is_some_and(|build| !build.cancelled) {
            // One start for both, even if the program turns out to be the same.
            self.must_restart = true;
            return;
        }
        match &mut self.last_build {
            Some(last) if !last.succeeded => {
                last.certain = false;
                self.since.get_or_insert(since);
            }
            _ if runs && self.has_binary && !self.down => self.renew(since),
            _ => {}
        }
    }

    pub(super) fn beside(&mut self, since: Instant) {
        if self.build.is_none()
            && let Some(last) = self.last_build.as_mut().filter(|last| !last.succeeded)
        {
            // It may have been what the build failed for.
            last.certain = false;
            self.since.get_or_insert(since);
        }
    }

    pub(super) fn build_if_needed(&mut self, now: Instant) {
        if self.build.is_some() || !self.is_due() || self.is_cooling(now) {
            return;
        }
        let patches = self.is_to_be_patched();
        if patches && !self.settled {
            return;
        }
        let repeats = !patches && self.last_build.is_some_and(|last| last.digest == self.wanted);
        let since = self.since.take();
        self.wants_binary &= patches;
        self.build = Some(Build {
            digest: self.wanted,
            since,
            cancelled: false,
            settled: self.settled,
            mixed: false,
            repeats,
            begun: None,
            patches,
            ended: None,
        });
        self.effects.push(if patches { Effect::Patch } else { Effect::Build });
    }

    pub(super) fn built(&mut self, now: Instant, result: Result<Made, Failure>) {
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
        // What the binary is compared with is not what runs.
        self.must_restart |= self.is_patched && result.is_ok();
        // A binary that cannot be built is not waited for.
        self.is_patched &= result.is_err() && matches!(self.process, Process::Running { .. });
        if build.mixed {
            // One more follows, for the same save.
            self.since = build.since.or(self.since);
        }
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
                self.settings = None;
                self.has_binary = true;
                self.made(made, build.since, ms);
            }
            Err(failure) => {
                self.tell(Event::Build { ok: false, ms, failure });
                self.take_over_settings();
                let reason = match self.process {
                    Process::Running { pid, .. } => format!("PID {pid} keeps running what was built before"),
                    Process::Starting { .. } | Process::Ending(Leaving { asked: true, .. }) => {
                        "what was built before is being started".to_owned()
                    }
                    _ if self.faults.deadline().is_some() => {
                        "what was built before is started again".to_owned()
                    }
                    Process::None | Process::Ending(_) => {
                        self.effects.push(Effect::Report(Report::Failed));
                        "still down; the next save builds it again".to_owned()
                    }
                };
                self.tell(Event::Verdict { rung: Rung::Nothing, reason });
            }
        }
    }

    /// Starts the binary that is there once more, for something noticed at `since`.
    pub(super) fn renew(&mut self, since: Instant) {
        if self.is_patched {
            // No binary holds what ran.
            (self.must_restart, self.wants_binary) = (true, true);
            self.last_build.iter_mut().for_each(|last| (last.certain, last.repeated) = (false, false));
            self.since.get_or_insert(since);
        } else if self.fresh.is_none() {
            self.fresh = Some(Some(since));
            self.split = Split::default();
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
}
