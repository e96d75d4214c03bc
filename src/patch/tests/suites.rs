//! Other people's tests, which have to pass after every function that they test was switched to a copy. Not part of
//! `make test`, because modules come from the network; `make test-real` runs it, and writes what it finds to
//! `tests/real/PATCH.md`.

mod build;
mod list;
mod switch;
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::recompile::said;
use build::Built;
use list::{SUITES, Suite};
use switch::Switch;
use tests::Results;

const HEAD: &str = "The tests of packages, run in a process in which every function of the package was switched, before the first test,\n\
to a copy that was compiled again. *Functions* counts those that the package and its internal tests are compiled to,\n\
*in the program* those that the linker has kept, *switched* those that jump to the copy, *entered* those of them that\n\
were counted: by name, or by a value that was made before; values that the copies make lead to them uncounted. Tests are\n\
counted with those inside of others (`-test.short`; those of `gopkg.in/yaml.v3` are in a framework of their own, which\n\
counts as one): passed / failed / skipped, by a usual test binary, by the host (which is compiled for patches) as it is,\n\
and by the host after the switch.\n\n\
| package | functions | in the program | switched | entered | usual | host | switched | worse than the host |\n\
|---|---|---|---|---|---|---|---|---|\n";

#[test]
#[ignore = "downloads public modules; make test-real runs it"]
fn suites_of_other_people() {
    let only = std::env::var("SUITE").ok();
    let tools = said(Command::new("go").args(["env", "GOTOOLDIR"]));
    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let version = said(Command::new("go").arg("version"));
    let version = version.trim().trim_start_matches("go version ");
    let (mut table, mut notes, mut worse) = (String::new(), String::new(), BTreeSet::new());
    for suite in SUITES.iter().filter(|suite| only.as_ref().is_none_or(|only| only == suite.package)) {
        let report = Report::of(suite, Path::new(tools.trim()));
        println!("{}{}", report.line, report.notes);
        table += &report.line;
        notes += &report.notes;
        worse.extend(report.worse.iter().map(|test| format!("{}: {test}", suite.package)));
    }
    if only.is_none() {
        let text = format!(
            "# Live patches on real code\n\nWritten by `make test-real` on {} with {version}.\n\n{HEAD}{table}\n{notes}",
            &date[..10]
        );
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/PATCH.md"), text).unwrap();
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

/// What is said of a suite.
struct Report {
    line: String,
    notes: String,
    /// The tests that a switch has broken.
    worse: BTreeSet<String>,
}

impl Report {
    fn of(suite: &Suite, tools: &Path) -> Report {
        let built = Built::of(suite);
        let ordinary = tests::ordinary(&built);
        let mut loaded = tests::loaded(&built);
        let (host, _) = tests::host(&built, &mut loaded, None);
        let switch = Switch::of(suite.package, &built, &loaded, tools);
        let (functions, absent, refused) = (switch.functions, switch.absent, switch.refused.clone());
        let count = switch.linked.trampolines.len();
        let (switched, entered) = tests::host(&built, &mut loaded, Some(switch));
        assert!(count > 0 && ordinary.count("pass") > 0, "{}: {}", suite.package, ordinary.output);
        assert!(entered != Some(0), "{}: nothing came to the copies", suite.package);
        let mut worse = switched.worse_than(&host);
        if switched.end != host.end {
            worse.insert(format!("the process, which ends with {}", switched.end));
        }

        let name = match suite.version {
            Some(version) => format!("{}@{version}", suite.package),
            None => suite.package.to_owned(),
        };
        let counts = |results: &Results| {
            ["pass", "fail", "skip"].map(|what| results.count(what).to_string()).join(" / ")
        };
        let line = format!(
            "| `{name}` | {functions} | {} | {count} | {} | {} | {} | {} | {} |\n",
            functions - absent,
            entered.map_or("not told".to_owned(), |entered| entered.to_string()),
            counts(&ordinary),
            counts(&host),
            counts(&switched),
            worse.len(),
        );
        let mut notes = String::new();
        let mut by_reason: BTreeMap<&str, (Vec<String>, usize)> = BTreeMap::new();
        for (function, reason) in &refused {
            let (own, others) = by_reason.entry(reason).or_default();
            if function.starts_with(&suite.prefix()) {
                own.push(format!("`{function}`"));
            } else {
                *others += 1;
            }
        }
        for (reason, (own, others)) in by_reason {
            let others = (others > 0).then(|| format!("{others} of types and other packages' generic code"));
            let all: Vec<String> = own.into_iter().chain(others).collect();
            let _ = writeln!(notes, "- {name}, not switched, {reason}: {}", all.join(", "));
        }
        let mut tell = |what: &str, tests: &BTreeSet<String>| {
            if !tests.is_empty() {
                let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
                let _ = writeln!(notes, "- {name}, {what}: {}", tests.join(", "));
            }
        };
        tell("fails in a usual test binary", &ordinary.failed());
        tell("fails in the host but not there", &host.worse_than(&ordinary));
        tell("FAILS AFTER THE SWITCH but not in the host", &worse);
        if !worse.is_empty() {
            println!("{}", switched.output);
        }
        Report { line, notes, worse }
    }
}
