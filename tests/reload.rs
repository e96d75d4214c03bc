//! The core loop on the demo backend, and what a reload promises.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use serde_json::Value;

use crate::support::{Alive, Project, Up, copy, fixture, free_ports, is, services};

const SERVICES: [&str; 6] =
    ["userService", "assetService", "socialService", "galleryService", "activityService", "gateway"];

/// The demo backend on free ports; every process connects to `alive`.
fn demo(alive: &Alive) -> Project {
    let project = Project::new();
    copy(&fixture("backend"), &project.root());
    let ports = free_ports(6);
    for file in [".env", "hotwatch.toml"] {
        let mut text = fs::read_to_string(project.path(file)).unwrap();
        for (old, new) in ["20000", "20003", "20002", "20004", "20005", "8080"].iter().zip(&ports) {
            text = text.replace(old, &new.to_string());
        }
        if file == ".env" {
            text += &format!("ALIVE={}\n", alive.address());
        } else {
            text = format!("log_dir = \"{}\"\n{text}", project.log_dir().display());
        }
        project.write(file, &text);
    }
    for service in SERVICES {
        project.write(&format!("{}/alive.go", dir(service)), ALIVE);
    }
    project
}

/// Part of every service in the test's copy: a connection that lives as long as the process.
const ALIVE: &str = "package main

import (
	\"net\"
	\"os\"
)

var alive, _ = net.Dial(\"tcp\", os.Getenv(\"ALIVE\"))
";

fn dir(service: &str) -> String {
    if service == "gateway" { service.to_owned() } else { format!("services/{service}") }
}

/// The JSON that a service of the demo answers.
fn get(port: u16) -> Value {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

/// Replaces what `greeting` of a service returns.
fn greet(project: &Project, service: &str, greeting: &str) {
    let file = format!("{}/handlers.go", dir(service));
    let text = fs::read_to_string(project.path(&file)).unwrap();
    let start = text.find("func greeting() string { return ").unwrap();
    let end = start + text[start..].find('\n').unwrap();
    let line = format!("func greeting() string {{ return {greeting:?} }}");
    project.write(&file, &format!("{}{line}{}", &text[..start], &text[end..]));
}

#[test]
fn the_demo_backend_from_start_to_stop() {
    let mut alive = Alive::new();
    let project = demo(&alive);
    let mut up = project.up();
    up.until_all_ready(&SERVICES);
    assert_eq!(services(&up.seen, "started").last().unwrap(), "gateway");
    assert_eq!(alive.accept(), 6);
    let before: Vec<i64> = SERVICES.iter().map(|service| up.pid(service)).collect();
    let page = get(project.port("gateway"));
    for service in &SERVICES[..5] {
        assert!(page["services"][service]["pid"].is_i64(), "{page}");
    }

    // An edit of one service restarts it, and only it.
    let edited = up.seen.len();
    greet(&project, "socialService", "edited");
    let restarted = up.until_event("restarted", "socialService");
    assert_eq!(restarted["old_pid"], before[2]);
    assert_eq!(restarted["pid"], up.pid("socialService"));
    assert!(restarted["ms"].as_u64().unwrap() > 0);
    assert_eq!(get(project.port("socialService"))["message"], "edited");
    assert_eq!(get(project.port("gateway"))["services"]["socialService"]["message"], "edited");

    // A syntax error leaves the process alone and is shown in both places.
    let handlers = project.path("services/socialService/handlers.go");
    let good = fs::read_to_string(&handlers).unwrap();
    fs::write(&handlers, format!("{good}\nnot go\n")).unwrap();
    let build = up.until("a failed build", |seen| is(seen, "build", "socialService") && seen["ok"] == false);
    assert!(build["output"].as_str().unwrap().contains("handlers.go"), "{build}");
    assert_eq!(get(project.port("socialService"))["pid"], restarted["pid"]);
    assert_eq!(get(project.port("socialService"))["message"], "edited");
    up.until_event("verdict", "socialService");
    project.until_log("socialService", "the error", |log| log.contains("syntax error"));

    // The fix restarts once.
    fs::write(&handlers, good.replace("\"edited\"", "\"fixed\"")).unwrap();
    up.until_event("restarted", "socialService");
    assert_eq!(get(project.port("socialService"))["message"], "fixed");

    // Whatever was still to come has come once another service has restarted.
    greet(&project, "userService", "beacon");
    up.until_event("restarted", "userService");
    let restarts = services(&up.seen[edited..], "restarted");
    assert_eq!(restarts.iter().filter(|name| *name == "socialService").count(), 2, "{restarts:?}");
    assert_eq!(restarts.iter().filter(|name| *name == "userService").count(), 1, "{restarts:?}");
    assert_eq!(restarts.len(), 3, "{restarts:?}");
    for (service, pid) in
        SERVICES.iter().zip(before).filter(|(service, _)| !restarts.contains(&(**service).into()))
    {
        assert_eq!(up.pid(service), pid, "{service}");
    }

    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    let reverse: Vec<String> = SERVICES.iter().rev().map(|name| (*name).to_owned()).collect();
    assert_eq!(services(&rest, "stopped"), reverse);
    alive.all_gone();
}

#[test]
fn logs_are_emptied_at_the_start_and_appended_over_restarts() {
    let project = Project::tiny(&["api"], "args = [\"--flag\", \"two words\"]");
    fs::write(project.log_dir().join("api.log"), "yesterday\n").unwrap();
    let mut up = project.up();
    up.until_event("ready", "api");
    project.save_answer("api", "two");
    up.until_event("restarted", "api");
    up.stop();
    let log = project.log("api");
    assert!(!log.contains("yesterday"), "{log}");
    assert_eq!(log.matches("listening [--flag two words]").count(), 2, "{log}");
    assert!(log.contains("api/answer.go changed"), "{log}");
}

#[test]
fn env_files_reach_the_service_and_the_environment_wins() {
    let project = Project::tiny(&["api"], "");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write(
        ".env",
        "NAME_IN_FILE='a b'\nexport GREETING=\"hello ${NAME_IN_FILE} $OUTSIDE\"\nOUTSIDE=file\n",
    );
    project.write("hotwatch.toml", &format!("env_files = [\".env\"]\n{config}"));
    let start = || {
        let mut command = project.hotwatch(&["up", "--json"]);
        command.env("OUTSIDE", "environment");
        let mut up = Up::start(command);
        up.until_event("ready", "api");
        up
    };
    let up = start();
    assert_eq!(project.answer("api"), "one hello a b environment");
    up.stop();
    project.write("hotwatch.toml", &format!("env_files = [\".env\"]\nenv_override = true\n{config}"));
    let text = fs::read_to_string(project.path(".env")).unwrap();
    project.write(".env", &format!("OUTSIDE=file\n{text}"));
    let up = start();
    assert_eq!(project.answer("api"), "one hello a b file");
    up.stop();
}

#[test]
fn a_dependency_is_ready_before_what_depends_on_it_starts() {
    let project = Project::tiny(&["first", "second"], "");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let config = config.replacen("name = \"first\"", "name = \"first\"\ndepends_on = [\"second\"]", 1);
    project.write("hotwatch.toml", &config);
    let mut up = project.up();
    up.until_all_ready(&["first", "second"]);
    let at = |event: &str, service: &str| up.seen.iter().position(|seen| is(seen, event, service)).unwrap();
    assert!(at("ready", "second") < at("started", "first"));
    let (_, rest) = up.stop();
    assert_eq!(services(&rest, "stopped"), ["first", "second"]);
}

#[test]
fn nothing_is_written_into_the_users_tree() {
    let project = Project::tiny(&["api"], "");
    project.commit_all();
    let mut up = project.up();
    up.until_event("ready", "api");
    project.save_answer("api", "two");
    up.until_event("restarted", "api");
    project.write("api/answer.go", "package main\n\nbroken\n");
    up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    project.git(&["checkout", "-q", "--", "."]);
    up.until_event("restarted", "api");
    up.stop();
    assert_eq!(project.git(&["status", "--porcelain", "--ignored", "--untracked-files=all"]), "");
    // What was made elsewhere is gone as well.
    let left: Vec<_> = fs::read_dir(project.beside("cache/hotwatch")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_save_that_concerns_several_restarts_them_in_the_order_of_their_dependencies() {
    let project = Project::tiny(&["free", "base", "user"], "stop = { grace = \"60s\" }");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let may_stop = project.beside("may-stop");
    // One program under three names; one of them stops when it may.
    let config = config.replace("dir = \"user\"", "dir = \"base\"\ndepends_on = [\"base\"]");
    let config = config.replace("dir = \"free\"", "dir = \"base\"");
    let config = config.replace("NAME = \"base\"", &format!("NAME = \"base\", SLOW_TERM = {may_stop:?}"));
    project.write("hotwatch.toml", &config);
    let mut up = project.up();
    up.until_all_ready(&["free", "base", "user"]);
    let before = up.seen.len();
    project.save_answer("base", "two");
    // Nobody else waits.
    up.until_event("stopped", "free");
    assert_eq!(up.count(before, "stopped", "base"), 0);
    fs::write(&may_stop, "").unwrap();
    for service in ["base", "user", "free"] {
        if up.count(before, "restarted", service) == 0 {
            up.until_event("restarted", service);
        }
    }
    let place = |event: &str, service: &str| {
        up.seen[before..].iter().position(|seen| is(seen, event, service)).unwrap()
    };
    assert!(place("ready", "base") < place("stopped", "user"));
    assert!(place("stopped", "free") < place("ready", "base"));
    for service in ["base", "user", "free"] {
        assert_eq!(up.count(before, "started", service), 1, "{service}");
        assert!(project.answer(service).starts_with("two"));
    }
    up.stop();
}
