//! The grammar of start scripts: from the text of a POSIX or bash script to its commands. Tolerant: what it does
//! not know becomes a word or disappears, and nothing is ever run. What the commands mean is in `start_sh`.

mod lexer;

use std::rc::Rc;

use lexer::{END_OF_CASE, Token};

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Literal text; `quoted` text is never a pattern.
    Text { text: String, quoted: bool },
    /// `$NAME` or `${...}`: what stands between the braces. Unquoted ones are split at spaces.
    Variable { expression: String, quoted: bool },
    /// `$(...)` or backticks: the script inside.
    Command(String),
}

/// What a shell takes as one argument, before expansion.
pub type Word = Vec<Piece>;

/// A command with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Assignments, a program and its arguments; `log` is the file that its output goes to.
    Simple { line: usize, words: Vec<Word>, log: Option<Word> },
    /// `NAME=(a b c)`.
    Array { name: String, words: Vec<Word> },
    /// `( ... )`, and whatever is put into the background: directory and variables are its own.
    Subshell { body: Vec<Node>, background: bool },
    /// `for NAME in words; do ... done`.
    For { name: String, words: Vec<Word>, body: Vec<Node> },
    /// `NAME() { ... }`.
    Function { name: String, body: Rc<Vec<Node>> },
}

/// The commands of `text`. The branches of conditions and the bodies of loops stand in line: all of them may run.
pub fn parse(text: &str) -> Vec<Node> {
    let mut parser = Parser { tokens: lexer::tokens(text), at: 0, depth: 0 };
    let mut nodes = Vec::new();
    while parser.at < parser.tokens.len() {
        nodes.extend(parser.list());
        // A closing word without an opening one.
        parser.at += 1;
    }
    nodes
}

/// Words that end a list of commands.
const CLOSING: [&str; 9] = ["then", "do", "done", "fi", "else", "elif", "esac", "}", "in"];

/// How deeply commands may be nested.
const DEEPEST: usize = 50;

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    /// The next token, if it is a word without quotes and variables.
    fn keyword(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => match word.as_slice() {
                [Piece::Text { text, quoted: false }] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn skip(&mut self, keyword: &str) -> bool {
        let found = self.keyword() == Some(keyword);
        self.at += usize::from(found);
        found
    }

    fn operator(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(&Token::Operator(wanted));
        self.at += usize::from(found);
        found
    }

    fn separators(&mut self) {
        while ['\n', ';'].into_iter().any(|c| self.operator(c)) {}
    }

    /// Commands up to a closing word or operator, which is left.
    fn list(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        loop {
            self.separators();
            let closed = match self.peek() {
                None | Some(Token::Operator(')' | END_OF_CASE)) => true,
                _ => self.keyword().is_some_and(|word| CLOSING.contains(&word)),
            };
            if closed {
                return nodes;
            }
            let before = self.at;
            let mut chain = self.command();
            while self.operator('+') || self.operator('|') {
                while self.operator('\n') {}
                chain.extend(self.command());
            }
            if self.operator('&') {
                chain = vec![Node::Subshell { body: chain, background: true }];
            }
            nodes.extend(chain);
            if self.at == before {
                self.at += 1;
            }
        }
    }

    /// A list and the word that closes it.
    fn body(&mut self, close: &str) -> Vec<Node> {
        let nodes = self.list();
        self.skip(close);
        nodes
    }

    fn command(&mut self) -> Vec<Node> {
        if self.depth == DEEPEST {
            self.at = self.tokens.len();
            return Vec::new();
        }
        self.depth += 1;
        let nodes = self.compound();
        self.depth -= 1;
        nodes
    }

    fn compound(&mut self) -> Vec<Node> {
        if self.operator('(') {
            let body = self.list();
            self.operator(')');
            self.redirections();
            return vec![Node::Subshell { body, background: false }];
        }
        let nodes = match self.keyword() {
            Some("{") => {
                self.at += 1;
                self.body("}")
            }
            Some("if") => {
                self.at += 1;
                let mut nodes = self.list();
                while ["then", "else", "elif"].into_iter().any(|word| self.skip(word)) {
                    nodes.extend(self.list());
                }
                self.skip("fi");
                nodes
            }
            Some("while" | "until") => {
                self.at += 1;
                let mut nodes = self.body("do");
                nodes.extend(self.body("done"));
                nodes
            }
            Some("for" | "select") => {
                self.at += 1;
                self.for_loop()
            }
            Some("case") => {
                self.at += 1;
                self.case()
            }
            Some("function") => {
                self.at += 1;
                self.function()
            }
            Some("!") => {
                self.at += 1;
                self.command()
            }
            Some(_)
                if self.tokens.get(self.at + 1).is_some_and(|(_, next)| *next == Token::Operator('(')) =>
            {
                self.function()
            }
            _ => return self.simple(),
        };
        self.redirections();
        nodes
    }

    fn for_loop(&mut self) -> Vec<Node> {
        let name = self.keyword().unwrap_or_default().to_owned();
        self.at += 1;
        let mut words = Vec::new();
        self.separators();
        if self.skip("in") {
            while let Some(Token::Word(word)) = self.peek() {
                words.push(word.clone());
                self.at += 1;
            }
        } else {
            words.push(vec![Piece::Variable { expression: "@".to_owned(), quoted: false }]);
        }
        self.separators();
        self.skip("do");
        vec![Node::For { name, words, body: self.body("done") }]
    }

    fn case(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        while !self.skip("in") && self.at < self.tokens.len() {
            self.at += 1;
        }
        loop {
            self.separators();
            if self.skip("esac") || self.at >= self.tokens.len() {
                return nodes;
            }
            while self.at < self.tokens.len() && !self.operator(')') {
                self.at += 1;
            }
            nodes.extend(self.list());
            self.operator(END_OF_CASE);
        }
    }

    fn function(&mut self) -> Vec<Node> {
        let name = self.keyword().unwrap_or_default().to_owned();
        self.at += 1;
        if self.operator('(') {
            self.operator(')');
        }
        self.separators();
        let body = Rc::new(self.command());
        vec![Node::Function { name, body }]
    }

    /// Redirections behind a compound command: where its output goes says nothing that is used.
    fn redirections(&mut self) {
        while let Some(Token::Redirect(_)) = self.peek() {
            self.at += 2;
        }
    }

    fn simple(&mut self) -> Vec<Node> {
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        let (mut words, mut log, mut arrays) = (Vec::new(), None, Vec::new());
        loop {
            match self.peek().cloned() {
                Some(Token::Word(word)) => words.push(word),
                Some(Token::Redirect(output)) => {
                    self.at += 1;
                    if let (true, Some(Token::Word(target))) = (output, self.peek()) {
                        log = Some(target.clone());
                    }
                }
                Some(Token::Array(name)) => {
                    self.at += 1;
                    let mut elements = Vec::new();
                    while !matches!(self.peek(), None | Some(Token::Operator(')'))) {
                        if let Some(Token::Word(word)) = self.peek() {
                            elements.push(word.clone());
                        }
                        self.at += 1;
                    }
                    arrays.push(Node::Array { name, words: elements });
                }
                _ => break,
            }
            self.at += 1;
        }
        if !words.is_empty() {
            arrays.push(Node::Simple { line, words, log });
        }
        arrays
    }
}

#[cfg(test)]
mod tests;
