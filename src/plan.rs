//! What a batch of changes leads to, service by service. Brings together what belongs to a service (its program
//! by the package graph, otherwise the Go sources in its directory, and what its config names) and keeps the
//! digest of all its inputs. Pure: contents and listings arrive as data.

mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::area::Areas;
use crate::change::{Change, Content, Digest};
use crate::classify::is_go_source;
use crate::config::{Build, Config, Patterns, Service, Step};
use crate::graph::{Asked, Graph, Listing, Role};
use crate::source::Head;
pub use outcome::{Affected, Idle, Lead, Outcome};

/// Who is built from what.
#[derive(Debug)]
pub struct Plan {
    /// The project's directory, for messages.
    root: PathBuf,
    areas: Areas,
    graph: Graph,
    services: Vec<Inputs>,
}

/// What is kept of a service.
#[derive(Debug)]
struct Inputs {
    patterns: Patterns,
    steps: Vec<Step>,
    /// Whether every Go source in its directory counts, as long as its program is not known.
    by_directory: bool,
    /// Files that say which modules there are, while no listing can.
    module_files: BTreeSet<PathBuf>,
    /// Files that count by their names since they appeared; no listing has told of them yet.
    appeared: BTreeSet<PathBuf>,
    /// Of what its program is made of. Without a listing it starts at nothing: only differences are ever looked
    /// at.
    program: Digest,
    /// Of everything else that counts; starts at nothing as well.
    others: Digest,
}

/// What a file is to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// The program is made of it.
    pub program: bool,
    /// The config names it: what runs may read it by itself.
    pub included: bool,
    /// A step before the build writes it.
    pub generated: bool,
    /// A step before the build reads it.
    pub feeds: bool,
    /// It says which modules there are.
    pub is_module_file: bool,
    /// It belongs to a package of the program, but is not built in.
    pub idle: Option<Idle>,
}

impl Part {
    fn counts(self) -> bool {
        self.program || self.included || self.feeds
    }

    /// Whether `change` may have other files belong to the program.
    fn decides(self, change: &Change) -> bool {
        self.is_module_file
            || ((self.program || self.idle == Some(Idle::Excluded)) && change.changes_the_head())
    }
}

impl Plan {
    /// The plan for `config`'s services, of which those in `listed` will have a listing. For the others all Go
    /// sources in their directories count.
    pub fn new(config: &Config, listed: &BTreeSet<usize>) -> Plan {
        let inputs = |(index, service): (usize, &Service)| Inputs {
            patterns: service.patterns.clone(),
            steps: service.pre_build.clone(),
            by_directory: service.build != Build::None && !listed.contains(&index),
            module_files: BTreeSet::new(),
            appeared: BTreeSet::new(),
            program: Digest::default(),
            others: Digest::default(),
        };
        Plan {
            root: config.root.clone(),
            areas: Areas::new(config),
            graph: Graph::new(config.services.len()),
            services: config.services.iter().enumerate().map(inputs).collect(),
        }
    }

    /// Gives each service the digest that its inputs had before, in another plan. What comes next is a change of
    /// that.
    pub fn go_on_from(&mut self, digests: Vec<Digest>) {
        for (service, digest) in self.services.iter_mut().zip(digests) {
            service.others = digest;
        }
    }

    /// The package graph, as far as it is known.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Takes note that the link at `link` leads to the directory `target`.
    pub fn add_link(&mut self, link: &Path, target: &Path) {
        self.areas.add_link(link, target);
    }

    /// Takes in a listing; see [`Graph::set`].
    pub fn list(&mut self, query: usize, listing: Listing, asked: &Asked) {
        self.graph.set(query, listing, asked);
        for &(service, _) in asked {
            let listed = self.graph.watched_files(service);
            let inputs = &mut self.services[service];
            inputs.module_files.clear();
            inputs.appeared.retain(|path| !listed.contains(path));
        }
    }

    /// Counts every Go source in the directory of `service` as long as its program is not known.
    pub fn go_by_directory(&mut self, service: usize) {
        self.services[service].by_directory = true;
    }

    /// Takes note that `service` cannot be listed as long as these `module_files` are as they are.
    pub fn cannot_list(&mut self, service: usize, module_files: &BTreeSet<PathBuf>) {
        self.services[service].module_files.clone_from(module_files);
    }

    /// The files of which [`Plan::apply`] takes a change for one of `service`, as far as a listing may name them.
    pub fn counted(&self, service: usize) -> BTreeSet<PathBuf> {
        let Inputs { module_files, appeared, .. } = &self.services[service];
        let listed = self.graph.watched_files(service).into_iter();
        listed.chain(module_files.iter().cloned()).chain(appeared.iter().cloned()).collect()
    }

    /// Whether the file `path` has to be looked at.
    pub fn is_of_interest(&self, path: &Path) -> bool {
        self.parts(path).values().any(|part| part.counts() || part.generated || part.idle.is_some())
    }

    /// Adds up anew what the program of `service` is made of, after a listing; `content` tells what is known of
    /// a file. Returns the digest of all its inputs before and after: they differ when other files belong to it,
    /// which is no change of a file.
    pub fn rebase(&mut self, service: usize, content: &dyn Fn(&Path) -> Option<Content>) -> (Digest, Digest) {
        let before = self.digest(service);
        if self.graph.knows(service) {
            let mut program = Digest::default();
            for path in self.graph.files(service) {
                content(&path).into_iter().for_each(|content| program.add(&path, content));
            }
            program.add(Path::new(""), Content::of(&self.graph.identity(service).to_le_bytes()));
            self.services[service].program = program;
        }
        (before, self.digest(service))
    }

    /// The identity of all inputs of `service`.
    pub fn digest(&self, service: usize) -> Digest {
        let inputs = &self.services[service];
        inputs.program.with(inputs.others)
    }

    /// The services that `changes` concern.
    pub fn apply(&mut self, changes: &[Change]) -> Outcome {
        let mut outcome = Outcome::default();
        for change in changes {
            let before = self.parts(&change.path);
            self.graph.learn(&change.path, change.head.as_ref());
            for (service, part) in self.parts(&change.path) {
                // What is not there is no part of anything, whatever its name.
                let part = if change.after.is_some() { part } else { Part::default() };
                let was =
                    before.get(&service).copied().filter(|_| change.before.is_some()).unwrap_or_default();
                self.count(service, change, was, part);
                let appeared = &mut self.services[service].appeared;
                match (change.before, change.after) {
                    (None, Some(_)) => drop(appeared.insert(change.path.clone())),
                    (_, None) => drop(appeared.remove(&change.path)),
                    _ => {}
                }
                let Some(lead) = lead(change, was, part) else { continue };
                if lead != Lead::Cosmetic && part.feeds {
                    outcome.steps.extend(self.fed(service, &change.path).map(|step| (service, step)));
                }
                if was.decides(change) || part.decides(change) {
                    outcome.relist.insert(service);
                }
                let paths = vec![self.shown(service, &change.path)];
                outcome.absorb_one(Affected { service, paths, lead });
            }
        }
        outcome
    }

    fn count(&mut self, service: usize, change: &Change, before: Part, after: Part) {
        let Inputs { program, others, .. } = &mut self.services[service];
        for (part, content, add) in [(before, change.before, false), (after, change.after, true)] {
            let Some(content) = content.filter(|_| part.counts()) else { continue };
            let digest = if part.program { &mut *program } else { &mut *others };
            if add {
                digest.add(&change.path, content);
            } else {
                digest.remove(&change.path, content);
            }
        }
    }

    /// The services that the file `path` is something to that a save of it may matter for, and how each of them
    /// shows it; with the reason where it is not built in.
    pub fn concerned(&self, path: &Path) -> BTreeMap<usize, (String, Option<Idle>)> {
        let of_interest = |(service, part): (usize, Part)| {
            let idle = part.idle.filter(|_| !part.counts());
            (part.counts() || idle.is_some()).then(|| (service, (self.shown(service, path), idle)))
        };
        self.parts(path).into_iter().filter_map(of_interest).collect()
    }

    /// Takes note of what the head of the file `path` says; see [`Graph::learn`].
    pub fn learn(&mut self, path: &Path, head: Option<&Head>) {
        self.graph.learn(path, head);
    }

    /// What the file `path` is to `service`.
    pub fn part(&self, service: usize, path: &Path) -> Part {
        self.parts(path).get(&service).copied().unwrap_or_default()
    }

    /// Whether the config of `service` says that the file `path` does not count.
    pub fn leaves_out(&self, service: usize, path: &Path) -> bool {
        let mut owners = self.areas.owners(path).into_iter().filter(|owner| owner.service == service);
        owners.any(|owner| self.services[service].patterns.exclude.is_match(&owner.relative))
    }

    /// The steps of `service` that read the file `path`.
    fn fed(&self, service: usize, path: &Path) -> impl Iterator<Item = usize> {
        let owners = self.areas.owners(path).into_iter().filter(|owner| owner.service == service);
        let relative: Vec<PathBuf> = owners.map(|owner| owner.relative).collect();
        let steps = self.services[service].steps.iter().enumerate();
        let fed = steps.filter(|(_, step)| relative.iter().any(|path| step.inputs.is_match(path)));
        fed.map(|(index, _)| index).collect::<Vec<_>>().into_iter()
    }

    /// What the file `path` is to the services that it is anything to.
    fn parts(&self, path: &Path) -> BTreeMap<usize, Part> {
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        let mut excluded = BTreeSet::new();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        for owner in self.areas.owners(path) {
            let inputs = &self.services[owner.service];
            let part = parts.entry(owner.service).or_default();
            if inputs.patterns.exclude.is_match(&owner.relative) {
                excluded.insert(owner.service);
                continue;
            }
            let by_directory = inputs.by_directory && !self.graph.knows(owner.service);
            part.program |= by_directory && is_go_source(name);
            part.included |= inputs.patterns.include.is_match(&owner.relative);
            part.generated |= inputs.steps.iter().any(|step| step.outputs.is_match(&owner.relative));
            part.feeds |= inputs.steps.iter().any(|step| step.inputs.is_match(&owner.relative));
        }
        for (service, inputs) in self.services.iter().enumerate() {
            if inputs.module_files.contains(path) {
                let part = parts.entry(service).or_default();
                (part.program, part.is_module_file) = (true, true);
            }
            match self.graph.role(service, path) {
                Role::None => {}
                Role::Source => parts.entry(service).or_default().program = true,
                Role::Module => {
                    let part = parts.entry(service).or_default();
                    (part.program, part.is_module_file) = (true, true);
                }
                Role::Test => parts.entry(service).or_default().idle = Some(Idle::Test),
                Role::Excluded => parts.entry(service).or_default().idle = Some(Idle::Excluded),
            }
        }
        parts.retain(|service, part| !excluded.contains(service) && *part != Part::default());
        parts
    }

    /// How the file `path` is shown where `service` is concerned.
    pub fn shown(&self, service: usize, path: &Path) -> String {
        let owner = self.areas.owners(path).into_iter().find(|owner| owner.service == service);
        let shown = owner
            .map_or_else(|| path.strip_prefix(&self.root).unwrap_or(path).to_owned(), |owner| owner.shown);
        shown.display().to_string()
    }
}

/// What `change` leads to for a service to which the file `was` and now `is` a part; nothing when it is, and was,
/// none.
fn lead(change: &Change, was: Part, is: Part) -> Option<Lead> {
    match (was.counts(), is.counts()) {
        (true, true) if change.is_cosmetic() => Some(Lead::Cosmetic),
        (false, false) => is.idle.or(was.idle).map(Lead::Idle),
        _ => {
            let restart = was.included || is.included;
            Some(Lead::Build { restart, generated: is.generated && !restart })
        }
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
mod tests;
