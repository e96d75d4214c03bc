//! What services are called, and which programs are plainly none, both by where they lie.

use std::collections::{BTreeMap, BTreeSet};

use super::super::last;
use super::Service;
use crate::name::Name;

/// Why a main package at `dir` is plainly no service.
pub fn not_a_service(dir: &str) -> Option<String> {
    const SUCH: [&str; 18] = [
        "tools",
        "tool",
        "scripts",
        "script",
        "hack",
        "examples",
        "example",
        "samples",
        "build",
        "ci",
        "e2e",
        "docs",
        "mocks",
        "benchmark",
        "benchmarks",
        "bench",
        "integration",
        "contrib",
    ];
    const NAMES: [&str; 7] = ["migrate", "migrations", "migration", "seed", "seeder", "cli", "healthcheck"];
    let name = last(dir).to_lowercase();
    let generates = |part: &str| part.starts_with("gen") || part.ends_with("gen") || part.contains("-gen-");
    for part in dir.split('/') {
        if SUCH.contains(&part) || part.starts_with("test") {
            return Some(format!("it is a part of `{part}`"));
        }
        if generates(part) {
            return Some(format!("`{part}` seems to be about generated code"));
        }
    }
    let tool = NAMES.contains(&name.as_str())
        || name.ends_with("ctl")
        || name.ends_with("cli")
        || name.starts_with("migrate");
    tool.then(|| "it seems to be a tool that ends by itself".to_owned())
}

/// Gives every service a name of its own.
pub fn name_all(services: &mut [Service], left_out: &mut [(Service, String)]) {
    let mut taken = BTreeSet::new();
    let all: Vec<Service> =
        services.iter().chain(left_out.iter().map(|(service, _)| service)).cloned().collect();
    let own = |service: &Service| {
        let same_main = |other: &&Service| service.main.is_some() && other.main == service.main;
        let several = all.iter().filter(same_main).count() > 1;
        let log = service.start.log.clone().filter(|_| several);
        service.start.name.clone().or(log).unwrap_or_else(|| own_name(service, &all))
    };
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    all.iter().for_each(|service| *uses.entry(own(service)).or_default() += 1);
    for service in services.iter_mut().chain(left_out.iter_mut().map(|(service, _)| service)) {
        let mut wanted = own(service);
        if uses[&wanted] > 1 && service.start.name.is_none() {
            wanted = longer_name(service, &wanted);
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let wanted: String = wanted.chars().map(|c| if fine(c) { c } else { '-' }).take(60).collect();
        let wanted = wanted.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let wanted = if Name::parse(wanted).is_ok() { wanted } else { "service" };
        let numbered =
            std::iter::once(wanted.to_owned()).chain((2..).map(|number| format!("{wanted}-{number}")));
        service.name = numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(service.name.clone());
    }
}

/// Directories that say what lies in them and not what it is called.
const GENERAL: [&str; 8] = ["cmd", "main", "src", "server", "app", "apps", "service", "services"];

/// The name that the place of a program gives it.
fn own_name(service: &Service, all: &[Service]) -> String {
    let Some(main) = &service.main else { return last(service.place().0).to_owned() };
    let version = |part: &str| part.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    let module = main.module_path.split('/').rfind(|part| !version(part)).unwrap_or_default();
    let telling = main.dir.split('/').rfind(|part| !part.is_empty() && !GENERAL.contains(part));
    // The root, and `cmd/server` where there is no other program, are called after their module.
    let mut mains = all.iter().filter_map(|other| other.main.as_ref());
    let alone = mains.all(|other| other.module != main.module || other.dir == main.dir);
    let names = [telling, alone.then_some(module), Some(last(&main.dir)), Some(module)];
    names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or("service").to_owned()
}

/// The name with that of the directory above in front: `users/api` and `orders/api` are not one.
fn longer_name(service: &Service, name: &str) -> String {
    let above = service
        .main
        .iter()
        .flat_map(|main| main.dir.split('/').rev().skip_while(|part| *part != name).skip(1));
    match above.into_iter().find(|part| !part.is_empty() && !GENERAL.contains(part)) {
        Some(above) => format!("{above}-{name}"),
        None => name.to_owned(),
    }
}
