//! The text of the new `hotwatch.toml`: every line says where it comes from.

use std::fmt::{self, Write};

use super::plan::{Plan, Service, written};
use super::{Fact, Program};

const END: &str = "\
# More settings, with their defaults:
#
# log_dir  = \"/tmp\"     at the top: each service's output goes to <log_dir>/<name>.log too
# log_size = \"100MB\"    at the top: a longer one is put aside as <name>.log.1
# quiet    = \"20ms\"     at the top: a save is complete after this much silence
# debounce = \"300ms\"    at the top: saves this soon after a start are gathered into one
# ready = { log = \"listening\" }   in a [[service]]: it is ready when it writes this, instead of when `port` answers
# pty   = true                      in a [[service]]: it has a terminal of its own, and keeps its colours
# stop  = { signal = \"TERM\", grace = \"5s\" }   in a [[service]]
# watch = { include = [\"templates/**\"] }      in a [[service]]: files that count besides Go sources
# build = [\"go\", \"build\", \"-race\", \"-o\", \"{out}\", \".\"]   in a [[service]]: any command that makes {out}
";

/// The text of the file.
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    all(plan, &mut out).expect("memory takes all that is written to it");
    out
}

fn all(plan: &Plan, out: &mut String) -> fmt::Result {
    let sources =
        if plan.sources.is_empty() { "the main packages here".to_owned() } else { plan.sources.join(", ") };
    writeln!(out, "# How hotwatch runs this backend. Written by `hotwatch init` from {sources}.")?;
    writeln!(
        out,
        "# Paths are relative to this file. What stands behind `#` says where a line comes from.\n"
    )?;
    for note in &plan.notes {
        writeln!(out, "# {}", line(note))?;
    }
    if !plan.notes.is_empty() {
        out.push('\n');
    }
    if !plan.env_files.is_empty() {
        writeln!(out, "# Loaded into the environment of every service.")?;
        let from: Vec<&str> = plan.env_files.iter().map(|file| file.from.as_str()).collect();
        let files: Vec<String> = plan.env_files.iter().map(|file| file.value.clone()).collect();
        writeln!(out, "env_files = {}  # from {}\n", list(&files), from.join(", "))?;
    }
    if !plan.env.is_empty() {
        writeln!(out, "# For every service.\n[env]")?;
        for (name, fact) in &plan.env {
            variable(out, name, fact, None)?;
        }
        out.push('\n');
    }
    writeln!(out, "# In the order in which they are started.\n")?;
    for one in &plan.services {
        service(out, one)?;
        out.push('\n');
    }
    if !plan.left_out.is_empty() {
        writeln!(
            out,
            "# Main packages that were left out. Remove the `#` in front of those that are services.\n"
        )?;
    }
    for (one, why) in &plan.left_out {
        let (dir, package) = one.place();
        writeln!(out, "# [[service]]  # {}", line(why))?;
        writeln!(out, "# name = {}", quoted(&one.name))?;
        writeln!(out, "# dir = {}", quoted(written(dir)))?;
        if let Some(package) = package {
            writeln!(out, "# package = {}", quoted(&package))?;
        }
        out.push('\n');
    }
    out.push_str(END);
    Ok(())
}

fn service(out: &mut String, service: &Service) -> fmt::Result {
    let start = &service.start;
    for note in &start.notes {
        writeln!(out, "# {}", line(note))?;
    }
    let (dir, package) = service.place();
    writeln!(out, "[[service]]")?;
    writeln!(out, "name = {}  # from {}", quoted(&service.name), service.from.join(", "))?;
    writeln!(out, "dir = {}", quoted(written(dir)))?;
    match (&start.program, package) {
        (Program::Command(words), _) => writeln!(out, "run = {}  # from {}", list(words), start.from)?,
        (_, package) if !start.build_flags.is_empty() => {
            let words = ["go", "build"].into_iter().map(str::to_owned).chain(start.build_flags.clone());
            let package = package.unwrap_or_else(|| ".".to_owned());
            let words: Vec<String> = words.chain(["-o".to_owned(), "{out}".to_owned(), package]).collect();
            writeln!(out, "build = {}  # from {}", list(&words), start.from)?;
        }
        (_, Some(package)) => writeln!(out, "package = {}", quoted(&package))?,
        (_, None) => {}
    }
    if let Some(port) = &start.port {
        writeln!(out, "port = {}  # from {}", port.value, line(&port.from))?;
    }
    if !start.args.is_empty() {
        writeln!(out, "args = {}  # from {}", list(&start.args), start.from)?;
    }
    if !service.depends_on.is_empty() {
        writeln!(out, "depends_on = {}  # from {}", list(&service.depends_on), service.from.join(", "))?;
    }
    if let Some(stop) = &start.stop {
        let (signal, grace) = &stop.value;
        let grace = grace.as_ref().map(|grace| format!(", grace = {}", quoted(grace))).unwrap_or_default();
        writeln!(out, "stop = {{ signal = {}{grace} }}  # from {}", quoted(signal), stop.from)?;
    }
    let keys = [("include", &start.include), ("exclude", &start.exclude)];
    let keys: Vec<String> = keys
        .into_iter()
        .filter(|(_, globs)| !globs.is_empty())
        .map(|(key, globs)| format!("{key} = {}", list(globs)))
        .collect();
    if !keys.is_empty() {
        writeln!(out, "watch = {{ {} }}  # from {}", keys.join(", "), service.from.join(", "))?;
    }
    if !start.env.is_empty() {
        writeln!(out, "[service.env]")?;
        for (name, fact) in &start.env {
            variable(out, name, fact, start.remarks.get(name))?;
        }
    }
    Ok(())
}

fn variable(out: &mut String, name: &str, fact: &Fact<String>, remark: Option<&String>) -> fmt::Result {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let key = if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) };
    let remark = remark.map(|remark| format!("; {}", line(remark))).unwrap_or_default();
    writeln!(out, "{key} = {}  # from {}{remark}", quoted(&fact.value), fact.from)
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A basic string of TOML: that of JSON, but for the one character that only TOML escapes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A text that is sure to stay in its comment.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
