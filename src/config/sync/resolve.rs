//! From the form of `[service.sync]` to a complete one: one target, one way to start a program there, defaults.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::{Engine, Kubectl, Pods, Restart, Sync, Target};
use crate::config::ConfigError;
use crate::config::file::{self, sync as form};
use crate::config::resolve::Source;
use crate::name::Name;

/// How long `post_sync` may take, unless the user says otherwise.
const POST_SYNC: Duration = Duration::from_secs(60);

impl Source<'_> {
    /// Checks `sync` of the service `name` with the canonical directory `dir`, in the project `root`.
    pub(in crate::config) fn sync(
        &self,
        parsed: &file::Service,
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
