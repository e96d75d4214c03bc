//! A Go file that keeps functions in a link which only other packages than main can reach: it names them. Pure.

use std::fmt::Write;

/// The text of a file for package main that imports `packages` and refers to `functions`, symbols of those. None of it
/// is ever run: what a package does once at its start was done.
pub fn text<'a>(packages: impl Iterator<Item = &'a str>, functions: impl Iterator<Item = &'a str>) -> String {
    let mut text = "package main\n\nimport _ \"unsafe\"\n".to_owned();
    for package in packages {
        let _ = writeln!(text, "import _ {package:?}");
    }
    let mut calls = String::new();
    // A directive's words end at spaces.
    for (number, function) in functions.filter(|function| !function.contains(' ')).enumerate() {
        let _ =
            write!(text, "\n//go:linkname hotwatchKeep{number} {function}\nfunc hotwatchKeep{number}()\n");
        let _ = writeln!(calls, "\thotwatchKeep{number}()");
    }
    let _ = write!(text, "\nfunc init() {{\n{calls}}}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_named_and_called() {
        let functions = ["a/b.F", "a/b.(*T).M", "a/b.G[go.shape.struct { X int }]"];
        assert_eq!(
            text(["a/b"].into_iter(), functions.into_iter()),
            "package main\n\nimport _ \"unsafe\"\nimport _ \"a/b\"\n\
             \n//go:linkname hotwatchKeep0 a/b.F\nfunc hotwatchKeep0()\n\
             \n//go:linkname hotwatchKeep1 a/b.(*T).M\nfunc hotwatchKeep1()\n\
             \nfunc init() {\n\thotwatchKeep0()\n\thotwatchKeep1()\n}\n"
        );
    }
}
