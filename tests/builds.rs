//! Saves that come faster than builds.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Project, is, until};

/// A service without Go: its build reads the source at once, and is done when `gate` is there.
fn scripted(project: &Project) {
    let config = format!(
        "log_dir = \"{}\"\n[[service]]\nname = \"api\"\ndir = \"api\"\nready = {{ log = \"serving\" }}\n\
         build = [\"sh\", \"build.sh\", \"{{out}}\"]\n",
        project.log_dir().display()
    );
    project.write("hotwatch.toml", &config);
    project.write(
        "api/build.sh",
        "cp main.go read.$$; while ! [ -e gate ]; do sleep 0.01; done; chmod +x read.$$; mv read.$$ \"$1\"\n",
    );
    script(project, 0);
    project.write("api/gate", "");
}

fn script(project: &Project, version: u32) {
    project.write("api/main.go", &format!("#!/bin/sh\necho serving {version}\nexec sleep 600\n"));
}

#[test]
fn a_change_cancels_the_build_that_has_not_read_it_three_times_in_a_row() {
    let project = Project::new();
    scripted(&project);
    let mut up = project.up();
    up.until_event("ready", "api");
    fs::remove_file(project.path("api/gate")).unwrap();
    script(&project, 1);
    up.until_event("building", "api");
    for version in 2..=4 {
        script(&project, version);
        up.until_event("cancelled", "api");
        up.until_event("building", "api");
    }
    // The fourth is not cancelled, although it has not read this one.
    script(&project, 5);
    up.until("the word that it finishes first", |seen| {
        is(seen, "verdict", "api") && seen["reason"].as_str().unwrap().contains("finishes first")
    });
    project.write("api/gate", "");
    up.until_event("build", "api");
    // One more follows, with the last content.
    up.until("the last version", |seen| is(seen, "log", "api") && seen["line"] == "serving 5");
    up.until_event("restarted", "api");
    up.stop();
}

#[test]
fn a_build_that_generates_sources_ends() {
    let project = Project::new();
    scripted(&project);
    let build = "echo 'package gen' > gen.go; mkdir -p out; rmdir out; cp main.go \"$1\"; chmod +x \"$1\"\n";
    project.write("api/build.sh", build);
    let mut up = project.up();
    up.until_event("ready", "api");
    for version in 1..=3 {
        let before = up.seen.len();
        script(&project, version);
        up.until(&format!("version {version}"), |seen| {
            is(seen, "log", "api") && seen["line"] == format!("serving {version}")
        });
        if up.count(before, "restarted", "api") == 0 {
            up.until_event("restarted", "api");
        }
        // At most one more, because what it read first was not certain.
        assert!(up.count(before, "building", "api") <= 3, "{:#?}", &up.seen[before..]);
    }
    let builds = up.count(0, "building", "api");
    let (_, rest) = up.stop();
    let later = rest.iter().filter(|seen| is(seen, "building", "api")).count();
    assert!(builds + later <= 9, "{builds} and {later} builds for four versions");
}

#[test]
fn stopping_ends_a_build_that_would_never_end() {
    let project = Project::new();
    scripted(&project);
    fs::remove_file(project.path("api/gate")).unwrap();
    let mut up = project.up();
    up.until_event("building", "api");
    let (status, _) = up.stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_first_build_that_fails_waits_for_its_next_save_and_the_others_start() {
    let project = Project::tiny(&["broken", "fine"], "");
    project.write("broken/answer.go", "package main\n\nbroken\n");
    let mut up = project.up();
    up.until("a failed build", |seen| is(seen, "build", "broken") && seen["ok"] == false);
    up.until_event("ready", "fine");
    assert_eq!(up.count(0, "started", "broken"), 0);
    project.save_answer("broken", "mended");
    up.until_event("ready", "broken");
    assert!(project.answer("broken").starts_with("mended"));
    up.stop();
}

#[test]
fn two_hundred_saves_in_two_seconds_end_with_the_last_one_running() {
    let project = Project::tiny(&["api", "beacon"], "");
    // Without a held port, so that nothing but hotwatch keeps two processes apart.
    let lock = project.beside("lock");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let port = format!("PORT = \"{}\"", project.port("api"));
    let env = format!("PORT = \"0\", ONLY_ONE = \"{}\"", lock.display());
    let config =
        config.replacen(&format!("port = {}\n", project.port("api")), "ready = { log = \"listening\" }\n", 1);
    project.write("hotwatch.toml", &config.replacen(&port, &env, 1));
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    let before = up.seen.len();

    // Two seconds of work by definition, not a wait for something.
    let start = Instant::now();
    for round in 1..=200u32 {
        project.save_answer("api", &format!("save {round}"));
        thread::sleep((start + Duration::from_millis(10) * round).saturating_duration_since(Instant::now()));
    }
    // The end is known by content: the process whose build read the last save says so.
    project.write(
        "api/last.go",
        "package main\n\nimport \"fmt\"\n\nfunc init() { fmt.Println(\"last\", answer) }\n",
    );
    up.until("the last save running", |seen| is(seen, "log", "api") && seen["line"] == "last save 200");
    up.until_event("restarted", "api");
    project.save_answer("beacon", "beacon");
    up.until_event("restarted", "beacon");

    let at = |seen: &serde_json::Value| humantime::parse_rfc3339(seen["at"].as_str().unwrap()).unwrap();
    let started: Vec<_> = up.seen.iter().filter(|seen| is(seen, "started", "api")).map(at).collect();
    for pair in started.windows(2) {
        let apart = pair[1].duration_since(pair[0]).unwrap();
        assert!(apart >= Duration::from_millis(300), "restarts only {apart:?} apart");
    }
    let restarts = up.count(before, "restarted", "api");
    assert!((1..=9).contains(&restarts), "{restarts} restarts in some three seconds");
    assert!(!project.beside("lock.overlap").exists(), "two processes at once");
    up.stop();
}

#[test]
fn builds_leave_out_what_debuggers_read_once_all_packages_are_compiled_so() {
    let project = Project::tiny(&["api"], "ready = { settle = \"10ms\" }");
    let mut up = project.up();
    // What is prepared is for what runs, so a save that comes too early begins it anew.
    for version in 0.. {
        up.until_event("good", "api");
        let prepared = || {
            let projects = fs::read_dir(project.beside("cache/hotwatch")).ok()?;
            let dir = projects.map(|dir| dir.unwrap().path().join("services/api"));
            let ended =
                |dir: &PathBuf| dir.join("background").exists() && !dir.join("tmp-background").exists();
            dir.into_iter().find(ended)
        };
        until("the lean twin", prepared);
        // Whoever answers for the service knows of it by now.
        project.run(&["sync", "status", "api"]);
        project.save_answer("api", &format!("version {version}"));
        up.until_event("restarted", "api");
        let binary = format!("/proc/{}/exe", up.pid("api"));
        let told = Command::new("go").args(["version", "-m", &binary]).output().unwrap();
        if String::from_utf8_lossy(&told.stdout).contains("-gcflags=all=-dwarf=false") {
            break;
        }
        assert!(version < 20);
    }
    up.stop();
}
