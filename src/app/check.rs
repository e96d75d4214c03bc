//! What must be there before anything is started: `hotwatch check` shows all of it, `hotwatch up` refuses with
//! the same words for what is missing. Each finding says what to do, for the system at hand.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use hotwatch_platform::{distribution, port};
use nix::unistd::{AccessFlags, access};
use serde::Serialize;

use super::debug::{self, Debugged};
use super::{colored, load, print, up};
use crate::cli::Global;
use crate::config::{Build, Config, Service, Target};
use crate::error::Error;
use crate::go;
use crate::log::file::{self, Limits};
use crate::watch::{Told, Watch};

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    check: &'static str,
    level: Level,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warning,
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

impl Finding {
    fn new(check: &'static str, level: Level, message: impl Into<String>) -> Finding {
        Finding { check, level, message: message.into(), remedy: None }
    }

    /// Something without which it does not run.
    pub fn error(check: &'static str, message: impl Into<String>) -> Finding {
        Finding::new(check, Level::Error, message)
    }

    /// The same, with what to do about it.
    pub fn with_remedy(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// Shows everything that `up` needs; fails if it could not run.
pub fn check(global: &Global) -> Result<ExitCode, Error> {
    let mut findings = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut missing_builds = Vec::new();
    match load(global) {
        Err(error) => findings.push(Finding::new("config", Level::Error, error.to_string())),
        Ok(config) => {
            let file = config
                .files
                .last()
                .map_or_else(|| "no config file".into(), |file| file.display().to_string());
            let message = format!("{file}: {}", count(config.services.len(), "service", "services"));
            findings.push(Finding::new("config", Level::Ok, message));
            findings.extend(directories(&config));
            findings.extend(ports(&config));
            findings.extend(syncs(&config, &path));
            findings.extend(logs(&config));
            findings.extend(watching(&config));
            missing_builds = programs(&config, &path);
            missing_builds.retain(|finding| finding.check != "go");
        }
    }
    findings.extend(missing_builds);
    findings.push(go_toolchain(&path));
    findings.push(c_compiler(&path));
    let failed = findings.iter().any(|finding| finding.level == Level::Error);
    let text: String = if global.json {
        findings
            .iter()
            .filter_map(|finding| serde_json::to_string(finding).ok())
            .map(|line| line + "\n")
            .collect()
    } else {
        let color = colored(global.color, &io::stdout());
        findings.iter().map(|finding| line(finding, color)).collect()
    };
    print(text.as_bytes())?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What keeps `config` from being run, with debuggers for some of its services, of what can be found out at once.
pub fn refuse(config: &Config, debugged: &Debugged) -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut findings = ports(config);
    findings.extend(programs(config, &path));
    findings.extend(debug::findings(config, debugged, &path));
    findings.retain(|finding| finding.level == Level::Error);
    if findings.is_empty() { Ok(()) } else { Err(Error::Checks(findings)) }
}

/// What `up` should say although it can run.
pub fn warnings(config: &Config) -> Vec<String> {
    let findings = directories(config).into_iter().filter(|finding| finding.level == Level::Warning);
    findings.map(|finding| finding.to_string()).collect()
}

/// The build commands that are not there.
fn programs(config: &Config, path: &OsStr) -> Vec<Finding> {
    let names: BTreeSet<&str> = config.services.iter().flat_map(commands).collect();
    let plain = names.into_iter().filter(|word| !word.contains(['/', '{']));
    let missing = plain.filter(|name| go::find(name, path).is_none());
    let finding = |name: &str| match name {
        "go" => go_missing(),
        _ => Finding::new("command", Level::Error, format!("the command `{name}` is not on the PATH"))
            .with_remedy("install it, or correct the entry that names it"),
    };
    missing.map(finding).collect()
}

/// The programs that `service` needs before it can run.
fn commands(service: &Service) -> impl Iterator<Item = &str> {
    let build = match &service.build {
        Build::Go => Some("go"),
        Build::Command(words) => words.first().map(String::as_str),
        Build::None => None,
    };
    let steps = service.pre_build.iter().filter_map(|step| step.run.first());
    build.into_iter().chain(steps.chain(service.run.first()).map(String::as_str))
}

fn line(finding: &Finding, color: bool) -> String {
    let (word, style) = match finding.level {
        Level::Ok => ("ok", AnsiColor::Green.on_default()),
        Level::Warning => ("warning", AnsiColor::Yellow.on_default()),
        Level::Error => ("error", AnsiColor::Red.on_default()),
    };
    let style = if color { style } else { Style::new() };
    format!("{style}{word:<7}{style:#} {:<9} {finding}\n", finding.check)
}

fn directories(config: &Config) -> Vec<Finding> {
    config.services.iter().map(directory).collect()
}

fn directory(service: &Service) -> Finding {
    let (name, dir) = (&service.name, &service.dir_as_written);
    let remedy = match service.can_sync {
        true => format!("it needs `--sync {name}` then, or a `run` that says what runs here"),
        false => format!("correct `dir`, or run `go mod init` in `{dir}`"),
    };
    let fine = || Finding::new("directory", Level::Ok, format!("`{dir}` of `{name}`"));
    if service.build != Build::Go || service.dir.ancestors().any(|dir| dir.join("go.mod").is_file()) {
        return fine();
    }
    Finding::new("directory", Level::Warning, format!("`{dir}` of `{name}` is in no Go module"))
        .with_remedy(remedy)
}

fn ports(config: &Config) -> Vec<Finding> {
    let of = |service: &Service| {
        // That of a service in a container may well be held, by what runs there.
        let port = service.port.filter(|_| service.sync.is_none())?;
        let name = &service.name;
        let free = || Finding::new("port", Level::Ok, format!("port {port} of `{name}` is free"));
        let otherwise = format!("change the port of `{name}`");
        let held = held(port, &format!("`{name}`"), &otherwise).map(|finding| match service.can_sync {
            // It may be the very one.
            true => finding
                .with_remedy(format!("if that is where `{name}` is synced to, start with `--sync {name}`")),
            false => finding,
        });
        Some(held.unwrap_or_else(free))
    };
    config.services.iter().filter_map(of).collect()
}

/// What leads to where services are synced.
fn syncs(config: &Config, path: &OsStr) -> Vec<Finding> {
    let finding = |service: &Service| {
        let to = &service.sync.as_ref()?.to;
        let (name, tool) = (&service.name, to.command());
        let found = matches!(to, Target::Dir(_)) || go::find(tool, path).is_some();
        let ok = || Finding::new("sync", Level::Ok, format!("`{name}` can be synced by `{tool}`"));
        Some(if found {
            ok()
        } else {
            let message = format!("the command `{tool}` is not on the PATH, and `--sync {name}` needs it");
            Finding::new("sync", Level::Warning, message).with_remedy("install it")
        })
    };
    config.services.iter().filter_map(finding).collect()
}

/// That somebody else holds `port` of `whose`, if so; `otherwise` is what to do if that is to stay.
pub fn held(port: u16, whose: &str, otherwise: &str) -> Option<Finding> {
    let holder = port::holders(port).unwrap_or_default().into_iter().next()?;
    let remedy = match holder.pid {
        Some(pid) => format!("end it with `kill {pid}`, or {otherwise}"),
        None => format!("end it, or {otherwise}"),
    };
    let message = format!("port {port} of {whose} is held by {holder}");
    Some(Finding::new("port", Level::Error, message).with_remedy(remedy))
}

fn logs(config: &Config) -> Vec<Finding> {
    if let Some(finding) = no_log_dir(&config.log_dir) {
        return vec![finding];
    }
    let limits = Limits { size: config.log_size, keep: config.log_keep };
    let failed = |service: &Service| {
        let path = file::path(&config.log_dir, &service.name);
        let existed = path.exists();
        let error = file::examine_all(&path, limits).err();
        if !existed && path.is_file() {
            // Made just now, by looking.
            drop(std::fs::remove_file(&path));
        }
        error.map(|error| Finding::new("logs", Level::Error, error.to_string()))
    };
    let findings: Vec<Finding> = config.services.iter().filter_map(failed).collect();
    if !findings.is_empty() {
        return findings;
    }
    vec![Finding::new(
        "logs",
        Level::Ok,
        format!("`{}/<service>.log` can be written", config.log_dir.display()),
    )]
}

/// What there is to say of a `dir` for log files that is not there: `up` makes it, if it can.
fn no_log_dir(dir: &Path) -> Option<Finding> {
    let is_there = |dir: &&Path| dir.symlink_metadata().is_ok();
    let above = dir.ancestors().find(is_there)?;
    if above == dir {
        return None;
    }
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    let finding = if above.is_dir() && access(above, may).is_ok() {
        Finding::new("logs", Level::Ok, format!("`{}` is made at the start", dir.display()))
    } else {
        let message = format!("`{}` is not there and cannot be made in `{}`", dir.display(), above.display());
        Finding::new("logs", Level::Error, message).with_remedy("set another `log_dir`")
    };
    Some(finding)
}

/// Watches everything for a moment: what `up` will be told is what counts.
fn watching(config: &Config) -> Vec<Finding> {
    let watch = match Watch::start(up::watched(config)) {
        Ok(watch) => watch,
        Err(error) => return vec![Finding::new("watch", Level::Error, error.to_string())],
    };
    let mut findings = Vec::new();
    for told in watch.telling() {
        match told {
            Told::Changed(_) | Told::Found(_) | Told::Covered(_) | Told::Heard => {}
            Told::Warning(message) => findings.push(Finding::new("watch", Level::Warning, message)),
            Told::Failed(message) => {
                findings.push(Finding::new("watch", Level::Error, message));
                break;
            }
            Told::Watching(summary) => {
                let limit = hotwatch_platform::watch::limit();
                let limit = limit.map(|limit| format!(" of at most {limit}")).unwrap_or_default();
                let message = format!("{}{limit}", count(summary.directories, "directory", "directories"));
                findings.push(Finding::new("watch", Level::Ok, message));
                break;
            }
        }
    }
    findings
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn go_toolchain(path: &OsStr) -> Finding {
    match go::find("go", path) {
        None => go_missing(),
        Some(go) => match go::version(&go) {
            Ok(version) => Finding::new("go", Level::Ok, format!("{version}, `{}`", go.display())),
            Err(problem) => Finding::new("go", Level::Error, problem).with_remedy(install("go")),
        },
    }
}

fn go_missing() -> Finding {
    Finding::new("go", Level::Error, "the `go` command is not on the PATH").with_remedy(install("go"))
}

fn c_compiler(path: &OsStr) -> Finding {
    match ["cc", "gcc", "clang"].iter().find_map(|name| go::find(name, path)) {
        Some(compiler) => {
            Finding::new("c", Level::Ok, format!("`{}`, for services that use cgo", compiler.display()))
        }
        None => Finding::new(
            "c",
            Level::Warning,
            "no C compiler is on the PATH; services that use cgo cannot be built",
        )
        .with_remedy(install("cc")),
    }
}

/// How to install the program `what` on this system.
fn install(what: &str) -> String {
    install_on(&distribution(), what)
}

fn install_on(distribution: &[String], what: &str) -> String {
    let command = distribution.iter().find_map(|id| match (id.as_str(), what) {
        ("macos", "go") => Some("brew install go"),
        ("macos", _) => Some("xcode-select --install"),
        ("debian" | "ubuntu", "go") => Some("sudo apt install golang-go"),
        ("debian" | "ubuntu", _) => Some("sudo apt install gcc libc6-dev"),
        ("fedora" | "rhel", "go") => Some("sudo dnf install golang"),
        ("fedora" | "rhel", _) => Some("sudo dnf install gcc"),
        ("arch", "go") => Some("sudo pacman -S go"),
        ("arch", _) => Some("sudo pacman -S gcc"),
        ("alpine", "go") => Some("sudo apk add go"),
        ("alpine", _) => Some("sudo apk add gcc musl-dev"),
        ("suse" | "opensuse", "go") => Some("sudo zypper install go"),
        ("suse" | "opensuse", _) => Some("sudo zypper install gcc"),
        _ => None,
    });
    match (command, what) {
        (Some(command), _) => format!("install it with `{command}`"),
        (None, "go") => "install it from https://go.dev/dl/".to_owned(),
        (None, _) => "install gcc or clang".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_the_system() {
        let on =
            |ids: &[&str], what| install_on(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(), what);
        assert_eq!(on(&["macos"], "go"), "install it with `brew install go`");
        assert_eq!(
            on(&["linuxmint", "ubuntu", "debian"], "go"),
            "install it with `sudo apt install golang-go`"
        );
        assert_eq!(
            on(&["rocky", "rhel", "centos", "fedora"], "cc"),
            "install it with `sudo dnf install gcc`"
        );
        assert_eq!(on(&["plan9"], "go"), "install it from https://go.dev/dl/");
    }
}
