use super::*;
use crate::graph::{Local, Module, Package};
use crate::source;

/// A plan without a graph for services in these directories, which are shown by the name behind each.
fn plan(services: &[&str]) -> Plan {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for name in services {
        std::fs::create_dir_all(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("go.mod"), "").unwrap();
        text += &format!(
            "[[service]]\nname = \"{name}\"\ndir = \"{name}\"\nwatch = {{ include = [\"*.html\"] }}\n"
        );
        text += "pre_build = [{ run = [\"gen\"], inputs = [\"*.tmpl\"], outputs = [\"gen.go\"] }]\n";
    }
    let file = dir.path().join("hotwatch.toml");
    std::fs::write(&file, text).unwrap();
    let config = crate::config::load(&file, &|_| None).unwrap();
    Plan::new(&config, &BTreeSet::new())
}

fn content(text: &str) -> Content {
    match source::scan(text.as_bytes()) {
        Some(source) => Content::of_source(text.as_bytes(), &source),
        None => Content::of(text.as_bytes()),
    }
}

/// The file `path` of the project went from one text to another.
fn change(plan: &Plan, path: &str, before: Option<&str>, after: Option<&str>) -> Change {
    let head = after.and_then(|text| source::scan(text.as_bytes())).map(|source| source.head);
    Change { path: plan.root.join(path), before: before.map(content), after: after.map(content), head }
}

/// What a change leads to, as short lines.
fn led(plan: &mut Plan, path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let change = change(plan, path, before, after);
    let outcome = plan.apply(&[change]);
    let mut lines: Vec<String> = Vec::new();
    for one in &outcome.affected {
        let lead = match one.lead {
            Lead::Build { restart: true, .. } => "restart",
            Lead::Build { generated: true, .. } => "generated",
            Lead::Build { .. } => "build",
            Lead::Cosmetic => "cosmetic",
            Lead::Idle(Idle::Test) => "test",
            Lead::Idle(Idle::Excluded) => "excluded",
        };
        lines.push(format!("{}:{lead}", one.service));
    }
    lines.extend(outcome.relist.iter().map(|service| format!("relist {service}")));
    lines.extend(outcome.steps.iter().map(|(service, step)| format!("step {service}.{step}")));
    lines.join(" ")
}

const CODE: &str = "package a\n\nvar x = 1\n";
const OTHER: &str = "package a\n\nvar x = 2\n";
const COMMENTED: &str = "package a\n\n// x is one.\nvar x  = 1\n";
const IMPORTS: &str = "package a\n\nimport _ \"p/b\"\n\nvar x = 1\n";
const EXCLUDED: &str = "//go:build windows\n\npackage a\n\nvar x = 1\n";

#[test]
fn without_a_listing_the_directory_decides() {
    let mut plan = plan(&["a", "b"]);
    let table = [
        ("a/x.go", Some(CODE), Some(OTHER), "0:build"),
        ("a/deep/x.go", None, Some(CODE), "0:build relist 0"),
        ("a/x.go", Some(OTHER), Some(IMPORTS), "0:build relist 0"),
        ("b/x.go", Some(CODE), Some(COMMENTED), "1:cosmetic"),
        ("b/x_test.go", Some(CODE), Some(OTHER), ""),
        ("b/page.html", Some("1"), Some("2"), "1:restart"),
        ("b/page.tmpl", Some("1"), Some("2"), "1:build step 1.0"),
        ("b/gen.go", Some(CODE), Some(OTHER), "1:generated"),
        ("c/x.go", None, Some(CODE), ""),
    ];
    for (path, before, after, expected) in table {
        assert_eq!(led(&mut plan, path, before, after), expected, "{path}");
    }
}

/// A listing of two programs, `p/a` and `p/c`, of which only the first imports `p/b`.
fn listing(plan: &Plan) -> Listing {
    let module = Module { path: "p".into(), dir: plan.root.clone(), go_mod: plan.root.join("go.mod") };
    let package = |name: &str, imports: &[&str]| Package {
        path: format!("p/{name}"),
        name: "main".into(),
        matched: vec![format!("./{name}")],
        imports: imports.iter().map(|&path| path.to_owned()).collect(),
        local: Some(Local {
            dir: plan.root.join(name),
            module: Some(module.clone()),
            files: vec!["x.go".into(), "page.txt".into(), "link.go".into()],
            ignored: vec!["x_windows.go".into()],
            embeds: vec!["*.txt".into()],
            linked: BTreeMap::from([(
                "link.go".into(),
                plan.root.join("elsewhere").join(name).join("real.go"),
            )]),
            cgo: false,
        }),
        ..Package::default()
    };
    let packages = vec![package("a", &["p/b"]), package("b", &[]), package("c", &[])];
    let context =
        crate::constraint::Context { goos: "linux".into(), goarch: "amd64".into(), ..Default::default() };
    Listing { packages, context, ..Listing::default() }
}

fn listed() -> Plan {
    let mut plan = plan(&["a", "c"]);
    let listing = listing(&plan);
    plan.list(0, listing, &vec![(0, vec!["./a".into()]), (1, vec!["./c".into()])]);
    plan
}

#[test]
fn with_a_listing_the_imports_decide() {
    let mut plan = listed();
    let table = [
        ("a/x.go", Some(CODE), Some(OTHER), "0:build"),
        ("b/x.go", Some(CODE), Some(OTHER), "0:build"),
        ("b/new.go", None, Some(CODE), "0:build relist 0"),
        ("b/new.go", Some(CODE), None, "0:build relist 0"),
        ("b/page.txt", Some("1"), Some("2"), "0:build"),
        ("b/x_test.go", Some(CODE), Some(OTHER), "0:test"),
        ("b/x_windows.go", Some(CODE), Some(OTHER), "0:excluded"),
        ("b/x.go", Some(OTHER), Some(EXCLUDED), "0:build relist 0"),
        ("b/x.go", Some(EXCLUDED), Some(EXCLUDED), "0:excluded"),
        ("b/x.go", Some(EXCLUDED), Some(CODE), "0:build relist 0"),
        ("c/x.go", Some(CODE), Some(COMMENTED), "1:cosmetic"),
        ("c/y/x.go", None, Some(CODE), ""),
        ("elsewhere/b/real.go", Some(CODE), Some(OTHER), "0:build"),
        ("go.mod", Some("1"), Some("2"), "0:build 1:build relist 0 relist 1"),
        ("go.sum", None, Some("2"), "0:build 1:build relist 0 relist 1"),
    ];
    for (path, before, after, expected) in table {
        assert_eq!(led(&mut plan, path, before, after), expected, "{path}");
    }
    assert_eq!(plan.graph().chain(0, &plan.root.join("b/x.go")), Some(vec!["p/a", "p/b"]));
    assert_eq!(plan.graph().chain(1, &plan.root.join("b/x.go")), None);
}

#[test]
fn a_digest_is_that_of_the_files_that_belong_to_the_program() {
    let mut plan = listed();
    let known = |path: &Path| Some(content(&path.display().to_string()));
    let (from, to) = plan.rebase(0, &known);
    assert_ne!(from, to);
    assert_eq!(plan.rebase(0, &known), (to, to));
    // There and back again is the same, also by way of a build constraint.
    led(&mut plan, "b/x.go", Some(CODE), Some(EXCLUDED));
    assert_ne!(plan.digest(0), to);
    led(&mut plan, "b/x.go", Some(EXCLUDED), Some(CODE));
    assert_eq!(plan.digest(0), to);
    // Another version of what cannot be edited is another program.
    let mut listing = listing(&plan);
    listing.packages.push(Package { path: "q".into(), version: "v1.0.0".into(), ..Package::default() });
    listing.packages[0].imports.push("q".into());
    plan.list(0, listing, &vec![(0, vec!["./a".into()])]);
    let (from, to) = plan.rebase(0, &known);
    assert_ne!(from, to);
}

#[test]
fn the_heavier_of_two_leads_is_told() {
    let mut plan = listed();
    let changes = [
        change(&plan, "a/x_test.go", Some(CODE), Some(OTHER)),
        change(&plan, "a/x.go", Some(CODE), Some(COMMENTED)),
        change(&plan, "b/x.go", Some(CODE), Some(OTHER)),
        change(&plan, "a/page.txt", Some("1"), Some("2")),
    ];
    let affected = plan.apply(&changes).affected;
    assert_eq!(affected.len(), 1);
    assert_eq!(affected[0].paths, ["b/x.go", "a/page.txt"]);
    assert_eq!(affected[0].lead, Lead::Build { restart: false, generated: false });
}
