//! Rows of the table: branches of git that differ in 5,000 files.

use super::course::Then::Restart;
use super::{QUIET, row, run_with};
use crate::support::Project;

/// Packages that users imports, each of so many files; the last of them differs between the branches.
const PACKAGES: u32 = 100;
const FILES: u32 = 50;

#[test]
fn switching_branches_builds_and_restarts_once_whom_it_concerns() {
    run_with(
        |project| {
            project.edit("services/users/main.go", "import (", "import (\n\t\"example.com/users/bulk\"");
            project.edit("services/users/main.go", "answer +", "answer + bulk.Words() +");
            write(project, "one", 0);
            project.git(&["init", "-q", "-b", "one"]);
            project.commit_all();
            project.git(&["switch", "-qc", "two"]);
            std::fs::remove_dir_all(project.path("services/users/bulk/p0")).unwrap();
            write(project, "two", 1);
            project.edit("apps/internal/route/route.go", "\"/\"", "\"/two/\"");
            project.edit("shared/text/unused/unused.go", "\"unused\"", "\"two\"");
            project.commit_all();
            project.git(&["switch", "-q", "one"]);
        },
        &[
            row("to the other branch", [Restart, QUIET, Restart], |project| {
                project.git(&["switch", "-q", "two"]);
            }),
            row("and back", [Restart, QUIET, Restart], |project| {
                project.git(&["switch", "-q", "one"]);
            }),
        ],
    );
}

/// Writes the packages from number `first` on, and the one that imports them all.
fn write(project: &Project, word: &str, first: u32) {
    let (mut imports, mut words) = (String::new(), String::new());
    for package in first..first + PACKAGES {
        let dir = format!("services/users/bulk/p{package}");
        for file in 1..FILES {
            let text = format!("package p{package}\n\nconst word{file} = \"{word}\"\n");
            project.write(&format!("{dir}/f{file}.go"), &text);
        }
        let text = format!("package p{package}\n\nfunc Word() string {{ return word1 + \"{word}\" }}\n");
        project.write(&format!("{dir}/p{package}.go"), &text);
        imports += &format!("\t\"example.com/users/bulk/p{package}\"\n");
        words += &format!(" +\n\t\tp{package}.Word()");
    }
    let text = format!(
        "package bulk\n\nimport (\n{imports})\n\nfunc Words() string {{\n\treturn \"{word}\"{words}\n}}\n"
    );
    project.write("services/users/bulk/bulk.go", &text);
}
