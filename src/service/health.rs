//! When a process counts as ready, found out by looking: a process of its own group listens on the port. That
//! something answers there would not do, it may be somebody else.

use std::time::Duration;

use hotwatch_platform::port;
use hotwatch_platform::process::Group;

use crate::config::Ready;

/// How long to wait between two looks at a process that was started `age` ago.
pub fn interval(age: Duration) -> Duration {
    match age.as_millis() {
        0..50 => Duration::from_millis(2),
        50..1000 => Duration::from_millis(5),
        _ => Duration::from_millis(50),
    }
}

/// Whether a look says that the process is ready. A log line is not looked for but met, so for that the answer
/// is always no.
pub fn is_ready(ready: &Ready, group: &Group) -> bool {
    match ready {
        Ready::Tcp(port) => port::serves(group, *port).unwrap_or(false),
        Ready::Log(_) => false,
        Ready::Started => true,
    }
}

/// Why a process may not be ready yet, in words.
pub fn reason(ready: &Ready) -> String {
    match ready {
        Ready::Tcp(port) => {
            let holders = port::holders(*port).unwrap_or_default();
            match holders.first() {
                Some(holder) => format!("port {port} is held by {holder}, which does not belong to it"),
                None => format!("it does not listen on port {port}"),
            }
        }
        Ready::Log(text) => format!("it has not written `{text}`"),
        Ready::Started => "it does not run".to_owned(),
    }
}
