//! What is known of the files that count: how each looked (size, times, inode) and what it contained when it
//! was last compared. An event or a rescan is only a reason to look; this says what really changed.

mod packed;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use xxhash_rust::xxh3::Xxh3;

use crate::change::{Change, Content};
use crate::source::{self, Head};

use self::packed::Packed;

/// The files that count, with their contents' identities.
#[derive(Debug, Default)]
pub struct Known {
    files: Packed<Seen>,
}

/// A file as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Its size, times and inode; `None` while another write could leave them as they are.
    stamp: Option<Stamp>,
    content: Content,
}

/// A hash. One in 2^64 is zero, and so no stamp; such a file is read at each look.
type Stamp = NonZeroU64;

/// File systems count time in steps, of 4 ms on most Linux kernels and of up to 2 s elsewhere. A file that was
/// written less than a step ago can be written again without looking any different.
const COARSEST_STEP: Duration = Duration::from_secs(2);

impl Known {
    /// Compares everything at and below `path` with what is known, takes note of the difference and returns it.
    /// Files below a directory that are not known yet are not looked for; whoever finds one names it.
    pub fn refresh(&mut self, path: &Path) -> Vec<Change> {
        // Only differences are collected: a list of all files would be larger than all that is kept of them.
        let look_again = |(path, before): (PathBuf, Seen)| {
            let now = look(&path, Some(before));
            (now.as_ref().map(|now| now.seen) != Some(before)).then_some((path, Some(before), now))
        };
        let mut different: Vec<_> = self.files.below(path).filter_map(look_again).collect();
        if !self.has_file(path)
            && let Some(now) = look(path, None)
        {
            different.push((path.to_owned(), None, Some(now)));
        }
        different.into_iter().filter_map(|(path, before, now)| self.note(path, before, now)).collect()
    }

    /// Whether the file `path` is known to be there.
    pub fn has_file(&self, path: &Path) -> bool {
        self.files.get(path).is_some()
    }

    /// Whether anything is known at or below `path`.
    pub fn has_any(&self, path: &Path) -> bool {
        self.files.below(path).next().is_some()
    }

    /// The content of the file `path`, as far as is known.
    pub fn content(&self, path: &Path) -> Option<Content> {
        self.files.get(path).map(|seen| seen.content)
    }

    /// Takes note that the file `path`, which looked as `before`, looks as `now`.
    fn note(&mut self, path: PathBuf, before: Option<Seen>, now: Option<Look>) -> Option<Change> {
        match &now {
            Some(now) => self.files.insert(&path, now.seen),
            None => self.files.remove(&path),
        }
        let before = before.map(|seen| seen.content);
        let (after, head) = now.map_or((None, None), |now| (Some(now.seen.content), now.head));
        (before != after).then_some(Change { path, before, after, head })
    }
}

/// How a file looks now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    seen: Seen,
    /// What it says at its head, if it was read and is a Go source.
    head: Option<Head>,
}

/// How the file `path` looks now; its content is read only if it does not look as `before`.
fn look(path: &Path, before: Option<Seen>) -> Option<Look> {
    if let Some(before) = before.filter(|seen| seen.stamp.is_some()) {
        let meta = fs::metadata(path).ok().filter(Metadata::is_file)?;
        if settled_stamp(&meta) == before.stamp {
            return Some(Look { seen: before, head: None });
        }
    }
    // Unreadable is as good as gone: no build can read it either.
    let mut file = open(path).ok()?;
    let meta = file.metadata().ok().filter(Metadata::is_file)?;
    let stamp = settled_stamp(&meta);
    let bytes = read(&mut file, &meta).ok()?;
    let is_go = path.extension().is_some_and(|extension| extension == "go");
    // What cannot be tokenised differs as soon as its bytes do.
    Some(match is_go.then(|| source::scan(&bytes)).flatten() {
        Some(source) => {
            let seen = Seen { stamp, content: Content::of_source(&bytes, &source) };
            Look { seen, head: Some(source.head) }
        }
        None => Look { seen: Seen { stamp, content: Content::of(&bytes) }, head: None },
    })
}

/// Opens `path` without waiting for anybody to write into it, in case it is a named pipe.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        // A file server holds a lease on this file, and gives it up for those who wait.
        Err(error) if error.kind() == ErrorKind::WouldBlock => File::open(path),
        other => other,
    }
}

/// The content of `file`. `fs::read` would ask for the size again, and read once more to see the end.
fn read(file: &mut File, meta: &Metadata) -> io::Result<Vec<u8>> {
    let size = usize::try_from(meta.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size + 1)?;
    bytes.resize(size + 1, 0);
    let count = loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    bytes.truncate(count);
    if count != size {
        // It is being written to, or is on a file system that does not know sizes.
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The stamp of a file that looks like `meta`, if it would look different after another write.
fn settled_stamp(meta: &Metadata) -> Option<Stamp> {
    is_settled(changed_at(meta), SystemTime::now()).then(|| stamp(meta)).flatten()
}

/// Whether a write at `now` would show in the times of a file that was changed at `changed`.
fn is_settled(changed: SystemTime, now: SystemTime) -> bool {
    now.duration_since(changed).is_ok_and(|age| age > COARSEST_STEP)
}

fn changed_at(meta: &Metadata) -> SystemTime {
    let seconds = meta.ctime().max(0).unsigned_abs();
    UNIX_EPOCH + Duration::new(seconds, u32::try_from(meta.ctime_nsec()).unwrap_or(0))
}

fn stamp(meta: &Metadata) -> Option<Stamp> {
    let mut hash = Xxh3::new();
    for part in [meta.ino(), meta.len()] {
        hash.update(&part.to_le_bytes());
    }
    for part in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        hash.update(&part.to_le_bytes());
    }
    Stamp::new(hash.digest())
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
        assert_eq!(look(&file, None).unwrap().seen.stamp, None);
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
    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe.go");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(dir.path().join("dir.go")).unwrap();
        let mut known = Known::default();
        assert_eq!(known.refresh(&pipe), []);
        assert_eq!(known.refresh(&dir.path().join("dir.go")), []);
        assert!(!known.has_file(&pipe));
    }

    #[test]
    fn a_settled_file_is_read_only_when_it_looks_different() {
        let file = Path::new("/bin/sh");
        let real = look(file, None).unwrap().seen;
        let seen = Seen { content: Content::of(b"not what is there"), ..real };
        assert!(real.stamp.is_some());
        let look = |before| look(file, Some(before)).unwrap().seen;
        assert_eq!(look(seen), seen);
        assert_eq!(look(Seen { stamp: None, ..seen }), real);
        assert_eq!(look(Seen { stamp: Stamp::new(1), ..seen }), real);
    }

    #[test]
    fn a_file_is_read_to_its_end_whatever_its_size_was_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.go");
        fs::write(&path, "").unwrap();
        let meta = fs::metadata(&path).unwrap();
        fs::write(&path, "grown since").unwrap();
        assert_eq!(read(&mut File::open(&path).unwrap(), &meta).unwrap(), b"grown since");
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(read(&mut File::open(&path).unwrap(), &meta).unwrap(), b"grown since");
        fs::write(&path, "shrunk").unwrap();
        assert_eq!(read(&mut File::open(&path).unwrap(), &meta).unwrap(), b"shrunk");
    }
}
