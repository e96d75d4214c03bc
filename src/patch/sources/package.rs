//! What one package is made of on disk: the Go files that a build takes, what they embed, and files in other languages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::embedded::{self, Embedded};
use crate::constraint::Context;
use crate::source::{self, Head};

/// How files in other languages than Go end that are part of a package (`matchFile` in `go/build/build.go`).
const FOREIGN: [&str; 18] = [
    "c", "cc", "cpp", "cxx", "m", "h", "hh", "hpp", "hxx", "f", "F", "for", "f90", "s", "S", "sx", "swig",
    "swigcxx",
];

/// The files of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Those that could be part of a build, by name.
    go: BTreeMap<String, File>,
    /// Digests of what is embedded, by path.
    embedded: BTreeMap<PathBuf, u64>,
    /// What a compiler has to be told.
    inputs: Inputs,
    /// Digests of what is in other languages and of what is told to the linker, by path.
    foreign: BTreeMap<PathBuf, u64>,
}

/// What a package is compiled from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Its Go files, as names in its directory, in order.
    pub files: Vec<String>,
    /// What they import, by the paths that they say.
    pub imports: BTreeSet<String>,
    /// What they embed.
    pub embedded: Embedded,
    /// Whether one of them imports "C".
    pub uses_cgo: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    content: u64,
    /// What decides on whether it is built; nothing if it is no Go, which the compiler tells.
    head: Option<Head>,
    /// What is in it, for the same files.
    text: Option<Arc<Text>>,
}

/// What is in a Go file.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// All of it.
    pub content: String,
    /// What it imports, by the paths that it says.
    pub imports: BTreeSet<String>,
}

impl Package {
    /// Reads the package in `dir`, for builds as `context` says. Files that are as in `before` are not looked into.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn read(dir: &Path, context: &Context, before: Option<&Package>) -> io::Result<Package> {
        let mut package = Package::default();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with(['.', '_'])) else { continue };
            let path = dir.join(name);
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            if FOREIGN.contains(&ending) || ending == "syso" {
                package.foreign.insert(path.clone(), digest(&path));
            } else if ending == "go" && !name.ends_with("_test.go") {
                package
                    .go
                    .insert(name.to_owned(), File::read(&path, before.and_then(|old| old.go.get(name)))?);
            }
        }
        let included: Vec<(&String, &File)> = package
            .go
            .iter()
            .filter(|(name, file)| context.includes(name, file.head.as_ref()).is_ok())
            .collect();
        let heads = || included.iter().filter_map(|(_, file)| file.head.as_ref());
        let embedded = embedded::resolve(dir, heads().flat_map(|head| &head.embeds).map(String::as_str))?;
        package.inputs = Inputs {
            imports: heads().flat_map(|head| head.imports.iter().cloned()).collect(),
            uses_cgo: heads().any(|head| head.cgo),
            files: included.iter().map(|(name, _)| (*name).clone()).collect(),
            embedded,
        };
        let paths = package.inputs.embedded.values().flat_map(BTreeMap::values);
        // What the linker is told.
        let settings = included.iter().filter_map(|(name, file)| Some((dir.join(name), file.settings()?)));
        package.foreign.extend(settings);
        package.embedded = paths.map(|path| (path.clone(), digest(path))).collect();
        Ok(package)
    }

    /// What it is compiled from.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What is in the Go file `name`.
    pub fn text(&self, name: &str) -> Option<&Text> {
        self.go.get(name)?.text.as_deref()
    }

    /// Whether it compiles to the same as `other`, as far as Go code and what that embeds count.
    pub fn is_same_go(&self, other: &Package) -> bool {
        let contents = |package: &Package| -> Vec<Option<u64>> {
            package.inputs.files.iter().map(|name| Some(package.go.get(name)?.content)).collect()
        };
        self.inputs == other.inputs && self.embedded == other.embedded && contents(self) == contents(other)
    }

    /// A file in another language that is not as in `other`.
    pub fn differs_beside<'a>(&'a self, other: &'a Package) -> Option<&'a PathBuf> {
        let mut paths = self.foreign.keys().chain(other.foreign.keys());
        paths.find(|path| self.foreign.get(*path) != other.foreign.get(*path))
    }

    /// The paths of all its files; those of Go files are names in its directory.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = self.inputs.files.iter().map(Path::new);
        files.chain(self.embedded.keys().chain(self.foreign.keys()).map(PathBuf::as_path))
    }
}

impl File {
    /// A digest of its `//go:debug` lines, if there are any.
    fn settings(&self) -> Option<u64> {
        let lines = self.text.as_ref()?.content.lines().filter(|line| line.starts_with("//go:debug "));
        let lines: Vec<&str> = lines.collect();
        (!lines.is_empty()).then(|| xxh3_64(lines.join("\n").as_bytes()))
    }

    fn read(path: &Path, before: Option<&File>) -> io::Result<File> {
        let bytes = fs::read(path)?;
        let content = xxh3_64(&bytes);
        let known = before.filter(|file| file.content == content);
        Ok(known.cloned().unwrap_or_else(|| {
            let head = source::scan(&bytes).map(|source| source.head);
            let imports = head.as_ref().map(|head| head.imports.clone());
            let text = imports.zip(String::from_utf8(bytes).ok());
            let text = text.map(|(imports, content)| Arc::new(Text { content, imports }));
            File { content, head, text }
        }))
    }
}

/// A digest of the content of the file at `path`; 0 if it cannot be read.
pub fn digest(path: &Path) -> u64 {
    fs::read(path).map_or(0, |bytes| xxh3_64(&bytes))
}
