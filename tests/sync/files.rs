//! One service in one container that has busybox and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn to(container: &Container) -> String {
    format!("to = {{ podman = {:?} }}\n", container.name)
}

/// Has the file of the project be executable, or not.
fn set_executable(project: &Project, name: &str, executable: bool) {
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(project.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_saved_here_is_there() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&[]);
    project.write("web/.gitignore", "*.out\n");
    project.write("web/page.html", "one");
    project.write("web/deep/er/file", "1");
    project.write("web/ignored.out", "x");
    project.write("web/tool", "#!/bin/sh\necho tool\n");
    set_executable(&project, "web/tool", true);
    symlink("page.html", project.path("web/link")).unwrap();
    configure(&project, "", &(to(&container) + &pair("/app", "")));
    project.commit_all();
    let mut up = up(&project);
    until_synced(&mut up);
    // All of it came with the first round.
    let reads = |path: &str| container.run(&["cat", path]);
    assert_eq!(reads("/app/page.html").as_deref(), Some("one"));
    assert_eq!(reads("/app/deep/er/file").as_deref(), Some("1"));
    assert_eq!(container.run(&["/app/tool"]).as_deref(), Some("tool\n"));
    assert_eq!(reads("/app/link").as_deref(), Some("one"));
    assert!(container.run(&["test", "-L", "/app/link"]).is_some());
    assert!(!container.has("/app/ignored.out"));

    project.write("web/page.html", "two");
    container.until_reads("/app/page.html", "two");
    container.until_reads("/app/link", "two");
    let round = up.until_event("synced", "web");
    assert_eq!(
        (&round["files"], &round["bytes"], &round["pair"]),
        (&1.into(), &3.into(), &". -> /app".into())
    );

    set_executable(&project, "web/tool", false);
    container.until_true(&["test", "!", "-x", "/app/tool"]);
    fs::remove_file(project.path("web/link")).unwrap();
    symlink("deep/er/file", project.path("web/link")).unwrap();
    container.until_reads("/app/link", "1");
    fs::remove_dir_all(project.path("web/deep")).unwrap();
    container.until_true(&["test", "!", "-e", "/app/deep"]);
    project.write("web/other.out", "x");
    project.write("web/last", "last");
    container.until_reads("/app/last", "last");
    assert!(!container.has("/app/other.out"));

    ends_well(up, &container);
}

#[test]
fn what_is_to_run_after_a_round_runs_there_and_says_so() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&[]);
    project.write("web/script", "echo from $PWD; echo wrong >&2; touch /ran\n");
    let settings = "post_sync = [\"sh\", \"./script\"]\n";
    configure(&project, "", &(to(&container) + settings + &pair("/app", "")));
    let mut up = up(&project);
    let line = until_line(&mut up, "from /app");
    assert_eq!(line["stream"], "stdout");
    up.until_notice("`sh ./script` has run in the target");
    assert!(
        up.seen
            .iter()
            .any(|seen| is(seen, "log", "web") && seen["line"] == "wrong" && seen["stream"] == "stderr")
    );
    assert!(container.has("/ran"));
    until_synced(&mut up);

    project.write("web/script", "echo trouble >&2; exit 3\n");
    let notice = up.until_notice("`post_sync` failed in the target");
    assert_eq!(notice["level"], "error");
    assert!(notice["message"].as_str().unwrap().contains("ended with exit code 3"), "{notice}");
    project.write("web/script", "echo better\n");
    until_line(&mut up, "better");
    up.until_notice("has run in the target");
    up.stop();
}

#[test]
fn a_program_has_stopped_when_it_has_ended_there() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&[]);
    project.write(
        "web/script",
        "trap 'sleep 0.3; echo bye; exit' TERM\necho hello\nwhile :; do sleep 0.1; done\n",
    );
    let sync = to(&container) + "run = [\"sh\", \"/app/script\"]\n" + &pair("/app", "");
    configure(&project, "", &sync);
    let mut up = up(&project);
    until_line(&mut up, "hello");
    up.until_watching();
    let output = project.run(&["restart", "web", "--no-wait"]);
    assert!(output.status.success(), "{output:?}");
    up.until_event("stopped", "web");
    assert!(
        up.seen.iter().any(|seen| is(seen, "log", "web") && seen["line"] == "bye"),
        "its last words are missing"
    );
    until_line(&mut up, "hello");
    let (exit, rest) = up.stop();
    assert!(exit.success());
    assert!(rest.iter().any(|seen| is(seen, "log", "web") && seen["line"] == "bye"));
}

#[test]
fn a_program_that_is_synced_as_a_file_runs_anew_after_a_save() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project).start(&["--env", &server.env()]);
    let out = project.path("web/out");
    fs::create_dir(&out).unwrap();
    server.build(&project, &out.join("server"));
    let settings = server.settings();
    let sync = to(&container) + "run = [\"/app/out/server\"]\n" + &pair("/app", "include = [\"/out\"]");
    configure(&project, &settings, &sync);
    let mut up = up(&project);
    up.until_event("good", "web");
    up.until_watching();
    assert_eq!(server.answer().as_deref(), Some("one"));
    // What is looked at anew and is as it was is no reason to run anything anew.
    let output = project.run(&["sync", "once", "web"]);
    assert!(output.status.success(), "{output:?}");
    for answer in ["two", "three"] {
        server.save(&project, answer, "");
        server.build(&project, &out.join("server"));
        up.until_event("restarted", "web");
        server.until_answer(answer);
    }
    assert!(!container.has("/app/main.go"));
    assert_eq!(up.count(0, "started", "web"), 3);
    let (exit, _) = up.stop();
    assert!(exit.success());
    // Nothing of it runs there any more.
    assert_eq!(server.answer(), None);
    assert_eq!(container.left_behind(), "");
}
