//! Whether the pattern of a `//go:embed` line matches a file: the rules of `resolveEmbed` in Go's
//! `cmd/go/internal/load/pkg.go`, as far as they need no look at the disk. Pure.

use std::path::{Component, Path};

/// Whether `pattern` matches the file at `relative` to the package's directory, by itself or with a directory
/// above it. Nothing is embedded from below another `go.mod`, nor from anything that is not a regular file: that
/// is for the caller to see.
pub fn matches(pattern: &str, relative: &Path) -> bool {
    let (pattern, all) = pattern.strip_prefix("all:").map_or((pattern, false), |pattern| (pattern, true));
    let name = |component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    };
    let Some(names) = relative.components().map(name).collect::<Option<Vec<_>>>() else { return false };
    let patterns: Vec<_> = pattern.split('/').collect();
    if patterns.len() > names.len() {
        return false;
    }
    let (matched, below) = names.split_at(patterns.len());
    // Version control's directories are never part of a module.
    let packaged = |name: &&str| match *name {
        ".bzr" | ".git" | ".hg" | ".svn" => false,
        name => all || !name.starts_with(['.', '_']),
    };
    patterns.iter().zip(matched).all(|(pattern, name)| matches_name(pattern, name))
        && below.iter().all(packaged)
}

/// Whether `pattern` matches all of `name`, as Go's `path.Match` does. A malformed pattern matches nothing.
fn matches_name<'a>(mut pattern: &'a str, mut name: &'a str) -> bool {
    // What follows the last `*`, and the rest of the name that it was tried on.
    let mut star: Option<(&str, &str)> = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('*') {
            (pattern, star) = (rest, Some((rest, name)));
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else if let Some(rest) = step(pattern, name) {
            (pattern, name) = rest;
        } else {
            let Some((after, tried)) = star else { return false };
            let mut longer = tried.chars();
            if longer.next().is_none() {
                return false;
            }
            (pattern, name, star) = (after, longer.as_str(), Some((after, longer.as_str())));
        }
    }
}

/// What is left of both after the first character of `name`, if that is what `pattern` begins with.
fn step<'a>(pattern: &'a str, name: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let c = name.next()?;
    let fits = match pattern.next()? {
        '?' => true,
        '[' => {
            let (fits, rest) = class(pattern.as_str(), c)?;
            pattern = rest.chars();
            fits
        }
        '\\' => pattern.next()? == c,
        literal => literal == c,
    };
    fits.then_some((pattern.as_str(), name.as_str()))
}

/// Whether the character class that `pattern` begins with, behind its bracket, has `c`, and what follows it.
fn class(pattern: &str, c: char) -> Option<(bool, &str)> {
    let (mut rest, negated) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let mut found = false;
    loop {
        let (low, after) = bound(rest)?;
        let (high, after) = after.strip_prefix('-').map_or(Some((low, after)), bound)?;
        found |= (low..=high).contains(&c);
        if let Some(after) = after.strip_prefix(']') {
            return Some((found != negated, after));
        }
        rest = after;
    }
}

/// A character of a class, escaped or not, and what follows it.
fn bound(pattern: &str) -> Option<(char, &str)> {
    let mut chars = pattern.chars();
    let c = match chars.next()? {
        '-' | ']' => return None,
        '\\' => chars.next()?,
        c => c,
    };
    Some((c, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;
    use std::fs;
    use std::process::Command;

    use serde_json::Value;

    /// What every package of the comparison has, beside its source.
    const FILES: &str = "a.txt b.txt ab.txt a-b a]b .hidden _x/in.txt d/a.txt d/.hidden d/_x d/e/a.txt d/e/.h/a.txt \
                         .h/a.txt t/a/x/1 t/b/x/2";

    const PATTERNS: &str = r"a.txt *.txt ?.txt ??.txt * all:* d all:d d/* all:d/* d/e d/*/* all:d/e .hidden _x _* _x/* .h .h/*
        d/.hidden d/_x d/e/.h d/.* */*.txt t/*/x t/?/?/* t/[ab]/x/1 [ab].txt [^a].txt [a-b].txt [!a].txt a[*]b
        a[\]-]b a\]b a[]]b a[\-]b a[-]b a[]-a]b [ a[ a[] a[^]b a\ a.txt\ [b-a].txt *b*t a*.*t ** *?* a**b [à-é]* [.-b]*
        . .. /a.txt d/ ./a.txt d//a.txt ../x/a.txt all: missing";

    #[test]
    fn go_embeds_what_matches() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("go.mod"), "module m\n\ngo 1.26\n").unwrap();
        let patterns: Vec<_> = PATTERNS.split_whitespace().collect();
        for (number, pattern) in patterns.iter().enumerate() {
            let package = dir.path().join(format!("p{number:02}"));
            for file in FILES.split(' ') {
                fs::create_dir_all(package.join(file).parent().unwrap()).unwrap();
                fs::write(package.join(file), "").unwrap();
            }
            let text = format!("package p\nimport \"embed\"\n//go:embed `{pattern}`\nvar x embed.FS\n");
            fs::write(package.join("p.go"), text).unwrap();
        }
        let output = Command::new("go")
            .args(["list", "-e", "-json=EmbedFiles,Error", "./..."])
            .env("GOFLAGS", "-buildvcs=false")
            .current_dir(dir.path())
            .output()
            .expect("go is on the PATH");
        let packages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        let packages: Vec<_> = packages.map(Result::unwrap).collect();
        assert_eq!(packages.len(), patterns.len());
        let mut embedded = 0;
        for (pattern, package) in patterns.iter().zip(packages) {
            let expected = package["EmbedFiles"].as_array().into_iter().flatten();
            let expected: BTreeSet<_> = expected.map(|file| file.as_str().unwrap()).collect();
            let files = FILES.split(' ').chain(["p.go"]);
            let matched: BTreeSet<_> = files.filter(|file| matches(pattern, Path::new(file))).collect();
            assert_eq!(matched, expected, "{pattern}: {}", package["Error"]);
            embedded += expected.len();
        }
        assert!(embedded > 100, "{embedded}");
    }

    #[test]
    fn table() {
        for (pattern, file, expected) in [
            ("d", "d/e/x", true),
            ("d", "d", true),
            ("d", "de", false),
            ("d", "d/.x", false),
            ("all:d", "d/.x/y", true),
            ("all:d", "d/.git/config", false),
            (".x", ".x", true),
            ("a*b", "a/b", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            ("é?", "éß", true),
            ("", "x", false),
            ("*", "../x", false),
            ("*a*a*a*a*a*a*a*b", &"a".repeat(200), false),
        ] {
            assert_eq!(matches(pattern, Path::new(file)), expected, "{pattern} {file}");
        }
    }
}
