//! Files that are kept the same in a container or on another host, and services that run there: with real containers,
//! and what really leads into them.

mod container;
mod demo;
mod docker;
mod faults;
mod files;
mod gone;
mod kubectl;
mod narrow;
mod recreate;
mod scratch;
mod ssh;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Project, Up, copy, fixture, free_ports, is, until};
use container::{Container, is_possible};

/// Has the project have a service `web` that is synced as `sync` says, the content of its `[service.sync]`; `settings` are
/// those of its entry. Its directory is `web`.
fn configure(project: &Project, settings: &str, sync: &str) {
    let config = format!(
        "log_dir = {:?}\n[[service]]\nname = \"web\"\ndir = \"web\"\n{settings}\n[service.sync]\n{sync}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
}

/// A pair of the service's directory and `target`; `settings` are added to it.
fn pair(target: &str, settings: &str) -> String {
    format!("[[service.sync.pair]]\ntarget = {target:?}\n{settings}\n")
}

/// Starts hotwatch, which syncs.
fn up(project: &Project) -> Up {
    up_with(project, &[])
}

/// The same with these variables in its environment.
fn up_with(project: &Project, env: &[(&str, &str)]) -> Up {
    let mut command = project.hotwatch(&["up", "--json", "--sync", "web"]);
    command.envs(env.iter().copied());
    Up::start(command)
}

/// A directory of the project's own that comes first on the path, and what that is then.
fn bin(project: &Project) -> (PathBuf, String) {
    let dir = project.beside("bin");
    fs::create_dir_all(&dir).unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    (dir, path)
}

/// Reads events until a round has ended and saves are seen.
fn until_synced(up: &mut Up) {
    up.until_each("synced", &["web"]);
    up.until_watching();
}

/// Reads events until the service has written `line`; returns the event.
fn until_line(up: &mut Up, line: &str) -> Value {
    up.until(&format!("line `{line}`"), |seen| is(seen, "log", "web") && seen["line"] == line)
}

/// Ends hotwatch, which leaves nothing in `container`.
fn ends_well(up: Up, container: &Container) {
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(container.left_behind(), "");
}

/// The fixture `web`, whose sources are put into the project.
struct Server {
    port: u16,
}

impl Server {
    fn new(project: &Project) -> Server {
        copy(&fixture("web"), &project.path("web"));
        Server { port: free_ports(1)[0] }
    }

    /// Those of its entry in the config file.
    fn settings(&self) -> String {
        format!("port = {}\nready = {{ settle = \"100ms\" }}", self.port)
    }

    /// The variable that tells it where to listen.
    fn env(&self) -> String {
        format!("PORT={}", self.port)
    }

    /// Has its sources be those of one that answers `answer` and runs `init` before everything else.
    fn save(&self, project: &Project, answer: &str, init: &str) {
        let source = format!(
            "package main\n\nimport \"os\"\n\nconst answer = {answer:?}\n\nvar _ = os.Exit\n\nfunc init() {{ {init} }}\n"
        );
        project.write("web/answer.go", &source);
    }

    /// Builds it, static, so that it takes the place of the file `to` in one moment.
    fn build(&self, project: &Project, to: &Path) {
        let new = project.beside("built");
        let mut command = Command::new("go");
        command.args(["build", "-o"]).arg(&new).arg(".").current_dir(project.path("web"));
        project.surround(&mut command);
        let output = command.env("CGO_ENABLED", "0").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::rename(new, to).unwrap();
    }

    /// The first word of its answer, if there is one.
    fn answer(&self) -> Option<String> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        write!(connection, "GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        connection.read_to_string(&mut text).ok()?;
        Some(text.split_once("\r\n\r\n")?.1.split(' ').next()?.to_owned())
    }

    /// Waits for this answer.
    fn until_answer(&self, answer: &str) {
        until(&format!("answer `{answer}`"), || self.answer().filter(|got| got == answer));
    }
}
