//! A running hotwatch, asked from other processes: every verb, and those who have no business there.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{EVERY_GO_FILE, Project, Up};

fn started(names: &[&str]) -> (Project, Up) {
    let project = Project::tiny(names, EVERY_GO_FILE);
    let mut up = project.up();
    up.until_all_ready(names);
    up.until_watching();
    (project, up)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the verb prints, which must succeed.
fn asked(project: &Project, args: &[&str]) -> String {
    let output = project.run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How `service` is, as soon as it is `state`: what is known follows what is told at once, but after it.
fn status(project: &Project, service: &str, state: &str) -> Value {
    loop {
        let all = lines(&asked(project, &["status", service, "--json"]));
        if all[0]["state"] == state {
            return all[0].clone();
        }
    }
}

fn socket(project: &Project) -> PathBuf {
    let entries = fs::read_dir(project.beside("run/hotwatch")).unwrap();
    let mut sockets = entries.map(|entry| entry.unwrap().path());
    sockets.find(|path| path.extension().is_some_and(|extension| extension == "sock")).unwrap()
}

#[test]
fn status_shows_what_is_known_from_anywhere_below() {
    let (project, up) = started(&["api", "web"]);
    let api = status(&project, "api", "ready");
    assert_eq!(
        (api["pid"].as_i64(), api["port"].as_u64()),
        (Some(up.pid("api")), Some(project.port("api").into()))
    );
    assert!(api["rss_bytes"].as_u64().unwrap() > 500_000, "{api}");
    assert!(
        api["cpu_percent"].is_number() && api["last_build_ms"].is_number() && api["paused"] == false,
        "{api}"
    );

    fs::create_dir_all(project.path("web/deep/er")).unwrap();
    let output = project.hotwatch(&["status"]).current_dir(project.path("web/deep/er")).output().unwrap();
    let table = text(&output.stdout);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("SERVICE  STATE  PID"), "{table}");
    assert!(rows[1].starts_with("api      ready") && rows[2].starts_with("web      ready"), "{table}");
    assert_eq!(rows.len(), 3);
    assert!(
        !table.contains('\x1b')
            && asked(&project, &["status", "--color", "always"]).contains("\x1b[32mready")
    );

    // A config that is being edited does not matter.
    project.write("hotwatch.toml", "nonsense");
    assert_eq!(lines(&asked(&project, &["status", "--json"])).len(), 2);
}

#[test]
fn restart_and_build_wait_for_what_comes_of_it() {
    let (project, mut up) = started(&["api", "web"]);
    let (api, web) = (up.pid("api"), up.pid("web"));
    let told = asked(&project, &["restart", "api"]);
    assert!(told.contains("api > asked to restart\n") && told.contains(&format!("PID {api} -> ")), "{told}");
    let now = status(&project, "api", "ready");
    assert!(
        now["pid"] != api && now["restarts"] == 1 && status(&project, "web", "ready")["pid"] == web,
        "{now}"
    );

    let told = lines(&asked(&project, &["restart", "--json"]));
    let restarted: Vec<_> = told.iter().filter(|event| event["event"] == "restarted").collect();
    assert_eq!(restarted.len(), 2, "{told:?}");

    let told = asked(&project, &["build", "web"]);
    assert!(told.contains("built in") && told.contains("the same program"), "{told}");

    project.write("web/answer.go", "package main\n\nconst answer = nonsense\n");
    up.until("failed build", |event| event["event"] == "build" && event["ok"] == false);
    let output = project.run(&["build", "web"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("undefined: nonsense"), "{output:?}");
    assert!(asked(&project, &["build", "web", "--no-wait"]).is_empty());
    assert!(status(&project, "web", "ready")["failure"].as_str().unwrap().contains("nonsense"));

    let wrong = refused(&project.run(&["restart", "wep"]));
    assert_eq!(wrong, "error: there is no service `wep`; did you mean `web`?\n");
}

#[test]
fn a_service_that_was_stopped_stays_down_until_it_is_started() {
    let (project, mut up) = started(&["api", "web"]);
    let pid = up.pid("api");
    assert!(asked(&project, &["stop", "api"]).contains(&format!("stopped, PID {pid}")));
    assert_eq!(status(&project, "api", "stopped")["pid"], Value::Null);
    assert!(TcpStream::connect(("127.0.0.1", project.port("api"))).is_err());
    assert!(asked(&project, &["stop", "api"]).contains("stopped already"));

    project.save_answer("api", "two");
    up.until("verdict", |event| event["reason"].as_str().is_some_and(|reason| reason.contains("is stopped")));
    assert!(refused(&project.run(&["build", "api"])).contains("`api` is stopped; `hotwatch start api`"));
    assert!(!asked(&project, &["build"]).contains("api >"));
    asked(&project, &["start", "api"]);
    assert_eq!(project.answer("api"), "two");
    assert!(asked(&project, &["start", "api"]).contains("runs already"));
}

#[test]
fn stop_ends_hotwatch_and_returns_when_nothing_of_it_is_left() {
    let (project, mut up) = started(&["api"]);
    let path = socket(&project);
    let told = asked(&project, &["stop"]);
    assert!(told.contains("stopping, as asked") && told.contains("stopped, PID"), "{told}");
    assert!(!path.exists() && TcpStream::connect(("127.0.0.1", project.port("api"))).is_err());
    assert_eq!(up.child.wait().unwrap().code(), Some(0));

    let nobody = refused(&project.run(&["status"]));
    assert!(nobody.contains("no hotwatch runs `") && nobody.contains("start it with `hotwatch`"), "{nobody}");
    let logs = refused(&project.run(&["logs"]));
    assert!(logs.contains("the last one wrote `") && logs.contains("/log/api.log`"), "{logs}");
}

#[test]
fn logs_show_what_was_said_and_follow_what_comes() {
    let (project, up) = started(&["api", "web"]);
    let all = asked(&project, &["logs"]);
    assert!(all.contains("api | listening []\n") && all.contains("web > ready after"), "{all}");
    let web = asked(&project, &["logs", "web"]);
    assert!(web.lines().all(|line| line.starts_with("web ")) && web.contains("web | listening"), "{web}");
    assert!(asked(&project, &["logs", "--since", "0s"]).is_empty());
    assert!(lines(&asked(&project, &["logs", "--json"])).iter().any(|event| event["line"] == "listening []"));

    let mut follow = project.hotwatch(&["logs", "-f", "web"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(follow.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("web | listening") {
        assert!(told.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    project.save_answer("api", "two");
    project.save_answer("web", "two");
    while !shown.contains("restarted in") {
        assert!(told.read_line(&mut shown).unwrap() > 0, "{shown}");
    }
    assert!(!shown.contains("api >"), "{shown}");
    // It ends with hotwatch.
    assert_eq!(up.stop().0.code(), Some(0));
    told.read_to_string(&mut shown).unwrap();
    assert!(shown.contains("web > stopped, PID"), "{shown}");
    assert_eq!(follow.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_saved_while_paused_counts_at_resume() {
    let (project, mut up) = started(&["api"]);
    assert!(asked(&project, &["pause"]).starts_with("paused"));
    assert_eq!(asked(&project, &["pause"]), "paused already\n");
    assert!(status(&project, "api", "ready")["paused"] == true);
    let since = up.seen.len();
    for answer in ["two", "three"] {
        project.save_answer("api", answer);
    }
    // A restart is served all the same, and shows that the saves have not been acted on.
    asked(&project, &["restart", "api"]);
    up.until_event("restarted", "api");
    assert_eq!((project.answer("api"), up.count(since, "change", "api")), ("one".to_owned(), 0));

    assert!(asked(&project, &["resume"]).starts_with("resumed"));
    let change = up.until_event("change", "api");
    assert_eq!(change["paths"], serde_json::json!(["api/answer.go"]));
    up.until_event("restarted", "api");
    assert_eq!(project.answer("api"), "three");
    assert_eq!(asked(&project, &["resume"]), "not paused\n");
}

#[test]
fn the_timeline_tells_and_draws_what_became_of_saves() {
    let (project, mut up) = started(&["api", "web"]);
    assert_eq!(asked(&project, &["timeline"]), "nothing was reloaded yet\n");
    project.save_answer("api", "two");
    let restarted = up.until_event("restarted", "api");
    let told = loop {
        let told = lines(&asked(&project, &["timeline", "--json"]));
        if !told.is_empty() {
            break told;
        }
    };
    assert_eq!((&told[0]["service"], &told[0]["outcome"]), (&"api".into(), &"restarted".into()));
    assert_eq!((&told[0]["ms"], &told[0]["build_ms"]), (&restarted["ms"], &restarted["build_ms"]));
    assert_eq!(told[0]["reason"], "api/answer.go changed");
    let table = asked(&project, &["timeline"]);
    assert!(table.starts_with("WHEN") && table.contains("api/answer.go changed"), "{table}");

    let page = project.path("reloads.html");
    let name = page.to_str().unwrap();
    for _ in 0..2 {
        asked(&project, &["timeline", "--html", name]);
    }
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!((html.matches("<button class=bar").count(), html.matches("<div class=row").count()), (1, 2));
    fs::write(&page, "precious").unwrap();
    assert!(refused(&project.run(&["timeline", "--html", name])).contains("is not written over"));
    assert_eq!(fs::read_to_string(&page).unwrap(), "precious");
    asked(&project, &["timeline", "--html", name, "--force"]);
    assert_eq!(project.run(&["timeline", "--html", "x", "--json"]).status.code(), Some(2));
}

#[test]
fn a_project_without_a_config_file_can_be_asked_too() {
    let project = Project::new();
    crate::support::copy(&crate::support::fixture("tiny"), &project.path("one"));
    let mut command = project.hotwatch(&["up", "--json"]);
    let mut up = Up::start({
        command.current_dir(project.path("one")).env("PORT", "0");
        command
    });
    up.until_event("ready", "tiny");
    let output = project.hotwatch(&["status", "--json"]).current_dir(project.path("one")).output().unwrap();
    assert_eq!(lines(&text(&output.stdout))[0]["service"], "tiny", "{output:?}");
}

#[test]
fn what_a_killed_hotwatch_left_behind_is_in_nobodys_way() {
    let (project, mut up) = started(&["api"]);
    let path = socket(&project);
    up.signal(Signal::SIGKILL);
    up.child.wait().unwrap();
    assert!(path.exists());
    // At once, whether its guard is done or not.
    assert!(refused(&project.run(&["status"])).contains("no hotwatch runs"));
    let mut up = project.up();
    up.until_all_ready(&["api"]);
    assert_eq!(status(&project, "api", "ready")["pid"], up.pid("api"));
    assert_eq!(socket(&project), path);
}

#[test]
fn planted_links_are_refused_and_hotwatch_goes_on_without_control() {
    for in_directory in [false, true] {
        let project = Project::tiny(&["api"], "");
        let (dir, elsewhere) = (project.beside("run/hotwatch"), project.beside("elsewhere"));
        fs::create_dir(&elsewhere).unwrap();
        if in_directory {
            // The socket's name is that which a run before has used.
            let mut up = project.up();
            up.until_all_ready(&["api"]);
            let path = socket(&project);
            assert_eq!(up.stop().0.code(), Some(0));
            symlink(elsewhere.join("planted"), path).unwrap();
        } else {
            symlink(&elsewhere, &dir).unwrap();
        }
        let mut up = project.up();
        up.until_notice("symbolic link; remove it");
        up.until_all_ready(&["api"]);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert!(refused(&project.run(&["status"])).contains("has no control socket"));
    }
}

#[test]
fn another_user_can_neither_read_nor_send() {
    let (project, _up) = started(&["api"]);
    let path = socket(&project);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    assert!(path.metadata().unwrap().file_type().is_socket());
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT CHECKED: a connection of another user, which only root can make");
        return;
    }
    // The way there is opened, the directory as well, so that what is left is the check of who asks.
    let open =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let ways = [project.beside(""), project.beside("run")];
    ways.iter().for_each(|way| open(way, 0o755));
    let ask = || {
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect(sys.argv[1])\n    \
                      s.sendall(b'{\"version\":1,\"verb\":\"status\",\"services\":[],\"json\":true,\"colored\":false}\\n')\n    \
                      print('answer', s.recv(1000))\nexcept OSError as e:\n    print('refused', type(e).__name__)\n";
        let mut command = Command::new("python3");
        let output = command.args(["-c", script]).arg(&path).uid(65_534).gid(65_534).output().unwrap();
        text(&output.stdout)
    };
    assert_eq!(ask(), "refused PermissionError\n");
    open(path.parent().unwrap(), 0o755);
    open(&path, 0o666);
    let answer = ask();
    assert!(
        matches!(
            &answer[..],
            "answer b''\n" | "refused BrokenPipeError\n" | "refused ConnectionResetError\n"
        ),
        "{answer}"
    );
}

#[test]
fn who_cannot_follow_a_flood_is_told_what_is_missing_and_holds_nobody_up() {
    let project = Project::tiny(&["api"], EVERY_GO_FILE);
    project.edit("hotwatch.toml", "env = { PORT", "env = { FLOOD = \"1\", PORT");
    let mut up = project.up();
    up.until_event("ready", "api");
    up.until_watching();
    let mut client = UnixStream::connect(socket(&project)).unwrap();
    client.write_all(FOLLOW.as_bytes()).unwrap();
    project.save_answer("api", "two");
    up.until_event("restarted", "api");
    let mut told = BufReader::new(client.try_clone().unwrap());
    let mut line = String::new();
    while !line.contains("records are left out here") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0);
    }
    // It reads nothing any more, and the end waits for nobody.
    assert_eq!(up.stop().0.code(), Some(0));
}

#[test]
fn who_asks_a_stopped_hotwatch_is_told_that_it_says_nothing() {
    let (project, up) = started(&["api"]);
    up.signal(Signal::SIGSTOP);
    let told = refused(&project.run(&["restart", "api", "--timeout", "300ms"]));
    assert!(told.contains("has said nothing for 300ms") && told.contains("`fg`"), "{told}");
    up.signal(Signal::SIGCONT);
    status(&project, "api", "ready");
    assert_eq!(up.stop().0.code(), Some(0));
}

/// What a client sends that wants everything.
const FOLLOW: &str = "{\"version\":1,\"verb\":\"logs\",\"follow\":true,\"since\":null,\"services\":[],\"json\":true,\"colored\":false}\n";

#[test]
fn stuck_clients_and_strangers_keep_nobody_waiting() {
    let (project, mut up) = started(&["api"]);
    let path = socket(&project);
    // One says nothing, others want everything and read nothing.
    let _silent = UnixStream::connect(&path).unwrap();
    let mut stuck: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&path).unwrap()).collect();
    stuck.iter_mut().for_each(|client| client.write_all(FOLLOW.as_bytes()).unwrap());
    for answer in ["two", "three"] {
        project.save_answer("api", answer);
        up.until_event("restarted", "api");
    }
    for (said, answer) in [("hello\n", "this is no request"), ("{\"version\":99}\n", "another version")] {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(said.as_bytes()).unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        assert!(told.starts_with("{\"error\":") && told.contains(answer), "{told}");
    }
    status(&project, "api", "ready");
    assert_eq!(up.stop().0.code(), Some(0));
    assert!(!path.exists());
}
