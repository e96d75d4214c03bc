//! What the code of a process was compiled with takes the place of another: a dependency, or the toolchain. Then there
//! is a build, and nothing is loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::{get, is_possible, patchable, project};
use crate::support::{Project, Up, is};

/// A save has led to another process, because of `reason`.
fn until_restarted(project: &Project, up: &mut Up, reason: &str) {
    let old = up.pid("shop");
    assert_ne!(up.until_event("restarted", "shop")["pid"], old);
    let verdict = up.seen.iter().rev().find(|seen| is(seen, "verdict", "shop")).unwrap();
    assert!(verdict["reason"].as_str().unwrap().contains(reason), "{verdict}");
    up.until_notice("takes patches");
    assert!(project.run(&["status"]).status.success());
}

/// Writes the package `example.org/dep` to `dir`, whose struct has `fields`, of which `A` is `value`.
fn write_dependency(project: &Project, dir: &str, fields: &str, value: u32) {
    let text =
        format!("package dep\n\ntype T struct{{ {fields} }}\n\nfunc New() T {{ return T{{A: {value}}} }}\n");
    project.write(&format!("{dir}/dep.go"), &text);
}

/// Has the service answer what is in the struct of `example.org/dep`, which go.mod asks for with `more`.
fn depend(project: &Project, more: &str) {
    project.append("shop/go.mod", &format!("\nrequire example.org/dep v1.0.0\n{more}"));
    let text = "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n\n\t\"example.org/dep\"\n)\n\n\
                func init() { http.HandleFunc(\"/dep\", answer) }\n\n\
                func answer(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, \"is \", dep.New().A) }\n";
    project.write("shop/dep.go", text);
}

#[test]
fn a_struct_of_a_dependency_changes_while_only_its_user_is_saved() {
    if !is_possible() {
        return;
    }
    let project = project("");
    depend(&project, "");
    project.write("shop/vendor/modules.txt", "# example.org/dep v1.0.0\n## explicit\nexample.org/dep\n");
    write_dependency(&project, "shop/vendor/example.org/dep", "A int", 7);
    let mut up = patchable(&project);
    // Nobody watches what is vendored.
    write_dependency(&project, "shop/vendor/example.org/dep", "B, A int", 8);
    project.edit("shop/dep.go", "\"is \"", "\"is now \"");
    until_restarted(&project, &mut up, "`dep` changed, which takes a build");
    assert_eq!(get(project.port("shop"), "/dep"), "is now 8");
    up.stop();
}

#[test]
fn a_vendored_package_is_imported() {
    if !is_possible() {
        return;
    }
    let project = project("");
    depend(&project, "");
    let listed = "# example.org/dep v1.0.0\n## explicit\nexample.org/dep\nexample.org/dep/more\n";
    project.write("shop/vendor/modules.txt", listed);
    write_dependency(&project, "shop/vendor/example.org/dep", "A int", 7);
    project.write("shop/vendor/example.org/dep/more/more.go", "package more\n\nconst Text = \"more\"\n");
    let mut up = patchable(&project);
    let text = fs::read_to_string(project.path("shop/dep.go")).unwrap();
    let text = text.replace("org/dep\"\n", "org/dep\"\n\t\"example.org/dep/more\"\n");
    project.write("shop/dep.go", &text.replace("\"is \"", "more.Text"));
    until_restarted(&project, &mut up, "`example.org/dep/more` is imported");
    assert_eq!(get(project.port("shop"), "/dep"), "more7");
    up.stop();
}

#[test]
fn a_dependency_is_upgraded() {
    if !is_possible() {
        return;
    }
    let project = project("");
    for (dir, fields, value) in [("one", "A int", 7), ("two", "B, A int", 8)] {
        project.write(&format!("{dir}/go.mod"), "module example.org/dep\n");
        write_dependency(&project, dir, fields, value);
    }
    depend(&project, "replace example.org/dep => ../one\n");
    let mut up = patchable(&project);
    assert!(project.run(&["pause"]).status.success());
    project.edit("shop/go.mod", "../one", "../two");
    project.edit("shop/dep.go", "\"is \"", "\"is now \"");
    assert!(project.run(&["resume"]).status.success());
    until_restarted(&project, &mut up, "`go.mod` changed");
    assert_eq!(get(project.port("shop"), "/dep"), "is now 8");
    up.stop();
}

#[test]
fn another_go_command_takes_the_place_of_that_which_has_built() {
    if !is_possible() {
        return;
    }
    let project = project("");
    let path = std::env::var("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join("go")).find(|go| go.is_file()).unwrap();
    let found: PathBuf = found.canonicalize().unwrap();
    let bin = project.beside("bin");
    fs::create_dir(&bin).unwrap();
    symlink(&found, bin.join("go")).unwrap();
    let mut command = project.hotwatch(&["up", "--json"]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    let mut up = Up::start(command);
    up.until_notice("takes patches");
    let other = bin.join("go-of-another-version");
    fs::write(&other, format!("#!/bin/sh\nexec {} \"$@\"\n", found.display())).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(bin.join("go")).unwrap();
    symlink(&other, bin.join("go")).unwrap();
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    until_restarted(&project, &mut up, "the go command is another one");
    project.edit("shop/main.go", "hi %s %s", "hey %s %s");
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "hey xxx shop");
    up.stop();
}

#[test]
fn code_may_use_the_instructions_that_its_process_uses() {
    if !is_possible() {
        return;
    }
    let project = project("");
    project.edit("hotwatch.toml", "env = {", "env = { GOAMD64 = \"v2\",");
    let mut up = patchable(&project);
    project.edit("shop/main.go", "hello %s %s", "hi %s %s");
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/hello"), "hi xxx shop");
    up.stop();
}
