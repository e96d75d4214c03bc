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
    let script = shell("echo new says $(cat /app/page)");
    let settings = format!(
        "to = {{ podman = {:?} }}\nrestart = \"recreate\"\nrun_args = [\"sh\", \"-c\", {script:?}]\n{}",
        container.name,
        pair("/app", "")
    );
    configure(&project, "stop = { grace = \"2s\" }", &settings);
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
    let script = shell("echo new");
    let settings = format!(
        "to = {{ podman = {:?} }}\nrestart = \"recreate\"\nrun_args = [\"sh\", \"-c\", {script:?}]\n{}",
        container.name,
        pair("/app", "")
    );
    configure(&project, "stop = { grace = \"2s\" }", &settings);
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
