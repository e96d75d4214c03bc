//! Saves that reach the running process: what it answers is what a fresh build answers, and where it says that it was
//! patched it is the same process, with what it had in memory.

mod course;
mod demo;
mod edits;
mod modules;
mod origin;
mod verify;

use std::io::{Read, Write};
use std::net::TcpStream;

use course::Course;
use edits::{Edit, Expected};

use crate::support::{Project, Up, copy, fixture, free_ports, is, until};

/// A project with the fixture `patch`, whose service takes patches; `settings` is added to its entry.
fn project(settings: &str) -> Project {
    let project = Project::new();
    copy(&fixture("patch"), &project.path("shop"));
    let port = free_ports(1)[0];
    let config = format!(
        "log_dir = {:?}\n[[service]]\nname = \"shop\"\ndir = \"shop\"\nport = {port}\nreload = \"patch\"\n\
         env = {{ PORT = \"{port}\" }}\n{settings}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    project
}

/// Whether patches are possible on this machine; says so if not.
fn is_possible() -> bool {
    let here = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let cgo = || std::process::Command::new("go").args(["env", "CGO_ENABLED"]).output();
    let possible = here && cgo().is_ok_and(|output| output.stdout.starts_with(b"1"));
    if !possible {
        eprintln!("NOT CHECKED: live patches, which take Linux on x86-64 and a C compiler");
    }
    possible
}

/// Starts hotwatch, and waits until the process takes patches.
fn patchable(project: &Project) -> Up {
    let mut up = project.up();
    up.until_notice("takes patches");
    up
}

/// What the service on `port` answers to a GET of `path`.
fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1.to_owned()
}

#[test]
fn each_edit_does_what_a_fresh_build_does() {
    if !is_possible() {
        return;
    }
    Course::run(edits::EDITS);
}

#[test]
fn edits_that_follow_each_other() {
    if !is_possible() {
        return;
    }
    Course::run(edits::SEQUENCES);
}

#[test]
fn files_that_come_and_go() {
    if !is_possible() {
        return;
    }
    Course::run(edits::FILES);
}

#[test]
fn what_programs_know_of_their_code() {
    if !is_possible() {
        return;
    }
    Course::run(edits::MORE);
}

#[test]
fn loops_over_functions() {
    if !is_possible() {
        return;
    }
    let version = std::process::Command::new("go").args(["env", "GOVERSION"]).output().unwrap().stdout;
    if version.starts_with(b"go1.22") {
        eprintln!("NOT CHECKED: loops over functions, which take Go 1.23");
        return;
    }
    Course::run(edits::OVER);
}

#[test]
fn new_variables_get_their_values() {
    if !is_possible() {
        return;
    }
    Course::run(edits::INITIAL);
}

#[test]
fn types_that_the_process_has_made() {
    if !is_possible() {
        return;
    }
    Course::run(edits::REFLECTED);
}

#[test]
fn methods_that_come_and_go() {
    if !is_possible() {
        return;
    }
    Course::run(edits::METHODS);
}

#[test]
fn what_the_process_lacks() {
    if !is_possible() {
        return;
    }
    Course::run(edits::LACKING);
}

#[test]
fn what_somebody_keeps() {
    if !is_possible() {
        return;
    }
    Course::run(edits::KEPT);
}

#[test]
fn packages_that_depend_on_each_other() {
    if !is_possible() {
        return;
    }
    Course::run(edits::APART);
}

#[test]
fn a_module_with_another_name_takes_patches_again() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    assert!(project.run(&["pause"]).status.success());
    project.edit("shop/go.mod", "example.com/shop", "example.com/store");
    project.edit("shop/main.go", "example.com/shop/", "example.com/store/");
    project.edit("shop/more.go", "example.com/shop/", "example.com/store/");
    project.edit("shop/kept.go", "example.com/shop/", "example.com/store/");
    assert!(project.run(&["resume"]).status.success());
    up.until_event("restarted", "shop");
    up.until_notice("the module `example.com/store` has joined since it was built");
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    up.until_event("restarted", "shop");
    up.until_notice("takes patches");
    project.edit("shop/main.go", "hi %s %s", "hey %s %s");
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "hey xxx shop");
    up.stop();
}

#[test]
fn saves_that_follow_fast_keep_the_process() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    let (pid, mut before) = (up.pid("shop"), "hello".to_owned());
    for round in 0..12 {
        let text = format!("hello{round}");
        project.edit("shop/main.go", &format!("\"{before} %s %s"), &format!("\"{text} %s %s"));
        // While that is compiled comes the next one.
        up.until_event("change", "shop");
        before = text;
    }
    let answer = format!("{before} xxx shop");
    until("the last one", || (get(project.port("shop"), "/hello") == answer).then_some(()));
    // Whatever was asked for meanwhile has been answered.
    project.edit("shop/main.go", &format!("\"{before} %s %s"), "\"bye %s %s");
    until("one more", || (get(project.port("shop"), "/hello") == "bye xxx shop").then_some(()));
    assert_eq!(up.pid("shop"), pid);
    let (_, events) = up.stop();
    assert_eq!(events.iter().filter(|seen| seen["event"] == "restarted").count(), 0);
}

#[test]
fn what_a_step_makes_is_made_for_a_patched_process_too() {
    if !is_possible() {
        return;
    }
    let project = project(
        "pre_build = [{ run = [\"sh\", \"gen.sh\"], inputs = [\"text.in\"], outputs = [\"gen.go\"] }]",
    );
    let step = "made=$(printf 'package main\\n\\nconst generated = \"%s\"' \"$(cat text.in)\")\n\
                [ \"$made\" = \"$(cat gen.go)\" ] || echo \"$made\" >gen.go\n";
    project.write("shop/gen.sh", step);
    project.write("shop/text.in", "one");
    project.write("shop/gen.go", "package main\n\nconst generated = \"one\"\n");
    let text = "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n)\n\n\
                func init() { http.HandleFunc(\"/generated\", tell) }\n\n\
                func tell(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, generated) }\n";
    project.write("shop/tell.go", text);
    let mut up = patchable(&project);
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    up.until_event("patched", "shop");
    project.write("shop/text.in", "two");
    up.until_event("restarted", "shop");
    assert_eq!(get(project.port("shop"), "/generated"), "two");
    up.stop();
}

#[test]
fn what_cannot_be_patched_says_why_and_restarts() {
    let project = project("package = \".\"\nbuild = [\"go\", \"build\", \"-o\", \"{out}\", \".\"]");
    let mut up = project.up();
    up.until_notice("cannot be patched while it runs: it is built by a command of its own");
    up.until_event("ready", "shop");
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    up.until_event("restarted", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "hi xxx shop");
    up.stop();
}

#[test]
fn a_patched_service_is_built_before_it_starts_again() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    let patched = up.until_event("patched", "shop");
    assert_eq!(patched["functions"], serde_json::json!(["(*server).hello"]));
    assert_eq!(patched["generation"], 1);
    assert_eq!(get(project.port("shop"), "/hello"), "hi xxx shop");
    let effects = up.until_event("effects", "shop");
    assert_eq!((&effects["pid"], &effects["generation"]), (&patched["pid"], &patched["generation"]));
    assert_eq!(effects["functions"], serde_json::json!([{ "function": "(*server).hello", "entered": 1 }]));
    let status = |args: &[&str]| String::from_utf8(project.run(args).stdout).unwrap();
    let known: serde_json::Value = serde_json::from_str(&status(&["status", "shop", "--json"])).unwrap();
    let fields = ["generations", "patched", "newest", "patch_bytes"].map(|field| known[field].clone());
    let newest = serde_json::json!(["(*server).hello"]);
    assert_eq!(fields, [1.into(), 1.into(), newest, patched["memory_bytes"].clone()]);
    assert!(patched["memory_bytes"].as_u64().is_some_and(|bytes| (1000..10_000_000).contains(&bytes)));
    let text = status(&["status"]);
    assert!(text.contains("shop is patched: 1 generation, 1 function, "), "{text}");
    assert!(text.contains("`hotwatch restart shop`, or the key `r`, gives it a fresh start"), "{text}");
    // It is asked to, once the next binary was built in the background.
    let cache = project.beside("cache/hotwatch");
    let built_ahead = until("the binary", || {
        let dirs = std::fs::read_dir(&cache).ok()?.filter_map(Result::ok);
        let mut binaries = dirs.map(|dir| dir.path().join("services/shop/background"));
        binaries.find(|binary| binary.is_file() && !binary.with_file_name("tmp-background").exists())
    });
    // The service is asked once more first: that the build has ended it may learn a moment after the file is there.
    assert!(project.run(&["why"]).status.success());
    assert!(project.run(&["restart", "shop"]).status.success());
    let pid = up.until_event("restarted", "shop")["pid"].clone();
    assert_ne!(pid, patched["pid"]);
    assert!(!built_ahead.exists(), "it was not used");
    assert!(!status(&["status"]).contains("is patched"));
    assert_eq!(get(project.port("shop"), "/hello"), "hi xxx shop");
    // It crashes.
    up.until_notice("takes patches");
    project.edit("shop/main.go", "hi %s %s", "hey %s %s");
    up.until_event("patched", "shop");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(up.pid("shop")).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    up.until_event("exited", "shop");
    up.until_event("ready", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "hey xxx shop");
    up.stop();
}

#[test]
fn an_edit_is_kept_where_it_is_when_it_does_not_compile() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    let pid = up.pid("shop");
    let edit = Edit {
        file: "main.go",
        change: &[("n*rate + limit", "n*rate + limits")],
        path: "/numbers",
        expected: Expected::Patched,
        also: None,
    };
    edit.make(&project);
    let build = up.until_event("build", "shop");
    assert!(
        build["ok"] == false && build["summary"].as_str().unwrap().contains("undefined: limits"),
        "{build}"
    );
    assert_eq!(get(project.port("shop"), "/numbers"), "17 6 5a24");
    project.edit("shop/main.go", "n*rate + limits", "n*rate + limit + 1");
    // The process is where it was, so it takes this.
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/numbers"), "18 6 5a24");
    assert_eq!(up.pid("shop"), pid);
    up.stop();
}

#[test]
fn what_only_the_go_command_refuses() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let mut up = patchable(&project);
    let pid = up.pid("shop");
    // The compiler alone would take it: the packages are there.
    let table = [
        ("internal/goarch", "use of internal package"),
        ("example.com/shop/price", "import cycle not allowed"),
        ("example.com/shop/tax", "import cycle not allowed"),
    ];
    project.edit("shop/tax/tax.go", "\t_ \"unsafe\"\n", "\t_ \"unsafe\"\n\n\t_ \"example.com/shop/price\"\n");
    up.until("no difference", |seen| is(seen, "verdict", "shop") && seen["rung"] == "nothing");
    for (import, refusal) in table {
        let (from, to) = ("import \"fmt\"\n", format!("import \"fmt\"\nimport _ {import:?}\n"));
        project.edit("shop/price/price.go", from, &to);
        let build = up.until_event("build", "shop");
        assert!(build["ok"] == false && build["output"].as_str().unwrap().contains(refusal), "{build}");
        project.edit("shop/price/price.go", &to, from);
        up.until("no difference", |seen| is(seen, "verdict", "shop") && seen["rung"] == "nothing");
    }
    project.edit("shop/price/price.go", "%d for %s", "%d at %s");
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/prices"), "2 at 5.00 2.50");
    assert_eq!(up.pid("shop"), pid);
    up.stop();
}

/// What a running hotwatch says of `shop` when it is asked what all that is on disk would lead to.
fn weighed(project: &Project) -> serde_json::Value {
    let output = project.run(&["why", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn why_compares_what_is_on_disk_with_what_runs_and_applies_nothing() {
    if !is_possible() {
        return;
    }
    let project = project("");
    assert!(!project.run(&["why"]).status.success());
    let mut up = patchable(&project);
    let pid = up.pid("shop");
    assert!(project.run(&["pause"]).status.success());
    let says = |rung: &str, reason: &str| {
        let known = weighed(&project);
        assert_eq!(
            (&known["rung"], &known["pid"], &known["service"]),
            (&rung.into(), &pid.into(), &"shop".into())
        );
        assert!(known["reason"].as_str().unwrap().contains(reason), "{known}");
        known
    };
    assert_eq!(says("nothing", "no function that differs")["paused"], true);
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    for _ in 0..2 {
        let known = says("patch", "`(*server).hello`");
        assert_eq!(known["functions"], serde_json::json!(["(*server).hello"]));
    }
    assert_eq!(get(project.port("shop"), "/hello"), "hello xxx shop");
    let text = String::from_utf8(project.run(&["why", "shop/main.go"]).stdout).unwrap();
    let asked = text.lines().skip_while(|line| !line.starts_with("all that is on disk")).collect::<Vec<_>>();
    assert!(
        asked.len() == 3 && asked[1].contains("patch    PID") && asked[2].starts_with("paused"),
        "{text}"
    );
    project.edit("shop/main.go", "hi %s %s", "hi %s %s\" + undefinedName + \"");
    assert_eq!(says("nothing", "undefinedName")["compiles"], false);
    project.edit("shop/main.go", "\" + undefinedName + \"", "");
    project.edit(
        "shop/main.go",
        "func main() {",
        "var limits = map[string]int{\"a\": 1}\n\nfunc main() {\n\tlimits[\"b\"]++",
    );
    says("restart", "main");
    // It is a save now, whose build fails: the process runs on.
    project.edit("shop/main.go", "limits[\"b\"]++", "limits[\"b\"] += 2");
    project.write("shop/broken.go", "package main\n\nfunc init() { undefinedName() }\n");
    assert!(project.run(&["resume"]).status.success());
    let build = up.until_event("build", "shop");
    assert_eq!(build["ok"], false, "{build}");
    assert_eq!(says("nothing", "undefinedName")["compiles"], false);
    assert_eq!(get(project.port("shop"), "/hello"), "hello xxx shop");
    assert!(project.run(&["stop", "shop"]).status.success());
    let known = weighed(&project);
    assert_eq!((&known["rung"], &known["pid"]), (&"restart".into(), &serde_json::Value::Null));
    assert!(known["reason"].as_str().unwrap().contains("it is stopped"), "{known}");
    up.stop();
}

/// The processes whose command lines name a path beside the project: the service, compilers and linkers for it, the
/// guard.
fn processes(project: &Project) -> Vec<String> {
    let beside = project.beside("cache").display().to_string();
    let command = |pid: String| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let commands = pids.map(|pid| String::from_utf8_lossy(&command(pid)).replace('\0', " "));
    commands.filter(|command| command.contains(&beside)).collect()
}

#[test]
fn killed_while_it_patches_it_leaves_nothing() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let edits = ["hello %s %s", "hi %s %s", "hey %s %s", "ho %s %s"];
    for (round, (from, to)) in edits.iter().zip(&edits[1..]).enumerate() {
        let mut up = project.up();
        up.until_notice("takes patches");
        project.edit("shop/main.go", from, to);
        match round {
            // The compiler is about to run, or runs.
            0 => drop(up.until("the attempt", |seen| is(seen, "verdict", "shop") && seen["rung"] == "patch")),
            1 => until("the compiler or the linker", || {
                let is_tool = |command: &String| command.contains("/compile ") || command.contains("/link ");
                processes(&project).iter().any(is_tool).then_some(())
            }),
            _ => drop(up.until_event("patched", "shop")),
        }
        up.signal(nix::sys::signal::Signal::SIGKILL);
        up.child.wait().unwrap();
        until("the end of all processes", || processes(&project).is_empty().then_some(()));
        let cache = project.beside("cache/hotwatch");
        until("the end of the cache", || {
            std::fs::read_dir(&cache).map_or(0, Iterator::count).eq(&0).then_some(())
        });
    }
    let mut up = project.up();
    up.until_event("ready", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "ho xxx shop");
    up.stop();
}
