//! Edits of the configuration while services run, running without one, and services that are no Go programs.

use std::fs;

use serde_json::Value;

use crate::support::{Project, Up, free_ports};

/// Two services, and a third to prove that everything before has been dealt with.
fn three() -> (Project, Up) {
    let project = Project::tiny(&["a", "b", "beacon"], "");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write(".env", "GREETING=hello\n");
    project.write("hotwatch.toml", &format!("env_files = [\".env\"]\n{config}"));
    let mut up = project.up();
    up.until_all_ready(&["a", "b", "beacon"]);
    up.until_watching();
    (project, up)
}

fn edit(project: &Project, from: &str, to: &str) {
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    assert!(config.contains(from), "{config}");
    project.write("hotwatch.toml", &config.replacen(from, to, 1));
}

/// Saves something in the third service and waits until it is served.
fn beacon(project: &Project, up: &mut Up, round: usize) {
    project.save_answer("beacon", &format!("beacon {round}"));
    up.until_event("restarted", "beacon");
}

fn said(up: &Up, service: &str, line: &str) -> bool {
    up.seen.iter().any(|seen| seen["service"] == service && seen["line"] == line)
}

fn count_of(up: &Up, since: usize, service: &str) -> (usize, usize) {
    (up.count(since, "build", service), up.count(since, "started", service))
}

#[test]
fn only_the_services_whose_settings_changed_are_touched() {
    let (project, mut up) = three();
    assert_eq!(project.answer("a"), "one hello");

    // Arguments: another process, the same binary.
    let before = up.seen.len();
    edit(&project, "name = \"a\"", "name = \"a\"\nargs = [\"-v\"]");
    up.until_event("restarted", "a");
    beacon(&project, &mut up, 1);
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 1), (0, 0)));
    let listening = |seen: &Value| seen["service"] == "a" && seen["line"] == "listening [-v]";
    assert!(up.seen[before..].iter().any(listening), "{:#?}", &up.seen[before..]);

    // An env file: everybody whose environment differs.
    let before = up.seen.len();
    project.write(".env", "GREETING=goodbye\n");
    for service in ["a", "b", "beacon"] {
        // In any order.
        if up.count(before, "restarted", service) == 0 {
            up.until_event("restarted", service);
        }
    }
    assert_eq!(project.answer("b"), "one goodbye");
    assert_eq!(count_of(&up, before, "b"), (0, 1));

    // What the build reads: another binary.
    let before = up.seen.len();
    edit(&project, "name = \"b\"", "name = \"b\"\ndebug_info = true");
    up.until_event("restarted", "b");
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 0), (1, 1)));

    // A comment, and settings that need no other process.
    let before = up.seen.len();
    edit(&project, "name = \"b\"", "# A comment.\nname = \"b\"");
    up.until_notice("nothing differs");
    edit(&project, "name = \"b\"", "name = \"b\"\nstop = { grace = \"1s\" }");
    up.until_notice("they count from now on");
    beacon(&project, &mut up, 2);
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 0), (0, 0)));

    // Saves are seen as before.
    project.save_answer("a", "two");
    up.until_event("restarted", "a");
    assert_eq!(project.answer("a"), "two goodbye");
    up.stop();
}

#[test]
fn who_depends_on_another_is_started_anew_after_it() {
    let project = Project::tiny(&["a", "b", "beacon"], "");
    let gate = project.beside("gate");
    fs::write(&gate, "").unwrap();
    let ready = format!("name = \"a\"\nready = {{ command = [\"test\", \"-e\", {:?}] }}", gate.display());
    edit(&project, "name = \"a\"", &ready);
    edit(&project, "name = \"b\"", "name = \"b\"\ndepends_on = [\"a\"]");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write(".env", "GREETING=hello\n");
    project.write("hotwatch.toml", &format!("env_files = [\".env\"]\n{config}"));
    let mut up = project.up();
    up.until_all_ready(&["a", "b", "beacon"]);
    up.until_watching();

    let before = up.seen.len();
    fs::remove_file(&gate).unwrap();
    project.write(".env", "GREETING=goodbye\n");
    up.until_each("started", &["a", "beacon"]);
    // An edit in between, of something else, lets nobody go ahead.
    edit(&project, "name = \"beacon\"", "name = \"beacon\"\nargs = [\"-v\"]");
    up.until("beacon with its argument", |seen| {
        seen["service"] == "beacon" && seen["line"] == "listening [-v]"
    });
    assert_eq!(up.count(before, "started", "b"), 0);
    fs::write(&gate, "").unwrap();
    up.until_event("restarted", "b");
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 1), (0, 1)));
    assert_eq!(project.answer("b"), "one goodbye");
    up.stop();
}

#[test]
fn an_env_file_may_lie_elsewhere_and_be_a_link() {
    let (project, mut up) = three();
    fs::write(project.beside("shared.env"), "GREETING=shared\n").unwrap();
    fs::write(project.beside("real.env"), "GREETING=real\n").unwrap();
    std::os::unix::fs::symlink(project.beside("real.env"), project.path("link.env")).unwrap();
    let greets = |up: &mut Up, greeting: &str| {
        up.until_event("restarted", "b");
        assert_eq!(project.answer("b"), format!("one {greeting}"));
    };
    edit(&project, "[\".env\"]", "[\"../shared.env\"]");
    greets(&mut up, "shared");
    fs::write(project.beside("shared.env"), "GREETING=edited\n").unwrap();
    greets(&mut up, "edited");
    edit(&project, "[\"../shared.env\"]", "[\"link.env\"]");
    greets(&mut up, "real");
    fs::write(project.beside("real.env"), "GREETING=again\n").unwrap();
    greets(&mut up, "again");
    up.stop();
}

#[test]
fn a_broken_edit_is_told_and_ignored_until_it_is_mended() {
    let (project, mut up) = three();
    let before = up.seen.len();
    edit(&project, "name = \"a\"", "nmae = \"a\"");
    let notice = up.until_notice("everything goes on as before");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("hotwatch.toml:") && message.contains("did you mean `name`?"), "{message}");
    project.write(".env", "GREETING=two words\n");
    up.until_notice("everything goes on as before");
    beacon(&project, &mut up, 1);
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 0), (0, 0)));
    project.write(".env", "GREETING=hello\n");
    edit(&project, "nmae = \"a\"", "name = \"a\"\nargs = [\"-v\"]");
    up.until_event("restarted", "a");
    assert_eq!(count_of(&up, before, "b"), (0, 0));
    up.stop();
}

#[test]
fn services_join_and_leave_while_others_run() {
    let (project, mut up) = three();
    let before = up.seen.len();
    let port = free_ports(1)[0];
    crate::support::copy(&project.path("a"), &project.path("c"));
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let entry = format!(
        "[[service]]\nname = \"c\"\ndir = \"c\"\nport = {port}\nenv = {{ PORT = \"{port}\" }}\ndepends_on = [\"a\"]\n"
    );
    project.write("hotwatch.toml", &format!("{config}{entry}"));
    up.until_event("ready", "c");
    project.save_answer("c", "new");
    up.until_event("restarted", "c");
    assert_eq!(project.answer("c"), "new hello");
    project.until_log("c", "its first line", |log| log.contains("listening"));

    project.write("hotwatch.toml", &config);
    up.until_event("stopped", "c");
    beacon(&project, &mut up, 1);
    assert_eq!((count_of(&up, before, "a"), count_of(&up, before, "b")), ((0, 0), (0, 0)));

    // One takes the place, and the port, of another.
    let port = project.port("b");
    let renamed = config.replacen("name = \"b\"", "name = \"renamed\"", 1);
    project.write("hotwatch.toml", &renamed);
    up.until_event("stopped", "b");
    up.until_event("ready", "renamed");
    assert_eq!(project.port("renamed"), port);
    assert_eq!(project.answer("renamed"), "one hello");
    let (status, rest) = up.stop();
    assert!(status.success());
    let stopped = rest.iter().filter(|seen| seen["event"] == "stopped").map(|seen| seen["service"].clone());
    assert_eq!(stopped.collect::<Vec<_>>(), ["beacon", "renamed", "a"]);
}

#[test]
fn a_service_that_leaves_is_not_taken_for_the_one_of_its_name_that_joins() {
    let (project, mut up) = three();
    edit(&project, "NAME = \"b\"", "NAME = \"b\", SLOW_TERM = \"1\"");
    up.until_event("restarted", "b");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let [start, end] =
        ["b", "beacon"].map(|name| config.find(&format!("[[service]]\nname = \"{name}\"")).unwrap());
    project.write("hotwatch.toml", &format!("{}{}", &config[..start], &config[end..]));
    up.until_notice("no longer in the configuration");
    project.write("hotwatch.toml", &config);
    up.until_notice("new in the configuration");
    up.until_event("ready", "b");
    let (status, rest) = up.stop();
    assert!(status.success());
    assert!(rest.iter().any(|seen| seen["line"] == "graceful"));
    let stopped = rest.iter().filter(|seen| seen["event"] == "stopped").map(|seen| seen["service"].clone());
    assert_eq!(stopped.collect::<Vec<_>>(), ["beacon", "b", "a"]);
}

#[test]
fn a_module_with_one_program_needs_no_configuration() {
    let project = Project::new();
    let port = free_ports(1)[0];
    // Without a configuration its log lies in the system's directory, where only its name tells it from others.
    let name = format!("shop{port}");
    let main = format!("shop/cmd/{name}");
    crate::support::copy(&crate::support::fixture("tiny"), &project.path(&main));
    fs::rename(project.path(&format!("{main}/go.mod")), project.path("shop/go.mod")).unwrap();
    project.write("shop/tools/gen/main.go", "package main\n\nfunc main() {}\n");
    for dir in ["shop", "shop/cmd", &main] {
        let mut command = project.hotwatch(&["up", "--json"]);
        command.current_dir(project.path(dir)).env("PORT", port.to_string());
        let mut up = Up::start(command);
        up.until_event("ready", &name);
        up.until_watching();
        project.write(&format!("{main}/answer.go"), &crate::support::answer_source(dir));
        up.until_event("restarted", &name);
        up.stop();
    }
    // With another one it is not known which is meant, but where one stands it is.
    project.write("shop/cmd/other/main.go", "package main\n\nfunc main() { select {} }\n");
    let output = project.run(&["-C", "shop", "up"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("holds several programs (`") && text.contains("hotwatch init"), "{text}");
    let mut command = project.hotwatch(&["up", "--json"]);
    command.current_dir(project.path(&main)).env("PORT", port.to_string());
    let mut up = Up::start(command);
    up.until_event("ready", &name);
    up.stop();
    fs::remove_file(format!("/tmp/{name}.log")).unwrap();
    assert!(!project.path("shop/hotwatch.toml").exists());
}

#[test]
fn a_service_need_not_be_a_go_program() {
    let project = Project::new();
    let script = |answer: &str| format!("echo {answer}; exec sleep 600\n");
    project.write("web/server.sh", &script("one"));
    project.write("built/source.txt", "one\n");
    // It is ready with its first line.
    let config = format!(
        "log_dir = \"{}\"\n\
         [[service]]\nname = \"web\"\ndir = \"web\"\nrun = [\"sh\", \"server.sh\"]\n\
         watch = {{ include = [\"*.sh\"] }}\nready = {{ log = \"o\" }}\n\
         [[service]]\nname = \"built\"\ndir = \"built\"\nbuild = [\"cp\", \"source.txt\", \"made.txt\"]\n\
         run = [\"sh\", \"-c\", \"cat made.txt; exec sleep 600\"]\n\
         watch = {{ include = [\"source.txt\"] }}\nready = {{ log = \"o\" }}\n",
        project.log_dir().display()
    );
    project.write("hotwatch.toml", &config);
    let mut hotwatch = project.hotwatch(&["up", "--json"]);
    // No Go far and wide.
    hotwatch.env("PATH", "/usr/bin:/bin");
    let mut up = Up::start(hotwatch);
    up.until_all_ready(&["web", "built"]);
    assert_eq!(up.count(0, "build", "web"), 0);
    project.write("web/server.sh", &script("two"));
    up.until_event("restarted", "web");
    assert!(said(&up, "web", "two"));
    project.write("built/source.txt", "two\n");
    up.until_event("restarted", "built");
    assert!(said(&up, "built", "two"));
    up.stop();
}

#[test]
fn a_generator_runs_when_its_inputs_changed_and_starts_no_second_round() {
    let project = Project::tiny(&["api", "beacon"], "");
    project.write("api/gen.sh", "echo run >> ../runs; printf 'package main\\n\\nconst answer = \"%s\"\\n' \"$(cat answer.txt)\" > answer.go\n");
    project.write("api/answer.txt", "one");
    edit(
        &project,
        "name = \"api\"",
        "name = \"api\"\npre_build = [{ run = [\"sh\", \"gen.sh\"], inputs = [\"answer.txt\", \"gen.sh\"], outputs = [\"answer.go\"] }]",
    );
    let runs = || fs::read_to_string(project.path("runs")).unwrap().lines().count();
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    assert_eq!(runs(), 1);

    let before = up.seen.len();
    project.write("api/answer.txt", "two");
    up.until_event("restarted", "api");
    beacon(&project, &mut up, 1);
    assert_eq!(project.answer("api"), "two");
    assert_eq!((runs(), count_of(&up, before, "api")), (2, (1, 1)));

    // Another source: built, not generated.
    let before = up.seen.len();
    project.write(
        "api/more.go",
        "package main\n\nimport \"os\"\n\nfunc init() { os.Setenv(\"GREETING\", \"more\") }\n",
    );
    up.until_event("restarted", "api");
    assert_eq!(project.answer("api"), "two more");
    assert_eq!((runs(), count_of(&up, before, "api")), (2, (1, 1)));

    // One that fails leaves the old process alone, and runs again with the next save.
    let pid = up.pid("api");
    project.write("api/gen.sh", "echo gen.sh:1:2: no such luck >&2; exit 1\n");
    let failed = up.until_event("build", "api");
    assert_eq!(failed["ok"], false);
    assert_eq!(failed["diagnostics"][0]["message"], "no such luck");
    assert_eq!(up.pid("api"), pid);
    project.write("api/gen.sh", "echo run >> ../runs; echo 'package main' > answer.go; echo 'const answer = \"three\"' >> answer.go\n");
    up.until_event("restarted", "api");
    assert_eq!(project.answer("api"), "three more");
    up.stop();
}
