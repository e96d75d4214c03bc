//! Modules beside that of the service: one that is the user's and speaks an older Go, and one that is not and imports what
//! is the user's.

use super::{get, is_possible, patchable, project};
use crate::support::{Project, is};

/// Has the service answer with what `function` of the package `path` says, which is of a module that go.mod asks for with `more`.
fn depend(project: &Project, path: &str, function: &str, more: &str) {
    project.append("shop/go.mod", &format!("\nrequire {path} v1.0.0\n{more}"));
    let text = format!(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n\n\tother {path:?}\n)\n\n\
         func init() {{ http.HandleFunc(\"/other\", answer) }}\n\n\
         func answer(w http.ResponseWriter, _ *http.Request) {{ fmt.Fprint(w, other.{function}()) }}\n"
    );
    project.write("shop/other.go", &text);
}

/// Up to Go 1.21 a loop has one variable for all of its rounds.
const ROUNDS: &str = "package older

import \"fmt\"

func Rounds() string {
	var made []func() int
	for i := 0; i < 3; i++ {
		made = append(made, func() int { return i })
	}
	text := \"rounds\"
	for _, round := range made {
		text += fmt.Sprint(\" \", round())
	}
	return text
}
";

#[test]
fn a_module_that_does_not_say_which_go_it_speaks() {
    if !is_possible() {
        return;
    }
    let project = project("");
    project.write("older/go.mod", "module example.com/older\n");
    project.write("older/older.go", ROUNDS);
    depend(&project, "example.com/older", "Rounds", "replace example.com/older => ../older\n");
    let mut up = patchable(&project);
    project.edit("older/older.go", "\"rounds\"", "\"all rounds\"");
    up.until_event("patched", "shop");
    assert_eq!(get(project.port("shop"), "/other"), "all rounds 3 3 3");
    up.stop();
}

#[test]
fn a_package_of_somebody_else_imports_one_that_changes() {
    if !is_possible() {
        return;
    }
    let project = project("");
    depend(&project, "example.org/third", "Version", "");
    project.write("shop/vendor/modules.txt", "# example.org/third v1.0.0\n## explicit\nexample.org/third\n");
    let third =
        "package third\n\nimport \"example.com/shop/lib\"\n\nfunc Version() string { return lib.Version }\n";
    project.write("shop/vendor/example.org/third/third.go", third);
    project.write("shop/lib/lib.go", "package lib\n\nconst Version = \"one\"\n");
    let mut up = patchable(&project);
    project.edit("shop/lib/lib.go", "\"one\"", "\"two\"");
    up.until_event("restarted", "shop");
    let verdict = up.seen.iter().rev().find(|seen| is(seen, "verdict", "shop")).unwrap();
    let reason = "`example.org/third` imports `example.com/shop/lib`, and is not compiled with it";
    assert_eq!(verdict["reason"], reason);
    assert_eq!(get(project.port("shop"), "/other"), "two");
    up.stop();
}
