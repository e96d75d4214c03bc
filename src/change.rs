//! What a save changed: files by path and content, and the digest that stands for all inputs of a service at
//! once. Two digests are equal exactly when the same files have the same content (but for a chance of 2^-64
//! per edit), so "there and back again" is seen as no change at all.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::source::{Head, Source};

/// The identity of a file's content: as bytes, and as what it means to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    bytes: u64,
    /// Of Go sources: without comments and formatting.
    meaning: u64,
    /// Of Go sources: what decides which other files belong to the program.
    head: u64,
}

impl Content {
    /// The identity of `bytes`, which were read from a file of any kind.
    pub fn of(bytes: &[u8]) -> Content {
        let bytes = xxh3_64(bytes);
        Content { bytes, meaning: bytes, head: 0 }
    }

    /// The identity of `bytes`, which are the Go source `source`.
    pub fn of_source(bytes: &[u8], source: &Source) -> Content {
        Content { bytes: xxh3_64(bytes), meaning: source.code, head: source.head.fingerprint() }
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
    /// What a Go source says at its head now.
    pub head: Option<Head>,
}

impl Change {
    /// Whether it means the same to a build as before: only comments or formatting differ.
    pub fn is_cosmetic(&self) -> bool {
        self.before.zip(self.after).is_some_and(|(before, after)| before.meaning == after.meaning)
    }

    /// Whether other files may belong to the program than before.
    pub fn changes_the_head(&self) -> bool {
        self.before.map(|before| before.head) != self.after.map(|after| after.head)
    }
}

/// The identity of a set of files with their contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u128);

impl Digest {
    /// Adds `path` with the meaning of `content` to the set.
    pub fn add(&mut self, path: &Path, content: Content) {
        self.0 = self.0.wrapping_add(term(path, content));
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Digest) -> Digest {
        Digest(self.0.wrapping_add(other.0))
    }

    /// Takes `path` with the meaning of `content` out of the set.
    pub fn remove(&mut self, path: &Path, content: Content) {
        self.0 = self.0.wrapping_sub(term(path, content));
    }
}

fn term(path: &Path, content: Content) -> u128 {
    xxh3_128_with_seed(path.as_os_str().as_encoded_bytes(), content.meaning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    fn content(text: &str) -> Content {
        Content::of(text.as_bytes())
    }

    #[test]
    fn there_and_back_again_is_the_same() {
        let (a, b) = (Path::new("a.go"), Path::new("b.go"));
        let mut digest = Digest::default();
        digest.add(a, content("1"));
        digest.add(b, content("2"));
        let start = digest;
        digest.remove(a, content("1"));
        digest.add(a, content("x"));
        assert_ne!(digest, start);
        digest.remove(a, content("x"));
        digest.add(a, content("1"));
        assert_eq!(digest, start);
    }

    #[test]
    fn swapped_contents_differ() {
        let mut one = Digest::default();
        one.add(Path::new("a"), content("1"));
        one.add(Path::new("b"), content("2"));
        let mut other = Digest::default();
        other.add(Path::new("a"), content("2"));
        other.add(Path::new("b"), content("1"));
        assert_ne!(one, other);
    }

    #[test]
    fn a_change_may_be_one_of_comments_of_code_or_of_the_head() {
        let content =
            |text: &str| Some(Content::of_source(text.as_bytes(), &source::scan(text.as_bytes()).unwrap()));
        let old = content("package a\n\nfunc f() {}\n");
        let table = [
            ("package a\n\n// f does it.\nfunc  f() { }\n", true, false),
            ("package a\n\nfunc g() {}\n", false, false),
            ("package a\n\nimport _ \"b\"\n\nfunc f() {}\n", false, true),
            ("//go:build linux\n\npackage a\n\nfunc f() {}\n", false, true),
        ];
        for (text, cosmetic, head) in table {
            let change = Change { path: "a.go".into(), before: old, after: content(text), head: None };
            assert_eq!((change.is_cosmetic(), change.changes_the_head()), (cosmetic, head), "{text}");
        }
    }
}
