//! Who listens on a TCP port. That something answers on a port says little: it may be the old process, or a
//! stranger. So the socket's owner is looked up, over IPv4 and IPv6.

use std::fmt;
use std::io;

use crate::process::Group;

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; `None` when the system does not tell (another user's process).
    pub pid: Option<i32>,
    /// The name of its program; empty when unknown.
    pub program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.program.as_str()) {
            (Some(pid), "") => write!(f, "PID {pid}"),
            (Some(pid), program) => write!(f, "PID {pid} ({program})"),
            (None, _) => f.write_str("a process of another user"),
        }
    }
}

/// The processes that listen on TCP `port`, on whatever address; empty when it is free.
///
/// # Errors
/// The system's table cannot be read.
pub fn holders(port: u16) -> io::Result<Vec<Holder>> {
    os::holders(port)
}

/// Whether a process of `group` listens on TCP `port`.
///
/// # Errors
/// The system's table cannot be read.
pub fn serves(group: &Group, port: u16) -> io::Result<bool> {
    os::serves(group, port)
}

#[cfg(target_os = "linux")]
#[path = "port/linux.rs"]
mod os;
#[cfg(target_os = "macos")]
mod os {
    use std::io;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
    use std::process::Command;
    use std::time::Duration;

    use super::{Holder, parse_lsof};
    use crate::process::Group;

    pub(super) fn holders(port: u16) -> io::Result<Vec<Holder>> {
        let listing = format!("-iTCP:{port}");
        let output =
            Command::new("/usr/sbin/lsof").args(["-nP", &listing, "-sTCP:LISTEN", "-Fpc"]).output()?;
        Ok(parse_lsof(&String::from_utf8_lossy(&output.stdout)))
    }

    pub(super) fn serves(group: &Group, port: u16) -> io::Result<bool> {
        // lsof takes some 50 ms, so it is asked only once something answers.
        let answers =
            |address: SocketAddr| TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok();
        let loopback = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        Ok(loopback.into_iter().any(answers)
            && holders(port)?.iter().any(|holder| holder.pid.is_some_and(|pid| group.contains(pid))))
    }
}

/// Processes from the output of `lsof -Fpc`: a `p` line opens a process, a `c` line names its program.
#[cfg_attr(not(target_os = "macos"), allow(dead_code, reason = "only macOS asks lsof; tested everywhere"))]
fn parse_lsof(output: &str) -> Vec<Holder> {
    let mut holders: Vec<Holder> = Vec::new();
    for line in output.lines() {
        if let Some(pid) = line.strip_prefix('p') {
            holders.push(Holder { pid: pid.parse().ok(), program: String::new() });
        } else if let (Some(program), Some(holder)) = (line.strip_prefix('c'), holders.last_mut()) {
            program.clone_into(&mut holder.program);
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn reads_lsof() {
        let nginx = Holder { pid: Some(1234), program: "nginx".to_owned() };
        let other = Holder { pid: Some(99), program: "My App".to_owned() };
        assert_eq!(parse_lsof("p1234\ncnginx\nf6\np99\ncMy App\nf3\nf4\n"), [nginx.clone(), other]);
        assert_eq!(parse_lsof(""), []);
        assert_eq!(nginx.to_string(), "PID 1234 (nginx)");
    }

    #[test]
    fn names_this_process_as_holder() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("NOT CHECKED: {address} cannot be bound on this machine");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            // A child that another test is about to start holds a copy too until its exec.
            let me = i32::try_from(std::process::id()).ok();
            let held = || holders(port).unwrap().iter().any(|holder| holder.pid == me);
            assert!(held());
            drop(listener);
            assert!(!held());
        }
    }
}
