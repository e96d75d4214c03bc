//! Where a service's files go to, and what happens there: `[service.sync]` in its entry.

mod pairs;
mod resolve;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hotwatch_helper::filter::Rules;
use hotwatch_helper::replica::Options;

use super::file::sync::Mode;
use super::resolve::nearest;
use super::{Build, Config};

/// What a service's files are synced to, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Where they go.
    pub to: Target,
    /// What goes where.
    pub pairs: Vec<Pair>,
    /// What runs in the target after each round; nothing if it is empty.
    pub post_sync: Vec<String>,
    /// How long that may take.
    pub post_sync_timeout: Duration,
    /// How the program in the target is started anew.
    pub restart: Restart,
    /// What runs there, where that is for hotwatch to start; may be empty where it is not.
    pub run: Vec<String>,
    /// Its arguments there.
    pub run_args: Vec<String>,
    /// Where in the target the service's binary goes, built here for its platform.
    pub binary: Option<String>,
    /// That platform as Go calls it (`linux/arm64`), if the target is not to be asked.
    pub platform: Option<(String, String)>,
    /// Where in the target the helper goes, if that is not to be found out.
    pub helper_dir: Option<String>,
}

/// Where files are synced to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A running container, by its name or id.
    Container {
        /// What knows it.
        engine: Engine,
        /// Its name.
        name: String,
    },
    /// Containers of pods.
    Kubectl(Kubectl),
    /// A host, as ssh calls it.
    Ssh(String),
    /// A directory of this machine, in front of the targets of pairs.
    Dir(PathBuf),
}

impl Target {
    /// The program that leads there.
    pub fn command(&self) -> &'static str {
        match self {
            Target::Container { engine, .. } => engine.command(),
            Target::Kubectl(_) => "kubectl",
            Target::Ssh(_) => "ssh",
            Target::Dir(_) => "sh",
        }
    }
}

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl Engine {
    /// Its command.
    pub fn command(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

/// Containers of pods, as kubectl finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubectl {
    /// The context; the current one if it is not said.
    pub context: Option<String>,
    /// The namespace; that of the context if it is not said.
    pub namespace: Option<String>,
    /// Which pods.
    pub pods: Pods,
    /// Which of their containers; the first if it is not said.
    pub container: Option<String>,
}

/// Which pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pods {
    /// Those of this workload, as in `deployment/web`.
    Workload(String),
    /// Those with these labels.
    Selector(String),
    /// This one.
    Pod(String),
}

/// How the program in the target is started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Not at all: it sees new files by itself.
    None,
    /// The helper runs it, beside whatever else runs there.
    Supervise,
    /// The container is started anew, or another like it.
    Recreate,
    /// The command of the workload is another while sync is on, so that the helper can run the program.
    Override,
}

/// What goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The file or directory here, as the config file writes it.
    pub source_as_written: String,
    /// The same, absolute.
    pub source: PathBuf,
    /// The path in the target, absolute.
    pub target: String,
    /// Which side follows which.
    pub mode: Mode,
    /// What takes part; git's ignore files are not read yet.
    pub rules: Rules,
    /// How what is made in the target is to be.
    pub options: Options,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.mode {
            Mode::OneWay | Mode::OneWayReplica => "->",
            Mode::OneWayReverse | Mode::OneWayReplicaReverse => "<-",
            Mode::TwoWaySafe | Mode::TwoWayResolved => "<->",
        };
        write!(f, "{} {arrow} {}", self.source_as_written, self.target)
    }
}

impl Sync {
    /// Whether the target is changed for as long as it is synced.
    pub fn takes_over(&self) -> bool {
        match self.restart {
            Restart::Override => true,
            Restart::Recreate => !self.run_args.is_empty(),
            Restart::Supervise | Restart::None => false,
        }
    }
}

impl Config {
    /// The same with only the services called `names` synced, all that can be if one of them is `*`; the others run as
    /// if there were no `[service.sync]`.
    ///
    /// # Errors
    /// There is no such service, or nothing says where to sync it to, in words.
    pub fn synced(mut self, names: &[String]) -> Result<Config, String> {
        let is_asked = !names.is_empty();
        let names = names.iter().flat_map(|names| names.split(',')).map(str::trim);
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        if is_asked && names.is_empty() {
            return Err("`--sync` names a service without a name; name services, or `*` for all".to_owned());
        }
        let all = names.contains("*");
        if all && self.services.iter().all(|service| service.sync.is_none()) {
            return Err("no service has a `[service.sync]` that says where to sync it to".to_owned());
        }
        for name in names.iter().filter(|&&name| name != "*") {
            let known = self.services.iter().map(|service| service.name.as_str());
            let service = self.services.iter().find(|service| service.name.as_str() == *name);
            let service =
                service.ok_or_else(|| format!("there is no service `{name}`{}", nearest(name, known)))?;
            if service.sync.is_none() {
                return Err(format!(
                    "nothing says where to sync `{name}` to; write `[service.sync]` below its `[[service]]`, as in \
                     `to = {{ docker = \"{name}\" }}`"
                ));
            }
        }
        for service in &mut self.services {
            if !all && !names.contains(service.name.as_str()) {
                service.sync = None;
            }
            let Some(sync) = &service.sync else { continue };
            let from_here = |pair: &&Pair| matches!(pair.mode, Mode::OneWay | Mode::OneWayReplica);
            if let Some(pair) = sync.pairs.iter().filter(from_here).find(|pair| !pair.source.exists()) {
                let (source, name) = (&pair.source_as_written, &service.name);
                return Err(format!(
                    "the source `{source}` of `{name}` does not exist; correct it or create it"
                ));
            }
            // What runs is in the target; here is only what leads there.
            service.args = Vec::new();
            service.pty = false;
            service.patch = None;
            if sync.binary.is_none() {
                service.run = vec![sync.to.command().to_owned()];
                service.build = Build::None;
                service.package = None;
                service.pre_build = Vec::new();
                service.patterns = super::Patterns::default();
            }
        }
        self.sync_asked = names.into_iter().map(str::to_owned).collect();
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
