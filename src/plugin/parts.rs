//! What a plugin is made of: the packages that are its own, which get another import path with every version, and those
//! that it shares with its host; and the hash over all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::PluginError;
use super::generating::SDK;
use super::hashing;
use super::reading::{File, missing};
use crate::go::packages::{Module, Package, packages};
use crate::source::topmost;

/// Which files take part, by their paths from the plugin's directory on.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Files that do in any case.
    pub include: Option<Regex>,
    /// Files that do not.
    pub exclude: Option<Regex>,
}

impl Choice {
    fn takes(&self, root: &Path, path: &Path) -> bool {
        let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let matches =
            |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(&path));
        matches(&self.include) || !matches(&self.exclude)
    }
}

/// The packages of a plugin.
#[derive(Debug)]
pub struct Parts {
    /// Its own package.
    pub root: Package,
    /// All that are its own: that one, last, and those below it.
    pub own: Vec<Own>,
    /// Its module.
    pub module: Module,
    /// A hash over all that is built in, taken before anything was read.
    pub hash: String,
    all: Vec<Package>,
    choice: Choice,
    circumstances: Vec<String>,
}

/// A package of the plugin's own.
#[derive(Debug)]
pub struct Own {
    /// The package.
    pub package: Package,
    /// Its Go files that take part.
    pub files: Vec<File>,
}

impl Parts {
    /// Those of the plugin in `dir`, for a build with `flags`, with the files of `choice`; `circumstances` tell what counts
    /// beside files.
    ///
    /// # Errors
    /// The go command cannot list them, or another plugin is one of them.
    pub fn of(
        dir: &Path,
        flags: &[String],
        choice: Choice,
        circumstances: Vec<String>,
    ) -> Result<Parts, PluginError> {
        let all = packages(dir, flags).map_err(|words| {
            let hint = if words.contains(SDK) { "; `hotwatch plugin init` adds the SDK" } else { "" };
            PluginError::Unlistable { words, hint }
        })?;
        let root = all.last().cloned().unwrap_or_default();
        let Some(module) = root.module.clone() else {
            let words = format!("`{}` is in no Go module; run `go mod init` above it", dir.display());
            return Err(PluginError::Unlistable { words, hint: "" });
        };
        let below = format!("{}/", root.import_path);
        let is_own = |package: &Package| {
            let is_below = package.import_path == root.import_path || package.import_path.starts_with(&below);
            is_below && package.module.as_ref().is_some_and(|of| of.path == module.path)
        };
        let hash = hashed(&all, &circumstances)?;
        let mut own = Vec::new();
        let is_worked_on = |package: &Package| package.module.as_ref().is_some_and(|module| module.main);
        for package in all.iter().filter(|package| is_worked_on(package) || is_own(package)) {
            let names = package.go_files().into_iter().map(|name| package.dir.join(name));
            let files = names.map(file).collect::<Result<Vec<_>, _>>()?;
            if *package != root && missing(&files).is_empty() {
                let (package, other) = (root.import_path, package.import_path.clone());
                return Err(PluginError::ImportsPlugin { package, other });
            }
            if is_own(package) {
                let files = files.into_iter().filter(|file| choice.takes(&root.dir, &file.path)).collect();
                own.push(Own { package: package.clone(), files });
            }
        }
        Ok(Parts { root, own, module, hash, all, choice, circumstances })
    }

    /// Whether the file at `path`, one of the plugin's own, takes part.
    pub fn takes(&self, path: &Path) -> bool {
        self.choice.takes(&self.root.dir, path)
    }

    /// Whether something has been saved since that is built in.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn has_changed(&self) -> Result<bool, PluginError> {
        Ok(hashed(&self.all, &self.circumstances)? != self.hash)
    }

    /// The packages that are not its own and may change all the same, each with a hash of its sources. Go keeps the first
    /// that a process has loaded of each.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn shared(&self) -> Result<BTreeMap<String, String>, PluginError> {
        let may_change = |package: &&Package| {
            let is_fixed = package.module.as_ref().and_then(Module::fixed).is_some();
            // The SDK is the host's, by its version.
            let is_sdk = package.module.as_ref().is_some_and(|module| module.path == SDK);
            let is_own = self.own.iter().any(|own| own.package == **package);
            !(package.standard || is_fixed || is_sdk || is_own)
        };
        let shared = self.all.iter().filter(may_change);
        shared.map(|package| Ok((package.import_path.clone(), content(package)?))).collect()
    }
}

/// A hash over all that is built in, Go's own packages by its version.
fn hashed(all: &[Package], circumstances: &[String]) -> Result<String, PluginError> {
    let mut hashed = hashing::Parts::default();
    circumstances.iter().for_each(|text| hashed.add(text.as_bytes()));
    for package in all.iter().filter(|package| !package.standard) {
        hashed.add(package.import_path.as_bytes());
        hashed.add(content(package)?.as_bytes());
    }
    Ok(hashed.hash())
}

/// What tells the content of `package`: a version, or a hash over its files.
fn content(package: &Package) -> Result<String, PluginError> {
    let module = package.module.as_ref();
    if let Some(fixed) = module.and_then(Module::fixed) {
        return Ok(fixed);
    }
    let mut hashed = hashing::Parts::default();
    hashed.add(module.map_or("", |module| module.go_version.as_str()).as_bytes());
    for name in package.go_files().into_iter().chain(package.others()) {
        let path = package.dir.join(name);
        hashed.add(name.as_os_str().as_encoded_bytes());
        hashed.add(&fs::read(&path).map_err(PluginError::io("read", &path))?);
    }
    Ok(hashed.hash())
}

/// The Go file at `path`.
///
/// # Errors
/// It cannot be read, or is no Go.
pub fn file(path: PathBuf) -> Result<File, PluginError> {
    let text = fs::read_to_string(&path).map_err(PluginError::io("read", &path))?;
    match topmost(&text) {
        Some(topmost) => Ok(File { path, text, topmost }),
        None => Err(PluginError::NoGo(path)),
    }
}
