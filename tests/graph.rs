//! Saves of packages that several programs share, also while it is being found out who contains what.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::support::{Project, Up, is};

/// `api` and `beacon` in a workspace with the module `lib`, which `beacon` imports.
fn workspace() -> Project {
    let project = Project::tiny(&["api", "beacon"], "");
    for name in ["api", "beacon"] {
        project.write(&format!("{name}/go.mod"), &format!("module example.com/{name}\n\ngo 1.21\n"));
    }
    project.write("go.work", "go 1.21\n\nuse (\n\t./api\n\t./beacon\n\t./lib\n)\n");
    project.write("lib/go.mod", "module example.com/lib\n\ngo 1.21\n");
    save_shared(&project, "one");
    import_shared(&project, "beacon");
    project
}

fn save_shared(project: &Project, answer: &str) {
    project.write("lib/shared/shared.go", &format!("package shared\n\nconst Answer = {answer:?}\n"));
}

fn import_shared(project: &Project, service: &str) {
    let source = "package main\n\nimport \"example.com/lib/shared\"\n\nconst answer = shared.Answer\n";
    project.write(&format!("{service}/answer.go"), source);
}

/// Waits until both services run and every save is seen.
fn until_watching(up: &mut Up) {
    up.until_all_ready(&["api", "beacon"]);
    up.until_watching();
}

/// Starts hotwatch with a go command that lists nothing as long as the returned file is there.
fn gated(project: &Project) -> (Up, PathBuf) {
    let gate = project.beside("gate");
    let real = std::env::var("PATH").unwrap();
    let wrapper = format!(
        "#!/bin/sh\nPATH='{real}'\nif [ \"$1\" = list ]; then while [ -e '{}' ]; do sleep 0.01; done; fi\nexec go \"$@\"\n",
        gate.display()
    );
    fs::create_dir(project.beside("bin")).unwrap();
    fs::write(project.beside("bin/go"), wrapper).unwrap();
    fs::set_permissions(project.beside("bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.hotwatch(&["up", "--json"]);
    command.env("PATH", format!("{}:{real}", project.beside("bin").display()));
    (Up::start(command), gate)
}

#[test]
fn a_save_in_a_package_that_is_just_becoming_part_of_a_program_is_built() {
    let project = workspace();
    let (mut up, gate) = gated(&project);
    until_watching(&mut up);

    fs::write(&gate, "").unwrap();
    import_shared(&project, "api");
    up.until_event("restarted", "api");
    save_shared(&project, "two");
    up.until_event("restarted", "beacon");
    fs::remove_file(&gate).unwrap();
    up.until("api with what was saved meanwhile", |seen| is(seen, "restarted", "api"));
    assert!(project.answer("api").contains("two"));
    up.stop();
}

#[test]
fn a_file_that_appears_while_packages_are_listed_is_built_once() {
    let project = workspace();
    let (mut up, gate) = gated(&project);
    until_watching(&mut up);
    fs::write(&gate, "").unwrap();
    import_shared(&project, "api");
    up.until_event("restarted", "api");
    let before = up.seen.len();
    project.write("api/more.go", "package main\n\nfunc init() { println(\"more\") }\n");
    up.until_event("restarted", "api");
    fs::remove_file(&gate).unwrap();
    // Now it is listed that `api` contains this.
    save_shared(&project, "two");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("two"));
    assert_eq!(up.count(before, "change", "api"), 2);
    up.stop();
}

#[test]
fn a_package_may_be_a_link_that_leads_out_of_its_module() {
    let project = workspace();
    symlink(project.path("lib/shared"), project.path("api/linked")).unwrap();
    let source = "package main\n\nimport shared \"example.com/api/linked\"\n\nconst answer = shared.Answer\n";
    project.write("api/answer.go", source);
    let mut up = project.up();
    until_watching(&mut up);
    save_shared(&project, "two");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("two"));

    // One that appears later, and leads out of the project.
    fs::create_dir(project.beside("elsewhere")).unwrap();
    let elsewhere = |answer| {
        let source = format!("package shared\n\nconst Answer = {answer:?}\n");
        fs::write(project.beside("elsewhere/shared.go"), source).unwrap();
    };
    elsewhere("three");
    symlink(project.beside("elsewhere"), project.path("api/outside")).unwrap();
    project.write("api/answer.go", &source.replace("linked", "outside"));
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("three"));
    elsewhere("four");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("four"));
    up.stop();
}

#[test]
fn what_keeps_packages_from_being_listed_is_watched_until_it_is_mended() {
    let project = workspace();
    let lib = fs::read_to_string(project.path("lib/go.mod")).unwrap();
    project.write("lib/go.mod", &format!("{lib}requir x\n"));
    let mut up = project.up();
    up.until_notice("cannot be listed");
    up.until("watching", |seen| seen["event"] == "watching");
    project.write("lib/go.mod", &lib);
    up.until_each("restarted", &["api", "beacon"]);
    save_shared(&project, "two");
    up.until_event("restarted", "beacon");
    assert!(project.answer("beacon").contains("two"));

    // A module that is used before it is there.
    let work = fs::read_to_string(project.path("go.work")).unwrap();
    project.write("go.work", &work.replace("./lib", "./lib\n\t./new"));
    up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    project.write("new/new.go", "package new\n\nconst Answer = \"new\"\n");
    project.write("new/go.mod", "module example.com/new\n\ngo 1.21\n");
    up.until("a build", |seen| is(seen, "build", "api") && seen["ok"] == true);
    let source =
        "package main\n\nimport shared \"example.com/new/missing\"\n\nconst answer = shared.Answer\n";
    project.write("api/answer.go", source);
    up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    // A package that is imported before it is there, in a module from which nothing else is imported.
    project.write("new/missing/missing.go", "package missing\n\nconst Answer = \"there\"\n");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("there"));
    up.stop();
}

#[test]
fn what_is_embedded_is_watched_although_git_ignores_it() {
    let project = Project::tiny(&["api"], "");
    let source = "package main\n\nimport _ \"embed\"\n\n//go:embed web/dist/page\nvar answer string\n";
    project.write("api/answer.go", source);
    project.write("api/web/dist/page", "one");
    // Not at the top of the repository: it becomes known with the directory that it stands in.
    project.write("api/web/.gitignore", "dist/\n");
    project.git(&["init", "-q"]);
    let mut up = project.up();
    up.until_all_ready(&["api"]);
    up.until_watching();
    project.write("api/web/dist/page", "two");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("two"));

    // As tools do that make all of it anew.
    fs::remove_dir_all(project.path("api/web/dist")).unwrap();
    up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    project.write("api/web/dist/page", "three");
    up.until_event("restarted", "api");
    project.write("api/web/dist/page", "four");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("four"));

    // One that was there and watched before it was ignored.
    project.write("api/plain/page", "five");
    project.write("api/answer.go", &source.replace("web/dist", "plain"));
    up.until_event("restarted", "api");
    project.write("api/.gitignore", "plain/\n");
    fs::remove_dir_all(project.path("api/plain")).unwrap();
    up.until("a failed build", |seen| is(seen, "build", "api") && seen["ok"] == false);
    project.write("api/plain/page", "six");
    up.until_event("restarted", "api");
    project.write("api/plain/page", "seven");
    up.until_event("restarted", "api");
    assert!(project.answer("api").contains("seven"));
    up.stop();
}
