//! What is known of the files that count: how each looked (size, times, inode) and what it contained when it
//! was last compared. An event or a rescan is only a reason to look; this says what really changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotwatch_platform::watch::tree::{Id, Tree};
use xxhash_rust::xxh3::Xxh3;

use crate::change::{Change, Content};

/// The files that count, with their contents' identities.
#[derive(Debug)]
pub struct Known {
    files: Tree<Option<Seen>>,
}

/// A file as it was last seen; a directory on the way to one has none of it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Its size, times and inode; `None` while another write could leave them as they are.
    stamp: Option<u64>,
    content: Content,
}

/// File systems count time in steps, of 4 ms on most Linux kernels and of up to 2 s elsewhere. A file that was
/// written less than a step ago can be written again without looking any different.
const COARSEST_STEP: Duration = Duration::from_secs(2);

impl Default for Known {
    fn default() -> Known {
        let mut files = Tree::default();
        files.insert_root(Path::new("/"), None);
        Known { files }
    }
}

impl Known {
    /// Compares everything at and below `path` with what is known, takes note of the difference and returns it.
    /// Files below a directory that are not known yet are not looked for; whoever finds one names it.
    pub fn refresh(&mut self, path: &Path) -> Vec<Change> {
        let mut changes = Vec::new();
        let node = self.files.find(path);
        let is_file = |id: &Id| self.files.value(*id).is_some();
        let known: Vec<Id> = node.map(|id| self.files.subtree(id)).unwrap_or_default();
        let known: Vec<Id> = known.into_iter().filter(is_file).collect();
        let is_new = node.is_none_or(|id| !is_file(&id));
        for id in known {
            changes.extend(self.compare(id, self.files.path(id)));
        }
        if is_new
            && let Some(now) = look(path, None)
            && let Some(id) = self.files.ensure(path)
        {
            *self.files.value_mut(id) = Some(now);
            changes.push(Change { path: path.to_owned(), before: None, after: Some(now.content) });
        }
        changes
    }

    /// Whether the file `path` is known to be there.
    pub fn has_file(&self, path: &Path) -> bool {
        self.files.find(path).is_some_and(|id| self.files.value(id).is_some())
    }

    /// Looks at a known file again.
    fn compare(&mut self, id: Id, path: PathBuf) -> Option<Change> {
        let before = self.files.value(id);
        let now = look(&path, before);
        *self.files.value_mut(id) = now;
        let (before, after) = (before.map(|seen| seen.content), now.map(|seen| seen.content));
        (before != after).then_some(Change { path, before, after })
    }
}

/// How the file `path` looks now; its content is read only if it does not look as `before`.
fn look(path: &Path, before: Option<Seen>) -> Option<Seen> {
    let meta = fs::metadata(path).ok().filter(Metadata::is_file)?;
    let stamp = is_settled(changed_at(&meta), SystemTime::now()).then(|| stamp(&meta));
    match before {
        Some(before) if stamp.is_some() && before.stamp == stamp => Some(before),
        // Unreadable is as good as gone: no build can read it either.
        _ => Some(Seen { stamp, content: Content::of(&fs::read(path).ok()?) }),
    }
}

/// Whether a write at `now` would show in the times of a file that was changed at `changed`.
fn is_settled(changed: SystemTime, now: SystemTime) -> bool {
    now.duration_since(changed).is_ok_and(|age| age > COARSEST_STEP)
}

fn changed_at(meta: &Metadata) -> SystemTime {
    let seconds = meta.ctime().max(0).unsigned_abs();
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(meta.ctime_nsec()).unwrap_or(0))
}

fn stamp(meta: &Metadata) -> u64 {
    let mut hash = Xxh3::new();
    for part in [meta.ino(), meta.len()] {
        hash.update(&part.to_le_bytes());
    }
    for part in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        hash.update(&part.to_le_bytes());
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn only_content_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.go");
        let mut known = Known::default();
        assert_eq!(known.refresh(&file), []);
        fs::write(&file, "1").unwrap();
        let created = known.refresh(&file);
        assert_eq!((created[0].before, created[0].after), (None, Some(Content::of(b"1"))));
        assert_eq!(known.refresh(&file), []);

        // The same content in another inode with another time.
        fs::write(dir.path().join("new"), "1").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        assert_eq!(known.refresh(&file), []);

        fs::write(&file, "2").unwrap();
        let edited = known.refresh(&file);
        assert_eq!((edited[0].before, edited[0].after), (Some(Content::of(b"1")), Some(Content::of(b"2"))));
        fs::remove_file(&file).unwrap();
        assert_eq!(known.refresh(&file)[0].after, None);
        assert_eq!(known.refresh(&file), []);
        fs::write(&file, "2").unwrap();
        assert_eq!(paths(&known.refresh(&file)), ["a.go"]);
    }

    #[test]
    fn a_file_that_was_just_written_is_read_again_however_it_looks() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(is_settled(at(100), at(103)));
        assert!(!is_settled(at(100), at(102)));
        // The clock of a file server may be ahead.
        assert!(!is_settled(at(100), at(99)));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.go");
        fs::write(&file, "1").unwrap();
        assert_eq!(look(&file, None).unwrap().stamp, None);
    }

    #[test]
    fn a_directory_stands_for_what_is_known_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sub");
        fs::create_dir(&sub).unwrap();
        let mut known = Known::default();
        for name in ["a.go", "b.go"] {
            fs::write(sub.join(name), name).unwrap();
            known.refresh(&sub.join(name));
        }
        fs::write(sub.join("unknown.go"), "x").unwrap();
        fs::write(sub.join("a.go"), "edited").unwrap();
        assert_eq!(paths(&known.refresh(dir.path())), ["a.go"]);

        fs::rename(&sub, dir.path().join("moved")).unwrap();
        let mut gone = known.refresh(&sub);
        gone.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(paths(&gone), ["a.go", "b.go"]);
        assert!(gone.iter().all(|change| change.after.is_none()));
    }
}
