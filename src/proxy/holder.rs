//! The thread that holds a port: one poll(2) over the listeners, all connections and its handle. While nothing happens
//! it blocks without a timeout.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::{Connection, Port};
use super::link::Backend;
use super::{BUFFER, Told};

/// How long no connection is accepted after that has failed: when files or memory are used up it fails at once again.
const PAUSE: Duration = Duration::from_millis(100);

/// What the handle asks for.
#[derive(Debug)]
pub enum Command {
    /// See [`super::Held::switch`].
    Switch(Option<(i32, SocketAddr)>),
    /// See [`super::Held::retire`].
    Retire(i32),
    /// See [`super::Held::close`].
    Close(i32),
    /// See [`super::Held::page`].
    Page(Option<String>),
}

/// What the thread owns.
pub struct Holder {
    pub listeners: Vec<TcpListener>,
    /// Readable when there are commands; at its end when the handle is gone.
    pub wake: UnixStream,
    pub commands: Receiver<Command>,
    pub port: Port,
    pub tell: Box<dyn Fn(Told) + Send>,
    /// The last stamp that was given out.
    pub stamp: u64,
    /// The process that was current last, even if there is none now.
    pub last: Option<Backend>,
    pub connections: Vec<Connection>,
    /// Processes of which is to be told when they are idle.
    pub retiring: Vec<i32>,
    /// Until when no connection is accepted.
    pub pause: Option<Instant>,
}

/// What poll(2) was asked for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Handle,
    Listener(usize),
    Client(usize),
    Link(usize),
}

impl Holder {
    /// Serves until the handle is gone.
    pub fn run(mut self) {
        let mut scratch = vec![0; BUFFER];
        loop {
            let ready = self.wait();
            let now = Instant::now();
            // Before the commands: what is given afterwards wakes again.
            if ready.iter().any(|(source, _)| matches!(source, Source::Handle))
                && let Ok(0) = self.wake.read(&mut scratch)
            {
                return;
            }
            let mut changed = false;
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command, &mut scratch, now);
                changed = true;
            }
            let known = self.connections.len();
            let mut touched = vec![changed; known];
            for (source, flags) in ready {
                match source {
                    Source::Handle => {}
                    Source::Listener(index) => self.accept(index, now),
                    Source::Client(index) => self.connections[index].client_ready(flags, &mut scratch),
                    Source::Link(index) => self.connections[index].link_ready(flags, &mut scratch, now),
                }
                if let Source::Client(index) | Source::Link(index) = source {
                    touched[index] = true;
                }
            }
            for (index, connection) in self.connections.iter_mut().enumerate() {
                let due = || connection.deadline(&self.port).is_some_and(|deadline| deadline <= now);
                if touched.get(index).copied().unwrap_or(true) || due() {
                    connection.advance(&self.port, now);
                }
            }
            self.connections.retain(|connection| !connection.is_gone());
            self.tell_idle();
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let mut sources = vec![Source::Handle];
        let mut sockets = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        let now = Instant::now();
        let paused = self.pause.filter(|pause| *pause > now);
        if paused.is_none() {
            sources.extend((0..self.listeners.len()).map(Source::Listener));
            sockets.extend(self.listeners.iter().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let [client, link] = connection.interests();
            let client = client.map(|interest| (Source::Client(index), interest));
            let link = link.map(|interest| (Source::Link(index), interest));
            for (source, (socket, flags)) in client.into_iter().chain(link) {
                sources.push(source);
                sockets.push(PollFd::new(socket, flags));
            }
        }
        let deadlines = self.connections.iter().filter_map(|connection| connection.deadline(&self.port));
        let timeout = deadlines.chain(paused).min().map_or(PollTimeout::NONE, |deadline| {
            // Rounded up, or the last millisecond would be spent asking.
            let left = deadline.saturating_duration_since(now) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        // It fails when a signal interrupts it; then nothing has happened.
        if poll(&mut sockets, timeout).is_err() {
            return Vec::new();
        }
        let flags = sockets.iter().map(|socket| socket.revents().unwrap_or(PollFlags::empty()));
        sources.into_iter().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn obey(&mut self, command: Command, scratch: &mut [u8], now: Instant) {
        match command {
            Command::Switch(to) => {
                self.port.current = to.map(|(id, address)| match self.last {
                    Some(last) if (last.id, last.address) == (id, address) => last,
                    _ => Backend { id, address, stamp: self.next_stamp() },
                });
                self.last = self.port.current.or(self.last);
            }
            Command::Retire(id) if self.retiring.contains(&id) => {}
            Command::Retire(id) => self.retiring.push(id),
            Command::Close(id) => {
                for connection in &mut self.connections {
                    connection.close(id, &self.port, scratch, now);
                }
            }
            Command::Page(text) => {
                let stamp = self.next_stamp();
                self.port.page = text.map(|text| (text, stamp));
            }
        }
    }

    /// Accepts what has come. What it has sent is read in the next round, after commands that were given before.
    fn accept(&mut self, listener: usize, now: Instant) {
        loop {
            match self.listeners[listener].accept() {
                Ok((client, _)) => self.connections.extend(Connection::new(client)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.pause = Some(now + PAUSE);
                    return;
                }
            }
        }
    }

    fn tell_idle(&mut self) {
        let connections = &self.connections;
        self.retiring.retain(|&id| {
            let busy = connections.iter().any(|connection| connection.busy_with() == Some(id));
            if !busy {
                (self.tell)(Told::Idle { id });
            }
            busy
        });
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }
}
