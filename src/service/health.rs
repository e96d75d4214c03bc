//! When a process counts as ready, found out by looking, from a thread of its own that ends with its answer. That
//! something answers on a port would not do, it may be somebody else: the port must be that of a process of the
//! service's own group.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use hotwatch_platform::port;
use hotwatch_platform::process::{Exit, Group, Signal, spawn};

use crate::config::{Http, Ready, Service};

/// How long an answer to a request may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Looks whether a process is ready, until it is or nobody wants to know any longer. Dropping it ends that.
#[derive(Debug)]
pub struct Probe {
    /// Disconnected when nobody wants to know.
    stop: Option<Sender<()>>,
    waiting: Arc<Mutex<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

/// What a look waits for, to be ended with it.
#[derive(Debug, Default)]
struct Waiting {
    stopped: bool,
    command: Option<Arc<Group>>,
    connection: Option<TcpStream>,
}

impl Probe {
    /// Looks whether a process of `group`, which runs `service`, is ready, and calls `found` once it is. A line of
    /// output is not looked for but met, so for that nothing is ever found.
    pub fn start(service: &Service, group: Arc<Group>, found: impl FnOnce() + Send + 'static) -> Probe {
        let (stop, stopped) = bounded(0);
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (look, given) =
            (Look { service: service.clone(), group, waiting: Arc::clone(&waiting) }, Instant::now());
        let thread = std::thread::spawn(move || {
            if matches!(look.service.readiness.when, Ready::Log(_)) {
                return;
            }
            while !look.is_ready() {
                let interval =
                    look.service.readiness.interval.unwrap_or_else(|| look.interval(given.elapsed()));
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            found();
        });
        Probe { stop: Some(stop), waiting, thread: Some(thread) }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.take();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.stopped = true;
        waiting.command.iter().for_each(|group| drop(group.signal(Signal::SIGKILL)));
        waiting.connection.iter().for_each(|connection| drop(connection.shutdown(Shutdown::Both)));
        drop(waiting);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A look at one process.
struct Look {
    service: Service,
    group: Arc<Group>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Look {
    /// How long to wait before the next look at a process that was started `age` ago.
    fn interval(&self, age: Duration) -> Duration {
        let is_cheap = matches!(self.service.readiness.when, Ready::Tcp(_));
        match age.as_millis() {
            0..50 if is_cheap => Duration::from_millis(2),
            0..1000 if is_cheap => Duration::from_millis(5),
            0..1000 => Duration::from_millis(20),
            _ if is_cheap => Duration::from_millis(50),
            _ => Duration::from_millis(250),
        }
    }

    fn is_ready(&self) -> bool {
        match &self.service.readiness.when {
            Ready::Tcp(port) => self.listens(*port),
            Ready::Http(http) => {
                // Whoever else listens there may well answer.
                self.listens(http.port) && self.answers(http).unwrap_or(false)
            }
            Ready::Command(words) => self.succeeds(words),
            Ready::Log(_) => false,
            Ready::Started => true,
        }
    }

    fn listens(&self, port: u16) -> bool {
        if self.service.sync.is_some() {
            // Whose port it is cannot be seen from here.
            return TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), ANSWER).is_ok();
        }
        port::serves(&self.group, port).unwrap_or(false)
    }

    /// Asks for what `http` says; true if that is answered as it should be.
    fn answers(&self, http: &Http) -> io::Result<bool> {
        let address = (http.host.as_str(), http.port).to_socket_addrs()?.next();
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let mut connection = TcpStream::connect_timeout(&address, ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        let for_drop = connection.try_clone()?;
        if !self.waits(|waiting| waiting.connection = Some(for_drop)) {
            return Ok(false);
        }
        let host = if http.host.contains(':') { format!("[{}]", http.host) } else { http.host.clone() };
        write!(
            connection,
            "GET {} HTTP/1.1\r\nHost: {host}:{}\r\nUser-Agent: hotwatch\r\nConnection: close\r\n\r\n",
            http.path, http.port
        )?;
        // The status stands in the first twelve bytes: `HTTP/1.1 200`.
        let mut start = [0; 12];
        let read = connection.read_exact(&mut start);
        self.waits(|waiting| waiting.connection = None);
        read?;
        let status = start.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(&rest[2..]).ok());
        let status = status.and_then(|status| status.parse::<u16>().ok());
        Ok(status
            .is_some_and(|status| http.status.map_or((200..400).contains(&status), |only| status == only)))
    }

    /// Runs a command; true if it ends with 0.
    fn succeeds(&self, words: &[String]) -> bool {
        let Some((program, args)) = words.split_first() else { return false };
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.service.dir).envs(&self.service.env);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(started) = spawn(&mut command) else { return false };
        let group = Arc::new(started.group);
        let for_drop = Arc::clone(&group);
        if !self.waits(|waiting| waiting.command = Some(for_drop)) {
            drop(group.signal(Signal::SIGKILL));
        }
        let exit = group.wait_leader();
        self.waits(|waiting| waiting.command = None);
        // What it leaves behind is nobody's.
        drop(group.signal(Signal::SIGKILL));
        drop(group.reap());
        exit.is_ok_and(|exit| exit == Exit::Code(0))
    }

    /// Takes note of what is waited for; false if that should not be begun any more.
    fn waits(&self, note: impl FnOnce(&mut Waiting)) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut waiting);
        !waiting.stopped
    }
}

/// Why a process of `service` may not be ready yet, in words; `given` is the port on which it was told to listen, if
/// another is held for it.
pub fn reason(service: &Service, given: Option<u16>) -> String {
    let mut service = service.clone();
    given.into_iter().for_each(|port| service.listen_on(port));
    let told = |port: u16| {
        let env = service.proxy.as_ref().and_then(|proxy| proxy.env.as_ref()).filter(|_| given == Some(port));
        env.map_or_else(String::new, |env| format!(", which the variable `{env}` tells it"))
    };
    let listens = |port: u16| {
        let holders = port::holders(port).unwrap_or_default();
        holders.first().map(|holder| format!("port {port} is held by {holder}, which does not belong to it"))
    };
    match &service.readiness.when {
        Ready::Tcp(port) => {
            listens(*port).unwrap_or_else(|| format!("it does not listen on port {port}{}", told(*port)))
        }
        Ready::Http(http) => {
            let wanted =
                http.status.map_or("a status from 200 to 399".to_owned(), |only| format!("status {only}"));
            format!(
                "it does not answer `{}` with {wanted} on port {}{}",
                http.path,
                http.port,
                told(http.port)
            )
        }
        Ready::Log(text) => format!("it has not written `{text}`"),
        Ready::Command(words) => format!("`{}` does not succeed", words.join(" ")),
        Ready::Started => "it does not run".to_owned(),
    }
}
