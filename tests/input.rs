//! Bad input: a clear error that names the thing, exit code 1, nothing started, nothing overwritten.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};

use crate::support::Project;

/// A project whose service tells if it is ever built.
fn project() -> Project {
    let project = Project::new();
    project.write("api/main.go", "package main\n");
    project.write("hotwatch.toml", &config(&project, ""));
    project
}

fn config(project: &Project, more: &str) -> String {
    format!(
        "log_dir = \"{}\"\n[[service]]\nname = \"api\"\ndir = \"api\"\n\
         build = [\"sh\", \"-c\", \"touch ../built; cp main.go {{out}}\"]\n{more}",
        project.log_dir().display()
    )
}

fn refused(project: &Project, output: &Output, expected: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{stderr}\nnot: {expected}");
    assert!(!project.path("built").exists(), "something was started");
}

#[test]
fn configurations() {
    let project = project();
    let api = config(&project, "");
    let table: &[(String, &str)] = &[
        ("[[service]\n".to_owned(), "hotwatch.toml:1:"),
        (config(&project, "prot = 1\n"), "hotwatch.toml:6:1: unknown key `prot`; did you mean `port`?"),
        (
            api.replace("dir = \"api\"", "dir = \"missing\""),
            "the directory `missing` of `api` does not exist",
        ),
        (api.replace("dir = \"api\"", "dir = \"circle\""), "the directory `circle` of `api` cannot be read"),
        (config(&project, "depends_on = [\"api\"]\n"), "services wait for each other: `api` -> `api`"),
        (format!("{api}[[service]]\nname = \"api\"\n"), "the name `api` is used twice"),
        (format!("env_files = [\"bad.env\"]\n{api}"), "bad.env:2: not of the form `NAME=value`: `oh no`"),
        (String::new(), "no `[[service]]`"),
    ];
    symlink("circle", project.path("circle")).unwrap();
    project.write("bad.env", "A=1\noh no\n");
    for (text, expected) in table {
        project.write("hotwatch.toml", text);
        refused(&project, &project.run(&["up"]), expected);
        // `check` says it in the same words, and goes on.
        let check = project.run(&["check"]);
        let stdout = String::from_utf8_lossy(&check.stdout);
        assert_eq!(check.status.code(), Some(1));
        assert!(stdout.contains(expected) && stdout.contains(" go "), "{stdout}");
    }
    fs::remove_file(project.path("hotwatch.toml")).unwrap();
    refused(&project, &project.run(&["up"]), "neither a `hotwatch.toml` nor a `go.mod` in");
    refused(&project, &project.run(&["--config", "other.toml", "up"]), "`other.toml` cannot be read");
    refused(&project, &project.run(&["-C", "nowhere", "up"]), "cannot change to the directory `nowhere`");
}

#[test]
fn a_path_that_is_no_utf8() {
    let project = project();
    let odd = project.path("x").with_file_name(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&odd).unwrap();
    fs::copy(project.path("hotwatch.toml"), odd.join("hotwatch.toml")).unwrap();
    fs::create_dir(odd.join("api")).unwrap();
    let output = project.hotwatch(&["up"]).current_dir(&odd).output().unwrap();
    refused(&project, &output, "is not valid UTF-8");
}

#[test]
fn an_unreadable_directory() {
    let project = project();
    for dir in [project.root(), project.log_dir(), project.beside("")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(project.path("api"), fs::Permissions::from_mode(0o311)).unwrap();
    let mut command = project.hotwatch(&["up"]);
    if nix::unistd::geteuid().is_root() {
        // Root may read everything, so somebody else has to be refused.
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        other.arg(command.get_program()).args(command.get_args()).current_dir(project.root());
        project.surround(&mut other);
        command = other;
    }
    if command.get_program() == "setpriv" && Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("NOT CHECKED: no `setpriv` on this machine, and root may read everything");
        return;
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    refused(&project, &output, "api` cannot be read");
}

#[test]
fn log_files_that_were_planted() {
    let project = project();
    let log = project.log_dir().join("api.log");
    project.write("precious", "precious");
    symlink(project.path("precious"), &log).unwrap();
    refused(&project, &project.run(&["up"]), "api.log` is a symbolic link");
    fs::remove_file(&log).unwrap();
    fs::hard_link(project.path("precious"), &log).unwrap();
    refused(&project, &project.run(&["up"]), "api.log` has several hard links");
    assert_eq!(fs::read_to_string(project.path("precious")).unwrap(), "precious");
    fs::remove_file(&log).unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::write(&log, "theirs").unwrap();
        std::os::unix::fs::chown(&log, Some(65534), Some(65534)).unwrap();
        refused(&project, &project.run(&["up"]), "api.log` belongs to another user (uid 65534)");
        assert_eq!(fs::read_to_string(&log).unwrap(), "theirs");
    } else {
        eprintln!("NOT CHECKED: only root can make a file of another user");
    }
}

#[test]
fn a_port_that_is_held_and_a_go_that_is_missing() {
    let project = project();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    project.write("hotwatch.toml", &config(&project, &format!("port = {port}\n")));
    let expected = format!("port {port} of `api` is held by PID {} (", std::process::id());
    refused(&project, &project.run(&["up"]), &expected);
    assert!(String::from_utf8_lossy(&project.run(&["check"]).stdout).contains(&expected));
    drop(listener);

    let text =
        config(&project, "").lines().filter(|line| !line.starts_with("build")).collect::<Vec<_>>().join("\n");
    project.write("hotwatch.toml", &text);
    let output = project.hotwatch(&["up"]).env("PATH", "/nowhere").output().unwrap();
    refused(&project, &output, "the `go` command is not on the PATH; install it");
}

#[test]
fn a_second_hotwatch_on_the_same_project() {
    let project = Project::tiny(&["api"], "");
    let mut up = project.up();
    up.until_event("ready", "api");
    let output = project.run(&["up"]);
    refused(&project, &output, &format!("is run by another hotwatch, PID {}, since ", up.child.id()));
    refused(&project, &output, &format!("hotwatch stop -C {}", project.root().display()));
    up.stop();
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let project = project();
    for args in [&["upp"][..], &["events"], &["--color", "sometimes"], &["up", "--bogus"]] {
        assert_eq!(project.run(args).status.code(), Some(2), "{args:?}");
    }
}
