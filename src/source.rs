//! What a Go source file says: its package, imports, build constraint and embeds, and a hash over its meaning
//! that comments and formatting leave alone.

mod lexer;
mod reader;
#[cfg(test)]
mod tests;
mod topmost;
mod variables;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::mem::take;

use xxhash_rust::xxh3::Xxh3;

use lexer::Lexer;
pub use topmost::{Declaration, Topmost, topmost};
pub use variables::{Declared, Spec, declared};

/// A Go source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What the go command reads of it to know what to build.
    pub head: Head,
    /// A hash over its meaning: equal for two files that differ only in comments and formatting. Line numbers,
    /// which panics and logs tell, are no part of it; directives and cgo preambles are.
    pub code: u64,
}

/// What the go command reads of a file to know what to build (`go/build/read.go` in Go's own sources).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// The name in the package clause.
    pub package: String,
    /// The import paths.
    pub imports: BTreeSet<String>,
    /// The build constraint: what follows `//go:build`, or in its absence the `// +build` lines in that syntax.
    /// Not necessarily well-formed.
    pub constraint: Option<String>,
    /// The patterns of all `//go:embed` lines, if the file imports `embed`.
    pub embeds: Vec<String>,
    /// Whether it imports "C".
    pub cgo: bool,
}

impl Head {
    /// A hash over all of it.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Xxh3::new();
        self.hash(&mut hash);
        hash.finish()
    }
}

/// Reads a Go source file. `None` if its tokens, package clause or imports are not Go; two such files are to be
/// compared byte by byte. Later syntax errors are not looked for: they are tokens like others.
pub fn scan(bytes: &[u8]) -> Option<Source> {
    let text = str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') || text.contains('\u{feff}') {
        return None;
    }
    let mut lexer = Lexer::new(text);
    let constraint = constraint(text);
    // Lines of the old syntax are no directives, and count only where they take effect.
    lexer.put(constraint.as_deref().unwrap_or_default());
    let (package, imports) = clauses(&mut lexer)?;
    while !lexer.token()?.is_empty() {}

    let (embeds, code) = lexer.finish();
    let embeds = if imports.contains("embed") { embeds } else { Vec::new() };
    let cgo = imports.contains("C");
    Some(Source { head: Head { package, imports, constraint, embeds, cgo }, code })
}

/// The package clause and the imports. Hashes the preambles of cgo: the comment right above an `import "C"`.
fn clauses(lexer: &mut Lexer) -> Option<(String, BTreeSet<String>)> {
    if lexer.token()? != "package" {
        return None;
    }
    let package = lexer.token().filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))?;
    let mut imports = BTreeSet::new();
    let mut token = lexer.token()?;
    while token == "import" {
        let mut doc = take(&mut lexer.doc);
        token = lexer.token()?;
        let grouped = token == "(";
        if grouped {
            token = lexer.token()?;
        }
        let (mut specs, mut undocumented) = (0, false);
        while token != ")" {
            let own = if grouped { take(&mut lexer.doc) } else { take(&mut doc) };
            if !token.starts_with(['"', '`']) {
                token = lexer.token()?;
            }
            let path = unquote(token)?;
            if path == "C" {
                undocumented |= own.is_empty();
                own.iter().for_each(|comment| lexer.put(comment));
            }
            imports.insert(path);
            specs += 1;
            if !grouped {
                break;
            }
            token = lexer.token()?;
        }
        // A group's own comment counts only if "C" is alone in it (`cmd/cgo/ast.go`).
        if undocumented && specs == 1 {
            doc.iter().for_each(|comment| lexer.put(comment));
        }
        token = lexer.token()?;
    }
    Some((package.to_owned(), imports))
}

/// The build constraint of a file, as `parseFileHeader` and `shouldBuild` in `go/build/build.go` find it. A
/// second `//go:build` line is an error there; joined to the first it is no expression either.
fn constraint(text: &str) -> Option<String> {
    let mut expression: Option<String> = None;
    // Old lines count only if a blank line follows before the first thing that is not a line comment.
    let (mut old, mut undecided) = (Vec::new(), Vec::new());
    let (mut ended, mut general) = (false, false);
    'lines: for line in text.split('\n') {
        let mut line = line.trim();
        if line.is_empty() && !ended {
            old.append(&mut undecided);
            continue;
        }
        ended |= !line.starts_with("//");
        if !general && let Some(rest) = argument(line, "//go:build") {
            expression = Some(expression.map_or(rest.to_owned(), |first| format!("{first}\n{rest}")));
        }
        if let Some(comment) = line.strip_prefix("//").filter(|_| !ended) {
            undecided.extend(argument(comment.trim(), "+build"));
        }
        while !line.is_empty() {
            if general {
                let Some(end) = line.find("*/") else { break };
                (general, line) = (false, line[end + 2..].trim());
            } else if line.starts_with("//") {
                break;
            } else if let Some(rest) = line.strip_prefix("/*") {
                (general, line) = (true, rest.trim());
            } else {
                break 'lines;
            }
        }
    }
    expression.or_else(|| (!old.is_empty()).then(|| join(old.into_iter().map(translate), " && ")))
}

/// What follows `word` in `line`, if that is all of its first word.
fn argument<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(word)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// The line `// +build OLD` as an expression: a space is "or", a comma is "and"; what is no tag is read as
/// `ignore` (`parsePlusBuildExpr` in `go/build/constraint/expr.go`).
fn translate(old: &str) -> String {
    let tag = |term: &str| {
        let (not, tag) = term.strip_prefix('!').map_or(("", term), |tag| ("!", tag));
        let valid = |tag: &str| tag.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        match tag {
            "" => "ignore".to_owned(),
            _ if tag.starts_with('!') => "ignore".to_owned(),
            _ => format!("{not}{}", if valid(tag) { tag } else { "ignore" }),
        }
    };
    let clauses = old.split_whitespace().map(|clause| join(clause.split(',').map(tag), " && "));
    if old.is_empty() { "ignore".to_owned() } else { join(clauses, " || ") }
}

/// The expressions `parts` with `operator` between them.
fn join(parts: impl Iterator<Item = String>, operator: &str) -> String {
    let mut parts: Vec<_> = parts.collect();
    let other = if operator == " && " { " || " } else { " && " };
    if parts.len() > 1 {
        parts.iter_mut().filter(|part| part.contains(other)).for_each(|part| *part = format!("({part})"));
    }
    parts.join(operator)
}

/// The value of a string literal; `None` for escapes that only Go has, which no path and no pattern needs.
fn unquote(literal: &str) -> Option<String> {
    match literal.strip_prefix('`') {
        Some(raw) => Some(raw.strip_suffix('`')?.replace('\r', "")),
        None => serde_json::from_str(literal).ok(),
    }
}
