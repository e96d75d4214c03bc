//! What runs in the target, and the command here that stands for it.

use std::path::Path;
use std::time::{Instant, SystemTime};

use super::actor::Actor;
use super::reach::{RESTART, RETRY};
use super::takeover::Takeover;
use super::tool::carry_out;
use super::transport::{Instance, User};
use super::{Begun, SEPARATOR, Unready, place};
use crate::config::Restart;
use crate::record::Level;

impl Actor {
    /// What runs in the target, with its arguments; and whether variables in them are for the target to fill in, as
    /// Kubernetes does with what it runs itself.
    fn program(&self) -> (Vec<String>, bool) {
        let own = self.takeover.as_ref().and_then(Takeover::command);
        let (command, args, expands) = match own {
            Some((command, args)) if self.config.run.is_empty() => (command, args, true),
            _ => (self.config.run.as_slice(), [].as_slice(), false),
        };
        let args = if self.config.run_args.is_empty() { args } else { &self.config.run_args };
        let mut words = [command, args].concat();
        if let Some(binary) = &self.config.binary
            && let Some(program) = words.first_mut().filter(|program| *program == binary)
        {
            *program = place(&self.config.to, binary).display().to_string();
        }
        (words, expands)
    }

    /// Puts `binary` in its place; what runs the program in the target then.
    pub(super) fn begin(&mut self, binary: Option<&Path>) -> Result<Begun, Unready> {
        if self.links.is_empty() && self.hopeless.is_none() {
            // It may be back, if only as one that stands still.
            self.retry = Some(Instant::now());
            self.connect_if_due();
            self.rounds(None);
        }
        let begun = binary.map_or(Ok(()), |binary| self.push(binary)).and_then(|()| {
            let at = Instant::now();
            self.command().map(|words| Begun { words, at })
        });
        // What was refused by one that is gone by now was not refused.
        begun.map_err(|why| if self.is_there() { Unready::Refused(why) } else { Unready::OutOfReach })
    }

    /// Whether the target in which the program runs is there as it was; those that are not are forgotten.
    pub(super) fn is_there(&mut self) -> bool {
        let Some(first) = self.links.first().map(|link| link.instance.clone()) else {
            self.away = Some(true);
            return false;
        };
        let found = self.transport.find(&self.ending).unwrap_or_default();
        let before = self.links.len();
        self.links.retain(|link| found.contains(&link.instance));
        if self.links.len() < before && !self.is_restarting() && !self.ending.is_wanted() {
            let target = self.transport.describe();
            self.notice(Level::Warning, format!("{target} is lost: it has ended, or was started anew"));
        }
        if self.links.len() < found.len() || self.links.is_empty() {
            (self.retry, self.pause) = (Some(Instant::now() + RETRY.0), RETRY.0);
        }
        // One that was started anew is the same to whoever starts it.
        let restarts = self.config.restart == Restart::Recreate;
        let is_first = |one: &Instance| *one == first || (restarts && one.place == first.place);
        let is_there = found.iter().any(is_first);
        if !is_there {
            // Whoever asks knows that now.
            self.away = Some(true);
        }
        is_there
    }

    /// What runs the program in the target, or shows what runs there, which is started anew for that if need be.
    fn command(&mut self) -> Result<Vec<String>, String> {
        let link = self.links.first().ok_or_else(|| self.out_of_reach())?;
        let instance = link.instance.clone();
        let since = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        match self.config.restart {
            Restart::Supervise | Restart::Override if self.transport.is_here() => {
                return Ok(self.program().0);
            }
            Restart::Supervise | Restart::Override => {
                let helper = link.helper.clone();
                let helper = helper.ok_or_else(|| format!("nobody is there to run it: {}", link.words))?;
                let grace = self.surroundings.grace.as_millis().to_string();
                let (program, expands) = self.program();
                let verb = if expands { "expand" } else { "run" };
                let mut words = vec![helper, verb.to_owned(), grace, self.directory().display().to_string()];
                words.extend(program);
                return relay("run", self.transport.exec(&instance, &words, User::Own));
            }
            Restart::Recreate => {
                self.restarted = Some(Instant::now());
                // It is another one then.
                (self.retry, self.pause) = (Some(Instant::now() + RETRY.0), RETRY.0);
                let grace = self.surroundings.grace;
                let restart = self.transport.restart(&instance, grace).unwrap_or_default();
                carry_out(&restart, grace + RESTART, &self.ending)
                    .map_err(|why| format!("{} does not start: {why}", self.transport.describe()))?;
            }
            Restart::None => {}
        }
        let parts = [self.transport.output(&instance), self.transport.state(&instance)];
        let mut words = vec![since];
        for part in parts.into_iter().flatten() {
            words.push(SEPARATOR.to_owned());
            words.extend(part);
        }
        relay("show", words)
    }
}

/// The command of hotwatch itself that stands here for what `words` lead to.
fn relay(mode: &str, words: Vec<String>) -> Result<Vec<String>, String> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| format!("hotwatch's own program is not known: {error}"))?;
    // Where another was installed meanwhile it is still this one.
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() { own } else { &program };
    let mut all = vec![program.display().to_string(), "relay".to_owned(), mode.to_owned(), "--".to_owned()];
    all.extend(words);
    Ok(all)
}
