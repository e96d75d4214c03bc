//! The tokens of a Go file with the brackets around them, for those who look for declarations.

use std::ops::Range;

use super::lexer::Lexer;

/// Reads the tokens of one file, one at a time.
pub struct Reader<'a> {
    lexer: Lexer<'a>,
    /// The token that was read last; empty at the end of the file.
    pub token: &'a str,
    /// How many brackets are open behind it.
    pub depth: usize,
}

impl<'a> Reader<'a> {
    /// Reads `text`; the first token is read with it. `None` if that is no Go.
    pub fn new(text: &'a str) -> Option<Reader<'a>> {
        let mut reader = Reader { lexer: Lexer::new(text), token: "", depth: 0 };
        reader.advance()?;
        Some(reader)
    }

    /// Reads the next token; `None` if there is none in the text, or a bracket closes that was not opened.
    pub fn advance(&mut self) -> Option<()> {
        self.token = self.lexer.token()?;
        match self.token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.checked_sub(1)?,
            _ => {}
        }
        Some(())
    }

    /// How many brackets are open in front of the token.
    pub fn before(&self) -> usize {
        match self.token {
            "(" | "[" | "{" => self.depth - 1,
            ")" | "]" | "}" => self.depth + 1,
            _ => self.depth,
        }
    }

    /// Where the token stands, in bytes from the start.
    pub fn place(&self) -> Range<usize> {
        let start = self.lexer.start(self.token);
        start..start + self.token.len()
    }

    /// Whether a semicolon, written or implied, is in front of the token.
    pub fn separated(&self) -> bool {
        self.lexer.separated
    }

    /// Whether the token is no part any more of a declaration inside of so many brackets.
    pub fn has_ended(&self, outside: usize) -> bool {
        let is_next = self.separated() && self.before() == outside;
        self.token.is_empty() || self.depth < outside || is_next
    }
}
