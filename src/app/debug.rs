//! `hotwatch up --debug`: which services run under the debugger, where it listens, and what must be there for that.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use super::check::{Finding, held};
use crate::config::{self, Build, Config, Service};
use crate::debugger;
use crate::error::Error;
use crate::go;
use crate::name::Name;

/// The services that run under a debugger, and the port of each.
pub type Debugged = BTreeMap<Name, u16>;

/// Those of `config` that `names` names.
///
/// # Errors
/// There is no such service, or it cannot be debugged.
pub fn debugged(config: &Config, names: &[String]) -> Result<Debugged, Error> {
    let find = |name: &String| {
        let service = config.services.iter().find(|service| service.name.as_str() == name);
        let place = config.in_file.iter().position(|known| known.as_str() == name);
        let Some((service, place)) = service.zip(place) else {
            let hint = config::nearest(name, config.in_file.iter().map(Name::as_str));
            return Err(Error::NoService { name: name.clone(), hint });
        };
        if service.sync.is_some() || service.run.first().is_none_or(|program| program != "{out}") {
            return Err(Error::NotDebuggable(name.clone()));
        }
        Ok((service.name.clone(), debugger::port(place)))
    };
    names.iter().map(find).collect()
}

/// What keeps the debuggers from being run, as far as it can be found out at once.
pub fn findings(config: &Config, debugged: &Debugged, path: &OsStr) -> Vec<Finding> {
    if !debugged.is_empty() && go::find(debugger::PROGRAM, path).is_none() {
        let message =
            format!("the `{}` command is not on the PATH, and `--debug` needs it", debugger::PROGRAM);
        let remedy =
            format!("install it with `{}`, and put `$(go env GOPATH)/bin` on the PATH", debugger::INSTALL);
        return vec![Finding::error("debug", message).with_remedy(remedy)];
    }
    let port = |(name, &port): (&Name, &u16)| {
        let whose = format!("the debugger of `{name}`");
        let Some(other) = config.services.iter().find(|service| service.port == Some(port)) else {
            return held(port, &whose, &format!("leave out `--debug {name}`"));
        };
        let finding = Finding::error("debug", format!("port {port} of {whose} is that of `{}`", other.name));
        Some(finding.with_remedy(format!("change the port of `{}`", other.name)))
    };
    debugged.iter().filter_map(port).collect()
}

/// What is left to the user when `service` runs under a debugger.
pub fn advice(service: &Service) -> Option<&'static str> {
    let custom = matches!(service.build, Build::Command(_));
    custom.then_some(
        "its `build` is its own, so it is up to that to make a binary for debuggers: \
         with `-gcflags=all=-N -l` and without `-ldflags=-w`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        config::parse(text, Path::new("hotwatch.toml"), &std::env::temp_dir(), &|_| None).unwrap()
    }

    #[test]
    fn ports_follow_the_order_of_the_file_and_not_of_the_start() {
        let config = config(
            "[[service]]\nname = \"gateway\"\ndepends_on = [\"users\"]\n[[service]]\nname = \"users\"\n\
             [[service]]\nname = \"web\"\nrun = [\"node\", \"web.js\"]\n",
        );
        let ask = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            debugged(&config, &names).map_err(|error| error.to_string())
        };
        let name = |name| Name::parse(name).unwrap();
        assert_eq!(
            ask(&["gateway", "users", "users"]),
            Ok(Debugged::from([(name("gateway"), 2345), (name("users"), 2346)]))
        );
        assert_eq!(ask(&["user"]), Err("there is no service `user`; did you mean `users`?".to_owned()));
        assert!(ask(&["web"]).unwrap_err().starts_with("`web` cannot run under a debugger: its `run`"));
    }
}
