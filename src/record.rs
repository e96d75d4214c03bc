//! Everything a user can be told, as plain data, and the way to tell it. Stages send records and know nothing
//! of who shows them; every view (console, log files, JSON) is a rendering of these and nothing else. The JSON
//! form is public: it changes only with an entry in CHANGELOG.md.

mod channel;

use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize, Serializer};

use crate::name::Name;
pub use channel::{Tell, Told, channel, counted};

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// To which service; `None` for what concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Name>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Every later save is seen.
    Watching { directories: usize },
    /// A process was started; it need not be ready yet.
    Started { pid: i32 },
    /// The process is ready, so many milliseconds after its start.
    Ready { pid: i32, ms: u64 },
    /// Files that a service is built from changed; paths are relative to the project where they lie in it.
    Change { paths: Vec<String> },
    /// What a save leads to, and why.
    Verdict { rung: Rung, reason: String },
    /// A build began.
    Building,
    /// A build takes long; so many milliseconds have passed.
    StillBuilding { ms: u64 },
    /// A build ended, so many milliseconds after it began; without a failure if it succeeded.
    Build {
        ok: bool,
        ms: u64,
        #[serde(flatten)]
        failure: Failure,
    },
    /// A running build was stopped because a newer save made it pointless.
    Cancelled { reason: String },
    /// The new process is ready, so many milliseconds after the first file event of the save. `old_pid` is
    /// absent when nothing ran before.
    Restarted {
        old_pid: Option<i32>,
        pid: i32,
        ms: u64,
        #[serde(flatten)]
        split: Split,
    },
    /// The process runs the new code of these functions, so many milliseconds after the first file event of the save.
    Patched {
        pid: i32,
        /// How often the process was patched, this time included.
        generation: u32,
        /// Each later call of these runs the new code.
        functions: Vec<String>,
        /// How it was linked: `direct`, or `plugin` where what the process lacked came with it.
        link: &'static str,
        /// How many goroutines go on in an older version of them.
        stale_goroutines: u64,
        /// How much memory all patches of the process take, in bytes.
        memory_bytes: u64,
        ms: u64,
        #[serde(flatten)]
        split: PatchSplit,
    },
    /// A while after that patch, in its order: how often each of the functions has run the new code.
    Effects { pid: i32, generation: u32, functions: Vec<Effect> },
    /// A round of sync has ended, so many milliseconds after the first file event: so many files, of so many bytes, have
    /// gone over.
    Synced { pair: String, files: usize, bytes: u64, ms: u64 },
    /// The process has stayed up for long enough to count as good: what ran before it is given up.
    Good { pid: i32 },
    /// What was started for a save started badly, so what ran before it runs on as the process `pid`. With a held
    /// port that has never stopped; otherwise it was `started` again, with its memory gone.
    RolledBack {
        reason: String,
        pid: i32,
        started: bool,
        /// So many milliseconds after the first file event of the save.
        ms: u64,
        #[serde(flatten)]
        split: Split,
    },
    /// The service ended too often; nothing starts it but the next save, or its user.
    Held { reason: String },
    /// A process ended without being asked to.
    Exited { pid: i32, code: Option<i32>, signal: Option<i32> },
    /// A line that the service wrote, or a piece of one: it goes on in the next of its stream if it is partial.
    Log {
        stream: Stream,
        #[serde(serialize_with = "lossy")]
        line: Vec<u8>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// A process was stopped by hotwatch, and nothing of its group is left.
    Stopped { pid: i32 },
    /// The user asked for it: `restart`, `stop`, `start` or `build`.
    Asked { what: &'static str },
    /// Nothing is under way with the service any more: no build, no start, no stop.
    Settled,
    /// The user asked for saves to wait.
    Paused,
    /// Saves count again, and so do those that were made meanwhile.
    Resumed,
    /// Something else worth telling.
    Notice { level: Level, message: String },
}

/// Why a build failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Everything that it wrote.
    pub output: String,
    /// The same in one line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The complaints that have a place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
    /// Those that have none.
    #[serde(skip)]
    pub rest: Vec<String>,
}

/// What a build complains of, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Diagnostic {
    /// The file, absolute and without `.` and `..`.
    pub path: PathBuf,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in bytes, counted from 1, where one was told.
    pub column: Option<u32>,
    /// What is wrong there; further lines follow the first without their indentation.
    pub message: String,
}

/// Where the time of a restart went, in milliseconds; or of an attempt at one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// For the save to be complete, for a free slot, for the cooldown.
    pub wait_ms: u64,
    /// From the start of the build to its end.
    pub build_ms: u64,
    /// Until nothing of the old process was left.
    pub stop_ms: u64,
    /// To create the new process.
    pub start_ms: u64,
    /// Until it was ready, or what ran before was again.
    pub ready_ms: u64,
}

/// What became of the new code of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The function, as a user knows it.
    pub function: String,
    /// How often it was entered, as its own entry counts.
    pub entered: u64,
}

/// Where the time of a patch went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchSplit {
    /// For the save to be complete.
    pub gather_ms: u64,
    /// To compile, and to compare.
    pub compile_ms: u64,
    /// To link.
    pub link_ms: u64,
    /// To load it, and to switch to it.
    pub load_ms: u64,
}

/// How a save reaches the running service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Not at all: nothing that runs would differ.
    Nothing,
    /// Changed functions are loaded into the running process.
    Patch,
    /// Build, stop, start.
    Restart,
    /// Files go into a container or to another host.
    Sync,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Something does not work as the user may expect.
    Warning,
    /// Something failed.
    Error,
}

/// Where a service wrote a line to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

fn rfc3339<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_micros(*at))
}

fn lossy<S: Serializer>(line: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_json_form() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let name = Name::parse("api").unwrap();
        let record = Record { at, event: Event::Ready { pid: 7, ms: 12 }, service: Some(name) };
        let json = serde_json::to_string(&record).unwrap();
        let expected =
            r#"{"at":"2023-11-14T22:13:20.123000Z","event":"ready","pid":7,"ms":12,"service":"api"}"#;
        assert_eq!(json, expected);

        let event = Event::Log { stream: Stream::Stderr, line: b"a\xff\"".to_vec(), partial: false };
        let json = serde_json::to_string(&Record { at, event, service: None }).unwrap();
        assert!(
            json.contains(r#""stream":"stderr","line":"a\ufffd\"""#) || json.contains("a\u{fffd}"),
            "{json}"
        );
        assert!(!json.contains("partial"), "{json}");
        let event = Event::Log { stream: Stream::Stdout, line: b"name? ".to_vec(), partial: true };
        let json = serde_json::to_string(&Record { at, event, service: None }).unwrap();
        assert!(json.ends_with(r#""stream":"stdout","line":"name? ","partial":true}"#), "{json}");
    }
}
