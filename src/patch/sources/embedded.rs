//! Which files the `//go:embed` lines of a package name, as the compiler wants to be told (`-embedcfg`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::embed;

/// The files of each pattern, by their names in the package's directory, with where they are.
pub type Embedded = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// The files in `dir` that `patterns` name.
///
/// # Errors
/// A directory cannot be read.
pub fn resolve<'a>(dir: &Path, patterns: impl Iterator<Item = &'a str>) -> io::Result<Embedded> {
    let mut embedded = Embedded::new();
    for pattern in patterns {
        let mut files = BTreeMap::new();
        let start = literal_part(pattern.strip_prefix("all:").unwrap_or(pattern));
        walk(dir, Path::new(start), pattern, &mut files)?;
        embedded.insert(pattern.to_owned(), files);
    }
    Ok(embedded)
}

/// What of a pattern names one file or directory, whatever else there is.
fn literal_part(pattern: &str) -> &str {
    let special = pattern.find(['*', '?', '[', '\\']);
    special.map_or(pattern, |at| &pattern[..pattern[..at].rfind('/').unwrap_or(0)])
}

fn walk(dir: &Path, relative: &Path, pattern: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    let path = dir.join(relative);
    // What is not there, or is neither file nor directory, is for the compiler to tell.
    let Ok(meta) = fs::symlink_metadata(&path) else { return Ok(()) };
    let is_top = relative.as_os_str().is_empty();
    if meta.is_file() {
        if let Some(name) = relative.to_str().filter(|_| embed::matches(pattern, relative)) {
            files.insert(name.to_owned(), path);
        }
    } else if meta.is_dir() && (is_top || !path.join("go.mod").exists()) {
        for entry in fs::read_dir(path)? {
            walk(dir, &relative.join(entry?.file_name()), pattern, files)?;
        }
    }
    Ok(())
}

/// The configuration that tells the compiler about `embedded` (`embedcfg` in `cmd/go/internal/work/exec.go`).
pub fn config(embedded: &Embedded) -> String {
    let names: BTreeMap<_, Vec<_>> =
        embedded.iter().map(|(pattern, files)| (pattern, files.keys().collect())).collect();
    let files: BTreeMap<_, _> = embedded.values().flatten().collect();
    serde_json::json!({ "Patterns": names, "Files": files }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [
            "a.txt",
            "b.html",
            "site/index.html",
            "site/.hidden",
            "site/js/app.js",
            "other/go.mod",
            "other/x.html",
        ];
        for path in paths {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let table: [(&str, &[&str]); 8] = [
            ("a.txt", &["a.txt"]),
            ("*.html", &["b.html"]),
            ("site", &["site/index.html", "site/js/app.js"]),
            ("all:site", &["site/.hidden", "site/index.html", "site/js/app.js"]),
            ("site/*", &["site/.hidden", "site/index.html", "site/js/app.js"]),
            ("s?te/*.html", &["site/index.html"]),
            ("other/*.html", &[]),
            ("missing", &[]),
        ];
        for (pattern, expected) in table {
            let embedded = resolve(dir.path(), [pattern].into_iter()).unwrap();
            let names: Vec<&str> = embedded[pattern].keys().map(String::as_str).collect();
            assert_eq!(names, expected, "{pattern}");
        }
        let embedded = resolve(dir.path(), ["a.txt", "*.html"].into_iter()).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config(&embedded)).unwrap();
        assert_eq!(config["Patterns"], serde_json::json!({ "a.txt": ["a.txt"], "*.html": ["b.html"] }));
        assert_eq!(config["Files"]["b.html"], dir.path().join("b.html").to_str().unwrap());
    }
}
