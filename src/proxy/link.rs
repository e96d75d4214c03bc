//! The connection to a process of the service that belongs to a client's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFlags;
use socket2::{Domain, Socket, Type};

use super::side::Side;

/// A process of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    /// Its process id.
    pub id: i32,
    /// Where it listens.
    pub address: SocketAddr,
    /// Told from every other that was current before or after, in other runs of the program too.
    pub stamp: u64,
}

/// A connection to a process of the service.
#[derive(Debug)]
pub struct Link {
    /// The process id.
    pub id: i32,
    /// The socket.
    pub side: Side,
    /// Connecting has come to its end.
    pub connected: bool,
    /// When it began to connect.
    pub since: Instant,
    /// Nothing was sent on it. Each request gets a connection that is.
    pub fresh: bool,
    /// It was reset.
    pub failed: bool,
}

impl Link {
    /// Begins to connect to `backend`.
    ///
    /// # Errors
    /// The system has no socket left, or knows at once that nobody listens.
    pub fn connect(backend: Backend, now: Instant) -> io::Result<Link> {
        let socket = Socket::new(Domain::for_address(backend.address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&backend.address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                return Err(error);
            }
            _ => {}
        }
        let side = Side::new(socket.into())?;
        Ok(Link { id: backend.id, side, connected: false, since: now, fresh: true, failed: false })
    }

    /// The socket, and what to wait for.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let interest = self.side.interest();
        if self.connected { interest } else { interest.map(|(socket, _)| (socket, PollFlags::POLLOUT)) }
    }
}
