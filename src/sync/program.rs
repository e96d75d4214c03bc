//! What runs in the target, and the command here that stands for it.

use super::actor::Actor;
use super::takeover::Takeover;
use super::transport::User;
use super::{SEPARATOR, place};
use crate::config;

impl Actor {
    /// What runs in the target, with its arguments.
    fn program(&self) -> Vec<String> {
        let own = self.takeover.as_ref().and_then(Takeover::command);
        let (command, args) = match own {
            Some((command, args)) if self.config.run.is_empty() => (command, args),
            _ => (self.config.run.as_slice(), [].as_slice()),
        };
        let args = if self.config.run_args.is_empty() { args } else { &self.config.run_args };
        let mut words = [command, args].concat();
        if let Some(binary) = &self.config.binary
            && let Some(program) = words.first_mut().filter(|program| *program == binary)
        {
            *program = place(&self.config.to, binary).display().to_string();
        }
        words
    }

    /// What runs the program in the target, or shows what runs there.
    pub(super) fn command(&self) -> Result<Vec<String>, String> {
        let link = self.links.first().ok_or_else(|| self.out_of_reach())?;
        let relay = |mode: &str, words: Vec<String>| {
            let program = std::env::current_exe()
                .map_err(|error| format!("hotwatch's own program is not known: {error}"))?;
            let mut all =
                vec![program.display().to_string(), "relay".to_owned(), mode.to_owned(), "--".to_owned()];
            all.extend(words);
            Ok(all)
        };
        match self.config.restart {
            config::Restart::Supervise | config::Restart::Override if self.transport.is_here() => {
                Ok(self.program())
            }
            config::Restart::Supervise | config::Restart::Override => {
                let helper = link
                    .helper
                    .clone()
                    .ok_or_else(|| format!("nobody is there to run it: {}", link.words))?;
                let grace = self.surroundings.grace.as_millis().to_string();
                let mut words = vec![helper, "run".to_owned(), grace, self.directory().display().to_string()];
                words.extend(self.program());
                relay("run", self.transport.exec(&link.instance, &words, User::Own))
            }
            config::Restart::Recreate => {
                let restart = self.transport.restart(&link.instance, self.surroundings.grace);
                let words = restart.unwrap_or_default().join(&SEPARATOR.to_owned());
                relay("restart", words)
            }
            config::Restart::None => {
                relay("follow", self.transport.follow(&link.instance).unwrap_or_default())
            }
        }
    }
}
