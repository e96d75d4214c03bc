//! Shows records: one thread per view takes them in order and hands them to it, so that a view that is stuck stops
//! no other. What an event is called is decided here, once, for all views that show words.

mod effects;
pub mod file;
pub mod json;
mod rotation;
mod seam;
pub mod terminal;

use crossbeam_channel::{Receiver, bounded};

use crate::plan;
use crate::record::{Diagnostic, Event, Failure, Level, PatchSplit, Record, Rung, Split, Tell, Told};

/// One way of showing records.
pub trait View: Send {
    /// Takes in a record; nothing need be visible before [`View::flush`].
    fn show(&mut self, record: &Record);

    /// Makes everything visible that was shown. Returns what there is to say about that, once for each trouble.
    fn flush(&mut self) -> Vec<Remark>;
}

/// What a view has to say of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Nobody reads it any longer; there is no point in going on.
    Closed,
    /// It cannot be written, in words.
    Broken(String),
    /// It can be written again, in words.
    Mended(String),
}

/// The threads that show records; they end with the telling.
#[derive(Debug)]
pub struct Log {
    ended: Receiver<()>,
}

impl Log {
    /// Shows on each of `views` what it is told. `closed` is called when one of them says that nobody reads it; what
    /// else they say goes to `tell`.
    pub fn start(
        views: Vec<(Told, Box<dyn View>)>,
        tell: &Tell,
        closed: impl Fn() + Clone + Send + 'static,
    ) -> Log {
        let (running, ended) = bounded(0);
        for (told, mut view) in views {
            let (running, tell, closed) = (running.clone(), tell.clone(), closed.clone());
            // Not joined: where nobody reads what it writes, it may be stuck for ever.
            std::thread::spawn(move || {
                while let Some(records) = told.burst() {
                    records.iter().for_each(|record| view.show(record));
                    for remark in view.flush() {
                        match remark {
                            Remark::Closed => closed(),
                            Remark::Broken(message) => tell.notice(None, Level::Warning, message),
                            Remark::Mended(message) => tell.notice(None, Level::Info, message),
                        }
                    }
                }
                drop(running);
            });
        }
        Log { ended }
    }

    /// Disconnected when everything has been shown. The telling must have been ended.
    pub fn ended(&self) -> &Receiver<()> {
        &self.ended
    }
}

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// By the way.
    Quiet,
    /// As it should be.
    Good,
    /// Part of a reload.
    Reload,
    /// May be unexpected.
    Warning,
    /// Failed.
    Bad,
}

/// An event in words; `None` for lines of a service, which speak for themselves, and for what another event
/// says as well.
pub fn words(event: &Event) -> Option<(Tone, String)> {
    Some(match event {
        Event::Log { .. } | Event::Change { .. } | Event::Good { .. } | Event::Settled => return None,
        Event::Watching { directories: 1 } => (Tone::Quiet, "watching 1 directory".to_owned()),
        Event::Watching { directories } => (Tone::Quiet, format!("watching {directories} directories")),
        Event::Started { pid } => (Tone::Quiet, format!("started, PID {pid}")),
        Event::Ready { ms, .. } => (Tone::Good, format!("ready after {}", duration(*ms))),
        Event::Verdict { rung: Rung::Nothing, reason } => (Tone::Quiet, reason.clone()),
        Event::Verdict { rung: Rung::Patch | Rung::Restart | Rung::Sync, reason } => {
            (Tone::Reload, reason.clone())
        }
        Event::Building => (Tone::Quiet, "building".to_owned()),
        Event::StillBuilding { ms } => (Tone::Quiet, format!("still building after {}", duration(*ms))),
        Event::Build { ok: true, ms, .. } => (Tone::Quiet, format!("built in {}", duration(*ms))),
        Event::Build { ok: false, ms, failure } => (Tone::Bad, failed(*ms, failure)),
        Event::Cancelled { reason } => (Tone::Reload, format!("build cancelled: {reason}")),
        Event::Restarted { old_pid: Some(old), pid, ms, split } => {
            (Tone::Reload, format!("restarted in {}, PID {old} -> {pid} ({})", duration(*ms), parts(split)))
        }
        Event::Restarted { old_pid: None, pid, ms, split } => {
            (Tone::Reload, format!("running again after {}, PID {pid} ({})", duration(*ms), parts(split)))
        }
        Event::Patched { pid, generation, functions, stale_goroutines, ms, split, .. } => {
            let old = match stale_goroutines {
                0 => String::new(),
                1 => "; 1 goroutine is still in an older version of them".to_owned(),
                count => format!("; {count} goroutines are still in an older version of them"),
            };
            let functions: Vec<String> = functions.iter().map(|name| format!("`{name}`")).collect();
            let words = format!(
                "patched {} in {}, PID {pid}, generation {generation} ({}){old}",
                plan::list(&functions).replace("more files", "more"),
                duration(*ms),
                patch_parts(split)
            );
            (Tone::Reload, words)
        }
        Event::Synced { pair, files: 0, ms, .. } => {
            (Tone::Quiet, format!("{pair}: both sides are the same, {}", duration(*ms)))
        }
        Event::Synced { pair, files, bytes, ms } => {
            let files = crate::record::counted(*files as u64, "file");
            let bytes = crate::record::counted(*bytes, "byte");
            (Tone::Reload, format!("{pair}: synced {files}, {bytes} in {}", duration(*ms)))
        }
        Event::Effects { functions, .. } => (Tone::Quiet, effects::words(functions)),
        Event::Exited { pid, code: Some(code), .. } => {
            (Tone::Bad, format!("PID {pid} exited with code {code}"))
        }
        Event::Exited { pid, signal, .. } => {
            let signal = signal.unwrap_or_default();
            (Tone::Bad, format!("PID {pid} was ended by signal {signal}"))
        }
        Event::RolledBack { reason, pid, started: true, .. } => (
            Tone::Bad,
            format!("rolled back: {reason}; what ran before runs again as PID {pid}, its memory is gone"),
        ),
        Event::RolledBack { reason, pid, started: false, .. } => {
            (Tone::Bad, format!("rolled back: {reason}; PID {pid} has never stopped and goes on"))
        }
        Event::Held { reason } => (Tone::Bad, format!("held: {reason}")),
        Event::Stopped { pid } => (Tone::Quiet, format!("stopped, PID {pid}")),
        Event::Asked { what } => (Tone::Reload, format!("asked to {what}")),
        Event::Paused => {
            (Tone::Warning, "paused: what is saved from now on counts at `hotwatch resume`".to_owned())
        }
        Event::Resumed => (Tone::Good, "resumed: saves count again".to_owned()),
        Event::Notice { level: Level::Info, message } => (Tone::Quiet, message.clone()),
        Event::Notice { level: Level::Warning, message } => (Tone::Warning, message.clone()),
        Event::Notice { level: Level::Error, message } => (Tone::Bad, message.clone()),
    })
}

/// A failed build: one line for all of it, then every complaint with a path that can be clicked on.
fn failed(ms: u64, failure: &Failure) -> String {
    let mut text = format!("build failed after {}: {}", duration(ms), failure.summary);
    for diagnostic in &failure.diagnostics {
        let Diagnostic { path, line, column, message } = diagnostic;
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        text += &format!("\n{}:{line}{column}: {}", path.display(), message.replace('\n', "\n    "));
    }
    failure.rest.iter().for_each(|rest| text += &format!("\n{rest}"));
    text
}

/// Where the time of a restart went, with what took none left out.
fn parts(split: &Split) -> String {
    let parts = [
        ("wait", split.wait_ms),
        ("build", split.build_ms),
        ("stop", split.stop_ms),
        ("start", split.start_ms),
        ("ready", split.ready_ms),
    ];
    told(&parts)
}

fn told(parts: &[(&str, u64)]) -> String {
    let shown = parts.iter().filter(|(_, ms)| *ms > 0).map(|(name, ms)| format!("{name} {}", duration(*ms)));
    shown.collect::<Vec<_>>().join(", ")
}

/// Where the time of a patch went, with what took none left out.
fn patch_parts(split: &PatchSplit) -> String {
    let parts = [
        ("gather", split.gather_ms),
        ("compile", split.compile_ms),
        ("link", split.link_ms),
        ("load", split.load_ms),
    ];
    told(&parts)
}

/// Milliseconds as people read them.
pub fn duration(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}
