//! A package that the go command has compiled while its steps were printed, to be compiled again as code that is loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::object::Object;

/// Flags of the compiler that are for other ways to build, with their values if they have any. Functions of packages
/// that were compiled with `-std` cannot be named by others, which keeps them in a link.
const SWITCHES: [&str; 5] = ["-pack", "-complete", "-shared", "-dynlink", "-std"];
const VALUED: [&str; 2] = ["-asmhdr", "-buildid"];

/// What the go command did, as `-x -work` tells.
pub struct Log {
    text: String,
    work: PathBuf,
}

impl Log {
    /// Runs `command`, which has these flags.
    pub fn of(command: &mut Command) -> Log {
        let text = run(command).1;
        let work =
            text.lines().find_map(|line| line.strip_prefix("WORK=")).unwrap_or_else(|| panic!("{text}"));
        Log { work: work.into(), text }
    }

    /// How it has compiled `package`.
    pub fn compilation(&self, package: &str) -> Compilation {
        let flag = format!(" -p {package} ");
        let line = |line: &&str| line.contains("/compile -o") && line.contains(&flag);
        let line = self.text.lines().find(line).unwrap_or_else(|| panic!("{package}: {}", self.text));
        Compilation { words: words(&line.replace("$WORK", self.work.to_str().unwrap())) }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// A run of the compiler.
pub struct Compilation {
    words: Vec<String>,
}

impl Compilation {
    /// The file that tells where imports are.
    pub fn config(&self) -> &str {
        let at = self.words.iter().position(|word| word == "-importcfg").unwrap();
        &self.words[at + 1]
    }

    /// The Go files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.words[1..].iter().filter(|word| word.ends_with(".go")).map(PathBuf::from).collect()
    }

    /// Compiles `files` in `dir` into `archive`, with imports as `config` tells.
    pub fn again(&self, dir: &Path, archive: &Path, config: &Path, files: &[PathBuf]) -> Object {
        let mut compile = Command::new(&self.words[0]);
        compile.args(["-dynlink", "-installsuffix", "dynlink", "-o"]).arg(archive);
        compile.arg("-importcfg").arg(config);
        let mut rest = self.words[1..].iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "-o" | "-importcfg" => drop(rest.next()),
                word if VALUED.contains(&word) => drop(rest.next()),
                word if SWITCHES.contains(&word) || word.ends_with(".go") => {}
                word => drop(compile.arg(word)),
            }
        }
        said(compile.args(files).current_dir(dir));
        Object::parse(fs::read(archive).unwrap()).unwrap()
    }
}

/// The words of a line for a shell that has no quotes but double ones around whole words.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .take_while(|word| *word != "#")
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

/// What `command` says, which succeeds.
pub fn said(command: &mut Command) -> String {
    run(command).0
}

/// What `command`, which succeeds, writes to its standard output and error.
fn run(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{command:?}: {out}{error}");
    (out, error)
}
