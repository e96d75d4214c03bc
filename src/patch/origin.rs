//! Which go command a recipe was found with, and whether it is still that one: another version may take its place, or
//! it may be set otherwise, while services run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::sources::digest;
use crate::go::{self, GoEnv};

/// The go command, as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Where it is looked for.
    path: OsString,
    /// Where it was, links followed.
    command: Option<PathBuf>,
    /// Digests of the file with its version, and of that with the user's settings (`go help environment`).
    files: [(PathBuf, u64); 2],
}

impl Origin {
    /// The one that has answered `asked`, with the variables `env` added to the environment.
    pub fn of(asked: &GoEnv, env: &BTreeMap<String, String>) -> Origin {
        let path = env.get("PATH").map(Into::into).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
        let files = [asked.root.join("VERSION"), asked.settings.clone()];
        let files = files.map(|file| (file.clone(), digest(&file)));
        Origin { command: command(&path), path, files }
    }

    /// Whether it is the same as it was.
    pub fn stands(&self) -> bool {
        command(&self.path) == self.command
            && self.files.iter().all(|(file, content)| digest(file) == *content)
    }
}

fn command(path: &OsString) -> Option<PathBuf> {
    go::find("go", path)?.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn another_version_or_other_settings_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for version in ["one", "two"] {
            fs::write(at(version), "").unwrap();
            fs::set_permissions(at(version), fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(at("one"), at("go")).unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), dir.path().to_str().unwrap().to_owned())]);
        let asked = GoEnv { root: dir.path().to_owned(), settings: at("env"), ..GoEnv::default() };
        let is_seen = |change: &dyn Fn()| {
            let origin = Origin::of(&asked, &env);
            assert!(origin.stands());
            change();
            assert!(!origin.stands());
        };
        is_seen(&|| {
            fs::remove_file(at("go")).unwrap();
            symlink(at("two"), at("go")).unwrap();
        });
        is_seen(&|| fs::write(at("VERSION"), "go1.27").unwrap());
        is_seen(&|| fs::write(at("env"), "GOFLAGS=-race").unwrap());
    }
}
