//! Runs the rows of the table, one after the other, on one running hotwatch: makes the edit, waits until
//! everything that follows from it has happened, and compares that with what the row says and with what the go
//! command says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;

use serde_json::Value;

use super::oracle::{self, Made};
use crate::support::{Project, Up, is};

/// What an edit does to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// One build, one restart.
    Restart,
    /// One build, and the word that it is the same program.
    Same,
    /// One build, which fails; the process stays.
    Fails,
    /// No build, and the word why.
    Nothing(&'static str),
    /// Not a word.
    Silence,
}

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub edit: fn(&Project),
    /// For each of [`SERVICES`].
    pub then: [Then; 3],
    /// How often the generator runs.
    pub generates: usize,
    /// Why the go command cannot know, if it cannot.
    pub unknown: Option<&'static str>,
}

/// The services of the fixture, each with where it is built and what it is built from.
pub const SERVICES: [(&str, &str, &[&str]); 3] = [
    ("users", "services/users", &["."]),
    ("orders", "services/orders", &["-tags", "dev", "."]),
    ("gateway", "apps", &["./cmd/gateway"]),
];

/// The fixture with a hotwatch that runs it.
pub struct Course {
    project: Project,
    up: Up,
    round: usize,
    generated: PathBuf,
    made: [Made; 3],
}

impl Course {
    /// Starts the fixture, which `prepare` may change before.
    pub fn start(prepare: fn(&Project)) -> Course {
        // Without a cooldown the next row need not wait for it.
        let project = Project::workspace("debounce = \"0s\"");
        prepare(&project);
        let generated = project.beside("generated");
        project.edit("hotwatch.toml", "[[service]]\nname = \"users\"", BEACON);
        let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
        project.write("hotwatch.toml", &format!("env = {{ GENERATED = {generated:?} }}\n{config}"));
        project.write("beacon/go.mod", "module beacon\n\ngo 1.21\n");
        project.write("beacon/main.go", "package main\n\nfunc main() {}\n");
        project.write("beacon/run.sh", "#!/bin/sh\nexec sleep 600\n");
        fs::set_permissions(project.path("beacon/run.sh"), Permissions::from_mode(0o755)).unwrap();
        fs::write(&generated, "").unwrap();
        let mut up = project.up();
        up.until("`watching`", |seen| seen["event"] == "watching");
        up.until_all_ready(&SERVICES.map(|(name, ..)| name));
        let made = list(&project);
        let mut course = Course { project, up, round: 0, generated, made };
        course.settle(0, "ready");
        course
    }

    /// Runs `row`; returns what is not as it says.
    pub fn run(&mut self, row: &Row) -> Vec<String> {
        let since = self.up.seen.len();
        let generated = self.generations();
        (row.edit)(&self.project);
        self.settle(since, "restarted");
        let made = list(&self.project);
        let mut faults = Vec::new();
        for (index, &then) in row.then.iter().enumerate() {
            let service = SERVICES[index].0;
            let events = || self.up.seen[since..].iter().filter(|seen| seen["service"] == service);
            if let Err(fault) = check(then, &events().collect::<Vec<_>>()) {
                let told = events().filter(|seen| seen["event"] != "log");
                let told: String = told.map(|seen| format!("\n    {seen}")).collect();
                faults.push(format!("{}: {service}: {fault}, expected {then:?}:{told}", row.name));
            }
            let builds = matches!(then, Then::Restart | Then::Same | Then::Fails);
            let differs = made[index] != self.made[index];
            if row.unknown.is_none() && builds != differs {
                let files = made[index]
                    .iter()
                    .filter(|one| !self.made[index].contains_key(one.0) || self.made[index][one.0] != *one.1);
                let files: Vec<_> = files.map(|(path, _)| path).collect();
                faults.push(format!(
                    "{}: {service}: expected {then:?}, and `go list` says {differs}: {files:?}",
                    row.name
                ));
            }
        }
        let generations = self.generations() - generated;
        if generations != row.generates {
            faults.push(format!("{}: the generator ran {generations} times", row.name));
        }
        self.made = made;
        faults
    }

    fn generations(&self) -> usize {
        fs::read_to_string(&self.generated).unwrap().lines().count()
    }

    /// Waits until everything has happened that follows from what was saved since the event number `since`.
    fn settle(&mut self, since: usize, end: &str) {
        loop {
            let before = self.up.seen.len();
            self.beacon();
            while SERVICES.iter().any(|(name, ..)| is_busy(&self.up.seen[since..], name, end)) {
                self.up.until("the end of a reload", |_| true);
            }
            // What was written by a build may have led to more.
            let by_build = |seen: &&Value| seen["event"] == "build" && seen["service"] != "beacon";
            if !self.up.seen[before..].iter().any(|seen| by_build(&seen)) {
                return;
            }
        }
    }

    /// Waits until hotwatch has dealt with everything that was saved before: first until it has closed the batch,
    /// then until it has listed what it now wants to list, since it lists one thing after the other.
    fn beacon(&mut self) {
        self.round += 1;
        let round = self.round;
        let body = "func main() {}\n";
        let import =
            |round| if round == 0 { String::new() } else { format!("import _ \"beacon/n{round}\"\n\n") };
        let old = import(round - 1);
        self.project.write("beacon/main.go", &format!("package main\n\n{old}// Round {round}.\n{body}"));
        self.until_verdict("changed in beacon/main.go");
        self.project.write(&format!("beacon/n{round}/n.go"), &format!("package n{round}\n"));
        self.project.write("beacon/main.go", &format!("package main\n\n{}{body}", import(round)));
        self.until_verdict("beacon/main.go changed");
        // Only who has listed the new package hears of this.
        self.project.write(&format!("beacon/n{round}/n.go"), &format!("package n{round}\n\nconst X = 1\n"));
        self.until_verdict(&format!("beacon/n{round}/n.go"));
    }

    fn until_verdict(&mut self, path: &str) {
        self.up.until(&format!("a verdict on {path}"), |seen| {
            is(seen, "verdict", "beacon") && seen["reason"].as_str().unwrap().contains(path)
        });
    }

    /// Ends everything.
    pub fn stop(self) {
        let (status, _) = self.up.stop();
        assert_eq!(status.code(), Some(0));
    }
}

/// A service that is listed, but builds and starts at once, and has nothing to do with the workspace.
const BEACON: &str = "[[service]]
name = \"beacon\"
dir = \"beacon\"
package = \".\"
build = [\"cp\", \"run.sh\", \"{out}\"]
ready = { started = true }
env = { GOWORK = \"off\" }

[[service]]
name = \"users\"";

fn list(project: &Project) -> [Made; 3] {
    let list =
        |(_, dir, args): (&str, &'static str, &'static [&str])| move || oracle::made_of(project, dir, args);
    thread::scope(|scope| SERVICES.map(|service| scope.spawn(list(service))).map(|made| made.join().unwrap()))
}

/// Whether something that was begun for `service` has not come to its end.
fn is_busy(events: &[Value], service: &str, end: &str) -> bool {
    let mut busy = false;
    for seen in events.iter().filter(|seen| seen["service"] == service) {
        match seen["event"].as_str().unwrap() {
            "verdict" if seen["rung"] == "restart" => busy = true,
            "verdict" if is_end(seen) => busy = false,
            "building" => busy = true,
            "build" => busy = seen["ok"] == true,
            event if event == end => busy = false,
            _ => {}
        }
    }
    busy
}

/// Whether a verdict ends what another began.
fn is_end(verdict: &Value) -> bool {
    let reason = verdict["reason"].as_str().unwrap();
    reason.contains("same program") || reason.contains("what the last build read")
}

/// Compares what was told of a service with what is expected.
fn check(then: Then, events: &[&Value]) -> Result<(), String> {
    let count = |event: &str| events.iter().filter(|seen| seen["event"] == event).count();
    let build = |ok: bool| events.iter().filter(|seen| seen["event"] == "build" && seen["ok"] == ok).count();
    let word = |text: &str| {
        events.iter().any(|seen| seen["rung"] == "nothing" && seen["reason"].as_str().unwrap().contains(text))
    };
    let (fine, broken, restarts) = match then {
        Then::Restart => (1, 0, 1),
        Then::Same => (1, 0, 0),
        Then::Fails => (0, 1, 0),
        Then::Nothing(_) | Then::Silence => (0, 0, 0),
    };
    let found = (build(true), build(false), count("restarted"));
    if found != (fine, broken, restarts) || count("started") != restarts || count("stopped") != restarts {
        return Err(format!("{} builds, {} that failed, {} restarts", found.0, found.1, found.2));
    }
    match then {
        Then::Same if !word("same program") => Err("not a word that it is the same program".to_owned()),
        Then::Nothing(text) if !word(text) => Err("not that reason".to_owned()),
        // That what was started some seconds ago is good now has nothing to do with it.
        Then::Silence if events.iter().any(|seen| seen["event"] != "log" && seen["event"] != "good") => {
            Err("something was told".to_owned())
        }
        _ => Ok(()),
    }
}
