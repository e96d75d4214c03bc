//! What `go list` says about the programs of services: their packages, files and imports. Services that share a
//! workspace or module, an environment and flags are listed in one run, and answers are read as they come, so
//! that a large module costs neither time nor memory twice.

mod answer;
mod query;

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use hotwatch_platform::process::{self, Exit, Group, Signal};

use answer::{FIELDS, Raw, canonical, package};
pub use query::{Query, queries};

use super::modules;
use crate::constraint::Context;
use crate::graph::Listing;

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

/// Why nothing can be listed.
#[derive(Debug)]
pub struct Unlistable {
    /// What the go command says.
    pub words: String,
    /// The files in which the reason may lie.
    pub module_files: BTreeSet<PathBuf>,
}

/// Runs `query`.
///
/// # Errors
/// The go command can list nothing at all: it is missing, or `go.mod` is broken. A package that cannot be found
/// or parsed is no error; it stands in the listing.
pub fn list(query: &Query, running: &Running) -> Result<Listing, Unlistable> {
    listing(query, running).map_err(|words| Unlistable { words, module_files: modules::files(&query.dir) })
}

fn listing(query: &Query, running: &Running) -> Result<Listing, String> {
    let mut workspace = running.text(query, &["env", "GOWORK"])?;
    // It is empty, or `off`, where there is none.
    if Path::new(&workspace).is_absolute() {
        workspace += &format!("\n{}", running.text(query, &["list", "-m", "-f", "{{.GoMod}}"])?);
    } else {
        workspace.clear();
    }
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
    let workspace = workspace.lines().map(|file| canonical(Path::new(file))).collect();
    let misses = packages.iter().any(|package| package.local.is_none() && package.error.is_some());
    let modules = if misses { modules::modules(&query.dir) } else { Vec::new() };
    Ok(Listing { packages, modules, workspace, context })
}

/// Everything that build constraints may ask for, a line each: a template for `go list -f`.
pub const CONTEXT: &str = "{{context.GOOS}}\n{{context.GOARCH}}\n{{context.CgoEnabled}}\n{{len context.ReleaseTags}}\n\
                       {{join context.BuildTags \" \"}}\n{{join context.ToolTags \" \"}}";

/// What `text` says, which the go command has answered to [`CONTEXT`].
pub fn context(text: &str) -> Option<Context> {
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
