//! What goes over the socket: the client writes one line of JSON, hotwatch answers with lines of JSON and closes.
//! Both ends are of one version; a client of another is told so.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::service::{Preview, Reached};
use crate::snapshot::{Reload, Service};
use crate::sync::{self, Winner};

/// Raised whenever a line means something else than before.
pub const VERSION: u32 = 1;

/// A longer request is none.
pub const LONGEST_REQUEST: u64 = 64 * 1024;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What.
    #[serde(flatten)]
    pub verb: Verb,
    /// The services that are meant; all of them if there are none.
    pub services: Vec<String>,
    /// Whether text is to be JSON lines, as `up --json` writes them, or what the console shows.
    pub json: bool,
    /// Whether the console's text is to be coloured.
    pub colored: bool,
}

/// What there is to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Verb {
    /// What is known of the services.
    Status,
    /// What became of the last saves.
    Timeline,
    /// What a save of all that is on disk would lead to.
    Weigh,
    /// How the process of the one service that is named is reached.
    Reach,
    /// How the files of services are synced.
    SyncStatus,
    /// A full comparison of all that is synced now.
    SyncOnce,
    /// Who is right at a path, an absolute one.
    SyncResolve { path: PathBuf, winner: Winner },
    /// What was told, and with `follow` what will be.
    Logs { follow: bool, since: Option<Duration> },
    /// Another process of each.
    Restart { wait: bool },
    /// A process of each that has none.
    Start { wait: bool },
    /// A new build of each.
    Build { wait: bool },
    /// No process of any.
    Stop { wait: bool },
    /// The end of hotwatch.
    End { wait: bool },
    /// What is saved from now on is to wait.
    Pause,
    /// What was saved meanwhile counts.
    Resume,
}

/// The first thing that is read of a request; it means the same in all versions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Versioned {
    /// [`VERSION`] of the client.
    pub version: u32,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Text for standard output.
    Text(String),
    /// What is known of the services.
    Status { paused: bool, services: Vec<Service> },
    /// What became of the last saves, and the names of all services.
    Timeline { project: String, services: Vec<String>, reloads: Vec<Reload> },
    /// What a save of all that is on disk would lead to, of those that take patches; whether saves wait.
    Weighed { paused: bool, previews: Vec<Preview> },
    /// How the process of a service is reached.
    Reached(Reached),
    /// How the files of services are synced.
    Synced(Vec<sync::Status>),
    /// It was not done, in words.
    Error(String),
    /// The last line: whether all that was asked for has worked.
    End { ok: bool },
}

/// `request` as the line that a client sends.
pub fn line(request: &Request) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        version: Versioned,
        #[serde(flatten)]
        request: &'a Request,
    }
    let mut line = serde_json::to_vec(&Line { version: Versioned { version: VERSION }, request })?;
    line.push(b'\n');
    Ok(line)
}

/// The request that `line` is; otherwise what is wrong with it.
pub fn parse(line: &[u8]) -> Result<Request, String> {
    let unreadable = |error: serde_json::Error| format!("this is no request: {error}");
    let Versioned { version } = serde_json::from_slice(line).map_err(unreadable)?;
    if version != VERSION {
        return Err(format!(
            "this hotwatch is another version ({}) than the one that runs here ({}); stop that one with Ctrl+C, and start it with this one",
            format_args!("protocol {version}"),
            format_args!("{}, protocol {VERSION}", crate::VERSION),
        ));
    }
    serde_json::from_slice(line).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_their_way_and_other_versions_are_told_apart() {
        let since = Some(Duration::from_secs(300));
        let verbs = [
            Verb::Status,
            Verb::Weigh,
            Verb::Logs { follow: true, since },
            Verb::Restart { wait: true },
            Verb::End { wait: true },
        ];
        for verb in verbs {
            let request = Request { verb, services: vec!["api".to_owned()], json: true, colored: false };
            let line = line(&request).unwrap();
            assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
            assert_eq!(parse(&line), Ok(request));
        }
        let newer = parse(b"{\"version\":2,\"verb\":\"dance\"}\n").unwrap_err();
        assert!(newer.contains("(protocol 2)") && newer.contains("protocol 1)"), "{newer}");
        for bad in ["", "hello", "{}", "{\"version\":1}", "{\"version\":1,\"verb\":\"dance\"}"] {
            assert!(parse(bad.as_bytes()).unwrap_err().starts_with("this is no request"), "{bad}");
        }
    }
}
