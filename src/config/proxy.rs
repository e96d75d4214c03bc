//! The port that hotwatch holds for a service, so that there is always somebody who listens: `proxy` in its entry.

use std::net::IpAddr;
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
    /// The variable that tells the service on which port to listen instead; `None` if it is handed the listening
    /// socket itself, as sd_listen_fds(3) has it.
    pub env: Option<String>,
    /// How long a process that was replaced may take to finish what it has begun.
    pub drain: Duration,
    /// Whether pages in browsers are loaded again once a new process is ready.
    pub live_reload: bool,
}

impl Service {
    /// Has the service listen on `port` instead of the one that is held for it, on which nobody else listens.
    pub fn listen_on(&mut self, port: u16) {
        let Some(Proxy { env: Some(env), listen: (_, held), .. }) = &self.proxy else { return };
        self.env.insert(env.clone(), port.to_string());
        match &mut self.readiness.when {
            Ready::Tcp(tcp) if tcp == held => *tcp = port,
            Ready::Http(http) if http.port == *held => http.port = port,
            _ => {}
        }
    }

    /// Has the service listen itself on the port that would be held for it.
    pub fn hold_nothing(&mut self) {
        if let Some(Proxy { env: Some(env), listen: (_, port), .. }) = self.proxy.take() {
            self.env.insert(env, port.to_string());
        }
    }
}

impl Source<'_> {
    /// Checks `proxy` of a service.
    pub(super) fn proxy(&self, parsed: &file::Service) -> Result<Option<Proxy>, ConfigError> {
        let Some(place) = &parsed.proxy else { return Ok(None) };
        let file::Proxy { listen, mode, env, drain, live_reload } = place.get_ref();
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
        if *mode == file::Mode::Fd && (env.is_some() || *live_reload) {
            let message = "with `mode = \"fd\"` the service listens itself: there is no port to tell it, and nothing \
                           passes through hotwatch; remove `env` and `live_reload`";
            return Err(self.at(place, message));
        }
        let env = (*mode == file::Mode::Forward).then(|| env.clone().unwrap_or_else(|| "PORT".to_owned()));
        if let Some(env) = env.as_ref().filter(|env| env.is_empty() || env.contains(['=', '\0'])) {
            return Err(self.at(place, format!("`{env}` is no name of a variable; write one such as `PORT`")));
        }
        Ok(Some(Proxy { listen, env, drain: drain.unwrap_or(DRAIN), live_reload: *live_reload }))
    }
}
