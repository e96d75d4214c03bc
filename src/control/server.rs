//! The end that listens: a thread takes connections, and each has a thread of its own. Requests that change something
//! are passed on as commands; what comes of them is read from the records that follow, like everything else.

mod serving;

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hotwatch_platform::peer;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Command;
use super::hub::Hub;
use super::place::Place;
use super::protocol::Answer;
use serving::{Client, answer};

/// How long no client is accepted after that has failed, in milliseconds.
const PAUSE: u8 = 100;

/// So many clients are heard at a time.
const CLIENTS: usize = 32;

/// At the end, clients have so long to read what is left.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The listening end; dropping it ends all connections, and joins their threads.
pub struct Server {
    shared: Arc<Shared>,
    /// Its other end in the poll set ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    hub: Hub,
    project: PathBuf,
    command: Box<dyn Fn(Command) + Send + Sync>,
    clients: Mutex<Clients>,
    /// Told when a client has gone.
    gone: Condvar,
}

#[derive(Default)]
struct Clients {
    next: u64,
    streams: BTreeMap<u64, UnixStream>,
}

impl Server {
    /// Answers whoever connects at `place` from `hub`; what `project`'s user asks for is passed to `command`.
    ///
    /// # Errors
    /// No pipe can be opened, or no thread be started.
    pub fn start(
        place: Place,
        project: PathBuf,
        hub: Hub,
        command: impl Fn(Command) + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let (stopped, stop) = io::pipe()?;
        place.listener().set_nonblocking(true)?;
        let (clients, gone) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { hub, project, command: Box::new(command), clients, gone });
        let accepting = Arc::clone(&shared);
        let run = move || accept(&place, &stopped, &accepting);
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(run)?;
        Ok(Server { shared, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First, so that nobody finds a socket that will not answer.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        self.shared.hub.end();
        let done = |clients: &mut Clients| !clients.streams.is_empty();
        let clients = self.shared.clients();
        let waited = self.shared.gone.wait_timeout_while(clients, LAST_WORDS, done);
        let (mut clients, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // Threads that are stuck in a write are not any longer.
        clients.streams.values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        while !clients.streams.is_empty() {
            clients = self.shared.gone.wait(clients).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes connections until `stopped` is closed.
fn accept(place: &Place, stopped: &PipeReader, shared: &Arc<Shared>) {
    loop {
        let mut set = [
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(place.listener().as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut set, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return,
        }
        if set[0].any().unwrap_or(true) {
            return;
        }
        let Ok((stream, _)) = place.listener().accept() else {
            // When files are used up the next attempt would fail at once, again and again.
            let _ = poll(&mut set[..1], PAUSE);
            continue;
        };
        // The directory keeps others out already; this does not depend on its mode.
        let own = nix::unistd::geteuid().as_raw();
        if peer::uid(&stream).is_ok_and(|uid| uid == own) && stream.set_nonblocking(false).is_ok() {
            serve(stream, shared);
        }
    }
}

/// Gives a client a thread.
fn serve(mut stream: UnixStream, shared: &Arc<Shared>) {
    let mut clients = shared.clients();
    if clients.streams.len() >= CLIENTS {
        let busy = Answer::Error(format!("{CLIENTS} others are being answered already; end one of them"));
        drop(clients);
        // A line fits into the socket, so this does not block.
        drop(answer(&mut stream, &busy));
        return;
    }
    let Ok(kept) = stream.try_clone() else { return };
    let number = clients.next;
    clients.next += 1;
    clients.streams.insert(number, kept);
    drop(clients);
    let shared = Arc::clone(shared);
    // Joined by way of the list: the end waits until that is empty.
    std::thread::spawn(move || {
        let _leaves = Leaves { shared: &shared, number };
        // A client that has gone need not be told.
        let _ = Client { stream: &stream, shared: &shared }.run();
        let _ = stream.shutdown(Shutdown::Both);
    });
}

/// Takes a client off the list, whatever happens to its thread.
struct Leaves<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.shared.clients().streams.remove(&self.number);
        self.shared.gone.notify_all();
    }
}
