//! Pods, by a stand-in for kubectl whose pods are containers of podman. That shows what hotwatch asks of kubectl and does
//! with its answers; that the real one answers so, nobody shows here.

use super::*;

/// The content of `to` for what `pods` names.
fn to(pods: &str) -> String {
    format!("to = {{ kubectl = {{ context = \"test\", namespace = \"apps\", {pods} }} }}\n")
}

/// Starts hotwatch with the stand-in, whose pods are `containers`.
fn up_to(project: &Project, containers: &[&Container]) -> Up {
    eprintln!(
        "NOT CHECKED: KUBECTL ITSELF; this test ran with a stand-in, which leads into containers of podman"
    );
    let (dir, path) = bin(project);
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(dir.join("kubectl")).arg(".").current_dir(fixture("kubectl"));
    project.surround(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pods: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let deployment = project.beside("deployment.json").display().to_string();
    up_with(project, &[("PATH", &path), ("PODS", &pods.join(" ")), ("DEPLOYMENT", &deployment)])
}

#[test]
fn all_pods_of_a_workload_get_what_is_saved() {
    if !is_possible() {
        return;
    }
    let (project, other) = (Project::new(), Project::new());
    let one = Container::busybox(&project).start(&[]);
    let two = Container::busybox(&other);
    project.write("web/page", "one");
    let settings = to("workload = \"deployment/web\"") + "post_sync = [\"cat\", \"page\"]\n";
    configure(&project, "", &(settings + &pair("/app", "")));
    let mut up = up_to(&project, &[&one, &two]);
    up.until_notice("`deployment/web` is reached with the helper");
    until_line(&mut up, "one");
    until_synced(&mut up);
    one.until_reads("/app/page", "one");
    // Another pod comes.
    let two = two.start(&[]);
    up.until_notice("`deployment/web` is reached with the helper");
    two.until_reads("/app/page", "one");
    project.write("web/page", "two");
    for container in [&one, &two] {
        container.until_reads("/app/page", "two");
    }
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(one.left_behind() + &two.left_behind(), "");
}

#[test]
fn a_binary_runs_in_a_container_of_a_pod() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project);
    let pod = format!("pod = {:?}, container = \"web\"", container.name);
    let settings = server.settings();
    configure(&project, &settings, &(to(&pod) + "binary = \"/app/server\"\n"));
    let mut up = up_to(&project, &[&container]);
    let notice = up.until_notice("is out of reach: ");
    assert!(notice["message"].as_str().unwrap().contains("not found"), "{notice}");
    let container = container.start(&["--env", &server.env()]);
    server.until_answer("one");
    up.until_event("good", "web");
    up.until_watching();
    server.save(&project, "two", "");
    up.until_event("restarted", "web");
    server.until_answer("two");
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(server.answer(), None);
    assert_eq!(container.left_behind(), "");
}

#[test]
fn the_command_of_a_workload_gives_way_and_is_put_back() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let one = Container::busybox(&project).start(&[]);
    project.write("web/page", "one");
    let own = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"x",
        "command":["sh","-c"],"args":["echo it says $(cat page); exec sleep 1000"]}]}}}}"#;
    let deployment = project.beside("deployment.json");
    fs::write(&deployment, own).unwrap();
    let containers = || {
        let now: Value = serde_json::from_str(&fs::read_to_string(&deployment).unwrap()).unwrap();
        now["spec"]["template"]["spec"]["containers"].clone()
    };
    let before = containers();
    let settings = to("workload = \"deployment/web\"") + "restart = \"override\"\n";
    configure(&project, "stop = { grace = \"1s\" }", &(settings + &pair("/app", "")));
    let mut up = up_to(&project, &[&one]);
    until_line(&mut up, "it says one");
    assert_eq!(containers()[0]["command"][0], "sh");
    assert!(containers()[0]["command"][2].as_str().unwrap().contains("sleep 1"), "{}", containers());
    up.until_watching();
    project.write("web/page", "two");
    until_line(&mut up, "it says two");
    let (exit, _) = up.stop();
    assert!(exit.success());
    assert_eq!(containers(), before);
    assert_eq!(one.left_behind(), "");
}
