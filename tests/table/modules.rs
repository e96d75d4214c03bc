//! Rows of the table: edits of imports, and of what decides which modules there are.

use std::process::Command;

use super::course::Then::{Fails, Restart, Same};
use super::{BYTES, COMMENTS, QUIET, row, run};
use crate::support::copy;

#[test]
fn imports_and_modules() {
    let mut rows = vec![
        row("a package imported that was there", [QUIET, Restart, QUIET], |p| {
            p.edit("services/orders/main.go", "import (", "import (\n\t\"example.com/text/only\"");
            p.edit("services/orders/main.go", "mode +", "mode + only.Word() +");
        }),
        row("an edit of it", [Restart, Restart, QUIET], |p| {
            p.edit("shared/text/only/only.go", "\"only\"", "\"only 2\"");
        }),
        row("imported no more", [QUIET, Restart, QUIET], |p| {
            p.edit("services/orders/main.go", "\n\t\"example.com/text/only\"", "");
            p.edit("services/orders/main.go", " only.Word() +", "");
        }),
        row("an edit after that", [Restart, QUIET, QUIET], |p| {
            p.edit("shared/text/only/only.go", "\"only 2\"", "\"only 3\"");
        }),
        row("a package written that nobody imports", [QUIET; 3], |p| {
            p.write("services/orders/internal/later/later.go", "package later\n\nconst Word = \"later\"\n");
        }),
        row("imported", [QUIET, Restart, QUIET], |p| {
            p.edit(
                "services/orders/main.go",
                "import (",
                "import (\n\t\"example.com/orders/internal/later\"",
            );
            p.edit("services/orders/main.go", "mode +", "mode + later.Word +");
        }),
        row("a package imported that is missing", [Fails, QUIET, QUIET], |p| {
            p.edit(
                "services/users/main.go",
                "\t\"example.com/text\"\n",
                "\t\"example.com/text\"\n\t_ \"example.com/text/missing\"\n",
            );
        }),
        row("written", [Restart, QUIET, QUIET], |p| {
            p.write("shared/text/missing/missing.go", "package missing\n\nfunc init() { println(1) }\n");
        }),
        row("an edit of it", [Restart, QUIET, QUIET], |p| {
            p.edit("shared/text/missing/missing.go", "println(1)", "println(2)");
        }),
        row("the directory of a package renamed", [Restart, QUIET, QUIET], |p| {
            p.rename("services/users/internal/store", "services/users/internal/storage");
            p.edit("services/users/main.go", "internal/store\"", "internal/storage\"");
        }),
        row("an edit in it", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/internal/storage/store.go", "all := \"\"", "all := \"queries: \"");
        }),
        row("an edit of what it embeds", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/internal/storage/queries/one.sql", "SELECT 11;\n");
        }),
        row("a package where it was", [QUIET; 3], |p| {
            p.write("services/users/internal/store/store.go", "package store\n");
        }),
        row("a comment in a service's go.mod, which is one of the workspace", [Same; 3], |p| {
            p.append("services/users/go.mod", "// More.\n");
        }),
        row("a comment in a shared go.mod", [Same; 3], |p| p.append("shared/money/go.mod", "// More.\n")),
        row("a comment in go.work", [Same; 3], |p| p.append("go.work", "// More.\n")),
        row("a go.sum", [Same; 3], |p| p.write("services/users/go.sum", "")),
        row("a go.work.sum", [Same; 3], |p| p.write("go.work.sum", "")),
        row("a copy of a shared module elsewhere", [QUIET; 3], |p| {
            copy(&p.path("shared/money"), &p.path("copies/money"));
            p.edit("copies/money/money.go", "EUR", "USD");
        }),
        row("replaced by it in go.work", [Restart; 3], |p| {
            p.append("go.work", "replace example.com/money => ./copies/money\n");
        }),
        row("an edit of the copy", [Restart; 3], |p| p.edit("copies/money/money.go", "USD", "GBP")),
        row("an edit of the original", [QUIET; 3], |p| p.edit("shared/money/money.go", "EUR", "SEK")),
        row("replaced no more", [Restart; 3], |p| {
            p.edit("go.work", "replace example.com/money => ./copies/money\n", "");
        }),
        row("replaced by it in every go.mod", [Restart; 3], |p| {
            for module in ["apps", "services/orders", "services/users"] {
                p.edit(&format!("{module}/go.mod"), "shared/money", "copies/money");
            }
        }),
        row("an edit of the copy once more", [Restart; 3], |p| p.edit("copies/money/money.go", "GBP", "NOK")),
        row("a module more in go.work", [Same; 3], |p| {
            p.write("tool/go.mod", "module example.com/tool\n\ngo 1.21\n");
            p.write("tool/main.go", "package main\n\nfunc main() {}\n");
            p.edit("go.work", "use (", "use (\n\t./tool");
        }),
        row("an edit of that module", [QUIET; 3], |p| {
            p.write("tool/main.go", "package main\n\nfunc main() { println(1) }\n");
        }),
        row("a service's module gone from go.work", [Same, Same, Fails], |p| {
            p.edit("go.work", "\t./apps\n", "");
        }),
        row("an edit of it then", [QUIET; 3], |p| {
            p.edit("apps/internal/route/route.go", "\"/\"", "\"/v1/\"");
        }),
        row("there again", [Same, Same, Restart], |p| p.edit("go.work", "use (", "use (\n\t./apps")),
        row("an edit of it once more", [QUIET, QUIET, Restart], |p| {
            p.edit("apps/internal/route/route.go", "\"/v1/\"", "\"/v2/\"");
        }),
        row("a go.mod of the workspace that is broken", [Fails; 3], |p| {
            p.append("services/users/go.mod", "not a directive\n");
        }),
        row("mended", [Same; 3], |p| p.edit("services/users/go.mod", "not a directive\n", "")),
    ];
    if Command::new("cc").arg("--version").output().is_ok() {
        rows.extend([
            row("cgo", [QUIET, QUIET, Restart], |p| {
                let preamble = "// static int one(void) { return 1; }\nimport \"C\"\n";
                let rest = "var one = int(C.one())\n\nfunc init() { println(one) }\n";
                p.write("apps/internal/route/one.go", &format!("package route\n\n{preamble}\n{rest}"));
            }),
            row("its preamble", [QUIET, QUIET, Restart], |p| {
                p.edit("apps/internal/route/one.go", "return 1", "return 2");
            }),
            row("a comment that is no preamble", [QUIET, QUIET, COMMENTS], |p| {
                p.edit("apps/internal/route/one.go", "var", "// More.\nvar");
            })
            .unknown(BYTES),
            row("cgo no more", [QUIET, QUIET, Restart], |p| p.remove("apps/internal/route/one.go")),
        ]);
    } else {
        eprintln!("NOT CHECKED: the preambles of cgo; there is no C compiler");
    }
    run(&rows);
}
