//! When a service counts as ready, and when as good: `ready` in its entry.

use std::time::Duration;

use super::resolve::Source;
use super::{ConfigError, file};

/// How long a process has to stay up after it became ready, unless the user says otherwise. Most of what is wrong
/// with a start (a missing table, a refused connection) shows within a second or two.
const SETTLE: Duration = Duration::from_secs(3);

/// How long a process may take to become ready, unless the user says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// When a process counts as ready, and when as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// What makes it ready.
    pub when: Ready,
    /// How long it may take to become so.
    pub timeout: Duration,
    /// How often to look; `None` leaves that to hotwatch.
    pub interval: Option<Duration>,
    /// How long it has to stay up then. Before that it gives way to what ran before it, should it end.
    pub settle: Duration,
}

/// What makes a process ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// A process of its group listens on this TCP port.
    Tcp(u16),
    /// It answers a request.
    Http(Http),
    /// It has written a line that contains this text.
    Log(String),
    /// This command, run in the service's directory with its environment, succeeds.
    Command(Vec<String>),
    /// As soon as it runs.
    Started,
}

/// A request that a ready process answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The host, without brackets if it is an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// The status that it must have; `None` takes every one from 200 to 399.
    pub status: Option<u16>,
}

impl Source<'_> {
    /// Checks `ready` of a service that listens on `port`.
    pub(super) fn readiness(
        &self,
        parsed: &file::Service,
        port: Option<u16>,
    ) -> Result<Readiness, ConfigError> {
        let by_default = port.map_or(Ready::Started, Ready::Tcp);
        let Some(place) = &parsed.ready else {
            return Ok(Readiness { when: by_default, timeout: TIMEOUT, interval: None, settle: SETTLE });
        };
        let ready = place.get_ref();
        let mut named = Vec::new();
        named.extend(ready.tcp.map(Ready::Tcp));
        if let Some(url) = &ready.http {
            named
                .push(Ready::Http(http(url, port, ready.status).map_err(|problem| self.at(place, problem))?));
        } else if ready.status.is_some() {
            return Err(self.at(place, "`status` belongs to `http`; say which address to ask"));
        }
        named.extend(ready.log.clone().map(Ready::Log));
        if let Some(words) = &ready.command {
            if words.is_empty() {
                return Err(self.at(place, "`command` is empty; write one such as `[\"pg_isready\"]`"));
            }
            named.push(Ready::Command(words.clone()));
        }
        match ready.started {
            Some(true) => named.push(Ready::Started),
            Some(false) => {
                return Err(self.at(place, "`started = false` says nothing; name what makes it ready"));
            }
            None => {}
        }
        if ready.interval.is_some_and(|interval| interval.is_zero()) {
            return Err(self.at(place, "`interval` is zero; write a time such as `\"200ms\"`"));
        }
        if named.len() > 1 {
            let message = "`ready` takes one of `tcp = PORT`, `http = \"URL\"`, `log = \"TEXT\"`, \
                           `command = [\"...\"]` and `started = true`";
            return Err(self.at(place, message));
        }
        Ok(Readiness {
            when: named.pop().unwrap_or(by_default),
            timeout: ready.timeout.unwrap_or(TIMEOUT),
            interval: ready.interval,
            settle: ready.settle.unwrap_or(SETTLE),
        })
    }
}

/// Reads an address: `http://host[:port][/path]`, or only the path where the service has a `port`.
fn http(url: &str, port: Option<u16>, status: Option<u16>) -> Result<Http, String> {
    let example = "write one such as `http://127.0.0.1:8080/healthz`";
    if url.starts_with('/') {
        let port =
            port.ok_or_else(|| format!("`{url}` names no port; give the service one, or {example}"))?;
        return Ok(Http { host: "127.0.0.1".to_owned(), port, path: url.to_owned(), status });
    }
    let problem = |what: &str| format!("`{url}` {what}; {example}");
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| problem("begins neither with `/`, as a path, nor with `http://`"))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let colon = authority.rfind(':').filter(|&at| !authority[at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => {
            (&authority[..at], authority[at + 1..].parse().map_err(|_| problem("has no valid port"))?)
        }
        None => (authority, 80),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let sound = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || !sound(host) || !sound(path) || host.contains('@') {
        return Err(problem("is no address"));
    }
    let path = if path.is_empty() { "/" } else { path };
    Ok(Http { host: host.to_owned(), port, path: path.to_owned(), status })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let read = |url| {
            http(url, Some(7), None).map(|http| format!("{} {} {}", http.host, http.port, http.path)).ok()
        };
        for (url, expected) in [
            ("http://127.0.0.1:20000/healthz?x=1", Some("127.0.0.1 20000 /healthz?x=1")),
            ("http://localhost", Some("localhost 80 /")),
            ("http://[::1]:80/a", Some("::1 80 /a")),
            ("http://[::1]", Some("::1 80 /")),
            ("/healthz", Some("127.0.0.1 7 /healthz")),
            ("https://localhost/", None),
            ("http://", None),
            ("http://a b/", None),
            ("http://a:port/", None),
            ("http://user@a/", None),
            ("localhost:80", None),
        ] {
            assert_eq!(read(url).as_deref(), expected, "{url}");
        }
        assert!(http("/healthz", None, None).is_err());
    }
}
