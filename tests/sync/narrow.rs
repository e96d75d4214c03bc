//! Containers that allow little: a root that is read-only, a user who is not root, a volume on which nothing runs.

use super::*;

#[test]
fn a_writable_volume_is_enough_where_the_root_is_read_only() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let volume = project.beside("volume");
    fs::create_dir(&volume).unwrap();
    let container = Container::busybox(&project);
    let mount = format!("{}:/data", volume.display());
    let container = container.start(&["--read-only", "--read-only-tmpfs=false", "--volume", &mount]);
    project.write("web/page", "one");
    let sync = format!("to = {{ podman = {:?} }}\n{}", container.name, pair("/data", ""));
    configure(&project, "", &sync);
    let mut up = up(&project);
    up.until_notice("with the helper at `/data/");
    until_synced(&mut up);
    container.until_reads("/data/page", "one");
    project.write("web/page", "two");
    container.until_reads("/data/page", "two");
    project.remove("web/page");
    container.until_true(&["test", "!", "-e", "/data/page"]);
    ends_well(up, &container);
    assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
}

#[test]
fn archives_have_to_do_where_no_helper_can_run() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project);
    let container =
        container.start(&["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/data:rw,noexec,size=8m"]);
    project.write("web/page", "one");
    project.write("web/deep/file", "1");
    let sync = format!(
        "to = {{ podman = {:?} }}\npost_sync = [\"sh\", \"-c\", \"echo after\"]\nhelper_dir = \"/data\"\n{}",
        container.name,
        pair("/data", "")
    );
    configure(&project, "", &sync);
    let mut up = up(&project);
    let notice = up.until_notice("by archives, which add and overwrite only");
    assert!(notice["message"].as_str().unwrap().contains("not in `/data`: "), "{notice}");
    until_line(&mut up, "after");
    until_synced(&mut up);
    container.until_reads("/data/deep/file", "1");
    project.write("web/page", "two");
    container.until_reads("/data/page", "two");
    project.remove("web/page");
    container.until_true(&["test", "!", "-e", "/data/page"]);
    ends_well(up, &container);
}

#[test]
fn a_user_who_is_not_root_gets_what_is_theirs() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let server = Server::new(&project);
    let container = Container::busybox(&project).start(&["--user", "1000:1000", "--env", &server.env()]);
    container.run(&["sh", "-c", "mkdir /app && busybox chown 1000:1000 /app"]).unwrap();
    let settings = server.settings();
    let sync = format!(
        "to = {{ podman = {:?} }}\nbinary = \"/app/server\"\npost_sync = [\"id\", \"-u\"]\n{}",
        container.name,
        pair("/app/pages", "include = [\"*.html\"]")
    );
    project.write("web/page.html", "one");
    configure(&project, &settings, &sync);
    let mut up = up(&project);
    until_line(&mut up, "1000");
    up.until_event("good", "web");
    up.until_watching();
    assert_eq!(
        container.run(&["stat", "-c", "%u:%g", "/app/pages/page.html"]).as_deref(),
        Some("1000:1000\n")
    );
    server.save(&project, "two", "");
    up.until_event("restarted", "web");
    server.until_answer("two");
    ends_well(up, &container);
}

#[test]
fn root_writes_for_an_owner_who_could_not() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&["--user", "1000:1000"]);
    container.run(&["mkdir", "/data"]).unwrap();
    project.write("web/page", "one");
    let owned = pair("/data", "owner = \"1000:1000\"\nfile_mode = \"0640\"");
    configure(&project, "", &format!("to = {{ podman = {:?} }}\n{owned}", container.name));
    let mut up = up(&project);
    until_synced(&mut up);
    let how = container.run(&["stat", "-c", "%u:%g %a", "/data/page"]);
    assert_eq!(how.as_deref(), Some("1000:1000 640\n"));
    ends_well(up, &container);
}
