//! The verbs that ask the hotwatch that runs here: they find it, ask, and show the answer.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::bounded;
use serde::Serialize;

use super::cache::{self, Running};
use super::{colored, load, print, project};
use crate::cli::{Global, Logs, Services, Timeline, Wait};
use crate::control::{Answer, Client, ClientError, Request, Verb};
use crate::error::Error;
use crate::log::file;
use crate::service::{Preview, Reached};
use crate::snapshot::{self, MARK, Reload, Service};
use crate::sync;

/// What is known at once is answered within this time.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What has to be compiled first is answered within this time.
const WEIGHED: Duration = Duration::from_secs(120);

/// `hotwatch status`.
pub fn status(asked: Services, global: &Global) -> Result<ExitCode, Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        service: &'a Service,
        paused: bool,
    }
    let (request, mut out) = (request(Verb::Status, asked, global), Vec::new());
    connect(&project(global)?)?.ask(&request, Some(AT_ONCE), |answer| {
        let Answer::Status { paused, services } = answer else { return Ok(()) };
        if global.json {
            return lines(&mut out, services.iter().map(|service| Line { service, paused }));
        }
        let table = snapshot::services(&services, SystemTime::now(), request.colored, width());
        out.extend_from_slice(table.as_bytes());
        if paused {
            out.extend_from_slice(b"paused: saves wait for `hotwatch resume`\n");
        }
        Ok(())
    })?;
    print(&out)
}

/// What the hotwatch that runs here says a save of all that is on disk would lead to, for `services` that take
/// patches; and whether saves wait.
pub fn weigh(services: Vec<String>, global: &Global) -> Result<(bool, Vec<Preview>), Error> {
    let (request, mut found) = (request(Verb::Weigh, Services { services }, global), (false, Vec::new()));
    connect(&project(global)?)?.ask(&request, Some(WEIGHED), |answer| {
        if let Answer::Weighed { paused, previews } = answer {
            found = (paused, previews);
        }
        Ok(())
    })?;
    Ok(found)
}

/// How the process of `service` is reached, as the hotwatch that runs here says.
///
/// # Errors
/// None runs, or it does not answer.
pub fn reach(service: &str, global: &Global) -> Result<Option<Reached>, Error> {
    let request = request(Verb::Reach, Services { services: vec![service.to_owned()] }, global);
    let mut reached = None;
    connect(&project(global)?)?.ask(&request, Some(AT_ONCE), |answer| {
        if let Answer::Reached(told) = answer {
            reached = Some(told);
        }
        Ok(())
    })?;
    Ok(reached)
}

/// How the files of services are synced, as the hotwatch that runs here says.
///
/// # Errors
/// None runs, or it does not answer.
pub fn synced(asked: Services, longest: Duration, global: &Global) -> Result<Vec<sync::Status>, Error> {
    let (request, mut found) = (request(Verb::SyncStatus, asked, global), Vec::new());
    connect(&project(global)?)?.ask(&request, Some(longest), |answer| {
        if let Answer::Synced(all) = answer {
            found = all;
        }
        Ok(())
    })?;
    Ok(found)
}

/// Has the hotwatch that runs here do something with `services`, and prints what it says.
///
/// # Errors
/// None runs, or it does not do it.
pub fn tell(
    verb: Verb,
    services: Vec<String>,
    longest: Duration,
    global: &Global,
) -> Result<ExitCode, Error> {
    stream(&project(global)?, &request(verb, Services { services }, global), Some(longest))
}

/// `hotwatch timeline`.
pub fn timeline(asked: Timeline, global: &Global) -> Result<ExitCode, Error> {
    let (request, mut out) = (request(Verb::Timeline, asked.of, global), Vec::new());
    connect(&project(global)?)?.ask(&request, Some(AT_ONCE), |answer| {
        let Answer::Timeline { project, services, reloads } = answer else { return Ok(()) };
        let now = SystemTime::now();
        if global.json {
            return lines(&mut out, reloads.iter());
        }
        let text = match &asked.html {
            Some(_) => snapshot::page(&project, &services, &reloads, now),
            None => told(&reloads, now, request.colored),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })?;
    match &asked.html {
        Some(file) => write_page(file, asked.force, &out),
        None => print(&out),
    }
}

fn told(reloads: &[Reload], now: SystemTime, colored: bool) -> String {
    match reloads {
        [] => "nothing was reloaded yet\n".to_owned(),
        reloads => snapshot::timeline(reloads, now, colored, width()),
    }
}

/// Writes a page to `file`, which must not be there, or be an older page, if it is not `forced`.
fn write_page(file: &Path, forced: bool, page: &[u8]) -> Result<ExitCode, Error> {
    let failed = || Error::io(format!("write `{}`", file.display()));
    let mut head = vec![0; MARK.len()];
    let is_ours = match fs::File::open(file).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) => head == MARK.as_bytes(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    };
    if !is_ours && !forced {
        return Err(Error::NoTimeline(file.to_owned()));
    }
    fs::write(file, page).map_err(failed())?;
    print(format!("wrote `{}`\n", file.display()).as_bytes())
}

/// `hotwatch logs`.
pub fn logs(asked: Logs, global: &Global) -> Result<ExitCode, Error> {
    let verb = Verb::Logs { follow: asked.follow, since: asked.since };
    let longest = (!asked.follow).then_some(AT_ONCE);
    let result = stream(&project(global)?, &request(verb, asked.of, global), longest);
    result.map_err(|error| match error {
        Error::NotRunning { project, .. } => Error::NotRunning { project, hint: left_behind(global) },
        error => error,
    })
}

/// Where the last run's log is, if that can be told.
fn left_behind(global: &Global) -> String {
    let Ok(config) = load(global) else { return String::new() };
    let files = config.services.iter().map(|service| file::path(&config.log_dir, &service.name));
    let files: Vec<_> =
        files.filter(|file| file.exists()).map(|file| format!("`{}`", file.display())).collect();
    if files.is_empty() { String::new() } else { format!("; the last one wrote {}", files.join(", ")) }
}

/// `hotwatch restart`, `start`, `build` and `stop SERVICE`; `verb` takes whether to wait.
pub fn ask(
    verb: impl FnOnce(bool) -> Verb,
    of: Services,
    wait: &Wait,
    global: &Global,
) -> Result<ExitCode, Error> {
    stream(&project(global)?, &request(verb(!wait.no_wait), of, global), Some(wait.timeout))
}

/// `hotwatch pause` and `hotwatch resume`.
pub fn switch(verb: Verb, global: &Global) -> Result<ExitCode, Error> {
    stream(&project(global)?, &request(verb, Services { services: Vec::new() }, global), Some(AT_ONCE))
}

/// `hotwatch stop` for all of it: waits until nothing of it is left.
pub fn end(wait: &Wait, global: &Global) -> Result<ExitCode, Error> {
    let project = project(global)?;
    let request = request(Verb::End { wait: true }, Services { services: Vec::new() }, global);
    let ended = cache::end(&cache::dir(&project));
    let deadline = Instant::now() + wait.timeout;
    if wait.no_wait {
        return stream(&project, &Request { verb: Verb::End { wait: false }, ..request }, Some(AT_ONCE));
    }
    let code = stream(&project, &request, Some(wait.timeout))?;
    let (gone, is_gone) = bounded::<()>(0);
    // It may wait for ever; then it goes with this process.
    std::thread::spawn(move || {
        ended();
        drop(gone);
    });
    match is_gone.recv_deadline(deadline) {
        Err(error) if error.is_timeout() => Err(ClientError::Timeout(wait.timeout).into()),
        _ => Ok(code),
    }
}

/// Asks `request` of the hotwatch that runs `project`, and prints what it says.
fn stream(project: &Path, request: &Request, longest: Option<Duration>) -> Result<ExitCode, Error> {
    let mut stdout = io::stdout().lock();
    let asked = connect(project)?.ask(request, longest, |answer| match answer {
        Answer::Text(text) => stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()),
        _ => Ok(()),
    });
    match asked {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // A reader that has gone away is no error.
        Err(ClientError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

/// Connects to the hotwatch that runs `project`.
fn connect(project: &Path) -> Result<Client, Error> {
    match cache::running(&cache::dir(project)) {
        Running::At(socket) => Ok(Client::connect(&socket)?),
        Running::Mute(holder) => Err(Error::Mute { project: project.to_owned(), holder }),
        Running::Nobody => Err(Error::NotRunning { project: project.to_owned(), hint: String::new() }),
    }
}

fn request(verb: Verb, of: Services, global: &Global) -> Request {
    let colored = colored(global.color, &io::stdout());
    Request { verb, services: of.services, json: global.json, colored }
}

/// How wide the terminal is; `None` if there is none.
pub fn width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| width.0.into())
}

fn lines<T: Serialize>(out: &mut Vec<u8>, values: impl Iterator<Item = T>) -> io::Result<()> {
    for value in values {
        serde_json::to_writer(&mut *out, &value)?;
        out.push(b'\n');
    }
    Ok(())
}
