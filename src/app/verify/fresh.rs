//! A fresh process of a service beside the one that runs: built into a directory of its own, on a free port, and gone
//! with this value. If this process is killed, its guard ends the other and removes the directory.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use hotwatch_platform::guard::Guard;
use hotwatch_platform::process::reserve_descriptors;

use super::super::cache::Cache;
use crate::config::{self, Build, Config};
use crate::error::Error;
use crate::go;
use crate::go::slots::Slots;
use crate::patch::recipe::Recipe;
use crate::record::{self, Event, Level, Record, Tell};
use crate::service::{Input, Report, Service, Surroundings};

/// What takes longer than this is mentioned.
const LONG: Duration = Duration::from_secs(1);

/// How long it may take beyond its grace until it is known to have ended.
const SLACK: Duration = Duration::from_secs(1);

/// So many of its last lines are shown if it does not become ready.
const LINES: usize = 20;

/// The process. What it needs is dropped after it.
pub struct Fresh {
    port: u16,
    tell: Tell,
    service: Service,
    /// Told when nothing of it is left, within its grace.
    stopped: (Receiver<()>, Duration),
    _guard: Guard,
    _cache: Cache,
}

impl Fresh {
    /// Builds and starts one of the service number `index` of `config`, and waits until it is ready, for `longest`.
    ///
    /// # Errors
    /// It cannot be told another port, be built or started, or does not become ready.
    pub fn start(config: &Config, index: usize, longest: Duration) -> Result<Fresh, Error> {
        reserve_descriptors().map_err(Error::io("open `/dev/null`"))?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(Error::io("find a free port"))?.port();
        let mut service = config.services[index].clone();
        service.run_beside(port)?;
        let cache = Cache::beside(&config.root)?;
        let guard = Guard::start(&cache.lock, &cache.dir, |_| {}).map_err(Error::io("start the guard"))?;
        build_as_before(&mut service, &cache);
        let (tell, told) = record::channel(&["what is compared"]);
        let told = told.into_iter().next().map(facts);
        let surroundings = Surroundings {
            cache: cache.dir.join("fresh"),
            cooldown: config.cooldown,
            slots: Slots::new(available_parallelism().map_or(2, usize::from)),
            background: Slots::new(1),
            rank: 0,
            debugger: None,
            round: 0,
            goflags: go::flags(),
            sync_state: cache.dir.clone(),
            quiet: config.quiet,
            tell: tell.clone(),
        };
        let name = service.name.clone();
        let (stops, stopped) = unbounded();
        let stopped = (stopped, service.grace + SLACK);
        let report = move |report| {
            if report == Report::Stopped {
                // Whoever waits for it may have given up.
                let _ = stops.send(());
            }
        };
        let service = Service::start(service, surroundings, report);
        service.send(Input::Launch);
        let fresh = Fresh { port, tell, service, stopped, _guard: guard, _cache: cache };
        let ready = told.ok_or_else(|| "nobody tells of it".to_owned());
        let ready = ready.and_then(|told| wait(&told, longest));
        ready.map_err(|why| Error::Unverified(format!("the fresh process of `{name}` {why}")))?;
        Ok(fresh)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.service.send(Input::Stop);
        let (stopped, longest) = &self.stopped;
        // What is left is killed.
        let _ = stopped.recv_timeout(*longest);
        self.tell.end();
    }
}

/// Has it built with the flags with which what runs was built, if that takes patches: all packages are compiled then.
fn build_as_before(service: &mut config::Service, cache: &Cache) {
    if service.patch.take().is_some()
        && let Ok(recipe) = Recipe::find(service, &service.env, &cache.dir.join("recipe"))
    {
        service.build = Build::Command(recipe.build(service));
    }
}

/// What is told, from a thread that ends with the telling.
fn facts(told: record::Told) -> Receiver<Arc<Record>> {
    let (sender, facts) = unbounded();
    std::thread::spawn(move || {
        while let Some(records) = told.burst() {
            // Nobody may want to know any more; then it is read all the same, so that the process need not wait.
            records.into_iter().for_each(|record| drop(sender.send(record)));
        }
    });
    facts
}

/// Waits until it is ready; otherwise says what became of it.
fn wait(told: &Receiver<Arc<Record>>, longest: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let deadline = begun + longest;
    let (mut doing, mut mention) = ("is being built", Some(begun + LONG));
    let mut lines: VecDeque<String> = VecDeque::new();
    let with_lines = |why: String, lines: &VecDeque<String>| {
        let text: String = lines.iter().rev().map(|line| format!("\n{line}")).collect();
        if text.is_empty() { why } else { format!("{why}; it wrote:{text}") }
    };
    loop {
        let until = mention.unwrap_or(deadline).min(deadline);
        let Ok(record) = told.recv_deadline(until) else {
            if Instant::now() >= deadline {
                let after = humantime::format_duration(longest);
                return Err(with_lines(format!("{doing}, but after {after} it is not ready"), &lines));
            }
            if mention.take().is_none() {
                return Err(with_lines("has ended".to_owned(), &lines));
            }
            eprintln!("the fresh process {doing}");
            continue;
        };
        match &record.event {
            Event::Ready { .. } => return Ok(()),
            Event::Build { ok: false, failure, .. } => {
                return Err(format!("cannot be built:\n{}", failure.output.trim_end()));
            }
            Event::Started { .. } => (doing, mention) = ("is started", Some(Instant::now() + LONG)),
            Event::Log { line, .. } => {
                lines.truncate(LINES - 1);
                lines.push_front(String::from_utf8_lossy(line).trim_end().to_owned());
            }
            Event::Exited { code, signal, .. } => {
                let how = match (code, signal) {
                    (Some(code), _) => format!("exited with code {code}"),
                    (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
                };
                return Err(with_lines(format!("{how} before it was ready"), &lines));
            }
            Event::Notice { level: Level::Warning | Level::Error, message } => {
                return Err(with_lines(format!("does not run: {message}"), &lines));
            }
            _ => {}
        }
    }
}
