//! The answers of `go list -json`, and what is kept of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::query::Query;
use crate::graph::{Local, Module, Package};

/// What a run of the go command is asked to print of each package.
pub(super) const FIELDS: &str = "-json=ImportPath,Dir,Name,Standard,Module,Match,DepOnly,GoFiles,CgoFiles,CFiles,CXXFiles,\
                      MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles,IgnoredGoFiles,\
                      IgnoredOtherFiles,EmbedPatterns,EmbedFiles,Imports,ImportMap,Error";

/// A package as `go list -json` prints it (cmd/go/internal/list/list.go).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Raw {
    import_path: String,
    dir: PathBuf,
    name: String,
    pub(super) standard: bool,
    module: Option<RawModule>,
    #[serde(rename = "Match")]
    matched: Vec<String>,
    go_files: Vec<String>,
    cgo_files: Vec<String>,
    #[serde(rename = "CFiles")]
    c_files: Vec<String>,
    #[serde(rename = "CXXFiles")]
    cxx_files: Vec<String>,
    #[serde(rename = "MFiles")]
    m_files: Vec<String>,
    #[serde(rename = "HFiles")]
    h_files: Vec<String>,
    #[serde(rename = "FFiles")]
    f_files: Vec<String>,
    #[serde(rename = "SFiles")]
    s_files: Vec<String>,
    swig_files: Vec<String>,
    #[serde(rename = "SwigCXXFiles")]
    swig_cxx_files: Vec<String>,
    syso_files: Vec<String>,
    ignored_go_files: Vec<String>,
    ignored_other_files: Vec<String>,
    embed_patterns: Vec<String>,
    embed_files: Vec<String>,
    imports: Vec<String>,
    import_map: BTreeMap<String, String>,
    error: Option<RawError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawModule {
    path: String,
    version: String,
    main: bool,
    dir: PathBuf,
    go_mod: PathBuf,
    replace: Option<Box<RawModule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawError {
    err: String,
}

/// What is kept of a package.
pub(super) fn package(mut raw: Raw, query: &Query) -> Package {
    // The directory of a main package may be about to come back.
    if let Some(pattern) = raw.matched.first().filter(|_| raw.dir.as_os_str().is_empty())
        && let Some(below) = pattern.strip_prefix("./")
    {
        raw.dir = query.dir.join(below);
    }
    let local = local(&raw);
    let imports = raw.imports.into_iter();
    let imports = imports.map(|path| raw.import_map.get(&path).cloned().unwrap_or(path)).collect();
    // The version of what nobody edits: another one is another program.
    let version = raw.module.filter(|_| local.is_none()).map(|module| {
        let replaced = module.replace.map(|replace| format!(" => {} {}", replace.path, replace.version));
        format!("{}{}", module.version, replaced.unwrap_or_default())
    });
    Package {
        path: raw.import_path,
        name: raw.name,
        version: version.unwrap_or_default(),
        matched: raw.matched,
        imports,
        error: raw.error.map(|error| error.err),
        local,
    }
}

/// What is kept of a package whose files may be edited: neither of the standard library, which was left out
/// before, nor in the module cache, nor vendored.
fn local(raw: &Raw) -> Option<Local> {
    if raw.dir.as_os_str().is_empty() {
        return None;
    }
    let module = raw.module.as_ref().map(|module| {
        let replace = module.replace.as_deref();
        let edited = module.main || replace.is_some_and(|replace| replace.version.is_empty());
        let at = replace.unwrap_or(module);
        // A vendored package may name the local module that it was copied from, but is not built from that. With
        // links: one may lead out of the module.
        let edited = edited && raw.dir.starts_with(&at.dir);
        (edited, Module { path: module.path.clone(), dir: canonical(&at.dir), go_mod: canonical(&at.go_mod) })
    });
    let dir = canonical(&raw.dir);
    match &module {
        Some((false, _)) => return None,
        None if raw.dir.iter().any(|part| part == "vendor") => return None,
        _ => {}
    }
    let kinds = [
        &raw.go_files,
        &raw.cgo_files,
        &raw.c_files,
        &raw.cxx_files,
        &raw.m_files,
        &raw.h_files,
        &raw.f_files,
        &raw.s_files,
        &raw.swig_files,
        &raw.swig_cxx_files,
        &raw.syso_files,
        &raw.embed_files,
    ];
    let ignored = [&raw.ignored_go_files, &raw.ignored_other_files];
    let files: Vec<String> = kinds.into_iter().flatten().cloned().collect();
    let target = |file: &String| {
        let path = dir.join(file);
        let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        is_link.then(|| Some((file.clone(), path.canonicalize().ok()?))).flatten()
    };
    Some(Local {
        module: module.map(|(_, module)| module),
        linked: files.iter().filter_map(target).collect(),
        dir,
        files,
        ignored: ignored.into_iter().flatten().filter(|name| !name.ends_with("_test.go")).cloned().collect(),
        embeds: raw.embed_patterns.clone(),
        cgo: !raw.cgo_files.is_empty(),
    })
}

/// `path` without links; as it is when there is nothing.
pub(super) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
