//! `hotwatch why`: which services a save of a file concerns, what it leads to, and by which imports; and, where hotwatch
//! runs, what all that is on disk would lead to for the services that take patches.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{inspect, load, print, weigh};
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::plan::{Idle, Part, Plan};
use crate::record::Rung;
use crate::source::{self, Head};

/// The new file that a directory stands for.
const NEW: &str = "new.go";

/// What a save of a file leads to for one service.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    path: &'a str,
    service: &'a str,
    rung: Rung,
    reason: String,
    /// Import paths from the main package to that of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<&'a str>,
}

/// Explains each of `paths`; without any, what is on disk beside what runs.
pub fn why(paths: &[PathBuf], global: &Global) -> Result<ExitCode, Error> {
    if paths.is_empty() {
        return print(weigh::weighed(Vec::new(), global)?.as_bytes());
    }
    let paths = paths.iter().map(|path| resolve(path)).collect::<Result<Vec<_>, _>>()?;
    let config = load(global)?;
    let mut plan = inspect::plan(&config, |words| eprintln!("{words}"));
    paths.iter().for_each(|path| plan.learn(path, head(path).as_ref()));
    let (mut text, mut patched) = (String::new(), BTreeSet::new());
    for path in &paths {
        let shown = path.strip_prefix(&config.root).unwrap_or(path).display().to_string();
        let services = 0..config.services.len();
        let answers: Vec<_> = services.map(|service| answer(&config, &plan, service, path, &shown)).collect();
        let patches = answers.iter().filter(|answer| answer.rung == Rung::Patch);
        patched.extend(patches.map(|answer| answer.service.to_owned()));
        if global.json {
            let lines = answers.iter().filter_map(|answer| serde_json::to_string(answer).ok());
            lines.for_each(|line| text += &(line + "\n"));
        } else {
            text += &table(&shown, &answers);
        }
    }
    if !patched.is_empty() {
        match weigh::weighed(patched.into_iter().collect(), global) {
            Ok(weighed) => text += &weighed,
            // What a save leads to in general is told all the same.
            Err(Error::NotRunning { .. } | Error::Mute { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    print(text.as_bytes())
}

/// The canonical path of what may not be there yet.
fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let absolute =
        std::path::absolute(path).map_err(Error::io(format!("make sense of `{}`", path.display())))?;
    let canonical = match (absolute.canonicalize(), absolute.parent(), absolute.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(dir), Some(name)) => dir.canonicalize().unwrap_or(dir.to_owned()).join(name),
        _ => absolute,
    };
    // A directory stands for what a new file in it would be.
    Ok(if canonical.is_dir() { canonical.join(NEW) } else { canonical })
}

fn answer<'a>(config: &'a Config, plan: &'a Plan, service: usize, path: &Path, shown: &'a str) -> Answer<'a> {
    let part = plan.part(service, path);
    let chain = plan.graph().chain(service, path).filter(|_| part != Part::default()).unwrap_or_default();
    let (rung, reason) = reason(config, plan, service, path, part);
    Answer { path: shown, service: config.services[service].name.as_str(), rung, reason, chain }
}

fn reason(config: &Config, plan: &Plan, service: usize, path: &Path, part: Part) -> (Rung, String) {
    if config.files.iter().any(|file| file == path) {
        let reason = "it is configuration: who is concerned by what changes in it restarts".to_owned();
        return (Rung::Restart, reason);
    }
    let reasons = [
        (part.included, "`watch.include` names it"),
        (part.feeds, "a step of `pre_build` reads it"),
        (part.generated, "a step of `pre_build` writes it; what that step itself writes restarts nothing"),
        (part.is_module_file, "it decides which modules are built in"),
        (part.program && !plan.graph().knows(service), "every Go source in its directory counts"),
        (part.program, "it is built in"),
    ];
    let by_hand = !(part.included || part.feeds || part.generated || part.is_module_file);
    let is_source = part.program && by_hand && path.extension().is_some_and(|extension| extension == "go");
    if is_source && config.services[service].patch.is_some() {
        let reason = "it is built in; what is safe to change is changed while it runs, the rest restarts";
        return (Rung::Patch, reason.to_owned());
    }
    if let Some((_, reason)) = reasons.iter().find(|(holds, _)| *holds) {
        return (Rung::Restart, (*reason).to_owned());
    }
    let reason = match part.idle {
        Some(Idle::Test) => "no service is built from tests".to_owned(),
        Some(Idle::Excluded) => {
            let why = plan.graph().excludes(service, path, head(path).as_ref());
            format!("left out: {}", why.unwrap_or_else(|| "its build constraint does not hold".to_owned()))
        }
        None if plan.leaves_out(service, path) => "`watch.exclude` names it".to_owned(),
        None if is_missing(path) => "there is no such file, and it would be no part of it".to_owned(),
        None => "nothing of it is built from this".to_owned(),
    };
    (Rung::Nothing, reason)
}

/// Whether `path` names nothing, as a misspelt one does. A new file in a directory that is there is meant as such.
fn is_missing(path: &Path) -> bool {
    let stands_for_its_directory = path.ends_with(NEW) && path.parent().is_some_and(Path::is_dir);
    !path.exists() && !stands_for_its_directory
}

/// What the Go source at `path` says at its head, if it is there and is one.
fn head(path: &Path) -> Option<Head> {
    let bytes =
        fs::read(path).ok().filter(|_| path.extension().is_some_and(|extension| extension == "go"))?;
    source::scan(&bytes).map(|source| source.head)
}

/// The answers for people, those that lead to something first.
fn table(shown: &str, answers: &[Answer<'_>]) -> String {
    let width = answers.iter().map(|answer| answer.service.len()).max().unwrap_or(0);
    let mut text = format!("{shown}\n");
    let (led, nothing): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.rung != Rung::Nothing);
    for answer in led.into_iter().chain(nothing) {
        let rung = weigh::word(answer.rung);
        let (service, reason) = (answer.service, &answer.reason);
        let chain = match answer.chain.len() {
            0 | 1 => String::new(),
            _ => format!(": {}", answer.chain.join(" -> ")),
        };
        text += &format!("  {service:<width$}  {rung}  {reason}{chain}\n");
    }
    text
}
