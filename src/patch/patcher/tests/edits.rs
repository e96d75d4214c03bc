//! Edits of functions in source files: a line more at the top of the body.

use std::fs;
use std::path::{Path, PathBuf};

/// An edit of one function.
pub struct Edit {
    /// The function, by the name that the linker knows.
    pub function: String,
    file: PathBuf,
    before: String,
    /// Where its body begins.
    at: usize,
}

impl Edit {
    /// One for each function in `file`, of the package `path`, whose head stands in one line.
    pub fn all(path: &str, file: &Path) -> Vec<Edit> {
        let text = fs::read_to_string(file).unwrap();
        let mut edits = Vec::new();
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            end += line.len();
            let head = line.strip_prefix("func ").filter(|_| line.ends_with(" {\n"));
            if let Some(name) = head.and_then(name) {
                let function = format!("{path}.{name}");
                edits.push(Edit { function, file: file.to_owned(), before: text.clone(), at: end });
            }
        }
        edits
    }

    /// Saves it.
    pub fn make(&self) {
        let (head, body) = self.before.split_at(self.at);
        fs::write(&self.file, format!("{head}\tprintln(\"edited\")\n{body}")).unwrap();
    }

    /// Saves what was there before.
    pub fn take_back(&self) {
        fs::write(&self.file, &self.before).unwrap();
    }
}

/// The name in a function's head behind `func`; not of those with type parameters, which have several.
fn name(head: &str) -> Option<String> {
    let plain = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let word =
        |text: &str| text.split('(').next().filter(|word| !word.is_empty() && plain(word)).map(str::to_owned);
    let Some(method) = head.strip_prefix('(') else { return word(head) };
    let (receiver, rest) = method.split_once(") ")?;
    let of = receiver.split_whitespace().last()?;
    let method = word(rest)?;
    match of.strip_prefix('*') {
        Some(of) if plain(of) => Some(format!("(*{of}).{method}")),
        None if plain(of) => Some(format!("{of}.{method}")),
        _ => None,
    }
}

#[test]
fn names_of_functions() {
    let table = [
        ("F(x int) error {", Some("F")),
        ("(s *server) hello(w W) {", Some("(*server).hello")),
        ("(T) M() {", Some("T.M")),
        ("(t T) M() (int, error) {", Some("T.M")),
        ("G[T any](x T) {", None),
        ("(l *list[T]) len() int {", None),
    ];
    for (head, expected) in table {
        assert_eq!(name(head).as_deref(), expected, "{head}");
    }
}
