//! What `go list` says about the programs of services: their packages, files and imports. Services that share a
//! workspace or module, an environment and flags are listed in one run, and answers are read as they come, so
//! that a large module costs neither time nor memory twice.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use hotwatch_platform::process::{self, Exit, Group, Signal};
use serde::Deserialize;

use super::command::Target;
use crate::config::Service;
use crate::constraint::Context;
use crate::graph::{Asked, Listing, Local, Module, Package};

/// One run of `go list`: what several services can be asked about at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where it runs: the top of the workspace or module, or where the build runs.
    pub dir: PathBuf,
    env: BTreeMap<String, String>,
    flags: Vec<String>,
    /// The packages to list, as arguments.
    patterns: Vec<String>,
}

/// The queries that tell everything about `services`, each with whom it tells of.
pub fn queries(services: &[Service]) -> Vec<(Query, Asked)> {
    let mut queries: Vec<(Query, Asked)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let Some(target) = super::command::target(service) else { continue };
        let query = Query::of(service, target);
        let asked = (index, query.patterns.clone());
        match queries.iter_mut().find(|(other, _)| other.takes(&query)) {
            Some((shared, members)) => {
                shared.patterns.extend(query.patterns);
                members.push(asked);
            }
            None => queries.push((query, vec![asked])),
        }
    }
    queries
}

impl Query {
    fn of(service: &Service, target: Target) -> Query {
        let dir = service.dir.join(&target.dir);
        let relative =
            |package: &String| package == "." || package.starts_with("./") || package.starts_with("../");
        let top = top(&dir, service.env.get("GOWORK").map(String::as_str));
        // A file, or a package that is named by its import path, means something in its own directory only.
        let (dir, patterns) = match top {
            Some(top)
                if target.packages.iter().all(|package| relative(package) && !package.ends_with(".go")) =>
            {
                let pattern = |package: &String| pattern(&dir.join(package), &top);
                let patterns = target.packages.iter().map(pattern).collect();
                (top, patterns)
            }
            _ => (dir, target.packages),
        };
        let ours = |(name, _): &(&String, &String)| {
            name.starts_with("GO") || name.starts_with("CGO") || *name == "PATH"
        };
        let env =
            service.env.iter().filter(ours).map(|(name, value)| (name.clone(), value.clone())).collect();
        Query { dir, env, flags: target.flags, patterns }
    }

    /// Whether `other` can be asked in the same run. Files cannot be listed beside packages, and patterns that
    /// match several packages, or import paths, say too little about whom they were asked for.
    fn takes(&self, other: &Query) -> bool {
        let single =
            |pattern: &String| (pattern == "." || pattern.starts_with("./")) && !pattern.contains("...");
        let plain =
            |query: &Query| query.patterns.iter().all(|pattern| single(pattern) && !pattern.ends_with(".go"));
        (&self.dir, &self.env, &self.flags) == (&other.dir, &other.env, &other.flags)
            && plain(self)
            && plain(other)
    }
}

/// `./path` from `top` to `package`, as the go command writes it when it says what a pattern has matched.
fn pattern(package: &Path, top: &Path) -> String {
    let package = package.canonicalize().unwrap_or_else(|_| package.to_owned());
    match package.strip_prefix(top) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => package.display().to_string(),
    }
}

/// The directory of the workspace that `dir` belongs to, otherwise that of its module; found as the go command
/// does (cmd/go/internal/modload/init.go).
fn top(dir: &Path, gowork: Option<&str>) -> Option<PathBuf> {
    let holds = |name: &str| dir.ancestors().find(|dir| dir.join(name).is_file()).map(Path::to_owned);
    let inherited = std::env::var("GOWORK").unwrap_or_default();
    match gowork.unwrap_or(&inherited) {
        "" => holds("go.work").or_else(|| holds("go.mod")),
        "off" => holds("go.mod"),
        _ => None,
    }
}

/// The files above and in `dir` that decide which modules its packages are made of: those that are there, and the
/// `go.mod` that ought to be.
pub fn module_files(dir: &Path) -> Vec<PathBuf> {
    let nearest = |name: &str| dir.ancestors().map(|dir| dir.join(name)).find(|file| file.is_file());
    let module = nearest("go.mod").unwrap_or_else(|| dir.join("go.mod"));
    let sums = module.with_extension("sum");
    [Some(module), Some(sums), nearest("go.work")].into_iter().flatten().collect()
}

/// What a run of the go command is asked to print of each package.
const FIELDS: &str = "-json=ImportPath,Dir,Name,Standard,Module,Match,DepOnly,GoFiles,CgoFiles,CFiles,CXXFiles,\
                      MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles,IgnoredGoFiles,\
                      IgnoredOtherFiles,EmbedPatterns,EmbedFiles,Imports,ImportMap,Error";

/// A package as `go list -json` prints it (cmd/go/internal/list/list.go).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Raw {
    import_path: String,
    dir: PathBuf,
    name: String,
    standard: bool,
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

/// Runs of the go command that can be ended from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ended: bool,
    groups: Vec<Arc<Group>>,
}

impl Running {
    /// Kills every run, and those to come.
    pub fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        // What cannot be signalled has ended.
        state.groups.iter().for_each(|group| drop(group.signal(Signal::SIGKILL)));
    }

    /// What the go command answers to `args`, without the line's end.
    fn text(&self, query: &Query, args: &[&str]) -> Result<String, String> {
        let text = self.go(query, args, |out| {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        })?;
        text.map(|text| text.trim_end_matches('\n').to_owned()).map_err(|error| error.to_string())
    }

    /// Runs the go command with `args` as `query` says, and hands its output to `read`.
    fn go<T>(
        &self,
        query: &Query,
        args: &[&str],
        read: impl FnOnce(&mut dyn Read) -> T,
    ) -> Result<T, String> {
        let describe = |error: std::io::Error| format!("cannot run `go {}`: {error}", args[0]);
        let mut command = Command::new("go");
        command.args(args).current_dir(&query.dir).env("PWD", &query.dir).envs(&query.env);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return Err("ended".to_owned());
        }
        let started =
            process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
                .map_err(describe)?;
        let group = Arc::new(started.group);
        state.groups.push(Arc::clone(&group));
        drop(state);

        let stderr = started.stderr.map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // What was read before an error is all there is to tell.
                let _ = stderr.read_to_end(&mut text);
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        let mut stdout = started.stdout;
        let result = stdout.as_mut().map(|stdout| read(stdout));
        drop(stdout);
        let exit = group.wait_leader();
        drop(group.signal(Signal::SIGKILL));
        let words = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.retain(|other| !Arc::ptr_eq(other, &group));
        drop(state);
        drop(group.reap());
        match (exit, result) {
            (Ok(Exit::Code(0)), Some(result)) => Ok(result),
            (Err(error), _) => Err(describe(error)),
            (Ok(exit), _) if words.is_empty() => Err(format!("`go {}` ended with {exit}", args[0])),
            _ => Err(words),
        }
    }
}

/// Runs `query`.
///
/// # Errors
/// What the go command says when it can list nothing at all: it is missing, or `go.mod` is broken. A package
/// that cannot be found or parsed is no error; it stands in the listing.
pub fn list(query: &Query, running: &Running) -> Result<Listing, String> {
    let workspace = PathBuf::from(running.text(query, &["env", "GOWORK"])?);
    // Any package will do; this one is always there.
    let mut args = vec!["list", "-find", "-f", CONTEXT];
    args.extend(query.flags.iter().map(String::as_str));
    args.push("errors");
    let context = context(&running.text(query, &args)?)
        .ok_or("`go list` answers something else to the question for its build tags")?;

    let mut args = vec!["list", "-e", "-deps", FIELDS];
    args.extend(query.flags.iter().map(String::as_str));
    args.push("--");
    args.extend(query.patterns.iter().map(String::as_str));
    let packages = running.go(query, &args, |out| {
        let raw = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 * 1024, out))
            .into_iter::<Raw>();
        let kept = raw.filter(|raw| raw.as_ref().map_or(true, |raw| !raw.standard));
        kept.map(|raw| raw.map(|raw| package(raw, query))).collect::<Result<Vec<_>, _>>()
    })?;
    let packages = packages.map_err(|error| format!("`go list` answers something else: {error}"))?;
    let workspace = Some(workspace).filter(|file| file.is_absolute()).map(|file| canonical(&file));
    Ok(Listing { packages, workspace, context })
}

/// Everything that build constraints may ask for, a line each.
const CONTEXT: &str = "{{context.GOOS}}\n{{context.GOARCH}}\n{{context.CgoEnabled}}\n{{len context.ReleaseTags}}\n\
                       {{join context.BuildTags \" \"}}\n{{join context.ToolTags \" \"}}";

fn context(text: &str) -> Option<Context> {
    let mut lines = text.lines();
    Some(Context {
        goos: lines.next()?.to_owned(),
        goarch: lines.next()?.to_owned(),
        cgo: lines.next()? == "true",
        // One for each release since go1.1.
        release: lines.next()?.parse().ok()?,
        tags: lines.flat_map(str::split_whitespace).map(str::to_owned).collect(),
    })
}

fn package(mut raw: Raw, query: &Query) -> Package {
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
        links_externally: !raw.cgo_files.is_empty(),
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
        (edited, Module { path: module.path.clone(), dir: canonical(&at.dir), go_mod: canonical(&at.go_mod) })
    });
    let dir = canonical(&raw.dir);
    match &module {
        Some((false, _)) => return None,
        // A vendored package may name the local module that it was copied from, but is not built from that.
        Some((true, module)) if !dir.starts_with(&module.dir) => return None,
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
    Some(Local {
        dir,
        module: module.map(|(_, module)| module),
        files: kinds.into_iter().flatten().cloned().collect(),
        ignored: ignored.into_iter().flatten().filter(|name| !name.ends_with("_test.go")).cloned().collect(),
        embeds: raw.embed_patterns.clone(),
        cgo: !raw.cgo_files.is_empty(),
    })
}

/// `path` without links; as it is when there is nothing.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
