//! The commits of a public repository, saved one after the other while its program runs and takes patches: after each it
//! has to answer what a fresh build of that commit answers. `make test-real` runs it, and it writes what it finds to
//! `tests/real/COMMITS.md`.

mod answers;
mod history;
mod report;

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::support::{Project, Up, free_ports, is, until};
use crate::table::oracle::Made;
use answers::{Request, requests};
use history::{Commit, History};
use report::{Fate, Report, Row};

/// A program with a history.
struct Repository {
    /// Its owner and its name.
    name: &'static str,
    /// What `go.mod` says in commits that have none.
    module: &'static str,
    /// Where its history is cut into pieces, which are gone through at the same time: the first commit is the first one
    /// from which on the program can be told its port.
    commits: &'static [&'static str],
    package: &'static str,
    /// Its environment; `{port}` is the port that it is to listen on.
    env: &'static [(&'static str, &'static str)],
    requests: &'static str,
}

const REPOSITORIES: [Repository; 1] = [Repository {
    name: "mccutchen/go-httpbin",
    module: "github.com/mccutchen/go-httpbin",
    commits: &["682c4db", "40ab5eb", "67ddb1f", "697b6e3"],
    package: "./cmd/go-httpbin",
    env: &[
        ("PORT", "{port}"),
        ("MAX_MEMORY", "65536"),
        ("MAX_BODY_SIZE", "65536"),
        ("MAX_DURATION", "1s"),
        ("ALLOWED_REDIRECT_DOMAINS", "example.com"),
        ("EXCLUDE_HEADERS", "X-Secret"),
        ("HTTPBIN_ENV_COLOUR", "green"),
    ],
    requests: include_str!("commits/go-httpbin.http"),
}];

/// How many commits have to have been patched in, and their new code entered.
const ENTERED: usize = 40;

#[test]
#[ignore = "clones a public repository; make test-real runs it"]
fn commits_as_saves() {
    let mut report = Report::new();
    for repository in &REPOSITORIES {
        report.add(repository, rows(repository));
    }
    report.write();
    assert_eq!(report.unequal(), 0, "see tests/real/COMMITS.md");
    assert!(report.entered() >= ENTERED, "{} commits were patched in and entered", report.entered());
}

/// What becomes of the commits of `repository`.
fn rows(repository: &'static Repository) -> Vec<Row> {
    std::thread::scope(|scope| {
        let walk = |piece: &[&'static str]| {
            let (first, last) = (piece[0], piece[1]);
            scope.spawn(move || Walk::of(repository).run(first, last))
        };
        let walks: Vec<_> = repository.commits.windows(2).map(walk).collect();
        walks.into_iter().flat_map(|walk| walk.join().unwrap()).collect()
    })
}

/// The service `program` of a project, whose files are those of one commit after the other.
struct Walk {
    repository: &'static Repository,
    project: Project,
    history: History,
    requests: Vec<Request>,
    up: Option<Up>,
}

/// What became of a save, and what it comes with.
struct Seen {
    fate: Fate,
    reason: String,
}

impl Walk {
    fn of(repository: &'static Repository) -> Walk {
        let project = Project::new();
        let history = History::clone(&project, repository.name, repository.module);
        let requests = requests(repository.requests);
        Walk { repository, project, history, requests, up: None }
    }

    /// Goes from `first`, which is what it starts with, to `last`.
    fn run(mut self, first: &str, last: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        let (mut applied, mut program) = (None, Made::default());
        for commit in self.history.commits(first, last) {
            self.history.check_out(&commit);
            let now = self.history.program(&self.project, self.repository.package);
            if now == program {
                continue;
            }
            let row = match self.fresh() {
                Err(why) => Row::new(&commit, Fate::Broken, why.lines().nth(1).unwrap_or(&why)),
                Ok(fresh) => {
                    let differs = history::differs_in_code(&program, &now);
                    program = now;
                    let before = applied.replace(commit);
                    let commit = applied.as_ref().unwrap();
                    let Some(before) = before else {
                        self.start();
                        continue;
                    };
                    let row = self.step(&before, commit, &fresh);
                    if differs { row } else { row.beside() }
                }
            };
            println!("{row}");
            rows.push(row);
        }
        if let Some(up) = self.up {
            up.stop();
        }
        rows
    }

    /// Starts hotwatch with what is checked out.
    fn start(&mut self) {
        let tree = self.project.path("tree");
        self.history.fill(&tree);
        let port = free_ports(1)[0];
        let env: Vec<String> =
            self.env(port).iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        let config = format!(
            "log_dir = {:?}\n[[service]]\nname = \"program\"\ndir = \"tree\"\nport = {port}\n\
             package = {:?}\nreload = \"patch\"\nenv = {{ {} }}\n",
            self.project.log_dir(),
            self.repository.package,
            env.join(", ")
        );
        self.project.write("hotwatch.toml", &config);
        self.up = Some(self.project.up());
        self.until_able();
        self.ask_all(port);
    }

    fn env(&self, port: u16) -> Vec<(&'static str, String)> {
        let env = self.repository.env.iter();
        env.map(|&(name, value)| (name, value.replace("{port}", &port.to_string()))).collect()
    }

    fn ask_all(&self, port: u16) -> Vec<String> {
        self.requests.iter().map(|request| request.ask(port)).collect()
    }

    fn up(&mut self) -> &mut Up {
        self.up.as_mut().unwrap()
    }

    /// Waits until the process that was started last takes patches, or is said not to.
    fn until_able(&mut self) {
        self.up().until("a process that takes patches", |seen| {
            let message = seen["message"].as_str().unwrap_or_default();
            message.contains("takes patches") || message.contains("cannot be patched")
        });
    }

    /// Saves `commit` at once, and compares what the service answers then with what `fresh` does.
    fn step(&mut self, before: &Commit, commit: &Commit, fresh: &Fresh) -> Row {
        assert!(self.project.run(&["pause"]).status.success());
        self.history.save(&self.project.path("tree"), before, commit);
        assert!(self.project.run(&["resume"]).status.success());
        let Seen { fate, reason } = self.outcome();
        let mut row = Row::new(commit, fate, &reason);
        let port = self.project.port("program");
        let answers = self.ask_all(port);
        if let Fate::Patched { .. } = row.fate {
            let effects = self.up().until("the effects of the patch", |seen| {
                is(seen, "effects", "program") || is(seen, "exited", "program")
            });
            row.effects(&effects);
        }
        let expected = self.ask_all(fresh.port);
        row.asked = self.requests.len();
        for (request, (answer, expected)) in self.requests.iter().zip(answers.iter().zip(&expected)) {
            if answer != expected {
                row.unequal.push(format!("{}: {answer:?} instead of {expected:?}", request.line));
            }
        }
        // Each commit answers for itself.
        let is_wrong = !row.unequal.is_empty() && !matches!(row.fate, Fate::Restarted);
        if is_wrong {
            assert!(self.project.run(&["restart", "program"]).status.success());
            self.up().until_event("restarted", "program");
        }
        if is_wrong || matches!(row.fate, Fate::Restarted) {
            self.until_able();
            self.ask_all(port);
        }
        row
    }

    /// What becomes of the save.
    fn outcome(&mut self) -> Seen {
        let up = self.up();
        let since = up.seen.len();
        let seen = up.until("what becomes of the save", |seen| {
            let nothing = is(seen, "verdict", "program") && seen["rung"] == "nothing";
            let failed = is(seen, "build", "program") && seen["ok"] == false;
            let ended = ["patched", "restarted", "rolled_back", "exited"]
                .iter()
                .any(|event| is(seen, event, "program"));
            nothing || failed || ended
        });
        let told = up.seen[since..].iter().rev().find(|seen| is(seen, "verdict", "program"));
        let reason =
            told.map(|seen| seen["reason"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
        let fate = match seen["event"].as_str().unwrap() {
            "patched" => Fate::Patched {
                link: seen["link"].as_str().unwrap().to_owned(),
                functions: seen["functions"].as_array().map_or(0, Vec::len),
                entered: 0,
                ms: seen["ms"].as_u64().unwrap(),
            },
            "restarted" => Fate::Restarted,
            "verdict" => Fate::Nothing,
            _ => panic!("what builds does not run: {seen}"),
        };
        let reason = if let Fate::Patched { .. } = fate { String::new() } else { reason };
        Seen { fate, reason }
    }

    /// Builds what is checked out, and starts it.
    fn fresh(&self) -> Result<Fresh, String> {
        let binary = self.project.beside("fresh");
        self.history.build(&self.project, self.repository.package, &binary)?;
        let port = free_ports(1)[0];
        let mut command = Command::new(&binary);
        command.envs(self.env(port)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let fresh = Fresh { child: command.spawn().unwrap(), port };
        until("the fresh build to answer", || TcpStream::connect(("127.0.0.1", port)).ok());
        Ok(fresh)
    }
}

/// A fresh build that runs.
struct Fresh {
    child: Child,
    port: u16,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
