//! A container whose program gets other arguments: another is made like it, in its place and under its name, while it
//! stands aside. The other says by a label in whose place it stands, so that nobody else's is taken for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Untaken, list, words};
use crate::config::Engine;
use crate::sync::ending::Ending;
use crate::sync::tool::{ANSWER, ask, carry_out};

/// What is put behind the name of a container that makes way.
const ASIDE: &str = "-before-hotwatch";

/// The label of a container that stands in the place of another; its value is the other's id.
const LABEL: &str = "hotwatch.stands-for";

/// How often a container is started that is said not to have stopped yet, and how long to wait in between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// How long a container may take to be made, or to stop beside the time its program has.
const MADE: Duration = Duration::from_secs(120);

/// A container that makes way for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    engine: String,
    name: String,
    /// Its id.
    original: String,
    /// The arguments of the program in the other.
    args: Vec<String>,
}

/// Who has a name.
enum Holder {
    /// The container that was there before.
    Original,
    /// The one that was made in its place.
    Made,
    Another,
    Nobody,
}

impl Container {
    /// The container of `engine` that is called `name`, to be made anew with `args`; and what `inspect` says of it.
    ///
    /// # Errors
    /// It is not there, or not to be made anew.
    pub fn like(
        engine: Engine,
        name: &str,
        args: &[String],
        ending: &Ending,
    ) -> Result<(Container, Value), Untaken> {
        let told = ask(&words(&[engine.command(), "container", "inspect", name]), ending);
        let told: Value = serde_json::from_str(&told.map_err(Untaken::NotYet)?)
            .map_err(|error| Untaken::Failed(format!("`inspect` says no JSON: {error}")))?;
        let told = told[0].clone();
        let container = Container {
            engine: engine.command().to_owned(),
            name: name.to_owned(),
            original: told["Id"].as_str().unwrap_or_default().to_owned(),
            args: args.to_vec(),
        };
        let aside = container.aside();
        if told["HostConfig"]["AutoRemove"] == true {
            let why = format!("`{name}` was started with `--rm` and would be gone once it is stopped");
            return Err(Untaken::Failed(format!("{why}; start it without, or leave `run_args` out")));
        }
        if told["Config"]["Labels"][LABEL].is_string() {
            let why = format!("`{name}` stands in the place of another container, of which nothing is known");
            return Err(Untaken::Failed(format!("{why}; remove it, and make it as it is to be")));
        }
        if !matches!(container.holder(&aside, ending).map_err(Untaken::NotYet)?, Holder::Nobody) {
            let why = format!("there is a container `{aside}` from before");
            return Err(Untaken::Failed(format!("{why}; remove it, or give it its name back")));
        }
        Ok((container, told))
    }

    fn aside(&self) -> String {
        format!("{}{ASIDE}", self.name)
    }

    /// Who is called `name` now.
    fn holder(&self, name: &str, ending: &Ending) -> Result<Holder, String> {
        let format = format!("{{{{.Id}}}}\t{{{{index .Config.Labels \"{LABEL}\"}}}}");
        let told = ask(&words(&[&self.engine, "container", "inspect", "--format", &format, name]), ending);
        Ok(match told.as_ref().map(|told| told.split_once('\t').unwrap_or((told, ""))) {
            Ok((id, _)) if id == self.original => Holder::Original,
            Ok((_, label)) if label == self.original => Holder::Made,
            Ok(_) => Holder::Another,
            Err(why) if why.to_lowercase().contains("no such container") => Holder::Nobody,
            Err(why) => return Err(why.clone()),
        })
    }

    /// Whether this is about the container `name` of `engine`, and another with these `args` stands in its place.
    pub fn goes_on(&self, engine: Engine, name: &str, args: &[String], ending: &Ending) -> bool {
        let is_of = self.engine == engine.command() && self.name == name && self.args == args;
        is_of && matches!(self.holder(name, ending), Ok(Holder::Made))
    }

    /// Has another take its place, made like what `inspect` has `told` of it; it stands aside, stopped within `grace`.
    ///
    /// # Errors
    /// It cannot be made, in words.
    pub fn recreate(&self, told: &Value, grace: Duration, ending: &Ending) -> Result<(), String> {
        let made = created_like(self, told)?;
        let seconds = grace.as_secs().max(1).to_string();
        carry_out(&words(&[&self.engine, "stop", "-t", &seconds, &self.name]), grace + MADE, ending)?;
        carry_out(&words(&[&self.engine, "rename", &self.name, &self.aside()]), ANSWER, ending)?;
        carry_out(&made, MADE, ending)
    }

    /// Has it be in its place again, and run; what the user should know, if somebody else has been there.
    ///
    /// # Errors
    /// It is not, in words.
    pub fn put_back(&self, ending: &Ending) -> Result<Option<String>, String> {
        let (engine, name, aside) = (self.engine.as_str(), self.name.as_str(), self.aside());
        match self.holder(name, ending)? {
            Holder::Original => {}
            Holder::Another => {
                return Ok(Some(format!(
                    "`{name}` is another container by now than the one that was made; it is left as it is, and so is \
                     `{aside}`"
                )));
            }
            holder => {
                if matches!(self.holder(&aside, ending)?, Holder::Nobody) {
                    return Ok(Some(format!("`{aside}`, which was `{name}` before, is gone")));
                }
                if matches!(holder, Holder::Made) {
                    // Podman would wait for it to stop, for longer than its user does.
                    drop(carry_out(&words(&[engine, "kill", name]), ANSWER, ending));
                    drop(carry_out(&words(&[engine, "rm", "-f", name]), ANSWER, ending));
                }
                carry_out(&words(&[engine, "rename", &aside, name]), ANSWER, ending)
                    .map_err(|why| format!("`{aside}` cannot be called `{name}` again: {why}"))?;
            }
        }
        let start = || carry_out(&words(&[engine, "start", name]), ANSWER, ending);
        // It may not be known yet that it has stopped.
        let tries = std::iter::repeat_with(|| {
            std::thread::sleep(PAUSE);
            start()
        });
        let tries = tries.take(TRIES).take_while(|_| !ending.is_forced());
        let started = start().or_else(|why| { tries }.find(Result::is_ok).unwrap_or(Err(why)));
        started.map(|()| None).map_err(|why| format!("`{name}` cannot be started again: {why}"))
    }
}

/// The command that makes a container like one of which `inspect` has `told`, but for the arguments of its program.
///
/// # Errors
/// It depends on where it was made, in words.
fn created_like(container: &Container, told: &Value) -> Result<Vec<String>, String> {
    let Container { engine, name, original, args } = container;
    let label = &format!("{LABEL}={original}");
    // Podman remembers what a container was made with.
    let made = list(&told["Config"]["CreateCommand"]);
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
    let verb = made.iter().position(|word| word == "run" || word == "create");
    let at = (0..made.len()).filter(|&at| is_image(&made[at])).find(is_last);
    if let (Some(verb), Some(at)) = (verb, at) {
        let is_relative = |word: &str| word.starts_with("./") || word.starts_with("../");
        let volume = |pair: &[String]| {
            let value =
                if ["-v", "--volume"].contains(&pair[0].as_str()) { Some(pair[1].as_str()) } else { None };
            let value = value.or(pair[0].strip_prefix("--volume="));
            value.filter(|value| is_relative(value)).map(str::to_owned)
        };
        if let Some(volume) = made[..=at].windows(2).find_map(volume) {
            let why = format!(
                "`{name}` was made with the volume `{volume}`, and nobody knows from which directory"
            );
            return Err(format!("{why}; make it with an absolute path"));
        }
        // It may have got its name later, and nobody is there to whom it could be attached.
        let mut all = made[..verb].to_vec();
        all.extend(words(&["run", "-d", "--label", label, "--name", name]));
        let mut rest = made[verb + 1..=at].iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "--name" => drop(rest.next()),
                word if word.starts_with("--name=") => {}
                _ => all.push(word.clone()),
            }
        }
        all.extend_from_slice(args);
        return Ok(all);
    }
    let mut all = words(&[engine, "run", "-d", "--label", label, "--name", name]);
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
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_is_made_like_another() {
        let mut podman = json!({
            "ImageName": "localhost/web:latest",
            "Config": {
                "CreateCommand": ["podman", "run", "-d", "--name", "web", "-v", "x:/x", "web", "/srv", "-old"],
                "Cmd": ["/srv", "-old"],
            },
        });
        let web = |engine: &str, args: &[&str]| {
            let (engine, name, original) = (engine.to_owned(), "web".to_owned(), "1d".to_owned());
            Container { engine, name, original, args: words(args) }
        };
        let args = ["/srv", "-new"];
        let made = |told: &Value| created_like(&web("podman", &args), told).map(|made| made.join(" "));
        let label = "--label hotwatch.stands-for=1d";
        assert_eq!(made(&podman), Ok(format!("podman run -d {label} --name web -d -v x:/x web /srv -new")));
        // One that was only created, and one that depends on where that was.
        let create = words(&["podman", "--runtime", "runc", "create", "--name", "web", "web"]);
        podman["Config"]["CreateCommand"] = json!(create);
        assert_eq!(
            made(&podman),
            Ok(format!("podman --runtime runc run -d {label} --name web web /srv -new"))
        );
        podman["Config"]["CreateCommand"] = json!(["podman", "run", "-d", "-v", "./x:/x", "web"]);
        assert!(made(&podman).unwrap_err().contains("`./x:/x`"));

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
        let made = created_like(&web("docker", &["-new"]), &docker).unwrap().join(" ");
        assert_eq!(
            made,
            "docker run -d --label hotwatch.stands-for=1d --name web --user 1000 --workdir /app --network bridge --restart no --env A=1 --volume /a:/b \
             --label k=v --publish 8080:80/tcp --read-only --entrypoint /srv web:1 -x -new"
        );
    }
}
