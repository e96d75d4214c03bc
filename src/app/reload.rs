//! What an edit of the configuration means for what runs: who joins, who leaves, and what becomes of those that
//! stay. Pure.

use std::collections::BTreeMap;

use crate::config::{Build, Config, Service};
use crate::name::Name;
use crate::service::Renewal;

/// What becomes of a service whose entry or environment changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It goes on as it is; the new settings count from now on.
    Live,
    /// Its process is started anew.
    Restart,
    /// Its binary is built anew as well.
    Rebuild,
}

impl From<How> for Renewal {
    fn from(how: How) -> Renewal {
        match how {
            How::Live => Renewal::None,
            How::Restart => Renewal::Restart,
            How::Rebuild => Renewal::Rebuild,
        }
    }
}

/// The difference between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Services that are no longer there.
    pub gone: Vec<Name>,
    /// Services that are new.
    pub new: Vec<Name>,
    /// Services that differ, and how much.
    pub changed: BTreeMap<Name, How>,
    /// Settings that take effect at the next start only.
    pub later: Vec<&'static str>,
    /// Whether anything else differs.
    pub others: bool,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// Compares `old` and `new`.
pub fn compare(old: &Config, new: &Config) -> Difference {
    let find =
        |config: &Config, name: &Name| config.services.iter().position(|service| service.name == *name);
    let names =
        |config: &Config| config.services.iter().map(|service| service.name.clone()).collect::<Vec<_>>();
    let mut difference = Difference {
        gone: names(old).into_iter().filter(|name| find(new, name).is_none()).collect(),
        new: names(new).into_iter().filter(|name| find(old, name).is_none()).collect(),
        others: (&old.files, old.quiet) != (&new.files, new.quiet) || names(old) != names(new),
        ..Difference::default()
    };
    difference.later.extend((old.log_dir != new.log_dir).then_some("log_dir"));
    difference.later.extend((old.log_size != new.log_size).then_some("log_size"));
    difference.later.extend((old.log_keep != new.log_keep).then_some("log_keep"));
    difference.later.extend((old.log_strip != new.log_strip).then_some("log_ansi"));
    difference.later.extend((old.cooldown != new.cooldown).then_some("debounce"));
    for service in &new.services {
        let Some(index) = find(old, &service.name) else { continue };
        let how = how(&old.services[index], service).or_else(|| {
            // By name: the same number may stand for another service now.
            let on = |config: &Config, service: &Service| {
                service.depends_on.iter().map(|&on| config.services[on].name.clone()).collect::<Vec<_>>()
            };
            (on(old, &old.services[index]) != on(new, service)).then_some(How::Live)
        });
        difference.changed.extend(how.map(|how| (service.name.clone(), how)));
    }
    difference
}

/// What a service has to do about its new settings; nothing if they are the old ones.
fn how(old: &Service, new: &Service) -> Option<How> {
    let build = |service: &Service| {
        let Service { dir, package, debug_info, pre_build, build, patch, sync, .. } = service.clone();
        // A command of the user's may read any variable, the go command reads its own.
        let read = |name: &str| build != Build::Go || name.starts_with("GO") || name.starts_with("CGO");
        let env: BTreeMap<String, String> =
            service.env.clone().into_iter().filter(|(name, _)| read(name)).collect();
        (dir, package, debug_info, pre_build, build, patch.is_some(), sync, env)
    };
    let run = |service: &Service| {
        (service.run.clone(), service.args.clone(), service.env.clone(), service.port, service.pty)
    };
    if build(old) != build(new) {
        Some(How::Rebuild)
    } else if run(old) != run(new) {
        Some(How::Restart)
    } else {
        let others = |service: &Service| Service { depends_on: Vec::new(), ..service.clone() };
        (others(old) != others(new)).then_some(How::Live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        let root = Path::new("/tmp").canonicalize().unwrap();
        crate::config::parse(text, Path::new("hotwatch.toml"), &root, &|_| None).unwrap()
    }

    #[test]
    fn only_what_differs_is_touched() {
        let old = "[[service]]\nname = \"a\"\nport = 1\n[[service]]\nname = \"b\"\ndepends_on = [\"a\"]\n";
        let table = [
            (old.to_owned(), ""),
            (format!("# A comment.\n{old}"), ""),
            (format!("env = {{ X = \"1\" }}\n{old}"), "a:Restart b:Restart"),
            (format!("env = {{ GOFLAGS = \"-race\" }}\n{old}"), "a:Rebuild b:Rebuild"),
            (format!("{old}args = [\"-v\"]\n"), "b:Restart"),
            (format!("{old}pty = true\n"), "b:Restart"),
            (format!("{old}package = \"./cmd\"\n"), "b:Rebuild"),
            (format!("{old}stop = {{ grace = \"1s\" }}\n"), "b:Live"),
            (format!("{old}watch = {{ include = [\"*.html\"] }}\n"), "b:Live"),
            (old.replace("port = 1", "port = 2"), "a:Restart"),
            (old.replace("depends_on = [\"a\"]", ""), "b:Live"),
            (format!("{old}[[service]]\nname = \"c\"\n"), "+c others"),
            (old.replace("\"b\"", "\"c\""), "-b +c others"),
            (format!("log_dir = \"/var\"\n{old}"), "log_dir"),
            (
                format!("log_size = \"1MB\"\nlog_keep = 2\nlog_ansi = \"strip\"\n{old}"),
                "log_size log_keep log_ansi",
            ),
            (format!("quiet = \"1s\"\n{old}"), "others"),
        ];
        for (text, expected) in table {
            let found = compare(&config(old), &config(&text));
            let gone = found.gone.iter().map(|name| format!("-{name}"));
            let new = found.new.iter().map(|name| format!("+{name}"));
            let changed = found.changed.iter().map(|(name, how)| format!("{name}:{how:?}"));
            let rest = found
                .later
                .iter()
                .map(|key| (*key).to_owned())
                .chain(found.others.then(|| "others".to_owned()));
            let words: Vec<String> = gone.chain(new).chain(changed).chain(rest).collect();
            assert_eq!(words.join(" "), expected, "{text}");
        }
    }
}
