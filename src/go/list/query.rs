//! What is asked of `go list`: which services can be asked about at once, where, and by which patterns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Service;
use crate::go::command::{self, Target};
use crate::graph::Asked;

/// One run of `go list`: what several services can be asked about at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where it runs: the top of the workspace or module, or where the build runs.
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<String, String>,
    pub(super) flags: Vec<String>,
    /// The packages to list, as arguments.
    pub(super) patterns: Vec<String>,
}

/// The queries that tell everything about `services`, each with whom it tells of.
pub fn queries(services: &[Service]) -> Vec<(Query, Asked)> {
    let mut queries: Vec<(Query, Asked)> = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let Some(target) = command::target(service) else { continue };
        let query = Query::of(service, target);
        let asked = (index, query.patterns.clone());
        match queries.iter_mut().find(|(other, _)| other.takes(&query)) {
            Some((shared, members)) => {
                shared.patterns.extend(query.patterns);
                members.push(asked);
            }
            None => queries.push((query, vec![asked])),
        }
    }
    queries
}

impl Query {
    fn of(service: &Service, target: Target) -> Query {
        let dir = service.dir.join(&target.dir);
        let relative =
            |package: &String| package == "." || package.starts_with("./") || package.starts_with("../");
        let top = top(&dir, service.env.get("GOWORK").map(String::as_str));
        // A file, or a package that is named by its import path, means something in its own directory only.
        let (dir, patterns) = match top {
            Some(top)
                if target.packages.iter().all(|package| relative(package) && !package.ends_with(".go")) =>
            {
                let pattern = |package: &String| pattern(&dir.join(package), &top);
                let patterns = target.packages.iter().map(pattern).collect();
                (top, patterns)
            }
            _ => (dir, target.packages),
        };
        let ours = |(name, _): &(&String, &String)| {
            name.starts_with("GO") || name.starts_with("CGO") || *name == "PATH"
        };
        let env =
            service.env.iter().filter(ours).map(|(name, value)| (name.clone(), value.clone())).collect();
        Query { dir, env, flags: target.flags, patterns }
    }

    /// Whether `other` can be asked in the same run. Files cannot be listed beside packages, and patterns that
    /// match several packages, or import paths, say too little about whom they were asked for.
    fn takes(&self, other: &Query) -> bool {
        let single =
            |pattern: &String| (pattern == "." || pattern.starts_with("./")) && !pattern.contains("...");
        let plain =
            |query: &Query| query.patterns.iter().all(|pattern| single(pattern) && !pattern.ends_with(".go"));
        (&self.dir, &self.env, &self.flags) == (&other.dir, &other.env, &other.flags)
            && plain(self)
            && plain(other)
    }
}

/// `./path` from `top` to `package`, as the go command writes it when it says what a pattern has matched.
fn pattern(package: &Path, top: &Path) -> String {
    let package = package.canonicalize().unwrap_or_else(|_| package.to_owned());
    match package.strip_prefix(top) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => format!("./{}", below.display()),
        Err(_) => package.display().to_string(),
    }
}

/// The directory of the workspace that `dir` belongs to, otherwise that of its module; found as the go command
/// does (cmd/go/internal/modload/init.go).
fn top(dir: &Path, gowork: Option<&str>) -> Option<PathBuf> {
    let holds = |name: &str| dir.ancestors().find(|dir| dir.join(name).is_file()).map(Path::to_owned);
    let inherited = std::env::var("GOWORK").unwrap_or_default();
    match gowork.unwrap_or(&inherited) {
        "" => holds("go.work").or_else(|| holds("go.mod")),
        "off" => holds("go.mod"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn services_of_one_workspace_are_asked_about_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for sub in ["space/a/cmd/x", "space/b", "alone/cmd/y"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        for file in ["space/go.work", "space/a/go.mod", "space/b/go.mod", "alone/go.mod"] {
            fs::write(root.join(file), "").unwrap();
        }
        let text = "[[service]]\nname = \"x\"\ndir = \"space/a\"\npackage = \"./cmd/x\"\n\
                    [[service]]\nname = \"b\"\ndir = \"space/b\"\n\
                    [[service]]\nname = \"tagged\"\ndir = \"space/b\"\n\
                    build = [\"go\", \"build\", \"-tags\", \"dev\", \"-o\", \"{out}\"]\n\
                    [[service]]\nname = \"off\"\ndir = \"space/b\"\nenv = { GOWORK = \"off\" }\n\
                    [[service]]\nname = \"y\"\ndir = \"alone/cmd/y\"\n\
                    [[service]]\nname = \"path\"\ndir = \"alone\"\npackage = \"example.com/alone/cmd/y\"\n\
                    [[service]]\nname = \"made\"\ndir = \"alone\"\nbuild = [\"make\", \"{out}\"]\n";
        let config = crate::config::parse(text, Path::new("hotwatch.toml"), &root, &|_| None).unwrap();
        let queries = queries(&config.services).into_iter().map(|(query, asked)| {
            let services: Vec<_> =
                asked.iter().map(|(index, _)| config.services[*index].name.as_str()).collect();
            let dir = query.dir.strip_prefix(&root).unwrap().display().to_string();
            format!(
                "{dir}: {} {} for {}",
                query.flags.join(" "),
                query.patterns.join(" "),
                services.join(" ")
            )
        });
        assert_eq!(
            queries.collect::<Vec<_>>(),
            [
                "space:  ./a/cmd/x ./b for x b",
                "space: -tags=dev ./b for tagged",
                "space/b:  . for off",
                "alone:  ./cmd/y for y",
                "alone:  example.com/alone/cmd/y for path",
            ]
        );
    }
}
