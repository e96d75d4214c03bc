//! The tokens of Go, after the language's specification (<https://go.dev/ref/spec>), hashed as they are read. A
//! semicolon is hashed where one is written or implied by a newline, since that is where formatting has a
//! meaning; directives are hashed like tokens. Nothing is allocated per token.

use std::mem::{swap, take};

use xxhash_rust::xxh3::Xxh3;

use super::{argument, unquote};

/// Reads the tokens of one file.
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    hash: Xxh3,
    previous: &'a str,
    /// The line on which the previous token ended.
    previous_line: usize,
    /// Whether a newline after the previous token is a semicolon.
    ends: bool,
    /// Whether a semicolon, written or implied, is in front of the token that was read last.
    pub separated: bool,
    /// Whether there was one since.
    separates: bool,
    /// A semicolon that is not hashed yet: what follows may make it redundant.
    semicolon: bool,
    /// The brackets that are open.
    groups: Vec<Group>,
    /// Comments on consecutive lines, and the line of the last one's end.
    comments: Vec<&'a str>,
    comments_line: usize,
    /// The comments right above the token that was read last.
    pub doc: Vec<&'a str>,
    embeds: Vec<String>,
}

/// What was seen between brackets, not counting brackets within.
#[derive(Default)]
struct Group {
    /// They hold declarations: `import (`, `struct {` and the like.
    declares: bool,
    /// There was something that only statements have.
    states: bool,
    /// There was something that lists have.
    lists: bool,
}

impl<'a> Lexer<'a> {
    /// Reads `text`.
    pub fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            at: 0,
            line: 1,
            hash: Xxh3::new(),
            previous: "",
            previous_line: 0,
            ends: false,
            separated: false,
            separates: false,
            semicolon: false,
            groups: Vec::new(),
            comments: Vec::new(),
            comments_line: 0,
            doc: Vec::new(),
            embeds: Vec::new(),
        }
    }

    /// The patterns of all `//go:embed` lines, and the hash over all that was read.
    pub fn finish(self) -> (Vec<String>, u64) {
        (self.embeds, self.hash.digest())
    }

    /// Hashes `text`. No text contains a NUL, so one ends it. Go drops carriage returns from comments and raw
    /// strings.
    pub fn put(&mut self, text: &str) {
        if text.starts_with(['`', '/']) {
            text.split('\r').for_each(|part| self.hash.update(part.as_bytes()));
        } else {
            self.hash.update(text.as_bytes());
        }
        self.hash.update(&[0]);
    }

    /// Where `token`, which was read last, begins, in bytes from the start.
    pub fn start(&self, token: &str) -> usize {
        self.at - token.len()
    }

    /// The next token, empty at the end of the file; `None` if there is none in the text. Semicolons are hashed
    /// and passed over.
    pub fn token(&mut self) -> Option<&'a str> {
        self.skip()?;
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let length = match bytes {
            [] => return Some(""),
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => number(bytes),
            [b'"' | b'\'', ..] => quoted(bytes)?,
            [b'`', ..] => rest[1..].find('`')? + 2,
            [first, ..] if is_word(*first) => run(bytes, is_word),
            _ => operator(bytes)?,
        };
        let token = &rest[..length];
        self.separated = take(&mut self.separates);
        self.flush(token);
        self.describe();
        self.put(token);
        self.note(token);
        self.at += length;
        self.line += lines(token);
        (self.previous, self.previous_line) = (token, self.line);
        Some(token)
    }

    /// Passes over white space, comments and semicolons.
    fn skip(&mut self) -> Option<()> {
        loop {
            match &self.text.as_bytes()[self.at..] {
                [b' ' | b'\t' | b'\r', ..] => self.at += 1,
                [b'\n', ..] => {
                    self.at += 1;
                    self.line += 1;
                    self.newline();
                }
                [b';', ..] => {
                    self.at += 1;
                    self.ends = true;
                    self.newline();
                }
                [b'/', b'/', rest @ ..] => self.comment(2 + run(rest, |byte| byte != b'\n'))?,
                [b'/', b'*', ..] => self.comment(self.text[self.at + 2..].find("*/")? + 4)?,
                _ => return Some(()),
            }
        }
    }

    /// A newline, or anything else that may end a statement.
    fn newline(&mut self) {
        if take(&mut self.ends) {
            self.flush("");
            (self.semicolon, self.separates) = (true, true);
        }
    }

    /// Hashes the semicolon that waits, if there is one, before `next`. The specification allows to omit it
    /// before `)` and `}`, so formatting may; but in a list or a call it is a missing comma, an error. Of a
    /// single call in braces one cannot tell; it is taken for a statement.
    fn flush(&mut self, next: &str) {
        if !take(&mut self.semicolon) {
            return;
        }
        if let Some(group) = self.groups.last_mut() {
            let statements = group.states || (!group.lists && self.previous == ")");
            if (next == ")" && group.declares) || (next == "}" && (group.declares || statements)) {
                return;
            }
            group.states = true;
        }
        self.put(";");
    }

    /// Finds the comments right above the token that begins here. cgo reads `//export` only there.
    fn describe(&mut self) {
        self.doc.clear();
        if self.comments_line + 1 == self.line {
            swap(&mut self.doc, &mut self.comments);
        }
        self.comments.clear();
        if self.doc.iter().any(|comment| comment.starts_with("//export ")) {
            self.put("/*described*/");
        }
    }

    /// Notes what `token` means for the semicolons after it and the brackets around it.
    fn note(&mut self, token: &'a str) {
        let last = token.as_bytes()[token.len() - 1];
        let operand = is_word(token.as_bytes()[0]) || is_word(last) || matches!(last, b'"' | b'\'' | b'`');
        let (ends, states) = match token {
            ")" | "]" | "}" => {
                self.groups.pop();
                (true, false)
            }
            "break" | "continue" | "fallthrough" | "return" | "++" | "--" => (true, true),
            "case" | "const" | "default" | "defer" | "else" | "for" | "go" | "goto" | "if" | "import"
            | "package" | "range" | "select" | "switch" | "type" | "var" | "<-" => (false, true),
            "chan" | "func" | "interface" | "map" | "struct" | "==" | "!=" | "<=" | ">=" => (false, false),
            _ => (operand, !operand && last == b'='),
        };
        self.ends = ends;
        if let Some(group) = self.groups.last_mut() {
            group.states |= states;
            group.lists |= matches!(token, "," | ":");
        }
        if matches!(token, "(" | "[" | "{") {
            let declares =
                matches!(self.previous, "import" | "const" | "var" | "type" | "struct" | "interface");
            self.groups.push(Group { declares, ..Group::default() });
        }
    }

    /// Takes in a comment of `length` bytes.
    fn comment(&mut self, length: usize) -> Option<()> {
        let text = &self.text[self.at..self.at + length];
        let begins_line = !self.text[..self.at].ends_with(|c| c != '\n');
        let lines = lines(text);
        let trails = self.line == self.previous_line;
        if trails {
            self.previous_line += lines;
        } else {
            if self.line > self.comments_line + 1 {
                self.comments.clear();
            }
            self.comments.push(text);
            self.comments_line = self.line + lines;
        }
        if is_directive(text) {
            self.flush("");
            self.put(text.trim_end());
            // Go wants a directive on a line of its own, and `//line` at its beginning.
            if text.starts_with("//") && (trails || text.starts_with("//line ") && !begins_line) {
                self.put("/*misplaced*/");
            }
            if let Some(patterns) = argument(text, "//go:embed") {
                self.embed(patterns)?;
            }
        }
        if lines > 0 {
            self.newline();
        }
        self.at += length;
        self.line += lines;
        Some(())
    }

    /// Takes in the patterns of a `//go:embed`: separated by white space, quoted or not.
    fn embed(&mut self, mut patterns: &str) -> Option<()> {
        while let Some(first) = patterns.chars().next() {
            let length = match first {
                '"' => quoted(patterns.as_bytes())?,
                '`' => patterns[1..].find('`')? + 2,
                _ => patterns.find(char::is_whitespace).unwrap_or(patterns.len()),
            };
            let (pattern, rest) = patterns.split_at(length);
            let literal = matches!(first, '"' | '`');
            self.embeds.push(if literal { unquote(pattern)? } else { pattern.to_owned() });
            patterns = rest.trim_start();
        }
        Some(())
    }
}

/// Whether a comment tells a tool something (`isDirective` in `go/ast/ast.go`). `//nolint:...` only silences.
fn is_directive(comment: &str) -> bool {
    let Some(text) = comment.strip_prefix("//") else { return comment.starts_with("/*line ") };
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    ["line ", "extern ", "export "].iter().any(|word| text.starts_with(word))
        || text.split_once(':').is_some_and(|(tool, rest)| {
            let named = !tool.is_empty() && tool.bytes().all(word);
            named && rest.bytes().next().is_some_and(word) && tool != "nolint"
        })
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

/// How many of the first bytes are `fine`.
fn run(bytes: &[u8], fine: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !fine(byte)).unwrap_or(bytes.len())
}

/// Whether a byte is part of an identifier, a keyword or a number. Beyond ASCII not only letters are: what Go
/// rejects need not be taken apart.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// The length of the number that `bytes` begin with.
fn number(bytes: &[u8]) -> usize {
    let hexadecimal = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let digits = |from: usize, hexadecimal: bool| {
        let digit = |byte: u8| byte.is_ascii_digit() || hexadecimal && byte.is_ascii_hexdigit();
        from + run(&bytes[from..], |byte| digit(byte) || byte == b'_')
    };
    let prefixed = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let mut end = digits(if prefixed { 2 } else { 0 }, hexadecimal);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1, hexadecimal);
    }
    if let Some(b'e' | b'E' | b'p' | b'P') = bytes.get(end) {
        let signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(signed), false);
    }
    end + usize::from(bytes.get(end) == Some(&b'i'))
}

/// The length of the string or rune that `bytes` begin with, if it ends on its line.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut end = 1;
    loop {
        match bytes.get(end)? {
            b'\\' if bytes.get(end + 1) != Some(&b'\n') => end += 2,
            b'\n' => return None,
            byte if *byte == bytes[0] => return Some(end + 1),
            _ => end += 1,
        }
    }
}

/// The length of the operator that `bytes` begin with: the longest one.
fn operator(bytes: &[u8]) -> Option<usize> {
    Some(match bytes {
        [b'<', b'<', b'=', ..] | [b'>', b'>', b'=', ..] | [b'&', b'^', b'=', ..] | [b'.', b'.', b'.', ..] => {
            3
        }
        [b'<', b'<' | b'-', ..] | [b'&', b'&' | b'^', ..] | [b'>', b'>', ..] | [b'|', b'|', ..] => 2,
        [b'+', b'+', ..] | [b'-', b'-', ..] => 2,
        [b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^', b'=', ..] => 2,
        [b'<' | b'>' | b'=' | b'!' | b':', b'=', ..] => 2,
        [b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'<' | b'>' | b'=' | b'!', ..] => 1,
        [b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b'.' | b':' | b'~', ..] => 1,
        _ => return None,
    })
}
