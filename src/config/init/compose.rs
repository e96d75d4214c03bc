//! Compose files: the services that are built from Go sources of this tree, with their ports, variables, arguments
//! and dependencies. Services that only name an image are somebody else's programs: they stay in containers.

mod dockerfile;
mod yaml;

use std::cell::Cell;
use std::collections::BTreeMap;

use super::{Fact, Found, Program, Start, Tree, join, last, parent, start_sh};
use crate::config::env::interpolate;
use dockerfile::Image;
use yaml::Node;

/// Variables that name places in a container.
const OF_THE_CONTAINER: [&str; 6] = ["GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT", "HOME", "PATH"];

/// What the compose file `text` starts. `mains` are the directories of main packages, `variables` those of the
/// `.env` beside it, which compose puts into the file (and gives to no service).
pub fn scan(
    text: &str,
    file: &str,
    mains: &[String],
    variables: &BTreeMap<String, String>,
    tree: &Tree<'_>,
) -> Found {
    let mut found = Found::default();
    let document = match yaml::parse(text) {
        Ok(document) => document,
        Err(error) => {
            found.notes.push(format!("{file} was left out: {error}"));
            return found;
        }
    };
    let services = document.get("services").map(|node| node.entries()).unwrap_or_default();
    let names: Vec<String> = services.iter().filter_map(|(key, _)| key.text()).collect();
    let reader = Reader { file, names: &names, mains, variables, tree };
    let (mut images, mut foreign) = (Vec::new(), Vec::new());
    for (key, node) in &services {
        let Some(name) = key.text() else { continue };
        match reader.service(&name, key, node) {
            Some(start) => found.starts.push(start),
            None if node.get("build").is_none() => images.push(name),
            None => foreign.push(format!("`{name}`")),
        }
    }
    if !foreign.is_empty() {
        let foreign = foreign.join(", ");
        found.notes.push(format!("{file}: no main package was found that is built for {foreign}; left out"));
    }
    if !images.is_empty() {
        let beside = if file.contains('/') { format!(" -f {file}") } else { String::new() };
        let images = images.join(" ");
        found.notes.push(format!("images only; start these yourself: docker compose{beside} up -d {images}"));
    }
    found
}

struct Reader<'a> {
    file: &'a str,
    /// The names of all services: hosts, as seen from a container.
    names: &'a [String],
    mains: &'a [String],
    variables: &'a BTreeMap<String, String>,
    tree: &'a Tree<'a>,
}

impl Reader<'_> {
    fn at(&self, node: &Node) -> String {
        format!("{}:{}", self.file, node.line())
    }

    /// The text of a scalar with variables put in; `None` if one is not known.
    fn value(&self, node: &Node) -> Option<String> {
        let unknown = Cell::new(false);
        let lookup = |name: &str| {
            let value = self.variables.get(name).cloned();
            unknown.set(unknown.get() || value.is_none());
            value
        };
        let text = node.text()?;
        let value = interpolate(&text, &lookup).ok()?;
        // A variable with a default is known in any case.
        (!unknown.get() || text.contains(":-")).then_some(value)
    }

    /// The service `name`, if it is a Go program of this tree.
    fn service(&self, name: &str, key: &Node, node: &Node) -> Option<Start> {
        let at = self.at(key);
        // An image with the sources mounted is as good as one that is built from them.
        let mounted = self.mounted(node);
        let build = node.get("build");
        if build.is_none() && mounted.is_none() {
            return None;
        }
        let context =
            build.as_ref().and_then(|build| self.value(&build.get("context").unwrap_or(build.clone())));
        let context =
            mounted.clone().unwrap_or_else(|| join(parent(self.file), &context.unwrap_or_default()));
        let image = build.filter(|_| mounted.is_none()).map(|build| self.image(&build, &context));
        let image = image.unwrap_or_default();

        let words = |key: &str| node.get(key).and_then(|node| self.words(&node));
        let (entrypoint, command) = (words("entrypoint"), words("command"));
        let run = entrypoint.clone().or_else(|| command.clone()).map(|words| words.join(" "));
        let run = run.filter(|run| run.starts_with("go run") || run.starts_with("air"));
        let run = run.and_then(|run| {
            let mut found = start_sh::follow(&run, self.file, 1, &context, BTreeMap::new(), self.tree);
            found.starts.pop()
        });
        let built = run.as_ref().and_then(|start| match &start.program {
            Program::Package(dir) => Some(dir.clone()),
            _ => None,
        });
        let package = self.package(name, built.or(image.package), image.entrypoint.as_ref(), &context)?;
        let mut start = Start::new(at, None, Program::Package(package));
        start.name = Some(name.to_owned());
        start.args = match run {
            Some(run) => run.args,
            None => arguments_of(entrypoint, command, image.entrypoint, image.command),
        };
        if start.args.iter().any(|word| word.starts_with('/')) {
            start.notes.push("its arguments name paths in the container; correct them".to_owned());
        }
        self.ports(node, &mut start);
        self.environment(node, &mut start);
        for file in node.get("env_file").map(|node| node.items_or_self()).unwrap_or_default() {
            let path = file.get("path").unwrap_or_else(|| file.clone());
            if let Some(path) = self.value(&path) {
                start.env_files.push(Fact { value: join(parent(self.file), &path), from: self.at(&file) });
            }
        }
        if let Some(on) = node.get("depends_on") {
            let names = on.entries().into_iter().map(|(key, _)| key).chain(on.items());
            start.depends_on = names.filter_map(|name| name.text()).collect();
        }
        Some(start)
    }

    fn image(&self, build: &Node, context: &str) -> Image {
        let file = build.get("dockerfile").and_then(|node| self.value(&node));
        let file = join(context, file.as_deref().unwrap_or("Dockerfile"));
        let mut arguments = self.variables.clone();
        let args = build.get("args").map(|node| self.pairs(&node)).unwrap_or_default();
        arguments.extend(args.into_iter().filter_map(|(name, fact)| Some((name, fact.value?))));
        let text = (self.tree.read)(&file);
        text.map(|text| dockerfile::scan(&text, &file, context, &arguments, self.tree)).unwrap_or_default()
    }

    /// The directory with main packages that is mounted as the container's working directory.
    fn mounted(&self, node: &Node) -> Option<String> {
        let workdir = join("", &self.value(&node.get("working_dir")?)?);
        let volume = |node: Node| {
            let text = self.value(&node)?;
            let (host, inside) = text.split_once(':')?;
            let inside = inside.split(':').next()?;
            host.starts_with('.').then(|| (join("", inside), join(parent(self.file), host)))
        };
        let volumes: Vec<(String, String)> =
            node.get("volumes")?.items().into_iter().filter_map(volume).collect();
        let dir = dockerfile::host(&workdir, &volumes)?;
        self.mains.iter().any(|main| super::is_below(main, &dir)).then_some(dir)
    }

    /// The main package of a service: what its build says; else the only one in its context, or the one with the
    /// name of its binary or of the service.
    fn package(
        &self,
        name: &str,
        said: Option<String>,
        entrypoint: Option<&Vec<String>>,
        context: &str,
    ) -> Option<String> {
        if let Some(said) = said.filter(|dir| self.mains.contains(dir)) {
            return Some(said);
        }
        let binary = entrypoint.and_then(|words| words.first()).map(|path| last(path));
        let inside: Vec<&String> = self.mains.iter().filter(|dir| super::is_below(dir, context)).collect();
        let called = |name: &str| inside.iter().find(|dir| super::is_called(dir, name)).copied();
        match inside.as_slice() {
            [one] => Some((*one).clone()),
            _ if inside.iter().any(|dir| *dir == context) => Some(context.to_owned()),
            _ => binary.and_then(called).or_else(|| called(name)).cloned(),
        }
    }

    /// A command, as a list or as one line.
    fn words(&self, node: &Node) -> Option<Vec<String>> {
        match node.items() {
            items if items.is_empty() => start_sh::plain_words(&self.value(node)?),
            items => items.into_iter().map(|item| self.value(&item)).collect(),
        }
    }

    fn ports(&self, node: &Node, start: &mut Start) {
        let published = node.get("ports").map(|node| node.items()).unwrap_or_default();
        let exposed = node.get("expose").map(|node| node.items()).unwrap_or_default();
        let mut ports = Vec::new();
        for item in if published.is_empty() { exposed } else { published } {
            let (host, inside) = match item.get("target") {
                Some(target) => {
                    (item.get("published").and_then(|node| self.value(&node)), self.value(&target))
                }
                None => {
                    let text = self.value(&item).unwrap_or_default();
                    let mut parts = text.trim_end_matches("/tcp").rsplit(':').map(str::to_owned);
                    let inside = parts.next();
                    (parts.next(), inside)
                }
            };
            if let Some(port) = inside.and_then(|port| port.parse::<u16>().ok()) {
                ports.push((port, host, self.at(&item)));
            }
        }
        match ports.as_slice() {
            [] => {}
            [(port, host, from)] => {
                start.port = Some(Fact { value: *port, from: from.clone() });
                if let Some(host) = host.as_ref().filter(|host| **host != port.to_string()) {
                    start.notes.push(format!("with compose, people reach it on port {host} ({from})"));
                }
            }
            several => {
                let list: Vec<String> = several.iter().map(|(port, _, _)| port.to_string()).collect();
                let list = list.join(", ");
                start.notes.push(format!(
                    "it listens on several ports: {list} ({}); `port` is the one to wait for",
                    several[0].2
                ));
            }
        }
    }

    /// `NAME: value` and `NAME=value`, with those whose values are not known.
    fn pairs(&self, node: &Node) -> Vec<(String, Fact<Option<String>>)> {
        let mut pairs = Vec::new();
        for (key, node) in node.entries() {
            let Some(name) = key.text() else { continue };
            if !node.is_null() {
                pairs.push((name, Fact { value: self.value(&node), from: self.at(&key) }));
            }
        }
        for item in node.items() {
            let Some((name, _)) = item.text().and_then(|text| split(&text)) else { continue };
            let value = self.value(&item).and_then(|text| split(&text)).map(|(_, value)| value);
            pairs.push((name, Fact { value, from: self.at(&item) }));
        }
        pairs
    }

    fn environment(&self, node: &Node, start: &mut Start) {
        for (name, fact) in node.get("environment").map(|node| self.pairs(&node)).unwrap_or_default() {
            if OF_THE_CONTAINER.contains(&name.as_str()) {
                continue;
            }
            let Some(value) = fact.value else {
                start.notes.push(format!("{} sets {name} to something that is not known here", fact.from));
                continue;
            };
            if let Some(host) = self.names.iter().find(|host| names_host(&name, &value, host)) {
                start
                    .remarks
                    .insert(name.clone(), format!("`{host}` is a host of compose; here it is `localhost`"));
            }
            start.env.insert(name, Fact { value, from: fact.from });
        }
    }
}

fn split(text: &str) -> Option<(String, String)> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// The arguments behind the binary: whatever follows the entrypoint, or the rest of the only command there is.
fn arguments_of(
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    image_entrypoint: Option<Vec<String>>,
    image_command: Option<Vec<String>>,
) -> Vec<String> {
    let rest = |words: Vec<String>| words.into_iter().skip(1);
    // An entrypoint in the compose file does away with the command of the image (compose-spec, `entrypoint`).
    let command = if entrypoint.is_some() { command } else { command.or(image_command) };
    match (entrypoint.or(image_entrypoint), command) {
        (Some(first), command) => rest(first).chain(command.unwrap_or_default()).collect(),
        (None, Some(command)) => rest(command).collect(),
        (None, None) => Vec::new(),
    }
}

/// Whether the variable `name` with `value` names the machine `host`.
fn names_host(name: &str, value: &str, host: &str) -> bool {
    if value == host {
        return ["HOST", "ADDR", "SERVER", "ENDPOINT", "URL"]
            .iter()
            .any(|part| name.to_uppercase().contains(part));
    }
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    value.match_indices(host).any(|(at, _)| {
        let (before, after) = (&value[..at], &value[at + host.len()..]);
        let in_url = before.ends_with("//") || before.ends_with('@');
        let begins = before.is_empty() || before.ends_with(['(', ',', '=']);
        let port = after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        !after.starts_with(in_name) && (in_url || begins && port)
    })
}

#[cfg(test)]
mod tests;
