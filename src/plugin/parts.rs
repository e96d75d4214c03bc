//! What a plugin is made of: the packages that are its own, which get another import path with every version, and those
//! that it shares with its host; and the hash over all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use sha2::{Digest, Sha256};

use super::PluginError;
use super::generating::SDK;
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
    fn takes(&self, path: &str) -> bool {
        let matches =
            |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(path));
        matches(&self.include) || !matches(&self.exclude)
    }
}

/// The packages of a plugin.
#[derive(Debug)]
pub struct Parts {
    /// Its own package.
    pub root: Package,
    /// All that are its own: that one and those below it.
    pub own: Vec<Package>,
    /// Its module.
    pub module: Module,
    all: Vec<Package>,
    choice: Choice,
}

impl Parts {
    /// Those of the plugin in `dir`, for a build with `flags`, with the files of `choice`.
    ///
    /// # Errors
    /// The go command cannot list them, or another plugin is one of them.
    pub fn of(dir: &Path, flags: &[String], choice: Choice) -> Result<Parts, PluginError> {
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
        let is_own = |package: &&Package| {
            let is_below = package.import_path == root.import_path || package.import_path.starts_with(&below);
            is_below && package.module.as_ref().is_some_and(|of| of.path == module.path)
        };
        let own: Vec<Package> = all.iter().filter(is_own).cloned().collect();
        let parts = Parts { root, own, module, all, choice };
        parts.refuse_plugins()?;
        Ok(parts)
    }

    fn refuse_plugins(&self) -> Result<(), PluginError> {
        let is_worked_on = |package: &&Package| package.module.as_ref().is_some_and(|module| module.main);
        for other in self.all.iter().filter(is_worked_on).filter(|other| **other != self.root) {
            if missing(&read(other)?).is_empty() {
                return Err(PluginError::ImportsPlugin {
                    package: self.root.import_path.clone(),
                    other: other.import_path.clone(),
                });
            }
        }
        Ok(())
    }

    /// The Go files of `package`, one of its own, that take part.
    ///
    /// # Errors
    /// One cannot be read, or is no Go.
    pub fn files(&self, package: &Package) -> Result<Vec<File>, PluginError> {
        let takes = |file: &File| {
            let path = file.path.strip_prefix(&self.root.dir).unwrap_or(&file.path);
            self.choice.takes(&path.to_string_lossy())
        };
        Ok(read(package)?.into_iter().filter(takes).collect())
    }

    /// A hash over all that is built in, Go's own packages by its version: `more` tells what else counts.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn hash(&self, more: &[&str]) -> Result<String, PluginError> {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        more.iter().for_each(|text| put(text.as_bytes()));
        for package in self.all.iter().filter(|package| !package.standard) {
            put(package.import_path.as_bytes());
            put(content(package)?.as_bytes());
        }
        Ok(hexadecimal(hash))
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
            !(package.standard || is_fixed || is_sdk || self.own.contains(package))
        };
        let shared = self.all.iter().filter(may_change);
        shared.map(|package| Ok((package.import_path.clone(), content(package)?))).collect()
    }
}

/// What tells the content of `package`: a version, or a hash over its files.
fn content(package: &Package) -> Result<String, PluginError> {
    let module = package.module.as_ref();
    if let Some(fixed) = module.and_then(Module::fixed) {
        return Ok(fixed);
    }
    let mut hash = Sha256::new();
    let mut put = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    put(module.map_or("", |module| module.go_version.as_str()).as_bytes());
    for name in package.go_files().into_iter().chain(package.others()) {
        let path = package.dir.join(name);
        put(name.as_os_str().as_encoded_bytes());
        put(&fs::read(&path).map_err(PluginError::io("read", &path))?);
    }
    Ok(hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(package: &Package) -> Result<Vec<File>, PluginError> {
    package.go_files().into_iter().map(|name| file(package.dir.join(name))).collect()
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
