//! A large program that runs. Each of its packages is compiled again and linked directly with all of its functions; then
//! one package after the other is edited, and the new code has to reach the process. Not part of `make test`, because
//! modules come from the network; `make test-real` runs it, and writes what it finds to `tests/real/LINK.md`.

mod edits;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::compiling::{Fresh, object};
use super::linking::Link;
use super::round::Why;
use super::{Baselines, Outcome};
use crate::go::export::Run;
use crate::patch::link;
use crate::patch::mangle::mangled;
use edits::Edit;
use program::Program;

/// What share of the packages has to be linked directly, in percent.
const SHARE: usize = 95;

/// Reasons that are no matter of linking: another function of the package is edited then.
const OTHER_REASONS: [&str; 2] = ["would not run again", "cannot be redirected"];

/// What became of packages.
#[derive(Default)]
struct Fates {
    direct: usize,
    /// Those linked with packages that have what the process lacks.
    plugin: usize,
    /// Those with nothing to try, and why.
    nothing: BTreeMap<String, Vec<String>>,
    failed: BTreeMap<String, Vec<String>>,
    /// How long steps took with those linked directly: compiling, linking, loading.
    took: [Vec<Duration>; 3],
}

/// What became of a package.
enum Fate {
    Linked(Link, [Duration; 3]),
    Nothing(String),
    Failed(String),
}

impl Fates {
    fn of(own: &[String], mut fate: impl FnMut(&str) -> Fate) -> Fates {
        let mut fates = Fates::default();
        for path in own {
            match fate(path) {
                Fate::Linked(Link::Direct, took) => {
                    fates.direct += 1;
                    fates.took.iter_mut().zip(took).for_each(|(all, one)| all.push(one));
                }
                Fate::Linked(Link::Plugin, _) => fates.plugin += 1,
                Fate::Nothing(reason) => fates.nothing.entry(reason).or_default().push(format!("`{path}`")),
                Fate::Failed(reason) => fates.failed.entry(reason).or_default().push(format!("`{path}`")),
            }
        }
        fates
    }

    fn tried(&self) -> usize {
        self.direct + self.plugin + self.failed()
    }

    fn failed(&self) -> usize {
        self.failed.values().map(Vec::len).sum()
    }

    /// A line of a table.
    fn line(&self, name: &str) -> String {
        let median = |part: &Vec<Duration>| {
            let mut part = part.clone();
            part.sort_unstable();
            part.get(part.len() / 2).copied().unwrap_or_default().as_millis().to_string()
        };
        format!(
            "| {name} | {} | {} | {:.1} % | {} | {} | {} |\n",
            self.tried(),
            self.direct,
            100.0 * self.direct as f64 / self.tried() as f64,
            self.plugin,
            self.failed(),
            self.took.each_ref().map(median).join(" / "),
        )
    }

    /// The exceptions.
    fn notes(&self, name: &str) -> String {
        let mut notes = String::new();
        for (what, by_reason) in [("failed", &self.failed), ("nothing to try", &self.nothing)] {
            for (reason, paths) in by_reason {
                let _ = writeln!(notes, "- {name}, {what}, {reason}: {}", paths.join(", "));
            }
        }
        notes
    }
}

#[test]
#[ignore = "downloads public modules; make test-real runs it"]
fn each_package_of_a_large_program() {
    let mut program = Program::start(&Baselines::default());
    let mut own: Vec<String> = program.running.in_order(&program.running.sources).unwrap();
    own.sort_unstable();
    let linked = Fates::of(&own, |path| program.linked_again(path));
    let edited = Fates::of(&own, |path| program.edited(path));
    program.running.session.hello(program::DEADLINE).unwrap();

    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let version = Command::new("go").arg("version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let (again, edits) = ("compiled again", "edited");
    let text = format!(
        "# A large program, package by package\n\nWritten by `make test-real` on {} with {}.\n\n\
         `{}` of `{}` runs; it is made of {} packages, {} of\n\
         them the module's own. *{again}*: each of these is compiled as it is, and linked with all of its functions that\n\
         the process has declared as changed. *{edits}*: a line is added to one of its functions, and the save is applied\n\
         to the process, which takes all of them one after the other and runs until the end. *As a plugin*: linked with\n\
         packages that have what the process lacks. Medians in milliseconds: compiling (and comparing) / linking / loading.\n\n\
         | | tried | linked directly | share | as a plugin | failed | medians |\n|---|---|---|---|---|---|---|\n{}{}\n{}{}",
        &date[..10],
        version.trim().trim_start_matches("go version "),
        program::PACKAGE,
        program::MODULE,
        program.running.program.packages.len(),
        own.len(),
        linked.line(again),
        edited.line(edits),
        linked.notes(again),
        edited.notes(edits),
    );
    println!("{text}");
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/LINK.md"), text).unwrap();
    for fates in [linked, edited] {
        assert!(100 * fates.direct >= SHARE * fates.tried(), "{} of {}", fates.direct, fates.tried());
    }
}

impl Program {
    /// Compiles the package `path` again, and links it directly with all of its functions that the process has.
    fn linked_again(&self, path: &str) -> Fate {
        let running = &self.running;
        let dir = running.process.dir.join(path.replace('/', "-"));
        std::fs::create_dir_all(&dir).unwrap();
        let started = Instant::now();
        let (archive, outline) =
            match running.compile_one(path, None, &Fresh::default(), &running.sources, &dir) {
                Ok(compiled) => compiled,
                Err(why) => return Fate::Failed(format!("{why:?}")),
            };
        let compiled = started.elapsed();
        let object = object(&archive).unwrap();
        let prefix = format!("{path}.");
        let is_known = |name: &String| running.loaded.find(&mangled(name, object.minor())).is_some();
        // Instances of other packages' generic functions are not its own.
        let changed =
            outline.functions.into_keys().filter(|name| name.starts_with(&prefix) && is_known(name));
        let changed: Vec<String> = changed.collect();
        if changed.is_empty() {
            return Fate::Nothing("no function of it is in the process".to_owned());
        }
        let run: Run<'_> = &|command| running.tools.run(command);
        let (tools, packages) = (&running.recipe.tools.dir, [(path.to_owned(), object)]);
        let order = link::Order {
            tools,
            dir: &dir,
            generation: 1,
            packages: &packages,
            changed: &changed,
            bound: &[],
            run,
        };
        let started = Instant::now();
        match link::link(&order, &running.loaded) {
            Ok(_) => Fate::Linked(Link::Direct, [compiled, started.elapsed(), Duration::ZERO]),
            Err(error) => Fate::Failed(error.to_string()),
        }
    }

    /// Edits functions of the package `path`, until one reaches the process.
    fn edited(&mut self, path: &str) -> Fate {
        let mut last = "no function of it is in the process".to_owned();
        let loaded = &self.running.loaded;
        let own = self.running.program.packages[path].own.as_ref().unwrap();
        let files = self.running.sources.inputs(path).unwrap().files.clone();
        let edits = files.iter().flat_map(|file| Edit::all(path, &own.dir.join(file)));
        let edits: Vec<Edit> = edits.filter(|edit| loaded.find(&edit.function).is_some()).collect();
        for edit in edits {
            edit.make();
            let outcome = self.running.round();
            println!("{}: {outcome:?}", edit.function);
            match outcome {
                Ok(Outcome::Patched(patched)) => {
                    let took = patched.took;
                    return Fate::Linked(patched.link, [took.compile, took.link, took.load]);
                }
                Err(Why::Restart(reason)) if OTHER_REASONS.iter().any(|other| reason.contains(other)) => {
                    last = reason;
                }
                Ok(other) => return Program::failed(&edit, &format!("{other:?}")),
                Err(Why::Restart(reason)) => return Program::failed(&edit, &reason),
                Err(Why::Unchanged | Why::Broken(_)) => return Program::failed(&edit, "it does not compile"),
            }
            edit.take_back();
        }
        Fate::Nothing(last)
    }

    fn failed(edit: &Edit, reason: &str) -> Fate {
        edit.take_back();
        Fate::Failed(format!("`{}`: {reason}", edit.function))
    }
}
