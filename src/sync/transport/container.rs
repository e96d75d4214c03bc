//! Containers of docker and podman, by their command lines.

use std::time::Duration;

use super::{Instance, Transport, User, ask, machine, words};
use crate::config::Engine;

/// A container by its name.
#[derive(Debug)]
pub struct Container {
    pub engine: Engine,
    pub name: String,
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

    fn find(&self) -> Result<Vec<Instance>, String> {
        let format = "{{.Id}}\t{{.State.StartedAt}}\t{{.State.Status}}";
        let told = ask(&self.words(["container", "inspect", "--format", format, &self.name]))?;
        let [place, identity, status] = told.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("`{}` says something else than expected: `{told}`", self.engine.command()));
        };
        if status != "running" {
            let start = format!("{} start {}", self.engine.command(), self.name);
            return Err(format!("it is {status}; start it with `{start}`"));
        }
        let (name, place, identity) = (self.name.clone(), place.to_owned(), identity.to_owned());
        Ok(vec![Instance { name, place, identity }])
    }

    fn machine(&self, instance: &Instance) -> Result<String, String> {
        // There may be nothing in it that could say.
        let image = ask(&self.words(["container", "inspect", "--format", "{{.Image}}", &instance.name]))?;
        ask(&self.words(["image", "inspect", "--format", "{{.Architecture}}", &image]))
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

    fn restart(&self, instance: &Instance, grace: Duration) -> Option<[Vec<String>; 3]> {
        let grace = grace.as_secs().max(1).to_string();
        let restart = self.words(["restart", "-t", &grace, &instance.name]);
        let logs = self.words(["logs", "-f", "--since", "{since}", &instance.name]);
        let state = "{{.State.Running}} {{.State.ExitCode}}";
        Some([restart, logs, self.words(["container", "inspect", "--format", state, &instance.name])])
    }

    fn follow(&self, instance: &Instance) -> Option<Vec<String>> {
        Some(self.words(["logs", "-f", "--tail", "0", &instance.name]))
    }
}
