//! A container that is started anew, removed, or not there yet.

use super::*;

#[test]
fn after_a_restart_everything_is_as_before() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project).start(&["--env", &server.env()]);
    project.write("web/page.html", "one");
    let settings = server.settings();
    let sync = format!(
        "to = {{ podman = {:?} }}\nbinary = \"/app/server\"\n{}",
        container.name,
        pair("/app/pages", "include = [\"*.html\"]")
    );
    configure(&project, &settings, &sync);
    let mut up = up(&project);
    up.until_event("good", "web");
    up.until_watching();
    assert_eq!(server.answer().as_deref(), Some("one"));
    // Nobody looks at it there before that.
    container.run(&["rm", "/app/pages/page.html"]).unwrap();
    let seen = up.seen.len();
    container.restart();
    up.until_notice("is lost: ");
    up.until_notice("is reached with the helper");
    up.until_event("synced", "web");
    container.until_reads("/app/pages/page.html", "one");
    up.until_event("ready", "web");
    server.until_answer("one");
    up.until_event("good", "web");
    assert_eq!(up.count(seen, "held", "web"), 0);
    // And it goes on.
    project.write("web/page.html", "two");
    container.until_reads("/app/pages/page.html", "two");
    server.save(&project, "two", "");
    server.until_answer("two");
    ends_well(up, &container);
}

#[test]
fn one_that_is_not_there_is_waited_for() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project);
    project.write("web/page.html", "one");
    let settings = server.settings();
    let sync = format!(
        "to = {{ podman = {:?} }}\nbinary = \"/app/server\"\n{}",
        container.name,
        pair("/app/pages", "include = [\"*.html\"]")
    );
    configure(&project, &settings, &sync);
    let mut up = up(&project);
    let notice = up.until_notice("is out of reach: ");
    let message = notice["message"].as_str().unwrap();
    let described = format!("the podman container `{}` is out of reach: ", container.name);
    assert!(message.starts_with(&described), "{message}");
    assert!(message.contains("no such container"), "{message}");
    assert!(message.ends_with("it is looked for until it is there"), "{message}");
    let output = project.run(&["sync", "status"]);
    let status = String::from_utf8(output.stdout).unwrap();
    assert!(status.contains("out of reach: "), "{status}");
    let container = container.start(&["--env", &server.env()]);
    up.until_notice("is reached with the helper");
    container.until_reads("/app/pages/page.html", "one");
    up.until_event("ready", "web");
    server.until_answer("one");

    // Another takes its place, in which nothing is.
    container.remove();
    up.until_notice("is lost: ");
    project.write("web/page.html", "two");
    up.until_notice("is out of reach: ");
    let container = container.start(&["--env", &server.env()]);
    up.until_notice("is reached with the helper");
    container.until_reads("/app/pages/page.html", "two");
    up.until_event("ready", "web");
    server.until_answer("one");
    ends_well(up, &container);
}

#[test]
fn what_is_saved_while_it_is_gone_runs_when_it_is_back() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project).start(&["--env", &server.env()]);
    let sync = format!("to = {{ podman = {:?} }}\nbinary = \"/app/server\"", container.name);
    configure(&project, &server.settings(), &sync);
    let mut up = up(&project);
    up.until_event("good", "web");
    up.until_watching();
    let seen = up.seen.len();
    container.remove();
    up.until_notice("is out of reach: ");
    server.save(&project, "two", "");
    up.until_event("build", "web");
    let container = container.start(&["--env", &server.env()]);
    up.until_event("ready", "web");
    server.until_answer("two");
    up.until_event("good", "web");
    for event in ["held", "rolled_back"] {
        assert_eq!(up.count(seen, event, "web"), 0, "{event}");
    }
    ends_well(up, &container);
}

#[test]
fn others_do_not_wait_for_one_that_is_not_there() {
    let project = Project::new();
    let server = Server::new(&project);
    copy(&fixture("web"), &project.path("other"));
    let port = free_ports(1)[0];
    let settings = format!("port = {}", server.port);
    configure(&project, &settings, "to = { podman = \"hotwatch-test-none\" }\nbinary = \"/app/server\"");
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    let other =
        format!("\n[[service]]\nname = \"other\"\ndir = \"other\"\nport = {port}\nargs = [\"{port}\"]\n");
    project.write("hotwatch.toml", &(config + &other));
    let mut up = up(&project);
    up.until_event("ready", "other");
    assert!(up.stop().0.success());
}
