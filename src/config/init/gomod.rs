//! The little that is read of Go's own files without the go command: the path in `go.mod`, the directories in
//! `go.work`, and whether a source file belongs to a main package.

use super::join;

/// The module path of a `go.mod`.
pub fn module_path(text: &str) -> String {
    let path = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    path.and_then(|path| path.split("//").next()).unwrap_or_default().trim().trim_matches('"').to_owned()
}

/// The directories that a `go.work` at the root names, relative to it unless they are absolute there (<https://go.dev/ref/mod#go-work-file-use>).
pub fn uses(text: &str) -> Vec<String> {
    let (mut uses, mut in_block) = (Vec::new(), false);
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        let path =
            match line.strip_prefix("use").filter(|rest| rest.starts_with([' ', '\t', '('])).map(str::trim) {
                Some("(") => {
                    in_block = true;
                    continue;
                }
                Some(path) => path,
                None if line == ")" => {
                    in_block = false;
                    continue;
                }
                None if in_block => line,
                None => continue,
            };
        let path = path.trim_matches('"');
        if !path.is_empty() {
            uses.push(if path.starts_with('/') { path.to_owned() } else { join("", path) });
        }
    }
    uses
}

/// Whether the Go source `text` belongs to a main package that is built.
pub fn is_main(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let ignored = text.lines().any(|line| line.trim() == "//go:build ignore");
    !ignored && lines.any(|line| line == "package main") && text.contains("\nfunc main()")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_go_files() {
        assert_eq!(module_path("// x\nmodule example.com/shop // y\n\ngo 1.21\n"), "example.com/shop");
        let work = "go 1.21\n\nuse ./a // first\nuse (\n\t./b\n\t.\n\t/c\n)\nreplace x => ./c\n";
        assert_eq!(uses(work), ["a", "b", "", "/c"]);
        assert!(is_main("// X\npackage main\n\nfunc main() {}\n"));
        assert!(!is_main("//go:build ignore\n\npackage main\n\nfunc main() {}\n"));
        assert!(!is_main("package x\n// package main\n"));
    }
}
