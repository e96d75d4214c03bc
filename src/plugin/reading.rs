//! What the sources of a plugin say of it: whether it has the functions of a plugin, what of it is live, and what is worth
//! a warning. Pure.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::source::{Declaration, Topmost};

/// The functions that every plugin has at package level, and what they look like.
pub const FUNCTIONS: [(&str, &str); 7] = [
    ("OnLoad", "func OnLoad(data any) error"),
    ("OnInit", "func OnInit(vault *hotplug.Vault) error"),
    ("OnFree", "func OnFree()"),
    ("Export", "func Export() any"),
    ("Import", "func Import() any"),
    ("InvokeFunc", "func InvokeFunc(name string, params ...any) (any, error)"),
    ("Reloadable", "func Reloadable() bool"),
];

/// A file of a package, read.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
    /// What it declares.
    pub topmost: Topmost,
}

impl File {
    /// What it is called in its package.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// The line of the byte at `at`, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }
}

/// What of a plugin can be reached by everyone, by name, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Functions.
    pub functions: Vec<String>,
    /// Types.
    pub types: Vec<String>,
    /// Variables.
    pub variables: Vec<String>,
}

impl Live {
    /// What in `files` has a name that begins with `prefix`, in any case.
    pub fn of(files: &[File], prefix: &str) -> Live {
        let prefix = prefix.to_lowercase();
        let named = |declarations: fn(&Topmost) -> &[Declaration]| {
            let all = files.iter().flat_map(|file| declarations(&file.topmost));
            let is_live = |it: &&Declaration| !it.generic && it.name.to_lowercase().starts_with(&prefix);
            let mut names: Vec<String> = all.filter(is_live).map(|it| it.name.clone()).collect();
            names.sort();
            names
        };
        Live {
            functions: named(|it| &it.functions),
            types: named(|it| &it.types),
            variables: named(|it| &it.variables),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.variables.iter().any(|live| live == name)
    }
}

/// The functions of a plugin that `files`, those of its package, do not declare.
pub fn missing(files: &[File]) -> Vec<&'static str> {
    let declares = |name: &str| {
        files.iter().flat_map(|file| &file.topmost.functions).any(|function| function.name == name)
    };
    FUNCTIONS.iter().filter(|(name, _)| !declares(name)).map(|(_, form)| *form).collect()
}

/// What in `files` behaves otherwise in a plugin than in a program; paths are shown from `base` on.
pub fn lint(files: &[File], live: &Live, base: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for file in files {
        let path = file.path.strip_prefix(base).unwrap_or(&file.path).display();
        for variable in file.topmost.variables.iter().filter(|it| it.name != "_" && !live.has(&it.name)) {
            warnings.push(format!(
                "{path}:{}: each version has a variable `{}` of its own; what is to outlive a reload belongs into the vault's \
                 data bag",
                file.line(variable.at),
                variable.name
            ));
        }
        for &at in &file.topmost.goroutines {
            warnings.push(format!(
                "{path}:{}: a goroutine that runs when its version is freed goes on; have `OnFree` end it",
                file.line(at)
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::topmost;

    fn file(text: &str) -> File {
        File { path: PathBuf::from("/m/p/a.go"), text: text.to_owned(), topmost: topmost(text).unwrap() }
    }

    #[test]
    fn what_is_live_and_what_is_missing() {
        let files = [
            file(
                "package p\nfunc OnLoad(data any) error { return nil }\nfunc Live_b() {}\nfunc live_a() {}\n",
            ),
            file(
                "package p\ntype LIVE_T struct{}\ntype Other int\nvar live_x = 1\nfunc live_gen[T any]() {}\n",
            ),
        ];
        let live = Live::of(&files, "live_");
        let [functions, types, variables] =
            [&live.functions, &live.types, &live.variables].map(|names| names.join(" "));
        assert_eq!((&*functions, &*types, &*variables), ("Live_b live_a", "LIVE_T", "live_x"));
        let missing = missing(&files);
        assert_eq!(missing.len(), 6);
        assert!(missing.contains(&"func OnFree()"));
    }

    #[test]
    fn what_is_worth_a_warning() {
        let files = [file("package p\n\nvar count, live_x int\nvar _ = 1\nfunc run() {\n\tgo run()\n}\n")];
        let warnings = lint(&files, &Live::of(&files, "live_"), Path::new("/m"));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("p/a.go:3: each version has a variable `count`"));
        assert!(warnings[1].starts_with("p/a.go:6: a goroutine"));
    }
}
