//! Everything a user can be told, as plain data, and the way to tell it. Stages send records and know nothing
//! of who shows them; every view (console, log files, JSON) is a rendering of these and nothing else. The JSON
//! form is public: it changes only with an entry in CHANGELOG.md.

use std::path::PathBuf;
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use serde::{Deserialize, Serialize, Serializer};

use crate::name::Name;

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
    /// A process ended without being asked to.
    Exited { pid: i32, code: Option<i32>, signal: Option<i32> },
    /// A line that the service wrote.
    Log {
        stream: Stream,
        #[serde(serialize_with = "lossy")]
        line: Vec<u8>,
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

/// Where the time of a restart went, in milliseconds.
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
    /// Until it was ready.
    pub ready_ms: u64,
}

/// How a save reaches the running service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Not at all: nothing that runs would differ.
    Nothing,
    /// Build, stop, start.
    Restart,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Lines of output on their way to the views; when there are more, services wait.
const LINES_IN_FLIGHT: usize = 1024;

/// The sending side: cheap to clone, one per stage. Facts never block their sender; lines of output do when
/// the views cannot keep up. Everything stays in order.
#[derive(Debug, Clone)]
pub struct Tell {
    /// `None` ends the telling.
    records: Sender<Option<Record>>,
    permits: Sender<()>,
}

/// The receiving side, for the one thread that shows records.
#[derive(Debug)]
pub struct Told {
    records: Receiver<Option<Record>>,
    permits: Receiver<()>,
    ended: bool,
}

/// A new pair.
pub fn channel() -> (Tell, Told) {
    let (records, records_told) = unbounded();
    let (permits, permits_told) = bounded(LINES_IN_FLIGHT);
    (Tell { records, permits }, Told { records: records_told, permits: permits_told, ended: false })
}

impl Tell {
    /// Tells a fact about `service`, or about all.
    pub fn fact(&self, service: Option<&Name>, event: Event) {
        // Once the views are gone nobody is left to be told.
        let _ = self.records.send(Some(Record { at: SystemTime::now(), event, service: service.cloned() }));
    }

    /// Ends the telling: what is told after this, by whomever, is not shown.
    pub fn end(&self) {
        let _ = self.records.send(None);
    }

    /// Tells a line that `service` wrote; waits while the views are behind.
    pub fn line(&self, service: &Name, stream: Stream, line: Vec<u8>) {
        if self.permits.send(()).is_ok() {
            self.fact(Some(service), Event::Log { stream, line });
        }
    }

    /// Tells a notice about `service`, or about all.
    pub fn notice(&self, service: Option<&Name>, level: Level, message: impl Into<String>) {
        self.fact(service, Event::Notice { level, message: message.into() });
    }
}

impl Told {
    /// The next records, at least one and not more than `most`, in order; `None` when there will be no more.
    /// Waits only for the first.
    pub fn burst(&mut self, most: usize) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        while records.len() < most && !self.ended {
            let next = if records.is_empty() {
                self.records.recv().unwrap_or(None)
            } else {
                let Ok(next) = self.records.try_recv() else { break };
                next
            };
            let Some(record) = next else {
                self.ended = true;
                break;
            };
            if matches!(record.event, Event::Log { .. }) {
                // Its line is no longer in flight.
                let _ = self.permits.try_recv();
            }
            records.push(record);
        }
        (!records.is_empty()).then_some(records)
    }
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
    fn records_come_in_order_and_nothing_after_the_end() {
        let (tell, mut told) = channel();
        let name = Name::parse("api").unwrap();
        tell.fact(None, Event::Building);
        tell.line(&name, Stream::Stdout, b"x".to_vec());
        tell.fact(None, Event::Started { pid: 1 });
        tell.end();
        tell.fact(None, Event::Started { pid: 2 });
        let events = |burst: Option<Vec<Record>>| burst.map(|records| records.len());
        assert_eq!(events(told.burst(2)), Some(2));
        assert_eq!(events(told.burst(2)), Some(1));
        assert_eq!(events(told.burst(2)), None);
        assert_eq!(events(told.burst(2)), None);
    }

    #[test]
    fn the_json_form() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let name = Name::parse("api").unwrap();
        let record = Record { at, event: Event::Ready { pid: 7, ms: 12 }, service: Some(name) };
        let json = serde_json::to_string(&record).unwrap();
        let expected =
            r#"{"at":"2023-11-14T22:13:20.123000Z","event":"ready","pid":7,"ms":12,"service":"api"}"#;
        assert_eq!(json, expected);

        let event = Event::Log { stream: Stream::Stderr, line: b"a\xff\"".to_vec() };
        let json = serde_json::to_string(&Record { at, event, service: None }).unwrap();
        assert!(
            json.contains(r#""stream":"stderr","line":"a\ufffd\"""#) || json.contains("a\u{fffd}"),
            "{json}"
        );
    }
}
