//! Ways into a target: each knows one outside tool, finds whom it leads to, and says how a command is run there, how a
//! file gets there without any help from inside, and what the target is.

mod container;
mod kubectl;
mod ssh;

use std::sync::Arc;
use std::time::Duration;

use super::ending::Ending;
use super::tool::ask;
use crate::config::Target;

/// A way into a target.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// What it leads to, for messages.
    fn describe(&self) -> String;

    /// Those that are there and run. Each has its own identity, which is another after every start.
    ///
    /// # Errors
    /// There is none, or the tool fails, in words.
    fn find(&self, ending: &Ending) -> Result<Vec<Instance>, String>;

    /// The machine that `instance` runs on, as `uname -m` calls it.
    ///
    /// # Errors
    /// Nobody says, in words.
    fn machine(&self, instance: &Instance, ending: &Ending) -> Result<String, String> {
        let uname = ["uname", "-m"].map(str::to_owned);
        ask(&self.exec(instance, &uname, User::Own), ending)
            .map_err(|why| format!("its machine is not known (`uname` cannot be run there: {why})"))
    }

    /// The command that runs `words` in `instance`, with its own standard input, output and error.
    fn exec(&self, instance: &Instance, words: &[String], user: User) -> Vec<String>;

    /// The command that takes a tar archive and unpacks it into the directory `dir` of `instance`, even if nothing there
    /// can do that.
    fn unpack(&self, instance: &Instance, dir: &str) -> Option<Vec<String>> {
        let _ = (instance, dir);
        None
    }

    /// Where programs may lie there that nobody else can have put there, if others may write elsewhere.
    ///
    /// # Errors
    /// There is no such place, in words.
    fn private(&self, instance: &Instance, ending: &Ending) -> Option<Result<String, String>> {
        let _ = (instance, ending);
        None
    }

    /// The command that goes on to show what `instance` writes, from the time `{since}` on, as RFC 3339 has it.
    fn output(&self, instance: &Instance) -> Option<Vec<String>> {
        let _ = instance;
        None
    }

    /// The command that says whether `instance` runs, as `true` or `false`, and its exit code.
    fn state(&self, instance: &Instance) -> Option<Vec<String>> {
        let _ = instance;
        None
    }

    /// The command that starts `instance` anew, or at all; what runs may take as long as `grace` to stop.
    fn restart(&self, instance: &Instance, grace: Duration) -> Option<Vec<String>> {
        let _ = (instance, grace);
        None
    }

    /// Whether what runs there sees the same disk and ports as hotwatch, and needs no helper.
    fn is_here(&self) -> bool {
        false
    }
}

/// As whom something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// As what runs there already.
    Own,
    /// As root, where the tool can do that.
    Root,
}

/// One that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What the tool calls it.
    pub name: String,
    /// What stays the same over its starts, as long as its files do.
    pub place: String,
    /// What is another after every start.
    pub identity: String,
    /// Whether it stands still: files can be brought there, but nobody runs.
    pub stands: bool,
}

/// The way into `target`, which may stand still if that `starts` it when everything is there.
pub fn to(target: &Target, starts: bool) -> Arc<dyn Transport> {
    match target {
        Target::Container { engine, name } => {
            Arc::new(container::Container { engine: *engine, name: name.clone(), starts })
        }
        Target::Kubectl(kubectl) => Arc::new(kubectl::Pods(kubectl.clone())),
        Target::Ssh(host) => Arc::new(ssh::Host(host.clone())),
        Target::Dir(dir) => Arc::new(Here(dir.display().to_string())),
    }
}

/// This machine.
#[derive(Debug)]
struct Here(String);

impl Transport for Here {
    fn describe(&self) -> String {
        format!("the directory `{}`", self.0)
    }

    fn find(&self, _: &Ending) -> Result<Vec<Instance>, String> {
        let (name, place) = (self.0.clone(), self.0.clone());
        Ok(vec![Instance { name, place, identity: String::new(), stands: false }])
    }

    fn exec(&self, _: &Instance, words: &[String], _: User) -> Vec<String> {
        words.to_vec()
    }

    fn is_here(&self) -> bool {
        true
    }
}

/// The name of a machine as `uname -m` has it, where others call it otherwise.
fn machine(name: &str) -> String {
    match name {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        name => name,
    }
    .to_owned()
}

/// `words` as lists of strings.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
