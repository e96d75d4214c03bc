//! What a start script starts, in which order, where and with what. The script is followed, not run: functions are
//! called and loops over known words unrolled, both branches of a condition are taken, and of the programs only
//! those are known that change directories and variables, build Go, or start something.

mod expand;
mod programs;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::shell::{self, Node, Word};
use super::{Fact, Found, Tree, env_file, last};
use expand::{Scope, UNKNOWN, is_known};

/// How many commands are followed.
const MOST_COMMANDS: usize = 5_000;

/// How deeply functions and scripts may call each other; one that calls itself comes to an end.
const DEEPEST: usize = 20;

/// Commands that only run another one.
const WRAPPERS: [&str; 9] =
    ["exec", "nohup", "time", "sudo", "command", "setsid", "env", "winpty", "caffeinate"];

/// What the script `text` starts; `file` is its path, and it is run at the root.
pub fn scan(text: &str, file: &str, tree: &Tree<'_>) -> Found {
    follow(text, file, 1, "", BTreeMap::new(), tree)
}

/// What `text` starts: a command or script that begins at `line` of `file`, in the directory `dir`, with
/// `variables`.
pub fn follow(
    text: &str,
    file: &str,
    line: usize,
    dir: &str,
    variables: BTreeMap<String, String>,
    tree: &Tree<'_>,
) -> Found {
    let scope = Scope { cwd: dir.to_owned(), script: file.to_owned(), variables, arguments: Vec::new() };
    let mut follower = Follower {
        tree,
        file,
        first_line: line,
        call: None,
        scope,
        lost: false,
        previous: (dir.to_owned(), false),
        directories: Vec::new(),
        exported: BTreeMap::new(),
        exports_all: false,
        background: false,
        functions: HashMap::new(),
        left: MOST_COMMANDS,
        depth: 0,
        found: Found::default(),
    };
    follower.all(&shell::parse(text));
    follower.found
}

/// The words of `command`, if it is one command of which all is known.
pub fn plain_words(command: &str) -> Option<Vec<String>> {
    let nodes = shell::parse(command);
    let [Node::Simple { words, log: None, .. }] = nodes.as_slice() else { return None };
    let words = Scope::default().expand_all(words, &[]);
    (words.iter().all(|word| is_known(word)) && words.iter().all(|word| assignment(word).is_none()))
        .then_some(words)
}

struct Follower<'a> {
    tree: &'a Tree<'a>,
    file: &'a str,
    first_line: usize,
    /// The line at which the function that runs was called.
    call: Option<usize>,
    scope: Scope,
    /// Whether the current directory is not known.
    lost: bool,
    /// Where `cd -` leads.
    previous: (String, bool),
    /// The stack of `pushd`.
    directories: Vec<String>,
    exported: BTreeMap<String, Fact<String>>,
    /// Between `set -a` and `set +a`.
    exports_all: bool,
    background: bool,
    functions: HashMap<String, Rc<Vec<Node>>>,
    left: usize,
    depth: usize,
    found: Found,
}

impl Follower<'_> {
    fn all(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        if self.left == 0 || self.depth > DEEPEST {
            return;
        }
        self.left -= 1;
        match node {
            Node::Simple { line, words, log } => {
                let line = self.call.unwrap_or(*line);
                self.simple(line, words, log.as_ref());
            }
            Node::Array { name, words } => {
                let words = self.scope.expand_all(words, self.tree.dirs);
                self.scope.variables.insert(name.clone(), words.join("\n"));
            }
            Node::Subshell { body, background } => {
                let outside = (self.scope.clone(), self.lost, self.exported.clone(), self.background);
                self.background |= background;
                self.all(body);
                (self.scope, self.lost, self.exported, self.background) = outside;
            }
            Node::For { name, words, body } => {
                for word in self.scope.expand_all(words, self.tree.dirs) {
                    self.scope.variables.insert(name.clone(), word);
                    self.all(body);
                }
            }
            Node::Function { name, body } => drop(self.functions.insert(name.clone(), Rc::clone(body))),
        }
    }

    /// Follows commands that stand elsewhere; what they start is started at `line`.
    fn call(&mut self, nodes: &[Node], line: usize) {
        let outside = self.call.replace(line);
        self.depth += 1;
        self.all(nodes);
        self.depth -= 1;
        self.call = outside;
    }

    /// Follows another script, which changes nothing in this one.
    fn script(&mut self, text: &str, file: Option<String>, line: usize) {
        let outside = (self.scope.clone(), self.lost, self.exported.clone());
        self.scope.script = file.unwrap_or_default();
        self.call(&shell::parse(text), line);
        (self.scope, self.lost, self.exported) = outside;
    }

    fn run_script(&mut self, file: &str, line: usize) {
        let path = self.scope.path(file).filter(|path| is_known(path) && !self.lost);
        if let Some((text, path)) = path.and_then(|path| Some(((self.tree.read)(&path)?, path))) {
            self.script(&text, Some(path), line);
        }
    }

    fn at(&self, line: usize) -> String {
        format!("{}:{}", self.file, self.first_line + line - 1)
    }

    fn simple(&mut self, line: usize, words: &[Word], log: Option<&Word>) {
        let mut words = self.scope.expand_all(words, self.tree.dirs);
        let mut own = BTreeMap::new();
        loop {
            let Some(first) = words.first() else {
                return self.assign(own);
            };
            if let Some((name, value)) = assignment(first) {
                own.insert(name.to_owned(), Fact { value: value.to_owned(), from: self.at(line) });
            } else if !(WRAPPERS.contains(&first.as_str()) || first.starts_with('-') && words.len() > 1) {
                break;
            }
            words.remove(0);
        }
        let name = words[0].clone();
        if let Some(body) = self.functions.get(&name).cloned() {
            let arguments = std::mem::replace(&mut self.scope.arguments, words.split_off(1));
            self.call(&body, line);
            self.scope.arguments = arguments;
            return;
        }
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        match (name.as_str(), arguments.as_slice()) {
            ("shift", given) => {
                let count = given.first().map_or(Ok(1), |count| count.parse());
                let arguments = &mut self.scope.arguments;
                drop(arguments.drain(..count.unwrap_or(0).min(arguments.len())));
            }
            ("cd", [.., path]) => self.change_directory(path),
            ("pushd", [.., path]) => {
                self.directories.push(self.scope.cwd.clone());
                self.change_directory(path);
            }
            ("popd", _) => {
                if let Some(dir) = self.directories.pop() {
                    (self.scope.cwd, self.lost) = (dir, false);
                }
            }
            ("set", [flags, ..])
                if *flags == "-a" || (*flags == "-o" && arguments.contains(&"allexport")) =>
            {
                self.exports_all = true;
            }
            ("set", ["+a" | "+o", ..]) => self.exports_all = false,
            ("export" | "declare" | "typeset" | "local" | "readonly", _) => {
                self.declare(name == "export", &words[1..], line);
            }
            ("source" | ".", [path, ..]) => self.source(path, line),
            ("go", _) => self.go(&words, line, own, log),
            ("sh" | "bash" | "zsh", ["-c" | "-lc", script, ..]) => self.script(script, None, line),
            ("sh" | "bash" | "zsh", [file, ..]) => self.run_script(file, line),
            (file, _) if file.ends_with(".sh") => self.run_script(file, line),
            _ => self.program(words, line, own, log),
        }
    }

    fn change_directory(&mut self, path: &str) {
        let here = (self.scope.cwd.clone(), self.lost);
        if path == "-" {
            (self.scope.cwd, self.lost) = std::mem::replace(&mut self.previous, here);
            return;
        }
        self.previous = here;
        match self.scope.path(path) {
            Some(path) if is_known(&path) => (self.scope.cwd, self.lost) = (path, false),
            _ => self.lost = true,
        }
    }

    fn assign(&mut self, variables: BTreeMap<String, Fact<String>>) {
        for (name, fact) in variables {
            if self.exports_all || self.exported.contains_key(&name) {
                self.exported.insert(name.clone(), fact.clone());
            }
            self.scope.variables.insert(name, fact.value);
        }
    }

    fn declare(&mut self, export: bool, words: &[String], line: usize) {
        for word in words {
            if let Some((name, value)) = assignment(word) {
                let fact = Fact { value: value.to_owned(), from: self.at(line) };
                if export {
                    self.exported.insert(name.to_owned(), fact.clone());
                }
                self.scope.variables.insert(name.to_owned(), fact.value);
            } else if let (true, Some(value)) = (export, self.scope.variables.get(word)) {
                self.exported.insert(word.clone(), Fact { value: value.clone(), from: self.at(line) });
            } else if word.contains(UNKNOWN) {
                // `export $(grep -v '^#' .env | xargs)`.
                let file = word.split([' ', ')', UNKNOWN]).find(|part| last(part).contains(".env"));
                if let Some(file) = file {
                    self.source(file, line);
                }
            }
        }
    }

    /// Reads an env file, or another script.
    fn source(&mut self, path: &str, line: usize) {
        let Some(path) = self.scope.path(path).filter(|path| is_known(path) && !self.lost) else { return };
        let Some(text) = (self.tree.read)(&path) else { return };
        if !last(&path).contains("env") || path.ends_with(".sh") {
            return self.call(&shell::parse(&text), line);
        }
        if self.found.env_files.iter().any(|known| known.value == path) {
            return;
        }
        // What is wrong with it is told by whoever adds it.
        self.scope.variables.extend(env_file(&path, self.tree).unwrap_or_default());
        self.found.env_files.push(Fact { value: path, from: self.at(line) });
    }
}

/// The parts of `NAME=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(fine))
        .then_some((name, value))
}

#[cfg(test)]
mod tests;
