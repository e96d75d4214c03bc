//! The file that is added to a service while it is built, and that loads patches in the running process. It is added
//! by an overlay of the go command, so nothing is written into the user's tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that tells it which descriptor its socket is.
pub const VARIABLE: &str = "HOTWATCH_AGENT";

/// What the environment's `GODEBUG` has to contain for the service: goroutines stop at calls only.
pub const SETTING: &str = "asyncpreemptoff=1";

/// Its text.
pub const TEXT: &str = include_str!("agent/agent.go");

/// Its name in the service's package, last in the order of names: its `init` comes after the service's own.
pub const NAME: &str = "zz_hotwatch_agent.go";

/// Writes the agent and the overlay that adds it to the package in `main` into the directory `into`, and returns the
/// overlay's path, which is for `-overlay`.
///
/// # Errors
/// Nothing can be written there, or one of the paths is no text.
pub fn overlay(main: &Path, into: &Path) -> io::Result<PathBuf> {
    let text = |path: &Path| {
        let strange = || io::Error::new(io::ErrorKind::InvalidInput, "a path that is no text");
        path.to_str().map(str::to_owned).ok_or_else(strange)
    };
    let (agent, overlay) = (into.join(NAME), into.join("overlay.json"));
    fs::write(&agent, TEXT)?;
    let replaced = serde_json::json!({ "Replace": { text(&main.join(NAME))?: text(&agent)? } });
    fs::write(&overlay, replaced.to_string())?;
    Ok(overlay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn its_own_tests_pass() {
        if !crate::patch::tests::is_possible() {
            return;
        }
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/patch/agent");
        for what in ["vet", "test"] {
            let output = Command::new("go").args([what, "./..."]).current_dir(&dir).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }

    #[test]
    fn it_compiles_where_the_language_is_an_old_one() {
        if !crate::patch::tests::is_possible() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("go.mod"), "module example.com/old\n\ngo 1.12\n").unwrap();
        fs::write(dir.path().join("main.go"), "package main\n\nfunc main() {}\n").unwrap();
        let overlay = overlay(dir.path(), dir.path()).unwrap();
        let mut build = Command::new("go");
        build.args(["build", "-o", "/dev/null", "-overlay"]).arg(overlay).current_dir(dir.path());
        let output = build.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn the_overlay_adds_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let overlay = overlay(Path::new("/src/my \"app\""), dir.path()).unwrap();
        let overlay: serde_json::Value = serde_json::from_slice(&fs::read(overlay).unwrap()).unwrap();
        let added = overlay["Replace"]["/src/my \"app\"/zz_hotwatch_agent.go"].as_str().unwrap();
        assert_eq!(fs::read_to_string(added).unwrap(), TEXT);
    }
}
