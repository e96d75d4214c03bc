//! What is known and was told, for whoever asks. As a view it takes in records; others look at it, or follow what
//! comes. Those who follow too slowly lose lines, and are told so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use hotwatch_platform::process;

use super::recent::Recent;
use crate::log::{Remark, View};
use crate::name::Name;
use crate::record::{Event, Level, Record};
use crate::snapshot::{Service, Snapshot};

/// So many records wait for one who follows.
const BACKLOG: usize = 4096;

/// Processor time is measured over this long.
const CPU_OVER: Duration = Duration::from_millis(100);

/// The shared state. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    snapshot: Snapshot,
    recent: Recent,
    followers: Vec<Follower>,
    ended: bool,
    /// How many have followed so far.
    count: u64,
}

struct Follower {
    number: u64,
    wanted: Box<dyn Fn(&Record) -> bool + Send>,
    records: Sender<Arc<Record>>,
    missed: usize,
}

/// What one who follows is told; it ends with hotwatch, or with [`Hub::unfollow`].
pub struct Following {
    /// By which it is unfollowed.
    pub number: u64,
    /// What was told before.
    pub before: Vec<Arc<Record>>,
    /// What is told from now on.
    pub records: Receiver<Arc<Record>>,
}

impl Hub {
    /// From now on the services are these, with the ports that they listen on.
    pub fn configure<'a>(&self, services: impl IntoIterator<Item = (&'a Name, Option<u16>)>) {
        self.lock().snapshot.configure(services, SystemTime::now());
    }

    /// Looks at what is known.
    pub fn look<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.lock().snapshot)
    }

    /// Whether saves wait, and what is known of the services that are `wanted`, with what their processes use now.
    /// Takes a tenth of a second.
    pub fn status(&self, wanted: impl Fn(&Service) -> bool) -> (bool, Vec<Service>) {
        let (paused, mut services) = self.look(|snapshot| (snapshot.paused, snapshot.services.clone()));
        services.retain(wanted);
        measure(&mut services);
        (paused, services)
    }

    /// What was told at `since` or after, as far as `wanted` wants it.
    pub fn recent(&self, since: Option<SystemTime>, wanted: impl Fn(&Record) -> bool) -> Vec<Arc<Record>> {
        self.lock().recent.since(since, wanted)
    }

    /// Follows what `wanted` wants; with `since` also what was told from then until now.
    pub fn follow(
        &self,
        since: Option<SystemTime>,
        wanted: impl Fn(&Record) -> bool + Send + 'static,
    ) -> Following {
        let (sender, records) = bounded(BACKLOG);
        let mut inner = self.lock();
        inner.count += 1;
        let number = inner.count;
        let before = since.map_or_else(Vec::new, |since| inner.recent.since(Some(since), &wanted));
        if !inner.ended {
            let wanted = Box::new(wanted);
            inner.followers.push(Follower { number, wanted, records: sender, missed: 0 });
        }
        Following { number, before, records }
    }

    /// Ends the following with this number.
    pub fn unfollow(&self, number: u64) {
        self.lock().followers.retain(|follower| follower.number != number);
    }

    /// Ends all followings, those to come as well.
    pub fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.followers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for Hub {
    fn show(&mut self, record: &Record) {
        let record = Arc::new(record.clone());
        let mut inner = self.lock();
        inner.snapshot.take(&record);
        inner.recent.push(Arc::clone(&record));
        inner.followers.iter_mut().filter(|one| (one.wanted)(&record)).for_each(|one| one.tell(&record));
    }

    fn flush(&mut self) -> Vec<Remark> {
        Vec::new()
    }
}

impl Follower {
    fn tell(&mut self, record: &Arc<Record>) {
        if self.missed > 0 {
            let message =
                format!("{} records are left out here: they came faster than they were read", self.missed);
            let event = Event::Notice { level: Level::Warning, message };
            let notice = Record { at: record.at, event, service: None };
            if self.records.try_send(Arc::new(notice)).is_err() {
                self.missed += 1;
                return;
            }
            self.missed = 0;
        }
        if let Err(TrySendError::Full(_)) = self.records.try_send(Arc::clone(record)) {
            self.missed += 1;
        }
    }
}

/// Fills in what the processes use.
fn measure(services: &mut [Service]) {
    let pids: Vec<i32> = services.iter().filter_map(|service| service.pid).collect();
    if pids.is_empty() {
        return;
    }
    let (begun, before) = (Instant::now(), process::usage(&pids));
    std::thread::sleep(CPU_OVER);
    let (after, elapsed) = (process::usage(&pids), begun.elapsed());
    let running = services.iter_mut().filter(|service| service.pid.is_some());
    for ((service, before), after) in running.zip(&before).zip(&after) {
        let used = after.cpu.saturating_sub(before.cpu);
        service.rss_bytes = Some(after.rss);
        service.cpu_percent = Some(used.as_secs_f32() / elapsed.as_secs_f32() * 100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: Event) -> Record {
        Record { at: SystemTime::now(), event, service: Name::parse("api").ok() }
    }

    #[test]
    fn who_follows_too_slowly_is_told_how_much_is_missing() {
        let mut hub = Hub::default();
        let following = hub.follow(None, |record| !matches!(record.event, Event::Building));
        let pid = 7;
        hub.show(&record(Event::Building));
        (0..BACKLOG + 10).for_each(|_| hub.show(&record(Event::Started { pid })));
        assert_eq!(following.records.try_iter().count(), BACKLOG);
        hub.show(&record(Event::Stopped { pid }));
        let told: Vec<_> = following.records.try_iter().map(|record| record.event.clone()).collect();
        assert!(
            matches!(&told[..], [Event::Notice { message, .. }, Event::Stopped { .. }]
            if message.starts_with("10 records are left out")),
            "{told:?}"
        );
        hub.unfollow(following.number);
        assert!(following.records.recv().is_err());
    }

    #[test]
    fn what_was_told_before_and_what_comes_join_without_a_gap() {
        let mut hub = Hub::default();
        hub.show(&record(Event::Started { pid: 1 }));
        let following = hub.follow(Some(SystemTime::UNIX_EPOCH), |_| true);
        hub.show(&record(Event::Started { pid: 2 }));
        hub.end();
        assert_eq!((following.before.len(), following.records.iter().count()), (1, 1));
        assert!(hub.follow(None, |_| true).records.recv().is_err());
    }
}
