//! A target that is changed for as long as its service is synced, and put back as it was afterwards: a container whose
//! program gets other arguments, a workload whose command gives way to one that waits, so that the helper can run the
//! program. What it was like is written down first, so that a hotwatch that was killed is no loss: the next one goes on
//! from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::transport::{ask, ask_within};
use crate::config::{Engine, Kubectl, Pods, Restart, Sync, Target};

/// What is put behind the name of a container that makes way.
const ASIDE: &str = "-before-hotwatch";

/// What waits in place of a program: it is ended by the first signal, as a program is that is no shell.
const WAITS: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 1 & wait $!; done"];

/// How often a container is started that is said not to have stopped yet, and how long to wait in between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// How long a workload may take to have other pods; kubectl itself gives up a little earlier.
const ROLLOUT: Duration = Duration::from_secs(130);

/// How long a container may take to be made.
const MADE: Duration = Duration::from_secs(120);

/// What was changed.
#[derive(Debug)]
pub struct Takeover {
    file: PathBuf,
    before: Before,
}

/// What it was like before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Before {
    /// This container has another name, and stands still; in its place there is one with this id.
    Container { engine: String, name: String, made: String },
    /// This container of a workload has another command.
    Workload {
        flags: Vec<String>,
        workload: String,
        container: String,
        command: Vec<String>,
        args: Vec<String>,
    },
}

impl Takeover {
    /// Changes the target of `sync` as that needs it; nothing if it needs nothing. What it was like is written to `file`.
    /// What runs there may take as long as `grace` to stop.
    ///
    /// # Errors
    /// It cannot be changed, in words; it is as it was then.
    pub fn begin(sync: &Sync, grace: Duration, file: PathBuf) -> Result<Option<Takeover>, String> {
        let known = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Before>(&bytes).ok());
        // By a hotwatch that was killed.
        let known = known.map(|before| Takeover { file: file.clone(), before });
        match (&sync.to, sync.restart) {
            (Target::Container { engine, name }, Restart::Recreate) if !sync.run_args.is_empty() => {
                match known {
                    Some(known) if known.before.is_of(*engine, name) => Ok(Some(known)),
                    known => {
                        put_back(known)?;
                        recreate(*engine, name, grace, &sync.run_args, file).map(Some)
                    }
                }
            }
            (Target::Kubectl(kubectl), Restart::Override) => {
                let now = workload(kubectl)?;
                match known {
                    Some(known) if now.waits() && known.before.is_same(&now) => Ok(Some(known)),
                    known => {
                        put_back(known.filter(|known| !known.before.is_same(&now)))?;
                        overridden(now, sync.run.is_empty(), file).map(Some)
                    }
                }
            }
            _ => put_back(known).map(|()| None),
        }
    }

    /// The command that the target has by itself, and its arguments; where that is known.
    pub fn command(&self) -> Option<(&[String], &[String])> {
        match &self.before {
            Before::Workload { command, args, .. } => Some((command, args)),
            Before::Container { .. } => None,
        }
    }

    /// Puts the target back as it was; what keeps it from being so, in words.
    pub fn end(self) -> Option<String> {
        let done = self.before.put_back();
        if done.is_ok() {
            drop(fs::remove_file(&self.file));
        }
        done.err()
    }
}

/// Puts back what a hotwatch that was killed has left changed, and nobody wants changed any more.
fn put_back(known: Option<Takeover>) -> Result<(), String> {
    known.and_then(Takeover::end).map_or(Ok(()), Err)
}

/// Writes down what it was like.
fn note(file: PathBuf, before: Before) -> Result<Takeover, String> {
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
        fs::write(&file, serde_json::to_vec(&before)?)
    };
    write().map_err(|error: std::io::Error| format!("cannot write `{}`: {error}", file.display()))?;
    Ok(Takeover { file, before })
}

/// Has a workload wait that is as `now`.
fn overridden(now: Before, needs_command: bool, file: PathBuf) -> Result<Takeover, String> {
    let Before::Workload { workload, command, container, .. } = &now else {
        return Err("only a workload has a command".to_owned());
    };
    if now.waits() {
        return Err(format!(
            "`{workload}` waits already, and what it ran before is not known; apply it again"
        ));
    }
    if needs_command && command.is_empty() {
        return Err(format!("`{workload}` does not say what it runs, its image does; name it with `run`"));
    }
    let waits = json!({ "name": container, "command": WAITS, "args": [] });
    let takeover = note(file, now)?;
    if let Err(why) = takeover.before.patch(&waits) {
        takeover.end();
        return Err(why);
    }
    Ok(takeover)
}

impl Before {
    /// Whether this is about the container `name` of `engine`, and that is still the one that was made in its place.
    fn is_of(&self, engine: Engine, name: &str) -> bool {
        match self {
            Before::Container { engine: of, name: called, made } => {
                of == engine.command() && called == name && id(of, name).as_ref() == Ok(made)
            }
            Before::Workload { .. } => false,
        }
    }

    /// Whether both are about the same container of the same workload.
    fn is_same(&self, other: &Before) -> bool {
        let key = |before: &Before| match before {
            Before::Workload { flags, workload, container, .. } => {
                Some((flags.clone(), workload.clone(), container.clone()))
            }
            Before::Container { .. } => None,
        };
        key(self).is_some() && key(self) == key(other)
    }

    /// Whether it waits in place of its program.
    fn waits(&self) -> bool {
        matches!(self, Before::Workload { command, .. } if *command == WAITS)
    }

    fn put_back(&self) -> Result<(), String> {
        match self {
            Before::Container { engine, name, made } => {
                let aside = format!("{name}{ASIDE}");
                match id(engine, name) {
                    Ok(other) if other != *made => {
                        return Err(format!(
                            "`{name}` is another container by now than the one that was made; it and `{aside}` are left \
                             as they are"
                        ));
                    }
                    Ok(_) => {
                        // Podman would wait for it to stop, for longer than its user does.
                        drop(ask(&words(&[engine, "kill", name])));
                        drop(ask(&words(&[engine, "rm", "-f", name])));
                    }
                    Err(_) => {}
                }
                ask(&words(&[engine, "rename", &aside, name]))?;
                let start = || ask(&words(&[engine, "start", name])).map(|_| ());
                // It may not be known yet that it has stopped.
                let tries = std::iter::repeat_with(|| {
                    std::thread::sleep(PAUSE);
                    start()
                });
                start().or_else(|why| tries.take(TRIES).find(Result::is_ok).unwrap_or(Err(why)))
            }
            Before::Workload { container, command, args, .. } => {
                let or_null = |words: &Vec<String>| if words.is_empty() { Value::Null } else { json!(words) };
                self.patch(&json!({ "name": container, "command": or_null(command), "args": or_null(args) }))
            }
        }
    }

    /// Changes the container of a workload, and waits until its pods are others.
    fn patch(&self, container: &Value) -> Result<(), String> {
        let Before::Workload { flags, workload, .. } = self else { return Ok(()) };
        let patch = json!({ "spec": { "template": { "spec": { "containers": [container] } } } }).to_string();
        let kubectl = |rest: &[&str]| {
            let mut all = words(&["kubectl"]);
            all.extend(flags.iter().cloned());
            all.extend(words(rest));
            ask_within(&all, ROLLOUT)
        };
        kubectl(&["patch", workload, "--type=strategic", "--patch", &patch])?;
        kubectl(&["rollout", "status", workload, "--timeout=120s"]).map(|_| ())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// What the workload that `kubectl` means is like.
fn workload(kubectl: &Kubectl) -> Result<Before, String> {
    let Pods::Workload(workload) = &kubectl.pods else {
        return Err("only a workload has a command".to_owned());
    };
    let mut flags = Vec::new();
    for (flag, value) in [("--context", &kubectl.context), ("--namespace", &kubectl.namespace)] {
        value.iter().for_each(|value| flags.extend(words(&[flag, value])));
    }
    let mut get = words(&["kubectl"]);
    get.extend(flags.iter().cloned());
    get.extend(words(&["get", workload, "--output=json"]));
    let told: Value =
        serde_json::from_str(&ask(&get)?).map_err(|error| format!("`kubectl get` says no JSON: {error}"))?;
    let containers = told["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let is_meant = |one: &&Value| kubectl.container.as_ref().is_none_or(|name| one["name"] == name.as_str());
    let meant =
        containers.iter().find(is_meant).ok_or_else(|| format!("`{workload}` has no such container"))?;
    let list = |value: &Value| {
        let words = value.as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let container = meant["name"].as_str().unwrap_or_default().to_owned();
    Ok(Before::Workload {
        flags,
        workload: workload.clone(),
        container,
        command: list(&meant["command"]),
        args: list(&meant["args"]),
    })
}

/// The command that makes a container like the one called `name`, but for the arguments of its program.
fn recreation(engine: Engine, name: &str, args: &[String]) -> Result<Vec<String>, String> {
    let told = ask(&words(&[engine.command(), "container", "inspect", name]))?;
    let told: Vec<Value> =
        serde_json::from_str(&told).map_err(|error| format!("`inspect` says no JSON: {error}"))?;
    let told = told.first().ok_or_else(|| format!("there is no container `{name}`"))?;
    Ok(created_like(engine, name, told, args))
}

/// The same from what `inspect` has told.
fn created_like(engine: Engine, name: &str, told: &Value, args: &[String]) -> Vec<String> {
    let list = |value: &Value| {
        let words = value.as_array().into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    // Podman remembers what a container was made with.
    let mut made = list(&told["Config"]["CreateCommand"]);
    let image = told["ImageName"].as_str().or(told["Config"]["Image"].as_str()).unwrap_or_default();
    let is_image = |word: &String| {
        word == image || image.strip_suffix(word.as_str()).is_some_and(|rest| rest.ends_with('/')) || {
            let tagged = format!("{word}:latest");
            image == tagged || image.ends_with(&format!("/{tagged}"))
        }
    };
    // What stands behind it is the command, if one was said.
    let command = list(&told["Config"]["Cmd"]);
    let is_last = |at: &usize| made[at + 1..].is_empty() || made[at + 1..] == command;
    let at = (0..made.len()).filter(|&at| is_image(&made[at])).find(is_last);
    if let Some(at) = at {
        made.truncate(at + 1);
        made.extend_from_slice(args);
        return made;
    }
    let mut all = words(&[engine.command(), "run", "-d", "--name", name]);
    let mut flag = |flag: &str, value: &Value| {
        if let Some(value) = value.as_str().filter(|value| !value.is_empty()) {
            all.extend(words(&[flag, value]));
        }
    };
    let (config, host) = (&told["Config"], &told["HostConfig"]);
    flag("--user", &config["User"]);
    flag("--workdir", &config["WorkingDir"]);
    flag("--network", &host["NetworkMode"]);
    flag("--restart", &host["RestartPolicy"]["Name"]);
    for variable in list(&config["Env"]) {
        all.extend(words(&["--env", &variable]));
    }
    for bind in list(&host["Binds"]) {
        all.extend(words(&["--volume", &bind]));
    }
    for (key, value) in config["Labels"].as_object().into_iter().flatten() {
        all.extend(words(&["--label", &format!("{key}={}", value.as_str().unwrap_or_default())]));
    }
    for (port, places) in host["PortBindings"].as_object().into_iter().flatten() {
        for place in places.as_array().into_iter().flatten() {
            let [ip, number] = ["HostIp", "HostPort"].map(|key| place[key].as_str().unwrap_or_default());
            let ip = if ip.is_empty() { String::new() } else { format!("{ip}:") };
            all.extend(words(&["--publish", &format!("{ip}{number}:{port}")]));
        }
    }
    if host["ReadonlyRootfs"] == true {
        all.push("--read-only".to_owned());
    }
    let entry = list(&config["Entrypoint"]);
    if let Some(program) = entry.first() {
        all.extend(words(&["--entrypoint", program]));
    }
    all.push(image.to_owned());
    all.extend(entry.into_iter().skip(1));
    all.extend_from_slice(args);
    all
}

/// The id of the container called `name`.
fn id(engine: &str, name: &str) -> Result<String, String> {
    ask(&words(&[engine, "container", "inspect", "--format", "{{.Id}}", name]))
}

/// Has a container like the one called `name`, but for the arguments of its program, take its place; it stands aside.
fn recreate(
    engine: Engine,
    name: &str,
    grace: Duration,
    args: &[String],
    file: PathBuf,
) -> Result<Takeover, String> {
    let made = recreation(engine, name, args)?;
    let (engine, aside) = (engine.command(), format!("{name}{ASIDE}"));
    let stop = words(&[engine, "stop", "-t", &grace.as_secs().max(1).to_string(), name]);
    ask_within(&stop, grace + MADE)?;
    ask(&words(&[engine, "rename", name, &aside]))?;
    let noted = ask_within(&made, MADE).and_then(|_| id(engine, name)).and_then(|made| {
        let (engine, name) = (engine.to_owned(), name.to_owned());
        note(file, Before::Container { engine, name, made })
    });
    noted.inspect_err(|_| {
        drop(ask(&words(&[engine, "rm", "-f", name])));
        drop(ask(&words(&[engine, "rename", &aside, name])));
        drop(ask(&words(&[engine, "start", name])));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_made_like_another() {
        let podman = json!({
            "ImageName": "localhost/web:latest",
            "Config": {
                "CreateCommand": ["podman", "run", "-d", "--name", "web", "-v", "x:/x", "web", "/srv", "-old"],
                "Cmd": ["/srv", "-old"],
            },
        });
        let args = words(&["/srv", "-new"]);
        let made = created_like(Engine::Podman, "web", &podman, &args).join(" ");
        assert_eq!(made, "podman run -d --name web -v x:/x web /srv -new");

        let docker = json!({
            "Config": {
                "Image": "web:1", "User": "1000", "WorkingDir": "/app", "Env": ["A=1"], "Entrypoint": ["/srv", "-x"],
                "Labels": { "k": "v" },
            },
            "HostConfig": {
                "NetworkMode": "bridge", "Binds": ["/a:/b"], "RestartPolicy": { "Name": "no" }, "ReadonlyRootfs": true,
                "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] },
            },
        });
        let made = created_like(Engine::Docker, "web", &docker, &words(&["-new"])).join(" ");
        assert_eq!(
            made,
            "docker run -d --name web --user 1000 --workdir /app --network bridge --restart no --env A=1 --volume /a:/b \
             --label k=v --publish 8080:80/tcp --read-only --entrypoint /srv web:1 -x -new"
        );
    }
}
