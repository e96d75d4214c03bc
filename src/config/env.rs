//! `.env` files. `dotenvy` reads the syntax (quotes, `export`, comments, escapes); references to variables are
//! taken out before and put back after, because what they may refer to is ours to say: the process's own
//! environment and the files read so far, in the order that `env_override` asks for. hotwatch's own environment
//! is never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The variables of env files, in layers.
pub struct Layers<'a> {
    /// Looks a variable up in the process's environment.
    process: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a file's value wins over the process's.
    files_win: bool,
    values: BTreeMap<String, String>,
}

/// Why an env file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The file cannot be read.
    #[error("the env file `{0}` cannot be read: {1}; correct `env_files` or create it")]
    Io(String, std::io::Error),
    /// A line is not of the form `NAME=value`.
    #[error("{file}:{line}: not of the form `NAME=value`: `{text}`; quote values that contain spaces or `#`")]
    Syntax { file: String, line: usize, text: String },
    /// A reference of a form that is not understood.
    #[error("{file}:{line}: cannot expand `{text}`; write `$NAME`, `${{NAME}}` or `${{NAME:-default}}`")]
    Reference { file: String, line: usize, text: String },
}

/// Stands for a `$` that introduces a reference; a private-use character, so it means nothing to anybody else.
const REFERENCE: char = '\u{F0024}';

impl<'a> Layers<'a> {
    /// No files yet, over the environment that `process` looks up.
    pub fn new(process: &'a dyn Fn(&str) -> Option<String>, files_win: bool) -> Layers<'a> {
        Layers { process, files_win, values: BTreeMap::new() }
    }

    /// Adds the file `path`, called `shown` in messages. Later files win over earlier ones.
    pub fn read(&mut self, path: &Path, shown: &str) -> Result<(), EnvError> {
        let text = std::fs::read_to_string(path).map_err(|error| EnvError::Io(shown.to_owned(), error))?;
        self.parse(&text, shown)
    }

    /// Adds the file content `text`.
    pub fn parse(&mut self, text: &str, shown: &str) -> Result<(), EnvError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for item in dotenvy::from_read_iter(mark_references(text).as_bytes()) {
            match item {
                Ok((name, value)) => {
                    let value = expand(&value, &|name| self.visible(name)).map_err(|reference| {
                        let line = line_of(text, &reference);
                        EnvError::Reference { file: shown.to_owned(), line, text: reference }
                    })?;
                    self.values.insert(name, value);
                }
                Err(dotenvy::Error::LineParse(bad, _)) => return Err(syntax_error(text, &bad, shown)),
                Err(other) => return Err(EnvError::Io(shown.to_owned(), std::io::Error::other(other))),
            }
        }
        Ok(())
    }

    /// What a file may refer to as `name`.
    fn visible(&self, name: &str) -> Option<String> {
        let file = || self.values.get(name).cloned();
        let process = || (self.process)(name);
        if self.files_win { file().or_else(process) } else { process().or_else(file) }
    }

    /// The variables to set for a child that inherits the process's environment.
    pub fn into_variables(self) -> BTreeMap<String, String> {
        let keep = |name: &String| self.files_win || (self.process)(name).is_none();
        self.values.into_iter().filter(|(name, _)| keep(name)).collect()
    }
}

/// Replaces every `$` that introduces a reference: not those in single quotes, in comments, or behind a
/// backslash. The states are those of `dotenvy`'s own parser.
fn mark_references(text: &str) -> String {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        LineStart,
        Plain,
        Space,
        Single,
        Double,
        Comment,
    }
    let mut at = At::LineStart;
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && matches!(at, At::Plain | At::Space | At::Double);
        out.push(if c == '$' && matches!(at, At::Plain | At::Space | At::Double) { REFERENCE } else { c });
        if escapes {
            out.extend(chars.next());
        }
        at = match (at, c) {
            (At::Single, '\'') | (At::Double, '"') => At::Plain,
            (At::Single | At::Double, _) => at,
            (_, '\n') => At::LineStart,
            (At::Comment, _) | (At::LineStart | At::Space, '#') => At::Comment,
            (At::LineStart, c) if c.is_whitespace() => At::LineStart,
            (_, '\'') => At::Single,
            (_, '"') => At::Double,
            (_, c) if c.is_whitespace() => At::Space,
            _ => At::Plain,
        };
    }
    out
}

/// Puts values for the references in `text`, in which `$$` is a `$`, as in compose files. A reference of a form
/// that is not understood is the error.
pub(super) fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    const DOLLAR: char = '\u{F0025}';
    let marked = text.replace("$$", &DOLLAR.to_string()).replace('$', &REFERENCE.to_string());
    Ok(expand(&marked, lookup)?.replace(DOLLAR, "$"))
}

/// Puts values for references: `$NAME`, `${NAME}` and `${NAME:-default}`. What is not set is empty. A reference
/// of another form is the error.
fn expand(value: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut parts = value.split(REFERENCE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(braced) = part.strip_prefix('{') {
            let whole = || format!("${part}");
            let (inner, rest) = braced.split_once('}').ok_or_else(whole)?;
            let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
            if name.is_empty() || !name.chars().all(in_name) {
                return Err(format!("${{{inner}}}"));
            }
            out.push_str(
                &lookup(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()),
            );
            out.push_str(rest);
        } else {
            let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            if name.is_empty() {
                out.push('$');
            }
            out.push_str(&lookup(name).unwrap_or_default());
            out.push_str(rest);
        }
    }
    Ok(out)
}

/// `dotenvy` tells the text that it could not read, not where it stood.
fn syntax_error(text: &str, bad: &str, shown: &str) -> EnvError {
    let bad = bad.replace(REFERENCE, "$");
    let first = bad.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    EnvError::Syntax { file: shown.to_owned(), line: line_of(text, first), text: first.to_owned() }
}

/// The number of the first line that contains `part`.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).map_or(1, |index| index + 1)
}

/// Where changes of the file `path` show: canonical, but for a link it may be itself, and what that leads to.
pub(super) fn places(path: &Path) -> BTreeSet<PathBuf> {
    let dir = path.parent().and_then(|dir| dir.canonicalize().ok());
    let itself = dir.zip(path.file_name()).map(|(dir, name)| dir.join(name));
    itself.into_iter().chain(path.canonicalize()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/me".to_owned()),
            "PORT" => Some("1".to_owned()),
            _ => None,
        }
    }

    fn read(files: &[&str], files_win: bool) -> Vec<(String, String)> {
        let mut layers = Layers::new(&process, files_win);
        for file in files {
            layers.parse(file, ".env").unwrap();
        }
        layers.into_variables().into_iter().collect()
    }

    fn one(line: &str) -> String {
        read(&[line], false).pop().map(|(_, value)| value).unwrap_or_default()
    }

    #[test]
    fn syntax() {
        let table = [
            ("A=plain", "plain"),
            ("export A=exported", "exported"),
            ("A='single $HOME # no comment'", "single $HOME # no comment"),
            ("A=\"double $HOME\"", "double /home/me"),
            ("A=x # comment with $HOME and 'quote", "x"),
            ("# it's a comment\nA=1", "1"),
            ("A=\"two\nlines $HOME\"", "two\nlines /home/me"),
            ("A=\\$HOME", "$HOME"),
            ("A=\"\\$HOME\"", "$HOME"),
            ("A=${HOME}/x", "/home/me/x"),
            ("A=$HOME/x", "/home/me/x"),
            ("A=${MISSING:-fallback}", "fallback"),
            ("A=${MISSING}.", "."),
            ("A=a#b", "a#b"),
            ("\u{feff}A=bom", "bom"),
        ];
        for (line, expected) in table {
            assert_eq!(one(line), expected, "{line}");
        }
    }

    #[test]
    fn the_process_wins_unless_told_otherwise() {
        let file = "PORT=2\nURL=http://x:${PORT}\n";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(&[file], false), [pair("URL", "http://x:1")]);
        assert_eq!(read(&[file], true), [pair("PORT", "2"), pair("URL", "http://x:2")]);
    }

    #[test]
    fn later_files_win_and_see_earlier_ones() {
        let files = ["USER_PORT=1\nB=base\n", "USER_PORT=2\nURL=$USER_PORT/${B}\n"];
        let values: BTreeMap<_, _> = read(&files, false).into_iter().collect();
        assert_eq!(values["USER_PORT"], "2");
        assert_eq!(values["URL"], "2/base");
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let mut layers = Layers::new(&process, false);
        let error = layers.parse("A=1\n\nB = two words\n", ".env").unwrap_err().to_string();
        assert!(error.starts_with(".env:3: not of the form `NAME=value`"), "{error}");
        for bad in ["${HOME-x}", "${MISSING:-${HOME}", "${}"] {
            let error = Layers::new(&process, false).parse(&format!("A=1\nB={bad}\n"), ".env").unwrap_err();
            assert!(error.to_string().starts_with(".env:2: "), "{error}");
        }
        let error = Layers::new(&process, false).parse("A='never closed\nB=1\n", "x.env").unwrap_err();
        assert!(error.to_string().starts_with("x.env:1:"), "{error}");
    }
}
