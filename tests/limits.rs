//! When the operating system cannot keep up, or will not watch that much: real overflow, real limits, real
//! disappearances.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{EVERY_GO_FILE, Project, Up, is};

#[test]
fn a_save_is_not_lost_when_the_event_queue_overflows() {
    let Ok(limit) = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events") else {
        eprintln!("NOT CHECKED: this system has no inotify queue to overflow");
        return;
    };
    let limit: usize = limit.trim().parse().unwrap();
    let project = Project::tiny(&["api"], EVERY_GO_FILE);
    let mut up = project.up();
    up.until_event("ready", "api");
    up.signal(Signal::SIGSTOP);
    // Of different files in turn, since the kernel merges equal neighbours; more than it holds, since the stop
    // may take a moment.
    for round in 0..limit * 2 {
        fs::write(project.path("api").join(format!("{}.txt", round % 2)), "").unwrap();
    }
    project.save_answer("api", "unseen");
    project.write("api/new/x.go", "package new\n");
    up.signal(Signal::SIGCONT);
    up.until_notice("events were dropped");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("unseen"));
    project.write("api/new/x.go", "package new\n\nconst X = 1\n");
    up.until_event("restarted", "api");
    up.stop();
}

#[test]
fn beyond_the_watch_limit_the_rest_is_polled_and_the_remedy_named() {
    let script = "echo 20 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
    let possible = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, "sh", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        eprintln!("NOT CHECKED: this machine allows no user namespace, so no real watch limit");
        return;
    }
    let project = Project::tiny(&["api"], EVERY_GO_FILE);
    for number in 0..40 {
        project.write(&format!("api/pkg{number}/x.go"), "package x\n");
    }
    let hotwatch = project.hotwatch(&["up", "--json"]);
    unshare.arg(hotwatch.get_program()).args(hotwatch.get_args()).current_dir(project.root());
    project.surround(&mut unshare);
    let mut up = Up::start(unshare);
    let notice = up.until_notice("the watch limit is reached");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("of 41 directories are polled"), "{message}");
    assert!(message.contains("sudo sysctl fs.inotify.max_user_watches="), "{message}");
    up.until_event("ready", "api");
    for number in 0..40 {
        project.write(&format!("api/pkg{number}/x.go"), "package x\n\nconst X = 1\n");
    }
    // Some are watched and some are polled; wherever the last of them is, it is seen.
    let mut changed = std::collections::BTreeSet::new();
    while changed.len() < 40 {
        let change = up.until_event("change", "api");
        changed.extend(change["paths"].as_array().unwrap().iter().map(ToString::to_string));
    }
    // A directory that appears now exceeds the limit as well.
    project.write("api/late/x.go", "package late\n");
    up.until("the new directory's file", |seen| {
        is(seen, "change", "api") && seen["paths"].as_array().unwrap().contains(&"api/late/x.go".into())
    });
    up.stop();
}

#[test]
fn a_vanished_root_is_told_and_picked_up_again() {
    let project = Project::tiny(&["api"], "");
    let mut up = project.up();
    up.until_event("ready", "api");
    fs::rename(project.path("api"), project.beside("away")).unwrap();
    up.until_notice("the watched directory is gone");
    fs::write(project.beside("away/answer.go"), crate::support::answer_source("back")).unwrap();
    fs::rename(project.beside("away"), project.path("api")).unwrap();
    up.until_notice("the watched directory is back");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("back"));
    project.save_answer("api", "watched");
    up.until_event("restarted", "api");
    assert!(project.answer("api").starts_with("watched"));
    up.stop();
}

#[test]
fn a_service_directory_that_is_deleted_and_made_again_while_the_service_runs_in_it() {
    let project = Project::tiny(&["api"], "");
    project.commit_all();
    let mut up = project.up();
    up.until_event("ready", "api");
    for round in 0..2 {
        fs::remove_dir_all(project.path("api")).unwrap();
        up.until_notice("the watched directory is gone");
        project.git(&["checkout", "-q", "--", "api"]);
        up.until_notice("the watched directory is back");
        project.save_answer("api", &format!("round {round}"));
        up.until("the new answer", |seen| is(seen, "restarted", "api"));
        while !project.answer("api").starts_with(&format!("round {round}")) {
            up.until_event("restarted", "api");
        }
    }
    up.stop();
}
