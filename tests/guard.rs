//! hotwatch killed with SIGKILL, in every phase: nothing of it may be left, and the next one starts at once. And
//! daemons, which go with their service.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use hotwatch_platform::OS;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::support::{Alive, DEADLINE, Project, Up};

/// A project with the service `api`, which misbehaves as `env` says.
fn project(env: &str) -> (Alive, Project) {
    let alive = Alive::new();
    let project = Project::tiny(&["api"], "stop = { grace = \"200ms\" }");
    project.edit("hotwatch.toml", "env = { ", &format!("env = {{ ALIVE = \"{}\", {env}", alive.address()));
    (alive, project)
}

/// Waits until `done`.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "not {what} in time");
        thread::yield_now();
    }
}

/// Kills hotwatch and nobody else.
fn killed(mut up: Up) {
    up.signal(Signal::SIGKILL);
    up.child.wait().unwrap();
}

/// What there is in the cache directories of all projects.
fn cached(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.beside("cache").join("hotwatch")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The project can be run again at once; afterwards nothing is left in the cache.
fn runs_again(project: &Project) {
    let mut up = project.up();
    up.until_event("ready", "api");
    let (status, _) = up.stop();
    assert_eq!(status.code(), Some(0));
    assert!(cached(project).is_empty());
}

/// The process id of the guard of `up`.
fn guard(up: &Up) -> Option<Pid> {
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut pids = pids.filter(|pid| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        read("comm").trim() == "hw-guard" && parent == Some(up.child.id().to_string().as_str())
    });
    pids.next().map(|pid| Pid::from_raw(pid.parse().unwrap()))
}

#[test]
fn killed_while_it_runs_it_leaves_nothing() {
    let daemon = if OS == "macOS" { "" } else { "DAEMON = \"1\", " };
    let (alive, project) = project(&format!("GRANDCHILDREN = \"1\", {daemon}"));
    let mut up = project.up();
    up.until_event("ready", "api");
    killed(up);
    // At once, while the guard may still be at work.
    let mut next = project.up();
    next.until_event("ready", "api");
    killed(next);
    alive.all_gone();
    until("removed from the cache", || cached(&project).is_empty());
}

#[test]
fn killed_while_it_builds_it_leaves_nothing() {
    let (_alive, project) = project("");
    let fifo = project.beside("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let daemon = if OS == "macOS" { ":" } else { "(setsid sleep 600 &)" };
    let script = format!("exec 3> {}; touch $GOTMPDIR/x; {daemon}; sleep 600 & sleep 600", fifo.display());
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.append("hotwatch.toml", &format!("build = [\"sh\", \"-c\", \"{script}\", \"{{out}}\"]\n"));
    let up = project.up();
    // Ends when the last process that holds the other end has ended.
    let mut building = File::open(&fifo).unwrap();
    killed(up);
    building.read_to_end(&mut Vec::new()).unwrap();
    until("removed from the cache", || cached(&project).is_empty());
    project.write("hotwatch.toml", &config);
    runs_again(&project);
}

#[test]
fn killed_while_a_service_starts_it_leaves_nothing() {
    let (mut alive, project) = project("");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    // It listens, but not where it would be ready.
    project.edit("hotwatch.toml", " PORT = \"", " PORT = \"0\", NOT = \"");
    let mut up = project.up();
    up.until_event("started", "api");
    until("connected", || alive.accept() > 0);
    killed(up);
    alive.all_gone();
    until("removed from the cache", || cached(&project).is_empty());
    project.write("hotwatch.toml", &config.replace("ALIVE", "NOT"));
    runs_again(&project);
}

#[test]
fn killed_while_it_stops_it_leaves_nothing() {
    let (alive, project) = project("IGNORE_TERM = \"1\", ");
    project.edit("hotwatch.toml", "200ms", "1h");
    let mut up = project.up();
    up.until_event("ready", "api");
    up.signal(Signal::SIGTERM);
    up.until_notice("stopping");
    killed(up);
    alive.all_gone();
    until("removed from the cache", || cached(&project).is_empty());
    project.edit("hotwatch.toml", "ALIVE", "NOT");
    project.edit("hotwatch.toml", "1h", "200ms");
    runs_again(&project);
}

/// A service that answers SIGTERM with a word and runs on; whoever saves `source.sh` has it replaced.
fn deaf(settings: &str) -> Project {
    let project = Project::new();
    project.write("api/source.sh", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done\n");
    let config = format!(
        "log_dir = {:?}\ndebounce = \"0s\"\n[[service]]\nname = \"api\"\ndir = \"api\"\n\
         build = [\"cp\", \"source.sh\", \"{{out}}\"]\nrun = [\"sh\", \"{{out}}\"]\n\
         watch = {{ include = [\"source.sh\"] }}\nstop = {{ grace = \"1h\" }}\n{settings}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    project
}

/// Kills hotwatch; nothing that it has started is left then, nor anything in the cache.
fn leaves_nothing(project: &Project, up: Up) {
    let started = up.seen.iter().filter(|seen| crate::support::is(seen, "started", "api"));
    let pids: Vec<_> = started.map(|seen| seen["pid"].as_i64().unwrap()).collect();
    killed(up);
    let gone = |pid: &i64| kill(Pid::from_raw(i32::try_from(*pid).unwrap()), None).is_err();
    until("gone", || pids.iter().all(gone));
    until("removed from the cache", || cached(project).is_empty());
}

#[test]
fn killed_while_the_old_process_makes_way_it_leaves_nothing() {
    let project = deaf("ready = { log = \"ready\", settle = \"50ms\" }");
    let mut up = project.up();
    up.until_event("good", "api");
    up.until_watching();
    project.append("api/source.sh", "# another\n");
    up.until("the stop signal", |seen| seen["line"] == "asked");
    leaves_nothing(&project, up);
    project.edit("api/source.sh", "trap 'echo asked' TERM; ", "");
    runs_again(&project);
}

#[test]
fn killed_while_old_and_new_stand_side_by_side_it_leaves_nothing() {
    let port = crate::support::free_ports(1)[0];
    let ready = "ready = { log = \"ready\", settle = \"1h\" }";
    let project = deaf(&format!("{ready}\nproxy = {{ listen = {port}, drain = \"1h\" }}"));
    let mut up = project.up();
    up.until_event("ready", "api");
    up.until_watching();
    project.append("api/source.sh", "# another\n");
    up.until_event("restarted", "api");
    assert_eq!((up.count(0, "started", "api"), up.count(0, "stopped", "api")), (2, 0));
    leaves_nothing(&project, up);
    // The port is nobody's either.
    drop(std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).unwrap());
    project.edit("api/source.sh", "trap 'echo asked' TERM; ", "");
    runs_again(&project);
}

#[test]
fn a_directory_that_was_left_is_cleaned() {
    let (_alive, project) = project("");
    let mut up = project.up();
    up.until_event("ready", "api");
    let dir = cached(&project).remove(0);
    up.stop();
    // As a machine leaves it that lost its power.
    fs::create_dir_all(dir.join("services/api/tmp-1")).unwrap();
    fs::write(dir.join("lock"), "1\n1\n").unwrap();
    let mut up = project.up();
    up.until_event("build", "api");
    assert!(!dir.join("services/api/tmp-1").exists());
    up.until_event("ready", "api");
    up.stop();
    assert!(cached(&project).is_empty());
}

#[test]
fn a_daemon_goes_with_its_service() {
    if OS == "macOS" {
        return;
    }
    let (mut alive, project) = project("DAEMON = \"1\", ");
    let mut up = project.up();
    up.until_event("ready", "api");
    let first = std::mem::replace(&mut alive, Alive::new());
    project.edit("hotwatch.toml", &first.address(), &alive.address());
    up.until("another process", |seen| {
        crate::support::is(seen, "restarted", "api") || crate::support::is(seen, "ready", "api")
    });
    // While the next process runs.
    first.all_gone();
    let (status, _) = up.stop();
    assert_eq!(status.code(), Some(0));
    alive.all_gone();
}

#[test]
fn what_it_adopts_does_not_pile_up_as_zombies() {
    if OS == "macOS" {
        return;
    }
    let project = Project::tiny(&["api"], "");
    // Processes that are left behind by their parents and end.
    let script = "for i in 1 2 3 4 5 6 7 8 9; do (setsid sleep 0 &); done; exec $0";
    project.append("hotwatch.toml", &format!("run = [\"sh\", \"-c\", \"{script}\", \"{{out}}\"]\n"));
    let mut up = project.up();
    up.until_event("ready", "api");
    let id = up.child.id();
    let children = format!("/proc/{id}/task/{id}/children");
    let guard = guard(&up).unwrap().to_string();
    until("reaped", || fs::read_to_string(&children).unwrap().trim() == guard);
    up.stop();
}

#[test]
fn a_guard_that_was_killed_is_replaced() {
    if OS == "macOS" {
        return;
    }
    let (alive, project) = project("GRANDCHILDREN = \"1\", DAEMON = \"1\", ");
    let mut up = project.up();
    up.until_event("ready", "api");
    kill(guard(&up).unwrap(), Signal::SIGKILL).unwrap();
    up.until_notice("another one watches now");
    killed(up);
    alive.all_gone();
    until("removed from the cache", || cached(&project).is_empty());
}

#[test]
fn a_guard_that_gets_nowhere_is_named_to_the_next_hotwatch() {
    if OS == "macOS" {
        return;
    }
    let (alive, project) = project("");
    let mut up = project.up();
    up.until_event("ready", "api");
    let (watching, pid) = (guard(&up).unwrap(), up.child.id());
    kill(watching, Signal::SIGSTOP).unwrap();
    killed(up);
    // It waits for a while whether the guard gets done.
    let output = project.run(&["up", "--json"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    kill(watching, Signal::SIGCONT).unwrap();
    assert!(told.contains(&format!("PID {pid}, that was killed")) && told.contains("`hw-guard`"), "{told}");
    alive.all_gone();
    until("removed from the cache", || cached(&project).is_empty());
}

#[test]
fn signals_that_end_others_do_not_end_the_guard() {
    if OS == "macOS" {
        return;
    }
    let (alive, project) = project("");
    let mut up = project.up();
    up.until_event("ready", "api");
    let watching = guard(&up).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        kill(watching, signal).unwrap();
    }
    assert_eq!(guard(&up), Some(watching));
    killed(up);
    alive.all_gone();
}

#[test]
fn a_terminal_that_closes_leaves_nothing() {
    if OS == "macOS" {
        return;
    }
    let (mut alive, project) = project("GRANDCHILDREN = \"1\", DAEMON = \"1\", ");
    let terminal = nix::pty::openpty(None, None).unwrap();
    // Or hotwatch itself would hold it open.
    fcntl(&terminal.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let hotwatch = project.hotwatch(&["up"]);
    // Only the leader of a session can have a terminal of its own.
    let mut command = std::process::Command::new("setsid");
    command.arg("--ctty").arg(hotwatch.get_program()).arg("up").current_dir(project.root());
    project.surround(&mut command);
    let inside = || terminal.slave.try_clone().unwrap();
    let mut child = command.stdin(inside()).stdout(inside()).stderr(inside()).spawn().unwrap();
    drop(command);
    until("connected", || alive.accept() > 0);
    drop(terminal);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    alive.all_gone();
    assert!(cached(&project).is_empty());
}
