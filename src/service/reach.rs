//! How the process of a service is reached by whoever wants to send it what others have sent.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Actor;
use super::port::Port;
use crate::proxy::Passed;

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The process; `None` if none runs.
    pub pid: Option<i32>,
    /// Where it listens itself, as far as is known: not the port that is held for it.
    pub address: Option<SocketAddr>,
    /// The last requests that came to the port that is held for it, newest last.
    pub requests: Vec<Passed>,
}

impl Actor {
    /// How its process is reached.
    pub(super) fn reached(&self) -> Reached {
        let pid = self.machine.pid();
        let given = pid.and_then(|pid| self.processes.get(&pid)?.address());
        let held = self.config.proxy.as_ref().filter(|proxy| proxy.env.is_none()).map(|proxy| proxy.listen.1);
        let own = held.or(self.config.port).map(|port| (Ipv4Addr::LOCALHOST, port).into());
        let requests = self.port.as_ref().map(Port::recent).unwrap_or_default();
        Reached { pid, address: given.or(own), requests }
    }
}
