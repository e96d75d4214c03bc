//! `hotwatch events DIR`: the bare watcher. Nothing is left out; a line per event, for scripts and for
//! measuring.

use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hotwatch_platform::signal::Blocked;
use hotwatch_platform::watch::poll::Poller;
use hotwatch_platform::watch::{Entry, Event, Everything, Scope, Watcher, mounts, native};
use serde_json::json;

use crate::error::Error;

/// How often directories are looked at that the system cannot watch.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Prints every change below `dir` until a signal ends it.
pub fn events(dir: &Path, json: bool, signals: Blocked) -> Result<ExitCode, Error> {
    let root = std::path::absolute(dir).map_err(Error::io("find the current directory"))?;
    let ending = Arc::new(AtomicBool::new(false));
    let mut watcher = native(Box::new(UntilEnded(Arc::clone(&ending))))?;
    let (ended, waker) = (Arc::clone(&ending), watcher.waker());
    let end = move |_| {
        ended.store(true, Ordering::Release);
        waker.wake();
    };
    let _listener = signals.listen(end).map_err(Error::io("start a thread"))?;

    let mut directories = 0;
    let mut to_poll = Vec::new();
    if mounts::silent(&root).iter().any(|silent| root.starts_with(&silent.mount)) {
        to_poll.push(root);
    } else {
        let added = watcher.add(&root)?;
        directories += added.directories;
        to_poll.extend(added.unwatched);
        for (dir, reason) in added.unreadable {
            eprintln!("not watched: `{}`: {reason}", dir.display());
        }
    }
    if !to_poll.is_empty() {
        directories += poll(&to_poll, json, &ending)?;
    }
    eprintln!("watching {directories} directories");

    let mut events = Vec::new();
    while !ending.load(Ordering::Acquire) {
        watcher.wait(&mut events, None).map_err(Error::io("watch"))?;
        let unwatched: Vec<PathBuf> = events
            .iter()
            .filter_map(|event| if let Event::Unwatched { dir } = event { Some(dir.clone()) } else { None })
            .collect();
        if !unwatched.is_empty() {
            poll(&unwatched, json, &ending)?;
        }
        if !print(events.drain(..), json)? {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything, until a signal has come: reading a large tree takes a while.
struct UntilEnded(Arc<AtomicBool>);

impl Scope for UntilEnded {
    fn enter(&mut self, _: &Path) -> bool {
        !self.0.load(Ordering::Acquire)
    }
    fn found(&mut self, _: &Path, _: Entry) {}
}

/// Polls `dirs` on a thread of its own; returns how many directories that are.
fn poll(dirs: &[PathBuf], json: bool, ending: &Arc<AtomicBool>) -> Result<usize, Error> {
    let mut poller = Poller::new(Box::new(Everything), POLL_INTERVAL);
    let mut directories = 0;
    for dir in dirs {
        directories += poller.add(dir)?.directories;
        eprintln!("polled, every {} ms: `{}`", POLL_INTERVAL.as_millis(), dir.display());
    }
    let ended = Arc::clone(ending);
    // Ends with the process: whatever it could still print is of no interest then.
    std::thread::spawn(move || {
        let mut events = Vec::new();
        while !ended.load(Ordering::Acquire) && poller.wait(&mut events, None).is_ok() {
            if !matches!(print(events.drain(..), json), Ok(true)) {
                break;
            }
        }
    });
    Ok(directories)
}

/// Writes `events`; false when nobody reads them any more.
fn print(events: impl Iterator<Item = Event>, json: bool) -> Result<bool, Error> {
    let mut lines = Vec::new();
    for event in events {
        if json {
            write_json(&mut lines, &event);
        } else {
            write_text(&mut lines, &event);
        }
    }
    let mut out = io::stdout().lock();
    match out.write_all(&lines).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::io("write to standard output")(error)),
    }
}

fn write_text(lines: &mut Vec<u8>, event: &Event) {
    let (what, path, dir) = match event {
        Event::Change { path, kind, dir } => (kind.to_string(), path, *dir),
        Event::Rescan { root, .. } => ("rescan".to_owned(), root, true),
        Event::Unwatched { dir } => ("unwatched".to_owned(), dir, true),
    };
    lines.extend_from_slice(what.as_bytes());
    lines.push(b' ');
    lines.extend_from_slice(path.as_os_str().as_bytes());
    if dir {
        lines.push(b'/');
    }
    lines.push(b'\n');
}

fn write_json(lines: &mut Vec<u8>, event: &Event) {
    let at = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let line = match event {
        Event::Change { path, kind, dir } => {
            json!({ "at": at, "kind": kind.to_string(), "path": path.to_string_lossy(), "dir": dir })
        }
        Event::Rescan { root, why } => {
            json!({ "at": at, "kind": "rescan", "path": root.to_string_lossy(), "reason": why.to_string() })
        }
        Event::Unwatched { dir } => json!({ "at": at, "kind": "unwatched", "path": dir.to_string_lossy() }),
    };
    lines.extend_from_slice(line.to_string().as_bytes());
    lines.push(b'\n');
}
