//! Gets modules through the go command, from the proxy that it is configured for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Project, copy};

/// A module with its version, and the directory of the project where it is put.
pub type Module = (&'static str, &'static str);

/// Puts a copy of `module` into `project`, which may be written to.
pub fn download(project: &Project, (module, dir): Module) {
    let mut command = Command::new("go");
    project.surround(&mut command);
    let output =
        command.args(["mod", "download", "-json", module]).current_dir(project.log_dir()).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let from = answer["Dir"].as_str().unwrap_or_else(|| panic!("{module}: {}", answer["Error"]));
    let to = project.path(dir);
    copy(Path::new(from), &to);
    make_writable(&to);
}

fn make_writable(dir: &Path) {
    fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            make_writable(&entry.path());
        } else {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o644)).unwrap();
        }
    }
}
