//! Keeps the package graph current: one thread asks the go command, one query after the other, while builds and
//! services go their way. A query that is asked for again while it runs is run once more.

use std::collections::BTreeSet;
use std::thread::JoinHandle;
use std::time::SystemTime;

use crossbeam_channel::{Sender, unbounded};

use crate::config::Service;
use crate::go::list::{self, Query, Running, Unlistable};
use crate::graph::{Asked, Listing};

/// The answer to a query.
#[derive(Debug)]
pub struct Listed {
    /// Its number.
    pub query: usize,
    /// The listing, or what the go command says.
    pub result: Result<Listing, Unlistable>,
}

/// Why a query was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The services whose own files gave reason to.
    pub services: BTreeSet<usize>,
    /// Before this, no build has begun that reads what gave reason to.
    pub since: SystemTime,
}

/// The handle to the thread. Dropping it ends the go command and joins the thread.
pub struct Lister {
    entries: Vec<Entry>,
    jobs: Option<Sender<usize>>,
    running: Running,
    thread: Option<JoinHandle<()>>,
}

struct Entry {
    asked: Asked,
    /// Why it runs, or waits for its turn.
    current: Option<Reason>,
    /// Why it has to run once more.
    next: Option<Reason>,
}

impl Lister {
    /// Starts the thread for `services`; nothing is asked yet. Answers are passed to `report`.
    pub fn start(services: &[Service], report: impl Fn(Listed) + Send + 'static) -> Lister {
        let (queries, asked): (Vec<Query>, Vec<Asked>) = list::queries(services).into_iter().unzip();
        let (jobs, received) = unbounded::<usize>();
        let running = Running::default();
        let for_thread = running.clone();
        let thread = std::thread::spawn(move || {
            for query in received {
                report(Listed { query, result: list::list(&queries[query], &for_thread) });
            }
        });
        let entries = asked.into_iter().map(|asked| Entry { asked, current: None, next: None }).collect();
        Lister { entries, jobs: Some(jobs), running, thread: Some(thread) }
    }

    /// Asks everything that there is to ask of `services`, for a reason that arose at `since`.
    pub fn ask(&mut self, services: &BTreeSet<usize>, since: SystemTime) {
        let mut queries = Vec::new();
        for (query, entry) in self.entries.iter_mut().enumerate() {
            let concerned = entry.asked.iter().map(|(service, _)| *service);
            let concerned: BTreeSet<usize> = concerned.filter(|service| services.contains(service)).collect();
            if concerned.is_empty() {
                continue;
            }
            if entry.current.is_some() {
                let next = entry.next.get_or_insert(Reason { services: BTreeSet::new(), since });
                next.services.extend(concerned);
            } else {
                entry.current = Some(Reason { services: concerned, since });
                queries.push(query);
            }
        }
        queries.into_iter().for_each(|query| self.run(query));
    }

    /// Takes note that `query` was answered; returns why it was asked.
    pub fn answered(&mut self, query: usize) -> Option<Reason> {
        let entry = &mut self.entries[query];
        let reason = entry.current.take();
        if let Some(next) = entry.next.take() {
            entry.current = Some(next);
            self.run(query);
        }
        reason
    }

    fn run(&self, query: usize) {
        // The thread ends only when this is dropped.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(query));
    }

    /// The services that `query` tells of, each with its patterns.
    pub fn asked(&self, query: usize) -> &Asked {
        &self.entries[query].asked
    }

    /// Whether everything that was asked is answered.
    pub fn is_idle(&self) -> bool {
        self.entries.iter().all(|entry| entry.current.is_none())
    }

    /// The services that can be asked about.
    pub fn services(&self) -> BTreeSet<usize> {
        self.entries.iter().flat_map(|entry| entry.asked.iter().map(|(service, _)| *service)).collect()
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.jobs = None;
        self.running.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
