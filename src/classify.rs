//! What a file's name alone says of it, where no package graph says more. Pure.

/// Whether the go command may build a file of this name into a program, or reads it to know what to build. It
/// skips names that start with `.` or `_` (`go help packages`), among them the lock and swap files of editors,
/// and tests.
pub fn is_go_source(name: &str) -> bool {
    let skipped = name.starts_with(['.', '_']) || name.ends_with("_test.go");
    !skipped && (name.ends_with(".go") || matches!(name, "go.mod" | "go.sum"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        for name in ["main.go", "x_linux.go", "go.mod", "go.sum"] {
            assert!(is_go_source(name), "{name}");
        }
        for name in ["main_test.go", "notes.txt", "main.go~", ".#main.go", ".main.go.swp", "_main.go", "4913"]
        {
            assert!(!is_go_source(name), "{name}");
        }
    }
}
