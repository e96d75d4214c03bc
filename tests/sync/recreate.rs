//! Containers whose own program is started anew, and that are made anew with other arguments.

use super::container::podman;
use super::*;

/// The id of the container called `name`, and whether it runs.
fn found(name: &str) -> Option<(String, String)> {
    let output = podman(&["container", "inspect", "--format", "{{.Id}} {{.State.Status}}", name]);
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (id, state) = text.split_once(' ')?;
    Some((id.to_owned(), state.to_owned()))
}

/// What ends at once when it is asked to.
fn shell(script: &str) -> String {
    format!("trap 'exit 0' TERM; {script}; while :; do sleep 0.1; done")
}

/// Has the service be `container`, made anew with a shell that runs `script`, and a pair of files.
fn configure_new(project: &Project, container: &Container, script: &str) {
    let settings = format!(
        "to = {{ podman = {:?} }}\nrestart = \"recreate\"\nrun_args = [\"sh\", \"-c\", {:?}]\n{}",
        container.name,
        shell(script),
        pair("/app", "")
    );
    configure(project, "stop = { grace = \"2s\" }", &settings);
}

#[test]
fn a_container_is_made_anew_with_other_arguments_and_is_back_at_the_end() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let root = Container::busybox(&project).root();
    let container = Container::of(root, &["sh", "-c", &shell("echo old")]).start(&[]);
    let (before, _) = found(&container.name).unwrap();
    project.write("web/page", "one");
    configure_new(&project, &container, "echo new says $(cat /app/page)");
    let mut up = up(&project);
    until_line(&mut up, "new says one");
    up.until_watching();
    let (made, _) = found(&container.name).unwrap();
    assert_ne!(made, before);
    project.write("web/page", "two");
    let restarted = up.until_event("restarted", "web");
    assert!(restarted["old_pid"].is_i64(), "{restarted}");
    until_line(&mut up, "new says two");
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(found(&container.name), Some((before, "running".to_owned())));
    assert_eq!(found(&format!("{}-before-hotwatch", container.name)), None);
    assert_eq!(container.left_behind(), "");
}

#[test]
fn what_a_hotwatch_that_was_killed_has_left_is_put_back_unless_somebody_else_has_come() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let root = Container::busybox(&project).root();
    let container = Container::of(root, &["sh", "-c", &shell("echo old")]).start(&[]);
    let aside = format!("{}-before-hotwatch", container.name);
    let (before, _) = found(&container.name).unwrap();
    project.write("web/page", "one");
    configure_new(&project, &container, "echo new");
    let mut killed = up(&project);
    until_line(&mut killed, "new");
    killed.signal(nix::sys::signal::Signal::SIGKILL);
    drop(killed);
    assert_eq!(found(&aside).map(|(id, _)| id), Some(before.clone()));
    // The next one goes on from there.
    let mut next = up(&project);
    until_line(&mut next, "new");
    // Somebody makes another container of that name, which is nobody's to remove.
    container.remove();
    container.started(&[]).unwrap();
    let (theirs, _) = found(&container.name).unwrap();
    let (_, events) = next.stop();
    let said = |words: &str| {
        events.iter().any(|event| event["message"].as_str().is_some_and(|message| message.contains(words)))
    };
    assert!(said("is another container by now"), "{events:#?}");
    assert_eq!(found(&container.name).map(|(id, _)| id), Some(theirs));
    assert_eq!(found(&aside).map(|(id, _)| id), Some(before));
    podman(&["rm", "-f", "-t", "0", &aside]);
}

/// A container whose own program is the service as it is now, and the project that syncs its binary to it.
fn serving(more: &str) -> (Project, Server, Container) {
    let project = Project::new();
    let server = Server::new(&project);
    let root = project.beside("image");
    fs::create_dir(&root).unwrap();
    server.build(&project, &root.join("service"));
    let port = server.port.to_string();
    let container = Container::of(root, &["/service", &port]).start(&[]);
    let settings = format!("port = {port}\nready = {{ settle = \"300ms\" }}\nstop = {{ grace = \"2s\" }}");
    let sync = format!(
        "to = {{ podman = {:?} }}\nbinary = \"/service\"\nrestart = \"recreate\"\n{more}",
        container.name
    );
    configure(&project, &settings, &sync);
    (project, server, container)
}

#[test]
fn a_program_that_ends_its_container_gives_way_to_the_one_before() {
    if !is_possible() {
        return;
    }
    let (project, server, container) = serving("");
    let mut up = up(&project);
    up.until_event("good", "web");
    up.until_watching();
    server.save(&project, "two", "");
    up.until_event("restarted", "web");
    // It is ready when the new one is, however long the old one still answered.
    assert_eq!(server.answer().as_deref(), Some("two"));
    up.until_event("good", "web");
    server.save(&project, "bad", "os.Exit(3)");
    let back = up.until_event("rolled_back", "web");
    assert!(back["reason"].as_str().unwrap().contains("with exit code 3"), "{back}");
    server.until_answer("two");
    up.until_event("good", "web");
    server.save(&project, "three", "");
    server.until_answer("three");
    assert!(up.stop().0.success());
    assert_eq!(found(&container.name).map(|(_, state)| state).as_deref(), Some("running"));
}

#[test]
fn a_container_that_stands_still_is_started_with_what_was_saved() {
    if !is_possible() {
        return;
    }
    let (project, server, container) = serving("");
    podman(&["stop", "-t", "1", &container.name]);
    server.save(&project, "two", "");
    let mut up = up(&project);
    up.until_event("ready", "web");
    server.until_answer("two");
    assert!(up.stop().0.success());
}

#[test]
fn a_container_that_cannot_be_made_anew_is_as_before_and_tried_once() {
    if !is_possible() {
        return;
    }
    let (project, server, container) = serving("run_args = [\"/no-such-program\"]");
    let (before, _) = found(&container.name).unwrap();
    let mut up = up(&project);
    let notice = up.until_notice("cannot be taken over: ");
    let message = notice["message"].as_str().unwrap();
    assert!(message.contains("no-such-program") && message.contains("it is as it was before"), "{message}");
    server.until_answer("one");
    assert_eq!(found(&container.name), Some((before, "running".to_owned())));
    let (exit, _) = up.stop();
    assert!(exit.success());
}
