//! `hotwatch sync`, and which services `up` syncs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use hotwatch_platform::signal::Blocked;

use super::{load, print, project, remote};
use crate::cli::{Global, Services, Sync};
use crate::config::Config;
use crate::control::Verb;
use crate::error::Error;
use crate::sync::{self, Status, Winner};

/// What is known at once is answered within this time.
const AT_ONCE: Duration = Duration::from_secs(10);

/// `config` with the services called `names` synced and no other; binaries that go there are built for their targets.
///
/// # Errors
/// There is no such service, or nothing says where to sync it to.
pub fn picked(config: Config, names: &[String]) -> Result<Config, Error> {
    let mut config = config.synced(names).map_err(Error::NotSynced)?;
    for service in &mut config.services {
        let Some(sync) = service.sync.as_ref().filter(|sync| sync.binary.is_some()) else { continue };
        let (os, machine) = sync::platform(sync);
        // Programs with cgo need the target's C library.
        for (name, value) in [("GOOS", os), ("GOARCH", machine), ("CGO_ENABLED", "0".to_owned())] {
            service.env.entry(name.to_owned()).or_insert(value);
        }
    }
    Ok(config)
}

/// `hotwatch sync`.
pub fn sync(
    verb: Sync,
    global: &Global,
    signals: impl FnOnce() -> Result<Blocked, Error>,
) -> Result<ExitCode, Error> {
    match verb {
        Sync::Status(asked) => status(asked, global),
        Sync::Once { services, timeout } => once(services, timeout, global, signals),
        Sync::Resolve { path, side } => {
            let winner = if side.ours { Winner::Ours } else { Winner::Theirs };
            let here = std::env::current_dir().map_err(Error::io("find the current directory"))?;
            let path = absolute(&here.join(path));
            remote::tell(Verb::SyncResolve { path, winner }, Vec::new(), AT_ONCE, global)
        }
    }
}

/// `path` without links on the way to it, as far as that is there; it may itself be one.
fn absolute(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => canonical(path),
    }
}

/// `path` without links, as far as it is there.
fn canonical(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        Some((above, canonical)) => match path.strip_prefix(above) {
            Ok(rest) if rest.as_os_str().is_empty() => canonical,
            Ok(rest) => canonical.join(rest),
            Err(_) => path.to_owned(),
        },
        None => path.to_owned(),
    }
}

fn status(asked: Services, global: &Global) -> Result<ExitCode, Error> {
    let named = asked.services.clone();
    let mut all = remote::synced(asked, AT_ONCE, global)?;
    all.sort_by(|one, other| one.service.cmp(&other.service));
    if global.json {
        let lines: Vec<String> = all.iter().filter_map(|one| serde_json::to_string(one).ok()).collect();
        return print(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes());
    }
    if all.is_empty() {
        let none = match &named[..] {
            [] => "no service is synced; `hotwatch up --sync SERVICE` does\n".to_owned(),
            names => format!("not synced: `{0}`; `hotwatch up --sync {0}` does\n", names.join(",")),
        };
        return print(none.as_bytes());
    }
    print(all.iter().map(|one| shown(one, SystemTime::now())).collect::<String>().as_bytes())
}

/// How a service is synced, for people.
fn shown(status: &Status, now: SystemTime) -> String {
    let how = match (&status.reached, &status.lost) {
        (Some(words), _) => format!("reached {words}"),
        (None, Some(why)) => format!("out of reach: {why}"),
        (None, None) => "not reached yet".to_owned(),
    };
    let mut text = format!("{} -> {}, {how}\n", status.service, status.target);
    for pair in &status.pairs {
        let last = pair.last.and_then(|at| now.duration_since(at).ok()).map_or_else(
            || "nothing went over yet".to_owned(),
            |age| {
                format!("last round {} ago", humantime::format_duration(Duration::from_secs(age.as_secs())))
            },
        );
        let files = crate::record::counted(pair.files as u64, "file");
        let bytes = crate::record::counted(pair.bytes, "byte");
        text += &format!("  {}: {files}, {bytes}; {last}\n", pair.pair);
        pair.halted.iter().for_each(|why| text += &format!("    halted: {why}\n"));
        for (path, copy) in &pair.conflicts {
            text += &format!("    conflict: `{path}`; what the target had is in `{copy}`\n");
        }
        pair.trouble.iter().for_each(|words| text += &format!("    {words}\n"));
    }
    text
}

/// Has the hotwatch that runs here compare everything, or does it without one.
fn once(
    services: Vec<String>,
    timeout: Duration,
    global: &Global,
    signals: impl FnOnce() -> Result<Blocked, Error>,
) -> Result<ExitCode, Error> {
    match remote::tell(Verb::SyncOnce, services.clone(), timeout, global) {
        Err(Error::NotRunning { .. }) => {}
        told => return told,
    }
    let names = if services.is_empty() { vec!["*".to_owned()] } else { services };
    let config = picked(load(global)?, &names)?;
    drop(project(global)?);
    super::once::once(&config, timeout, global, signals()?)
}
