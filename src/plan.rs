//! Which services a batch of changes concerns, and what it leads to for each. Knows which directory belongs to
//! which service, and keeps the digest of each service's inputs. Pure: contents arrive as data.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::change::{Change, Digest};
use crate::classify::{Class, classify, is_go_source};
use crate::config::{Config, Patterns};

/// Who is built from what.
#[derive(Debug, Clone)]
pub struct Plan {
    patterns: Vec<Patterns>,
    /// One per service, by index. They start at nothing: only their differences are ever looked at.
    digests: Vec<Digest>,
    areas: Vec<Area>,
}

/// A directory that belongs to a service.
#[derive(Debug, Clone)]
struct Area {
    service: usize,
    /// The directory, canonical.
    dir: PathBuf,
    /// Whether a link in the service's directory leads here.
    linked: bool,
    /// Whether it is the top of a Go module: then what is in it is no part of a module around it.
    is_module: bool,
    /// Where the service sees it, relative to its own directory: empty but for links.
    prefix: PathBuf,
    /// The same for messages, as the config writes it.
    shown: PathBuf,
}

/// A service that a batch concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// Its index.
    pub service: usize,
    /// The changed files, as they are shown to the user.
    pub paths: Vec<String>,
    /// The identity of all its inputs now.
    pub digest: Digest,
}

impl Plan {
    /// The plan for `config`'s services.
    pub fn new(config: &Config) -> Plan {
        let area = |(service, at): (usize, &crate::config::Service)| Area {
            service,
            dir: at.dir.clone(),
            linked: false,
            is_module: at.is_module,
            prefix: PathBuf::new(),
            shown: Path::new(&at.dir_as_written)
                .components()
                .filter(|&part| part != Component::CurDir)
                .collect(),
        };
        Plan {
            patterns: config.services.iter().map(|service| service.patterns.clone()).collect(),
            digests: vec![Digest::default(); config.services.len()],
            areas: config.services.iter().enumerate().map(area).collect(),
        }
    }

    /// Takes note that the link at `link` leads to the directory `target`; it belongs to whom the link belongs.
    pub fn add_link(&mut self, link: &Path, target: &Path) {
        let linked = |(area, relative): (&Area, PathBuf)| Area {
            service: area.service,
            dir: target.to_owned(),
            linked: true,
            is_module: false,
            shown: area.shown.join(&relative),
            prefix: relative,
        };
        let linked: Vec<Area> = self.owners(link).into_iter().map(linked).collect();
        self.areas.extend(linked);
    }

    /// Whether any service may be built from a file of this path. Asked for every file of the tree while it is
    /// first read, so what most files fail by comes first.
    pub fn may_count(&self, path: &Path) -> bool {
        let is_go = path.file_name().and_then(|name| name.to_str()).is_some_and(is_go_source);
        if !is_go && self.patterns.iter().all(|patterns| patterns.include.is_empty()) {
            return false;
        }
        let owners = self.owners(path);
        // Behind a link nobody owns the path until the link is known.
        if owners.is_empty() { is_go } else { owners.iter().any(|owner| self.counts(owner)) }
    }

    /// The services that `changes` concern, with their new digests.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<Affected> {
        let mut paths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for change in changes {
            for (service, shown) in self.counting(&change.path) {
                self.digests[service].apply(change);
                paths.entry(service).or_default().push(shown);
            }
        }
        let affected = |(service, paths)| Affected { service, paths, digest: self.digests[service] };
        paths.into_iter().map(affected).collect()
    }

    /// The services that are built from `path`, each once, and how each of them shows it.
    pub fn counting(&self, path: &Path) -> BTreeMap<usize, String> {
        let mut shown = BTreeMap::new();
        for (area, relative) in self.owners(path).into_iter().filter(|owner| self.counts(owner)) {
            let inside = relative.strip_prefix(&area.prefix).unwrap_or(&relative);
            shown.entry(area.service).or_insert_with(|| area.shown.join(inside).display().to_string());
        }
        shown
    }

    fn counts(&self, (area, relative): &(&Area, PathBuf)) -> bool {
        classify(relative, &self.patterns[area.service]) == Class::Source
    }

    /// Whom `path` belongs to, each with the path relative to its service's directory. Of nested directories
    /// the inner ones come first, and those around a module have no part in what is in it.
    fn owners(&self, path: &Path) -> Vec<(&Area, PathBuf)> {
        let mut holders: Vec<&Area> = self.areas.iter().filter(|area| path.starts_with(&area.dir)).collect();
        holders.sort_by_key(|area| std::cmp::Reverse(area.dir.as_os_str().len()));
        let module = holders.iter().copied().find(|area| area.is_module && !area.linked);
        let around = |area: &Area| {
            module.is_some_and(|module| area.dir != module.dir && module.dir.starts_with(&area.dir))
        };
        holders.retain(|area| area.linked || !around(area));
        let relative = |area: &Area| area.prefix.join(path.strip_prefix(&area.dir).unwrap_or(path));
        holders.into_iter().map(|area| (area, relative(area))).collect()
    }
}

/// Names at most three of `paths`.
pub fn list(paths: &[String]) -> String {
    match paths {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} more files", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Content;

    fn plan(services: &[(&str, &str)]) -> Plan {
        let area = |(service, (dir, shown)): (usize, &(&str, &str))| Area {
            service,
            dir: PathBuf::from(dir),
            linked: false,
            is_module: !dir.ends_with("-part"),
            prefix: PathBuf::new(),
            shown: PathBuf::from(shown),
        };
        Plan {
            patterns: vec![Patterns::default(); services.len()],
            digests: vec![Digest::default(); services.len()],
            areas: services.iter().enumerate().map(area).collect(),
        }
    }

    fn created(path: &str) -> Change {
        Change { path: path.into(), before: None, after: Some(Content::of(path.as_bytes())) }
    }

    fn affected(plan: &mut Plan, paths: &[&str]) -> Vec<(usize, String)> {
        let changes: Vec<_> = paths.iter().map(|path| created(path)).collect();
        plan.apply(&changes).into_iter().map(|one| (one.service, one.paths.join(" "))).collect()
    }

    #[test]
    fn a_change_concerns_whom_it_lies_with() {
        let services = [("/p", ""), ("/p/a", "a"), ("/p/ab", "ab"), ("/p/a", "a"), ("/p/b-part", "b-part")];
        let mut plan = plan(&services);
        let table: &[(&str, &[(usize, &str)])] = &[
            ("/p/x.go", &[(0, "x.go")]),
            ("/p/a/x.go", &[(1, "a/x.go"), (3, "a/x.go")]),
            ("/p/ab/x.go", &[(2, "ab/x.go")]),
            // No module of its own: the module around it may import it.
            ("/p/b-part/x.go", &[(0, "b-part/x.go"), (4, "b-part/x.go")]),
            ("/p/a/x_test.go", &[]),
            ("/q/x.go", &[]),
        ];
        for (path, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|&(service, path)| (service, path.to_owned())).collect();
            assert_eq!(affected(&mut plan, &[path]), expected, "{path}");
            assert_eq!(plan.may_count(Path::new(path)), !expected.is_empty() || path.starts_with("/q"));
        }
    }

    #[test]
    fn linked_directories_belong_to_whom_the_link_belongs() {
        let mut plan = plan(&[("/p/a", "services/a"), ("/p/b", "services/b")]);
        plan.add_link(Path::new("/p/a/shared"), Path::new("/p/lib"));
        plan.add_link(Path::new("/p/b/x/lib"), Path::new("/p/lib"));
        let expected = [(0, "services/a/shared/y.go".to_owned()), (1, "services/b/x/lib/y.go".to_owned())];
        assert_eq!(affected(&mut plan, &["/p/lib/y.go"]), expected);
    }

    #[test]
    fn a_directory_of_one_service_may_be_linked_into_another_and_counts_once_each() {
        let mut plan = plan(&[("/p/a", "a"), ("/p/b", "b")]);
        plan.add_link(Path::new("/p/a/shared"), Path::new("/p/b/pkg"));
        plan.add_link(Path::new("/p/b/again"), Path::new("/p/b/pkg"));
        let both = [(0, "a/shared/y.go".to_owned()), (1, "b/again/y.go".to_owned())];
        assert_eq!(affected(&mut plan, &["/p/b/pkg/y.go"]), both);
    }

    #[test]
    fn only_the_services_of_a_batch_are_affected_and_there_and_back_is_the_same() {
        let mut plan = plan(&[("/p/a", "a"), ("/p/b", "b")]);
        let first = plan.apply(&[created("/p/a/1.go"), created("/p/a/2.go")]).remove(0);
        assert_eq!(first.paths, ["a/1.go", "a/2.go"]);
        let gone = Change { after: None, before: created("/p/a/2.go").after, ..created("/p/a/2.go") };
        let second = plan.apply(&[gone]).remove(0);
        assert_ne!(first.digest, second.digest);
        assert_eq!(plan.apply(&[created("/p/a/2.go")])[0].digest, first.digest);
    }
}
