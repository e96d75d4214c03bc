//! What is in the tree that `init` looks at: modules, main packages, foreign files. Left out of it is what the go
//! command leaves out (`go help packages`) and what git ignores.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use crate::config::init::gomod;
use crate::config::init::plan::Main;
use crate::go;

/// What was found; paths are relative to the root, which itself is empty.
#[derive(Debug, Default)]
pub struct Found {
    /// Directories, sorted.
    pub dirs: Vec<String>,
    /// Files that are no Go sources, for those that watch them.
    pub files: Vec<String>,
    /// The directories of modules: in the order of `go.work` those that it names, then the others.
    pub modules: Vec<String>,
    /// The main packages, in the order of their modules.
    pub mains: Vec<Main>,
    /// The configuration files of air.
    pub air: Vec<String>,
    /// What could not be found out, and what was done instead.
    pub notes: Vec<String>,
}

/// Looks at everything below `root`, which is canonical. `path` is where the go command is looked for.
pub fn look(root: &Path, path: &std::ffi::OsStr) -> Found {
    let mut found = Found::default();
    let mut sources = Vec::new();
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .parents(true)
        .git_ignore(true)
        .git_exclude(true)
        .filter_entry(is_source)
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walk.filter_map(Result::ok) {
        let Some(name) = relative(root, entry.path()) else { continue };
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            let air = in_dir(&name, ".air.toml");
            if root.join(&air).is_file() {
                found.air.push(air);
            }
            found.dirs.push(name);
        } else if entry.file_name() == "go.mod" {
            found.modules.push(parent(&name).to_owned());
        } else if name.ends_with(".go") {
            sources.push(name);
        } else {
            found.files.push(name);
        }
    }
    let workspace = fs::read_to_string(root.join("go.work")).map(|text| gomod::uses(&text));
    // Absolute ones replace the root.
    let workspace = workspace.unwrap_or_default().into_iter();
    let workspace: Vec<String> = workspace.filter_map(|used| relative(root, &root.join(used))).collect();
    let place = |module: &String| workspace.iter().position(|used| used == module).unwrap_or(workspace.len());
    found.modules.sort_by_key(place);

    let go = go::find("go", path);
    if go.is_none() && !found.modules.is_empty() {
        found.notes.push(
            "the `go` command is not on the PATH; main packages were looked for in the text of the sources"
                .to_owned(),
        );
    }
    for module in found.modules.clone() {
        let in_workspace = workspace.is_empty() || workspace.contains(&module);
        let listed = go.as_ref().map(|go| go::mains::mains(go, &root.join(&module)));
        let mains: Vec<(String, String)> = match listed {
            Some(Ok(mains)) => {
                let known = |main: go::mains::Main| Some((relative(root, &main.dir)?, main.module));
                mains.into_iter().filter_map(known).collect()
            }
            other => {
                if let Some(Err(error)) = other {
                    let module = if module.is_empty() { "." } else { &module };
                    let missing = error.contains("GOPROXY=off");
                    let error = if missing { "not all that it needs is downloaded" } else { &error };
                    found.notes.push(format!(
                        "`go list` in `{module}` failed ({error}); main packages were looked for in the text of the sources"
                    ));
                }
                by_text(root, &module, &found.modules, &sources)
            }
        };
        let main = |(dir, module_path)| Main { dir, module: module.clone(), module_path, in_workspace };
        found.mains.extend(mains.into_iter().map(main));
    }
    found
}

/// The main packages of `module` as their text shows them.
fn by_text(root: &Path, module: &str, modules: &[String], sources: &[String]) -> Vec<(String, String)> {
    let go_mod = fs::read_to_string(root.join(in_dir(module, "go.mod"))).unwrap_or_default();
    let path = gomod::module_path(&go_mod);
    let owner = |dir: &str| {
        let above =
            |module: &&String| module.is_empty() || dir == **module || dir.starts_with(&format!("{module}/"));
        modules.iter().filter(above).max_by_key(|module| module.len()).cloned()
    };
    let own = sources.iter().filter(|file| owner(parent(file)).is_some_and(|owner| owner == module));
    let main = own.filter(|file| {
        fs::read_to_string(root.join(file))
            .is_ok_and(|text| !file.ends_with("_test.go") && gomod::is_main(&text))
    });
    let dirs: BTreeSet<&str> = main.map(|file| parent(file)).collect();
    dirs.into_iter().map(|dir| (dir.to_owned(), path.clone())).collect()
}

/// Whether an entry is looked at.
fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    let skipped = matches!(name, b"vendor" | b"node_modules" | b"testdata")
        || matches!(name.first(), Some(b'.' | b'_'));
    entry.depth() == 0 || !skipped || !entry.file_type().is_some_and(|kind| kind.is_dir())
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let path: PathBuf = path.strip_prefix(root).ok()?.components().collect();
    path.to_str().map(str::to_owned)
}

fn in_dir(dir: &str, file: &str) -> String {
    if dir.is_empty() { file.to_owned() } else { format!("{dir}/{file}") }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
