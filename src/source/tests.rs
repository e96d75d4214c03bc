use super::*;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

fn code(text: &str) -> u64 {
    scan(text.as_bytes()).unwrap_or_else(|| panic!("not read: {text}")).code
}

fn head(text: &str) -> Head {
    scan(text.as_bytes()).unwrap().head
}

/// A function body, as a file.
fn body(text: &str) -> String {
    format!("package p\nfunc f() {text}\n")
}

#[test]
fn comments_and_formatting_do_not_count() {
    let same = [
        ("package p; import \"x\"", "\u{feff}// c\n\npackage p // d\r\n\r\n\timport /* e */ \"x\""),
        ("package p\nvar a = `x\ny`\n", "package p\r\nvar a = `x\r\ny`\r\n"),
        ("package p\nfunc f() { return }", "package p\nfunc f() {\n\treturn\n}\n"),
        ("package p\nvar (a int; b int)", "package p\nvar (\n\ta int\n\tb int\n)"),
        ("package p\nimport (\"x\")", "package p\nimport (\n\t\"x\"\n)"),
        ("package p\ntype t struct { a, b int }", "package p\ntype t struct {\n\ta, b int // c\n}"),
        ("package p\ntype t interface { m() }", "package p\ntype t interface {\n\tm()\n}"),
        ("package p\n// a\nfunc f()", "package p\n// b\n// nolint: no directive\n\n//nolint:all\nfunc f()"),
        ("package p\n//a:b\nfunc f()", "package p\n\n  //a:b \n// doc\nfunc f()"),
    ];
    let bodies = [
        ("{ g() }", "{\n\tg()\n}"),
        ("{ a, b = b, a }", "{\n\ta, b = b, a;\n}"),
        ("{ x++ }", "{\n\tx++ /* more */\n}"),
        ("{ switch x { case a: g(); default: h() } }", "{\nswitch x {\ncase a:\ng()\ndefault:\nh()\n}\n}"),
        ("{ x = 1+2*a[0xe+1] }", "{ x = 1 + 2 * a[0xe + 1] }"),
        ("{ a /* \n */ b() }", "{ a; b() }"),
        ("{ <-c }", "{\n\t<-c\n}"),
    ];
    for (one, other) in same {
        assert_eq!(code(one), code(other), "{one}\n---\n{other}");
    }
    for (one, other) in bodies {
        assert_eq!(code(&body(one)), code(&body(other)), "{one}\n---\n{other}");
    }
}

#[test]
fn everything_else_counts() {
    let differ = [
        ("package p\nvar a = \"x\"", "package p\nvar a = `x`"),
        ("package p\nvar a = 1.5", "package p\nvar a = 1 .5"),
        ("package p\nvar a = `x\ny`", "package p\nvar a = `x\n y`"),
        ("package p\n//go:noinline\nfunc f()", "package p\nfunc f()"),
        ("package p\n//go:noinline\nfunc f()\nfunc g()", "package p\nfunc f()\n//go:noinline\nfunc g()"),
        ("package p\nfunc f() {\n//go:x\n}", "package p\nfunc f() { //go:x\n}"),
        ("package p\n//line a.go:1\nfunc f()", "package p\n //line a.go:1\nfunc f()"),
        ("package p\nfunc f() /*line a.go:1*/", "package p\nfunc f() /*line a.go:2*/"),
        ("package p\n//export f\nfunc f()", "package p\n//export f\n\nfunc f()"),
        ("//go:build a\n\npackage p", "//go:build b\n\npackage p"),
        ("// +build a\n\npackage p", "// +build a\npackage p"),
        ("package p\n// #define X 1\nimport \"C\"", "package p\n// #define X 2\nimport \"C\""),
        ("package p\n/* x */\nimport \"C\"", "package p\n/* x */\n\nimport \"C\""),
        ("package p\nimport (\n// x\n\"C\"\n)", "package p\nimport (\n// y\n\"C\"\n)"),
        ("package p\n// x\nimport (\n\"C\"\n)", "package p\n// y\nimport (\n\"C\"\n)"),
    ];
    let bodies = [
        ("{ x = a\n+b }", "{ x = a +\nb }"),
        ("{ return\nx }", "{ return x }"),
        ("{ x = a+ +b }", "{ x = a++b }"),
        ("{ x = a<-b }", "{ x = a < -b }"),
        ("{ x = a &^ b }", "{ x = a & ^b }"),
        // A missing comma is an error that the user is to be told.
        ("{ x = g(a) }", "{ x = g(a\n) }"),
        ("{ x = []int{a, b} }", "{ x = []int{\na,\nb\n} }"),
        ("{ x = []int{a} }", "{ x = []int{\na\n} }"),
        ("{ x = T{a: g()} }", "{ x = T{\na: g()\n} }"),
    ];
    for (one, other) in differ {
        assert_ne!(code(one), code(other), "{one}\n---\n{other}");
    }
    for (one, other) in bodies {
        assert_ne!(code(&body(one)), code(&body(other)), "{one}\n---\n{other}");
    }
    // Comments at other imports are comments, also beside "C" in one group.
    for before in ["// x\nimport \"fmt\"", "// x\nimport (\n\"C\"\n\"fmt\"\n)", "/* x */ import \"C\""] {
        assert_eq!(
            code(&format!("package p\n{before}")),
            code(&format!("package p\n{}", before.replace('x', "y")))
        );
    }
}

#[test]
fn what_is_not_go_is_not_read() {
    for text in [
        "",
        "func f()",
        "package",
        "package \"p\"",
        "package p\nimport x",
        "package p\nimport \"x",
        "package p /*",
        "package p\nvar a = 'x",
        "package p\nvar a = `x",
        "package p\nvar a = \"\\\n\"",
        "package p\n#",
        "package p // \0",
        "package p\n// \u{feff}",
    ] {
        assert_eq!(scan(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(scan(b"package p // \xff"), None);
}

#[test]
fn heads() {
    let text = "//go:build a && !b\n\npackage p\nimport (\n. \"x\"; y \"y/z\"\n_ `embed`\n)\nimport \"C\"\n\
                //go:embed a \"b c\" `d` e*\nvar x T\n//go:embedded f\n";
    let expected = Head {
        package: "p".into(),
        imports: ["x", "y/z", "embed", "C"].map(str::to_owned).into(),
        constraint: Some("a && !b".into()),
        embeds: ["a", "b c", "d", "e*"].map(str::to_owned).into(),
        cgo: true,
    };
    assert_eq!(head(text), expected);
    assert_eq!(head(text).fingerprint(), expected.fingerprint());
    let edited = text.replace("`d`", "`D`");
    assert_ne!(head(&edited).fingerprint(), expected.fingerprint());
    assert_eq!(head("//go:build\npackage p").constraint.as_deref(), Some(""));
    assert_eq!(head("//go:build a\n//go:build b\npackage p").constraint.as_deref(), Some("a\nb"));
    assert_eq!(head(&text.replace("`embed`", "`other`")).embeds, Vec::<String>::new());
}

/// Texts around a package clause, for the comparison with Go: where constraints count.
const HEADERS: [&str; 13] = [
    "// +build a,!b c\n// +build !c d.e\n\npackage p",
    "// +build !!x a,,b a!b !a!b ! ü\n\npackage p",
    "// +build\n\n// +build a\npackage p",
    "//+build a\n// +buildb\n\n\n// doc\npackage p",
    "// +build a\n\n//go:build   b  \n// doc\npackage p",
    "/* x */\n// +build a\n\npackage p",
    "/* x\n//go:build a\n*/ /* y */ // z\n//go:build b\npackage p",
    "/* x */ package p\n//go:build a\n",
    "//go:buildx\npackage p",
    "  //go:build a\r\n\r\npackage p\r\n//go:build b\r\n",
    "\u{feff}//go:build a\n\npackage p",
    "package p\n\n// +build a\n\n",
    "package p\nimport _ \"embed\"\n//go:embed all:a \"b\\\"c\"\td // x\nvar a T; /* */ //go:embed `e`\n",
];

/// Go's own sources: every `step`th file.
fn goroot_files(step: usize) -> Vec<PathBuf> {
    let output = Command::new("go").args(["env", "GOROOT"]).output().expect("go is on the PATH");
    let root = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("src");
    let files = ignore::WalkBuilder::new(root).standard_filters(false).sort_by_file_name(Ord::cmp).build();
    let files = files.map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "go")).step_by(step).collect()
}

#[test]
fn heads_are_what_go_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut files: Vec<_> =
        goroot_files(7).into_iter().filter(|path| !path.iter().any(|name| name == "testdata")).collect();
    for (number, header) in HEADERS.iter().enumerate() {
        files.push(dir.path().join(format!("{number}.go")));
        fs::write(&files[files.len() - 1], header).unwrap();
    }
    let mut oracle = Command::new("go")
        .args(["run", "."])
        .env("GOFLAGS", "-buildvcs=false")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/headers"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let names: String = files.iter().map(|path| format!("{}\n", path.display())).collect();
    let mut stdin = oracle.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(names.as_bytes()).unwrap());
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());

    let answers: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), files.len());
    assert!(files.len() > 500, "{}", files.len());
    for (path, expected) in files.iter().zip(&answers) {
        let mut head = scan(&fs::read(path).unwrap()).unwrap_or_else(|| panic!("{}", path.display())).head;
        head.embeds.sort();
        head.embeds.dedup();
        let list = |name: &str| -> Vec<&str> {
            expected[name].as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
        };
        assert_eq!(Some(&*head.package), expected["package"].as_str(), "{}", path.display());
        assert_eq!(Vec::from_iter(&head.imports), list("imports"), "{}", path.display());
        assert_eq!(head.constraint.as_deref(), expected["constraint"].as_str(), "{}", path.display());
        assert_eq!(head.embeds, list("embeds"), "{}", path.display());
    }
}

/// xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// `text`, below its package clause, without indentation and with comments and blank lines strewn in.
fn deformed(text: &str, random: &mut Random) -> String {
    let (clause, rest) = text.split_at(text.find("\npackage ").map_or(0, |at| at + 1));
    let mut deformed = clause.to_owned();
    for line in rest.lines() {
        deformed += line.trim_start();
        match random.below(8) {
            0 if !line.contains("//") => deformed += " // more",
            1 if !line.contains("//") && !line.is_empty() => deformed += "/* more */\n",
            2 => deformed += "\r\n\n",
            3 => deformed += "\n// more",
            _ => {}
        }
        deformed += "\n";
    }
    deformed
}

#[test]
fn gofmt_changes_no_meaning_and_a_letter_does() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut random = Random(seed | 1);
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for file in goroot_files(40) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        // Lines within these cannot be deformed, nor can broken files.
        let fine =
            !["`", "/*", "import \"C\"", "//export", "//line"].iter().any(|text_| text.contains(text_));
        if !fine || file.iter().any(|name| name == "testdata") {
            continue;
        }
        let deformed = deformed(&text, &mut random);
        assert_eq!(code(&deformed), code(&text), "seed {seed}: {}\n{deformed}", file.display());
        let copy = dir.path().join(format!("{}.go", expected.len()));
        fs::write(&copy, deformed).unwrap();

        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let number = random.below(lines.len());
        if !lines[number].contains("//")
            && let Some(at) = lines[number].rfind(|c: char| c.is_ascii_alphanumeric())
        {
            let other = if lines[number][at..].starts_with('x') { "y" } else { "x" };
            lines[number].replace_range(at..=at, other);
            let edited = scan(lines.join("\n").as_bytes()).map(|source| source.code);
            assert_ne!(edited, Some(code(&text)), "seed {seed}: {}:{}", file.display(), number + 1);
        }
        expected.push((copy, code(&text), file));
    }
    assert!(expected.len() > 30, "{}", expected.len());
    let status = Command::new("gofmt").arg("-w").arg(dir.path()).status().unwrap();
    assert!(status.success(), "seed {seed}");
    for (copy, expected, file) in expected {
        let formatted = fs::read_to_string(&copy).unwrap();
        assert_eq!(code(&formatted), expected, "seed {seed}: {}\n{formatted}", file.display());
    }
}
