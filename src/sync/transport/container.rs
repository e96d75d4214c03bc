//! Containers of docker and podman, by their command lines.

use std::time::Duration;

use super::{Instance, Transport, User, machine, words};
use crate::config::Engine;
use crate::sync::ending::Ending;
use crate::sync::tool::ask;

/// A container by its name.
#[derive(Debug)]
pub struct Container {
    pub engine: Engine,
    pub name: String,
    /// Whether one that stands still is started by whoever brings files there.
    pub starts: bool,
}

impl Container {
    fn words<const N: usize>(&self, rest: [&str; N]) -> Vec<String> {
        let mut all = words([self.engine.command()]);
        all.extend(words(rest));
        all
    }
}

impl Transport for Container {
    fn describe(&self) -> String {
        format!("the {} container `{}`", self.engine.command(), self.name)
    }

    fn find(&self, ending: &Ending) -> Result<Vec<Instance>, String> {
        let format = "{{.Id}}\t{{.State.StartedAt}}\t{{.State.Status}}";
        let told = ask(&self.words(["container", "inspect", "--format", format, &self.name]), ending)?;
        let [place, identity, status] = told.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("`{}` says something else than expected: `{told}`", self.engine.command()));
        };
        let stands = self.starts && ["created", "exited", "stopped", "configured"].contains(&status);
        if status != "running" && !stands {
            let verb = if status == "paused" { "unpause" } else { "start" };
            let engine = self.engine.command();
            return Err(format!("it is {status}; `{engine} {verb} {}` has it run again", self.name));
        }
        let (name, place, identity) = (self.name.clone(), place.to_owned(), identity.to_owned());
        Ok(vec![Instance { name, place, identity, stands }])
    }

    fn machine(&self, instance: &Instance, ending: &Ending) -> Result<String, String> {
        // There may be nothing in it that could say.
        let image =
            ask(&self.words(["container", "inspect", "--format", "{{.Image}}", &instance.name]), ending)?;
        ask(&self.words(["image", "inspect", "--format", "{{.Architecture}}", &image]), ending)
            .map(|name| machine(&name))
    }

    fn exec(&self, instance: &Instance, words: &[String], user: User) -> Vec<String> {
        let mut all = self.words(["exec", "-i"]);
        if user == User::Root {
            all.extend(super::words(["-u", "0:0"]));
        }
        all.push(instance.name.clone());
        all.extend_from_slice(words);
        all
    }

    fn unpack(&self, instance: &Instance, dir: &str) -> Option<Vec<String>> {
        Some(self.words(["cp", "-", &format!("{}:{dir}", instance.name)]))
    }

    fn output(&self, instance: &Instance) -> Option<Vec<String>> {
        Some(self.words(["logs", "-f", "--since", "{since}", &instance.name]))
    }

    fn state(&self, instance: &Instance) -> Option<Vec<String>> {
        let state = "{{.State.Running}} {{.State.ExitCode}}";
        Some(self.words(["container", "inspect", "--format", state, &instance.name]))
    }

    fn restart(&self, instance: &Instance, grace: Duration) -> Option<Vec<String>> {
        let grace = grace.as_secs().max(1).to_string();
        Some(self.words(["restart", "-t", &grace, &instance.name]))
    }
}
