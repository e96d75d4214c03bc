//! Random faults, one after the other: processes are killed, saves are broken in one way or the other, come in bursts
//! or while hotwatch looks away, and the user asks for things. After every round what is there is compared with a
//! model: who answers, with which version, and that nothing else is left. `SEED=N` replays a run, `ROUNDS=N` sets its
//! length.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DEADLINE, Project, Up, free_ports, is};

/// One that stands for itself, one whose port is held, and one that is handed the socket.
const SERVICES: [&str; 3] = ["one", "two", "three"];

/// How many ends within a minute have a service held; see the README.
const TOO_MANY: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Save,
    SaveBroken,
    SaveBadStart,
    Burst,
    SaveUnseen,
    Kill,
    Restart,
    Stop,
    Start,
    Build,
}

const ACTIONS: [Action; 12] = [
    Action::Save,
    Action::Save,
    Action::SaveBroken,
    Action::SaveBadStart,
    Action::Burst,
    Action::SaveUnseen,
    Action::Kill,
    Action::Kill,
    Action::Restart,
    Action::Stop,
    Action::Start,
    Action::Build,
];

/// What was saved last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Good(u32),
    Broken,
    BadStart,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Good(version) => write!(f, "echo $$ {version} > \"$STATE\"; echo ready; exec sleep 600"),
            Source::Broken => write!(f, "broken"),
            Source::BadStart => write!(f, "exit 3"),
        }
    }
}

/// What a service must be like.
#[derive(Debug)]
struct Model {
    name: &'static str,
    source: Source,
    /// Whether that was built, or tried to be.
    tried: bool,
    /// The version that was good last.
    good: u32,
    /// Whether the user wants it to run.
    wanted: bool,
    held: bool,
    /// How often it was killed since something new was started.
    ends: usize,
}

/// A project whose services build and start within milliseconds.
fn project() -> Project {
    let project = Project::new();
    let mut config = format!("log_dir = {:?}\ndebounce = \"0s\"\n", project.log_dir());
    let ports = free_ports(2);
    let held = [
        String::new(),
        format!("proxy = {{ listen = {}, drain = \"100ms\" }}\n", ports[0]),
        format!("proxy = {{ listen = {}, drain = \"100ms\", mode = \"fd\" }}\n", ports[1]),
    ];
    for (name, held) in SERVICES.into_iter().zip(held) {
        project.write(&format!("{name}/source.sh"), &format!("{}\n", Source::Good(0)));
        let state = project.beside(name);
        config += &format!(
            "[[service]]\nname = \"{name}\"\ndir = \"{name}\"\nenv = {{ STATE = {state:?} }}\n\
             build = [\"sh\", \"-c\", \"! grep -q broken source.sh && cp source.sh {{out}}\"]\n\
             run = [\"sh\", \"{{out}}\"]\nwatch = {{ include = [\"source.sh\"] }}\n\
             ready = {{ log = \"ready\", settle = \"50ms\" }}\nstop = {{ grace = \"30s\" }}\n{held}"
        );
    }
    project.write("hotwatch.toml", &config);
    project
}

struct Rounds {
    project: Project,
    up: Up,
    models: Vec<Model>,
    version: u32,
    random: u64,
}

impl Rounds {
    fn draw(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are good enough.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % below
    }

    fn save(&mut self, index: usize, source: Source) {
        (self.models[index].source, self.models[index].tried) = (source, false);
        let name = self.models[index].name;
        // The same text twice would be no change.
        self.version += 1;
        self.project.write(&format!("{name}/source.sh"), &format!("{source}\n# {}\n", self.version));
    }

    fn good(&mut self) -> Source {
        self.version += 1;
        Source::Good(self.version)
    }

    fn ask(&self, words: &[&str]) {
        let output = self.project.run(words);
        // Whether what was asked for ends well is what the model is for.
        assert!(output.status.code().is_some_and(|code| code < 2), "{words:?}: {output:?}");
    }

    /// Does what the model says that becomes of what was saved; nothing while the service is stopped.
    fn takes_over(&mut self, index: usize) {
        let (name, since) = (self.models[index].name, self.up.seen.len());
        if !self.models[index].wanted {
            return;
        }
        self.models[index].tried = true;
        match self.models[index].source {
            Source::Good(version) => {
                let model = &mut self.models[index];
                (model.good, model.ends, model.held) = (version, 0, false);
            }
            Source::Broken => {
                self.up.until("a failed build", |seen| is(seen, "build", name) && seen["ok"] == false);
            }
            Source::BadStart => {
                self.up.until_event("rolled_back", name);
                let model = &mut self.models[index];
                (model.ends, model.held) = (0, false);
            }
        }
        assert!(self.up.count(since, "held", name) == 0);
    }

    fn pid(&self, index: usize) -> Option<(Pid, u32)> {
        let text = fs::read_to_string(self.project.beside(self.models[index].name)).ok()?;
        let (pid, version) = text.trim().split_once(' ')?;
        Some((Pid::from_raw(pid.parse().ok()?), version.parse().ok()?))
    }

    /// Waits until the service is as the model has it.
    fn agrees(&mut self, index: usize, what: &str) {
        let deadline = Instant::now() + DEADLINE;
        let model = &self.models[index];
        let runs = model.wanted && !model.held;
        loop {
            let state = self.pid(index);
            let alive = state.is_some_and(|(pid, _)| is_alive(pid));
            if alive == runs && (!runs || state.is_some_and(|(_, version)| version == model.good)) {
                break;
            }
            assert!(Instant::now() < deadline, "{what}: {state:?}, alive: {alive}; {model:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        // A save that was seen late may still have it replaced.
        while runs && !self.is_good(index) {
            self.up.until(&format!("process of {} that is good; {what}", SERVICES[index]), |_| true);
        }
    }

    fn is_good(&self, index: usize) -> bool {
        let Some((pid, _)) = self.pid(index) else { return false };
        let (name, pid) = (self.models[index].name, pid.as_raw());
        self.up.seen.iter().rev().any(|seen| is(seen, "good", name) && seen["pid"] == pid)
    }

    fn round(&mut self, action: Action, index: usize) {
        let name = self.models[index].name;
        let runs = self.models[index].wanted && !self.models[index].held;
        match action {
            Action::Save => {
                let source = self.good();
                self.save(index, source);
                self.takes_over(index);
            }
            Action::SaveBroken => {
                self.save(index, Source::Broken);
                self.takes_over(index);
            }
            Action::SaveBadStart => {
                self.save(index, Source::BadStart);
                self.takes_over(index);
            }
            Action::Burst => {
                for _ in 0..5 {
                    let source = self.good();
                    self.save(index, source);
                }
                self.takes_over(index);
            }
            Action::SaveUnseen => {
                self.ask(&["pause"]);
                let source = self.good();
                self.save(index, source);
                self.ask(&["resume"]);
                self.takes_over(index);
            }
            Action::Kill if runs => {
                let (pid, _) = self.pid(index).unwrap();
                kill(pid, Signal::SIGKILL).unwrap();
                self.models[index].ends += 1;
                let held = self.models[index].ends == TOO_MANY;
                self.up.until_event(if held { "held" } else { "ready" }, name);
                self.models[index].held = held;
            }
            Action::Kill => {}
            Action::Restart => {
                self.ask(&["restart", name]);
                self.asked_to_run(index);
            }
            Action::Start if !runs => {
                self.ask(&["start", name]);
                self.asked_to_run(index);
            }
            Action::Start => self.ask(&["start", name]),
            Action::Stop => {
                self.ask(&["stop", name]);
                self.models[index].wanted = false;
            }
            Action::Build => {
                self.ask(&["build", name]);
                // What runs already is not started anew.
                if !runs || self.models[index].source != Source::Good(self.models[index].good) {
                    self.takes_over(index);
                }
            }
        }
    }

    /// The user has asked for a process: what is good runs at once, what was saved while it was stopped follows.
    fn asked_to_run(&mut self, index: usize) {
        let model = &mut self.models[index];
        (model.wanted, model.held, model.ends) = (true, false, 0);
        // What does not build is tried again each time.
        if !model.tried || model.source == Source::Broken {
            self.takes_over(index);
        }
    }
}

fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What a hotwatch holds: descriptors, threads, living children.
fn holdings(pid: u32) -> (usize, usize, BTreeSet<i32>) {
    let count = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}")).unwrap().count();
    let children = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().flat_map(|thread| {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
    });
    (count("fd"), count("task"), children.filter(|&pid| is_alive(Pid::from_raw(pid))).collect())
}

#[test]
fn after_random_faults_everything_is_as_it_should_be() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("SEED").unwrap_or(now.as_secs());
    let rounds = number("ROUNDS").unwrap_or(500);
    println!("SEED={seed}");
    let project = project();
    let mut up = project.up();
    up.until_each("good", &SERVICES);
    up.until_watching();
    let model = |name| Model {
        name,
        source: Source::Good(0),
        tried: true,
        good: 0,
        wanted: true,
        held: false,
        ends: 0,
    };
    let models = SERVICES.map(model).into();
    let hotwatch = up.child.id();
    let (descriptors, threads, _) = holdings(hotwatch);
    let mut all = Rounds { project, up, models, version: 0, random: seed };
    for round in 0..rounds {
        let (action, index) = (ACTIONS[all.draw(ACTIONS.len())], all.draw(SERVICES.len()));
        let what = format!("SEED={seed}, round {round}: {action:?} of {}", SERVICES[index]);
        println!("{what}");
        all.round(action, index);
        (0..SERVICES.len()).for_each(|index| all.agrees(index, &what));
    }
    // Nothing has piled up. What is on its way out of a thread takes a moment.
    let running = all.models.iter().filter(|model| model.wanted && !model.held).count();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (fds, tasks, children) = holdings(hotwatch);
        // The guard is one of them.
        if fds <= descriptors && tasks <= threads && children.len() == running + 1 {
            break;
        }
        let had = format!("{descriptors} descriptors, {threads} threads, {running} services");
        assert!(Instant::now() < deadline, "{fds} descriptors, {tasks} threads, {children:?}; had {had}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, _, children) = holdings(hotwatch);
    all.up.stop();
    // Neither of the services nor of the guard, neither of binaries nor of the socket.
    assert!(!children.iter().any(|&pid| is_alive(Pid::from_raw(pid))), "{children:?}");
    let left: Vec<_> = ["cache", "run"].iter().flat_map(|dir| walk(&all.project.beside(dir))).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The files below a directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
