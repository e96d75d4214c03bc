//! What a program is made of according to the go command alone: every file that `go list -deps` names for it,
//! with its content. Independent of hotwatch's own reading of the same answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::Project;

/// Lists of files in a package, of those that are built in (`go help list`).
const FILES: [&str; 12] = [
    "GoFiles",
    "CgoFiles",
    "CFiles",
    "CXXFiles",
    "MFiles",
    "HFiles",
    "FFiles",
    "SFiles",
    "SwigFiles",
    "SwigCXXFiles",
    "SysoFiles",
    "EmbedFiles",
];

/// The files of a program with their contents; of a program that cannot be listed, the reason.
pub type Made = BTreeMap<PathBuf, Vec<u8>>;

/// What the program is made of that `go build ARGS PACKAGE` in `dir` makes.
pub fn made_of(project: &Project, dir: &str, args: &[&str]) -> Made {
    let mut command = Command::new("go");
    project.surround(&mut command);
    let dir = project.path(dir);
    let output =
        command.args(["list", "-e", "-deps", "-json"]).args(args).current_dir(&dir).output().unwrap();
    let mut made = Made::new();
    if !output.status.success() {
        made.insert(PathBuf::new(), output.stderr);
    }
    let mut add = |path: PathBuf| {
        // What is not there is a difference to when it is.
        if let Ok(content) = fs::read(&path) {
            made.insert(path, content);
        }
    };
    for package in
        serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>().map(Result::unwrap)
    {
        if package["Standard"] == true {
            continue;
        }
        let dir = Path::new(package["Dir"].as_str().unwrap_or_default());
        for file in FILES.iter().flat_map(|kind| package[kind].as_array().into_iter().flatten()) {
            add(dir.join(file.as_str().unwrap()));
        }
        if let Some(go_mod) = package["Module"]["GoMod"].as_str().map(PathBuf::from) {
            add(go_mod.with_extension("sum"));
            add(go_mod);
        }
    }
    // All modules of a workspace together decide which versions are built in.
    for file in ["go.work", "go.work.sum"] {
        add(project.path(file));
    }
    for module in ["apps", "services/orders", "services/users"] {
        add(project.path(module).join("go.mod"));
        add(project.path(module).join("go.sum"));
    }
    made
}
