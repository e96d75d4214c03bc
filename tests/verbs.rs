//! The verbs beside `up`, and what goes to the terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Project, Up};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
}

#[test]
fn events_prints_a_line_per_change() {
    let project = Project::new();
    project.write("a/b/.hidden/x", "");
    let root = project.root().display().to_string();
    for json in [false, true] {
        let args: &[&str] = if json { &["events", ".", "--json"] } else { &["events", "."] };
        let mut child = project.hotwatch(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "watching 4 directories\n");
        let name = if json { "json" } else { "text" };
        project.write(&format!("a/b/.hidden/{name}"), "");
        fs::remove_file(project.path(&format!("a/b/.hidden/{name}"))).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines: Vec<String> = stdout.lines().take(3).map(Result::unwrap).collect();
        let path = format!("{root}/a/b/.hidden/{name}");
        for (line, kind) in lines.iter().zip(["created", "modified", "removed"]) {
            if json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&line["kind"], &line["path"], &line["dir"]),
                    (&kind.into(), &(*path).into(), &false.into())
                );
            } else {
                assert_eq!(*line, format!("{kind} {path}"));
            }
        }
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let output = project.run(&["events", "missing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("missing` does not exist"));
}

#[test]
fn completions_manual_and_version() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = project.run(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("hotwatch"), "{shell}");
    }
    let manual = text(&project.run(&["man"]).stdout);
    assert!(manual.contains(".TH hotwatch 1") && manual.contains("Examples"), "{manual}");
    assert!(text(&project.run(&["man", "events"]).stdout).contains("hotwatch\\-events"));
    assert_eq!(project.run(&["man", "nothing"]).status.code(), Some(1));
    assert!(text(&project.run(&["--version"]).stdout).starts_with("hotwatch 0."));
    for verb in
        ["up", "check", "status", "restart", "logs", "timeline", "events", "demo", "completions", "man"]
    {
        assert!(project.run(&[verb, "--help"]).status.success(), "{verb}");
    }
    assert!(text(&project.run(&["--help"]).stdout).contains("Examples:"));
}

#[test]
fn check_says_what_is_fine_too() {
    let project = Project::tiny(&["api"], "");
    let output = project.run(&["check"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in
        ["1 service", "`api` of `api`", "is free", "/<service>.log` can be written", "2 directories", "go1."]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!project.log_dir().join("api.log").exists(), "looking made a file");
    let json = text(&project.run(&["check", "--json"]).stdout);
    for line in json.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(finding["level"] == "ok" || finding["level"] == "warning", "{finding}");
    }
}

#[test]
fn check_knows_that_the_directory_of_log_files_is_made_at_the_start() {
    let project = Project::tiny(&["api"], "");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let set = |dir: &std::path::Path| {
        let old = format!("{:?}", project.log_dir());
        project.write("hotwatch.toml", &config.replace(&old, &format!("{dir:?}")));
    };
    let missing = project.beside("not/there");
    set(&missing);
    let output = project.run(&["check"]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("not/there` is made at the start"), "{output:?}");
    assert!(!project.beside("not").exists());
    let mut up = project.up();
    up.until_event("ready", "api");
    assert!(missing.join("api.log").exists());
    up.stop();

    // An old file that `up` would refuse.
    std::os::unix::fs::symlink(project.path("api"), missing.join("api.log.1")).unwrap();
    let output = project.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("api.log.1` is a symbolic link; remove it"), "{output:?}");

    project.write("file", "");
    set(&project.path("file/log"));
    let output = project.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("file/log` is not there and cannot be made in `"), "{output:?}");
}

#[test]
fn the_demo_runs_with_ports_that_are_taken_and_leaves_nothing() {
    let project = Project::new();
    // One of the demo's own ports is taken for sure; the others may be, by other tests.
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 20003));
    let mut command = project.hotwatch(&["demo", "--json"]);
    command.env("TMPDIR", project.beside(""));
    let mut up = Up::start(command);
    up.until_all_ready(&["userService", "assetService", "gateway"]);
    let (status, _) = up.stop();
    assert_eq!(status.code(), Some(0));
    let left = fs::read_dir(project.beside("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with("hotwatch-demo-")));
}

#[test]
fn the_console_merges_whole_lines_with_names_and_honours_no_color() {
    let project = Project::tiny(&["api", "web"], "");
    for (color, no_color) in [("always", "1"), ("auto", "")] {
        let mut command = project.hotwatch(&["--color", color, "up"]);
        command.env("NO_COLOR", no_color).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut shown = String::new();
        while !(shown.contains("ready after") && shown.contains("listening"))
            || shown.matches("ready").count() < 2
        {
            assert!(stdout.read_line(&mut shown).unwrap() > 0, "{shown}");
        }
        project.save_answer("web", &format!("for {color}"));
        while !shown.contains("restarted in") {
            assert!(stdout.read_line(&mut shown).unwrap() > 0, "{shown}");
        }
        interrupt(&child);
        stdout.read_to_string(&mut shown).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));

        let colored = color == "always";
        assert_eq!(shown.contains("\x1b["), colored, "{shown}");
        assert_eq!(shown.contains("\x1b[36mweb/answer.go changed"), colored, "{shown}");
        let plain = |line: &&str| line.starts_with("api ") || line.starts_with("web ");
        if !colored {
            assert!(shown.lines().filter(plain).count() > 8, "{shown}");
            assert!(shown.contains("web > web/answer.go changed\n"), "{shown}");
        }
    }
}
