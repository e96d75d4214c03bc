//! `up --debug`: a reload under the debugger, with delve where it is installed, and with a script in its place
//! everywhere.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Alive, DEADLINE, Project, Up, is, services};

/// What the second service of a project is debugged on.
const DEBUG_PORT: u16 = 2346;

/// The debugger's port is the same for every test, so one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static PORT: Mutex<()> = Mutex::new(());
    PORT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Services `first` and `second` with `env` more in the environment of each.
fn project(alive: &Alive, env: &str, settings: &str) -> Project {
    let project = Project::tiny(&["first", "second"], settings);
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let env = format!("env = {{ ALIVE = \"{}\", {env}PORT", alive.address());
    project.write("hotwatch.toml", &config.replace("env = { PORT", &env));
    project
}

/// Starts `up --debug second`, with `dlv` the first on the PATH.
fn debug(project: &Project, dlv: Option<PathBuf>) -> Up {
    let mut command = project.hotwatch(&["up", "--json", "--debug", "second"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = dlv.into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(dirs).unwrap());
    Up::start(command)
}

/// The directory of the real debugger, if it can be used here.
fn dlv() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from(home).join("go/bin")]);
    let found = dirs.into_iter().find(|dir| dir.join("dlv").is_file());
    if found.is_none() {
        eprintln!("NOT CHECKED: dlv is not installed");
    }
    found
}

/// What the debugger answers to `method` over JSON-RPC.
fn ask(method: &str, params: &Value) -> Value {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, DEBUG_PORT)).unwrap();
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = json!({ "method": format!("RPCServer.{method}"), "params": [params], "id": 1 });
    connection.write_all(request.to_string().as_bytes()).unwrap();
    serde_json::Deserializer::from_reader(connection).into_iter().next().unwrap().unwrap()
}

/// Saves `answer`, and waits until the process that runs now has given way to the next.
fn reload(project: &Project, up: &mut Up, answer: &str) {
    let old = up.pid("second");
    project.save_answer("second", answer);
    let restarted = up.until("restart", |event| is(event, "restarted", "second") && event["old_pid"] == old);
    assert_ne!(restarted["pid"], old);
    assert_eq!(project.answer("second"), answer);
}

fn nobody_listens(port: u16) {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    assert!(bound.is_ok(), "{port}: {bound:?}");
}

fn is_log(event: &Value, line: &str) -> bool {
    event["event"] == "log" && event["line"].as_str().unwrap().contains(line)
}

#[test]
fn a_reload_under_delve_keeps_the_port_and_stops_gracefully() {
    let Some(dlv) = dlv() else { return };
    let _alone = alone();
    let mut alive = Alive::new();
    let project = project(&alive, "SLOW_TERM = \"1\", ", "args = [\"-v\"]");
    let mut up = debug(&project, Some(dlv));
    up.until_all_ready(&["first", "second"]);
    assert!(ask("GetVersion", &json!({}))["result"]["DelveVersion"].is_string());
    assert_eq!(project.answer("second"), "one");

    let saved = up.seen.len();
    reload(&project, &mut up, "two");
    assert!(ask("GetVersion", &json!({}))["result"]["DelveVersion"].is_string());
    assert!(up.seen[saved..].iter().any(|event| is_log(event, "graceful")), "{:?}", up.seen);
    let listens = |event: &&Value| event["message"] == format!("debugger listens on 127.0.0.1:{DEBUG_PORT}");
    assert_eq!(up.seen.iter().filter(listens).count(), 2);
    assert!(!up.seen.iter().any(|event| is_log(event, "API server")));
    assert!(up.seen.iter().any(|event| is_log(event, "listening [-v]")));
    // One that ends by itself is told with its own status, not the debugger's.
    project.write("second/init.go", "package main\n\nimport \"os\"\n\nfunc init() { os.Exit(3) }\n");
    assert_eq!(up.until_event("exited", "second")["code"], 3);
    nobody_listens(project.port("second"));
    fs::remove_file(project.path("second/init.go")).unwrap();
    up.until_event("restarted", "second");

    assert_eq!(alive.accept(), 4);
    let port = project.port("second");
    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(services(&rest, "stopped"), ["second", "first"]);
    assert_eq!(rest.iter().filter(|event| is_log(event, "graceful")).count(), 2, "{rest:?}");
    nobody_listens(DEBUG_PORT);
    nobody_listens(port);
    alive.all_gone();
}

#[test]
fn what_stands_at_a_breakpoint_is_killed_after_its_grace() {
    let Some(dlv) = dlv() else { return };
    let _alone = alone();
    let alive = Alive::new();
    let project = project(&alive, "GRANDCHILDREN = \"1\", ", "stop = { grace = \"200ms\" }");
    let mut up = debug(&project, Some(dlv));
    up.until_all_ready(&["first", "second"]);
    // Halted, as at a breakpoint, it sees no signal.
    assert_eq!(ask("Command", &json!({ "name": "halt" }))["error"], Value::Null);
    reload(&project, &mut up, "two");
    let killed = |event: &Value| event["message"] == "did not stop within 200ms; killed";
    assert!(up.seen.iter().any(killed));

    ask("Command", &json!({ "name": "halt" }));
    let (status, rest) = up.stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(services(&rest, "stopped"), ["second", "first"]);
    nobody_listens(DEBUG_PORT);
    alive.all_gone();
}

#[test]
fn a_second_signal_kills_debugger_and_program() {
    let Some(dlv) = dlv() else { return };
    let _alone = alone();
    let alive = Alive::new();
    let project = project(&alive, "IGNORE_TERM = \"1\", ", "stop = { grace = \"1h\" }");
    let mut up = debug(&project, Some(dlv));
    up.until_all_ready(&["first", "second"]);
    up.signal(Signal::SIGINT);
    up.until_notice("Ctrl+C again kills");
    let (status, _) = up.stop_now();
    assert_eq!(status.code(), Some(0));
    nobody_listens(DEBUG_PORT);
    alive.all_gone();
}

/// A script that writes down its arguments and becomes the program, on the PATH as `dlv`.
fn fake(project: &Project) -> PathBuf {
    let dir = project.beside("bin");
    fs::create_dir(&dir).unwrap();
    let args = project.beside("args");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >> '{}'\nfor word; do [ \"$word\" = -- ] && break; binary=$word; shift; done\n\
         shift\nexec \"$binary\" \"$@\"\n",
        args.display()
    );
    fs::write(dir.join("dlv"), script).unwrap();
    fs::set_permissions(dir.join("dlv"), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn the_debugger_is_started_the_same_way_at_every_reload() {
    let _alone = alone();
    let alive = Alive::new();
    let project = project(&alive, "", "args = [\"-v\", \"a b\"]");
    let mut up = debug(&project, Some(fake(&project)));
    up.until_all_ready(&["first", "second"]);
    reload(&project, &mut up, "two");
    let args = fs::read_to_string(project.beside("args")).unwrap();
    let lines: Vec<&str> = args.lines().collect();
    let flags = format!(
        "exec --headless --accept-multiclient --continue --api-version=2 --listen=127.0.0.1:{DEBUG_PORT} /"
    );
    assert!(lines.len() == 2 && lines[0] == lines[1] && lines[0].starts_with(&flags), "{args}");
    assert!(lines[0].ends_with(" -- -v a b"), "{args}");
    // What debuggers need is in this binary, and in that of the other service it is not.
    let binary = |service: &str| format!("/proc/{}/exe", up.pid(service));
    if cfg!(target_os = "linux") {
        let flags = |service: &str| {
            let output = Command::new("go").args(["version", "-m", &binary(service)]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(flags("second").contains("-gcflags=\"all=-N -l\"") && !flags("second").contains("-ldflags"));
        assert!(flags("first").contains("-ldflags=-w") && !flags("first").contains("-gcflags"));
    }
    up.stop();

    // A build command of its own keeps its flags, which is said.
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write("hotwatch.toml", &(config + "build = [\"go\", \"build\", \"-o\", \"{out}\", \".\"]\n"));
    let mut up = debug(&project, Some(project.beside("bin")));
    up.until_notice("its `build` is its own");
    up.until_all_ready(&["first", "second"]);
    up.stop();
    alive.all_gone();
}

#[test]
fn what_cannot_be_debugged_is_refused_before_anything_starts() {
    let _alone = alone();
    let project = Project::tiny(&["users"], "");
    let refused = |mut command: Command, words: &str| {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(output.stdout.is_empty() && stderr.contains(words), "{stderr}");
    };
    refused(
        project.hotwatch(&["up", "--debug", "user"]),
        "there is no service `user`; did you mean `users`?",
    );
    let bin = project.beside("empty");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("go"), "").unwrap();
    fs::set_permissions(bin.join("go"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.hotwatch(&["up", "--debug", "users"]);
    command.env("PATH", &bin);
    refused(command, "install it with `go install github.com/go-delve/delve/cmd/dlv@latest`");

    let held = match TcpListener::bind((Ipv4Addr::LOCALHOST, 2345)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => None,
        bound => Some(bound.unwrap()),
    };
    let mut command = project.hotwatch(&["up", "--debug", "users"]);
    command.env("PATH", fake(&project));
    fs::copy(bin.join("go"), project.beside("bin/go")).unwrap();
    refused(command, "port 2345 of the debugger of `users` is held by");
    drop(held);
}
