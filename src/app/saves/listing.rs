//! How answers of the go command become part of what saves lead to: what they name is watched first, then read,
//! then counted in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::Saves;
use crate::app::lister::{Listed, Reason};
use crate::change::{Change, Digest};
use crate::go::list::Unlistable;
use crate::plan;
use crate::record::{Event as Fact, Level, Rung};
use crate::service::{Changed, Input, Service};
use crate::watch::{Cover, Watch};

/// How much earlier than now the file system may say that it is: most Linux kernels count it in steps of 4 ms.
const CLOCK_STEP: Duration = Duration::from_millis(10);

impl Saves {
    /// Takes in what the go command says.
    pub fn listed(&mut self, listed: Listed, watch: &Watch, services: &[Service]) {
        self.listed.push(listed);
        self.next_listed(watch, services);
    }

    fn next_listed(&mut self, watch: &Watch, services: &[Service]) {
        if self.uncovered.is_some() || self.listed.is_empty() {
            return;
        }
        let Listed { query, result } = self.listed.remove(0);
        let Some(reason) = self.lister.answered(query) else { return };
        let asked = self.lister.asked(query).clone();
        let mut cover = Cover::default();
        match result {
            Ok(listing) => {
                let had = asked.iter().map(|&(service, _)| (service, self.plan.counted(service)));
                self.uncovered = Some((reason, had.collect()));
                self.plan.list(query, listing, &asked);
            }
            Err(Unlistable { words, module_files }) => {
                for &(service, _) in &asked {
                    self.plan.cannot_list(service, &module_files);
                }
                let dirs = module_files.iter().filter_map(|file| file.parent());
                // They need not exist yet.
                let there = dirs.clone().filter_map(|dir| dir.ancestors().find(|dir| dir.is_dir()));
                cover.tops.extend(there.map(Path::to_owned));
                cover.dirs.extend(dirs.map(Path::to_owned));
                self.unlistable = module_files;
                let first: BTreeSet<usize> = asked
                    .iter()
                    .map(|(service, _)| *service)
                    .filter(|index| self.unlisted.contains(index))
                    .collect();
                for &index in &first {
                    let message = format!(
                        "its packages cannot be listed, so every Go file in its directory counts: {words}"
                    );
                    self.tell.notice(Some(services[index].name()), Level::Warning, message);
                    self.plan.go_by_directory(index);
                    cover.again.insert(self.dirs[index].clone());
                }
                self.uncovered = Some((reason, BTreeMap::new()));
            }
        }
        for (service, _) in asked {
            self.unlisted.remove(&service);
        }
        cover.tops.append(&mut self.plan.graph().tops());
        cover.dirs.append(&mut self.plan.graph().dirs());
        watch.cover(cover);
    }

    /// Takes in files that were found when a directory was read anew. What was known otherwise, or is too new for
    /// a build to have read it, is a change.
    pub fn found(&mut self, paths: &[PathBuf], services: &[Service]) {
        let paths = paths.iter().filter(|path| self.plan.is_of_interest(path));
        let changes: Vec<Change> = paths.flat_map(|path| self.known.refresh(path)).collect();
        let began = self.uncovered.as_ref().map_or(self.began, |(reason, _)| reason.since);
        let is_unread = |change: &Change| change.before.is_some() || is_newer(&change.path, began);
        let newer: Vec<Change> = changes.into_iter().filter(is_unread).collect();
        if !newer.is_empty() {
            self.debounce.push(Instant::now(), newer.iter().map(|change| change.path.clone()));
            let outcome = self.apply(&newer, services);
            self.early.absorb(outcome);
        }
    }

    /// What the last listing names is watched now, so it can be read.
    pub fn covered(&mut self, directories: usize, watch: &Watch, services: &[Service]) {
        if let Some((reason, concerned)) = self.uncovered.take() {
            // Mended before it was watched.
            let mended = std::mem::take(&mut self.unlistable).into_iter();
            let mended = mended
                .filter(|file| !self.known.has_file(file) && file.is_file() && is_newer(file, reason.since));
            mended.for_each(|file| self.debounce.push(Instant::now(), [file]));
            concerned.iter().for_each(|(&service, had)| self.integrate(&reason, service, had, services));
        }
        self.directories = directories;
        self.next_listed(watch, services);
        self.tell_watching();
    }

    /// Says once that every later save is seen.
    pub(super) fn tell_watching(&mut self) {
        if self.unlisted.is_empty()
            && self.uncovered.is_none()
            && !std::mem::replace(&mut self.watching, true)
        {
            self.tell.fact(None, Fact::Watching { directories: self.directories });
        }
    }

    /// Counts in what has become part of a service, which `had` these files, and tells it if no build can have
    /// read that. What was saved meanwhile was of no interest to it then, even if others were told of it.
    fn integrate(&mut self, reason: &Reason, index: usize, had: &BTreeSet<PathBuf>, services: &[Service]) {
        let mut unread = Vec::new();
        for path in self.plan.graph().watched_files(index).difference(had) {
            // The open batch tells of what is in it.
            if self.debounce.has(path) {
                continue;
            }
            if !self.known.has_file(path) {
                // A change for nobody else.
                drop(self.known.refresh(path));
            }
            // What the steps of a build write, its compiler reads.
            let part = self.plan.part(index, path);
            let is_own_work = part.generated && !part.included;
            if self.known.has_file(path) && !is_own_work && is_newer(path, reason.since) {
                unread.push(self.plan.shown(index, path));
            }
        }
        let (from, to) = self.plan.rebase(index, &|path| self.known.content(path));
        let is_own = reason.services.contains(&index);
        if !unread.is_empty() {
            self.tell.fact(Some(services[index].name()), Fact::Change { paths: unread.clone() });
            self.send_changed(index, format!("{} changed", plan::list(&unread)), to, services);
        } else if !is_own && from != to {
            self.send_changed(index, "other packages belong to it now".to_owned(), to, services);
        } else if from != to {
            services[index].send(Input::Rebased { from, to });
        }
    }

    fn send_changed(&self, index: usize, reason: String, digest: Digest, services: &[Service]) {
        self.tell.fact(Some(services[index].name()), Fact::Verdict { rung: Rung::Restart, reason });
        let changed = Changed { digest, since: Instant::now(), settled: true, restart: false };
        services[index].send(Input::Changed(changed));
    }
}

/// Whether the file `path` was last changed after `since`, as far as the file system's clock can tell.
fn is_newer(path: &Path, since: SystemTime) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = fs::metadata(path) else { return true };
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let changed =
        SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(meta.ctime_nsec()).unwrap_or(0));
    changed + CLOCK_STEP >= since
}
