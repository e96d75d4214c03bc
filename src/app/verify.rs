//! `hotwatch verify SERVICE`: whether the process that runs, patched or not, answers as a fresh one of what is on disk
//! does. The fresh one is built and started here, not by the hotwatch that runs the service, and ends with this process.

mod fresh;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;

use serde::Serialize;

use super::{load, print, remote, sync};
use crate::cli::{Global, Verify};
use crate::config;
use crate::error::Error;
use crate::replay::compare::{self, Difference};
use crate::replay::fetch;
use crate::replay::request::{self, Request};
use crate::service::Reached;
use fresh::Fresh;

/// So many lines of a body are shown.
const LINES: usize = 40;

/// What became of a request.
#[derive(Debug, Serialize)]
struct Compared {
    /// Method and path.
    request: String,
    equal: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    /// Why there is nothing to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Compares the answers of the service that is `asked` for with those of a fresh process.
pub fn verify(asked: &Verify, global: &Global) -> Result<ExitCode, Error> {
    let config = sync::picked(load(global)?, &[])?;
    let name = &asked.service;
    let Some(index) = config.services.iter().position(|service| service.name.as_str() == name) else {
        let hint = config::nearest(name, config.services.iter().map(|service| service.name.as_str()));
        return Err(Error::NoService { name: name.clone(), hint });
    };
    let Reached { pid, address, requests } = remote::reach(name, global)?
        .ok_or_else(|| Error::Unverified(format!("hotwatch does not know `{name}` any more")))?;
    let pid = pid.ok_or_else(|| Error::Unverified(format!("no process of `{name}` runs to compare with")))?;
    let requests = match &asked.requests {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(Error::io(format!("read `{}`", file.display())))?;
            request::parse(&text).map_err(|error| Error::Requests { file: file.clone(), error })?
        }
        None => requests.iter().filter_map(Request::of).collect(),
    };
    let (requests, others): (Vec<Request>, Vec<Request>) =
        requests.into_iter().partition(|request| asked.all || request.is_safe());
    if requests.is_empty() {
        return Err(Error::Unverified(nothing(asked, others.len(), config.services[index].proxy.is_some())));
    }
    let fresh = Fresh::start(&config, index, asked.timeout)?;
    // The fresh one could not have been told a port if that of this one were not known.
    let address = address.ok_or_else(|| Error::Unverified(format!("`{name}` has no port that is known")))?;
    let ignored: BTreeSet<String> = asked.ignore.iter().map(|header| header.to_ascii_lowercase()).collect();
    let host = format!("localhost:{}", address.port());
    let compared = |request: &Request| compared(request, [address, fresh.address()], &host, &ignored);
    let all: Vec<Compared> = requests.iter().map(compared).collect();
    let equal = all.iter().filter(|one| one.equal).count();
    let text = if global.json {
        all.iter().filter_map(|one| serde_json::to_string(one).ok()).map(|line| line + "\n").collect()
    } else {
        let mut text: String = all.iter().map(told).collect();
        text += &format!(
            "{equal} of {} requests are answered the same by PID {pid} and by a fresh process\n",
            all.len()
        );
        if !others.is_empty() {
            text += &format!("{} that may change something are not sent; `--all` sends them\n", others.len());
        }
        text
    };
    drop(fresh);
    print(text.as_bytes())?;
    Ok(if equal == all.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why there is nothing to send.
fn nothing(asked: &Verify, others: usize, is_held: bool) -> String {
    match (&asked.requests, others) {
        (_, 1..) => format!("{others} requests may change something and are not sent; `--all` sends them"),
        (Some(file), 0) => format!("there is no request in `{}`", file.display()),
        (None, 0) if is_held => {
            "no request has come to the port that hotwatch holds for it yet; send some, or name a file with `--requests`"
                .to_owned()
        }
        (None, 0) => {
            "hotwatch holds no port for it, so no request is known; name a file with `--requests`, or set `proxy`"
                .to_owned()
        }
    }
}

/// Sends `request` to the process that runs, and to the fresh one.
fn compared(
    request: &Request,
    addresses: [SocketAddr; 2],
    host: &str,
    ignored: &BTreeSet<String>,
) -> Compared {
    let [running, fresh] = addresses.map(|address| fetch::fetch(request, address, host));
    let request = format!("{} {}", request.method, request.target);
    let (differences, error) = match (running, fresh) {
        (Ok(running), Ok(fresh)) => (compare::compare(&running, &fresh, ignored), None),
        (Err(error), Ok(_)) => (Vec::new(), Some(format!("the process that runs {error}"))),
        (Ok(_), Err(error)) => (Vec::new(), Some(format!("the fresh process {error}"))),
        (Err(error), Err(_)) => (Vec::new(), Some(format!("neither can be compared: it {error}"))),
    };
    Compared { request, equal: differences.is_empty() && error.is_none(), differences, error }
}

/// What became of a request, for people.
fn told(one: &Compared) -> String {
    let mut text = format!("{} {}\n", if one.equal { "same   " } else { "differs" }, one.request);
    one.error.iter().for_each(|error| text += &format!("  {error}\n"));
    for difference in &one.differences {
        match difference {
            Difference::Status { running, fresh } => {
                text += &format!("  status: {running} runs, {fresh} fresh\n");
            }
            Difference::Header { name, running, fresh } => {
                running.iter().for_each(|value| text += &format!("  -{name}: {value}\n"));
                fresh.iter().for_each(|value| text += &format!("  +{name}: {value}\n"));
            }
            Difference::Body { lines } => {
                lines.iter().take(LINES).for_each(|line| text += &format!("  {}\n", clean(line)));
                if let Some(more) = lines.len().checked_sub(LINES).filter(|&more| more > 0) {
                    text += &format!("  {more} more lines differ\n");
                }
            }
            Difference::Bytes { running, fresh, at } => {
                text +=
                    &format!("  body: {running} bytes runs, {fresh} bytes fresh, other from byte {at} on\n");
            }
        }
    }
    text
}

/// A line that does nothing to the terminal.
fn clean(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}
