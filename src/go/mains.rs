//! The main packages of a module: one `go list` that looks for packages and resolves none of their imports, so that
//! it needs no network and no downloaded module.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A main package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// Its directory.
    pub dir: PathBuf,
    /// The path of its module.
    pub module: String,
}

/// What `go list -json` tells (`go help list`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Package {
    dir: PathBuf,
    name: String,
    go_files: Vec<String>,
    cgo_files: Vec<String>,
    module: Module,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Module {
    path: String,
}

/// The main packages of the module that begins in `dir`, by the go command at `go`. Those that exist for other
/// systems only, or under `//go:build ignore`, are not among them.
///
/// # Errors
/// Go cannot be run, or does not accept the module: the text is its own first line.
pub fn mains(go: &Path, dir: &Path) -> Result<Vec<Main>, String> {
    let fields = "-json=Dir,Name,GoFiles,CgoFiles,Module";
    let output = Command::new(go)
        .args([OsStr::new("list"), "-e".as_ref(), "-find".as_ref(), fields.as_ref(), "./...".as_ref()])
        .current_dir(dir)
        // A module that `go.work` does not name has main packages too; a newer Go is not to be downloaded for this.
        .envs([("GOWORK", "off"), ("GOPROXY", "off")])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(text.lines().next().unwrap_or("`go list` failed").trim().to_owned());
    }
    let packages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Package>();
    let packages = packages.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let is_main = |package: &Package| {
        package.name == "main" && !(package.go_files.is_empty() && package.cgo_files.is_empty())
    };
    let main = |package: Package| Main { dir: package.dir, module: package.module.path };
    Ok(packages.into_iter().filter(is_main).map(main).collect())
}
