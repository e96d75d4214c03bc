//! `hotwatch why` and `hotwatch graph` on the fixture `workspace`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Project;

/// What a command writes, which must succeed without a word beside.
fn written(project: &Project, args: &[&str]) -> String {
    let output = project.run(args);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn why_names_the_services_the_reason_and_the_chain_of_imports() {
    let project = Project::workspace("");
    let table: [(&str, [(&str, &str); 3]); 13] = [
        (
            "shared/text/text.go",
            [("restart", "built in"), ("restart", "built in"), ("nothing", "nothing of it")],
        ),
        ("shared/money/money_test.go", [("nothing", "tests"); 3]),
        ("shared/text/unused/unused.go", [("nothing", "nothing of it"); 3]),
        ("services/users/answer.go", [("restart", "built in"), ("nothing", ""), ("nothing", "")]),
        (
            "services/users/system_windows.go",
            [("nothing", "its name says `windows`"), ("nothing", ""), ("nothing", "")],
        ),
        (
            "services/orders/mode_prod.go",
            [("nothing", ""), ("nothing", "its build constraint is `!dev`"), ("nothing", "")],
        ),
        (
            "services/orders/schema/fields.txt",
            [("nothing", ""), ("restart", "`pre_build` reads it"), ("nothing", "")],
        ),
        (
            "services/orders/fields_gen.go",
            [("nothing", ""), ("restart", "`pre_build` writes it"), ("nothing", "")],
        ),
        // What is not there yet would be embedded.
        ("services/users/web/new.html", [("restart", "built in"), ("nothing", ""), ("nothing", "")]),
        ("go.work", [("restart", "which modules"); 3]),
        ("README.md", [("nothing", "nothing of it"); 3]),
        ("README.txt", [("nothing", "no such file"); 3]),
        ("shared/text/unused/new.go", [("nothing", "nothing of it"); 3]),
    ];
    let paths = table.map(|(path, _)| path);
    let answers = lines(&written(&project, &[&["why", "--json"], &paths[..]].concat()));
    assert_eq!(answers.len(), table.len() * 3);
    for ((path, expected), answers) in table.iter().zip(answers.chunks(3)) {
        for ((service, (rung, reason)), answer) in
            ["users", "orders", "gateway"].iter().zip(expected).zip(answers)
        {
            assert_eq!((&answer["path"], &answer["service"]), (&(*path).into(), &(*service).into()));
            assert_eq!(answer["rung"], *rung, "{answer}");
            assert!(answer["reason"].as_str().unwrap().contains(reason), "{answer}");
        }
    }
    let text = written(&project, &["why", "shared/money/money.go"]);
    let chain =
        "users    restart  it is built in: example.com/users -> example.com/text -> example.com/money\n";
    assert!(text.contains(chain) && text.lines().count() == 4, "{text}");
}

#[test]
fn graph_shows_what_services_share_in_four_forms() {
    let project = Project::workspace("");
    let tree = "users (6 packages)
├── shared/text
│   └── shared/money
└── shared/text/serve
orders (4 packages)
├── shared/text
│   └── shared/money
└── shared/text/serve
gateway (5 packages)
├── shared/money
└── shared/text/serve
";
    assert_eq!(written(&project, &["graph"]), tree);
    let all = written(&project, &["graph", "--all"]);
    assert!(all.contains("shared/text/only\n") && all.contains("apps/internal/checksum\n"), "{all}");
    assert!(!all.contains("unused") && !all.contains("admin"), "{all}");

    let nodes = lines(&written(&project, &["graph", "--json"]));
    let name = |number: &Value| nodes[number.as_u64().unwrap() as usize]["name"].as_str().unwrap();
    let contains: BTreeMap<&str, Vec<&str>> = nodes
        .iter()
        .map(|node| {
            let contained = node["contains"].as_array().unwrap().iter().map(name).collect();
            (node["name"].as_str().unwrap(), contained)
        })
        .collect();
    let expected = [
        ("gateway", vec!["shared/money", "shared/text/serve"]),
        ("orders", vec!["shared/text", "shared/text/serve"]),
        ("shared/money", vec![]),
        ("shared/text", vec!["shared/money"]),
        ("shared/text/serve", vec![]),
        ("users", vec!["shared/text", "shared/text/serve"]),
    ];
    assert_eq!(contains, BTreeMap::from(expected));

    // The same seven edges in the languages of two programs that draw them.
    for (format, edge, head) in [("dot", " -> ", "digraph"), ("mermaid", " --> ", "flowchart")] {
        let text = written(&project, &["graph", "--format", format]);
        assert!(text.starts_with(head) && text.matches(edge).count() == 7, "{text}");
        assert!(
            nodes.iter().all(|node| text.contains(&format!("\"{}\"", node["name"].as_str().unwrap()))),
            "{text}"
        );
    }
}
