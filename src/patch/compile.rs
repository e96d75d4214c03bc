//! Compiles one package of the user's again, with the compiler itself: what the go command would tell it
//! (`cmd/go/internal/work/gc.go`), and that its code is going to be loaded into a running process.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::capture::{self, Capture};
use super::sources::{Inputs, embedded};
use crate::go::export::{Own, Program, Run};

/// Flags for every package: symbols are named, not numbered.
pub const NAMED: &str = "-linkshared";

/// A flag for the user's own packages: no function is part of another, so that each call goes through an entry.
pub const NOT_INLINED: &str = "-l";

/// A flag for code that is loaded: it reaches what the host has through tables.
pub const LOADABLE: &str = "-dynlink";

/// Go's compiler and linker, and what they are always told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// Where they are, as `go env GOTOOLDIR` tells.
    pub dir: PathBuf,
    /// As `go env GOVERSION` tells.
    pub version: String,
    /// How many threads one of them may use.
    pub threads: usize,
}

/// Why a package was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler cannot be run, or its input cannot be written.
    #[error("cannot compile: {0}")]
    Io(#[from] io::Error),
    /// What the compiler says.
    #[error("{0}")]
    Refused(String),
}

/// A compiled package.
#[derive(Debug)]
pub struct Compiled {
    /// Where its archive is.
    pub archive: PathBuf,
    /// Its closures.
    pub captures: Vec<Capture>,
    /// What else the compiler has said.
    pub said: String,
}

/// A package to compile.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The path that the linker knows.
    pub path: &'a str,
    /// Where it is, and how it is compiled.
    pub own: &'a Own,
    /// Its files, and what they embed.
    pub inputs: &'a Inputs,
    /// The agent, which is part of package main.
    pub agent: Option<&'a Path>,
    /// A file of [`super::keep::text`] to compile with it.
    pub keep: Option<&'a Path>,
    /// More flags.
    pub flags: &'a [&'a str],
    /// A directory for what goes in and comes out.
    pub into: &'a Path,
    /// Runs the compiler.
    pub run: Run<'a>,
}

impl Tools {
    /// Compiles a package of `program`. Archives in `fresh` take the place of those that the program was built from.
    ///
    /// # Errors
    /// What the compiler says, or it cannot be run.
    pub fn compile(
        &self,
        order: &Order<'_>,
        program: &Program,
        fresh: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Result<Compiled, CompileError> {
        let named = |kind| order.into.join(format!("{}.{kind}", order.path.replace('/', "-")));
        let (out, imports, embeds) = (named("a"), named("imports"), named("embeds"));
        std::fs::write(&imports, import_config(order.own, program, fresh))?;
        let mut command = Command::new(self.dir.join("compile"));
        command.arg("-o").arg(&out).args(["-p", order.path]);
        command.arg(format!("-lang=go{}", language(&order.own.language)));
        // The functions that are kept have no bodies.
        if order.keep.is_none() {
            command.arg("-complete");
        }
        command.args(["-goversion", &self.version, &format!("-c={}", self.threads)]);
        command
            .args([NAMED, NOT_INLINED, LOADABLE, capture::FLAG, "-nolocalimports", "-importcfg"])
            .arg(&imports)
            .arg("-pack");
        if !order.inputs.embedded.is_empty() {
            std::fs::write(&embeds, embedded::config(&order.inputs.embedded))?;
            command.arg("-embedcfg").arg(&embeds);
        }
        command.args(order.flags);
        command.args(order.inputs.files.iter().map(|file| Path::new(".").join(file)));
        command.args(order.agent).args(order.keep).current_dir(&order.own.dir).env("PWD", &order.own.dir);
        let said = (order.run)(&mut command)?;
        let text = String::from_utf8_lossy(&[&said.stdout[..], &said.stderr].concat()).into_owned();
        let (captures, rest) = capture::take(&text);
        if said.success {
            Ok(Compiled { archive: out, captures, said: rest })
        } else {
            Err(CompileError::Refused(rest.trim().to_owned()))
        }
    }
}

/// Where the compiler finds what is imported.
fn import_config(own: &Own, program: &Program, fresh: &dyn Fn(&str) -> Option<PathBuf>) -> String {
    let mut text = String::new();
    for (from, to) in &own.renamed {
        let _ = writeln!(text, "importmap {from}={to}");
    }
    // `unsafe` is in the compiler.
    for (path, package) in program.packages.iter().filter(|(_, package)| package.archive.is_absolute()) {
        let archive = fresh(path).unwrap_or_else(|| package.archive.clone());
        let _ = writeln!(text, "packagefile {path}={}", archive.display());
    }
    text
}

/// What a module speaks that does not say (`DefaultGoModVersion` in `cmd/go/internal/gover/version.go`).
const OLDEST: &str = "1.16";

/// The language of a version: `1.22` for `1.22.3`.
fn language(version: &str) -> String {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let parts = version.split_once('.').map(|(major, rest)| (major, number(rest)));
    match parts {
        Some((major, minor)) if !minor.is_empty() => format!("{major}.{minor}"),
        _ => OLDEST.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_of_a_version() {
        for (version, expected) in [("1.22", "1.22"), ("1.22.3", "1.22"), ("1.23rc1", "1.23"), ("", "1.16")] {
            assert_eq!(language(version), expected, "{version}");
        }
    }
}
