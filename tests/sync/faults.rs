//! What may go wrong on either side: nothing is lost, and it is said in words what is the matter.

use super::*;

fn to(container: &Container) -> String {
    format!("to = {{ podman = {:?} }}\n", container.name)
}

/// The message of a notice.
fn message(notice: &Value) -> &str {
    notice["message"].as_str().unwrap()
}

#[test]
fn nothing_is_deleted_there_when_everything_is_gone_here() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&[]);
    project.write("web/files/one", "1");
    project.write("web/files/two", "2");
    configure(&project, "", &(to(&container) + &pair("/app", "source = \"files\"")));
    let mut up = up(&project);
    until_synced(&mut up);
    let files = project.path("web/files");
    for deleted_by_wish in [false, true] {
        container.until_reads("/app/one", "1");
        fs::remove_dir_all(&files).unwrap();
        let notice = up.until_notice("files -> /app has halted: ");
        assert_eq!(notice["level"], "error");
        assert!(message(&notice).contains("is gone; nothing is deleted before you say so"), "{notice}");
        assert!(
            message(&notice).contains(&format!("`hotwatch sync resolve {} --ours`", files.display())),
            "{notice}"
        );
        assert_eq!(container.run(&["cat", "/app/one", "/app/two"]).as_deref(), Some("12"));
        let status = String::from_utf8(project.run(&["sync", "status"]).stdout).unwrap();
        assert!(status.contains("halted: "), "{status}");
        if deleted_by_wish {
            let output = project.run(&["sync", "resolve", files.to_str().unwrap(), "--ours"]);
            assert!(output.status.success(), "{output:?}");
            container.until_true(&["test", "!", "-e", "/app/two"]);
        } else {
            // It is back, and all goes on.
            project.write("web/files/one", "1");
            project.write("web/files/two", "2");
            project.write("web/files/three", "3");
            container.until_reads("/app/three", "3");
        }
    }
    up.stop();
}

#[test]
fn a_full_disk_there_is_told_and_waited_for() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&["--tmpfs", "/data:rw,size=4m"]);
    project.write("web/page", "one");
    configure(&project, "", &(to(&container) + &pair("/data", "")));
    let mut up = up(&project);
    until_synced(&mut up);
    container.run(&["dd", "if=/dev/zero", "of=/data/filler", "bs=1M", "count=3"]).unwrap();
    project.write("web/large", &"x".repeat(2 << 20));
    let notice = up.until_notice("the disk is full");
    assert_eq!(
        message(&notice),
        "`/data/large` in the target cannot be written: the disk is full; free some space"
    );
    // Nothing half is left of it, and what is small gets in.
    assert!(!container.has("/data/large"));
    project.write("web/page", "two");
    container.until_reads("/data/page", "two");
    assert_eq!(container.run(&["sh", "-c", "ls -a /data"]).as_deref(), Some(".\n..\nfiller\npage\n"));
    // What was there stays there whole.
    project.write("web/page", &"y".repeat(2 << 20));
    up.until_notice("`/data/page` in the target cannot be written: the disk is full");
    container.until_reads("/data/page", "two");
    // It is tried again without another save.
    container.run(&["rm", "/data/filler"]).unwrap();
    project.write("web/page", "three");
    container.until_true(&["sh", "-c", "test $(stat -c %s /data/large) = 2097152"]);
    container.until_reads("/data/page", "three");
    up.stop();
}

#[test]
fn who_may_not_write_there_is_told_what_to_do() {
    if !is_possible() {
        return;
    }
    let project = Project::new();
    let container = Container::busybox(&project).start(&["--user", "1000:1000"]);
    container.run(&["mkdir", "/data"]).unwrap();
    project.write("web/page", "one");
    configure(&project, "", &(to(&container) + &pair("/data", "")));
    let mut up = up(&project);
    let notice = up.until_notice("`/data/page` in the target cannot be written");
    assert!(
        message(&notice).contains("for the user 1000; let it belong to that user, or set `owner`"),
        "{notice}"
    );
    assert!(message(&notice).contains("Permission denied"), "{notice}");
    // It is, and gets there without another save.
    container.run(&["chmod", "777", "/data"]).unwrap();
    container.until_reads("/data/page", "one");
    up.stop();
}

#[test]
fn a_file_that_is_larger_than_the_memory_there_gets_there() {
    if !is_possible() {
        return;
    }
    const SIZE: u64 = 300 << 20;
    let project = Project::new();
    let container = Container::busybox(&project);
    if let Err(why) = container.started(&["--memory", "32m", "--memory-swap", "32m"]) {
        return eprintln!(
            "NOT CHECKED: A TARGET WITH LITTLE MEMORY, to which this machine cannot limit it: {why}"
        );
    }
    fs::create_dir(project.path("web")).unwrap();
    // It takes no space here.
    fs::File::create(project.path("web/large")).unwrap().set_len(SIZE).unwrap();
    configure(&project, "", &(to(&container) + &pair("/data", "mode = \"two-way-safe\"")));
    let mut up = up(&project);
    up.until_watching();
    let round = up.until_event("synced", "web");
    assert_eq!(round["bytes"], SIZE);
    let size = format!("test $(stat -c %s /data/large) = {SIZE}");
    container.until_true(&["sh", "-c", &size]);
    // And back.
    container.run(&["sh", "-c", "echo end >> /data/large"]).unwrap();
    until("its end", || (project.path("web/large").metadata().unwrap().len() == SIZE + 4).then_some(()));
    assert!(!up.seen.iter().any(|seen| seen["event"] == "notice" && message(seen).contains("is lost")));
    up.stop();
}
