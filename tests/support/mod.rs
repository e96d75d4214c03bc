//! What the tests share: a project directory of its own for each, a running `hotwatch up --json` whose events
//! can be waited for, and a listener that proves by the end of a connection that processes are gone.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long anything may take. Generous: a loaded machine is no failure.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A setting by which every Go file in a service's directory restarts it, whether it is imported or not.
pub const EVERY_GO_FILE: &str = "watch = { include = [\"**/*.go\"] }";

/// The fixtures of this repository.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A directory of a test's own, with a cache, a log and a runtime directory beside the project.
pub struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// An empty project.
    pub fn new() -> Project {
        let dir = tempfile::Builder::new().prefix("hotwatch-test-").tempdir().unwrap();
        for name in ["project", "log", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Project { dir }
    }

    /// A project with copies of the fixture `tiny`, one per name, each with a free port; `settings` is added to
    /// each entry of the config file.
    pub fn tiny(names: &[&str], settings: &str) -> Project {
        let project = Project::new();
        let mut config = format!("log_dir = \"{}\"\n", project.log_dir().display());
        for (name, port) in names.iter().zip(free_ports(names.len())) {
            copy(&fixture("tiny"), &project.path(name));
            config += &format!("[[service]]\nname = \"{name}\"\ndir = \"{name}\"\nport = {port}\n");
            config += &format!("env = {{ PORT = \"{port}\", NAME = \"{name}\" }}\n{settings}\n");
        }
        project.write("hotwatch.toml", &config);
        project
    }

    /// A copy of the fixture `workspace` on free ports, with `top` at the head of its config file; see its README.
    pub fn workspace(top: &str) -> Project {
        let project = Project::new();
        copy(&fixture("workspace"), &project.root());
        let mut config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
        for (old, new) in ["20101", "20102", "20103"].iter().zip(free_ports(3)) {
            config = config.replace(old, &new.to_string());
        }
        project.write("hotwatch.toml", &format!("log_dir = {:?}\n{top}\n{config}", project.log_dir()));
        project
    }

    /// The project's directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// A path in the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Where services log to.
    pub fn log_dir(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// A path beside the project.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the project in place.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Adds `text` to the end of a file of the project.
    pub fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &(before + text));
    }

    /// Replaces `from`, which must be there, in a file of the project.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        assert!(before.contains(from), "no `{from}` in {name}");
        self.write(name, &before.replace(from, to));
    }

    /// Moves a file or directory of the project.
    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Removes a file of the project.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// The content of a log file.
    pub fn log(&self, service: &str) -> String {
        fs::read_to_string(self.log_dir().join(format!("{service}.log"))).unwrap()
    }

    /// Reads a log file until `wanted` is true of it. It may be written after what happens is told on the console.
    pub fn until_log(&self, service: &str, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(&format!("{what} in the log of {service}"), || {
            let log = fs::read(self.log_dir().join(format!("{service}.log"))).ok()?;
            Some(String::from_utf8_lossy(&log).into_owned()).filter(|log| wanted(log))
        })
    }

    /// The port of a service, as its config says.
    pub fn port(&self, service: &str) -> u16 {
        let text = fs::read_to_string(self.path("hotwatch.toml")).unwrap();
        let entry = text.split(&format!("name = \"{service}\"")).nth(1).unwrap();
        let port = entry.split("port = ").nth(1).unwrap();
        port.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    /// What the fixture `tiny` called `service` answers.
    pub fn answer(&self, service: &str) -> String {
        let mut text = String::new();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port(service))).unwrap();
        connection.read_to_string(&mut text).unwrap();
        text.trim().to_owned()
    }

    /// Saves a new answer for the fixture `tiny` called `service`.
    pub fn save_answer(&self, service: &str, answer: &str) {
        self.write(&format!("{service}/answer.go"), &answer_source(answer));
    }

    /// A hotwatch command in this project.
    pub fn hotwatch(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotwatch"));
        command.args(args).current_dir(self.root());
        self.surround(&mut command);
        command
    }

    /// Gives `command` the environment of this project.
    pub fn surround(&self, command: &mut Command) {
        command
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env("XDG_RUNTIME_DIR", self.dir.path().join("run"))
            .env("GOCACHE", go_cache())
            .env("GOFLAGS", "-buildvcs=false")
            .env_remove("NO_COLOR");
    }

    /// Runs a hotwatch command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.hotwatch(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts `hotwatch up --json`.
    pub fn up(&self) -> Up {
        Up::start(self.hotwatch(&["up", "--json"]))
    }

    /// Runs git in the project.
    pub fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(identity).args(args).current_dir(self.root()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes the project a git repository with everything committed.
    pub fn commit_all(&self) {
        if !self.path(".git").exists() {
            self.git(&["init", "-q"]);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "state"]);
    }
}

/// Looks again and again until `look` finds something, where nothing tells of it.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} in time");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The source of `answer.go` with this answer.
pub fn answer_source(answer: &str) -> String {
    format!("package main\n\nconst answer = {answer:?}\n")
}

/// So many free ports, all different, and given to one test only. They lie below the range from which the
/// system takes ports for outgoing connections, so that none is taken before a service listens there.
pub fn free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let candidates = std::iter::repeat_with(|| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id().wrapping_mul(37) % 10_000;
        u16::try_from(21_000 + step % 10_000).unwrap()
    });
    candidates.filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()).take(count).collect()
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The user's own build cache: without it every test would compile the standard library.
fn go_cache() -> &'static str {
    static CACHE: OnceLock<String> = OnceLock::new();
    CACHE.get_or_init(|| {
        let output = Command::new("go").args(["env", "GOCACHE"]).output().expect("go is on the PATH");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

/// A running hotwatch whose standard output is JSON lines. Ended on drop.
pub struct Up {
    pub child: Child,
    events: Receiver<Value>,
    /// Everything that was read so far.
    pub seen: Vec<Value>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Up {
    /// Starts `command`.
    pub fn start(mut command: Command) -> Up {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, events) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            drop(stderr.read_to_string(&mut text));
            text
        });
        Up { child, events, seen: Vec::new(), stderr: Some(stderr) }
    }

    /// Reads events until one satisfies `wanted`; returns it.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if wanted(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in time; seen: {}", self.transcript()),
                Err(RecvTimeoutError::Disconnected) => {
                    let stderr = self.stderr.take().map(|thread| thread.join().unwrap()).unwrap_or_default();
                    panic!("ended before {what}: {stderr}; seen: {}", self.transcript());
                }
            }
        }
    }

    /// Reads events until `service` tells `event`.
    pub fn until_event(&mut self, event: &str, service: &str) -> Value {
        self.until(&format!("`{event}` of {service}"), |seen| is(seen, event, service))
    }

    /// Reads events until each of `services` is ready.
    pub fn until_all_ready(&mut self, services: &[&str]) {
        self.until_each("ready", services);
    }

    /// Reads events until every later save is seen.
    pub fn until_watching(&mut self) {
        if !self.seen.iter().any(|seen| seen["event"] == "watching") {
            self.until("watching", |seen| seen["event"] == "watching");
        }
    }

    /// Reads events until each of `services` has told `event` since the start of hotwatch.
    pub fn until_each(&mut self, event: &str, services: &[&str]) {
        for service in services {
            if !self.seen.iter().any(|seen| is(seen, event, service)) {
                self.until_event(event, service);
            }
        }
    }

    /// Reads events until a notice contains `text`.
    pub fn until_notice(&mut self, text: &str) -> Value {
        self.until(&format!("notice `{text}`"), |seen| {
            seen["event"] == "notice" && seen["message"].as_str().unwrap().contains(text)
        })
    }

    /// How often `service` told `event` since the event number `since`.
    pub fn count(&self, since: usize, event: &str, service: &str) -> usize {
        self.seen[since..].iter().filter(|seen| is(seen, event, service)).count()
    }

    /// The process that `service` runs in now, as far as was told.
    pub fn pid(&self, service: &str) -> i64 {
        let started = self.seen.iter().rev().find(|seen| is(seen, "started", service)).unwrap();
        started["pid"].as_i64().unwrap()
    }

    /// Sends a signal to hotwatch itself.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Closes the reading end of its output, and waits for its end.
    pub fn close_output(&mut self) -> ExitStatus {
        // The reading thread ends at the next line that it cannot pass on, and drops the pipe.
        self.events = channel().1;
        self.child.wait().unwrap()
    }

    /// Presses Ctrl+C, and reads everything to the end.
    pub fn stop(self) -> (ExitStatus, Vec<Value>) {
        self.signal(Signal::SIGINT);
        self.read_to_end(None)
    }

    /// Presses Ctrl+C again and again, as somebody without patience, and reads everything to the end.
    pub fn stop_now(self) -> (ExitStatus, Vec<Value>) {
        self.read_to_end(Some(Duration::from_millis(400)))
    }

    fn read_to_end(mut self, impatience: Option<Duration>) -> (ExitStatus, Vec<Value>) {
        let mut rest = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(impatience.unwrap_or(left)) {
                Ok(event) => rest.push(event),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => self.signal(Signal::SIGINT),
                Err(RecvTimeoutError::Timeout) => panic!("it does not stop; seen: {}", self.transcript()),
            }
        }
        (self.child.wait().unwrap(), rest)
    }

    fn transcript(&self) -> String {
        let tail = self.seen.len().saturating_sub(60);
        self.seen[tail..].iter().map(|event| format!("\n  {event}")).collect()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Makes it kill its services and end within two seconds.
            self.signal(Signal::SIGQUIT);
            drop(self.child.wait());
        }
    }
}

/// Whether `seen` is `event` of `service`.
pub fn is(seen: &Value, event: &str, service: &str) -> bool {
    seen["event"] == event && seen["service"] == service
}

/// The services of `events` named `event`, in order.
pub fn services(events: &[Value], event: &str) -> Vec<String> {
    let of = |seen: &&Value| seen["event"] == event;
    events.iter().filter(of).map(|seen| seen["service"].as_str().unwrap().to_owned()).collect()
}

/// Takes connections of processes; a connection ends when the last process that holds it has ended.
pub struct Alive {
    listener: TcpListener,
    connections: Vec<TcpStream>,
}

impl Alive {
    /// Listens on a free port.
    pub fn new() -> Alive {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Alive { listener, connections: Vec::new() }
    }

    /// The value of `ALIVE` in the services' environment.
    pub fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Takes the connections that were made so far; returns how many there are.
    pub fn accept(&mut self) -> usize {
        loop {
            match self.listener.accept() {
                Ok((connection, _)) => {
                    connection.set_nonblocking(false).unwrap();
                    connection.set_read_timeout(Some(DEADLINE)).unwrap();
                    self.connections.push(connection);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.connections.len(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until every process that ever connected has ended, and whatever inherited its connection.
    pub fn all_gone(mut self) {
        self.accept();
        for mut connection in self.connections {
            let mut said = String::new();
            match connection.read_to_string(&mut said) {
                Ok(_) => {}
                // A killed process may reset its connection.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => panic!("still alive: {said}: {error}"),
            }
        }
    }
}
