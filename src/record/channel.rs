//! How records reach the views. Every view has a queue of its own, so that one that is stuck holds up no other, and
//! every service has a share of its own in each queue, so that one that floods crowds nobody out. A service whose
//! share is full waits, as with any pipe, but not for long: then its lines are left out and counted until the view
//! has caught up with half of them. What hotwatch itself has to say never waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::{Event, Level, Record, Stream};
use crate::name::Name;

/// What a service may have on its way to a view, in bytes. More than a pipe holds, so that a burst passes.
const SHARE: usize = 256 * 1024;

/// What hotwatch itself may have on its way to a view, in bytes: some thousands of events, or some hundreds of builds
/// that fail, of which a view that works has never more than a handful.
const OWN_SHARE: usize = 4 * 1024 * 1024;

/// A burst ends with the record that makes it this long, in bytes.
const BURST: usize = 128 * 1024;

/// What a record takes beside its text, in bytes, roughly.
const OVERHEAD: usize = 256;

/// For how long a service waits for a view that takes nothing. A view that takes less than half a share in that time
/// is as good as stuck.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sending side: cheap to clone, one per stage. Everything stays in order.
#[derive(Debug, Clone)]
pub struct Tell {
    views: Arc<[Queue]>,
}

/// The receiving side, for the one view that shows these records.
#[derive(Debug)]
pub struct Told {
    views: Arc<[Queue]>,
    index: usize,
}

/// A queue for each of some views, called in words what is slow when the view is.
pub fn channel(names: &[&'static str]) -> (Tell, Vec<Told>) {
    let queue = |&name: &&'static str| Queue { name, ..Queue::default() };
    let views: Arc<[Queue]> = names.iter().map(queue).collect();
    let told = (0..names.len()).map(|index| Told { views: Arc::clone(&views), index }).collect();
    (Tell { views }, told)
}

impl Tell {
    /// Tells a fact about `service`, or about all. Never waits.
    pub fn fact(&self, service: Option<&Name>, event: Event) {
        let record = record(service, event);
        self.views.iter().for_each(|queue| queue.push_fact(&record));
    }

    /// Tells a notice about `service`, or about all. Never waits.
    pub fn notice(&self, service: Option<&Name>, level: Level, message: impl Into<String>) {
        self.fact(service, Event::Notice { level, message: message.into() });
    }

    /// Tells a line that `service` wrote, or a piece of one. Waits while a view is behind, but not for long.
    pub fn line(&self, service: &Name, stream: Stream, line: Vec<u8>, partial: bool) {
        let record = record(Some(service), Event::Log { stream, line, partial });
        let mut until = None;
        self.views.iter().for_each(|queue| queue.push_line(&record, service, &mut until));
    }

    /// Ends the telling: what is told after this, by whomever, is not shown.
    pub fn end(&self) {
        self.views.iter().for_each(Queue::end);
    }
}

impl Told {
    /// The next records, at least one, in order; `None` when there will be no more. Waits only for the first.
    pub fn burst(&self) -> Option<Vec<Arc<Record>>> {
        self.views[self.index].burst()
    }
}

fn record(service: Option<&Name>, event: Event) -> Arc<Record> {
    Arc::new(Record { at: SystemTime::now(), event, service: service.cloned() })
}

/// Records on their way to a view.
#[derive(Debug, Default)]
struct Queue {
    /// What is slow when the view is.
    name: &'static str,
    state: Mutex<State>,
    /// There is something to show, or will never be.
    news: Condvar,
    /// A share is half empty.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Arc<Record>>,
    shares: BTreeMap<Name, Share>,
    /// That of hotwatch itself.
    own: Share,
    ended: bool,
}

/// What one sender has in a queue.
#[derive(Debug, Default)]
struct Share {
    /// In bytes.
    weight: usize,
    /// How many of its records were left out and not yet told of. While there are any, more are.
    left_out: u64,
    /// Whether it has waited in vain since the queue last was empty of it. Then it does not wait again.
    gave_up: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push_fact(&self, record: &Arc<Record>) {
        let mut state = self.lock();
        if state.own.left_out > 0 || state.own.weight >= OWN_SHARE {
            state.own.left_out += 1;
        } else {
            state.push(record);
            self.news.notify_one();
        }
    }

    /// Waits for room until `until`, which is set by the first that has to wait.
    fn push_line(&self, record: &Arc<Record>, service: &Name, until: &mut Option<Instant>) {
        let mut state = self.lock();
        if !state.shares.contains_key(service) {
            state.shares.insert(service.clone(), Share::default());
        }
        if state.share(service).is_some_and(|share| share.weight >= SHARE && !share.gave_up) {
            let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
            // More than half a share is not room enough, lest every single line wait anew.
            let full = |state: &mut State| {
                !state.ended && state.share(service).is_some_and(|share| share.weight > SHARE / 2)
            };
            let longest = until.saturating_duration_since(Instant::now());
            let waited = self.room.wait_timeout_while(state, longest, full);
            let (waited, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = waited;
            state.share(service).into_iter().for_each(|share| share.gave_up = timeout.timed_out());
        }
        let Some(share) = state.share(service) else { return };
        if share.left_out > 0 || share.weight >= SHARE {
            share.left_out += 1;
        } else {
            state.push(record);
            self.news.notify_one();
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        let services: Vec<Name> = state.shares.keys().cloned().collect();
        services.iter().for_each(|service| state.confess(Some(service), self.name));
        state.confess(None, self.name);
        state.ended = true;
        self.news.notify_all();
        self.room.notify_all();
    }

    fn burst(&self) -> Option<Vec<Arc<Record>>> {
        let empty = |state: &mut State| state.records.is_empty() && !state.ended;
        let mut state = self.news.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
        let (mut burst, mut length) = (Vec::new(), 0);
        while length < BURST
            && let Some(record) = state.records.pop_front()
        {
            let weight = weight(&record);
            length += weight;
            if state.took(&record, weight, self.name) {
                self.room.notify_all();
            }
            burst.push(record);
        }
        (!burst.is_empty()).then_some(burst)
    }
}

impl State {
    fn share(&mut self, service: &Name) -> Option<&mut Share> {
        self.shares.get_mut(service)
    }

    /// Whose share a record takes.
    fn share_of(&mut self, record: &Record) -> &mut Share {
        match (&record.event, &record.service) {
            (Event::Log { .. }, Some(service)) => self.shares.entry(service.clone()).or_default(),
            _ => &mut self.own,
        }
    }

    fn push(&mut self, record: &Arc<Record>) {
        if !self.ended {
            self.share_of(record).weight += weight(record);
            self.records.push_back(Arc::clone(record));
        }
    }

    /// Takes in that a record has left the queue; whether its share has room again.
    fn took(&mut self, record: &Record, weight: usize, name: &str) -> bool {
        let share = self.share_of(record);
        let whole = if matches!(record.event, Event::Log { .. }) { SHARE } else { OWN_SHARE };
        let before = share.weight;
        share.weight = before.saturating_sub(weight);
        if share.weight == 0 {
            share.gave_up = false;
        }
        let room = share.weight <= whole / 2;
        if room && share.left_out > 0 && !self.ended {
            let service = record.service.as_ref().filter(|_| whole == SHARE);
            self.confess(service, name);
        }
        room && before > whole / 2
    }

    /// Puts in how many records were left out here, if any were.
    fn confess(&mut self, service: Option<&Name>, name: &str) {
        let share = service.map_or(Some(&mut self.own), |service| self.shares.get_mut(service));
        let left_out = share.map_or(0, |share| std::mem::take(&mut share.left_out));
        if left_out > 0 {
            let what = if service.is_some() { "line" } else { "event" };
            let message = format!("{} left out: {name} is too slow", counted(left_out, what));
            self.push(&record(service, Event::Notice { level: Level::Warning, message }));
        }
    }
}

fn weight(record: &Record) -> usize {
    OVERHEAD
        + match &record.event {
            Event::Log { line, .. } => line.len(),
            Event::Build { failure, .. } => 2 * failure.output.len(),
            Event::Change { paths } => paths.iter().map(|path| path.len() + OVERHEAD / 8).sum(),
            Event::Notice { message, .. } => message.len(),
            _ => 0,
        }
}

/// So many of them as people write it: `1 line`, `12,345 lines`.
pub fn counted(count: u64, what: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
