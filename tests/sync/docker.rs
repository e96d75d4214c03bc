//! The same by docker's own client, which talks to podman's service.

use std::process::{Child, Stdio};

use super::*;

/// Podman's service on a socket of the project's. Ended on drop.
struct Daemon {
    child: Child,
    host: String,
}

impl Daemon {
    fn start(project: &Project) -> Daemon {
        let host = format!("unix://{}", project.beside("docker.sock").display());
        let mut command = Command::new("podman");
        command.args(["--runtime", "runc", "system", "service", "--time=0", &host]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let daemon = Daemon { child, host };
        until("answer of podman's service", || daemon.docker(&["version"]).then_some(()));
        daemon
    }

    fn docker(&self, args: &[&str]) -> bool {
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_HOST", &self.host);
        command.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether docker's client is there; says so if not.
fn is_client_there() -> bool {
    let there = Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("NOT CHECKED: NO SYNC BY DOCKER, whose client is not installed");
    }
    there
}

#[test]
fn docker_leads_into_containers_as_well() {
    if !is_possible() || !is_client_there() {
        return;
    }
    let project = Project::new();
    let daemon = Daemon::start(&project);
    let server = Server::new(&project);
    let container = Container::busybox(&project).start(&["--env", &server.env()]);
    project.write("web/page.html", "one");
    let settings = server.settings();
    let sync = format!(
        "to = {{ docker = {:?} }}\nbinary = \"/app/server\"\npost_sync = [\"cat\", \"page.html\"]\n{}",
        container.name,
        pair("/app/pages", "include = [\"*.html\"]")
    );
    configure(&project, &settings, &sync);
    let mut up = up_with(&project, &[("DOCKER_HOST", &daemon.host)]);
    up.until_notice(&format!("the docker container `{}` is reached with the helper", container.name));
    until_line(&mut up, "one");
    up.until_event("good", "web");
    up.until_watching();
    assert_eq!(server.answer().as_deref(), Some("one"));
    assert_eq!(container.run(&["cat", "/app/pages/page.html"]).as_deref(), Some("one"));
    project.write("web/page.html", "two");
    until_line(&mut up, "two");
    project.remove("web/page.html");
    container.until_true(&["test", "!", "-e", "/app/pages/page.html"]);
    up.until_notice("`post_sync` failed in the target: `cat` ended with exit code 1");
    server.save(&project, "two", "");
    server.until_answer("two");
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(server.answer(), None);
    assert_eq!(container.left_behind(), "");
}
