//! Puts together what the foreign files say and which main packages there are: which programs are services, what
//! they are called, and what is known of each. The first file that says something of a service is believed.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use super::port::{self, Source};
use super::{Fact, Found, Program, Start, Tree, env_file, is_below, is_called, last};
use names::{name_all, not_a_service};

/// A main package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// Its directory, relative to the root.
    pub dir: String,
    /// The directory of its module.
    pub module: String,
    /// The path of its module, as in `example.com/shop`.
    pub module_path: String,
    /// Whether `go.work` names its module, or there is none.
    pub in_workspace: bool,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Plan {
    /// The files that something was taken from.
    pub sources: Vec<String>,
    /// Env files for every service.
    pub env_files: Vec<Fact<String>>,
    /// Variables for every service.
    pub env: BTreeMap<String, Fact<String>>,
    /// The services, in order.
    pub services: Vec<Service>,
    /// Main packages that are not taken, and why.
    pub left_out: Vec<(Service, String)>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// A service to be written.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name, unique and fit to be one.
    pub name: String,
    /// The main package; `None` for other programs.
    pub main: Option<Main>,
    /// What was found of it, joined. Its arguments and variables are the first file's alone.
    pub start: Start,
    /// All places where it was found.
    pub from: Vec<String>,
    /// Those of its dependencies that are taken, by their names here.
    pub depends_on: Vec<String>,
}

/// Puts together `founds`, those to be believed first in front. `files` gives the source of a main package: names
/// and texts.
pub fn plan(
    mains: &[Main],
    founds: Vec<Found>,
    tree: &Tree<'_>,
    files: &dyn Fn(&Main) -> Vec<(String, String)>,
) -> Plan {
    let mut plan = Plan::default();
    for mut found in founds {
        plan.notes.append(&mut found.notes);
        for fact in found.env_files {
            add_env_file(&mut plan, fact, tree);
        }
        // Whatever this file starts is another service, even of the same package, but for those of earlier files.
        let earlier = plan.services.len();
        let mut merged = BTreeSet::new();
        for start in found.starts {
            // A second process of the binary that a lone main package has been taken for is one of that, too.
            let may_differ = plan.services.is_empty()
                || plan.services.iter().any(|known| known.start.program == start.program);
            let main = match resolve(&start.program, mains, may_differ) {
                Ok(main) => main,
                Err(what) => {
                    plan.notes.push(format!("{}: {what}", start.from));
                    continue;
                }
            };
            let known: Vec<usize> =
                (0..earlier).filter(|&index| plan.services[index].is(&main, &start)).collect();
            let named =
                |index: &&usize| start.name.is_some() && plan.services[**index].start.name == start.name;
            let open: Vec<usize> = known.iter().copied().filter(|index| !merged.contains(index)).collect();
            match open.iter().find(named).or(open.first()).copied() {
                Some(index) => {
                    merged.insert(index);
                    plan.services[index].join(start);
                }
                None if known.is_empty() => plan.services.push(Service::new(main, start)),
                // How many processes of a program there are, the first file says.
                None => {}
            }
        }
    }
    take_the_rest(&mut plan, mains);
    let mut services = std::mem::take(&mut plan.services);
    name_all(&mut services, &mut plan.left_out);
    depend(&mut services);
    hoist(&mut plan, &mut services, tree);
    for service in &mut services {
        find_port(service, &plan, tree, files);
    }
    separate_ports(&mut services);
    plan.services = services;
    plan
}

impl Service {
    fn new(main: Option<Main>, mut start: Start) -> Service {
        take_port(&mut start);
        rebase(&mut start, main.as_ref());
        if let (Some(main), Some(dir)) =
            (&main, start.dir.as_ref().filter(|dir| main.as_ref().is_some_and(|main| main.module != **dir)))
        {
            start.notes.push(format!(
                "{} starts it in `{}`; here it runs in `{}`, which matters to relative paths",
                start.from,
                written(dir),
                written(&main.module)
            ));
        }
        Service { name: String::new(), main, from: vec![start.from.clone()], start, depends_on: Vec::new() }
    }

    /// Whether `start`, whose main package is `main`, is another word on this service.
    fn is(&self, main: &Option<Main>, start: &Start) -> bool {
        match main {
            Some(_) => self.main == *main,
            None => self.start.program == start.program,
        }
    }

    /// Adds what `other` says and is not known yet.
    fn join(&mut self, mut other: Start) {
        take_port(&mut other);
        rebase(&mut other, self.main.as_ref());
        self.from.push(other.from);
        let known = &mut self.start;
        known.name = known.name.take().or(other.name);
        known.port = known.port.take().or(other.port);
        known.stop = known.stop.take().or(other.stop);
        known.include.append(&mut other.include);
        known.exclude.append(&mut other.exclude);
        known.notes.append(&mut other.notes);
        known.depends_on.append(&mut other.depends_on);
        for (name, fact) in other.env {
            if !known.env.contains_key(&name) {
                known.remarks.extend(other.remarks.remove_entry(&name));
                known.env.insert(name, fact);
            }
        }
    }

    /// The directory that its configuration names, and the package relative to that.
    pub fn place(&self) -> (&str, Option<String>) {
        match &self.main {
            None => (self.start.dir.as_deref().unwrap_or_default(), None),
            Some(main) => {
                let package = main.dir[main.module.len()..].trim_start_matches('/');
                (&main.module, (!package.is_empty()).then(|| format!("./{package}")))
            }
        }
    }
}

/// Makes globs relative to the module that are relative to the directory of the foreign file.
fn rebase(start: &mut Start, main: Option<&Main>) {
    let (Some(main), Some(dir)) = (main, &start.dir) else { return };
    if main.module == *dir {
        return;
    }
    let inside = is_below(dir, &main.module).then(|| dir[main.module.len()..].trim_start_matches('/'));
    for globs in [&mut start.include, &mut start.exclude] {
        match inside {
            Some(inside) => globs.iter_mut().for_each(|glob| *glob = format!("{inside}/{glob}")),
            // Those that name a directory may mean another one here.
            None => globs.retain(|glob| glob.starts_with("**/")),
        }
    }
}

/// Makes the port that is in arguments or variables a fact of its own.
fn take_port(start: &mut Start) {
    let from = &start.from;
    let in_arguments = port::in_arguments(&start.args).map(|value| Fact { value, from: from.clone() });
    let name =
        start.name.clone().unwrap_or_else(|| last(start.dir.as_deref().unwrap_or_default()).to_owned());
    let found = in_arguments.or_else(|| port::in_variables(&name, &start.env));
    start.port = found.or(start.port.take());
}

fn add_env_file(plan: &mut Plan, fact: Fact<String>, tree: &Tree<'_>) {
    if plan.env_files.iter().any(|known| known.value == fact.value) {
        return;
    }
    match env_file(&fact.value, tree) {
        Ok(_) => plan.env_files.push(fact),
        Err(error) => {
            plan.notes.push(format!("`{}` ({}) is left out of `env_files`: {error}", fact.value, fact.from));
        }
    }
}

/// The main package that is meant; `None` for other programs. The error says what there is instead. Where there is
/// one main package only, a binary that `may_differ` is that, whatever its name.
fn resolve(program: &Program, mains: &[Main], may_differ: bool) -> Result<Option<Main>, String> {
    match program {
        Program::Package(dir) => match mains.iter().find(|main| main.dir == *dir) {
            Some(main) => Ok(Some(main.clone())),
            None => Err(format!("there is no main package in `{}`", if dir.is_empty() { "." } else { dir })),
        },
        Program::Binary(file) => {
            let named = |main: &&Main| {
                is_called(&main.dir, last(file)) || is_below(file, &main.dir) && !main.dir.is_empty()
            };
            let mut found = mains.iter().filter(named);
            match (found.next(), found.next(), mains) {
                (Some(main), None, _) => Ok(Some(main.clone())),
                (None, None, [main]) if may_differ => Ok(Some(main.clone())),
                _ => Err(format!("which main package `{file}` is built from is not known")),
            }
        }
        Program::Command(_) => Ok(None),
    }
}

/// Main packages that no foreign file starts: services where there is no such file, suggestions where there is.
fn take_the_rest(plan: &mut Plan, mains: &[Main]) {
    let known: Vec<Main> = plan.services.iter().filter_map(|service| service.main.clone()).collect();
    let rest: Vec<&Main> = mains.iter().filter(|main| !known.contains(main)).collect();
    let all_are_tools = rest.iter().all(|main| not_a_service(&main.dir).is_some());
    let nothing_known = plan.services.is_empty();
    for main in rest {
        let start = Start::new("go list".to_owned(), None, Program::Package(main.dir.clone()));
        let service = Service::new(Some(main.clone()), start);
        let outside = (!main.in_workspace).then(|| "go.work does not name its module".to_owned());
        match outside.or_else(|| not_a_service(&main.dir)).filter(|_| !(nothing_known && all_are_tools)) {
            Some(why) => plan.left_out.push((service, why)),
            None if nothing_known => plan.services.push(service),
            None => plan.left_out.push((service, "nothing starts it".to_owned())),
        }
    }
}

/// Replaces the foreign names of dependencies; those that are no services here fall away.
fn depend(services: &mut [Service]) {
    let names: BTreeMap<String, String> = services
        .iter()
        .filter_map(|service| Some((service.start.name.clone()?, service.name.clone())))
        .collect();
    for service in services {
        let own = &service.name;
        let mapped =
            service.start.depends_on.iter().filter_map(|name| names.get(name)).filter(|name| *name != own);
        let unique: BTreeSet<&String> = mapped.collect();
        service.depends_on = unique.into_iter().cloned().collect();
    }
}

/// Moves what all services have in common to the top.
fn hoist(plan: &mut Plan, services: &mut [Service], tree: &Tree<'_>) {
    let Some((first, others)) = services.split_first() else { return };
    if !others.is_empty() {
        let common = |(name, fact): &(&String, &Fact<String>)| {
            others.iter().all(|other| other.start.env.get(*name) == Some(fact))
        };
        plan.env =
            first.start.env.iter().filter(common).map(|(name, fact)| (name.clone(), fact.clone())).collect();
    }
    let has =
        |service: &Service, path: &String| service.start.env_files.iter().any(|file| file.value == *path);
    let common: Vec<Fact<String>> = first
        .start
        .env_files
        .iter()
        .filter(|file| others.iter().all(|other| has(other, &file.value)))
        .cloned()
        .collect();
    for service in services {
        service.start.env.retain(|name, _| !plan.env.contains_key(name));
        for file in &service.start.env_files {
            if !common.iter().any(|known| known.value == file.value) {
                service.start.notes.push(format!(
                    "`{}` ({}) is for this service alone, while `env_files` are for all; put what it needs into `env`",
                    file.value, file.from
                ));
            }
        }
    }
    for fact in common {
        add_env_file(plan, fact, tree);
    }
}

fn find_port(
    service: &mut Service,
    plan: &Plan,
    tree: &Tree<'_>,
    files: &dyn Fn(&Main) -> Vec<(String, String)>,
) {
    let (Some(main), None) = (&service.main, &service.start.port) else { return };
    let mut variables = BTreeMap::new();
    for file in &plan.env_files {
        for (name, value) in env_file(&file.value, tree).unwrap_or_default() {
            let from = format!("{name} in {}", file.value);
            variables.insert(name, Fact { value, from });
        }
    }
    variables.extend(plan.env.clone());
    variables.extend(service.start.env.clone());
    let lookup = |name: &str| variables.get(name).cloned();
    match port::in_source(&service.name, &files(main), &lookup) {
        Source::Port(fact) => service.start.port = Some(fact),
        Source::Unsure(note) => service.start.notes.push(note),
        Source::Silent => {
            // A variable with the service's name; plain `PORT` would be everybody's.
            variables.retain(|name, _| port::is_own(name));
            service.start.port = port::in_variables(&service.name, &variables);
        }
    }
}

/// How many services a note names that have the same port.
const NAMED: usize = 3;

/// Two services cannot have one port: then it is known of neither.
fn separate_ports(services: &mut [Service]) {
    let mut users: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for service in services.iter() {
        if let Some(port) = &service.start.port {
            users.entry(port.value).or_default().push(service.name.clone());
        }
    }
    for service in services {
        let shared = |port: &Fact<u16>| users.get(&port.value).is_some_and(|names| names.len() > 1);
        if let Some(port) = service.start.port.take_if(|port| shared(port)) {
            let others = users[&port.value].iter().filter(|name| **name != service.name);
            let others: Vec<String> = others.map(|name| format!("`{name}`")).collect();
            let (named, left) = others.split_at(others.len().min(NAMED));
            let left = if left.is_empty() { String::new() } else { format!(" and {} more", left.len()) };
            service.start.notes.push(format!(
                "port {} ({}) is also that of {}{left}; give each its own, and set `port`",
                port.value,
                port.from,
                named.join(", ")
            ));
        }
    }
}

/// `path`, which is relative to `dir`, as the file at the root writes it.
pub fn written(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

#[cfg(test)]
mod tests;
