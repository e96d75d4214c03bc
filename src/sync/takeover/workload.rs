//! A workload whose command gives way to one that waits, so that the helper can run its program. Probes ask the program,
//! which is not there yet when they begin, so they give way as well.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{list, words};
use crate::config::{Kubectl, Pods};
use crate::sync::ending::Ending;
use crate::sync::tool::{ANSWER, ask, ask_within, carry_out};

/// What waits in place of a program: it is ended by the first signal, as a program is that is no shell.
const WAITS: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 1 & wait $!; done"];

/// What would end a container in which nobody answers.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// How long a workload may take to have other pods; kubectl itself gives up a little earlier.
const ROLLOUT: Duration = Duration::from_secs(130);

/// A container of a workload, as it is without hotwatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    flags: Vec<String>,
    workload: String,
    container: String,
    command: Vec<String>,
    args: Vec<String>,
    probes: Map<String, Value>,
}

impl Workload {
    /// What the workload that `kubectl` means is like.
    ///
    /// # Errors
    /// There is none, in words.
    pub fn read(kubectl: &Kubectl, ending: &Ending) -> Result<Workload, String> {
        let Pods::Workload(workload) = &kubectl.pods else {
            return Err("only a workload has a command".to_owned());
        };
        let mut flags = Vec::new();
        for (flag, value) in [("--context", &kubectl.context), ("--namespace", &kubectl.namespace)] {
            value.iter().for_each(|value| flags.extend(words(&[flag, value])));
        }
        Workload::read_container(flags, workload, kubectl.container.as_deref(), ending)
    }

    fn read_container(
        flags: Vec<String>,
        workload: &str,
        container: Option<&str>,
        ending: &Ending,
    ) -> Result<Workload, String> {
        let told = ask(&kubectl(&flags, &["get", workload, "--output=json"]), ending)?;
        let told: Value =
            serde_json::from_str(&told).map_err(|error| format!("`kubectl get` says no JSON: {error}"))?;
        let containers = told["spec"]["template"]["spec"]["containers"].as_array().cloned();
        let is_meant = |one: &Value| container.is_none_or(|name| one["name"] == name);
        let meant = containers.into_iter().flatten().find(is_meant);
        let meant = meant.ok_or_else(|| format!("`{workload}` has no such container"))?;
        let probe = |name: &&str| Some(((*name).to_owned(), meant.get(*name)?.clone()));
        Ok(Workload {
            flags,
            workload: workload.to_owned(),
            container: meant["name"].as_str().unwrap_or_default().to_owned(),
            command: list(&meant["command"]),
            args: list(&meant["args"]),
            probes: PROBES.iter().filter_map(probe).collect(),
        })
    }

    /// Its command, and its arguments.
    pub fn command(&self) -> (&[String], &[String]) {
        (&self.command, &self.args)
    }

    /// Whether both are the same container of the same workload.
    pub fn is_same(&self, other: &Workload) -> bool {
        let key = |it: &Workload| (it.flags.clone(), it.workload.clone(), it.container.clone());
        key(self) == key(other)
    }

    /// Whether it waits in place of its program.
    pub fn waits(&self) -> bool {
        self.command == WAITS
    }

    /// Whether its program can be run once it waits; where nothing else says what that is, it has to.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn can_wait(&self, needs_command: bool) -> Result<(), String> {
        let workload = &self.workload;
        if self.waits() {
            let why = "waits already, and what it ran before is not known; apply it again";
            return Err(format!("`{workload}` {why}"));
        }
        if needs_command && self.command.is_empty() {
            return Err(format!(
                "`{workload}` does not say what it runs, its image does; name it with `run`"
            ));
        }
        Ok(())
    }

    /// Has it wait, and its pods be others.
    ///
    /// # Errors
    /// It does not, in words.
    pub fn wait(&self, ending: &Ending) -> Result<(), String> {
        let mut waits = json!({ "name": self.container, "command": WAITS, "args": [] });
        self.probes.keys().for_each(|probe| waits[probe] = Value::Null);
        self.patch(&waits, ending)?;
        let wait = ["rollout", "status", &self.workload, "--timeout=120s"];
        ask_within(&kubectl(&self.flags, &wait), ROLLOUT, ending).map(|_| ())
    }

    /// Has it be as it was, unless somebody has given it another command meanwhile; what the user should know.
    ///
    /// # Errors
    /// It still waits, in words.
    pub fn put_back(&self, ending: &Ending) -> Result<Option<String>, String> {
        let (flags, container) = (self.flags.clone(), Some(self.container.as_str()));
        let now = Workload::read_container(flags, &self.workload, container, ending)?;
        if !now.waits() {
            let message =
                format!("`{}` was changed by somebody else meanwhile, and is left so", self.workload);
            return Ok((now != *self).then_some(message));
        }
        let or_null = |words: &Vec<String>| if words.is_empty() { Value::Null } else { json!(words) };
        let mut before = json!({
            "name": self.container, "command": or_null(&self.command), "args": or_null(&self.args),
        });
        self.probes.iter().for_each(|(name, probe)| before[name] = probe.clone());
        self.patch(&before, ending)
            .map(|()| None)
            .map_err(|why| format!("`{}` still waits in place of its program: {why}", self.workload))
    }

    /// Changes the container.
    fn patch(&self, container: &Value, ending: &Ending) -> Result<(), String> {
        let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } }).to_string();
        let patch = ["patch", &self.workload, "--type=strategic", "--patch", &patch];
        carry_out(&kubectl(&self.flags, &patch), ANSWER, ending)
    }
}

fn kubectl(flags: &[String], rest: &[&str]) -> Vec<String> {
    let mut all = words(&["kubectl"]);
    all.extend_from_slice(flags);
    all.extend(words(rest));
    all
}
