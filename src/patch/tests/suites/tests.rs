//! Runs a test binary, and tells what became of each test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hotwatch_platform::process::{self, Exit};

use super::super::super::agent;
use super::super::super::generations::{Generation, Loaded};
use super::super::super::host::Host;
use super::super::super::session::{Made, Session};
use super::super::recompile::said;
use super::build::Built;
use super::switch::Switch;

/// How long a process may take until its agent answers.
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of tests, those inside of others counted as well.
#[derive(Debug, Default)]
pub struct Results {
    /// `pass`, `fail` or `skip`, by name.
    pub tests: BTreeMap<String, String>,
    /// How the process ended.
    pub end: String,
    /// All that it said.
    pub output: String,
}

impl Results {
    /// How many became `what`.
    pub fn count(&self, what: &str) -> usize {
        self.tests.values().filter(|became| *became == what).count()
    }

    /// The tests that passed or were skipped in `other`, and failed or are missing here.
    pub fn worse_than(&self, other: &Results) -> BTreeSet<String> {
        let failed =
            |results: &Results, name: &str| results.tests.get(name).is_none_or(|became| became == "fail");
        let names = other.tests.keys().filter(|name| !failed(other, name) && failed(self, name));
        names.cloned().chain(self.failed().difference(&other.failed()).cloned()).collect()
    }

    /// The tests that failed.
    pub fn failed(&self) -> BTreeSet<String> {
        let failed = self.tests.iter().filter(|(_, became)| *became == "fail");
        failed.map(|(name, _)| name.clone()).collect()
    }
}

/// Runs the usual binary of `built`.
pub fn ordinary(built: &Built) -> Results {
    let (mut command, log) = command(&built.ordinary(), built, "ordinary");
    let end = command.status().unwrap().code().map_or(Exit::Signal(0), Exit::Code);
    results(&log, &end)
}

/// Runs the host of `built`, after `switch` if there is one. Says as well how many of the switched functions were
/// entered, if the tests came to their end.
pub fn host(built: &Built, loaded: &mut Loaded, switch: Option<Switch>) -> (Results, Option<usize>) {
    let (mut command, log) =
        command(&built.host(), built, if switch.is_some() { "switched" } else { "host" });
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut hold, held) = UnixStream::pair().unwrap();
    let number = process::pass_on(&mut command, theirs.into());
    command.env(agent::VARIABLE, number.to_string());
    let number = process::pass_on(&mut command, held.into());
    command.env("HOTWATCH_HOLD", number.to_string());
    let group = process::spawn(&mut command).unwrap().group;
    drop(command);
    let mut session = Session::start(ours).unwrap();
    let hello = session.hello(DEADLINE).unwrap();
    assert!(hello.alone && hello.writable, "{hello:?}");
    if let Some(Switch { linked, jumps, .. }) = switch {
        let base = session.switch(&linked, &[], Made::of(loaded), &jumps).unwrap().base;
        loaded.add(linked, base, &jumps, std::iter::empty());
    }
    hold.write_all(&[1]).unwrap();
    let has_ended = hold.read(&mut [0]).is_ok_and(|bytes| bytes == 1);
    let entered = |generation: &Generation| {
        session.effects(generation).unwrap().into_iter().filter(|count| *count > 0).count()
    };
    let entered = loaded.generations().last().filter(|_| has_ended).map(entered);
    drop(hold);
    let end = group.wait_leader().unwrap();
    drop(group.signal(process::Signal::SIGKILL));
    drop(group.reap());
    (results(&log, &end), entered)
}

fn command(binary: &Path, built: &Built, name: &str) -> (Command, std::path::PathBuf) {
    let mut command = Command::new(binary);
    command.args(["-test.v=test2json", "-test.short", "-test.timeout=10m"]).current_dir(&built.package_dir);
    command.env("PWD", &built.package_dir).env("GODEBUG", agent::SETTING);
    let log = built.fresh("logs").join(name);
    let file = File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    (command, log)
}

fn results(log: &Path, end: &Exit) -> Results {
    let mut convert = Command::new("go");
    let said = said(convert.args(["tool", "test2json"]).stdin(File::open(log).unwrap()));
    let mut results = Results { end: end.to_string(), ..Results::default() };
    results.output = String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned();
    for line in said.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        if let (Some(test), Some(action @ ("pass" | "fail" | "skip"))) =
            (event["Test"].as_str(), event["Action"].as_str())
            && test != "Example_hotwatchHold"
        {
            results.tests.insert(test.to_owned(), action.to_owned());
        }
    }
    results
}

/// What is in `built`, before anything is loaded.
pub fn loaded(built: &Built) -> Loaded {
    Loaded::new(Host::read(&built.host()).unwrap())
}
