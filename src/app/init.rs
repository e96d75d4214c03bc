//! `hotwatch init`: looks at what is there, writes a `hotwatch.toml` from it, and says what was taken from where.
//! Nothing that exists is ever touched.

mod editor;
mod tree;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::print;
use crate::cli::{Editor, Global, Init};
use crate::config::init::plan::{Main, Plan, Service, plan, written};
use crate::config::init::{Fact, Found, Program, Tree, air, compose, env_file, procfile, render, start_sh};
use crate::config::{self, FILE_NAME};
use crate::error::Error;

/// Scripts that start a backend, by the names that they usually have, here or in `scripts/`.
const SCRIPTS: [&str; 9] = [
    "start.sh",
    "run.sh",
    "dev.sh",
    "start-all.sh",
    "start_all.sh",
    "run-all.sh",
    "run_all.sh",
    "start-dev.sh",
    "run-dev.sh",
];

/// Procfiles; the one for development says more about this machine.
const PROCFILES: [&str; 2] = ["Procfile.dev", "Procfile"];

/// Compose files, in the order in which compose looks for them (compose-spec, "The Compose file").
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Writes the file, and the editor's.
pub fn init(init: &Init, global: &Global) -> Result<ExitCode, Error> {
    let file = match &global.config {
        Some(file) => file.clone(),
        None => PathBuf::from(FILE_NAME),
    };
    let directory = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let unreadable = |error| Error::Directory { dir: directory.to_owned(), error };
    let root = directory.canonicalize().map_err(unreadable)?;
    let exists = file.symlink_metadata().is_ok();
    if exists && init.editor.is_none() && !init.print {
        return Err(Error::Exists(file));
    }
    let mut told = String::new();
    let config = if exists && !init.print {
        config::load(&file, &|name| std::env::var(name).ok())?
    } else {
        let plan = find(&root)?;
        if init.print && global.json {
            return print(json(&plan).as_bytes());
        }
        let text = render::render(&plan);
        let config = config::parse(&text, &file, &root, &|name| std::env::var(name).ok())
            .map_err(|error| Error::Unfit(error.to_string()))?;
        if init.print {
            eprint!("{}", summary(&plan));
            return print(text.as_bytes());
        }
        create(&file, &text)?;
        if global.json {
            told = json(&plan);
        } else {
            let count = count(plan.services.len(), "service", "services");
            told = format!("wrote `{}`: {count}\n{}{}", file.display(), summary(&plan), next(&plan));
        }
        config
    };
    if let Some(Editor::Vscode) = init.editor {
        let (paste, message) = editor::vscode(&root, &config.in_file)?;
        if global.json {
            eprint!("{message}");
        } else {
            told += &message;
        }
        told += &paste.unwrap_or_default();
    }
    print(told.as_bytes())
}

/// Everything that can be found below `root`.
pub fn find(root: &Path) -> Result<Plan, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = tree::look(root, &path);
    let read = |file: &str| fs::read_to_string(root.join(file)).ok();
    let tree = Tree { read: &read, dirs: &found.dirs };
    let (sources, founds) = foreign(&found, &tree);
    let files = |main: &Main| {
        let entries = fs::read_dir(root.join(&main.dir)).into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> =
            names.filter(|name| name.ends_with(".go") && !name.ends_with("_test.go")).collect();
        names.sort();
        let dir = if main.dir.is_empty() { String::new() } else { format!("{}/", main.dir) };
        names
            .into_iter()
            .filter_map(|name| Some((format!("{dir}{name}"), read(&format!("{dir}{name}"))?)))
            .collect()
    };
    let mut plan = plan(&found.mains, founds, &tree, &files);
    plan.sources = sources;
    plan.notes.splice(0..0, found.notes);
    if env_file(".env", &tree).is_ok() && plan.env_files.is_empty() {
        plan.notes.push(
            "`.env` is here, and nothing says who reads it: `env_files = [\".env\"]` gives it to all"
                .to_owned(),
        );
    }
    if plan.services.is_empty() {
        return Err(Error::NothingToRun(refusal(root, &plan)));
    }
    Ok(plan)
}

/// What the foreign files say, those that are believed first in front, with their names.
fn foreign(found: &tree::Found, tree: &Tree<'_>) -> (Vec<String>, Vec<Found>) {
    let (mut sources, mut founds) = (Vec::new(), Vec::new());
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, (tree.read)(name)?)));
    let mut add = |name: &str, found: Found| {
        if !found.starts.is_empty() {
            sources.push(name.to_owned());
        }
        founds.push(found);
    };
    // Both tools read this one by themselves: compose for itself, foreman for the services.
    let variables: BTreeMap<String, String> = env_file(".env", tree).unwrap_or_default();
    let scripts = ["", "scripts/"].into_iter().flat_map(|dir| SCRIPTS.map(|name| format!("{dir}{name}")));
    let mut scripts =
        scripts.filter_map(|name| Some((start_sh::scan(&(tree.read)(&name)?, &name, tree), name)));
    if let Some((found, name)) = scripts.find(|(found, _)| !found.starts.is_empty()) {
        add(&name, found);
    }
    if let Some((name, text)) = first(&PROCFILES) {
        let mut found = procfile::scan(&text, name, &variables, tree);
        if (tree.read)(".env").is_some() {
            let from = format!("{name}: tools that read it load this file");
            found.env_files.push(Fact { value: ".env".to_owned(), from });
        }
        add(name, found);
    }
    if let Some((name, text)) = first(&COMPOSE_FILES) {
        let mains: Vec<String> = found.mains.iter().map(|main| main.dir.clone()).collect();
        add(name, compose::scan(&text, name, &mains, &variables, tree));
    }
    let has = |dir: &str, extension: &str| {
        let end = format!(".{extension}");
        found
            .files
            .iter()
            .any(|file| file.ends_with(&end) && (dir.is_empty() || file.starts_with(&format!("{dir}/"))))
    };
    let mut airs = Found::default();
    for name in &found.air {
        let text = (tree.read)(name).unwrap_or_default();
        let mut one = air::scan(&text, name, &has, tree);
        airs.starts.append(&mut one.starts);
        airs.notes.append(&mut one.notes);
    }
    add(&found.air.join(", "), airs);
    (sources, founds)
}

/// Why there is nothing to write, and what to do.
fn refusal(root: &Path, plan: &Plan) -> String {
    let above = root.ancestors().skip(1).find(|dir| dir.join("go.mod").is_file());
    let what = match above {
        Some(module) => format!("the module begins in `{0}`; try `hotwatch -C {0} init`", module.display()),
        None => "try `go mod init` and write a program, or see `hotwatch demo`".to_owned(),
    };
    let notes: String = plan.notes.iter().map(|note| format!("\n       {note}")).collect();
    format!(
        "nothing to run in `{}`: looked for main packages of Go modules, {}, {}, .air.toml and {}; {what}{notes}",
        root.display(),
        SCRIPTS[0],
        PROCFILES[1],
        COMPOSE_FILES[0],
    )
}

/// Writes a new file at once, or not at all.
fn create(file: &Path, text: &str) -> Result<(), Error> {
    let write = || Error::io(format!("write `{}`", file.display()));
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new()
        .prefix(".hotwatch-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(write())?;
    new.write_all(text.as_bytes()).map_err(write())?;
    match new.persist_noclobber(file) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(Error::Exists(file.to_owned())),
        Err(error) => Err(write()(error.error)),
    }
}

/// What was taken from where, and what was not.
fn summary(plan: &Plan) -> String {
    let mut out = String::new();
    let width = plan.services.iter().map(|service| service.name.len()).max().unwrap_or_default();
    for service in &plan.services {
        out += &format!("  {:width$}  {}\n", service.name, line(service));
        for note in &service.start.notes {
            out += &format!("  {:width$}  {note}\n", "");
        }
    }
    for file in &plan.env_files {
        out += &format!("env file `{}` for all (from {})\n", file.value, file.from);
    }
    for (service, why) in &plan.left_out {
        let dir = service.main.as_ref().map(|main| main.dir.as_str()).unwrap_or_default();
        out += &format!("left out: `{}`: {why}\n", written(dir));
    }
    for note in &plan.notes {
        out += &format!("note: {note}\n");
    }
    out
}

fn line(service: &Service) -> String {
    let (dir, package) = service.place();
    let mut out = match (&service.start.program, package) {
        (Program::Command(words), _) => format!("`{}` in {}", words.join(" "), written(dir)),
        (_, Some(package)) => format!("{package} in {}", written(dir)),
        (_, None) => written(dir).to_owned(),
    };
    out += &format!(" (from {})", service.from.join(", "));
    if let Some(port) = &service.start.port {
        out += &format!(", port {} (from {})", port.value, port.from);
    }
    out
}

fn next(plan: &Plan) -> String {
    let single = plan.services.len() == 1 && plan.sources.is_empty() && plan.left_out.is_empty();
    let single =
        if single { "plain `hotwatch` runs a single program without such a file, too\n" } else { "" };
    format!("{single}next: read it, then `hotwatch check`, then `hotwatch`\n")
}

#[derive(Serialize)]
struct Object<'a> {
    service: &'a str,
    dir: &'a str,
    package: Option<String>,
    port: Option<u16>,
    args: &'a [String],
    depends_on: &'a [String],
    from: &'a [String],
    notes: &'a [String],
}

/// A line for each service.
fn json(plan: &Plan) -> String {
    let object = |service: &Service| {
        let (dir, package) = service.place();
        let object = Object {
            service: &service.name,
            dir: written(dir),
            package,
            port: service.start.port.as_ref().map(|port| port.value),
            args: &service.start.args,
            depends_on: &service.depends_on,
            from: &service.from,
            notes: &service.start.notes,
        };
        serde_json::to_string(&object).unwrap_or_default() + "\n"
    };
    plan.services.iter().map(object).collect()
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
