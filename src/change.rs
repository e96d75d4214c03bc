//! What a save changed: files by path and content, and the digest that stands for all inputs of a service at
//! once. Two digests are equal exactly when the same files have the same content (but for a chance of 2^-64
//! per edit), so "there and back again" is seen as no change at all.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// The identity of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content(u64);

impl Content {
    /// The identity of `bytes`.
    pub fn of(bytes: &[u8]) -> Content {
        Content(xxh3_64(bytes))
    }
}

/// A file whose content differs from what was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file's canonical path.
    pub path: PathBuf,
    /// Its content before; `None` when it was not there.
    pub before: Option<Content>,
    /// Its content now; `None` when it is gone.
    pub after: Option<Content>,
}

/// The identity of a set of files with their contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u128);

impl Digest {
    /// Adds `path` with `content` to the set.
    pub fn add(&mut self, path: &Path, content: Content) {
        self.0 = self.0.wrapping_add(term(path, content));
    }

    /// Applies `change` to the set.
    pub fn apply(&mut self, change: &Change) {
        if let Some(before) = change.before {
            self.0 = self.0.wrapping_sub(term(&change.path, before));
        }
        if let Some(after) = change.after {
            self.add(&change.path, after);
        }
    }
}

fn term(path: &Path, content: Content) -> u128 {
    xxh3_128_with_seed(path.as_os_str().as_encoded_bytes(), content.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, before: Option<&str>, after: Option<&str>) -> Change {
        let content = |text: &str| Content::of(text.as_bytes());
        Change { path: path.into(), before: before.map(content), after: after.map(content) }
    }

    #[test]
    fn there_and_back_again_is_the_same() {
        let mut digest = Digest::default();
        digest.add(Path::new("a.go"), Content::of(b"1"));
        digest.add(Path::new("b.go"), Content::of(b"2"));
        let start = digest;
        digest.apply(&change("a.go", Some("1"), Some("x")));
        let edited = digest;
        assert_ne!(edited, start);
        digest.apply(&change("c.go", None, Some("3")));
        digest.apply(&change("a.go", Some("x"), Some("1")));
        digest.apply(&change("c.go", Some("3"), None));
        assert_eq!(digest, start);
    }

    #[test]
    fn swapped_contents_differ() {
        let mut one = Digest::default();
        one.add(Path::new("a"), Content::of(b"1"));
        one.add(Path::new("b"), Content::of(b"2"));
        let mut other = Digest::default();
        other.add(Path::new("a"), Content::of(b"2"));
        other.add(Path::new("b"), Content::of(b"1"));
        assert_ne!(one, other);
    }
}
