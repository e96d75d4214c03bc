//! A large program, built for patches and started.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hotwatch_platform::process::{self, Group, Signal};

use super::super::baseline::{Baselines, Running};
use super::super::{Process, Recipe};
use crate::config::{self, Service};
use crate::patch::tests::module::download;
use crate::patch::{agent, tool};

/// A daemon of more than 900 packages.
pub const MODULE: &str = "github.com/containerd/containerd/v2@v2.4.2";
pub const PACKAGE: &str = "./cmd/containerd";

/// How long an answer may take.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The program.
pub struct Program {
    /// What is known of its process.
    pub running: Running,
    group: Group,
    _dir: tempfile::TempDir,
}

impl Program {
    /// Builds and starts it.
    pub fn start(baselines: &Baselines) -> Program {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        download(MODULE, &root.join("module"));
        let service = service(&root);
        let recipe = Recipe::find(&service, &service.env, &root.join("recipe")).unwrap();
        let (binary, built) = (root.join("program"), SystemTime::now());
        let words = recipe.build(&service);
        let words = words.iter().map(|word| word.replace("{out}", binary.to_str().unwrap()));
        let words: Vec<String> = words.collect();
        let output = Command::new(&words[0]).args(&words[1..]).current_dir(&service.dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let (stream, theirs) = UnixStream::pair().unwrap();
        let log = File::create(root.join("log")).unwrap();
        let mut command = Command::new(&binary);
        command.args(["-c", &settings(&root)]).current_dir(&service.dir).env("GODEBUG", agent::SETTING);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let number = process::pass_on(&mut command, theirs.into());
        command.env(agent::VARIABLE, number.to_string());
        let group = process::spawn(&mut command).unwrap().group;
        drop(command);
        let bounds = (u32::MAX, u64::MAX);
        let process = Process { binary, built, before: None, stream, dir: root.join("patches"), bounds };
        let running = Running::find(recipe, service, process, baselines, Arc::<tool::Running>::default());
        let running = running.unwrap_or_else(|why| panic!("{why}"));
        Program { running, group, _dir: dir }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.group.signal(Signal::SIGKILL);
        let _ = self.group.wait_leader();
        let _ = self.group.reap();
    }
}

fn service(root: &Path) -> Service {
    let text = format!(
        "[[service]]\nname = \"program\"\ndir = \"module\"\npackage = \"{PACKAGE}\"\nreload = \"patch\"\n\
         ready = {{ started = true }}\n"
    );
    let config = config::parse(&text, "hotwatch.toml".as_ref(), root, &|_| None).unwrap();
    config.services.into_iter().next().unwrap()
}

/// Writes settings by which it touches nothing outside of `root`, and listens to sockets there only.
fn settings(root: &Path) -> String {
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let socket =
        |name: &str| format!("[{name}]\naddress = {:?}\nuid = {user}\ngid = {group}\n", root.join(name));
    let text = format!(
        "version = 3\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n{}{}",
        root.join("root"),
        root.join("state"),
        socket("grpc"),
        socket("ttrpc"),
    );
    let path = root.join("settings.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
