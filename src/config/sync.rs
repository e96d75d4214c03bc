//! Where a service's files go to, and what happens there: `[service.sync]` in its entry.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use hotwatch_helper::filter::Rules;
use hotwatch_helper::replica::Options;
use toml::Spanned;

use super::file::sync::{self as form, Mode};
use super::resolve::{Source, nearest};
use super::{Build, Config, ConfigError};
use crate::name::Name;

/// How long `post_sync` may take, unless the user says otherwise.
const POST_SYNC: Duration = Duration::from_secs(60);

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
    fn command(&self) -> &'static str {
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

impl Config {
    /// The same with only the services called `names` synced, all that can be if one of them is `*`; the others run as
    /// if there were no `[service.sync]`.
    ///
    /// # Errors
    /// There is no such service, or nothing says where to sync it to, in words.
    pub fn synced(mut self, names: &[String]) -> Result<Config, String> {
        let names: BTreeSet<&str> = names.iter().flat_map(|names| names.split(',')).map(str::trim).collect();
        let names: BTreeSet<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
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

impl Source<'_> {
    /// Checks `sync` of the service `name` with the canonical directory `dir`, in the project `root`.
    pub(super) fn sync(
        &self,
        parsed: &super::file::Service,
        name: &Name,
        dir: &Path,
        root: &Path,
    ) -> Result<Option<Sync>, ConfigError> {
        let Some(place) = &parsed.sync else { return Ok(None) };
        let sync = place.get_ref();
        if let Some(proxy) = &parsed.proxy {
            let message = "`proxy` cannot hold the port of a service that runs elsewhere; remove it, or `[service.sync]`";
            return Err(self.at(proxy, message));
        }
        let to = self.target(&sync.to, root)?;
        let pairs = self.pairs(sync, dir, &to)?;
        let empty = |words: &Option<Spanned<Vec<String>>>, name: &str, example: &str| match words {
            Some(words) if words.get_ref().is_empty() => {
                Err(self.at(words, format!("`{name}` is empty; remove it, or write {example}")))
            }
            words => Ok(words.as_ref().map(|words| words.get_ref().clone()).unwrap_or_default()),
        };
        let post_sync = empty(&sync.post_sync, "post_sync", "a command such as `[\"npm\", \"install\"]`")?;
        let mut run = empty(&sync.run, "run", "a command such as `[\"/app/server\"]`")?;
        let binary = sync.binary.as_ref().map(|path| self.absolute(path, "binary")).transpose()?;
        if run.is_empty() {
            run.extend(binary.clone());
        }
        let run_args = sync.run_args.as_ref().map(|args| args.get_ref().clone());
        let restart = self.restart(sync, &to, &run, binary.is_some(), run_args.is_some())?;
        if run.is_empty() && pairs.is_empty() {
            let message =
                format!("there is nothing to sync for `{name}`; add `[[service.sync.pair]]` with a `target`");
            return Err(self.at(place, message));
        }
        let args = if binary.is_some() { parsed.args.clone() } else { Vec::new() };
        let run_args = run_args.unwrap_or(args);
        Ok(Some(Sync {
            to,
            pairs,
            post_sync,
            post_sync_timeout: sync.post_sync_timeout.unwrap_or(POST_SYNC),
            restart,
            run,
            run_args,
            binary,
            platform: sync.platform.as_ref().map(|platform| self.platform(platform)).transpose()?,
            helper_dir: sync.helper_dir.as_ref().map(|dir| self.absolute(dir, "helper_dir")).transpose()?,
        }))
    }

    fn target(&self, place: &Spanned<form::To>, root: &Path) -> Result<Target, ConfigError> {
        let form::To { docker, podman, kubectl, ssh, dir } = place.get_ref();
        let container = |engine| move |name: &String| Target::Container { engine, name: name.clone() };
        let mut named: Vec<Target> = Vec::new();
        named.extend(docker.as_ref().map(container(Engine::Docker)));
        named.extend(podman.as_ref().map(container(Engine::Podman)));
        if let Some(kubectl) = kubectl {
            named.push(Target::Kubectl(self.kubectl(place, kubectl)?));
        }
        named.extend(ssh.clone().map(Target::Ssh));
        named.extend(dir.as_ref().map(|dir| Target::Dir(root.join(dir))));
        let name = match (named.as_slice(), docker.as_ref().or(podman.as_ref()).or(ssh.as_ref())) {
            ([one], name) => (one, name),
            _ => {
                let message = "`to` takes one of `{ docker = \"NAME\" }`, `{ podman = \"NAME\" }`, `{ kubectl = { workload = \
                               \"deployment/NAME\" } }`, `{ ssh = \"HOST\" }` and `{ dir = \"PATH\" }`";
                return Err(self.at(place, message));
            }
        };
        // It would be a flag to whom it is passed.
        match name {
            (_, Some(name)) if name.is_empty() || name.starts_with('-') => {
                Err(self.at(place, format!("`{name}` is no name of a target")))
            }
            (target, _) => Ok(target.clone()),
        }
    }

    fn kubectl<T>(&self, place: &Spanned<T>, kubectl: &form::Kubectl) -> Result<Kubectl, ConfigError> {
        let form::Kubectl { context, namespace, workload, selector, pod, container } = kubectl;
        let pods = match (workload, selector, pod) {
            (Some(workload), None, None) if workload.contains('/') => Pods::Workload(workload.clone()),
            (Some(workload), None, None) => {
                let message = format!("`{workload}` does not say what it is; write `deployment/{workload}`");
                return Err(self.at(place, message));
            }
            (None, Some(selector), None) => Pods::Selector(selector.clone()),
            (None, None, Some(pod)) => Pods::Pod(pod.clone()),
            _ => {
                let message = "`kubectl` takes one of `workload = \"deployment/NAME\"`, `selector = \"app=NAME\"` and `pod = \
                               \"NAME\"`";
                return Err(self.at(place, message));
            }
        };
        let (context, namespace, container) = (context.clone(), namespace.clone(), container.clone());
        Ok(Kubectl { context, namespace, pods, container })
    }

    fn restart(
        &self,
        sync: &form::Sync,
        to: &Target,
        run: &[String],
        binary: bool,
        run_args: bool,
    ) -> Result<Restart, ConfigError> {
        let asked = sync.restart.as_ref().map(|restart| *restart.get_ref());
        let restart = match asked {
            None if run.is_empty() && run_args => {
                let place = sync.run_args.as_ref().expect("just seen");
                let message = "`run_args` are for a program that hotwatch starts; say what that is with `run`, or how the \
                               container gets them with `restart`";
                return Err(self.at(place, message));
            }
            None if run.is_empty() => Restart::None,
            None => Restart::Supervise,
            Some(form::Restart::None) => Restart::None,
            Some(form::Restart::Supervise) => Restart::Supervise,
            Some(form::Restart::Recreate) => Restart::Recreate,
            Some(form::Restart::Override) => Restart::Override,
        };
        let Some(place) = &sync.restart else { return Ok(restart) };
        let wrong = |message: &str| Err(self.at(place, message));
        match (restart, to) {
            (Restart::Supervise, _) if run.is_empty() => {
                wrong("`supervise` needs to know what to run; write `run = [\"/app/server\"]`")
            }
            (Restart::Recreate, Target::Container { .. }) => Ok(restart),
            (Restart::Recreate, _) => wrong("`recreate` is for containers of docker and podman"),
            (Restart::Override, Target::Kubectl(Kubectl { pods: Pods::Workload(_), .. })) => Ok(restart),
            (Restart::Override, _) => wrong("`override` is for a `workload` of `kubectl`"),
            (Restart::None, _) if binary => {
                wrong("a `binary` that nobody starts anew does not run; remove `restart`")
            }
            _ => Ok(restart),
        }
    }

    fn pairs(&self, sync: &form::Sync, dir: &Path, to: &Target) -> Result<Vec<Pair>, ConfigError> {
        let mut pairs: Vec<Pair> = Vec::new();
        for place in &sync.pair {
            let pair = self.pair(place, dir, to)?;
            let inside = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
            let overlaps = |other: &&Pair| inside(&other.source, &pair.source);
            if let Some(other) = pairs.iter().find(overlaps) {
                let message = format!(
                    "the source `{}` overlaps with `{}`; one pair may leave out with `exclude` what is the other's \
                     only if neither lies in the other",
                    pair.source_as_written, other.source_as_written
                );
                return Err(self.at(place, message));
            }
            if let Some(other) =
                pairs.iter().find(|other| inside(Path::new(&other.target), Path::new(&pair.target)))
            {
                let message = format!("the target `{}` overlaps with `{}`", pair.target, other.target);
                return Err(self.at(place, message));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn pair(&self, place: &Spanned<form::Pair>, dir: &Path, to: &Target) -> Result<Pair, ConfigError> {
        let pair = place.get_ref();
        let source_as_written = pair.source.as_ref().map_or(".", |source| source.get_ref()).to_owned();
        let target = match to {
            // Below that directory.
            Target::Dir(_) if !pair.target.get_ref().starts_with('/') => {
                let relative = Spanned::new(pair.target.span(), format!("/{}", pair.target.get_ref()));
                self.absolute(&relative, "target").or_else(|error| {
                    if pair.target.get_ref() == "." { Ok("/".to_owned()) } else { Err(error) }
                })?
            }
            _ => self.absolute(&pair.target, "target")?,
        };
        let written = dir.join(&source_as_written);
        // What does not exist yet may come from the other side.
        let source = written.canonicalize().or_else(|error| {
            let parent = written.parent().and_then(|parent| parent.canonicalize().ok());
            let from_there = !matches!(pair.mode, Mode::OneWay | Mode::OneWayReplica);
            match (parent, written.file_name()) {
                (Some(parent), Some(name)) if from_there => Ok(parent.join(name)),
                _ => {
                    let message = format!(
                        "the source `{source_as_written}` cannot be read: {error}; correct it or create it"
                    );
                    Err(self.at(place, message))
                }
            }
        })?;
        let words =
            |list: &[Spanned<String>]| list.iter().map(|word| word.get_ref().clone()).collect::<Vec<_>>();
        let two_way = matches!(pair.mode, Mode::TwoWaySafe | Mode::TwoWayResolved);
        let rules = Rules {
            include: words(&pair.include),
            exclude: words(&pair.exclude),
            ignored: !pair.gitignore.unwrap_or(!two_way),
            files: Vec::new(),
        };
        if let Some((pattern, why)) = rules.fault() {
            return Err(self.at(place, format!("`{pattern}` is no pattern: {why}")));
        }
        let mode = |mode: &Option<Spanned<String>>, name| {
            mode.as_ref().map(|mode| self.permissions(mode, name)).transpose()
        };
        let options = Options {
            owner: pair.owner.as_ref().map(|owner| owner.get_ref().clone()),
            file_mode: mode(&pair.file_mode, "file_mode")?,
            dir_mode: mode(&pair.dir_mode, "dir_mode")?,
        };
        Ok(Pair { source_as_written, source, target, mode: pair.mode, rules, options })
    }

    /// An absolute path in the target that is not its root, without `.` and `..`.
    fn absolute(&self, place: &Spanned<String>, name: &str) -> Result<String, ConfigError> {
        let path = Path::new(place.get_ref());
        let mut parts = path.components();
        if parts.next() != Some(Component::RootDir) || parts.any(|part| !matches!(part, Component::Normal(_)))
        {
            let message =
                format!("`{}` is no absolute path in the target; write one such as `/app`", path.display());
            return Err(self.at(place, message));
        }
        let clean: PathBuf = path.components().collect();
        match clean.to_str() {
            Some("/") => Err(self.at(
                place,
                format!("`{name}` must not be `/`, which holds the target's own system; write a directory such as `/app`"),
            )),
            clean => Ok(clean.unwrap_or_default().to_owned()),
        }
    }

    fn permissions(&self, place: &Spanned<String>, name: &str) -> Result<u32, ConfigError> {
        let mode = u32::from_str_radix(place.get_ref(), 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.at(place, format!("`{name}` is written in octal, as in `\"0644\"`")))
    }

    fn platform(&self, place: &Spanned<String>) -> Result<(String, String), ConfigError> {
        let parts: Vec<&str> = place.get_ref().split('/').collect();
        match parts.as_slice() {
            [os, machine] if !os.is_empty() && !machine.is_empty() => {
                Ok(((*os).to_owned(), (*machine).to_owned()))
            }
            _ => Err(self.at(place, "`platform` is written as Go does, as in `\"linux/arm64\"`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sync: &str) -> Result<Config, String> {
        let dir = std::env::temp_dir().canonicalize().unwrap();
        let text = format!("[[service]]\nname = \"web\"\n[service.sync]\n{sync}\n");
        crate::config::parse(&text, Path::new("hotwatch.toml"), &dir, &|_| None)
            .map_err(|error| error.to_string())
    }

    fn sync(text: &str) -> Sync {
        parse(text).unwrap().services[0].sync.clone().unwrap()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let found = sync("to = { podman = \"web\" }\n[[service.sync.pair]]\ntarget = \"/app/\"");
        let pair = &found.pairs[0];
        assert_eq!(
            (pair.target.as_str(), pair.source_as_written.as_str(), pair.mode),
            ("/app", ".", Mode::OneWay)
        );
        assert!(!pair.rules.ignored && found.run.is_empty() && found.restart == Restart::None);
        assert_eq!(pair.to_string(), ". -> /app");
        let found = sync("to = { docker = \"web\" }\nbinary = \"/app/server\"\nrun_args = [\"-v\"]");
        assert_eq!(
            (found.run, found.run_args, found.restart),
            (vec!["/app/server".to_owned()], vec!["-v".to_owned()], Restart::Supervise)
        );
        let found =
            sync("to = { dir = \"x\" }\n[[service.sync.pair]]\ntarget = \"app\"\nmode = \"two-way-safe\"");
        assert!(found.pairs[0].rules.ignored && found.pairs[0].target == "/app");
    }

    #[test]
    fn what_does_not_fit_together_is_said_where_it_stands() {
        let pair = "to = { podman = \"web\" }\n[[service.sync.pair]]\n";
        let table = [
            ("to = { }".to_owned(), ":4:6: `to` takes one of"),
            ("to = { docker = \"a\", ssh = \"b\" }".to_owned(), "`to` takes one of"),
            ("to = { ssh = \"-oProxyCommand=x\" }".to_owned(), "is no name of a target"),
            ("to = { kubectl = { workload = \"web\" } }".to_owned(), "write `deployment/web`"),
            ("to = { podman = \"web\" }".to_owned(), "there is nothing to sync for `web`"),
            (format!("{pair}target = \"/\""), ":6:10: `target` must not be `/`"),
            (format!("{pair}target = \"app\""), "`app` is no absolute path"),
            (format!("{pair}target = \"/app/../etc\""), "is no absolute path"),
            (format!("{pair}target = \"/app\"\nsource = \"no-such\""), "the source `no-such` cannot be read"),
            (format!("{pair}target = \"/a\"\n[[service.sync.pair]]\ntarget = \"/b\""), "overlaps with `.`"),
            (format!("{pair}target = \"/app\"\nfile_mode = \"rw\""), "`file_mode` is written in octal"),
            (format!("{pair}target = \"/app\"\nmode = \"both\""), "unknown variant `both`"),
            (
                format!("{pair}target = \"/app\"\ntargt = \"/x\""),
                "unknown key `targt`; did you mean `target`?",
            ),
            (
                "to = { ssh = \"x\" }\nrestart = \"recreate\"\nrun = [\"x\"]".to_owned(),
                "`recreate` is for containers",
            ),
            ("to = { ssh = \"x\" }\nrestart = \"supervise\"".to_owned(), "write `run = "),
            ("to = { ssh = \"x\" }\nrun_args = [\"x\"]".to_owned(), "say what that is with `run`"),
            (
                "to = { ssh = \"x\" }\nplatform = \"arm\"\nrun = [\"x\"]".to_owned(),
                "`platform` is written as Go does",
            ),
        ];
        for (text, expected) in table {
            let error = parse(&text).err().unwrap_or_default();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn names_pick_who_is_synced() {
        let text = "to = { podman = \"web\" }\n[[service.sync.pair]]\ntarget = \"/app\"\n[[service]]\nname = \"api\"";
        let pick = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            parse(text).unwrap().synced(&names).map(|config| {
                let picked = config.services.iter().filter(|service| service.sync.is_some());
                picked.map(|service| service.name.to_string()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(pick(&[]).unwrap(), "");
        assert_eq!(pick(&["*"]).unwrap(), "web");
        assert_eq!(pick(&["web,"]).unwrap(), "web");
        assert!(pick(&["web,api"]).unwrap_err().starts_with("nothing says where to sync `api` to"));
        assert!(pick(&["wbe"]).unwrap_err().contains("did you mean `web`?"));
    }
}
