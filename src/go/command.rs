//! The commands that hotwatch gives to the go tool: how a service is built when its config does not say, and
//! which program a build command is about.

use std::collections::BTreeMap;

use crate::config::{Build, Service};

/// Has packages compiled without debug information.
const LEAN: &str = "-gcflags=all=-dwarf=false";

/// How much garbage the go command's programs let grow before they collect it (`go doc runtime`).
const COLLECTOR: &str = "GOGC";

/// The main packages of a service, and the flags that decide which files belong to them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Where the go command runs, relative to the service's directory.
    pub dir: String,
    /// Build flags that matter to `go list`, such as `-tags`.
    pub flags: Vec<String>,
    /// The packages, as they are written on the command line.
    pub packages: Vec<String>,
}

/// The program that `service` is built from; `None` when that is not known to be one of Go.
pub fn target(service: &Service) -> Option<Target> {
    let plain =
        |package: &str| Target { dir: String::new(), flags: Vec::new(), packages: vec![package.into()] };
    match (&service.build, &service.package) {
        (Build::Go, package) => Some(plain(package.as_deref().unwrap_or("."))),
        (Build::Command(words), None) => of_command(words),
        (_, package) => package.as_deref().map(plain),
    }
}

/// Flags of `go build` that take no value (`go help build`).
const SWITCHES: [&str; 15] = [
    "a",
    "asan",
    "cover",
    "i",
    "json",
    "linkshared",
    "modcacherw",
    "msan",
    "n",
    "race",
    "trimpath",
    "v",
    "work",
    "x",
    "buildvcs",
];

/// Flags that change nothing about which files belong to a program.
const IRRELEVANT: [&str; 15] = [
    "o", "p", "v", "x", "n", "a", "i", "json", "work", "ldflags", "gcflags", "asmflags", "buildvcs",
    "trimpath", "C",
];

/// The program of a command of the form `go build [flags] [packages]`.
fn of_command(words: &[String]) -> Option<Target> {
    let [go, build, rest @ ..] = words else { return None };
    if go != "go" || !matches!(build.as_str(), "build" | "install") {
        return None;
    }
    let (mut dir, mut flags, mut packages) = (String::new(), Vec::new(), Vec::new());
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let Some(flag) = word.strip_prefix('-').filter(|_| packages.is_empty()) else {
            packages.push(word.clone());
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None if SWITCHES.contains(&flag) => (flag, None),
            None => (flag, Some(rest.next()?.clone())),
        };
        if name == "C" {
            dir = value.clone().unwrap_or_default();
        }
        if !IRRELEVANT.contains(&name) {
            flags.push(value.map_or_else(|| format!("-{name}"), |value| format!("-{name}={value}")));
        }
    }
    if packages.is_empty() {
        packages.push(".".to_owned());
    }
    Some(Target { dir, flags, packages })
}

/// The build command for `service`; `None` when nothing is to be built. `{out}` stands for the binary.
/// `goflags` are those of the environment, which the flags here must not contradict. With `debug` the binary keeps
/// everything that a debugger needs: variables in their places, functions that are not inlined. With `lean` not even
/// packages that are compiled already may have what only debuggers read: see [`prepare`].
pub fn build(service: &Service, goflags: &str, debug: bool, lean: bool) -> Option<Vec<String>> {
    let words = match &service.build {
        Build::None => return None,
        Build::Command(words) => return Some(words.clone()),
        Build::Go => ["go", "build", "-o", "{out}"],
    };
    let mut words = words.map(str::to_owned).to_vec();
    let asked_for =
        |flag: &str| goflags.split_whitespace().any(|word| word.trim_start_matches('-').starts_with(flag));
    // Asking git for the revision takes 20 to 40 ms per build, and would make equal programs differ.
    if !asked_for("buildvcs") {
        words.push("-buildvcs=false".to_owned());
    }
    // Leaving out what only debuggers read takes a fifth off a small service's build.
    if debug && !asked_for("gcflags") {
        words.push("-gcflags=all=-N -l".to_owned());
    }
    if lean {
        words.push(LEAN.to_owned());
    }
    if !debug && !service.debug_info && !asked_for("ldflags") {
        words.push("-ldflags=-w".to_owned());
    }
    words.push(service.package.clone().unwrap_or_else(|| ".".to_owned()));
    Some(words)
}

/// The command that builds `service` without what only debuggers read in any of its packages; `None` where that is
/// wanted, or not hotwatch's to decide. The linker then reads less: a changed build of node_exporter takes 18 % less time (Go 1.26).
/// But what the user's other builds have left in the build cache is of no use, so this takes as long as a build of
/// everything, once.
pub fn prepare(service: &Service, goflags: &str, debug: bool) -> Option<Vec<String>> {
    let asked_for =
        |flag: &str| goflags.split_whitespace().any(|word| word.trim_start_matches('-').starts_with(flag));
    let keeps = debug || service.debug_info || asked_for("gcflags") || asked_for("ldflags");
    if service.build != Build::Go || keeps {
        return None;
    }
    build(service, goflags, debug, true).map(in_background)
}

/// The command `words` at a low priority, since nobody waits for it; at the lowest it would get nowhere on a busy
/// machine.
pub fn in_background(words: Vec<String>) -> Vec<String> {
    ["nice", "-n", "10"].into_iter().map(str::to_owned).chain(words).collect()
}

/// The variables with which `service` is built: its own, and how much memory the compiler and the linker may take
/// instead of time, unless its environment or the `inherited` one says that already. At Go's default of 100 a build of
/// node_exporter takes 7 % longer, for 10 % less memory (Go 1.26).
pub fn environment(service: &Service, inherited: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut env = service.env.clone();
    if service.build == Build::Go && !inherited(COLLECTOR) {
        env.entry(COLLECTOR.to_owned()).or_insert_with(|| "400".to_owned());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lean_builds_are_prepared_where_nobody_wants_to_debug() {
        let service = |settings: &str| {
            let text = format!("[[service]]\nname = \"api\"\n{settings}\n");
            let root = std::env::temp_dir();
            crate::config::parse(&text, "hotwatch.toml".as_ref(), &root, &|_| None)
                .unwrap()
                .services
                .remove(0)
        };
        let words = prepare(&service("package = \"./cmd/x\""), "-mod=mod", false).unwrap();
        assert_eq!(words.last().unwrap(), "./cmd/x");
        assert!(words.contains(&LEAN.to_owned()));
        assert!(build(&service(""), "", false, true).unwrap().contains(&LEAN.to_owned()));
        for (settings, goflags, debug) in [
            ("debug_info = true", "", false),
            ("build = [\"make\", \"{out}\"]", "", false),
            ("", "-gcflags=-N", false),
            ("", "-ldflags=-s", false),
            ("", "", true),
        ] {
            assert_eq!(prepare(&service(settings), goflags, debug), None, "{settings} {goflags} {debug}");
        }
    }

    #[test]
    fn memory_of_a_build() {
        let text = |config: &str, inherited: bool| {
            let root = std::env::temp_dir();
            let config = format!("[[service]]\nname = \"api\"\n{config}\n");
            let config = crate::config::parse(&config, "hotwatch.toml".as_ref(), &root, &|_| None).unwrap();
            environment(&config.services[0], |_| inherited).get("GOGC").cloned()
        };
        assert_eq!(text("", false).as_deref(), Some("400"));
        assert_eq!(text("", true), None);
        assert_eq!(text("env = { GOGC = \"50\" }", false).as_deref(), Some("50"));
        assert_eq!(text("build = [\"make\", \"{out}\"]", false), None);
    }

    #[test]
    fn flags_of_a_build() {
        let text = |goflags: &str, debug: bool| {
            let config = "[[service]]\nname = \"api\"\n";
            let root = std::env::temp_dir();
            let config = crate::config::parse(config, "hotwatch.toml".as_ref(), &root, &|_| None).unwrap();
            build(&config.services[0], goflags, debug, false).unwrap().join("|")
        };
        let table = [
            ("", false, "-buildvcs=false|-ldflags=-w"),
            ("", true, "-buildvcs=false|-gcflags=all=-N -l"),
            ("-buildvcs=true -ldflags=-s", false, ""),
            ("-buildvcs=true --gcflags=-N", true, ""),
        ];
        for (goflags, debug, expected) in table {
            let expected = ["go|build|-o|{out}", expected, "."].map(str::to_owned);
            let expected: Vec<String> = expected.into_iter().filter(|part| !part.is_empty()).collect();
            assert_eq!(text(goflags, debug), expected.join("|"), "{goflags} {debug}");
        }
    }

    #[test]
    fn the_program_of_a_build_command() {
        let table = [
            ("go build -o {out} .", Some(("", "", "."))),
            ("go build -o {out}", Some(("", "", "."))),
            ("go build -tags dev,x -o {out} ./cmd/a", Some(("", "-tags=dev,x", "./cmd/a"))),
            ("go build --tags=dev -race -v -o={out} ./cmd/a", Some(("", "-tags=dev -race", "./cmd/a"))),
            ("go build -C sub -ldflags -s -mod=vendor -o {out} .", Some(("sub", "-mod=vendor", "."))),
            ("go build -o {out} main.go x.go", Some(("", "", "main.go x.go"))),
            ("go build -o", None),
            ("make {out}", None),
            ("go run .", None),
        ];
        for (command, expected) in table {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let found = of_command(&words)
                .map(|target| (target.dir, target.flags.join(" "), target.packages.join(" ")));
            let expected = expected.map(|(dir, flags, packages)| (dir.into(), flags.into(), packages.into()));
            assert_eq!(found, expected, "{command}");
        }
    }
}
