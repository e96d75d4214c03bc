//! What goes where: sources that are there and disjoint, targets that are nobody else's.

use std::path::{Component, Path, PathBuf};

use hotwatch_helper::filter::Rules;
use hotwatch_helper::replica::Options;
use toml::Spanned;

use super::{Pair, Target};
use crate::config::ConfigError;
use crate::config::file::sync::{self as form, Mode};
use crate::config::resolve::Source;

impl Source<'_> {
    pub(super) fn pairs(&self, sync: &form::Sync, dir: &Path, to: &Target) -> Result<Vec<Pair>, ConfigError> {
        let mut pairs: Vec<Pair> = Vec::new();
        for place in &sync.pair {
            let pair = self.pair(place, dir, to)?;
            let inside = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
            let overlaps = |other: &&Pair| inside(&other.source, &pair.source);
            if let Some(other) = pairs.iter().find(overlaps) {
                let message = format!(
                    "the source `{}` overlaps with `{}`; one pair may leave out with `exclude` what is the other's \
                     only if neither lies in the other",
                    pair.source_as_written, other.source_as_written
                );
                return Err(self.at(place, message));
            }
            if let Some(other) =
                pairs.iter().find(|other| inside(Path::new(&other.target), Path::new(&pair.target)))
            {
                let message = format!("the target `{}` overlaps with `{}`", pair.target, other.target);
                return Err(self.at(place, message));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn pair(&self, place: &Spanned<form::Pair>, dir: &Path, to: &Target) -> Result<Pair, ConfigError> {
        let pair = place.get_ref();
        let source_as_written = pair.source.as_ref().map_or(".", |source| source.get_ref()).to_owned();
        let target = match to {
            // Below that directory.
            Target::Dir(_) if !pair.target.get_ref().starts_with('/') => {
                let relative = Spanned::new(pair.target.span(), format!("/{}", pair.target.get_ref()));
                self.absolute(&relative, "target").or_else(|error| {
                    if pair.target.get_ref() == "." { Ok("/".to_owned()) } else { Err(error) }
                })?
            }
            _ => self.absolute(&pair.target, "target")?,
        };
        let written = dir.join(&source_as_written);
        // What does not exist yet may come from the other side.
        // Whether it is there matters once it is synced. What is not may come from the other side.
        let source = there(&written);
        let reverse = matches!(pair.mode, Mode::OneWayReverse | Mode::OneWayReplicaReverse);
        if reverse && pair.source.is_none() {
            let message = "what comes back would take the place of the service's own files; say with `source` where it goes";
            return Err(self.at(place, message));
        }
        if let Target::Dir(dir) = to {
            let full = there(&dir.join(target.trim_start_matches('/')));
            if full == Path::new("/") || full.starts_with(&source) || source.starts_with(&full) {
                let message = format!(
                    "`{}` and `{}` lie in each other; name a directory of its own",
                    full.display(),
                    source.display()
                );
                return Err(self.at(place, message));
            }
        }
        let words =
            |list: &[Spanned<String>]| list.iter().map(|word| word.get_ref().clone()).collect::<Vec<_>>();
        let two_way = matches!(pair.mode, Mode::TwoWaySafe | Mode::TwoWayResolved);
        let rules = Rules {
            include: words(&pair.include),
            exclude: words(&pair.exclude),
            ignored: !pair.gitignore.unwrap_or(!two_way),
            files: Vec::new(),
        };
        if let Some((pattern, why)) = rules.fault() {
            return Err(self.at(place, format!("`{pattern}` is no pattern: {why}")));
        }
        let mode = |mode: &Option<Spanned<String>>, name| {
            mode.as_ref().map(|mode| self.permissions(mode, name)).transpose()
        };
        let options = Options {
            owner: pair.owner.as_ref().map(|owner| owner.get_ref().clone()),
            file_mode: mode(&pair.file_mode, "file_mode")?,
            dir_mode: mode(&pair.dir_mode, "dir_mode")?,
        };
        Ok(Pair { source_as_written, source, target, mode: pair.mode, rules, options })
    }

    /// An absolute path in the target that is not its root, without `.` and `..`.
    pub(super) fn absolute(&self, place: &Spanned<String>, name: &str) -> Result<String, ConfigError> {
        let path = Path::new(place.get_ref());
        let mut parts = path.components();
        if parts.next() != Some(Component::RootDir) || parts.any(|part| !matches!(part, Component::Normal(_)))
        {
            let message =
                format!("`{}` is no absolute path in the target; write one such as `/app`", path.display());
            return Err(self.at(place, message));
        }
        let clean: PathBuf = path.components().collect();
        match clean.to_str() {
            Some("/") => Err(self.at(
                place,
                format!("`{name}` must not be `/`, which holds the target's own system; write a directory such as `/app`"),
            )),
            clean => Ok(clean.unwrap_or_default().to_owned()),
        }
    }

    fn permissions(&self, place: &Spanned<String>, name: &str) -> Result<u32, ConfigError> {
        let mode = u32::from_str_radix(place.get_ref(), 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.at(place, format!("`{name}` is written in octal, as in `\"0644\"`")))
    }
}

/// `path` without links and `..`, as far as it is there.
fn there(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, canonical)) = known else { return path.to_owned() };
    let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
    rest.components().fold(canonical, |path, part| match part {
        Component::ParentDir => path.parent().map(Path::to_owned).unwrap_or(path),
        Component::CurDir => path,
        part => path.join(part),
    })
}
