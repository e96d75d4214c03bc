//! `hotwatch graph`: the services and the packages that they share, as a tree, for Graphviz or for Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{inspect, load, print};
use crate::cli::{Format, Global, Graph as Asked};
use crate::config::Config;
use crate::error::Error;
use crate::graph::Graph;

/// A service or a package that is shown.
#[derive(Debug, Clone, Default, Serialize)]
struct Node {
    /// The service's name, or the package's directory.
    name: String,
    /// Whether it is a service.
    is_service: bool,
    /// The services that contain it.
    services: Vec<String>,
    /// How many packages there are of it, of those whose files may be edited.
    packages: usize,
    /// The numbers of what it contains, by way of what is not shown.
    contains: BTreeSet<usize>,
}

/// Prints the graph in the form that was asked for.
pub fn graph(asked: &Asked, global: &Global) -> Result<ExitCode, Error> {
    let config = load(global)?;
    let plan = inspect::plan(&config, |words| eprintln!("{words}"));
    let nodes = nodes(&config, plan.graph(), asked.all);
    let text = match asked.format {
        _ if global.json => nodes
            .iter()
            .filter_map(|node| serde_json::to_string(node).ok())
            .fold(String::new(), |text, line| text + &line + "\n"),
        Format::Text => tree(&nodes),
        Format::Dot => dot(&nodes),
        Format::Mermaid => mermaid(&nodes),
    };
    print(text.as_bytes())
}

/// The services in start order, then the packages that several of them share, or `all` packages.
fn nodes(config: &Config, graph: &Graph, all: bool) -> Vec<Node> {
    let mut users: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
    let mut nodes = Vec::new();
    for (index, service) in config.services.iter().enumerate() {
        let dirs: BTreeSet<PathBuf> = graph.packages(index).into_iter().map(Path::to_owned).collect();
        let name = service.name.to_string();
        nodes.push(Node { name, is_service: true, packages: dirs.len(), ..Node::default() });
        for dir in dirs {
            users.entry(dir).or_default().insert(index);
        }
    }
    let roots: BTreeSet<PathBuf> =
        (0..config.services.len()).flat_map(|index| graph.roots(index)).map(Path::to_owned).collect();
    users.retain(|dir, users| (all && !roots.contains(dir)) || users.len() > 1);
    let numbers: BTreeMap<&Path, usize> = users.keys().map(PathBuf::as_path).zip(nodes.len()..).collect();
    for (dir, users) in &users {
        let name = dir.strip_prefix(&config.root).unwrap_or(dir).display().to_string();
        let services = users.iter().map(|&user| config.services[user].name.to_string()).collect();
        let user = users.first().copied().unwrap_or_default();
        let contains = reached(graph, user, [dir.as_path()], &numbers);
        nodes.push(Node { name, services, packages: 1, contains, ..Node::default() });
    }
    for (index, node) in nodes.iter_mut().take(config.services.len()).enumerate() {
        let roots = graph.roots(index);
        let shared: Vec<usize> = roots.iter().filter_map(|root| numbers.get(root)).copied().collect();
        node.contains = reached(graph, index, roots, &numbers);
        node.contains.extend(shared);
    }
    nodes
}

/// The numbers of the shown packages that are imported from `starts`, by way of packages that are not shown.
fn reached<'a>(
    graph: &'a Graph,
    service: usize,
    starts: impl IntoIterator<Item = &'a Path>,
    numbers: &BTreeMap<&Path, usize>,
) -> BTreeSet<usize> {
    let mut open: Vec<&Path> = starts.into_iter().collect();
    let mut seen: BTreeSet<&Path> = open.iter().copied().collect();
    let mut found = BTreeSet::new();
    while let Some(dir) = open.pop() {
        for next in graph.imports(service, dir) {
            match numbers.get(next) {
                Some(&number) => drop(found.insert(number)),
                None if seen.insert(next) => open.push(next),
                None => {}
            }
        }
    }
    found
}

fn tree(nodes: &[Node]) -> String {
    let mut text = String::new();
    for node in nodes.iter().filter(|node| node.is_service) {
        let packages = if node.packages == 1 { "package" } else { "packages" };
        text += &format!("{} ({} {packages})\n", node.name, node.packages);
        branches(nodes, node, "", &mut BTreeSet::new(), &mut text);
    }
    text
}

fn branches(nodes: &[Node], node: &Node, indent: &str, shown: &mut BTreeSet<usize>, text: &mut String) {
    for (place, &number) in node.contains.iter().enumerate() {
        let is_last = place + 1 == node.contains.len();
        let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let child = &nodes[number];
        let again = !shown.insert(number) && !child.contains.is_empty();
        let note = if again { " (as above)" } else { "" };
        *text += &format!("{indent}{branch}{}{note}\n", child.name);
        if !again {
            branches(nodes, child, &format!("{indent}{below}"), shown, text);
        }
    }
}

fn dot(nodes: &[Node]) -> String {
    let mut text = "digraph hotwatch {\n    rankdir = LR\n".to_owned();
    for (number, node) in nodes.iter().enumerate() {
        let shape = if node.is_service { "box" } else { "ellipse" };
        text += &format!("    n{number} [shape = {shape}, label = {:?}]\n", node.name);
    }
    for (from, to) in edges(nodes) {
        text += &format!("    n{from} -> n{to}\n");
    }
    text + "}\n"
}

fn mermaid(nodes: &[Node]) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (number, node) in nodes.iter().enumerate() {
        let name = node.name.replace('"', "#quot;");
        let shape = if node.is_service { format!("[\"{name}\"]") } else { format!("([\"{name}\"])") };
        text += &format!("    n{number}{shape}\n");
    }
    for (from, to) in edges(nodes) {
        text += &format!("    n{from} --> n{to}\n");
    }
    text
}

fn edges(nodes: &[Node]) -> impl Iterator<Item = (usize, usize)> {
    nodes.iter().enumerate().flat_map(|(from, node)| node.contains.iter().map(move |&to| (from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Node> {
        let node = |name: &str, is_service, contains: &[usize]| Node {
            name: name.to_owned(),
            is_service,
            packages: 1,
            contains: contains.iter().copied().collect(),
            ..Node::default()
        };
        vec![
            node("api", true, &[2, 3]),
            node("web", true, &[3]),
            node("shared/log", false, &[3]),
            node("shared/money", false, &[]),
        ]
    }

    #[test]
    fn three_forms_of_one_graph() {
        let text = "api (1 package)\n├── shared/log\n│   └── shared/money\n└── shared/money\nweb (1 package)\n└── shared/money\n";
        assert_eq!(tree(&sample()), text);
        let dot = dot(&sample());
        assert!(dot.contains("n0 [shape = box, label = \"api\"]") && dot.contains("n2 -> n3"), "{dot}");
        let mermaid = mermaid(&sample());
        assert!(mermaid.contains("n3([\"shared/money\"])\n") && mermaid.contains("n1 --> n3"), "{mermaid}");
    }
}
