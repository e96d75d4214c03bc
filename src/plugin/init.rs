//! The SDK, written into the user's module with a `replace`, so that no network is needed.

use std::fs;
use std::path::{Path, PathBuf};

use super::PluginError;
use super::generating::SDK;
use crate::go::packages::edit;

/// Its files, without its tests.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// Writes the SDK into the directory `to` below the module in `module`, or over one that is there, and has that module
/// use it. Returns what was written.
///
/// # Errors
/// Something else is there, or the module cannot be changed.
pub fn init(module: &Path, to: &Path) -> Result<PathBuf, PluginError> {
    let dir = module.join(to);
    let is_empty = fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
    let is_sdk =
        fs::read_to_string(dir.join("go.mod")).is_ok_and(|text| text.contains(&format!("module {SDK}\n")));
    if !is_empty && !is_sdk {
        return Err(PluginError::Foreign(dir));
    }
    for (name, text) in FILES {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(&dir);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(PluginError::io("write", &path))?;
    }
    let shown = to.display().to_string();
    let shown = if to.is_absolute() || shown.starts_with("../") { shown } else { format!("./{shown}") };
    let args = [format!("-require={SDK}@v0.0.0"), format!("-replace={SDK}={shown}")];
    edit(module, &args).map_err(|words| PluginError::Unlistable { words, hint: "" })?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_sdk_s_own_tests_pass() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugin/sdk");
        // The detector of races is C, as shared objects need it.
        let has_c = Command::new("gcc").arg("--version").output().is_ok();
        if !has_c {
            eprintln!(
                "NOT CHECKED: RACES IN THE SDK FOR PLUGINS, and shared objects; there is no C compiler"
            );
        }
        let test: &[&str] = if has_c { &["test", "-race", "./..."] } else { &["test", "./..."] };
        for what in [&["vet", "./..."], test] {
            let output = Command::new("go").args(what).current_dir(&dir).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
    }
}
