//! What somebody keeps while the program runs: closures, values and addresses of functions, values of types that have no
//! name outside of a function, and frames of functions that never end.

use super::Edit;
use super::Expected::{Patched, Restarted};

const fn kept(
    path: &'static str,
    expected: super::Expected,
    change: &'static [(&'static str, &'static str)],
) -> Edit {
    Edit { file: "kept.go", change, path, expected, also: None }
}

/// Edits of it.
pub const KEPT: &[Edit] = &[
    // There and back again to the text that the process was started with.
    kept(
        "/met",
        Patched,
        &[
            ("func nothing()", "var first = map[string]int{\"first\": 1}\n\nfunc nothing()"),
            ("fmt.Fprint(w, introduced(asked))", "fmt.Fprint(w, len(first), introduced(asked))"),
        ],
    ),
    kept(
        "/met",
        Restarted("`init` has run already"),
        &[
            ("var first = map[string]int{\"first\": 1}\n\nfunc nothing()", "func nothing()"),
            ("fmt.Fprint(w, len(first), introduced(asked))", "fmt.Fprint(w, introduced(asked))"),
        ],
    ),
    // Values of functions that are called as the compiler calls its own, and where they lead.
    kept("/worded", Patched, &[("\"wrapped\"", "\"wrapped again\"")]),
    kept("/worded", Patched, &[("\"deferred\"", "\"deferred again\"")]),
    kept(
        "/marked",
        Patched,
        &[("\"known as \"", "\"still known as \""), ("\"nothing\" }", "\"no thing\" }")],
    ),
    // What is in frames that are still there.
    kept("/hello", Patched, &[("turns += len(text)", "text[0] = 'C'\n\tturns += len(text)")]),
    kept(
        "/keeping",
        Patched,
        &[(
            "twice(func() { one.n++ })",
            "twice(func() {\n\t\t\tcells.Lock()\n\t\t\tdefer cells.Unlock()\n\t\t\tif one.n++; one.n == 1 && len(kept) < 9 {\n\t\t\t\tkept = append(kept, &one)\n\t\t\t}\n\t\t})",
        )],
    ),
    Edit {
        file: "parsed.go",
        change: &[(
            "func reduce(c *cell) { c.n++ }",
            "func reduce(c *cell) {\n\tcells.Lock()\n\tdefer cells.Unlock()\n\tif len(kept) < 18 {\n\t\tkept = append(kept, c)\n\t}\n}",
        )],
        path: "/keeping",
        expected: Patched,
        also: None,
    },
    kept(
        "/hello",
        Restarted("`main.turning` has a loop that begins with its first bytes"),
        &[("return 100", "return 101")],
    ),
    // A table that no function of the process asks for, while it has made its own.
    kept(
        "/met",
        Restarted("`main.person` becomes `main.namer`"),
        &[("return n.name() }", "return fmt.Sprint(n.name(), isPerson(n)) }")],
    ),
    // Closures: one that goes and one that comes, one inside of another; twins; all of a function; a function of another name.
    kept(
        "/closures",
        Restarted("closures in `pair` came, went or moved"),
        &[
            ("one = func() string { return \"one\" }\n\tother = ", "one = "),
            (
                "return \"other\" }) }\n",
                "return \"other\" }) }\n\tother = func() string { return \"third\" }\n",
            ),
        ],
    ),
    kept(
        "/closures",
        Restarted("closures in `plain` came, went or moved"),
        &[(
            "return func() string { return \"plain \" + text }",
            "words[\"twin\"] = func() string { return \"plain \" + text }\n\treturn func() string { return \"plain \" + text }",
        )],
    ),
    kept(
        "/closures",
        Restarted("closures in `plain` came, went or moved"),
        &[
            ("func plain(text", "func plainly(text"),
            ("plain(\"text\")", "plainly(\"text\")"),
            ("return func() string { return \"plain \"", "return func() string { return \"plainly \""),
        ],
    ),
    kept(
        "/closures",
        Restarted("closures in `plainly` came, went or moved"),
        &[
            ("\twords[\"twin\"] = func() string { return \"plain \" + text }\n", ""),
            ("return func() string { return \"plainly \" + text }", "return nothing"),
        ],
    ),
    // A function that takes something else while its value is kept, and one that becomes a variable.
    kept(
        "/worded",
        Restarted("`signed` is gone"),
        &[
            (
                "func signed(n int) string { return fmt.Sprint(",
                "func signed(n int, by string) string { return fmt.Sprint(by, ",
            ),
            ("signed(1))", "signed(1, \"un\"))"),
        ],
    ),
    kept(
        "/entered",
        Restarted("`soon` was removed before and is there again"),
        &[
            ("func soon() string { return \"soon\" }", "var soon = \"soon\""),
            ("fmt.Fprint(w, soon(),", "fmt.Fprint(w, soon,"),
        ],
    ),
    // Types: one inside of a function that another comes before, and one that goes by another name.
    kept(
        "/entered",
        Restarted("type `main.entry·1` is gone"),
        &[
            (
                "var soon = \"soon\"",
                "func before() string {\n\ttype row struct{ text string }\n\treturn fmt.Sprint(row{\"before\"})\n}\n\nvar soon = \"soon\"",
            ),
            ("fmt.Fprint(w, soon,", "fmt.Fprint(w, before(), soon,"),
        ],
    ),
    kept(
        "/visited",
        Restarted("type `main.visit` is gone"),
        &[("type visit struct", "type call struct"), (".(visit)", ".(call)"), ("= visit{", "= call{")],
    ),
];
