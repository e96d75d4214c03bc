//! A container `FROM scratch`: a static service and nothing else, no shell, no `tar`, not even `/tmp`.

use super::*;

/// A container in which the service as it is now runs already, on a port that nobody asks for, and the project that syncs
/// it.
fn built() -> (Project, Server, Container) {
    let project = Project::new();
    let server = Server::new(&project);
    let root = project.beside("image");
    fs::create_dir(&root).unwrap();
    server.build(&project, &root.join("service"));
    let own = free_ports(1)[0].to_string();
    let container = Container::of(root, &["/service", &own]).start(&[]);
    let sync = format!("to = {{ podman = {:?} }}\nbinary = \"/app/server\"", container.name);
    let port = server.port;
    let settings = format!("port = {port}\nargs = [\"{port}\"]\nready = {{ settle = \"300ms\" }}");
    configure(&project, &settings, &sync);
    (project, server, container)
}

#[test]
fn a_binary_is_built_here_and_runs_there() {
    if !is_possible() {
        return;
    }
    let (project, server, _container) = built();
    let mut up = up(&project);
    up.until_event("good", "web");
    up.until_watching();
    server.until_answer("one");
    for answer in ["two", "three"] {
        server.save(&project, answer, "");
        up.until_event("restarted", "web");
        server.until_answer(answer);
        up.until_event("good", "web");
    }
    // One that does not come up gives way to the one before, which is brought there again.
    server.save(&project, "bad", "os.Exit(3)");
    let back = up.until_event("rolled_back", "web");
    assert!(back["reason"].as_str().unwrap().contains("with exit code 3"), "{back}");
    server.until_answer("three");
    server.save(&project, "better", "");
    up.until_event("restarted", "web");
    server.until_answer("better");
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(server.answer(), None);
}
