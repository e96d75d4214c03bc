//! Rows of the table: edits of what is embedded and of what is generated.

use std::fs;

use super::course::Then::{Fails, Restart, Same};
use super::{QUIET, row, run};

#[test]
fn embedded_and_generated() {
    run(&[
        row("a file of an embedded directory", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/web/index.html", "<p>more</p>\n");
        }),
        row("a file below it", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/web/css/site.css", "p { color: red }\n");
        }),
        row("a new file in it", [Restart, QUIET, QUIET], |p| p.write("services/users/web/new.html", "new\n")),
        row("a new file in a new directory in it", [Restart, QUIET, QUIET], |p| {
            p.write("services/users/web/js/deep/site.js", "site()\n");
        }),
        row("an edit of that", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/web/js/deep/site.js", "more()\n");
        }),
        row("removed from it", [Restart, QUIET, QUIET], |p| p.remove("services/users/web/new.html")),
        row("a directory removed from it", [Restart, QUIET, QUIET], |p| {
            fs::remove_dir_all(p.path("services/users/web/js")).unwrap();
        }),
        row("what embedding leaves out", [QUIET; 3], |p| {
            p.append("services/users/web/.hidden", "more\n");
            p.append("services/users/web/_draft.html", "more\n");
        }),
        row("a file that an embedding pattern matches", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/internal/store/queries/one.sql", "SELECT 11;\n");
        }),
        row("another one added", [Restart, QUIET, QUIET], |p| {
            p.write("services/users/internal/store/queries/two.sql", "SELECT 2;\n");
        }),
        row("and removed", [Restart, QUIET, QUIET], |p| {
            p.remove("services/users/internal/store/queries/two.sql");
        }),
        row("a file that it does not match", [QUIET; 3], |p| {
            p.append("services/users/internal/store/queries/notes.txt", "more\n");
        }),
        row("an embedded file", [Restart, QUIET, QUIET], |p| {
            p.append("services/users/banner.txt", "to all\n");
        }),
        row("a file beside it", [QUIET; 3], |p| p.append("services/users/other.txt", "more\n")),
        row("another file embedded instead", [Restart, QUIET, QUIET], |p| {
            p.edit("services/users/main.go", "//go:embed banner.txt", "//go:embed other.txt");
        }),
        row("an edit of that", [Restart, QUIET, QUIET], |p| p.append("services/users/other.txt", "more\n")),
        row("an edit of what was embedded before", [QUIET; 3], |p| {
            p.append("services/users/banner.txt", "more\n");
        }),
        row("an embedded file removed", [Fails, QUIET, QUIET], |p| p.remove("services/users/other.txt")),
        row("there again", [Restart, QUIET, QUIET], |p| p.write("services/users/other.txt", "again\n")),
        row("what a generator reads", [QUIET, Restart, QUIET], |p| {
            p.write("services/orders/schema/fields.txt", "id,total,date\n");
        })
        .generates(1)
        .unknown("it does not know the generator; what that wrote is a change to it too"),
        row("a comment in the generator", [QUIET, Same, QUIET], |p| {
            p.append("services/orders/generate.sh", "# More.\n");
        })
        .generates(1)
        .unknown("it does not know the generator"),
        row("what a generator wrote, edited by hand", [QUIET, Restart, QUIET], |p| {
            p.edit("services/orders/fields_gen.go", "date", "date,hand");
        }),
        row("a generator that fails", [QUIET, Fails, QUIET], |p| {
            p.write("services/orders/schema/fields.txt", "broken\n");
        })
        .generates(1)
        .unknown("it does not know the generator"),
        row("its input mended", [QUIET, Restart, QUIET], |p| {
            p.write("services/orders/schema/fields.txt", "id\n");
        })
        .generates(1),
        row("a new input", [QUIET, Same, QUIET], |p| p.write("services/orders/schema/more.txt", "more\n"))
            .generates(1)
            .unknown("it does not know the generator"),
        row("a file beside the inputs", [QUIET; 3], |p| {
            p.write("services/orders/schema/README.md", "more\n");
        }),
    ]);
}
