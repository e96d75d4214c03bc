//! The port that is held for a service, so that there is always somebody who listens: by forwarding what comes, or by
//! handing the listening socket itself to every process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::protocol::Input;
use crate::config::Proxy;
use crate::proxy::{Held, Listen, Passed, Settings, Told};
use crate::record::Event;

/// A port that is held; dropping it gives it up.
pub enum Port {
    /// What comes is forwarded.
    Forwarded { held: Held, live_reload: bool },
    /// Every process accepts what comes itself.
    Shared(TcpListener),
}

/// How a process is to listen.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// As it thinks best.
    Nothing,
    /// On this port of the loopback.
    Port(u16),
    /// On this socket.
    Socket(&'a TcpListener),
}

impl Given<'_> {
    /// Where it listens alone, if it does.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Given::Port(port) => Some((Ipv4Addr::LOCALHOST, port).into()),
            Given::Nothing | Given::Socket(_) => None,
        }
    }
}

impl Port {
    /// Listens as `proxy` says. What comes while there is no process waits for so long as `patience`; which process
    /// has finished is sent to `inputs`.
    ///
    /// # Errors
    /// Somebody else listens there, or may not be kept from it, in words.
    pub fn hold(proxy: &Proxy, patience: Duration, inputs: &Sender<Input>) -> Result<Port, String> {
        let (address, port) = proxy.listen;
        let failed = |error| format!("cannot listen on port {port}: {error}");
        if proxy.env.is_none() {
            let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            return TcpListener::bind((address, port)).map(Port::Shared).map_err(failed);
        }
        let listen = match address {
            None => Listen::Loopback(port),
            Some(address) => Listen::Address((address, port).into()),
        };
        let inputs = inputs.clone();
        // The service's thread outlives its port.
        let tell = move |Told::Idle { id: pid }| drop(inputs.send(Input::Idle { pid }));
        let live_reload = proxy.live_reload;
        let held = Held::listen(Settings { listen, live_reload, patience }, tell).map_err(failed)?;
        Ok(Port::Forwarded { held, live_reload })
    }

    /// How the next process is to listen.
    ///
    /// # Errors
    /// There is no free port, in words.
    pub fn give(&self) -> Result<Given<'_>, String> {
        match self {
            Port::Shared(listener) => Ok(Given::Socket(listener)),
            Port::Forwarded { .. } => {
                let free =
                    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
                let free = free.map_err(|error| format!("cannot find a free port: {error}"))?;
                Ok(Given::Port(free.port()))
            }
        }
    }

    /// What comes goes to this process from now on, or waits.
    pub fn switch(&self, to: Option<(i32, SocketAddr)>) {
        if let Port::Forwarded { held, .. } = self {
            held.switch(to);
        }
    }

    /// Has it reported when the process `pid` has finished; false if only the process itself knows.
    pub fn retire(&self, pid: i32) -> bool {
        match self {
            Port::Forwarded { held, .. } => held.retire(pid),
            Port::Shared(_) => return false,
        }
        true
    }

    /// The last requests that came, as far as they passed here.
    pub fn recent(&self) -> Vec<Passed> {
        match self {
            Port::Forwarded { held, .. } => held.recent(),
            Port::Shared(_) => Vec::new(),
        }
    }

    /// The process `pid` is gone: whatever is still open to it is closed.
    pub fn close(&self, pid: i32) {
        if let Port::Forwarded { held, .. } = self {
            held.close(pid);
        }
    }

    /// Has browsers show what a build complains of, until one succeeds.
    pub fn show(&self, event: &Event) {
        if let (Port::Forwarded { held, live_reload: true }, Event::Build { ok, failure, .. }) = (self, event)
        {
            held.page((!ok).then(|| failure.output.clone()));
        }
    }
}
