use super::*;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::source::scan;

fn context(goos: &str, goarch: &str, cgo: bool, tags: &[&str]) -> Context {
    let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
    Context { goos: goos.into(), goarch: goarch.into(), cgo, release: 26, tags }
}

fn head(constraint: &str) -> Head {
    Head { constraint: Some(constraint.into()), ..Head::default() }
}

#[test]
fn names() {
    let linux = context("linux", "amd64", false, &[]);
    let fitting = "x.go linux.go windows.go x_linux.go x_amd64.go x_linux_amd64.s x_windows_linux.go x_windows_y.go \
                x_amd64_linux.go x_linux.windows.go x_unix.go test.go";
    for name in fitting.split(' ') {
        assert_eq!(linux.includes(name, None), Ok(()), "{name}");
    }
    for (name, why) in [
        ("_x.go", "its name begins with `_`"),
        (".x.go", "its name begins with `.`"),
        ("x_test.go", "it is a test"),
        ("x_linux_test.go", "it is a test"),
        ("x_windows.go", "its name says `windows`"),
        ("x_arm64.go", "its name says `arm64`"),
        ("x_arm64_amd64.go", ""),
        ("x_linux_arm64.go", "its name says `arm64`"),
        ("x_windows_amd64.go", "its name says `windows`"),
        ("x_windows_test.s", "its name says `windows`"),
        ("x_windows.linux.go", "its name says `windows`"),
    ] {
        let verdict = linux.includes(name, None);
        assert_eq!(verdict.map_or_else(|why| why.to_string(), |()| String::new()), why, "{name}");
    }
    for (goos, name) in [("android", "x_linux.go"), ("ios", "x_darwin.go"), ("illumos", "x_solaris.go")] {
        assert_eq!(context(goos, "arm64", true, &[]).includes(name, None), Ok(()), "{goos}");
    }
}

#[test]
fn constraints() {
    let linux = context("linux", "amd64", true, &["mine", "goexperiment.boringcrypto"]);
    for yes in [
        "linux",
        "unix",
        "gc && cgo && amd64",
        "mine",
        "go1.1 && go1.26",
        "boringcrypto",
        "!windows",
        "a || linux && amd64",
        "linux || a && b",
        "!(a || b)",
        "( linux&&!a )\t",
    ] {
        assert_eq!(linux.includes("x.go", Some(&head(yes))), Ok(()), "{yes}");
    }
    for no in ["windows", "!linux", "go1.27", "go1.026", "go1.0", "go1.", "go1", "gccgo", "!(linux || a)"] {
        let why = linux.includes("x.go", Some(&head(no))).unwrap_err().to_string();
        assert_eq!(why, format!("its build constraint is `{no}`"));
    }
    let long = vec!["linux"; 1001].join("||");
    assert_eq!(linux.includes("x.go", Some(&head(&long[7..]))), Ok(()));
    for malformed in [
        "",
        "()",
        "(linux",
        "linux)",
        "linux &",
        "& linux",
        "linux amd64",
        "linux &&",
        "a-b",
        "!!linux",
        "linux\nlinux",
        &long,
    ] {
        let why = linux.includes("x.go", Some(&head(malformed))).unwrap_err();
        assert_eq!(why, Excluded::Malformed(malformed.to_owned()));
    }
}

#[test]
fn packages() {
    let file = |text: &str| scan(text.as_bytes()).unwrap().head;
    let (cgo, documentation) = (file("package p\nimport \"C\""), file("package documentation"));
    for (on, head, expected) in [
        (true, &cgo, Ok(())),
        (false, &cgo, Err(Excluded::Cgo)),
        (true, &documentation, Err(Excluded::Documentation)),
    ] {
        assert_eq!(context("linux", "amd64", on, &[]).includes("x.go", Some(head)), expected);
    }
}

/// What `go list` prints for a target.
fn list(goos: &str, goarch: &str, cgo: bool, arguments: &[&str]) -> String {
    let output = Command::new("go")
        .args(["list", "-e"])
        .args(arguments)
        .envs([("GOOS", goos), ("GOARCH", goarch), ("CGO_ENABLED", if cgo { "1" } else { "0" })])
        .output()
        .expect("go is on the PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_standard_library_is_made_of_the_files_that_go_lists() {
    for (goos, goarch, cgo) in [("linux", "amd64", true), ("windows", "arm64", false)] {
        let tags = "{{join context.ToolTags \" \"}} {{len context.ReleaseTags}}";
        let tags = list(goos, goarch, cgo, &["-f", tags, "unsafe"]);
        let (tags, release) = tags.trim().rsplit_once(' ').unwrap();
        let tags: Vec<_> = tags.split(' ').collect();
        let context = Context { release: release.parse().unwrap(), ..context(goos, goarch, cgo, &tags) };

        let packages = list(goos, goarch, cgo, &["-json=Dir,GoFiles,CgoFiles,IgnoredGoFiles", "std"]);
        let mut seen = [0, 0];
        for package in serde_json::Deserializer::from_str(&packages).into_iter::<Value>() {
            let package = package.unwrap();
            let dir = Path::new(package["Dir"].as_str().unwrap());
            for (list, included) in [("GoFiles", true), ("CgoFiles", true), ("IgnoredGoFiles", false)] {
                for name in package[list].as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap();
                    let text = fs::read(dir.join(name)).unwrap();
                    // Without optimisation, all of it would take seconds.
                    if text.len() > 30_000 {
                        continue;
                    }
                    let head = scan(&text).unwrap().head;
                    let verdict = context.includes(name, Some(&head));
                    assert_eq!(verdict.is_ok(), included, "{goos}: {}/{name}: {verdict:?}", dir.display());
                    seen[usize::from(included)] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&files| files > 500), "{seen:?}");
    }
}
