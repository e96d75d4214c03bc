//! A large program that runs, of which one package after the other is edited: does the new code reach the process, and
//! was it linked directly? Not part of `make test`, because modules come from the network; `make test-real` runs it, and
//! writes what it finds to `tests/real/LINK.md`.

mod edits;
mod program;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::linking::Link;
use super::round::Why;
use super::{Baselines, Outcome, Took};
use edits::Edit;
use program::Program;

/// What share of the packages has to be linked directly, in percent.
const SHARE: usize = 95;

/// Reasons that are no matter of linking: another function of the package is edited then.
const OTHER_REASONS: [&str; 2] = ["would not run again", "cannot be redirected"];

/// What became of a package.
enum Fate {
    /// The process runs the new code.
    Patched(Link, Took),
    /// It has no function to try with, or only such as take a restart; the last reason.
    Nothing(String),
    /// It did not reach the process, for this reason.
    Failed(String),
}

#[test]
#[ignore = "downloads public modules; make test-real runs it"]
fn each_package_of_a_large_program() {
    let mut program = Program::start(&Baselines::default());
    let mut own: Vec<String> = program.running.order.clone();
    own.sort_unstable();
    let (mut direct, mut plugin, mut took) = (0, 0, Vec::new());
    let (mut nothing, mut failed) = (Vec::new(), Vec::new());
    for path in &own {
        match program.fate(path) {
            Fate::Patched(Link::Direct, parts) => {
                direct += 1;
                took.push(parts);
            }
            Fate::Patched(Link::Plugin, _) => plugin += 1,
            Fate::Nothing(reason) => nothing.push(format!("- `{path}`: {reason}\n")),
            Fate::Failed(reason) => failed.push(format!("- `{path}`: {reason}\n")),
        }
    }
    program.running.session.hello(program::DEADLINE).unwrap();

    let tried = own.len() - nothing.len();
    let median = |part: &dyn Fn(&Took) -> Duration| {
        let mut parts: Vec<Duration> = took.iter().map(part).collect();
        parts.sort_unstable();
        parts.get(parts.len() / 2).copied().unwrap_or_default().as_millis()
    };
    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let version = Command::new("go").arg("version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let mut text = format!(
        "# A large program, edited package by package\n\nWritten by `make test-real` on {} with {}.\n\n\
         `{}` of `{}` runs; it is made of {} packages, {} of them the module's own. In each of these a line was added\n\
         to one function, as in an editor, and the patch was loaded into the process. The process took all patches,\n\
         one after the other, and runs.\n\n\
         | own packages | with a function to try | linked directly | share | with packages that have what the process lacks | failed |\n\
         |---|---|---|---|---|---|\n\
         | {} | {tried} | {direct} | {:.1} % | {plugin} | {} |\n\n\
         Medians in milliseconds: compiling and comparing {}, linking {}, loading {}.\n",
        &date[..10],
        version.trim().trim_start_matches("go version "),
        program::PACKAGE,
        program::MODULE,
        program.running.program.packages.len(),
        own.len(),
        own.len(),
        100.0 * direct as f64 / tried as f64,
        failed.len(),
        median(&|took| took.compile),
        median(&|took| took.link),
        median(&|took| took.load),
    );
    for (what, list) in [("Failed", &failed), ("Without a function to try", &nothing)] {
        if !list.is_empty() {
            let _ = write!(text, "\n{what}:\n\n{}", list.concat());
        }
    }
    println!("{text}");
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/LINK.md"), text).unwrap();
    assert!(100 * direct >= SHARE * tried, "{direct} of {tried}");
}

impl Program {
    /// Edits functions of the package `path`, until one reaches the process.
    fn fate(&mut self, path: &str) -> Fate {
        let mut last = "no function of it is in the process".to_owned();
        let loaded = &self.running.loaded;
        let own = self.running.program.packages[path].own.as_ref().unwrap();
        let files: Vec<_> = self.running.sources.inputs(path).unwrap().files.iter().cloned().collect();
        let edits = files.iter().flat_map(|file| Edit::all(path, &own.dir.join(file)));
        let edits: Vec<Edit> = edits.filter(|edit| loaded.find(&edit.function).is_some()).collect();
        for edit in edits {
            edit.make();
            let outcome = self.running.round();
            println!("{}: {outcome:?}", edit.function);
            match outcome {
                Ok(Outcome::Patched(patched)) => return Fate::Patched(patched.link, patched.took),
                Err(Why::Restart(reason)) if OTHER_REASONS.iter().any(|other| reason.contains(other)) => {
                    last = reason;
                }
                Ok(other) => return self.failed(&edit, format!("{other:?}")),
                Err(Why::Restart(reason)) => return self.failed(&edit, reason),
                Err(Why::Unseen) => return self.failed(&edit, "it does not compile".to_owned()),
            }
            edit.take_back();
        }
        Fate::Nothing(last)
    }

    fn failed(&self, edit: &Edit, reason: String) -> Fate {
        edit.take_back();
        Fate::Failed(format!("`{}`: {reason}", edit.function))
    }
}
