//! `hotwatch demo`: the demo backend, copied to a directory of its own and run there. Ports that somebody else
//! holds are moved.

mod container;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hotwatch_platform::port;
use hotwatch_platform::signal::Blocked;

use super::up;
use crate::cli::{Global, Up};
use crate::config::{self, Config, FILE_NAME};
use crate::error::Error;
use container::Container;

/// The demo backend: path, content, whether it is executable. Made by build.rs.
const FILES: &[(&str, &[u8], bool)] = include!(concat!(env!("OUT_DIR"), "/demo.rs"));

/// Files in which ports are written.
const WITH_PORTS: [&str; 3] = [".env", FILE_NAME, "README.md"];

/// Runs the demo in `dir`, or in a temporary directory that is removed at the end; with `sync` one of its services in a
/// container.
pub fn demo(dir: Option<PathBuf>, sync: bool, global: &Global, signals: Blocked) -> Result<ExitCode, Error> {
    let temporary = match dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("hotwatch-demo-")
                .tempdir()
                .map_err(Error::io("make a temporary directory"))?,
        ),
    };
    let dir = dir.or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned())).unwrap_or_default();
    let mut config = unpack(&dir)?;
    // In /tmp its logs could meet those of a real backend.
    config.log_dir = dir.join("log");
    let container = if sync { Some(contain(&mut config)?) } else { None };
    introduce(&config, temporary.is_some(), container.as_ref());
    let names = container.iter().map(|_| container::SERVICE.to_owned()).collect();
    up::up(config, &Up { sync: names, ..Up::default() }, global, signals)
}

/// Has one of the services run in a container.
fn contain(config: &mut Config) -> Result<Container, Error> {
    let service = config.services.iter().find(|service| service.name.as_str() == container::SERVICE);
    let env = service.map(|service| service.env.clone()).unwrap_or_default();
    let container = Container::start(&env)?;
    let path = config.root.join(FILE_NAME);
    let failed = || Error::io(format!("write `{}`", path.display()));
    let text = fs::read_to_string(&path).map_err(failed())?;
    fs::write(&path, container.configured(&text)).map_err(failed())?;
    let log_dir = std::mem::take(&mut config.log_dir);
    *config = config::load(&path, &|_| None)?;
    config.log_dir = log_dir;
    Ok(container)
}

fn unpack(dir: &Path) -> Result<Config, Error> {
    let write = |path: &Path| Error::io(format!("write `{}`", path.display()));
    fs::create_dir_all(dir).map_err(write(dir))?;
    if fs::read_dir(dir).map_err(write(dir))?.next().is_some() {
        return Err(Error::NotEmpty(dir.to_owned()));
    }
    for (name, content, executable) in FILES {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(write(&path))?;
        fs::write(&path, content).map_err(write(&path))?;
        let mode = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(write(&path))?;
    }
    // No variable of the user's environment may get into the demo.
    let load = || config::load(&dir.join(FILE_NAME), &|_| None);
    let config = load()?;
    let moved = moved_ports(&config);
    if moved.is_empty() {
        return Ok(config);
    }
    for name in WITH_PORTS {
        let path = dir.join(name);
        let text = fs::read_to_string(&path).map_err(write(&path))?;
        fs::write(&path, move_ports(&text, &moved)).map_err(write(&path))?;
    }
    Ok(load()?)
}

/// New ports for those that are held.
fn moved_ports(config: &Config) -> BTreeMap<String, String> {
    let mut moved = BTreeMap::new();
    let mut taken = Vec::new();
    for port in config.services.iter().filter_map(|service| service.port) {
        let Some(holder) = port::holders(port).unwrap_or_default().into_iter().next() else { continue };
        // Bound until all are found, so that each is another one.
        let Ok(free) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { continue };
        let Ok(address) = free.local_addr() else { continue };
        eprintln!("port {port} is held by {holder}; the demo uses {} instead", address.port());
        moved.insert(port.to_string(), address.port().to_string());
        taken.push(free);
    }
    moved
}

/// Replaces whole numbers in `text`.
fn move_ports(text: &str, moved: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |len| start + len);
        let number = &rest[start..end];
        out.push_str(&rest[..start]);
        out.push_str(moved.get(number).map_or(number, String::as_str));
        rest = &rest[end..];
    }
    out + rest
}

fn introduce(config: &Config, temporary: bool, container: Option<&Container>) {
    let root = config.root.display();
    let last = config.services.last();
    let url = last.and_then(|gateway| gateway.port).map(|port| format!("http://127.0.0.1:{port}/"));
    let url = url.unwrap_or_default();
    let fate = if temporary { "removed when the demo ends" } else { "stays when the demo ends" };
    let where_it_runs = container.map_or_else(String::new, |container| {
        format!("; `{}` runs in the container `{}`", container::SERVICE, container.name)
    });
    eprintln!(
        "\
A backend of {} services, in {root} ({fate}){where_it_runs}.

  open   {url}
  edit   {root}/services/userService/handlers.go
         (change what `greeting` returns, save, and look again)
  stop   Ctrl+C
",
        config.services.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_moved() {
        let moved =
            BTreeMap::from([("80".to_owned(), "9999".to_owned()), ("9999".to_owned(), "1".to_owned())]);
        assert_eq!(move_ports("80 8080 :80/ x80 9999", &moved), "9999 8080 :9999/ x9999 1");
    }

    #[test]
    fn the_demo_is_a_valid_backend() {
        let dir = tempfile::tempdir().unwrap();
        let config = unpack(&dir.path().join("demo")).unwrap();
        assert_eq!(config.services.len(), 6);
        assert!(matches!(unpack(dir.path()), Err(Error::NotEmpty(_))));
    }
}
