//! The running service, and who uses it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hotwatch_platform::process::{self, Group, Signal};

use super::super::agent;
use super::super::generations::{Linked, Loaded};
use super::super::host::Host;
use super::super::jump::Jump;
use super::super::session::{Made, Session, Switched};
use super::toolchain::Toolchain;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many use it at the same time.
const USERS: usize = 3;

/// What they ask for.
const PATHS: [&str; 5] = ["/user", "/greet", "/crash", "/lib", "/again"];

pub struct Service {
    group: Group,
    port: u16,
    session: Session,
    pub loaded: Loaded,
    stop: Arc<AtomicBool>,
    users: Vec<JoinHandle<u64>>,
}

impl Service {
    /// Starts it with this GOGC, and waits until it answers.
    pub fn start(toolchain: &Toolchain, collector: &str) -> Service {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(toolchain.host());
        let number = process::pass_on(&mut command, theirs.into());
        command.env("PORT", port.to_string()).env("GOGC", collector).env("GODEBUG", agent::SETTING);
        command.env(agent::VARIABLE, number.to_string());
        let group = process::spawn(&mut command).unwrap().group;
        drop(command);
        let loaded = Loaded::new(Host::read(&toolchain.host()).unwrap());
        let session = Session::start(ours).unwrap();
        let service = Service { group, port, session, loaded, stop: Arc::default(), users: Vec::new() };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < DEADLINE, "the service does not listen");
            thread::yield_now();
        }
        service
    }

    /// Its process, as its agent says.
    pub fn hello(&mut self) -> u32 {
        let hello = self.session.hello(DEADLINE).unwrap();
        assert!(hello.alone && hello.writable && hello.go.starts_with("go1."), "{hello:?}");
        assert_eq!(hello.pid, self.group.id() as u32);
        hello.pid
    }

    /// What it answers.
    pub fn get(&self, path: &str) -> String {
        Client::new(self.port).get(path)
    }

    /// The number behind `label` in what it answers.
    pub fn number(&self, path: &str, label: &str) -> u64 {
        let text = self.get(path);
        let (_, rest) = text.split_once(label).unwrap_or_else(|| panic!("{text}"));
        rest.split(' ').next().unwrap().parse().unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Keeps it busy.
    pub fn load(&mut self) {
        for _ in 0..USERS {
            let (port, stop) = (self.port, self.stop.clone());
            self.users.push(thread::spawn(move || {
                let (mut client, mut requests) = (Client::new(port), 0);
                while !stop.load(Ordering::Relaxed) {
                    for path in PATHS {
                        assert!(!client.get(path).is_empty());
                        requests += 1;
                    }
                }
                requests
            }));
        }
    }

    /// Lets it rest, and says how many requests it has answered.
    pub fn stop_load(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.users.drain(..).map(|user| user.join().unwrap()).sum()
    }

    /// Loads a patch.
    pub fn switch(&mut self, linked: Linked, jumps: &[Jump]) -> Switched {
        let switched = self.session.switch(&linked, &[], Made::of(&self.loaded), jumps).unwrap();
        self.loaded.add(linked, switched.base, jumps, std::iter::empty());
        switched
    }

    /// The functions of the newest patch that were not counted.
    pub fn not_entered(&mut self) -> Vec<String> {
        let newest = self.loaded.generations().last().unwrap();
        let counts = self.session.effects(newest).unwrap();
        let counted = newest.linked.trampolines.iter().zip(counts).filter(|(_, count)| *count == 0);
        counted.map(|(trampoline, _)| trampoline.function.clone()).collect()
    }

    /// How many goroutines run old bodies, once those that were about to return have done so.
    pub fn stale_after_a_while(&mut self, jumps: &[Jump]) -> u64 {
        let started = Instant::now();
        loop {
            let stale = self.session.stale(jumps).unwrap().iter().sum();
            if stale == 0 || started.elapsed() > DEADLINE {
                return stale;
            }
        }
    }

    /// Its memory, in bytes.
    pub fn resident(&self) -> u64 {
        process::usage(&[self.group.id()])[0].rss
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.group.signal(Signal::SIGKILL);
        let _ = self.group.wait_leader();
        let _ = self.group.reap();
        for user in self.users.drain(..) {
            let _ = user.join();
        }
    }
}

/// A connection that is kept.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Client(BufReader::new(stream))
    }

    fn get(&mut self, path: &str) -> String {
        // In one piece: what is sent in several waits for the other side's answer to the first.
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection was closed");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                let mut body = vec![0; length];
                self.0.read_exact(&mut body).unwrap();
                return String::from_utf8(body).unwrap();
            }
        }
    }
}
