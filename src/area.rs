//! Which directories belong to which service, and by which path a service sees a file: its own directory, and
//! what links in it lead to. Pure.

use std::cmp::Reverse;
use std::path::{Component, Path, PathBuf};

use crate::config::Config;

/// The directories of all services.
#[derive(Debug, Clone)]
pub struct Areas(Vec<Area>);

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

/// A service that a path belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its index.
    pub service: usize,
    /// The path relative to its directory.
    pub relative: PathBuf,
    /// The path as it is shown to the user.
    pub shown: PathBuf,
}

impl Areas {
    /// The directories of `config`'s services.
    pub fn new(config: &Config) -> Areas {
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
        Areas(config.services.iter().enumerate().map(area).collect())
    }

    /// Takes note that the link at `link` leads to the directory `target`; it belongs to whom the link belongs.
    pub fn add_link(&mut self, link: &Path, target: &Path) {
        let linked = |owner: Owner| Area {
            service: owner.service,
            dir: target.to_owned(),
            linked: true,
            is_module: false,
            prefix: owner.relative,
            shown: owner.shown,
        };
        let linked: Vec<Area> = self.owners(link).into_iter().map(linked).collect();
        self.0.extend(linked);
    }

    /// Whom `path` belongs to. Of nested directories the inner ones come first, and those around a module have
    /// no part in what is in it.
    pub fn owners(&self, path: &Path) -> Vec<Owner> {
        let mut holders: Vec<&Area> = self.0.iter().filter(|area| path.starts_with(&area.dir)).collect();
        holders.sort_by_key(|area| Reverse(area.dir.as_os_str().len()));
        let module = holders.iter().copied().find(|area| area.is_module && !area.linked);
        let around = |area: &Area| {
            module.is_some_and(|module| area.dir != module.dir && module.dir.starts_with(&area.dir))
        };
        holders.retain(|area| area.linked || !around(area));
        let owner = |area: &Area| {
            let inside = path.strip_prefix(&area.dir).unwrap_or(path);
            Owner {
                service: area.service,
                relative: area.prefix.join(inside),
                shown: area.shown.join(inside),
            }
        };
        holders.into_iter().map(owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn areas(services: &[(&str, &str)]) -> Areas {
        let area = |(service, (dir, shown)): (usize, &(&str, &str))| Area {
            service,
            dir: PathBuf::from(dir),
            linked: false,
            is_module: !dir.ends_with("-part"),
            prefix: PathBuf::new(),
            shown: PathBuf::from(shown),
        };
        Areas(services.iter().enumerate().map(area).collect())
    }

    fn owners(areas: &Areas, path: &str) -> Vec<(usize, String)> {
        let owners = areas.owners(Path::new(path));
        owners.into_iter().map(|owner| (owner.service, owner.shown.display().to_string())).collect()
    }

    #[test]
    fn a_path_belongs_to_whom_it_lies_with() {
        let areas =
            areas(&[("/p", ""), ("/p/a", "a"), ("/p/ab", "ab"), ("/p/a", "a"), ("/p/b-part", "b-part")]);
        let table: &[(&str, &[(usize, &str)])] = &[
            ("/p/x.go", &[(0, "x.go")]),
            ("/p/a/x.go", &[(1, "a/x.go"), (3, "a/x.go")]),
            ("/p/ab/x.go", &[(2, "ab/x.go")]),
            // No module of its own: the module around it may import it.
            ("/p/b-part/x.go", &[(4, "b-part/x.go"), (0, "b-part/x.go")]),
            ("/q/x.go", &[]),
        ];
        for (path, expected) in table {
            let expected: Vec<_> =
                expected.iter().map(|&(service, path)| (service, path.to_owned())).collect();
            assert_eq!(owners(&areas, path), expected, "{path}");
        }
    }

    #[test]
    fn linked_directories_belong_to_whom_the_link_belongs() {
        let mut areas = areas(&[("/p/a", "services/a"), ("/p/b", "services/b")]);
        areas.add_link(Path::new("/p/a/shared"), Path::new("/p/lib"));
        areas.add_link(Path::new("/p/b/x/lib"), Path::new("/p/lib"));
        let expected = [(0, "services/a/shared/y.go".to_owned()), (1, "services/b/x/lib/y.go".to_owned())];
        assert_eq!(owners(&areas, "/p/lib/y.go"), expected);
        assert_eq!(areas.owners(Path::new("/p/lib/y.go"))[1].relative, Path::new("x/lib/y.go"));
    }
}
