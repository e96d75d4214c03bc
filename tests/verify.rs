//! `hotwatch verify`: the process that runs beside a fresh one of what is on disk.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Alive, Project, copy, fixture, free_ports, until};

/// The fixture `web` behind a held port.
fn web(settings: &str) -> (Project, u16) {
    let project = Project::new();
    let port = free_ports(1)[0];
    copy(&fixture("web"), &project.path("web"));
    let config = format!(
        "log_dir = {:?}\ndebounce = \"0s\"\n[[service]]\nname = \"web\"\ndir = \"web\"\n\
         proxy = {{ listen = {port} {settings} }}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    (project, port)
}

/// Sends a request to the held port, and reads the answer to its end.
fn send(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What lies in the cache beside the directory of the hotwatch that runs.
fn beside(project: &Project) -> usize {
    std::fs::read_dir(project.beside("cache/hotwatch")).unwrap().count() - 1
}

#[test]
fn what_came_to_the_held_port_is_sent_again_to_both() {
    let (project, port) = web(", live_reload = true");
    let mut up = project.up();
    up.until_event("ready", "web");
    let output = project.run(&["verify", "web"]);
    assert!(!output.status.success() && stderr(&output).contains("no request has come"), "{output:?}");

    let page = "GET /page HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    (0..3).for_each(|_| assert!(send(port, page).contains("<body>one</body>")));
    send(port, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nping");
    let output = project.run(&["verify", "web"]);
    let text = stdout(&output);
    let expected = "1 of 1 requests are answered the same by PID";
    assert!(output.status.success() && text.starts_with("same    GET /page\n"), "{output:?}");
    assert!(text.contains(expected) && text.contains("1 that may change something are not sent"), "{text}");
    let output = project.run(&["verify", "web", "--all", "--json"]);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(output.status.success(), "{output:?}");
    let requests: Vec<_> = lines.iter().map(|line| (&line["request"], &line["equal"])).collect();
    let (page, echo) = (Value::from("GET /page"), Value::from("POST /echo"));
    assert_eq!(requests, [(&page, &true.into()), (&echo, &true.into())]);

    // What is on disk is what the fresh one runs.
    assert!(project.run(&["pause"]).status.success());
    project.write("web/answer.go", "package main\n\nconst answer = \"two\"\n");
    let output = project.run(&["verify", "web"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("differs GET /page\n"), "{text}");
    assert!(text.contains("-<html><body>one</body>") && text.contains("+<html><body>two</body>"), "{text}");
    assert!(send(port, "GET /page HTTP/1.0\r\n\r\n").contains("one"));
    // One that cannot be built says why.
    project.write("web/answer.go", "package main\n\nconst answer = two\n");
    let output = project.run(&["verify", "web"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot be built") && stderr(&output).contains("undefined: two"),
        "{output:?}"
    );
    assert_eq!(beside(&project), 0);
    up.stop();
    let output = project.run(&["verify", "web"]);
    assert!(!output.status.success() && stderr(&output).contains("no hotwatch runs"), "{output:?}");
}

#[test]
fn a_service_that_cannot_be_told_another_port_is_told_what_to_write() {
    let project = Project::tiny(&["api"], "");
    // It listens anywhere, since nothing tells it where.
    copy(&fixture("tiny"), &project.path("fixed"));
    let port = free_ports(1)[0];
    project
        .append("hotwatch.toml", &format!("[[service]]\nname = \"fixed\"\ndir = \"fixed\"\nport = {port}\n"));
    let mut up = project.up();
    up.until_each("started", &["fixed"]);
    up.until_each("ready", &["api"]);
    project.write("smoke.http", "GET /\n");
    let output = project.run(&["verify", "fixed", "--requests", "smoke.http"]);
    let said = stderr(&output);
    assert!(!output.status.success() && said.contains("cannot be told another port than"), "{output:?}");
    assert!(said.contains(&format!("env = {{ PORT = \"{port}\" }}")), "{said}");
    let output = project.run(&["verify", "fixed"]);
    assert!(stderr(&output).contains("hotwatch holds no port for it"), "{output:?}");
    let output = project.run(&["verify", "api", "--requests", "missing.http"]);
    assert!(stderr(&output).contains("cannot read `missing.http`"), "{output:?}");
    project.write("smoke.http", "get /\n");
    let output = project.run(&["verify", "api", "--requests", "smoke.http"]);
    assert!(stderr(&output).contains("line 1: `get /` begins no request"), "{output:?}");
    let output = project.run(&["verify", "apis", "--requests", "smoke.http"]);
    assert!(stderr(&output).contains("there is no service `apis`"), "{output:?}");
    up.stop();
}

#[test]
fn killed_while_it_waits_it_leaves_nothing() {
    let mut alive = Alive::new();
    let project = Project::tiny(&["api"], "ready = { log = \"never\" }");
    let config = std::fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let with_alive = format!("GRANDCHILDREN = \"1\", ALIVE = {:?}, NAME", alive.address());
    project.write("hotwatch.toml", &config.replace("NAME", &with_alive));
    let mut up = project.up();
    up.until_event("started", "api");
    until("the connection of the process", || (alive.accept() == 1).then_some(()));
    project.write("smoke.http", "GET /\n");
    let mut verify = project
        .hotwatch(&["verify", "api", "--requests", "smoke.http"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the connection of the fresh process", || (alive.accept() == 2).then_some(()));
    assert_eq!(beside(&project), 1);
    kill(Pid::from_raw(i32::try_from(verify.id()).unwrap()), Signal::SIGKILL).unwrap();
    verify.wait().unwrap();
    until("the end of its directory", || (beside(&project) == 0).then_some(()));
    up.stop();
    alive.all_gone();
}
