//! A Go file that keeps functions in a link which only other packages than main can reach: it names them. Pure.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::object::{Kind, Object};

/// What has to be named so that the functions in `changed` are kept, which are symbols of `packages`: themselves, or,
/// since instances of generic functions cannot be named, what refers to them.
pub fn names(packages: &[(String, Object)], changed: &[String]) -> BTreeSet<String> {
    let mut referring: HashMap<&str, Vec<(&str, Kind)>> = HashMap::new();
    for (_, object) in packages {
        for symbol in object.symbols() {
            for reloc in object.relocs(symbol) {
                referring.entry(object.name(reloc.target)).or_default().push((&symbol.name, symbol.kind));
            }
        }
    }
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<(&str, Kind)> = changed.iter().map(|name| (name.as_str(), Kind::Text)).collect();
    while let Some((name, kind)) = open.pop() {
        if kind == Kind::Text && can_be_named(name) {
            names.insert(name.to_owned());
        } else if seen.insert(name) {
            open.extend(referring.get(name).into_iter().flatten());
        }
    }
    names
}

/// Whether a directive of the compiler can refer to the function `name`.
fn can_be_named(name: &str) -> bool {
    !name.contains(['[', ' '])
}

/// The text of a file for package main that imports `packages` and refers to `functions`, [`names`] of those. None of
/// it is ever run: what a package does once at its start was done.
pub fn text<'a>(packages: impl Iterator<Item = &'a str>, functions: impl Iterator<Item = &'a str>) -> String {
    let mut text = "package main\n\nimport _ \"unsafe\"\n".to_owned();
    for package in packages {
        let _ = writeln!(text, "import _ {package:?}");
    }
    let mut calls = String::new();
    for (number, function) in functions.filter(|function| can_be_named(function)).enumerate() {
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
