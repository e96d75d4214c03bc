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
pub fn serves(group: Group, port: u16) -> io::Result<bool> {
    os::serves(group, port)
}

#[cfg(target_os = "linux")]
mod os {
    use std::collections::HashSet;
    use std::fs;
    use std::io;

    use super::{Holder, listening_inodes};
    use crate::process::{self, Group};

    pub(super) fn holders(port: u16) -> io::Result<Vec<Holder>> {
        let sockets = listening(port)?;
        if sockets.is_empty() {
            return Ok(Vec::new());
        }
        let pids: Vec<i32> = process::pids().filter(|&pid| owns_any(pid, &sockets)).collect();
        if pids.is_empty() {
            return Ok(vec![Holder { pid: None, program: String::new() }]);
        }
        let holder = |pid| Holder { pid: Some(pid), program: process::program(pid).unwrap_or_default() };
        Ok(pids.into_iter().map(holder).collect())
    }

    pub(super) fn serves(group: Group, port: u16) -> io::Result<bool> {
        let sockets = listening(port)?;
        if sockets.is_empty() {
            return Ok(false);
        }
        // The leader first: mostly it is the one, and looking at it alone is cheap.
        Ok(owns_any(group.id(), &sockets)
            || group.alive().into_iter().any(|pid| owns_any(pid, &sockets)))
    }

    fn listening(port: u16) -> io::Result<HashSet<u64>> {
        let mut inodes: HashSet<u64> = listening_inodes(&fs::read_to_string("/proc/net/tcp")?, port).collect();
        // Absent where IPv6 is switched off.
        if let Ok(table) = fs::read_to_string("/proc/net/tcp6") {
            inodes.extend(listening_inodes(&table, port));
        }
        Ok(inodes)
    }

    fn owns_any(pid: i32, sockets: &HashSet<u64>) -> bool {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let inode = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        };
        entries.filter_map(inode).any(|inode| sockets.contains(&inode))
    }
}

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
        let output = Command::new("/usr/sbin/lsof").args(["-nP", &listing, "-sTCP:LISTEN", "-Fpc"]).output()?;
        Ok(parse_lsof(&String::from_utf8_lossy(&output.stdout)))
    }

    pub(super) fn serves(group: Group, port: u16) -> io::Result<bool> {
        // lsof takes some 50 ms, so it is asked only once something answers.
        let answers = |address: SocketAddr| {
            TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok()
        };
        let loopback = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
        Ok(loopback.into_iter().any(answers)
            && holders(port)?.iter().any(|holder| holder.pid.is_some_and(|pid| group.contains(pid))))
    }
}

/// The inodes of sockets that listen on `port`, from a table of the form of `/proc/net/tcp` (proc_net(5)):
/// the second field is the local address and port in hexadecimal, the fourth the state (`0A` listens), the
/// tenth the inode.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has the table; tested everywhere"))]
fn listening_inodes(table: &str, port: u16) -> impl Iterator<Item = u64> + '_ {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let (_, local_port) = local.rsplit_once(':')?;
        let listens = state == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
        listens.then(|| fields.nth(5)?.parse().ok())?
    })
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
    fn finds_listening_inodes() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0
   1: 0100007F:4E20 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1
   2: 00000000:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12347 1 0 100 0 0 10 0
";
        assert_eq!(listening_inodes(table, 20000).collect::<Vec<_>>(), [12345]);
        assert_eq!(listening_inodes(table, 20001).collect::<Vec<_>>(), [12347]);
        assert_eq!(listening_inodes(table, 20002).count(), 0);
    }

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
