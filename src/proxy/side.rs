//! One end of a connection: a socket that never blocks, and what has come from it and what is to go to it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::PollFlags;
use socket2::SockRef;

use super::BUFFER;

/// Whether anything was written, so that there may be room for more.
#[derive(Debug, Clone, Copy)]
pub struct Wrote(pub bool);

/// A connected, or connecting, socket.
#[derive(Debug)]
pub struct Side {
    stream: TcpStream,
    /// What has come and was not taken yet; not read further while it holds [`BUFFER`] bytes.
    pub input: Vec<u8>,
    /// What is to be written; whoever fills it stops at about [`BUFFER`] bytes.
    pub output: Vec<u8>,
    /// Nothing more will come.
    ended: bool,
    /// Nothing more is to be written than what `output` holds.
    finishing: bool,
    /// That has been told to the other end, or cannot be: it takes nothing any more.
    shut: bool,
}

impl Side {
    /// Takes `stream` over.
    ///
    /// # Errors
    /// Those of fcntl(2) and setsockopt(2); the peer may be gone.
    pub fn new(stream: TcpStream) -> io::Result<Side> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let (input, output) = (Vec::new(), Vec::new());
        Ok(Side { stream, input, output, ended: false, finishing: false, shut: false })
    }

    /// The socket, and what to wait for; nothing if no news of it would change anything: poll(2) would tell of a hangup
    /// again and again.
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.reads());
        flags.set(PollFlags::POLLOUT, self.writes());
        (!flags.is_empty()).then(|| (self.stream.as_fd(), flags))
    }

    fn reads(&self) -> bool {
        !self.ended && self.input.len() < BUFFER
    }

    fn writes(&self) -> bool {
        !self.output.is_empty() && !self.shut
    }

    /// Reads once, by way of `scratch`, if poll(2) has told `flags`.
    ///
    /// # Errors
    /// The connection is broken; then nothing more will come.
    pub fn fill(&mut self, flags: PollFlags, scratch: &mut [u8]) -> io::Result<()> {
        if !self.reads() || !flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            return Ok(());
        }
        match retry(|| self.stream.read(scratch)) {
            Ok(Some(count)) => {
                self.ended = count == 0;
                self.input.extend_from_slice(&scratch[..count]);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }

    /// Writes what there is as far as the other end takes it, then the end if that is to come.
    ///
    /// # Errors
    /// The connection is broken; then nothing more is written.
    pub fn flush(&mut self) -> io::Result<Wrote> {
        let mut written = 0;
        while self.writes() && written < self.output.len() {
            match retry(|| self.stream.write(&self.output[written..])) {
                Ok(Some(count)) => written += count,
                Ok(None) => break,
                Err(error) => {
                    self.output.clear();
                    self.shut = true;
                    return Err(error);
                }
            }
        }
        self.output.drain(..written);
        if self.finishing && self.output.is_empty() && !self.shut {
            self.shut = true;
            // It fails only if the connection is gone.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        // What is idle for hours holds no memory.
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        Ok(Wrote(written > 0))
    }

    /// Nothing more will be put into `output`.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Nothing more will come than what `input` holds.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Everything was written, and the end told.
    pub fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether connecting has come to its end.
    ///
    /// # Errors
    /// It has failed.
    pub fn is_connected(&self) -> io::Result<bool> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(self.stream.peer_addr().is_ok()),
        }
    }

    /// Has the socket closed with a reset when it is dropped. A connection that was closed in order holds its port for a while (TIME_WAIT, RFC 9293), and
    /// those of a machine would be used up by some hundred requests a second.
    pub fn reset(&self) {
        // It fails only if the connection is gone.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Does what may be interrupted; `None` if it would block.
fn retry(mut action: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match action() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
