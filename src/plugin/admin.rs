//! Hosts are asked over their admin sockets: a line of JSON each way (the SDK's documentation says what is spoken there).

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::PluginError;

/// How long a host may take for an answer; a reload builds nothing.
const ANSWER: Duration = Duration::from_secs(120);

/// The sockets of hosts of this user, each named after its process.
pub fn hosts() -> Vec<PathBuf> {
    let own = nix::unistd::geteuid().as_raw();
    let dir = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("hotplug"),
        None => std::env::temp_dir().join(format!("hotplug-{own}")),
    };
    let is_own = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() == own && meta.file_type().is_socket())
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut sockets: Vec<PathBuf> =
        entries.filter(is_own).filter(|path| UnixStream::connect(path).is_ok()).collect();
    sockets.sort();
    sockets
}

/// What the host at `socket` answers to `what`: `list`, `manifest` or `reload`.
///
/// # Errors
/// Nobody is there, or it says what is wrong.
pub fn ask(socket: &Path, what: &str) -> Result<Value, PluginError> {
    ask_within(socket, what, ANSWER)
}

/// The same within another time.
///
/// # Errors
/// As for [`ask`].
pub fn ask_within(socket: &Path, what: &str, longest: Duration) -> Result<Value, PluginError> {
    let shown = socket.display();
    let cannot = |error: std::io::Error| {
        PluginError::NoHost(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!(
                    "the host at `{shown}` does not answer within {} s; it may still be at it",
                    longest.as_secs()
                )
            }
            _ => format!("cannot ask the host at `{shown}`: {error}"),
        })
    };
    let mut stream = UnixStream::connect(socket).map_err(cannot)?;
    stream
        .set_read_timeout(Some(longest))
        .and_then(|()| stream.set_write_timeout(Some(longest)))
        .map_err(cannot)?;
    stream.write_all(format!("{}\n", json!({ "do": what })).as_bytes()).map_err(cannot)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(cannot)?;
    let answer: Value = serde_json::from_str(&line)
        .map_err(|_| PluginError::NoHost(format!("the host at `{shown}` does not answer in JSON")))?;
    if answer["ok"] == true {
        return Ok(answer);
    }
    let why = answer["error"].as_str().unwrap_or("it does not say why");
    Err(PluginError::NoHost(why.to_owned()))
}
