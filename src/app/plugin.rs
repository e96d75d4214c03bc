//! `hotwatch plugin`: plugins are built, and their hosts are asked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use regex::Regex;
use serde_json::{Value, json};

use super::print;
use crate::cli::{Global, Host, Isolation, Plugin, PluginBuild};
use crate::error::Error;
use crate::plugin::{self, Built, Choice, Form, Order, PluginError, admin};

/// After this it is said what takes so long.
const LONG: Duration = Duration::from_secs(1);

/// What is known at once is answered within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

/// `hotwatch plugin`.
pub fn plugin(verb: Plugin, global: &Global) -> Result<ExitCode, Error> {
    match verb {
        Plugin::Build(asked) => build(asked, global),
        Plugin::Init { dir } => {
            let here = std::env::current_dir().map_err(Error::io("find the current directory"))?;
            let module = here.ancestors().find(|dir| dir.join("go.mod").is_file());
            let module = module.ok_or_else(|| {
                let words = format!("`{}` is in no Go module; run `go mod init` first", here.display());
                PluginError::Unlistable { words, hint: "" }
            })?;
            let written = plugin::init::init(module, &dir)?;
            let text = format!("the SDK is in `{}`, and `go.mod` says so\n", written.display());
            print(text.as_bytes())
        }
        Plugin::List(host) => list(&host, global),
        Plugin::Reload(host) => reload(&host, global),
        Plugin::Manifest(host) => {
            let answer = admin::ask(&only(host.socket)?, "manifest")?;
            print(format!("{}\n", answer["manifest"]).as_bytes())
        }
    }
}

fn build(asked: PluginBuild, global: &Global) -> Result<ExitCode, Error> {
    let pattern = |name: &str, text: &Option<String>| {
        let compiled = text.as_deref().map(Regex::new).transpose();
        compiled.map_err(|error| Error::Pattern { name: name.to_owned(), error })
    };
    let form = match asked.isolation {
        _ if asked.static_linking => Form::Linked,
        Isolation::None => Form::Shared,
        Isolation::Process => Form::Process,
    };
    let choice = Choice {
        include: pattern("--include", &asked.include)?,
        exclude: pattern("--exclude", &asked.exclude)?,
    };
    let order = Order {
        plugin: asked.plugin,
        output: asked.output,
        form,
        choice,
        live_prefix: asked.live_prefix,
        builds: asked.go_build,
        keeps: asked.leave_temps,
        debug: asked.debug,
        host: asked.host,
        force: asked.force,
        flags: asked.flags,
    };
    let begun = Instant::now();
    let (done, ended) = bounded::<()>(0);
    let built = std::thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(LONG).is_err_and(|error| error.is_timeout()) {
                eprintln!("the go command builds");
            }
        });
        let built = plugin::build(&order);
        drop(done);
        built
    })?;
    let ms = begun.elapsed().as_millis();
    for warning in built.warnings.iter().filter(|_| asked.verbose) {
        eprintln!("warning: {warning}");
    }
    let Built { name, version, path, unchanged, generated, warnings } = built;
    let shown = |path: &PathBuf| path.display().to_string();
    if global.json {
        let (path, generated) = (path.as_ref().map(shown), generated.as_ref().map(shown));
        let told = json!({
            "plugin": name, "version": version, "path": path, "unchanged": unchanged, "generated": generated,
            "warnings": warnings, "ms": u64::try_from(ms).unwrap_or(u64::MAX),
        });
        return print(format!("{told}\n").as_bytes());
    }
    let mut text = match (&path, unchanged) {
        (Some(path), true) => format!("{name} {version} is unchanged: {}\n", path.display()),
        (Some(path), false) => format!("{name} {version}: {}, {ms} ms\n", path.display()),
        (None, _) => format!("{name} {version} is generated\n"),
    };
    if let Some(generated) = generated {
        text += &format!("what was generated is in `{}`\n", generated.display());
    }
    if !warnings.is_empty() && !asked.verbose {
        let count = crate::record::counted(warnings.len() as u64, "warning");
        text += &format!("{count}; `-v` shows what behaves otherwise in a plugin\n");
    }
    print(text.as_bytes())
}

fn list(host: &Host, global: &Global) -> Result<ExitCode, Error> {
    let sockets = host.socket.clone().map_or_else(admin::hosts, |socket| vec![socket]);
    if sockets.is_empty() {
        return Err(nobody().into());
    }
    let (mut text, is_only) = (String::new(), sockets.len() == 1);
    for socket in sockets {
        let answer = match admin::ask_within(&socket, "list", AT_ONCE) {
            Ok(answer) => answer,
            Err(error) if !is_only => {
                eprintln!("{error}");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let plugins = answer["plugins"].as_array().cloned().unwrap_or_default();
        if global.json {
            text += &format!("{}\n", json!({ "host": socket.display().to_string(), "plugins": plugins }));
            continue;
        }
        text += &format!("{}\n", socket.display());
        let word = |plugin: &Value, key: &str| plugin[key].as_str().unwrap_or_default().to_owned();
        let width = plugins.iter().map(|it| word(it, "name").len()).max().unwrap_or(0);
        for plugin in &plugins {
            let (name, version, form) = (word(plugin, "name"), word(plugin, "version"), word(plugin, "form"));
            text += &format!("  {name:<width$}  {version}  {form}\n");
        }
    }
    print(text.as_bytes())
}

fn reload(host: &Host, global: &Global) -> Result<ExitCode, Error> {
    let answer = admin::ask(&only(host.socket.clone())?, "reload")?;
    let details = &answer["details"];
    if global.json {
        return print(format!("{details}\n").as_bytes());
    }
    let mut text = String::new();
    for plugin in details["plugins"].as_array().into_iter().flatten() {
        let word = |key: &str| plugin[key].as_str().unwrap_or_default();
        let version = match (word("previous"), word("version")) {
            ("", version) => version.to_owned(),
            (previous, "") => previous.to_owned(),
            (previous, version) => format!("{previous} -> {version}"),
        };
        text += &format!("{}: {} {version}\n", word("name"), word("outcome"));
    }
    text += &format!("{} ms\n", details["ms"]);
    print(text.as_bytes())
}

/// The one host that is there.
fn only(socket: Option<PathBuf>) -> Result<PathBuf, PluginError> {
    let mut sockets = socket.map_or_else(admin::hosts, |socket| vec![socket]);
    match sockets.len() {
        0 => Err(nobody()),
        1 => Ok(sockets.remove(0)),
        _ => {
            let all: Vec<String> = sockets.iter().map(|socket| format!("`{}`", socket.display())).collect();
            Err(PluginError::NoHost(format!(
                "there are several hosts; name one with `--socket`: {}",
                all.join(", ")
            )))
        }
    }
}

fn nobody() -> PluginError {
    let words =
        "no host is there to ask; it opens its admin socket with the option `hotplug.WithAdmin(\"\")`";
    PluginError::NoHost(words.to_owned())
}
