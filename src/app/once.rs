//! `hotwatch sync once` where no hotwatch runs: each service's files are made the same on both sides, one after the
//! other, and that is all.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossbeam_channel::{at, select, unbounded};
use hotwatch_platform::guard::Guard;
use hotwatch_platform::process::reserve_descriptors;
use hotwatch_platform::signal::Blocked;

use super::cache::{self, Cache};
use super::colored;
use crate::cli::Global;
use crate::config::Config;
use crate::error::Error;
use crate::log::json::Json;
use crate::log::terminal::Terminal;
use crate::log::{Log, View};
use crate::record::{self, Level};
use crate::sync::{Surroundings, Sync};

/// Why it was not done to its end, if its user wants that.
const INTERRUPTED: &str = "interrupted";

/// Syncs all services of `config` that are to be, for as long as `timeout`.
///
/// # Errors
/// Another hotwatch has the project.
pub fn once(
    config: &Config,
    timeout: Duration,
    global: &Global,
    signals: Blocked,
) -> Result<ExitCode, Error> {
    reserve_descriptors().map_err(Error::io("open `/dev/null`"))?;
    let (interrupts, interrupted) = unbounded();
    let _listener = signals
        .listen(move |signal| {
            let _ = interrupts.send(signal);
        })
        .map_err(Error::io("start a thread"))?;
    let cache = Cache::take(&config.root)?;
    // What leads into targets must not be left behind.
    let _guard = Guard::start(&cache.lock, &cache.dir, |_| {}).map_err(Error::io("start the guard"))?;
    let names = config.services.iter().map(|service| service.name.clone()).collect();
    let stdout = io::stdout();
    let view: Box<dyn View> = if global.json {
        Box::new(Json::new(stdout))
    } else {
        let colored = colored(global.color, &stdout);
        Box::new(Terminal::new(stdout, colored, names))
    };
    let (tell, told) = record::channel(&["the reader of hotwatch's output"]);
    let log = Log::start(told.into_iter().zip([view]).collect(), &tell, || {});
    let deadline = Instant::now() + timeout;
    let mut failed = false;
    for service in &config.services {
        let Some(sync) = &service.sync else { continue };
        let surroundings = Surroundings {
            state: cache::sync_state(&config.root),
            quiet: config.quiet,
            grace: service.grace,
            runs: false,
            tell: tell.clone(),
        };
        let sync = Sync::start(&service.name, sync, surroundings, |_| {});
        let (sender, settled) = unbounded();
        sync.settle_whole(move |result| drop(sender.send(result)));
        let result = select! {
            recv(settled) -> result => result.unwrap_or_else(|_| Err("the sync has ended".to_owned())),
            recv(interrupted) -> _ => Err(INTERRUPTED.to_owned()),
            recv(at(deadline)) -> _ => Err("it takes too long".to_owned()),
        };
        if let Err(why) = &result {
            tell.notice(Some(&service.name), Level::Error, format!("not synced: {why}"));
        }
        failed |= result.is_err();
        if sync.status().pairs.is_empty() && result.is_ok() {
            let message =
                "it has no files of its own to sync; its binary goes there with `hotwatch up --sync`";
            tell.notice(Some(&service.name), Level::Info, message.to_owned());
        }
        if result.as_ref().is_err_and(|why| why == INTERRUPTED) {
            break;
        }
    }
    tell.end();
    let _ = log.ended().recv_timeout(Duration::from_secs(2));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
