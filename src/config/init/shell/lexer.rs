//! From the text of a shell script to words, operators and redirections, each with its line.

use std::iter::Peekable;
use std::str::Chars;

use super::{Piece, Word};

/// Stands for `;;`.
pub const END_OF_CASE: char = ':';

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// One argument.
    Word(Word),
    /// `NAME=(`, which opens an array.
    Array(String),
    /// `;`, `&`, `|`, `(`, `)`, a newline, `+` for `&&` and `||`, or `END_OF_CASE`.
    Operator(char),
    /// Its target is the next word; `true` if it takes standard output to a file.
    Redirect(bool),
}

/// The tokens of `text`, with their lines, from 1.
pub fn tokens(text: &str) -> Vec<(usize, Token)> {
    let rest = text.chars().peekable();
    let mut lexer = Lexer { rest, line: 1, tokens: Vec::new(), word: None, here: Vec::new() };
    while let Some(c) = lexer.next() {
        lexer.step(c);
    }
    lexer.end_word();
    lexer.tokens
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
    tokens: Vec<(usize, Token)>,
    word: Option<Word>,
    /// The ends of here-documents that begin after this line.
    here: Vec<String>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn step(&mut self, c: char) {
        match c {
            '\n' => {
                self.operator('\n');
                self.skip_here_documents();
            }
            c if c.is_whitespace() => self.end_word(),
            '#' if self.word.is_none() => while self.rest.next_if(|&c| c != '\n').is_some() {},
            '\\' => match self.next() {
                Some('\n') | None => {}
                Some(c) => self.text(c, true),
            },
            '\'' => {
                self.word.get_or_insert_default();
                while let Some(c) = self.next().filter(|&c| c != '\'') {
                    self.text(c, true);
                }
            }
            '"' => self.double_quoted(),
            '$' => self.dollar(false),
            '`' => self.backticks(),
            '&' if self.next_is('&') => self.operator('+'),
            '&' if self.next_is('>') => {
                self.next_is('>');
                self.redirect(true);
            }
            '|' if self.next_is('|') => self.operator('+'),
            '>' => {
                let to_file = !self.ends_in("2");
                self.drop_number();
                let duplicate = !self.next_is('>') && !self.next_is('|') && self.next_is('&');
                self.redirect(to_file && !duplicate);
            }
            '<' => self.input(),
            '(' => match self.array_name() {
                Some(name) => {
                    self.word = None;
                    self.push(Token::Array(name));
                }
                None => self.operator('('),
            },
            ';' if self.next_is(';') => self.operator(END_OF_CASE),
            ';' | '&' | '|' | ')' => self.operator(c),
            c => self.text(c, false),
        }
    }

    fn push(&mut self, token: Token) {
        // A newline belongs to the line that it ends.
        let line = self.line - usize::from(token == Token::Operator('\n'));
        self.tokens.push((line, token));
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.push(Token::Word(word));
        }
    }

    fn operator(&mut self, c: char) {
        if let Some(word) = self.word.take() {
            let line = self.line - usize::from(c == '\n');
            self.tokens.push((line, Token::Word(word)));
        }
        self.push(Token::Operator(c));
    }

    fn redirect(&mut self, output: bool) {
        self.end_word();
        self.push(Token::Redirect(output));
    }

    fn text(&mut self, c: char, is_quoted: bool) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Piece::Text { text, quoted }) if *quoted == is_quoted => text.push(c),
            _ => word.push(Piece::Text { text: c.into(), quoted: is_quoted }),
        }
    }

    fn piece(&mut self, piece: Piece) {
        self.word.get_or_insert_default().push(piece);
    }

    fn plain(&self) -> Option<&str> {
        match self.word.as_deref() {
            Some([Piece::Text { text, quoted: false }]) => Some(text),
            _ => None,
        }
    }

    fn ends_in(&self, number: &str) -> bool {
        self.plain() == Some(number)
    }

    /// Takes away the number of the file that a redirection is about.
    fn drop_number(&mut self) {
        if self.plain().is_some_and(|text| text.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
    }

    fn array_name(&self) -> Option<String> {
        Some(self.plain()?.strip_suffix('=')?.trim_end_matches('+').to_owned())
    }

    fn double_quoted(&mut self) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => match self.next() {
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.text(c, true),
                    Some('\n') | None => {}
                    Some(c) => {
                        self.text('\\', true);
                        self.text(c, true);
                    }
                },
                '$' => self.dollar(true),
                '`' => self.backticks(),
                c => self.text(c, true),
            }
        }
    }

    fn dollar(&mut self, quoted: bool) {
        let special = |c: char| c.is_ascii_digit() || "@*#?!$-".contains(c);
        match self.rest.peek().copied() {
            Some('(') => {
                self.next();
                let script = self.until(')', '(');
                self.piece(Piece::Command(script));
            }
            Some('{') => {
                self.next();
                let expression = self.until('}', '{');
                self.piece(Piece::Variable { expression, quoted });
            }
            Some(c) if special(c) => {
                self.next();
                self.piece(Piece::Variable { expression: c.into(), quoted });
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut expression = String::new();
                while let Some(c) = self.rest.next_if(|&c| c.is_ascii_alphanumeric() || c == '_') {
                    expression.push(c);
                }
                self.piece(Piece::Variable { expression, quoted });
            }
            _ => self.text('$', quoted),
        }
    }

    fn backticks(&mut self) {
        let mut script = String::new();
        while let Some(c) = self.next().filter(|&c| c != '`') {
            script.push(c);
        }
        self.piece(Piece::Command(script));
    }

    /// The text up to the `close` that matches what was opened just now.
    fn until(&mut self, close: char, open: char) -> String {
        let (mut text, mut depth, mut quote) = (String::new(), 0, None);
        while let Some(c) = self.next() {
            match quote {
                Some(end) => quote = (c != end).then_some(end),
                None if c == close && depth == 0 => break,
                None if c == close => depth -= 1,
                None if c == open => depth += 1,
                None if c == '\'' || c == '"' => quote = Some(c),
                None => {}
            }
            text.push(c);
        }
        text
    }

    fn input(&mut self) {
        self.drop_number();
        if self.next_is('(') {
            // `<(...)` is a file; what it holds is not known.
            let script = self.until(')', '(');
            self.piece(Piece::Command(script));
        } else if self.next_is('<') && !self.next_is('<') {
            self.next_is('-');
            while self.rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
            let mut end = String::new();
            while let Some(c) = self.rest.next_if(|&c| !c.is_whitespace() && !";&|)".contains(c)) {
                end.push(c);
            }
            self.here.push(end.trim_matches(['"', '\'', '\\']).to_owned());
        } else {
            self.redirect(false);
        }
    }

    fn skip_here_documents(&mut self) {
        for end in std::mem::take(&mut self.here) {
            loop {
                let mut line = String::new();
                let more = loop {
                    match self.next() {
                        Some('\n') => break true,
                        Some(c) => line.push(c),
                        None => break false,
                    }
                };
                if !more || line.trim() == end {
                    break;
                }
            }
        }
    }
}
