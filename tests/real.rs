//! hotwatch on real code: public modules from the Go module proxy. Not part of `make test`, because it needs the
//! network; `make test-real` runs it, and writes what it finds to `tests/real/RESULTS.md`.

mod commits;
mod download;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Project, Up, is};
use crate::table::oracle::made_of;
use download::{Module, download};

/// Modules, and the programs in them that are services.
struct Code {
    modules: &'static [Module],
    /// The directory of each service's module, and its main package.
    programs: &'static [(&'static str, &'static str)],
}

const CODE: [Code; 3] = [
    // More than 300 packages.
    Code {
        modules: &[("k8s.io/client-go@v0.34.1", ".")],
        programs: &[
            (".", "./examples/create-update-delete-deployment"),
            (".", "./examples/dynamic-create-update-delete-deployment"),
            (".", "./examples/in-cluster-client-configuration"),
            (".", "./examples/leader-election"),
            (".", "./examples/out-of-cluster-client-configuration"),
            (".", "./examples/workqueue"),
        ],
    },
    // Programs that share much, with files for several systems.
    Code {
        modules: &[("github.com/containerd/containerd/v2@v2.4.2", ".")],
        programs: &[
            (".", "./cmd/containerd"),
            (".", "./cmd/containerd-shim-runc-v2"),
            (".", "./cmd/containerd-stress"),
            (".", "./cmd/ctr"),
            (".", "./cmd/gen-manpages"),
            (".", "./cmd/protoc-gen-go-fieldpath"),
            (".", "./integration/failpoint/cmd/loopback-v2"),
            (".", "./integration/failpoint/cmd/runc-fp"),
        ],
    },
    // Nine modules that replace each other by directories.
    Code {
        modules: &[
            ("go.etcd.io/etcd/v3@v3.6.5", "."),
            ("go.etcd.io/etcd/api/v3@v3.6.5", "api"),
            ("go.etcd.io/etcd/client/pkg/v3@v3.6.5", "client/pkg"),
            ("go.etcd.io/etcd/client/v3@v3.6.5", "client/v3"),
            ("go.etcd.io/etcd/etcdctl/v3@v3.6.5", "etcdctl"),
            ("go.etcd.io/etcd/etcdutl/v3@v3.6.5", "etcdutl"),
            ("go.etcd.io/etcd/pkg/v3@v3.6.5", "pkg"),
            ("go.etcd.io/etcd/server/v3@v3.6.5", "server"),
            ("go.etcd.io/etcd/tests/v3@v3.6.5", "tests"),
        ],
        programs: &[("server", "."), ("etcdctl", "."), ("etcdutl", "."), (".", ".")],
    },
];

/// What runs for the second part: programs that build fast and share a little.
const TOOLS: Code = Code {
    modules: &[("golang.org/x/tools@v0.52.0", ".")],
    programs: &[
        (".", "./cmd/stringer"),
        (".", "./cmd/deadcode"),
        (".", "./cmd/callgraph"),
        (".", "./cmd/bundle"),
        (".", "./cmd/digraph"),
    ],
};

/// How many files are drawn at random, and how many more of each kind.
const DRAWN: usize = 200;
const OF_EACH_KIND: usize = 5;

#[test]
#[ignore = "downloads public modules; make test-real runs it"]
fn real_code() {
    let now = SystemTime::now();
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| now.duration_since(UNIX_EPOCH).unwrap().as_secs());
    println!("SEED={seed}");
    let go = Command::new("go").arg("version").output().unwrap();
    let date = humantime::format_rfc3339_seconds(now).to_string();
    let mut results = format!(
        "# Results on real code\n\nWritten by `make test-real` on {} with {}; SEED={seed}.\n\n\
         `hotwatch why` beside the files that `go list -deps -json` names, for {DRAWN} files of each repository \
         drawn at\nrandom, and up to {OF_EACH_KIND} more of each kind.\n\n\
         | modules | packages | services | files | files that concern a service | answers | unequal |\n\
         |---|---|---|---|---|---|---|\n",
        &date[..10],
        String::from_utf8_lossy(&go.stdout).trim().trim_start_matches("go version "),
    );
    let mut unequal = Vec::new();
    for code in &CODE {
        let line = compare(code, seed, &mut unequal);
        println!("{line}{}", unequal.join("\n"));
        results += &line;
    }
    results += &run();
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/RESULTS.md"), results).unwrap();
    assert!(unequal.is_empty(), "SEED={seed}\n{}", unequal.join("\n"));
}

impl Code {
    /// Its modules, downloaded, with every program as a service that only sleeps.
    fn project(&self) -> Project {
        let project = Project::new();
        let mut config = format!("log_dir = {:?}\n", project.log_dir());
        self.modules.iter().for_each(|module| download(&project, *module));
        for (name, (dir, package)) in self.services() {
            let _ =
                write!(config, "[[service]]\nname = \"{name}\"\ndir = \"{dir}\"\npackage = \"{package}\"\n");
            config += "ready = { started = true }\nrun = [\"sleep\", \"600\"]\n";
        }
        project.write("hotwatch.toml", &config);
        project
    }

    /// The programs by name.
    fn services(&self) -> Vec<(String, (&'static str, &'static str))> {
        let named = |&(dir, package): &(&'static str, &'static str)| {
            let path = Path::new(dir).join(package);
            let name = path.file_name().map_or("root".into(), |name| name.to_string_lossy().into_owned());
            (name, (dir, package))
        };
        self.programs.iter().map(named).collect()
    }

    /// The files of each service, as the go command names them.
    fn made_of(&self, project: &Project) -> BTreeMap<String, BTreeSet<PathBuf>> {
        let files = |(name, (dir, package)): (String, (&str, &str))| {
            let made = made_of(project, dir, &[package]);
            assert!(made.len() > 2, "{name} cannot be listed: {made:?}");
            (name, made.into_keys().filter(|path| path.starts_with(project.root())).collect())
        };
        self.services().into_iter().map(files).collect()
    }
}

/// Compares what hotwatch says of files of `code` with what the go command says; returns a line of the results.
fn compare(code: &Code, seed: u64, unequal: &mut Vec<String>) -> String {
    let project = code.project();
    let made = code.made_of(&project);
    let drawn = draw(files(&project.root()), &project.root(), seed);
    let shown: Vec<&str> = drawn.iter().map(|path| path.to_str().unwrap()).collect();
    let output = project.run(&[&["why", "--json"], &shown[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let answers: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(answers.len(), drawn.len() * made.len());
    let (mut differing, mut concerned) = (0, BTreeSet::new());
    for answer in &answers {
        let path = project.path(answer["path"].as_str().unwrap());
        let expected = made[answer["service"].as_str().unwrap()].contains(&path);
        if expected {
            concerned.insert(path);
        }
        if expected != (answer["rung"] == "restart") {
            differing += 1;
            unequal.push(format!("go list says {expected}: {answer}"));
        }
    }
    let modules = code.modules.iter().map(|(module, _)| format!("`{module}`")).collect::<Vec<_>>();
    format!(
        "| {} | {} | {} | {} | {} | {} | {differing} |\n",
        modules.join(" "),
        packages(code, &project),
        made.len(),
        drawn.len(),
        concerned.len(),
        answers.len(),
    )
}

/// How many packages the modules themselves have.
fn packages(code: &Code, project: &Project) -> usize {
    let count = |(_, dir): &Module| {
        let mut command = Command::new("go");
        project.surround(&mut command);
        let output = command.args(["list", "-e", "-find", "./..."]).current_dir(project.path(dir)).output();
        String::from_utf8(output.unwrap().stdout).unwrap().lines().count()
    };
    code.modules.iter().map(count).sum()
}

/// All files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let below = |entry: fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { vec![entry.path()] }
    };
    entries.flat_map(below).collect()
}

/// Draws from `files`: at random, and of each kind.
fn draw(mut files: Vec<PathBuf>, root: &Path, seed: u64) -> Vec<PathBuf> {
    files.retain(|file| file.file_name().is_some_and(|name| name != "hotwatch.toml"));
    // A hash of its path decides about a file's turn: where the project lies differs from run to run.
    files.sort_by_cached_key(|file| {
        let bytes = file.strip_prefix(root).unwrap().as_os_str().as_encoded_bytes();
        bytes.iter().fold(seed, |hash, &byte| mix(hash ^ u64::from(byte)))
    });
    let kind = |file: &Path| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let extension = name.rsplit_once('.').map_or(name.clone(), |(_, extension)| extension.to_owned());
        if name.ends_with("_test.go") { "_test.go".to_owned() } else { extension }
    };
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut drawn = Vec::new();
    for (place, file) in files.into_iter().enumerate() {
        let seen = kinds.entry(kind(&file)).or_default();
        if place < DRAWN || *seen < OF_EACH_KIND {
            drawn.push(file.clone());
        }
        if place >= DRAWN {
            *seen += 1;
        }
    }
    drawn
}

/// A step of splitmix64.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Runs programs, and edits a package that exactly two of them share; returns a line of the results.
fn run() -> String {
    let project = TOOLS.project();
    let made = TOOLS.made_of(&project);
    let users = |file: &Path| -> Vec<&str> {
        made.iter().filter(|(_, files)| files.contains(file)).map(|(name, _)| name.as_str()).collect()
    };
    let all: BTreeSet<&PathBuf> = made.values().flatten().collect();
    let is_go = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "go");
    let shared = all.into_iter().filter(is_go).find(|file| users(file).len() == 2).unwrap();
    let concerned = users(shared);
    let shown = shared.strip_prefix(project.root()).unwrap().to_str().unwrap();
    let before = fs::read_to_string(shared).unwrap();

    let mut up = project.up();
    up.until("`watching`", |seen| seen["event"] == "watching");
    up.until_all_ready(&made.keys().map(String::as_str).collect::<Vec<_>>());
    let builds = |up: &Up, since: usize| -> BTreeMap<String, usize> {
        let counts = made.keys().map(|name| (name.clone(), up.count(since, "build", name)));
        counts.filter(|(_, count)| *count > 0).collect()
    };
    // A comment in a file of `digraph` alone closes every batch before it; what it says comes last.
    let barrier = |up: &mut Up| {
        project.append("cmd/digraph/digraph.go", "// More.\n");
        up.until("a verdict on digraph", |seen| is(seen, "verdict", "digraph"));
    };

    let since = up.seen.len();
    project.append(shown, "// More.\n");
    while concerned.iter().any(|service| up.count(since, "verdict", service) == 0) {
        up.until("a verdict", |seen| seen["event"] == "verdict" && seen["rung"] == "nothing");
    }
    barrier(&mut up);
    assert_eq!(builds(&up, since), BTreeMap::new());

    let once: BTreeMap<String, usize> = concerned.iter().map(|name| ((*name).to_owned(), 1)).collect();
    for text in [format!("{before}\nfunc init() {{ println(1) }}\n"), before.clone()] {
        let since = up.seen.len();
        project.write(shown, &text);
        while concerned.iter().any(|service| up.count(since, "restarted", service) == 0) {
            up.until("a restart", |seen| seen["event"] == "restarted");
        }
        barrier(&mut up);
        assert_eq!(builds(&up, since), once, "{shown}");
    }
    up.stop();
    format!(
        "\n`hotwatch up` on {} programs of `{}`, of which exactly {} contain\n\
         `{shown}`: a comment there built nothing; a function more, and its removal, built and\n\
         restarted each of the two once and no other.\n",
        made.len(),
        TOOLS.modules[0].0,
        concerned.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and "),
    )
}
