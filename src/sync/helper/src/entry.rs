//! What can stand at a path, as far as a sync is concerned, and the paths themselves: relative to the root of a pair,
//! bytes as the system has them. Plain data.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A path below the root of a pair; the root itself is empty. What is below a path follows it in the order of these.
/// None leads out of the pair, also none that has come over a wire.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct Rel(Vec<u8>);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// What it contains.
        content: Content,
        /// Its length in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link, to what it says.
    Link(Vec<u8>),
    /// Something that is left alone with all below it: a device, a socket, what cannot be read; in words.
    Opaque(String),
}

/// The identity of a file's content (XXH3, 128 bits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Content([u8; 16]);

/// Hashes what passes by.
#[derive(Default)]
pub struct Hasher(Xxh3);

impl Hasher {
    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The identity of all that has come.
    pub fn content(&self) -> Content {
        Content(self.0.digest128().to_be_bytes())
    }
}

impl Content {
    /// That of `bytes`.
    pub fn of(bytes: &[u8]) -> Content {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.content()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Entry {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        *self == Entry::Dir
    }

    /// Whether it is left alone.
    pub fn is_opaque(&self) -> bool {
        matches!(self, Entry::Opaque(_))
    }

    /// How many bytes go over the wire for it.
    pub fn size(&self) -> u64 {
        match self {
            Entry::File { size, .. } => *size,
            _ => 0,
        }
    }

    /// Whether both are files of the same content.
    pub fn has_content_of(&self, other: &Entry) -> bool {
        match (self, other) {
            (Entry::File { content, size, .. }, Entry::File { content: other, size: length, .. }) => {
                (content, size) == (other, length)
            }
            _ => false,
        }
    }
}

impl Rel {
    /// The root.
    pub fn root() -> Rel {
        Rel::default()
    }

    /// `path`, if it is relative and stays where it is.
    pub fn new(path: &Path) -> Option<Rel> {
        Rel::try_from(path.as_os_str().as_bytes().to_vec()).ok()
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As a path to join to that of the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Where it lies below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        if self.is_root() { root.to_owned() } else { root.join(self.as_path()) }
    }

    /// `name` in it.
    pub fn join(&self, name: &OsStr) -> Rel {
        let mut joined = self.0.clone();
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name.as_bytes());
        Rel(joined)
    }

    /// The directory in which it lies; `None` for the root.
    pub fn parent(&self) -> Option<Rel> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Rel(self.0[..end].to_vec()))
    }

    /// The last part of it.
    pub fn name(&self) -> &OsStr {
        let start = self.0.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        OsStr::from_bytes(&self.0[start..])
    }

    /// Itself and all directories above it, up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Rel> {
        std::iter::successors(Some(self.clone()), Rel::parent)
    }

    /// Whether it is `other` or lies below it.
    pub fn is_at_or_below(&self, other: &Rel) -> bool {
        let rest = self.0.strip_prefix(other.0.as_slice());
        rest.is_some_and(|rest| rest.is_empty() || other.is_root() || rest[0] == b'/')
    }

    /// The path with `suffix` behind its name.
    pub fn with_suffix(&self, suffix: &str) -> Rel {
        Rel([&self.0, suffix.as_bytes()].concat())
    }

    /// The path without what its name has from `suffix` on, if that is in it and not all of it.
    pub fn without_suffix(&self, suffix: &str) -> Option<Rel> {
        let name = self.name().as_bytes();
        let at =
            name.windows(suffix.len()).position(|part| part == suffix.as_bytes()).filter(|&at| at > 0)?;
        Some(Rel(self.0[..self.0.len() - (name.len() - at)].to_vec()))
    }

    /// The first path that does not lie below it any more, nor between it and what does.
    pub(crate) fn past(&self) -> Rel {
        // In the order of bytes `0` comes right behind `/`.
        Rel([&self.0[..], b"0"].concat())
    }

    /// The first path that may lie below it.
    pub(crate) fn first_below(&self) -> Rel {
        Rel([&self.0[..], b"/"].concat())
    }
}

impl TryFrom<Vec<u8>> for Rel {
    type Error = &'static str;

    fn try_from(path: Vec<u8>) -> Result<Rel, &'static str> {
        let fine = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        let stays = path.is_empty() || path.split(|&byte| byte == b'/').all(fine);
        if stays { Ok(Rel(path)) } else { Err("a path that leads out of its tree") }
    }
}

impl fmt::Display for Rel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { self.as_path().display().fmt(f) }
    }
}

impl fmt::Debug for Rel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> Rel {
        Rel::new(Path::new(path)).unwrap()
    }

    #[test]
    fn paths_stay_below_their_root() {
        for bad in ["/etc", "..", "a/../b", "a//b", "a/", "./a", "a/."] {
            assert_eq!(Rel::new(Path::new(bad)), None, "{bad}");
            let sent = postcard::to_stdvec(bad.as_bytes()).unwrap();
            assert!(postcard::from_bytes::<Rel>(&sent).is_err(), "{bad}");
        }
        let sent = postcard::to_stdvec(&rel("a/b")).unwrap();
        assert_eq!(postcard::from_bytes::<Rel>(&sent), Ok(rel("a/b")));
        assert_eq!(rel("a/b").below(Path::new("/x")), Path::new("/x/a/b"));
        assert_eq!(rel("").below(Path::new("/x/file")), Path::new("/x/file"));
        let above: Vec<_> = rel("a/b/c").ancestors().map(|rel| rel.to_string()).collect();
        assert_eq!(above, ["a/b/c", "a/b", "a", "."]);
        assert_eq!((rel("a/b").name(), rel("a").name()), (OsStr::new("b"), OsStr::new("a")));
    }

    #[test]
    fn what_is_below_is_told_by_parts_and_not_by_letters() {
        let table =
            [("a/b", "a", true), ("a", "a", true), ("ab", "a", false), ("a", "", true), ("", "a", false)];
        for (path, of, expected) in table {
            assert_eq!(rel(path).is_at_or_below(&rel(of)), expected, "{path} {of}");
        }
    }
}
