//! The way to the target: found, lost, looked for again; and what the target has to be changed to before.

use std::time::{Duration, Instant};

use hotwatch_helper::entry::Rel;

use super::actor::{Actor, Pair};
use super::agreed::Agreed;
use super::connect::{self, Place, connect};
use super::far::Far;
use super::link::{Half, Link, Pending, left_out};
use super::session::Lost;
use super::takeover::{Taken, Takeover, Untaken};
use super::transport::Instance;
use super::{Heard, root};
use crate::config;
use crate::record::Level;

/// How long to wait before a target that is not there is looked for again: at first, and at most.
pub(super) const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often it is looked whether there are other pods.
const OTHERS: Duration = Duration::from_secs(10);

/// How often it is looked whether there is a better way than archives.
const LOOKS: u32 = 3;

/// How long a target may take to start anew, beside the time its program has to stop.
pub(super) const RESTART: Duration = Duration::from_secs(20);

impl Actor {
    pub(super) fn connect_if_due(&mut self) {
        if self.retry.is_none_or(|at| at > Instant::now()) {
            return;
        }
        match self.take_over() {
            Ok(()) => {}
            Err(Untaken::NotYet(why)) => return self.not_there(why),
            Err(Untaken::Failed(why)) => return self.give_up(why),
        }
        let found = match self.transport.find(&self.ending) {
            Ok(found) => found,
            Err(why) => return self.not_there(why),
        };
        // One that has been started anew is another.
        let stays = |link: &Link| found.contains(&link.instance);
        let gone: Vec<usize> = (0..self.links.len()).rev().filter(|&at| !stays(&self.links[at])).collect();
        gone.into_iter().for_each(|at| drop(self.links.remove(at)));
        let is_new = |instance: &&Instance| self.links.iter().all(|link| link.instance != **instance);
        let new: Vec<Instance> = found.iter().filter(is_new).cloned().collect();
        for instance in new {
            if let Err(why) = self.connect(instance) {
                return self.not_there(why);
            }
        }
        self.look_for_better();
        self.told_lost = None;
        // Nobody tells of other pods, nor that one is gone to which no connection is open.
        let closed = self.links.iter().any(|link| matches!(link.far, Far::Archive(_)));
        let many = closed || matches!(self.config.to, config::Target::Kubectl(_));
        self.retry = many.then(|| Instant::now() + OTHERS);
        let words = self.links.first().map(|link| link.words.clone());
        self.status.with(|status| (status.reached, status.lost) = (words, None));
    }

    pub(super) fn try_again_if_due(&mut self) {
        if self.again.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.again = None;
        for half in self.links.iter_mut().flat_map(|link| &mut link.halves) {
            half.pending.add(half.trouble.keys().cloned());
            // What is gone may have come back.
            if half.halted.is_some() {
                half.pending = Pending::Everything;
            }
        }
    }

    /// Changes the target as it has to be while it is synced, once.
    fn take_over(&mut self) -> Result<(), Untaken> {
        if self.takeover.is_none() && self.surroundings.runs {
            let file = self.surroundings.state.join(format!("{}.before", self.name));
            let grace = self.surroundings.grace;
            let Taken { takeover, notice } = Takeover::begin(&self.config, grace, file, &self.ending)?;
            self.takeover = takeover;
            notice.into_iter().for_each(|notice| self.notice(Level::Warning, notice));
        }
        Ok(())
    }

    /// The target cannot be had as it would have to be.
    fn give_up(&mut self, why: String) {
        self.retry = None;
        if self.ending.is_wanted() {
            return;
        }
        let target = self.transport.describe();
        let hint = "it is tried again when hotwatch is started again, or this service's settings are saved";
        self.notice(Level::Error, format!("{target} cannot be taken over: {why}; {hint}"));
        self.status.with(|status| (status.reached, status.lost) = (None, Some(why.clone())));
        self.hopeless = Some(why);
    }

    fn connect(&mut self, instance: Instance) -> Result<(), String> {
        let link = self.link_to(instance)?;
        if !self.is_restarting() {
            self.notice(Level::Info, format!("{} is reached {}", self.transport.describe(), link.words));
        }
        self.links.push(link);
        Ok(())
    }

    /// Looks whether the helper can be had after all where archives have to do; it may have been a bad moment.
    fn look_for_better(&mut self) {
        for at in 0..self.links.len() {
            let link = &mut self.links[at];
            let is_poor = matches!(&link.far, Far::Archive(archive) if !archive.stands());
            let is_due = link.began && link.looked < LOOKS;
            if !is_poor || !is_due {
                continue;
            }
            link.looked += 1;
            let instance = link.instance.clone();
            let Ok(better) = self.link_to(instance) else { continue };
            if matches!(better.far, Far::Helper(_)) {
                self.notice(
                    Level::Info,
                    format!("{} is reached {}", self.transport.describe(), better.words),
                );
                self.links[at] = better;
            }
        }
    }

    fn link_to(&mut self, instance: Instance) -> Result<Link, String> {
        self.opened += 1;
        let (number, sender) = (self.opened, self.sender.clone());
        let tell = move |told| drop(sender.send(Heard::Far(number, told)));
        let halves: Vec<Half> = self.pairs.iter().map(|pair| self.half(pair, &instance)).collect();
        // The one that holds the lock of what runs is not replaced, if it can be helped.
        let known = self.pushed.at(&instance);
        // Of another project there may be a service of the same name.
        let project = xxhash_rust::xxh3::xxh3_64(self.surroundings.state.as_os_str().as_encoded_bytes());
        let name = format!("{}-{:08x}", self.name, project >> 32);
        let place = Place { sync: &self.config, name: &name, known };
        let (pairs, transport, ending) = (&mut self.pairs, &self.transport, &self.ending);
        let reached = std::thread::scope(|scope| {
            // What stands here is read meanwhile; to look at it again takes no time then.
            scope.spawn(|| {
                for pair in pairs.iter_mut().filter(|pair| pair.ours.is_bare()) {
                    drop(pair.near.scan(&Rel::root()));
                }
            });
            connect(transport, &instance, &place, ending, tell)
        })?;
        let connect::Reached { far, helper, words } = reached;
        if let Some(helper) = &helper {
            self.pushed.add(self.transport.as_ref(), &instance, helper, &self.ending);
        }
        let (began, looked, failure) = (false, 0, None);
        let mut link = Link { number, instance, far, helper, words, halves, began, looked, failure };
        for (number, pair) in self.pairs.iter().enumerate() {
            let root = root(&self.config.to, &pair.config);
            link.open(number, &root, &pair.config, false).map_err(|Lost(why)| why)?;
        }
        Ok(link)
    }

    /// The other half of `pair` at `instance`, of which nothing is known but what was agreed on.
    fn half(&self, pair: &Pair, instance: &Instance) -> Half {
        let (near, pair) = (&pair.near, &pair.config);
        let about = format!("{:?} {} {} {:?}", pair.source, instance.name, pair.target, pair.mode);
        let id = xxhash_rust::xxh3::xxh3_64(about.as_bytes());
        let path = self.surroundings.state.join(format!("{}-{id:016x}.agreed", self.name));
        let mut agreed = Agreed::load(path, &instance.place);
        // What does not take part any more stays where it is. Who cannot write that down finds it out again.
        drop(agreed.agree(left_out(agreed.tree(), near.filter())));
        let (theirs, trouble) = Default::default();
        Half { theirs, agreed, pending: Pending::Everything, trouble, accepted: false, halted: None }
    }

    /// Why nobody can be asked there, in words.
    pub(super) fn out_of_reach(&self) -> String {
        let why = self.told_lost.as_deref().unwrap_or("it was not found yet");
        format!("{} is out of reach: {why}", self.transport.describe())
    }

    fn not_there(&mut self, why: String) {
        let target = self.transport.describe();
        if self.told_lost.as_ref() != Some(&why) && !self.is_restarting() {
            self.notice(
                Level::Warning,
                format!("{target} is out of reach: {why}; it is looked for until it is there"),
            );
        }
        self.status.with(|status| (status.reached, status.lost) = (None, Some(why.clone())));
        self.told_lost = Some(why);
        self.retry_later();
    }

    /// Has the target be looked for again, the later the more often that was in vain.
    fn retry_later(&mut self) {
        self.retry = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(RETRY.1);
    }

    /// The link at `at` is no more; it is looked for again.
    pub(super) fn lose(&mut self, at: usize, Lost(why): Lost) {
        drop(self.links.remove(at));
        if self.ending.is_wanted() {
            return;
        }
        self.status.with(|status| (status.reached, status.lost) = (None, Some(why.clone())));
        if !self.is_restarting() {
            self.notice(Level::Warning, format!("{} is lost: {why}", self.transport.describe()));
        }
        self.retry_later();
    }

    /// Whether the target is on its way back.
    pub(super) fn is_restarting(&self) -> bool {
        self.restarted.is_some_and(|at| at.elapsed() < self.surroundings.grace + RESTART)
    }
}
