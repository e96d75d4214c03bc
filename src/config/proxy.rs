//! The port that hotwatch holds for a service, so that there is always somebody who listens: `proxy` in its entry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::resolve::Source;
use super::{ConfigError, Ready, Service, file};

/// How long a process that was replaced may take to finish what it has begun, unless the user says otherwise.
const DRAIN: Duration = Duration::from_secs(10);

/// A port that is held for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where hotwatch listens; `None` as the address stands for the loopback, over IPv4 and IPv6.
    pub listen: (Option<IpAddr>, u16),
    /// The variable that tells the service on which port to listen instead.
    pub env: String,
    /// How long a process that was replaced may take to finish what it has begun.
    pub drain: Duration,
    /// Whether pages in browsers are loaded again once a new process is ready.
    pub live_reload: bool,
}

impl Service {
    /// The same service on `port` instead of the one that is held for it, which nobody else listens on.
    pub fn behind(&self, port: u16) -> Service {
        let mut service = self.clone();
        let Some(proxy) = &self.proxy else { return service };
        service.env.insert(proxy.env.clone(), port.to_string());
        match &mut service.readiness.when {
            Ready::Tcp(tcp) if *tcp == proxy.listen.1 => *tcp = port,
            Ready::Http(http) if http.port == proxy.listen.1 => http.port = port,
            _ => {}
        }
        service
    }

    /// Has the service listen itself on the port that would be held for it.
    pub fn hold_nothing(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            self.env.insert(proxy.env, proxy.listen.1.to_string());
        }
    }
}

impl Proxy {
    /// The address that `port` of the service has, as seen from here.
    pub fn backend(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }
}

impl Source<'_> {
    /// Checks `proxy` of a service.
    pub(super) fn proxy(&self, parsed: &file::Service) -> Result<Option<Proxy>, ConfigError> {
        let Some(place) = &parsed.proxy else { return Ok(None) };
        let file::Proxy { listen, env, drain, live_reload } = place.get_ref();
        let listen = match listen {
            file::Listen::Port(port) => (None, port.get()),
            file::Listen::Address(address) => (Some(address.ip()), address.port()),
        };
        if let Some(port) = parsed.port.as_ref().filter(|port| *port.get_ref() != listen.1) {
            let message = format!(
                "with `proxy` hotwatch listens on port {}, and gives the service a free port each time; remove `port`",
                listen.1
            );
            return Err(self.at(port, message));
        }
        let env = env.clone().unwrap_or_else(|| "PORT".to_owned());
        if env.is_empty() || env.contains(['=', '\0']) {
            return Err(self.at(place, format!("`{env}` is no name of a variable; write one such as `PORT`")));
        }
        Ok(Some(Proxy { listen, env, drain: drain.unwrap_or(DRAIN), live_reload: *live_reload }))
    }
}
