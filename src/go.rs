//! The go command: where it is, and what it is asked to do. Nothing outside this module knows it.

pub mod build;
mod build_id;
pub mod command;
mod diagnostic;
pub mod list;
pub mod mains;
mod modules;
mod run;
pub mod slots;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The executable `program` on `path`, a list as in `PATH`.
pub fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |file: &PathBuf| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).map(|dir| dir.join(program)).find(executable)
}

/// The flags that the environment, or the user's settings of the go command, add to each of its commands; nothing
/// if it cannot be asked.
pub fn flags() -> String {
    let output = Command::new("go").args(["env", "GOFLAGS"]).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the go command at `go` says of its version, as in `go1.26.1 linux/amd64`.
///
/// # Errors
/// It cannot be run, or answers something else.
pub fn version(go: &Path) -> Result<String, String> {
    let output = Command::new(go).arg("version").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().strip_prefix("go version ") {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(format!("`go version` answered: {}{}", text, String::from_utf8_lossy(&output.stderr))
            .trim()
            .to_owned()),
    }
}
