//! The ways in which editors and tools save. Each is one batch: exactly one `change`, one build, one restart.
//! And the saves that change nothing. That nothing more comes is shown by a later save of a second service:
//! batches stay in order.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{EVERY_GO_FILE, Project, Up, answer_source};

/// Two services, and more patience than usual: on a loaded machine 20 ms may pass between two steps of one save.
fn patient(settings: &str) -> Project {
    let project = Project::tiny(&["api", "beacon"], settings);
    let config = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write("hotwatch.toml", &format!("quiet = \"150ms\"\n{config}"));
    project
}

/// Saves something in the second service and waits until it is served; everything before has been dealt with.
fn beacon(project: &Project, up: &mut Up, round: usize) {
    project.save_answer("beacon", &format!("beacon {round}"));
    up.until_event("restarted", "beacon");
}

fn shell(project: &Project, script: &str, args: &[&str]) {
    let status = Command::new("sh")
        .args(["-ec", script, "sh"])
        .args(args)
        .current_dir(project.root())
        .status()
        .unwrap();
    assert!(status.success(), "{script}");
}

/// A way to save `api/answer.go` with this answer.
type Style = (&'static str, fn(&Project, &str));

const STYLES: [Style; 11] = [
    ("written in place", |project, answer| project.save_answer("api", answer)),
    ("vim: probe file, backup by rename, write, backup removed", |project, answer| {
        let dir = project.path("api");
        fs::write(dir.join("4913"), "").unwrap();
        fs::remove_file(dir.join("4913")).unwrap();
        fs::rename(dir.join("answer.go"), dir.join("answer.go~")).unwrap();
        fs::write(dir.join("answer.go"), answer_source(answer)).unwrap();
        fs::remove_file(dir.join("answer.go~")).unwrap();
    }),
    ("the real vim", |project, answer| {
        if Command::new("vi").arg("--version").output().is_err() {
            eprintln!("NOT CHECKED: no `vi` on this machine; saved in place instead");
            return project.save_answer("api", answer);
        }
        let substitute = format!("+%s/const answer = .*/const answer = \"{answer}\"/");
        shell(project, "vi -es -u NONE '+set backup writebackup' \"$1\" +wq api/answer.go", &[&substitute]);
        fs::remove_file(project.path("api/answer.go~")).unwrap_or_default();
    }),
    ("atomic rename", |project, answer| {
        fs::write(project.path("api/.answer.go.tmp"), answer_source(answer)).unwrap();
        fs::rename(project.path("api/.answer.go.tmp"), project.path("api/answer.go")).unwrap();
    }),
    ("atomic rename from outside", |project, answer| {
        fs::write(project.beside("answer.go"), answer_source(answer)).unwrap();
        fs::rename(project.beside("answer.go"), project.path("api/answer.go")).unwrap();
    }),
    ("sed -i", |project, answer| {
        shell(
            project,
            "sed -i.bak \"s/const answer = .*/const answer = \\\"$1\\\"/\" api/answer.go",
            &[answer],
        );
        fs::remove_file(project.path("api/answer.go.bak")).unwrap();
    }),
    ("git checkout", |project, answer| {
        project.git(&["commit", "-qam", "before"]);
        let tree = project.beside("worktree").display().to_string();
        project.git(&["worktree", "add", "-q", &tree, "-b", answer]);
        fs::write(Path::new(&tree).join("api/answer.go"), answer_source(answer)).unwrap();
        project.git(&["-C", &tree, "commit", "-qam", "edit"]);
        project.git(&["worktree", "remove", &tree]);
        project.git(&["checkout", "-q", answer]);
    }),
    ("cp", |project, answer| {
        fs::write(project.beside("new"), answer_source(answer)).unwrap();
        shell(project, "cp \"$1\" api/answer.go", &[project.beside("new").to_str().unwrap()]);
    }),
    ("deleted and created again, twice", |project, answer| {
        for text in ["first", "second", answer] {
            fs::remove_file(project.path("api/answer.go")).unwrap();
            project.save_answer("api", text);
        }
    }),
    ("emptied, then written in pieces", |project, answer| {
        let (start, end) =
            answer_source(answer).split_once("const").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        shell(project, "exec > api/answer.go; printf %s \"$1\"; printf 'const%s' \"$2\"", &[&start, &end]);
    }),
    ("hard link put in place", |project, answer| {
        fs::write(project.beside("linked"), answer_source(answer)).unwrap();
        fs::remove_file(project.path("api/answer.go")).unwrap();
        fs::hard_link(project.beside("linked"), project.path("api/answer.go")).unwrap();
        fs::remove_file(project.beside("linked")).unwrap();
    }),
];

/// Saves with each style in turn and checks that each is one batch and one restart with its answer.
fn check_styles(project: &Project, up: &mut Up, styles: &[Style]) {
    for (round, (name, save)) in styles.iter().enumerate() {
        let answer = format!("answer{round}");
        let before = up.seen.len();
        save(project, &answer);
        up.until_event("restarted", "api");
        assert!(project.answer("api").starts_with(&answer), "{name}");
        beacon(project, up, round);
        for event in ["change", "restarted"] {
            assert_eq!(up.count(before, event, "api"), 1, "{name}: {event}: {:#?}", &up.seen[before..]);
        }
    }
}

#[test]
fn every_way_to_save_a_file_is_one_batch_and_one_restart() {
    let project = patient("");
    project.commit_all();
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    check_styles(&project, &mut up, &STYLES);
    up.stop();
}

#[test]
fn directories_that_come_and_go_are_one_batch_each() {
    let project = patient(EVERY_GO_FILE);
    fs::create_dir_all(project.beside("moved/deep")).unwrap();
    fs::write(project.beside("moved/deep/x.go"), "package deep\n").unwrap();
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    type Step = (&'static str, fn(&Project));
    let steps: [Step; 6] = [
        ("a directory moved in", |project| {
            fs::rename(project.beside("moved"), project.path("api/moved")).unwrap();
        }),
        ("a file edited in it", |project| {
            project.write("api/moved/deep/x.go", "package deep\n\nconst X = 1\n");
        }),
        ("mkdir -p with a file at once", |project| {
            shell(project, "mkdir -p api/a/b/c; printf 'package c\\n' > api/a/b/c/c.go", &[]);
        }),
        ("a file deleted", |project| fs::remove_file(project.path("api/a/b/c/c.go")).unwrap()),
        ("a directory renamed", |project| {
            fs::rename(project.path("api/moved"), project.path("api/renamed")).unwrap();
        }),
        ("a directory deleted", |project| fs::remove_dir_all(project.path("api/renamed")).unwrap()),
    ];
    for (round, (name, step)) in steps.iter().enumerate() {
        let before = up.seen.len();
        step(&project);
        up.until_event("restarted", "api");
        beacon(&project, &mut up, round);
        for event in ["change", "restarted"] {
            assert_eq!(up.count(before, event, "api"), 1, "{name}: {event}: {:#?}", &up.seen[before..]);
        }
    }
    up.stop();
}

#[test]
fn a_service_directory_may_be_a_link_and_so_may_directories_in_it() {
    let project = patient(EVERY_GO_FILE);
    fs::rename(project.path("api"), project.beside("elsewhere")).unwrap();
    symlink(project.beside("elsewhere"), project.path("api")).unwrap();
    project.write("shared/lib.go", "package shared\n");
    symlink(project.path("shared"), project.path("api/shared")).unwrap();
    symlink(".", project.path("api/circle")).unwrap();
    symlink("/", project.path("api/out")).unwrap();
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    check_styles(&project, &mut up, &STYLES[..2]);
    let before = up.seen.len();
    project.write("shared/lib.go", "package shared\n\nconst X = 1\n");
    up.until_event("restarted", "api");
    let change = up.seen[before..].iter().find(|seen| seen["event"] == "change").unwrap();
    assert_eq!(change["paths"][0], "api/shared/lib.go");
    up.stop();
}

#[test]
fn what_changes_no_source_restarts_nothing() {
    let project = patient("");
    project.write("api/notes.txt", "1");
    project.write("api/testdata/golden.go", "package golden\n");
    project.commit_all();
    let mut up = project.up();
    up.until_all_ready(&["api", "beacon"]);
    let before = up.seen.len();

    let answer = project.path("api/answer.go");
    fs::set_permissions(&answer, fs::Permissions::from_mode(0o600)).unwrap();
    shell(&project, "touch api/answer.go", &[]);
    let same = fs::read(&answer).unwrap();
    fs::write(&answer, &same).unwrap();
    fs::rename(&answer, project.path("api/away")).unwrap();
    fs::rename(project.path("api/away"), &answer).unwrap();
    project.write("api/notes.txt", "2");
    project.write("api/answer_test.go", "package main\n");
    project.write("api/testdata/golden.go", "package golden\n\nconst X = 1\n");
    project.write("api/.answer.go.swp", "x");
    project.write("api/answer.go~", "x");
    project.write(".git/hooks/x.go", "package x\n");
    project.write("api/.git/x.go", "package x\n");
    project.git(&["tag", "x"]);
    project.git(&["stash", "-q", "--include-untracked"]);
    project.git(&["stash", "pop", "-q"]);

    beacon(&project, &mut up, 0);
    for event in ["change", "building", "build", "restarted"] {
        assert_eq!(up.count(before, event, "api"), 0, "{event}: {:#?}", &up.seen[before..]);
    }
    // The user is told why.
    let nothing = |seen: &&serde_json::Value| seen["service"] == "api" && seen["rung"] == "nothing";
    assert!(up.seen[before..].iter().any(|seen| nothing(&seen)), "{:#?}", &up.seen[before..]);
    up.stop();
}
