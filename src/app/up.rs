//! `hotwatch up`: puts everything together, in the order in which it may fail without anything being started,
//! and takes it apart again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, select, unbounded};
use hotwatch_platform::dirs;
use hotwatch_platform::guard::{self, Guard};
use hotwatch_platform::process::reserve_descriptors;
use hotwatch_platform::signal::Blocked;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::cache::{self, Cache};
use super::debug;
use super::means::Means;
use super::saves::Saves;
use super::supervisor::{Ending, Event, Supervisor};
use super::{check, colored, console, sync};
use crate::classify::is_go_source;
use crate::cli::{self, Global};
use crate::config::{self, Config, Globs};
use crate::control::{Hub, Place, Server};
use crate::error::Error;
use crate::go;
use crate::go::slots::Slots;
use crate::log::file::{Limits, LogFiles};
use crate::log::json::Json;
use crate::log::terminal::{Filter, Terminal};
use crate::log::{Log, View};
use crate::plan::Plan;
use crate::record::{self, Level, Tell};
use crate::watch::known::Known;
use crate::watch::{Root, Summary, Told, Watch, Watched};

/// How long the end waits for the last records to be shown.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs `config` as it is `asked`, until a signal ends it.
pub fn up(config: Config, asked: &cli::Up, global: &Global, signals: Blocked) -> Result<ExitCode, Error> {
    let config = if asked.patch { config.patched() } else { config };
    let config = sync::picked(config, &asked.sync)?;
    reserve_descriptors().map_err(Error::io("open `/dev/null`"))?;
    if config.services.iter().any(|service| service.proxy.is_some()) {
        raise_descriptor_limit();
    }
    let debugged = debug::debugged(&config, &asked.debug)?;
    let (events, heard) = unbounded();
    let on_signal = events.clone();
    let keyboard = console::keyboard(global).map_err(Error::io("open a pipe"))?;
    let signals = match &keyboard {
        Some(keyboard) => signals.with_keyboard(keyboard.clone()).map_err(Error::io("block signals"))?,
        None => signals,
    };
    let _listener = signals
        .listen(move |signal| drop(on_signal.send(Event::Signal(signal))))
        .map_err(Error::io("start a thread"))?;
    // Before the ports: one that is held by another hotwatch's service is no riddle then.
    let cache = Cache::take(&config.root)?;
    check::refuse(&config, &debugged)?;
    let (hub, filter) = (Hub::default(), Filter::default());
    let views = views(&config, global, &hub, &filter)?;
    let (tell, told) = record::channel(&[
        "the disk of the log files",
        "what is kept in memory",
        "the reader of hotwatch's output",
    ]);
    let _guard = guard(&cache, &tell);
    let on_closed = events.clone();
    let views = told.into_iter().zip(views).collect();
    let log = Log::start(views, &tell, move || drop(on_closed.send(Event::OutputClosed)));
    let console = keyboard.map(|keyboard| console::start(&keyboard, global.color, &hub, filter, &events));
    let _console = console.transpose().map_err(Error::io("start a thread"))?;

    let result = run(config, debugged, &cache, &tell, &hub, &events, &heard);
    tell.end();
    if !matches!(result, Ok((Ending::Killed, _))) {
        finish(&log, &heard);
    }
    // The connections end with the last records, not before.
    result
        .map(|(ending, _server)| if ending == Ending::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Lets other processes of the same user control this one.
fn listen(project: PathBuf, cache: &Cache, hub: &Hub, events: &Sender<Event>) -> Result<Server, String> {
    let place = Place::take(&dirs::runtime(), &cache.socket_name()).map_err(|error| error.to_string())?;
    cache.announce(place.path()).map_err(|error| error.to_string())?;
    let events = events.clone();
    // The loop outlives its control.
    let command = move |command| drop(events.send(Event::Control(command)));
    Server::start(place, project, hub.clone(), command).map_err(|error| error.to_string())
}

/// Every connection to a held port takes up to two descriptors, and the limit is as low as 256 by default (macOS). What
/// the system does not grant is not there.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // As many as macOS grants at most (OPEN_MAX, sys/syslimits.h).
        let wanted = hard.min(10_240);
        if soft < wanted {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
    }
}

/// Starts the guard. Without one hotwatch does its work all the same.
fn guard(cache: &Cache, tell: &Tell) -> Option<Guard> {
    let of_guard = tell.clone();
    let lost = |error: &io::Error| {
        format!("there is no guard: {error}; services survive if hotwatch is killed with SIGKILL")
    };
    let on_word = move |told| {
        let message = match told {
            guard::Told::Replaced(pid) => format!("the guard was killed; another one watches now, PID {pid}"),
            guard::Told::Lost(error) => lost(&error),
        };
        of_guard.notice(None, Level::Warning, message);
    };
    Guard::start(&cache.lock, &cache.dir, on_word)
        .inspect_err(|error| tell.notice(None, Level::Warning, lost(error)))
        .ok()
}

/// Waits until everything has been shown, but not longer than the user wants to, nor for a reader that does
/// not read.
fn finish(log: &Log, heard: &Receiver<Event>) {
    let longest = after(LAST_WORDS);
    loop {
        select! {
            recv(log.ended()) -> _ => return,
            recv(longest) -> _ => return,
            recv(heard) -> event => if matches!(event, Ok(Event::Signal(_))) { return },
        }
    }
}

fn run(
    config: Config,
    debugged: debug::Debugged,
    cache: &Cache,
    tell: &Tell,
    hub: &Hub,
    events: &Sender<Event>,
    heard: &Receiver<Event>,
) -> Result<(Ending, Option<Server>), Error> {
    let means = Means {
        cache: cache.dir.join("services"),
        slots: Slots::new(available_parallelism().map_or(2, usize::from)),
        background: Slots::new(1),
        goflags: go::flags(),
        sync_state: cache::sync_state(&config.root),
        debugged,
        tell: tell.clone(),
        hub: hub.clone(),
        events: events.clone(),
    };
    let lister = means.lister(&config, 0);
    let mut plan = Plan::new(&config, &lister.services());
    let watch = Watch::start(watched(&config))?;
    let mut known = Known::default();
    let Some(summary) = read_all(watch.telling(), heard, &mut known, &plan, tell)? else {
        return Ok((Ending::Stopped, None));
    };
    check::warnings(&config).into_iter().for_each(|warning| tell.notice(None, Level::Warning, warning));
    summary.links.iter().for_each(|(link, target)| plan.add_link(link, target));
    let saves = Saves::new(&config, known, plan, lister, summary.directories, tell.clone());
    let root = config.root.clone();
    let mut supervisor = Supervisor::new(config, saves, watch, means);
    let server = listen(root, cache, hub, events).map_err(|why| {
        tell.notice(None, Level::Warning, format!("other terminals cannot control this hotwatch: {why}"));
    });
    let ending = supervisor.run(heard);
    if ending == Ending::Killed {
        // A thread may be stuck where nobody reads what it writes; it must not keep hotwatch from ending.
        std::mem::forget(supervisor);
    }
    Ok((ending, server.ok()))
}

/// Reads every file that is there; `None` when the user ended it before that was done.
fn read_all(
    telling: &Receiver<Told>,
    heard: &Receiver<Event>,
    known: &mut Known,
    plan: &Plan,
    tell: &Tell,
) -> Result<Option<Summary>, Error> {
    let mut read = |paths: Vec<PathBuf>| {
        paths.iter().filter(|path| plan.is_of_interest(path)).for_each(|path| drop(known.refresh(path)));
    };
    loop {
        select! {
            recv(telling) -> told => match told {
                Ok(Told::Found(paths)) => read(paths),
                Ok(Told::Changed(changed)) => read(changed.paths),
                Ok(Told::Covered(_) | Told::Heard) => {}
                Ok(Told::Warning(message)) => tell.notice(None, Level::Warning, message),
                Ok(Told::Watching(summary)) => return Ok(Some(summary)),
                Ok(Told::Failed(message)) => return Err(Error::Watch(message)),
                Err(_) => return Err(Error::Watch("the file watcher stopped working".to_owned())),
            },
            recv(heard) -> _ => return Ok(None),
        }
    }
}

/// What `config` wants to be watched.
pub fn watched(config: &Config) -> Watched {
    let root = |service: &config::Service| Root {
        dir: service.dir.clone(),
        forced: service.watched_globs().flat_map(Globs::dirs).collect(),
        gitignore: service.gitignore,
    };
    let globs: Vec<(PathBuf, Vec<Globs>)> = config
        .services
        .iter()
        .map(|service| (service.dir.clone(), service.watched_globs().cloned().collect()))
        .collect();
    let named = move |path: &Path| {
        globs.iter().any(|(dir, globs)| {
            path.strip_prefix(dir).is_ok_and(|path| globs.iter().any(|globs| globs.is_match(path)))
        })
    };
    let is_go = |path: &Path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_go_source);
    Watched {
        project: config.root.clone(),
        roots: config.services.iter().map(root).collect(),
        beside: config.files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect(),
        may_count: Arc::new(move |path| is_go(path) || named(path)),
    }
}

/// The log files, what other processes are told, then the console.
fn views(config: &Config, global: &Global, hub: &Hub, filter: &Filter) -> Result<[Box<dyn View>; 3], Error> {
    let names: Vec<_> = config.services.iter().map(|service| service.name.clone()).collect();
    fs::create_dir_all(&config.log_dir).map_err(Error::io(format!(
        "make the directory `{}`; set another `log_dir`",
        config.log_dir.display()
    )))?;
    let limits = Limits { size: config.log_size, keep: config.log_keep };
    let files = LogFiles::new(&config.log_dir, limits, config.log_strip, names.iter().cloned())?;
    let stdout = io::stdout();
    let console: Box<dyn View> = if global.json {
        Box::new(Json::new(stdout))
    } else {
        let colored = colored(global.color, &stdout);
        Box::new(Terminal::new(stdout, colored, names).filtered(filter.clone()))
    };
    Ok([Box::new(files), Box::new(hub.clone()), console])
}
