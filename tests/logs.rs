//! What services write, however they write it: without end, without pause, to nobody, to a full disk, to a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Alive, Project, Up, is, until};

/// A service `api` that is a shell script.
fn script(top: &str, settings: &str, script: &str) -> Project {
    let project = Project::new();
    project.write("api.sh", script);
    let config = format!(
        "log_dir = {:?}\n{top}\n[[service]]\nname = \"api\"\nrun = [\"sh\", \"api.sh\"]\n{settings}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    project
}

/// Adds a service `flood` to `project` that writes as fast as it can.
fn add_flood(project: &Project) {
    let line = "x".repeat(99);
    project.append(
        "hotwatch.toml",
        &format!(
            "[[service]]\nname = \"flood\"\nrun = [\"yes\", \"{line}\"]\nready = {{ started = true }}\n"
        ),
    );
}

/// The most memory that the process has ever taken, in bytes.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// What it may take, whatever services write.
const MEMORY: u64 = 100_000_000;

fn memory_is_bounded(child: &Child) {
    match peak(child) {
        Some(peak) => assert!(peak < MEMORY, "{peak} bytes"),
        None => eprintln!("NOT CHECKED: this system does not say how much memory a process has taken"),
    }
}

/// A hotwatch whose standard output is read by nobody but who takes it. Ended on drop.
struct Hotwatch(Child);

impl Hotwatch {
    fn start(project: &Project) -> Hotwatch {
        let mut command = project.hotwatch(&["up", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Hotwatch(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal);
    }
}

impl Drop for Hotwatch {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::SIGQUIT);
            drop(self.0.wait());
        }
    }
}

/// The pieces that `api` has written, as far as they were told.
fn pieces(events: &[Value]) -> Vec<(String, String, bool)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let logs = events.iter().filter(|seen| is(seen, "log", "api"));
    logs.map(|seen| (text(&seen["stream"]), text(&seen["line"]), seen["partial"] == true)).collect()
}

#[test]
fn a_console_that_nobody_reads_stops_neither_services_nor_log_files() {
    let count =
        "i=0; while :; do i=$((i+1)); echo line $i of the service, and some more to make it longer; done";
    let project = script("log_size = \"1GB\"", "", count);
    let mut hotwatch = Hotwatch::start(&project);
    // Some hundred times what may be on its way.
    project.until_log("api", "line 1000000", |log| log.contains("\nline 1000000 "));
    memory_is_bounded(&hotwatch.0);
    let log = project.log("api");
    let numbers: Vec<u64> =
        log.lines().filter_map(|line| line.strip_prefix("line ")?.split(' ').next()?.parse().ok()).collect();
    assert!(numbers.iter().zip(1..).all(|(number, expected)| *number == expected), "lines are missing");

    // Once somebody reads, it flows again and says what is missing: no more and no less.
    let stdout = BufReader::new(hotwatch.0.stdout.take().unwrap());
    let (mut last, mut left_out) = (0, None);
    for line in stdout.lines().map(Result::unwrap) {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "log" {
            let text = event["line"].as_str().unwrap();
            let number: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
            if let Some(left_out) = left_out {
                assert_eq!(number, last + 1 + left_out);
                break;
            }
            assert_eq!(number, last + 1);
            last = number;
        } else if let Some(message) = event["message"].as_str().filter(|text| text.contains("left out")) {
            let (count, rest) = message.split_once(' ').unwrap();
            assert_eq!(rest, "lines left out: the reader of hotwatch's output is too slow");
            left_out = Some(count.replace(',', "").parse::<u64>().unwrap());
        }
    }
    assert!(left_out.is_some());
    hotwatch.signal(Signal::SIGINT);
}

#[test]
fn a_flood_is_bounded_in_memory_and_on_disk_and_slows_nobody_else() {
    let project = Project::tiny(&["api"], "");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write("hotwatch.toml", &format!("log_size = \"2MB\"\nlog_keep = 2\n{config}"));
    add_flood(&project);
    let mut command = project.hotwatch(&["up"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1_000_000];
        while let Ok(length @ 1..) = stdout.read(&mut buffer) {
            count.fetch_add(length, Ordering::Relaxed);
        }
    });
    let hotwatch = Hotwatch(child);
    project.until_log("api", "the first start", |log| log.contains("ready after"));
    let size = |name: &str| project.log_dir().join(name).metadata().ok().map(|meta| meta.len());
    until("a second rotation", || size("flood.log.2"));
    project.save_answer("api", "two");
    let log = project.until_log("api", "the restart", |log| log.contains("restarted in"));
    assert!(!log.contains("left out"), "{log}");
    assert!(project.answer("api").starts_with("two"));
    let much = || read.load(Ordering::Relaxed) > 300_000_000;
    until("300 MB on the console", || much().then_some(()));
    memory_is_bounded(&hotwatch.0);
    for name in ["flood.log.1", "flood.log.2"] {
        let old = until(name, || fs::read(project.log_dir().join(name)).ok());
        assert!(old.len() <= 2_000_000 && old.ends_with(b"\n"), "{name}: {}", old.len());
    }
    assert!(size("flood.log.3").is_none() && size("flood.log") <= Some(2_000_000));
    hotwatch.signal(Signal::SIGINT);
    drop(hotwatch);
    reader.join().unwrap();
}

#[test]
fn what_has_no_end_is_shown_and_may_be_what_is_waited_for() {
    let wait = "while [ ! -e go ]; do sleep 0.01; done";
    let project = script(
        "",
        "ready = { log = \"listening on\" }",
        &format!("printf 'name? '; {wait}; printf 'listen'; sleep 1; printf 'ing on\\nlast'; exec sleep 600"),
    );
    let mut up = project.up();
    up.until("the question", |seen| is(seen, "log", "api"));
    assert_eq!(pieces(&up.seen), [("stdout".to_owned(), "name? ".to_owned(), true)]);
    project.write("go", "");
    up.until_event("ready", "api");
    up.until("the last piece", |seen| seen["line"] == "last");
    let whole: String = pieces(&up.seen).iter().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!(whole, "name? listening onlast");
    up.stop();
    let log = project.log("api");
    assert!(log.contains("\nname? listening on\n") || log.contains("name? \n"), "{log}");
    assert!(log.contains("\nlast\n[hotwatch"), "{log}");
}

#[test]
fn a_line_that_never_ends_is_bounded_as_well() {
    let project = script("log_size = \"1MB\"\nlog_keep = 0", "", "exec tr '\\0' x < /dev/zero");
    let mut hotwatch = Hotwatch::start(&project);
    let mut stdout = hotwatch.0.stdout.take().unwrap();
    let mut read = vec![0; 1_000_000];
    for _ in 0..100 {
        stdout.read_exact(&mut read).unwrap();
        let size = project.log_dir().join("api.log").metadata().unwrap().len();
        // It is cut after a little more than one piece.
        assert!(size <= 1_300_000, "{size}");
    }
    memory_is_bounded(&hotwatch.0);
    hotwatch.signal(Signal::SIGINT);
    drop(stdout);
}

#[test]
fn bytes_pass_and_a_service_may_close_its_output() {
    let script_text =
        "printf 'a\\000b\\377c\\n'; exec >&-; echo still there >&2; exec 2>&-; echo x > done; exec sleep 600";
    let project = script("", "", script_text);
    let mut up = project.up();
    up.until("the last line", |seen| seen["line"] == "still there");
    until("what it does without output", || project.path("done").exists().then_some(()));
    assert_eq!(
        pieces(&up.seen),
        [
            ("stdout".to_owned(), "a\0b\u{fffd}c".to_owned(), false),
            ("stderr".to_owned(), "still there".to_owned(), false)
        ]
    );
    assert_eq!(up.count(0, "exited", "api"), 0);
    let (status, rest) = up.stop();
    assert!(status.success() && rest.iter().any(|seen| is(seen, "stopped", "api")), "{rest:?}");
    let log = fs::read(project.log_dir().join("api.log")).unwrap();
    assert!(log.windows(6).any(|window| window == b"a\0b\xffc\n"));
}

#[test]
fn a_full_disk_stops_nobody_and_what_is_missing_is_told() {
    let project = script(
        "",
        "",
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo early $i; done\n\
         touch full; while [ ! -e go ]; do sleep 0.01; done\n\
         rm \"$LOG/filler\"; echo late; exec sleep 600\n",
    );
    let setup = "mount -t tmpfs -o size=256k none \"$LOG\" && head -c 200k /dev/zero > \"$LOG/filler\"";
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).env("LOG", project.log_dir());
        command
    };
    if !unshare(setup).output().is_ok_and(|output| output.status.success()) {
        eprintln!("NOT CHECKED: this machine allows no file system of one's own, so no full disk");
        return;
    }
    let hotwatch = project.hotwatch(&["up", "--json"]);
    let mut command = unshare(&format!("{setup} && exec \"$@\""));
    command.arg(hotwatch.get_program()).args(hotwatch.get_args()).current_dir(project.root());
    project.surround(&mut command);
    let mut up = Up::start(command);
    let notice = up.until_notice("cannot write to");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("api.log") && message.contains("No space left on device"), "{message}");
    // The service is not held up, and everything is on the console.
    up.until("the last early line", |seen| seen["line"] == "early 20000");
    until("the end of the early lines", || project.path("full").exists().then_some(()));
    project.write("go", "");
    let notice = up.until_notice("can be written again");
    let message = notice["message"].as_str().unwrap();
    let told = up
        .seen
        .iter()
        .filter(|seen| seen["message"].as_str().is_some_and(|message| message.contains("cannot write to")));
    assert_eq!(told.count(), 1, "{:?}", up.seen);
    // It is seen only by whoever is in there.
    let inside = format!("/proc/{}/root{}/api.log", up.child.id(), project.log_dir().display());
    let log =
        until("the late line", || fs::read_to_string(&inside).ok().filter(|log| log.ends_with("late\n")));
    let early = log.lines().filter(|line| line.starts_with("early ")).count();
    // A little room may be found in between, so it may be said in parts.
    let words = log.lines().filter(|line| line.ends_with("left out: No space left on device (os error 28)"));
    let counts = words.map(|line| line.split(' ').nth(2).unwrap().replace(',', "").parse::<usize>().unwrap());
    let left_out: usize = counts.sum();
    assert_eq!(early + left_out, 20_000, "{message}");
    assert!(message.replace(',', "").contains(&format!("; {left_out} lines left out")), "{message}");
    up.stop();
}

#[test]
fn a_terminal_of_its_own_keeps_colours_and_questions() {
    let script_text = "test -t 0 && test -t 1 && test -t 2 && echo all three; stty size\n\
        printf '\\033[31mred\\033[0m\\n'; printf 'err\\n' >&2; : > /dev/tty && echo controlled\n\
        printf 'name? '; exec sleep 600\n";
    for (ansi, in_file) in [("keep", "\u{1b}[31mred\u{1b}[0m\n"), ("strip", "\nred\n")] {
        let project = script(&format!("log_ansi = \"{ansi}\""), "pty = true", script_text);
        let mut up = project.up();
        up.until("the question", |seen| seen["line"] == "name? ");
        let lines: Vec<_> = pieces(&up.seen).into_iter().map(|(_, text, _)| text).collect();
        let expected = ["all three", "24 80", "\u{1b}[31mred\u{1b}[0m", "err", "controlled", "name? "];
        assert_eq!(lines, expected);
        let (status, rest) = up.stop();
        assert!(status.success() && rest.iter().any(|seen| is(seen, "stopped", "api")), "{rest:?}");
        let log = project.log("api");
        assert!(log.contains(in_file) && log.contains("name? \n[hotwatch"), "{log:?}");
    }
}

#[test]
fn nothing_is_left_of_services_on_terminals() {
    let alive = Alive::new();
    let settings = "pty = true\nstop = { grace = \"200ms\" }";
    let project = Project::tiny(&["first", "second"], settings);
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let env = format!("env = {{ ALIVE = \"{}\", GRANDCHILDREN = \"1\", PORT", alive.address());
    project.write("hotwatch.toml", &config.replace("env = { PORT", &env));
    let mut up = project.up();
    up.until_all_ready(&["first", "second"]);
    up.until_watching();
    project.save_answer("first", "two");
    up.until_event("restarted", "first");
    assert!(project.answer("first").starts_with("two"));
    let (status, _) = up.stop();
    assert!(status.success());
    alive.all_gone();
}

#[test]
fn a_service_on_a_terminal_ends_by_itself() {
    let project = script("", "pty = true", "echo once; printf last; exit 3");
    let mut up = project.up();
    let exited = up.until_event("exited", "api");
    assert_eq!(exited["code"], 3);
    let texts: Vec<_> = pieces(&up.seen).into_iter().map(|(_, text, partial)| (text, partial)).collect();
    assert_eq!(texts, [("once".to_owned(), false), ("last".to_owned(), false)]);
    up.stop();
}
