//! Ctrl+C with services that make it hard: nothing of them may be left.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Alive, Project, services};

fn run(env: &str, settings: &str) -> (Alive, Project, crate::support::Up) {
    let alive = Alive::new();
    let project = Project::tiny(&["first", "second"], settings);
    let config = std::fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let env = format!("env = {{ ALIVE = \"{}\", {env}PORT", alive.address());
    project.write("hotwatch.toml", &config.replace("env = { PORT", &env));
    let mut up = project.up();
    up.until_all_ready(&["first", "second"]);
    (alive, project, up)
}

fn stopped_in_reverse(rest: &[Value]) {
    assert_eq!(services(rest, "stopped"), ["second", "first"]);
}

#[test]
fn services_that_ignore_sigterm_are_killed_after_their_grace() {
    let (alive, _project, up) = run("IGNORE_TERM = \"1\", ", "stop = { grace = \"200ms\" }");
    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    stopped_in_reverse(&rest);
    let killed =
        |event: &&Value| event["message"].as_str().is_some_and(|text| text.contains("did not stop within"));
    assert_eq!(rest.iter().filter(killed).count(), 2, "{rest:?}");
    alive.all_gone();
}

#[test]
fn grandchildren_that_ignore_sigterm_go_too() {
    let (mut alive, project, mut up) = run("GRANDCHILDREN = \"1\", ", "stop = { grace = \"200ms\" }");
    // At a restart as well, before the next process is started.
    project.save_answer("first", "two");
    up.until_event("restarted", "first");
    assert_eq!(alive.accept(), 3);
    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    stopped_in_reverse(&rest);
    alive.all_gone();
}

#[test]
fn services_that_flood_their_output_stop_like_others() {
    let (alive, project, mut up) = run("FLOOD = \"1\", ", "");
    project.save_answer("second", "two");
    up.until_event("restarted", "second");
    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    stopped_in_reverse(&rest);
    alive.all_gone();
}

#[test]
fn a_second_signal_kills_at_once() {
    let (alive, _project, mut up) = run("IGNORE_TERM = \"1\", ", "stop = { grace = \"1h\" }");
    up.signal(Signal::SIGINT);
    up.until_notice("Ctrl+C again kills");
    let (status, _) = up.stop_now();
    assert_eq!(status.code(), Some(0));
    alive.all_gone();
}

#[test]
fn sigterm_and_sighup_stop_as_well() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let (alive, _project, mut up) = run("", "");
        up.signal(signal);
        up.until_event("stopped", "second");
        up.until_event("stopped", "first");
        assert_eq!(up.child.wait().unwrap().code(), Some(0), "{signal}");
        alive.all_gone();
    }
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let (alive, _project, mut up) = run("FLOOD = \"1\", ", "");
    let status = up.close_output();
    assert_eq!(status.code(), Some(0));
    alive.all_gone();
}

#[test]
fn sigquit_kills_at_once() {
    let (alive, _project, mut up) = run("IGNORE_TERM = \"1\", ", "stop = { grace = \"1h\" }");
    up.signal(Signal::SIGQUIT);
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
    alive.all_gone();
}

#[test]
fn a_signal_that_is_relayed_twice_is_still_a_graceful_stop() {
    let (alive, _project, mut up) = run("SLOW_TERM = \"1\", ", "");
    up.signal(Signal::SIGTERM);
    up.signal(Signal::SIGTERM);
    up.signal(Signal::SIGHUP);
    for service in ["second", "first"] {
        up.until(service, |seen| crate::support::is(seen, "log", service) && seen["line"] == "graceful");
    }
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
    alive.all_gone();
}

#[test]
fn a_reader_that_does_not_read_cannot_keep_it_from_ending() {
    let alive = Alive::new();
    let project = Project::tiny(&["api"], "");
    let config = std::fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let env = format!("env = {{ ALIVE = \"{}\", FLOOD = \"1\", PORT", alive.address());
    project.write("hotwatch.toml", &config.replace("env = { PORT", &env));
    let mut child = project.hotwatch(&["up"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut alive = alive;
    while alive.accept() == 0 {
        std::thread::yield_now();
    }
    // Nobody reads its output from here on, and the service floods it.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    alive.all_gone();
}
