use super::*;
use std::fs;
use std::process::Command;

/// What Go 1.26 and GCC 12 wrote, shortened and moved to `/m/svc`, and how it reads: diagnostics as
/// `path:line:column message`, then the rest behind `-`; continuation lines behind `>`. Then the summary for
/// somebody in `/m`.
const RECORDED: &[(&str, &[&str], &str)] = &[
    (
        "# ex.com/svc\n./main.go:6:1: syntax error: non-declaration statement outside function body\n",
        &["/m/svc/main.go:6:1 syntax error: non-declaration statement outside function body"],
        "syntax error: non-declaration statement outside function body (svc/main.go:6:1)",
    ),
    (
        "# ex.com/shared\n../shared/s.go:3:23: undefined: a\n# ex.com/svc/inner\ninner/s.go:3:23: undefined: b\n",
        &["/m/shared/s.go:3:23 undefined: a", "/m/svc/inner/s.go:3:23 undefined: b"],
        "2 errors in shared/s.go and svc/inner/s.go",
    ),
    (
        "# ex.com/svc\n./main.go:13:6: dup redeclared in this block\n\t./main.go:12:6: other declaration of dup\n\
         ./main.go:17:4: not enough arguments in call to f\n\thave (number)\n\twant (int, string)\n\
         ./main.go:18:12: cannot use T{} (value of struct type T) as I value in variable declaration: T does not \
         implement I (wrong type for method M)\n\t\thave M(string)\n\t\twant M(int)\n",
        &[
            "/m/svc/main.go:13:6 dup redeclared in this block",
            "> ./main.go:12:6: other declaration of dup",
            "/m/svc/main.go:17:4 not enough arguments in call to f",
            "> have (number)",
            "> want (int, string)",
            "/m/svc/main.go:18:12 cannot use T{} (value of struct type T) as I value in variable declaration: T \
             does not implement I (wrong type for method M)",
            "> have M(string)",
            "> want M(int)",
        ],
        "3 errors in svc/main.go",
    ),
    (
        "# ex.com/svc\n./x.go:2:6: invalid recursive type A\n\t./x.go:2:6: A refers to B\n\t./x.go:3:6: B refers to A\n",
        &[
            "/m/svc/x.go:2:6 invalid recursive type A",
            "> ./x.go:2:6: A refers to B",
            "> ./x.go:3:6: B refers to A",
        ],
        "invalid recursive type A (svc/x.go:2:6)",
    ),
    (
        "# ex.com/svc\n./main.go:3:2: undefined: u1\n./main.go:12:2: undefined: u10\n./main.go:12:2: too many errors\n",
        &["/m/svc/main.go:3:2 undefined: u1", "/m/svc/main.go:12:2 undefined: u10", "- too many errors"],
        "2 or more errors in svc/main.go",
    ),
    // The loader, which names no package.
    (
        "main.go:4:2: package foo/bar is not in std (/usr/local/go/src/foo/bar)\n",
        &["/m/svc/main.go:4:2 package foo/bar is not in std (/usr/local/go/src/foo/bar)"],
        "package foo/bar is not in std (/usr/local/go/src/foo/bar) (svc/main.go:4:2)",
    ),
    (
        "main.go:5:2: no required module provides package github.com/none/such; to add it:\n\tgo get github.com/none/such\n",
        &[
            "/m/svc/main.go:5:2 no required module provides package github.com/none/such; to add it:",
            "> go get github.com/none/such",
        ],
        "no required module provides package github.com/none/such; to add it: go get github.com/none/such \
         (svc/main.go:5:2)",
    ),
    (
        "main.go:2:8: ex.com/y@v0.0.0: replacement directory ../nothere does not exist\n",
        &["/m/svc/main.go:2:8 ex.com/y@v0.0.0: replacement directory ../nothere does not exist"],
        "ex.com/y@v0.0.0: replacement directory ../nothere does not exist (svc/main.go:2:8)",
    ),
    (
        "main.go:5:12: pattern none.txt: no matching files found\n",
        &["/m/svc/main.go:5:12 pattern none.txt: no matching files found"],
        "pattern none.txt: no matching files found (svc/main.go:5:12)",
    ),
    (
        "package ex.com/svc\n\timports ex.com/svc/a from main.go\n\timports ex.com/svc/b from a.go\n\
         \timports ex.com/svc/a from b.go: import cycle not allowed\n",
        &[
            "- package ex.com/svc",
            "> imports ex.com/svc/a from main.go",
            "> imports ex.com/svc/b from a.go",
            "> imports ex.com/svc/a from b.go: import cycle not allowed",
        ],
        "imports ex.com/svc/a from b.go: import cycle not allowed",
    ),
    (
        "go: errors parsing ../go.mod:\n../go.mod:5: usage: require module/path v1.2.3\n../go.mod:6: unknown directive: blah\n",
        &["/m/go.mod:5 usage: require module/path v1.2.3", "/m/go.mod:6 unknown directive: blah"],
        "2 errors in go.mod",
    ),
    (
        "go: downloading ex.com/z v1.0.0\ngo: updates to go.mod needed; to update it:\n\tgo mod tidy\n",
        &["- go: updates to go.mod needed; to update it:", "> go mod tidy"],
        "go: updates to go.mod needed; to update it: go mod tidy",
    ),
    (
        "go: inconsistent vendoring in /m/svc:\n\tex.com/e@v0.9.1: is explicitly required in go.mod, but not marked \
         as explicit in vendor/modules.txt\n\n\tTo sync the vendor directory, run:\n\t\tgo mod vendor\n",
        &[
            "- go: inconsistent vendoring in /m/svc:",
            "> ex.com/e@v0.9.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt",
            "> To sync the vendor directory, run:",
            "> go mod vendor",
        ],
        "go: inconsistent vendoring in /m/svc: ex.com/e@v0.9.1: is explicitly required in go.mod, but not marked \
         as explicit in vendor/modules.txt",
    ),
    (
        "/m/svc/x.go:6:2: invalid import path: C:/x\n",
        &["/m/svc/x.go:6:2 invalid import path: C:/x"],
        "invalid import path: C:/x (svc/x.go:6:2)",
    ),
    (
        "found packages a (a.go) and b (b.go) in /m/svc\n",
        &["- found packages a (a.go) and b (b.go) in /m/svc"],
        "found packages a (a.go) and b (b.go) in /m/svc",
    ),
    // vet.
    (
        "# ex.com/svc\n# [ex.com/svc]\nvet: ./main.go:13:6: dup redeclared in this block\n",
        &["/m/svc/main.go:13:6 dup redeclared in this block"],
        "dup redeclared in this block (svc/main.go:13:6)",
    ),
    // The assembler.
    (
        "# ex.com/svc\n./x_amd64.s:2: unrecognized instruction \"BADOP\"\nasm: assembly of ./x_amd64.s failed\n",
        &["/m/svc/x_amd64.s:2 unrecognized instruction \"BADOP\""],
        "unrecognized instruction \"BADOP\" (svc/x_amd64.s:2)",
    ),
    (
        "# ex.com/svc\nasm: main.f: invalid instruction: 00000 (/m/svc/x_amd64.s:2)\tMOVQ\tAX, BX, CX\nasm: assembly failed\n",
        &["- asm: main.f: invalid instruction: 00000 (/m/svc/x_amd64.s:2)\tMOVQ\tAX, BX, CX"],
        "asm: main.f: invalid instruction: 00000 (/m/svc/x_amd64.s:2)\tMOVQ\tAX, BX, CX",
    ),
    // cgo.
    (
        "# ex.com/svc\n./main.go:3:11: fatal error: foo.h: No such file or directory\n    3 | // #include \"foo.h\"\n\
        \x20     |           ^~~~~~~\ncompilation terminated.\n",
        &["/m/svc/main.go:3:11 fatal error: foo.h: No such file or directory"],
        "fatal error: foo.h: No such file or directory (svc/main.go:3:11)",
    ),
    (
        "# ex.com/svc\nIn file included from y.c:1:\nh.h: In function ‘hh’:\n\
         h.h:1:30: error: ‘hbad’ undeclared (first use in this function)\n    1 | static int hh(void) { return hbad; }\n\
        \x20     |                              ^~~~\n\
         h.h:1:30: note: each undeclared identifier is reported only once for each function it appears in\n\
         y.c:2:22: warning: implicit declaration of function ‘nope’ [-Wimplicit-function-declaration]\n\
         y.c:5:11: error: expected ‘;’ before ‘}’ token\n    5 |   return 1\n      |           ^\n      |           ;\n\
        \x20   6 | }\n      | ~          \n",
        &[
            "/m/svc/h.h:1:30 error: ‘hbad’ undeclared (first use in this function)",
            "> h.h:1:30: note: each undeclared identifier is reported only once for each function it appears in",
            "/m/svc/y.c:5:11 error: expected ‘;’ before ‘}’ token",
        ],
        "2 errors in svc/h.h and svc/y.c",
    ),
    (
        "# ex.com/svc\n./main.go: In function ‘g’:\n./main.go:3:34: warning: unused variable ‘u’ [-Wunused-variable]\n\
         # ex.com/svc\n./main.go:6:23: undefined: undefined\n",
        &["/m/svc/main.go:6:23 undefined: undefined"],
        "undefined: undefined (svc/main.go:6:23)",
    ),
    (
        "# ex.com/svc\n./main.go:3:34: warning: unused variable ‘u’ [-Wunused-variable]\n",
        &["/m/svc/main.go:3:34 warning: unused variable ‘u’ [-Wunused-variable]"],
        "warning: unused variable ‘u’ [-Wunused-variable] (svc/main.go:3:34)",
    ),
    (
        "/m/svc/main.go: invalid #cgo line: #cgo BAD\n",
        &["- /m/svc/main.go: invalid #cgo line: #cgo BAD"],
        "/m/svc/main.go: invalid #cgo line: #cgo BAD",
    ),
    (
        "# ex.com/svc\n# [pkg-config --cflags  -- nosuch]\nPackage nosuch was not found in the pkg-config search path.\n",
        &["- Package nosuch was not found in the pkg-config search path."],
        "Package nosuch was not found in the pkg-config search path.",
    ),
    // The linkers.
    (
        "# ex.com/svc\nmain.main: relocation target ex.com/none.f not defined\n",
        &["- main.main: relocation target ex.com/none.f not defined"],
        "main.main: relocation target ex.com/none.f not defined",
    ),
    (
        "# ex.com/svc\n/go/pkg/tool/linux_amd64/link: running gcc failed: exit status 1\n\
         /usr/bin/gcc -m64 -o $WORK/b001/exe/a.out /tmp/go-link-1/go.o -no-pie\n\
         /usr/bin/ld: /tmp/go-link-1/000001.o: in function `_cgo_eb4d51f7930c_Cfunc_f':\n\
         /tmp/go-build/main.cgo2.c:54: undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n\n",
        &[
            "- /go/pkg/tool/linux_amd64/link: running gcc failed: exit status 1",
            "- /usr/bin/ld: /tmp/go-link-1/000001.o: in function `_cgo_eb4d51f7930c_Cfunc_f':",
            "- /tmp/go-build/main.cgo2.c:54: undefined reference to `f'",
            "- collect2: error: ld returned 1 exit status",
        ],
        "/tmp/go-build/main.cgo2.c:54: undefined reference to `f'",
    ),
    // Not recorded: generators, odd paths, what looks like a place but is none, what comes twice.
    (
        "views/a.templ:3:4: In div:\n../a b/x:5:y.go:7: here\n/root/go/pkg/mod/ex.com/a@v1.0.0/a.go:1:1: there\n",
        &[
            "/m/svc/views/a.templ:3:4 In div:",
            "/m/a b/x:5:y.go:7 here",
            "/root/go/pkg/mod/ex.com/a@v1.0.0/a.go:1:1 there",
        ],
        "3 errors in svc/views/a.templ, a b/x:5:y.go and 1 more",
    ),
    (
        "dial tcp 10.0.0.1:80: refused\n2026/01/02 10:11:12 bad\nat a.example:80: no\n$WORK/b001/x.go:1:1: x\nx.go:1:2\n",
        &[
            "- dial tcp 10.0.0.1:80: refused",
            "- 2026/01/02 10:11:12 bad",
            "- at a.example:80: no",
            "- $WORK/b001/x.go:1:1: x",
            "- x.go:1:2",
        ],
        "dial tcp 10.0.0.1:80: refused",
    ),
    (
        "  indented\nx.go:1: y\n# p\nx.go:1: y\nz\nz\n",
        &["/m/svc/x.go:1 y", "- indented", "- z"],
        "y (svc/x.go:1)",
    ),
    ("", &[], "the build failed and said nothing"),
];

fn shown(parsed: &Parsed) -> Vec<String> {
    let located = parsed.diagnostics.iter().map(|Diagnostic { path, line, column, message }| {
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        format!("{}:{line}{column} {message}", path.display())
    });
    let rest = parsed.rest.iter().map(|text| format!("- {text}"));
    let all: Vec<String> = located.chain(rest).map(|text| text.replace('\n', "\n> ")).collect();
    all.iter().flat_map(|text| text.split('\n')).map(str::to_owned).collect()
}

#[test]
fn what_go_and_gcc_write() {
    for (output, expected, expected_summary) in RECORDED {
        let parsed = parse(output, Path::new("/m/svc"));
        assert_eq!(shown(&parsed), *expected, "{output}");
        assert_eq!(summary(&parsed, Path::new("/m")), *expected_summary, "{output}");
    }
}

#[test]
fn what_the_go_command_here_writes() {
    let modules: &[(&[(&str, &str)], &str)] = &[
        (&[("main.go", "package main\n\nfunc main() { x() }\n")], "undefined: x (main.go:3:15)"),
        (
            &[("main.go", "package main\n\nfunc main() {}\n}\n")],
            "syntax error: non-declaration statement outside function body (main.go:4:1)",
        ),
        (
            &[
                ("main.go", "package main\n\nimport _ \"example.com/m/a\"\n\nfunc main() {}\n"),
                ("a/a.go", "package a\n\nfunc f() { g(1) }\nfunc g() {}\nfunc g() {}\n"),
            ],
            "2 errors in a/a.go",
        ),
        (
            &[("main.go", "package main\n\nimport _ \"example.com/m/a\"\n\nfunc main() {}\n")],
            "no required module provides package example.com/m/a; to add it: go get example.com/m/a (main.go:3:8)",
        ),
        (
            &[("main.go", "package main\n\nfunc main() {}\n"), ("go.mod", "blah\n")],
            "unknown directive: blah (go.mod:1)",
        ),
        (
            &[
                ("main.go", "package main\n\nimport _ \"example.com/m/a\"\n\nfunc main() {}\n"),
                ("a/a.go", "package a\n\nimport _ \"example.com/m/b\"\n"),
                ("b/b.go", "package b\n\nimport _ \"example.com/m/a\"\n"),
            ],
            "imports example.com/m/a from b.go: import cycle not allowed",
        ),
    ];
    for (files, expected) in modules {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::write(dir.join("go.mod"), "module example.com/m\n\ngo 1.21\n").unwrap();
        for (name, text) in *files {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), text).unwrap();
        }
        let output = Command::new("go").args(["build", "-o", "out", "."]).current_dir(&dir).output().unwrap();
        let output = String::from_utf8(output.stderr).unwrap();
        assert_eq!(summary(&parse(&output, &dir), &dir), *expected, "{output}");
    }
}
