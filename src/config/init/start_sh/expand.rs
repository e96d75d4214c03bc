//! What words of a start script come to: variables, the few substitutions that are about paths, and patterns. What
//! cannot be known stays in the value as its own source text between two `UNKNOWN`s, so that `$bin/users` is the
//! same file wherever it is written.

use std::collections::BTreeMap;

use globset::GlobBuilder;

use super::super::shell::{self, Node, Piece, Word};
use super::super::{join, last, parent};

/// Encloses what is not known; a private-use character, so it means nothing to anybody else.
pub const UNKNOWN: char = '\u{F0055}';

/// What absolute paths below the root begin with.
pub const ROOT: char = '\u{F0052}';

/// What words may refer to.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Where the script is.
    pub cwd: String,
    /// The script itself, for `$0`.
    pub script: String,
    /// The variables that were set. Elements of arrays are lines.
    pub variables: BTreeMap<String, String>,
    /// The arguments of the function that runs.
    pub arguments: Vec<String>,
}

/// Whether all of `value` is known.
pub fn is_known(value: &str) -> bool {
    !value.contains([UNKNOWN, ROOT])
}

/// `value` as it may be shown to people.
pub fn shown(value: &str) -> String {
    value.replace(&format!("{ROOT}/"), "").replace([UNKNOWN, ROOT], "")
}

impl Scope {
    /// Where `path` leads from here; `None` if that is not known or outside of the root.
    pub fn path(&self, path: &str) -> Option<String> {
        let path = match path.strip_prefix(ROOT) {
            Some(absolute) => join("", absolute),
            None if path.starts_with('/') => return None,
            None => join(&self.cwd, path),
        };
        (!path.starts_with("..")).then_some(path)
    }

    /// The words that `words` come to.
    pub fn expand_all(&self, words: &[Word], dirs: &[String]) -> Vec<String> {
        words.iter().flat_map(|word| self.expand(word, dirs)).collect()
    }

    /// `word` as one word.
    pub fn one(&self, word: &Word) -> String {
        word.iter().map(|piece| self.piece(piece)).collect()
    }

    fn expand(&self, word: &Word, dirs: &[String]) -> Vec<String> {
        // Words that unquoted variables are split into, where they stand alone.
        if let [Piece::Variable { expression, quoted }] = word.as_slice() {
            let value = self.variable(expression);
            if let Some(Ok(first)) = expression.strip_prefix("@:").map(str::parse::<usize>) {
                return self.arguments.iter().skip(first.saturating_sub(1)).cloned().collect();
            }
            if expression.ends_with("[@]") || expression == "@" {
                return value.split('\n').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            }
            if !quoted && is_known(&value) {
                return value.split_whitespace().map(str::to_owned).collect();
            }
        }
        if let [Piece::Command(script)] = word.as_slice() {
            let value = self.substitute(script);
            if is_known(&value) {
                return value.split_whitespace().map(str::to_owned).collect();
            }
        }
        let value = self.one(word);
        let is_pattern = |piece: &Piece| match piece {
            Piece::Text { text, quoted } => !quoted && text.contains('*'),
            _ => false,
        };
        if word.iter().any(is_pattern) {
            let found = self.matching(&value, dirs);
            if !found.is_empty() {
                return found;
            }
        }
        vec![value]
    }

    /// The directories that a pattern means, as they are reached from here.
    fn matching(&self, pattern: &str, dirs: &[String]) -> Vec<String> {
        let Some(path) = self.path(pattern) else { return Vec::new() };
        let glob = GlobBuilder::new(&path).literal_separator(true).build();
        let Ok(glob) = glob.map(|glob| glob.compile_matcher()) else { return Vec::new() };
        dirs.iter().filter(|dir| glob.is_match(dir)).map(|dir| format!("{ROOT}/{dir}")).collect()
    }

    fn piece(&self, piece: &Piece) -> String {
        match piece {
            Piece::Text { text, .. } => text.clone(),
            Piece::Variable { expression, .. } => self.variable(expression),
            Piece::Command(script) => self.substitute(script),
        }
    }

    /// The value of `$NAME` or of what stands in `${...}`.
    fn variable(&self, expression: &str) -> String {
        let unknown = || format!("{UNKNOWN}${{{expression}}}{UNKNOWN}");
        let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let (name, operation) = match expression {
            "@" | "*" => return self.arguments.join("\n"),
            _ => expression.split_at(expression.find(end).unwrap_or(expression.len())),
        };
        let (subscript, operation) = match operation.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((subscript, rest)) => (subscript, rest),
            None => ("", operation),
        };
        let value = match (name, name.parse::<usize>()) {
            ("0" | "BASH_SOURCE", _) => Some(self.script.clone()),
            ("PWD", _) => Some(format!("{ROOT}/{}", self.cwd)),
            ("", _) => None,
            (_, Ok(number)) => self.arguments.get(number - 1).cloned(),
            _ => self.variables.get(name).cloned(),
        };
        match (value, operation.trim_start_matches(':')) {
            (Some(value), "") if subscript.is_empty() || "@*".contains(subscript) => value,
            (None, "") => unknown(),
            (Some(value), rest) if rest.starts_with(['-', '=', '?']) => value,
            (None, rest) => match rest.strip_prefix(['-', '=']) {
                Some(default) => self.one(&quoted(default)),
                None => unknown(),
            },
            (Some(value), _) if name == "BASH_SOURCE" => value,
            (Some(value), rest) if is_known(&value) => trim(&value, rest).unwrap_or_else(unknown),
            _ => unknown(),
        }
    }

    /// The output of `$(...)`, if it is about paths.
    fn substitute(&self, script: &str) -> String {
        let mut inner = self.clone();
        let mut output = None;
        for node in shell::parse(script) {
            let Node::Simple { words, .. } = node else { continue };
            let words = inner.expand_all(&words, &[]);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            output = match words.as_slice() {
                ["cd", path] | ["cd", "-P" | "--", path] => {
                    match inner.path(path) {
                        Some(path) => inner.cwd = path,
                        None => return format!("{UNKNOWN}$({script}){UNKNOWN}"),
                    }
                    None
                }
                ["pwd", ..] | ["git", "rev-parse", "--show-toplevel"] => {
                    Some(format!("{ROOT}/{}", inner.cwd))
                }
                ["dirname", path] => Some(if path.contains('/') { parent(path) } else { "." }.to_owned()),
                ["basename", path] => Some(last(path.trim_end_matches('/')).to_owned()),
                ["basename", path, suffix] => Some(last(path.trim_end_matches(suffix)).to_owned()),
                ["realpath" | "readlink", .., path] => inner.path(path).map(|path| format!("{ROOT}/{path}")),
                ["echo", words @ ..] => Some(words.join(" ")),
                _ => return format!("{UNKNOWN}$({script}){UNKNOWN}"),
            };
        }
        output.unwrap_or_else(|| format!("{UNKNOWN}$({script}){UNKNOWN}"))
    }
}

/// `text` as one word with all its spaces.
fn quoted(text: &str) -> Word {
    match shell::parse(&format!("\"{}\"", text.trim_matches(['"', '\'']))).pop() {
        Some(Node::Simple { words, .. }) => words.concat(),
        _ => Word::new(),
    }
}

/// `value` after one of `#P`, `##P`, `%P` and `%%P`, where `P` has one `*`, at its outer end.
fn trim(value: &str, operation: &str) -> Option<String> {
    let trimmed = if let Some(pattern) = operation.strip_prefix("##") {
        value.rsplit_once(pattern.strip_prefix('*')?).map(|(_, rest)| rest)
    } else if let Some(pattern) = operation.strip_prefix('#') {
        match pattern.strip_prefix('*') {
            Some(end) => value.split_once(end).map(|(_, rest)| rest),
            None => value.strip_prefix(pattern),
        }
    } else if let Some(pattern) = operation.strip_prefix("%%") {
        value.split_once(pattern.strip_suffix('*')?).map(|(rest, _)| rest)
    } else {
        let pattern = operation.strip_prefix('%')?;
        match pattern.strip_suffix('*') {
            Some(start) => value.rsplit_once(start).map(|(rest, _)| rest),
            None => value.strip_suffix(pattern),
        }
    };
    Some(trimmed.unwrap_or(value).to_owned())
}
