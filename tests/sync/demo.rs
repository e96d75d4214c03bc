//! The demo with one of its services in a container.

use super::container::podman;
use super::*;

#[test]
fn a_service_of_the_demo_runs_in_a_container() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let dir = project.path("demo");
    let mut up = Up::start(project.hotwatch(&["demo", "--sync", "--json", "--dir", dir.to_str().unwrap()]));
    let reached = up.until("the container is reached", |seen| {
        is(seen, "notice", "userService") && seen["message"].as_str().unwrap().contains("is reached")
    });
    let name = reached["message"].as_str().unwrap().split('`').nth(1).unwrap().to_owned();
    assert!(name.starts_with("hotwatch-demo-"), "{reached}");
    up.until_event("ready", "userService");
    up.until_watching();
    let handlers = dir.join("services/userService/handlers.go");
    let source = fs::read_to_string(&handlers).unwrap();
    fs::write(&handlers, source.replace("Hello from", "Moin from")).unwrap();
    up.until_event("restarted", "userService");
    let (exit, _) = up.stop();
    assert!(exit.success());
    // Neither the container nor its image is left.
    assert!(!podman(&["container", "exists", &name]).status.success());
    assert!(!podman(&["image", "exists", &name]).status.success());
}
