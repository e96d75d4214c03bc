//! What a file is to a service that contains it, told by its name alone: a source that the build reads, a test
//! that it does not, or nothing. Pure.

use std::path::Path;

use crate::config::Patterns;

/// What a file is to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A source of the build, or a file the config includes.
    Source,
    /// A Go test: no build of the service reads it.
    Test,
    /// Excluded by the config.
    Excluded,
    /// Anything else.
    Other,
}

/// The class of the file `relative` to a service's directory.
pub fn classify(relative: &Path, patterns: &Patterns) -> Class {
    let Some(name) = relative.file_name().and_then(|name| name.to_str()) else {
        return Class::Other;
    };
    if name.ends_with("_test.go") {
        Class::Test
    } else if patterns.exclude.is_match(relative) {
        Class::Excluded
    } else if is_go_source(name) || patterns.include.is_match(relative) {
        Class::Source
    } else {
        Class::Other
    }
}

/// Whether the go command would read a file of this name. It skips names that start with `.` or `_` (`go help
/// packages`), among them the lock and swap files of editors.
pub fn is_go_source(name: &str) -> bool {
    let skipped = name.starts_with(['.', '_']);
    !skipped && (name.ends_with(".go") || matches!(name, "go.mod" | "go.sum"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use globset::{Glob, GlobSet};

    #[test]
    fn names_decide() {
        let set = |glob: &str| GlobSet::builder().add(Glob::new(glob).unwrap()).build().unwrap();
        let patterns = Patterns {
            include: set("templates/**/*.html"),
            exclude: set("**/*.pb.go"),
            include_dirs: Vec::new(),
        };
        let table = [
            ("main.go", Class::Source),
            ("pkg/deep/x.go", Class::Source),
            ("go.mod", Class::Source),
            ("go.sum", Class::Source),
            ("main_test.go", Class::Test),
            ("pkg/x_test.go", Class::Test),
            ("api/x.pb.go", Class::Excluded),
            ("templates/a/b.html", Class::Source),
            ("b.html", Class::Other),
            ("notes.txt", Class::Other),
            ("main.go~", Class::Other),
            (".#main.go", Class::Other),
            (".main.go.swp", Class::Other),
            ("_main.go", Class::Other),
            ("4913", Class::Other),
        ];
        for (path, expected) in table {
            assert_eq!(classify(Path::new(path), &patterns), expected, "{path}");
        }
    }
}
