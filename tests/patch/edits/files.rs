//! Files that come and go, and files that are embedded.

use super::Expected::{Nothing, Patched, Restarted};
use super::{Edit, Expected, main};

const fn new(file: &'static str, expected: Expected, text: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { file, change: text, path: "/hello", expected, also: None }
}

/// Files that come and go, and files that are embedded.
pub const FILES: &[Edit] = &[
    // What the linker is told, and what a constraint leaves out from now on.
    main(
        "/crash",
        Restarted("`main.go` changed"),
        &[("package main\n", "//go:debug panicnil=1\npackage main\n")],
    ),
    new("late.go", Restarted("has run already"), &[("", "package main\n\nfunc init() { limit = 9 }\n")]),
    Edit {
        file: "late.go",
        change: &[("package main", "//go:build !linux\n\npackage main")],
        path: "/numbers",
        expected: Restarted("has run already"),
        also: None,
    },
    main(
        "/paged",
        Patched,
        &[("fmt.Fprint(w, motto, string(page), err)", "fmt.Fprint(w, motto, len(page), err)")],
    ),
    // A file of functions that nobody calls yet, and their first call.
    new("extra.go", Nothing, &[("", "package main\n\nfunc extra() string { return \"extra\" }\n")]),
    main("/hello", Patched, &[("\"hello %s %s\", label(3)", "\"hello %s %s\", extra()")]),
    Edit {
        file: "extra.go",
        change: &[("\"extra\"", "\"more\"")],
        path: "/hello",
        expected: Patched,
        also: None,
    },
    // Files that are for other systems, by their constraint and by their name.
    new(
        "extra_other.go",
        Nothing,
        &[("", "//go:build !linux\n\npackage main\n\nfunc extra() string { return \"elsewhere\" }\n")],
    ),
    new(
        "extra_windows.go",
        Nothing,
        &[("", "package main\n\nfunc extra() string { return \"elsewhere\" }\n")],
    ),
    // What is in a file that goes is called no longer.
    main("/hello", Patched, &[("\"hello %s %s\", extra()", "\"hello %s %s\", label(2)")]),
    Edit {
        file: "extra.go",
        change: &[("package main\n\nfunc extra() string { return \"more\" }\n", "")],
        path: "/hello",
        expected: Nothing,
        also: None,
    },
    // What is embedded is what a variable begins with.
    Edit {
        file: "pages/motto.txt",
        change: &[("first come", "first served")],
        path: "/paged",
        expected: Restarted("variable `motto` begins with another value"),
        also: None,
    },
    new("pages/two.html", Restarted("variable `pages` begins with another value"), &[("", "<p>two</p>\n")]),
    main("/paged", Patched, &[("ReadFile(\"pages/one.html\")", "ReadFile(\"pages/two.html\")")]),
    main(
        "/paged",
        Patched,
        &[
            ("fmt.Fprint(w, motto, len(page)", "fmt.Fprint(w, motto, second, len(page)"),
            ("//go:embed pages\n", "//go:embed pages/two.html\nvar second string\n\n//go:embed pages\n"),
        ],
    ),
    // A package in another language than Go.
    new("price/note.s", Restarted("`note.s` changed"), &[("", "// Nothing.\n")]),
    // A workspace that the module becomes part of.
    Edit {
        file: "main.go",
        change: &[("hello %s %s", "hello in a workspace %s %s")],
        path: "/hello",
        expected: Restarted("`go.work` changed"),
        also: Some(("go.work", &[("", "go 1.22\n\nuse .\n")])),
    },
];
