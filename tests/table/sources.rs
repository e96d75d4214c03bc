//! Rows of the table: edits within packages.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::course::Then::{Fails, Restart, Same};
use super::{AS_IT_WAS, BYTES, COMMENTS, EXCLUDED, QUIET, TESTS, row, run};

const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
const OTHER: &str = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };

/// The path of the assembly source for an architecture.
fn assembly(architecture: &str) -> String {
    format!("apps/internal/checksum/add_{architecture}.s")
}

#[test]
fn sources() {
    run(&[
        row("a package of one service", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/answer.go", "\"users\"", "\"users 2\"");
        }),
        row("a shared module that all services use", [Restart; 3], |p| {
            p.edit("shared/money/money.go", "EUR", "CHF");
        }),
        row("a shared module that two services use", [Restart, Restart, QUIET], |p| {
            p.edit("shared/text/text.go", "costs", "is");
        }),
        row("another package of that module, used by all", [Restart; 3], |p| {
            p.edit("shared/text/serve/serve.go", "os.Exit(1)", "os.Exit(2)");
        }),
        row("another package of that module, used by one", [Restart, QUIET, QUIET], |p| {
            p.edit("shared/text/only/only.go", "\"only\"", "\"only 2\"");
        }),
        row("a package that nobody imports", [QUIET; 3], |p| {
            p.edit("shared/text/unused/unused.go", "\"unused\"", "\"unused 2\"");
        }),
        row("an internal package", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/internal/store/store.go", "all := \"\"", "all := \"queries: \"");
        }),
        row("an internal package of two programs, one of them a service", [QUIET, QUIET, Restart], |p| {
            p.edit("apps/internal/route/route.go", "\"/\"", "\"/v1/\"");
        }),
        row("an internal package of a program that is no service", [QUIET; 3], |p| {
            p.edit("apps/internal/admin/admin.go", "\"admin\"", "\"admin 2\"");
        }),
        row("a program that is no service", [QUIET; 3], |p| {
            p.edit("apps/cmd/migrate/main.go", "\"migrate\"", "\"migrate 2\"");
        }),
        row("a syntax error in a program that is no service", [QUIET; 3], |p| {
            p.append("apps/cmd/migrate/main.go", "not Go\n");
        }),
        row("the main package of a service among several programs", [QUIET, QUIET, Restart], |p| {
            p.edit("apps/cmd/gateway/main.go", "\"gateway\"", "\"gateway 2\"");
        }),
        row("two services in one save", [Restart, Restart, QUIET], |p| {
            p.edit("services/users/answer.go", "users 2", "users 3");
            p.edit("services/orders/mode_dev.go", "dev\"", "dev 2\"");
        }),
        row("comments", [COMMENTS; 3], |p| {
            p.edit("shared/money/money.go", "names an amount", "names, in words, an amount");
        })
        .unknown(BYTES),
        row("formatting", [COMMENTS, COMMENTS, QUIET], |p| {
            p.edit("shared/text/text.go", "{ return", "{\n\n\t\treturn");
        })
        .unknown(BYTES),
        row("a directive", [Restart; 3], |p| {
            p.edit("shared/money/money.go", "func whole", "//go:noinline\nfunc whole");
        }),
        row("a function that nobody calls", [Same; 3], |p| {
            p.append("shared/money/money.go", "\nfunc unreachable() {}\n");
        }),
        // The build of orders keeps what debuggers read, which names every file.
        row("a file of functions that nobody calls", [Same, Restart, Same], |p| {
            p.write("shared/money/more.go", "package money\n\nfunc alsoUnreachable() {}\n");
        }),
        row("that file deleted", [Same, Restart, Same], |p| p.remove("shared/money/more.go")),
        row("a new file", [Restart, QUIET, QUIET], |p| {
            p.write("services/users/extra.go", "package main\n\nfunc init() { println(\"extra\") }\n");
        }),
        row("a constraint that excludes it", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/extra.go", "package", "//go:build windows\n\npackage");
        }),
        row("an edit while it is excluded", [EXCLUDED, QUIET, QUIET], |p| {
            p.edit("services/users/extra.go", "\"extra\"", "\"extra 2\"");
        }),
        row("the constraint removed", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/extra.go", "//go:build windows\n\n", "");
        }),
        row("renamed to a name that excludes it", [Restart, QUIET, QUIET], |p| {
            p.rename("services/users/extra.go", "services/users/extra_windows.go");
        }),
        row("an edit under that name", [EXCLUDED, QUIET, QUIET], |p| {
            p.edit("services/users/extra_windows.go", "\"extra 2\"", "\"extra 3\"");
        }),
        row("renamed to a name that is a test", [TESTS, QUIET, QUIET], |p| {
            p.rename("services/users/extra_windows.go", "services/users/extra_test.go");
        }),
        row("renamed back", [Restart, QUIET, QUIET], |p| {
            p.rename("services/users/extra_test.go", "services/users/extra.go");
        }),
        row("deleted", [Restart, QUIET, QUIET], |p| p.remove("services/users/extra.go")),
        row("a file for another system", [EXCLUDED, QUIET, QUIET], |p| {
            p.edit("services/users/system_windows.go", "\"windows\"", "\"windows 2\"");
        }),
        row("a file for this system", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/system_unix.go", "\"unix\"", "\"unix 2\"");
        }),
        row("a file for another tag", [QUIET, EXCLUDED, QUIET], |p| {
            p.edit("services/orders/mode_prod.go", "\"prod\"", "\"prod 2\"");
        }),
        row("a file for the tag of the build", [QUIET, Restart, QUIET], |p| {
            p.edit("services/orders/mode_dev.go", "\"dev 2\"", "\"dev 3\"");
        }),
        row("assembly", [QUIET, QUIET, Restart], |p| {
            let file = assembly(ARCHITECTURE);
            let (from, to) = (
                "\tRET",
                if ARCHITECTURE == "amd64" { "\tXORQ CX, CX\n\tRET" } else { "\tMOVD R0, R2\n\tRET" },
            );
            p.edit(&file, from, to);
        }),
        row("a comment in assembly", [QUIET, QUIET, Same], |p| {
            p.edit(&assembly(ARCHITECTURE), "// func Add", "// The same as func Add");
        }),
        row("assembly for another architecture", [QUIET, QUIET, EXCLUDED], |p| {
            p.edit(&assembly(OTHER), "\tRET", "\tNOP\n\tRET");
        }),
        row("what stands in for assembly elsewhere", [QUIET, QUIET, EXCLUDED], |p| {
            p.edit("apps/internal/checksum/add_generic.go", "a + b", "b + a");
        }),
        row("a test", [TESTS, QUIET, QUIET], |p| {
            p.edit("services/users/answer_test.go", "t.Error", "t.Fatal");
        }),
        row("a test of a shared package", [TESTS; 3], |p| {
            p.edit("shared/money/money_test.go", "t.Error", "t.Fatal");
        }),
        row("a new test without a line", [QUIET, QUIET, TESTS], |p| {
            p.write("apps/internal/route/route_test.go", "");
        }),
        row("an edit that cannot be built because of it", [QUIET, QUIET, Fails], |p| {
            p.edit("apps/internal/route/route.go", "\"/v1/\"", "\"/v2/\"");
        }),
        row("the test written", [QUIET, QUIET, Restart], |p| {
            p.write("apps/internal/route/route_test.go", "package route\n");
        })
        .unknown(
            "a test is no part of a program, but one without a package clause keeps it from being built",
        ),
        row("an edit of the test", [QUIET, QUIET, TESTS], |p| {
            p.append("apps/internal/route/route_test.go", "\nfunc one() int { return 1 }\n");
        }),
        row("testdata", [QUIET; 3], |p| {
            p.write("services/users/testdata/sample.txt", "users 3\n");
            p.write("services/users/testdata/x.go", "package x\n");
        }),
        row("documentation", [QUIET; 3], |p| p.append("services/users/README.md", "More.\n")),
        row("files that the go command passes over", [QUIET; 3], |p| {
            p.write("services/users/.hidden.go", "package main\n\nnot Go\n");
            p.write("services/users/_draft.go", "package main\n\nnot Go\n");
            p.write("services/users/answer.go~", "package main\n\nnot Go\n");
            p.write("services/users/#answer.go#", "package main\n\nnot Go\n");
            p.write("services/users/_sub/x.go", "package x\n");
        }),
        row("a module within a module", [QUIET; 3], |p| {
            p.write("services/users/nested/x.go", "package nested\n");
            p.write("services/users/nested/go.mod", "module example.com/nested\n\ngo 1.21\n");
        }),
        row("a vendor directory that a workspace does not look into", [QUIET; 3], |p| {
            p.write("services/users/vendor/example.com/money/money.go", "package money\n");
        }),
        row("the same content saved", [AS_IT_WAS; 3], |p| p.edit("shared/money/money.go", "CHF", "CHF")),
        row("touched", [AS_IT_WAS; 3], |p| {
            let file = fs::File::options().append(true).open(p.path("shared/money/money.go")).unwrap();
            file.set_modified(SystemTime::now()).unwrap();
        }),
        row("made read-only", [QUIET; 3], |p| {
            fs::set_permissions(p.path("shared/money/money.go"), Permissions::from_mode(0o444)).unwrap();
            fs::set_permissions(p.path("shared/money/money.go"), Permissions::from_mode(0o644)).unwrap();
        }),
        row("a syntax error", [Fails, QUIET, QUIET], |p| {
            p.edit("services/users/answer.go", "const", "konst");
        }),
        row("mended, and as it was", [Same, QUIET, QUIET], |p| {
            p.edit("services/users/answer.go", "konst", "const");
        }),
        row("a type error in a shared package", [Fails; 3], |p| {
            p.edit("shared/money/money.go", "\"CHF\"", "7");
        }),
        row("mended otherwise", [Restart; 3], |p| p.edit("shared/money/money.go", "= 7", "= \"USD\"")),
    ]);
}
