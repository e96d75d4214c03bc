//! What a service and the machine may do wrong, each with real processes: afterwards nobody has less than before.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Project, Up, is};

/// Saves a new version of `api` that answers `answer`, and runs `init` before everything else.
fn save(project: &Project, answer: &str, init: &str) {
    let source = format!(
        "package main\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nconst answer = {answer:?}\n\nvar _ = os.Exit\n\
         var _ = time.Now\n\nfunc init() {{\n\t{init}\n}}\n"
    );
    project.write("api/answer.go", &source);
}

fn started(settings: &str) -> (Project, Up) {
    let project = Project::tiny(&["api"], settings);
    let mut up = project.up();
    up.until_event("good", "api");
    up.until_watching();
    (project, up)
}

/// No process that hotwatch has started is there any more.
fn all_ended(up: Up) {
    let started: Vec<Pid> = up
        .seen
        .iter()
        .filter(|seen| seen["event"] == "started")
        .map(|seen| Pid::from_raw(i32::try_from(seen["pid"].as_i64().unwrap()).unwrap()))
        .collect();
    up.stop();
    for pid in started {
        assert_eq!(kill(pid, None), Err(Errno::ESRCH), "PID {pid} is still there");
    }
}

/// Whatever is wrong with a new version, the old one runs again, the user is told why, and the next save counts.
fn rolls_back(settings: &str, init: &str, reason: &str) {
    let (project, mut up) = started(settings);
    // The same once more is another attempt.
    for attempt in ["first", "second"] {
        save(&project, attempt, init);
        let back = up.until_event("rolled_back", "api");
        assert!(back["reason"].as_str().unwrap().contains(reason), "{back}");
        assert_eq!(back["pid"].as_i64(), Some(up.pid("api")));
        let parts = ["wait_ms", "build_ms", "stop_ms", "start_ms", "ready_ms"].map(|part| &back[part]);
        assert_eq!(back["ms"].as_u64(), parts.iter().map(|part| part.as_u64()).sum());
        assert!(project.answer("api").starts_with("one"));
    }
    save(&project, "better", "");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("better"));
    all_ended(up);
}

#[test]
fn a_version_that_exits_at_once_gives_way_to_the_one_before() {
    rolls_back("", "os.Exit(3)", "with exit code 3");
}

#[test]
fn a_version_that_exits_soon_after_it_is_ready_gives_way_to_the_one_before() {
    rolls_back("", "time.AfterFunc(2*time.Second, func() { os.Exit(4) })", "with exit code 4");
}

#[test]
fn a_version_that_never_becomes_ready_gives_way_to_the_one_before() {
    rolls_back("ready = { timeout = \"2s\", settle = \"100ms\" }", "select {}", "not ready after 2s");
}

#[test]
fn a_binary_that_cannot_be_run_gives_way_to_the_one_before() {
    let (project, mut up) = started("ready = { settle = \"100ms\" }");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let broken = "build = [\"cp\", \"answer.go\", \"{out}\"]\npackage = \".\"\n";
    project.write("hotwatch.toml", &(config.clone() + broken));
    let back = up.until_event("rolled_back", "api");
    assert!(back["reason"].as_str().unwrap().contains("cannot run"), "{back}");
    assert!(project.answer("api").starts_with("one"));
    project.write("hotwatch.toml", &config);
    project.save_answer("api", "better");
    up.until("the mended version", |seen| is(seen, "restarted", "api"));
    assert!(project.answer("api").starts_with("better"));
    all_ended(up);
}

#[test]
fn settings_with_which_a_service_does_not_start_give_way_to_those_before() {
    let (project, mut up) = started("");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write("hotwatch.toml", &config.replace("PORT = \"", "PORT = \"no port "));
    up.until_event("rolled_back", "api");
    assert!(project.answer("api").starts_with("one"));
    project.write("hotwatch.toml", &config.replace("env = { ", "env = { GREETING = \"hello\", "));
    up.until("the mended settings", |seen| is(seen, "restarted", "api"));
    assert_eq!(project.answer("api"), "one hello");
    all_ended(up);
}

#[test]
fn a_service_that_crashes_runs_again_by_itself() {
    let (project, mut up) = started("");
    let pid = Pid::from_raw(i32::try_from(up.pid("api")).unwrap());
    kill(pid, Signal::SIGSEGV).unwrap();
    let exited = up.until_event("exited", "api");
    assert!(exited["code"] == 2 || exited["signal"] == 11, "{exited}");
    up.until_event("ready", "api");
    assert_ne!(up.pid("api"), i64::from(pid.as_raw()));
    assert!(project.answer("api").starts_with("one"));
    all_ended(up);
}

#[test]
fn a_service_that_crashes_again_and_again_is_held_until_the_next_save() {
    let project = Project::tiny(&["api"], "");
    save(&project, "bad", "os.Exit(3)");
    let mut up = project.up();
    up.until_watching();
    let held = up.until_event("held", "api");
    assert!(held["reason"].as_str().unwrap().contains("5 within 60 s"), "{held}");
    assert_eq!(up.count(0, "started", "api"), 5);
    save(&project, "better", "");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("better"));
    all_ended(up);
}

#[test]
fn a_stranger_on_the_port_delays_a_service_and_no_more() {
    let (project, mut up) = started("ready = { settle = \"100ms\" }");
    let pid = Pid::from_raw(i32::try_from(up.pid("api")).unwrap());
    // Whoever comes first has the port; the old process is asked to go in a moment when nobody watches.
    kill(pid, Signal::SIGKILL).unwrap();
    let stranger = loop {
        if let Ok(stranger) = TcpListener::bind((Ipv4Addr::LOCALHOST, project.port("api"))) {
            break stranger;
        }
    };
    let message = up.until_notice("started again in");
    assert!(message["service"] == "api", "{message}");
    up.until_event("exited", "api");
    up.until_event("exited", "api");
    drop(stranger);
    up.until_event("ready", "api");
    assert!(project.answer("api").starts_with("one"));
    all_ended(up);
}

#[test]
fn a_full_disk_fails_the_build_and_leaves_the_old_process_alone() {
    let (project, mut up) = started("ready = { settle = \"100ms\" }");
    let pid = up.pid("api");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    // Every write to it says that the device is full (full(4)).
    let full = "build = [\"sh\", \"-c\", \"go build -o /dev/stdout . > /dev/full && cp /dev/full {out}\"]\npackage = \".\"\n";
    project.write("hotwatch.toml", &(config.clone() + full));
    let failed = up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    assert!(failed["output"].as_str().unwrap().contains("no space left"), "{failed}");
    assert_eq!(up.pid("api"), pid);
    assert!(project.answer("api").starts_with("one"));
    project.write("hotwatch.toml", &config);
    project.save_answer("api", "better");
    up.until_event("restarted", "api");
    all_ended(up);
}

#[test]
fn a_disk_that_is_full_of_something_else_fails_builds_until_there_is_room() {
    let project = Project::tiny(&["api"], "ready = { settle = \"100ms\" }");
    let cache = project.beside("cache");
    fs::create_dir(&cache).unwrap();
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).env("CACHE", &cache);
        command
    };
    let mount = "mount -t tmpfs -o size=64m none \"$CACHE\"";
    if !unshare(mount).output().is_ok_and(|output| output.status.success()) {
        return eprintln!("NOT CHECKED: this machine allows no file system of one's own, so no full disk");
    }
    let hotwatch = project.hotwatch(&["up", "--json"]);
    let mut command = unshare(&format!("{mount} && exec \"$@\""));
    command.arg(hotwatch.get_program()).args(hotwatch.get_args()).current_dir(project.root());
    project.surround(&mut command);
    let mut up = Up::start(command);
    up.until_event("good", "api");
    up.until_watching();
    // It is seen only by whoever is in there.
    let filler = format!("/proc/{}/root{}/filler", up.child.id(), cache.display());
    let full = fs::write(&filler, vec![0; 64 << 20]).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(Errno::ENOSPC as i32));
    let pid = up.pid("api");
    project.save_answer("api", "two");
    let failed = up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    assert!(failed["output"].as_str().unwrap().contains("no space left"), "{failed}");
    assert_eq!(up.pid("api"), pid);
    assert!(project.answer("api").starts_with("one"));
    fs::remove_file(&filler).unwrap();
    project.save_answer("api", "three");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("three"));
    all_ended(up);
}

/// What the time of day is, for programs that load this: off by as many seconds as the file `OFFSET` says.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *path = getenv("OFFSET");
    FILE *file = path && id == CLOCK_REALTIME ? fopen(path, "r") : NULL;
    long offset = 0;
    if (file) {
        if (fscanf(file, "%ld", &offset) == 1) now->tv_sec += offset;
        fclose(file);
    }
    return result;
}
"#;

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let project = Project::tiny(&["api"], "ready = { settle = \"100ms\" }");
    let (source, library) = (project.beside("clock.c"), project.beside("clock.so"));
    fs::write(&source, CLOCK).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output();
    if !cfg!(target_os = "linux") || !built.is_ok_and(|output| output.status.success()) {
        return eprintln!("NOT CHECKED: without a C compiler on Linux no clock can be made to jump");
    }
    let offset = project.beside("offset");
    let jump = |seconds: i64| fs::write(&offset, seconds.to_string()).unwrap();
    jump(0);
    let mut command = project.hotwatch(&["up", "--json"]);
    command.env("LD_PRELOAD", &library).env("OFFSET", &offset);
    let mut up = Up::start(command);
    up.until_event("good", "api");
    up.until_watching();
    let before = up.seen.last().unwrap()["at"].as_str().unwrap().to_owned();
    for (answer, seconds) in [("later", 86_400), ("earlier", -86_400), ("now", 0)] {
        jump(seconds);
        project.save_answer("api", answer);
        let restarted = up.until_event("restarted", "api");
        assert!(restarted["ms"].as_u64().unwrap() < 100_000, "{restarted}");
        assert!((restarted["at"].as_str().unwrap()[..10] == before[..10]) == (seconds == 0), "{restarted}");
        assert!(project.answer("api").starts_with(answer));
        let pid = Pid::from_raw(i32::try_from(up.pid("api")).unwrap());
        up.until_event("good", "api");
        // A crash is started again as soon as ever.
        kill(pid, Signal::SIGKILL).unwrap();
        up.until_event("good", "api");
    }
    all_ended(up);
}

/// A service whose builds and starts take milliseconds; it runs what `source.sh` says, and its entry ends with
/// `settings`.
fn script(settings: &str) -> Project {
    let project = Project::new();
    project.write("api/source.sh", "echo ready; exec sleep 600\n");
    let config = format!(
        "log_dir = {:?}\ndebounce = \"0s\"\n[[service]]\nname = \"api\"\ndir = \"api\"\n\
         build = [\"cp\", \"source.sh\", \"{{out}}\"]\nrun = [\"sh\", \"{{out}}\"]\n\
         watch = {{ include = [\"source.sh\"] }}\n{settings}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    project
}

#[test]
fn who_could_not_be_started_for_its_port_is_started_when_that_is_free() {
    let project = script("ready = { log = \"ready\", settle = \"50ms\" }");
    let mut up = project.up();
    up.until_event("good", "api");
    up.until_watching();
    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = stranger.local_addr().unwrap().port();
    project.append("hotwatch.toml", &format!("proxy = {{ listen = {port} }}\n"));
    up.until("a start in vain", |seen| {
        is(seen, "notice", "api") && seen["message"].as_str().unwrap().contains("cannot listen")
    });
    drop(stranger);
    up.until_event("good", "api");
    all_ended(up);
}

#[test]
fn who_was_replaced_twice_is_asked_to_stop_at_once_if_only_it_knows_when_it_is_idle() {
    let listen = crate::support::free_ports(1)[0];
    let project = script(&format!(
        "ready = {{ log = \"ready\", settle = \"10m\" }}\nproxy = {{ listen = {listen}, mode = \"fd\", drain = \"10m\" }}"
    ));
    let mut up = project.up();
    up.until_event("ready", "api");
    up.until_watching();
    let first = up.pid("api");
    project.write("api/source.sh", "echo ready; exec sleep 601\n");
    up.until_event("restarted", "api");
    project.write("api/source.sh", "echo ready; exec sleep 602\n");
    let stopped = up.until_event("stopped", "api");
    assert_eq!(stopped["pid"].as_i64(), Some(first));
    all_ended(up);
}
