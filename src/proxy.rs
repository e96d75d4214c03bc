//! Holds a port for a service, so that nobody is refused while its process is replaced. HTTP/1 requests are passed to
//! the process that is current when their head is complete; everything else (HTTP/2, upgraded connections, TLS, raw
//! TCP) stays with the process it began with. What arrives while there is none waits. See ARCHITECTURE.md for why.

mod answer;
mod chunked;
mod connection;
mod exchange;
mod holder;
mod http1;
mod link;
mod recent;
mod side;

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use hotwatch_platform::port;
use socket2::SockRef;

use connection::Port;
use holder::{Command, Holder};
pub use recent::Passed;
use recent::Recent;

/// How many bytes are kept that one end has sent and the other does not take yet; the largest head fits.
const BUFFER: usize = http1::HEAD_LIMIT;

/// How many connections the system keeps that were not accepted yet; the standard library asks for 128.
const BACKLOG: i32 = 4096;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On this port of the loopback addresses: `127.0.0.1`, and `::1` where there is one. 0 takes a free port.
    Loopback(u16),
    /// On this address alone.
    Address(SocketAddr),
}

/// How a port is held.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Where.
    pub listen: Listen,
    /// Whether pages get a script that reloads them when another process has become current.
    pub live_reload: bool,
    /// How long what arrives waits for a process: then a request is answered with 503, another connection closed.
    pub patience: Duration,
}

/// What is told of a held port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing of the process `id` is open any more: no request in flight, no tunnel.
    Idle {
        /// Its process id.
        id: i32,
    },
}

/// A held port. Dropping it closes the port, ends every connection and joins the thread. Calls never block, and are
/// obeyed in their order, each before any connection is read that becomes readable after it.
pub struct Held {
    #[cfg(test)]
    address: SocketAddr,
    commands: Sender<Command>,
    recent: Recent,
    /// `None` only while it is dropped: its end ends the thread.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// Listens from now on. Until the first [`Held::switch`] what arrives waits. `tell` is called from the thread that
    /// serves all connections, so it must not block.
    ///
    /// # Errors
    /// The port is taken ([`ErrorKind::AddrInUse`]; the message names who holds it) or may not be listened on, or the
    /// thread cannot be started.
    pub fn listen(settings: Settings, tell: impl Fn(Told) + Send + Sync + 'static) -> io::Result<Held> {
        let listeners = bind(settings.listen)?;
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let address = listeners[0].local_addr()?;
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (commands, obeyed) = crossbeam_channel::unbounded();
        let Settings { live_reload, patience, .. } = settings;
        let recent = Recent::default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let holder = Holder {
            listeners,
            wake: woken,
            commands: obeyed,
            port: Port { current: None, page: None, live_reload, patience, recent: recent.clone() },
            tell: Box::new(tell),
            stamp: u64::try_from(since.as_nanos()).unwrap_or_default(),
            last: None,
            connections: Vec::new(),
            retiring: Vec::new(),
            pause: None,
        };
        let thread = std::thread::Builder::new().name(format!("port {}", address.port()));
        let thread = Some(thread.spawn(move || holder.run())?);
        Ok(Held {
            #[cfg(test)]
            address,
            commands,
            recent,
            wake: Some(wake),
            thread,
        })
    }

    /// Where it listens: the IPv4 address if there are two.
    #[cfg(test)]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Requests and connections that come from now on go to this process: its id, and where it listens. `None`: they
    /// wait.
    pub fn switch(&self, to: Option<(i32, SocketAddr)>) {
        self.ask(Command::Switch(to));
    }

    /// Tells once [`Told::Idle`] as soon as nothing of `id` is open, at once if that is so already.
    pub fn retire(&self, id: i32) {
        self.ask(Command::Retire(id));
    }

    /// Ends whatever is still open to `id`: requests that have got no answer yet are answered with 502.
    pub fn close(&self, id: i32) {
        self.ask(Command::Close(id));
    }

    /// The last requests that were passed on, newest last; small ones whose heads tell the length of their bodies.
    pub fn recent(&self) -> Vec<Passed> {
        self.recent.all()
    }

    /// While `text` is set, browsers that ask for a page get one that shows it, and which asks for itself again once
    /// it is another or none. Everything else is passed on as always.
    pub fn page(&self, text: Option<String>) {
        self.ask(Command::Page(text));
    }

    fn ask(&self, command: Command) {
        // Either fails only if the thread has panicked; a full socket means that it will look anyway.
        let _ = self.commands.send(command);
        let _ = self.wake.as_ref().map(|mut wake| wake.write(&[0]));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported where it happened.
            let _ = thread.join();
        }
    }
}

fn bind(listen: Listen) -> io::Result<Vec<TcpListener>> {
    match listen {
        Listen::Address(address) => Ok(vec![bind_one(address)?]),
        Listen::Loopback(port) => {
            let v4 = bind_one((Ipv4Addr::LOCALHOST, port).into())?;
            let v6 = bind_one((Ipv6Addr::LOCALHOST, v4.local_addr()?.port()).into());
            match v6 {
                Ok(v6) => Ok(vec![v4, v6]),
                // What has a free port chosen asks for one that is free in IPv4.
                Err(error) if error.kind() == ErrorKind::AddrInUse && port != 0 => Err(error),
                Err(_) => Ok(vec![v4]),
            }
        }
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        SockRef::from(&listener).listen(BACKLOG)?;
        Ok(listener)
    };
    listen().map_err(|error: io::Error| {
        let port = address.port();
        let holder = port::holders(port).unwrap_or_default().into_iter().next();
        match (error.kind(), holder) {
            (ErrorKind::AddrInUse, Some(holder)) => {
                io::Error::new(ErrorKind::AddrInUse, format!("port {port} is held by {holder}"))
            }
            (kind, _) => io::Error::new(kind, format!("`{address}` cannot be listened on: {error}")),
        }
    })
}

#[cfg(test)]
mod tests;
