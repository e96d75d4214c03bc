//! A second process of a service beside the one that runs: the same, but for the port. Which of its settings tell it the
//! port is read off them: a variable or an argument that is the port, or an address that ends with it. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::{Ready, Service};

/// Why there cannot be a second one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BesideError {
    /// It is not known on which port it listens.
    #[error("`{0}` has no `port`; say on which it listens, as in `port = 8080`")]
    NoPort(String),
    /// It cannot be told another port.
    #[error(
        "`{name}` cannot be told another port than {port}: no variable in its `env`, no env file and none of its `args` \
         says that one; have it read a variable, as in `env = {{ PORT = \"{port}\" }}`, or have hotwatch hold the port, \
         as in `proxy = {{ listen = {port}, env = \"PORT\" }}`"
    )]
    Fixed {
        /// Its name.
        name: String,
        /// The port.
        port: u16,
    },
}

impl Service {
    /// Has it listen on `port` instead of where the one does that runs, alone, and without what comes before a build.
    ///
    /// # Errors
    /// It cannot be told so.
    pub fn run_beside(&mut self, port: u16) -> Result<(), BesideError> {
        self.depends_on.clear();
        self.pre_build.clear();
        self.pty = false;
        match &mut self.proxy {
            Some(proxy) if proxy.env.is_none() => {
                let own =
                    std::mem::replace(&mut proxy.listen, (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)).1;
                self.ready_on(own, port);
            }
            Some(_) => {
                self.listen_on(port);
                self.proxy = None;
            }
            None => {
                let name = self.name.to_string();
                let own = self.port.ok_or_else(|| BesideError::NoPort(name.clone()))?;
                let mut told = 0;
                for text in self.env.values_mut().chain(&mut self.args) {
                    if let Some(other) = with_port(text, own, port) {
                        *text = other;
                        told += 1;
                    }
                }
                if told == 0 {
                    return Err(BesideError::Fixed { name, port: own });
                }
                self.ready_on(own, port);
            }
        }
        self.port = Some(port);
        Ok(())
    }

    /// Has it be ready where it listens now.
    fn ready_on(&mut self, own: u16, port: u16) {
        match &mut self.readiness.when {
            Ready::Tcp(tcp) if *tcp == own => *tcp = port,
            Ready::Http(http) if http.port == own => http.port = port,
            _ => {}
        }
    }
}

/// `text` with `port`, if it is the port `own`, or a flag or an address that ends with it. The address of another service,
/// or a page's, is not meant: it has a path, or another port.
fn with_port(text: &str, own: u16, port: u16) -> Option<String> {
    let before = text.strip_suffix(&own.to_string())?;
    let ends = before.is_empty() || before.ends_with([':', '=']);
    (ends && !before.contains('/')).then(|| format!("{before}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(settings: &str) -> Result<Service, BesideError> {
        let text = format!("[[service]]\nname = \"api\"\n{settings}\n");
        let root = std::env::temp_dir();
        let config = crate::config::parse(&text, "hotwatch.toml".as_ref(), &root, &|_| None).unwrap();
        let mut service = config.services.into_iter().next().unwrap();
        service.run_beside(9).map(|()| service)
    }

    #[test]
    fn the_port_is_replaced_where_it_is_told() {
        for (text, expected) in [
            ("8080", Some("9")),
            (":8080", Some(":9")),
            ("127.0.0.1:8080", Some("127.0.0.1:9")),
            ("--port=8080", Some("--port=9")),
            ("-listen=:8080", Some("-listen=:9")),
            ("18080", None),
            ("80800", None),
            ("x8080", None),
            ("http://localhost:8080", None),
            (":8081", None),
            ("", None),
        ] {
            assert_eq!(with_port(text, 8080, 9).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_second_service_is_the_same_but_for_the_port() {
        let service =
            beside("port = 8080\nenv = { ADDR = \":8080\", OTHER = \"x:8081\" }\nargs = [\"-p\", \"8080\"]")
                .unwrap();
        assert_eq!((service.env["ADDR"].as_str(), service.env["OTHER"].as_str()), (":9", "x:8081"));
        assert_eq!(
            (&service.args[..], &service.readiness.when),
            (&["-p", "9"].map(str::to_owned)[..], &Ready::Tcp(9))
        );
        let service = beside("proxy = { listen = 8080, env = \"LISTEN\" }").unwrap();
        assert_eq!((service.env["LISTEN"].as_str(), service.proxy.is_none()), ("9", true));
        assert_eq!(service.readiness.when, Ready::Tcp(9));
        let service = beside("proxy = { listen = 8080, mode = \"fd\" }").unwrap();
        assert_eq!(service.proxy.unwrap().listen, (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), 9));
    }

    #[test]
    fn where_it_cannot_be_told_that_is_said_with_what_to_write() {
        assert_eq!(beside("").unwrap_err(), BesideError::NoPort("api".to_owned()));
        let error = beside("port = 8080\nenv = { PORT = \"80\" }").unwrap_err();
        assert_eq!(error, BesideError::Fixed { name: "api".to_owned(), port: 8080 });
        assert!(error.to_string().contains("`env = { PORT = \"8080\" }`"), "{error}");
    }
}
