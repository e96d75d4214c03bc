//! How a service is built so that its process can be patched, and whether that is possible at all. Everything that
//! only needs to be found out once is found out here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::compile::{NAMED, NOT_INLINED, Tools};
use super::origin::Origin;
use super::{agent, tool};
use crate::config::{Build, Service};
use crate::go::export::{self, Asked, ExportError, Sketch};
use crate::go::{self, GoEnv};

/// The first version of Go whose programs can be patched: Go 1.x.
const OLDEST: u32 = 22;

/// Flags of the go command, set in the environment, that a patch could not follow.
const FOREIGN: [&str; 10] = [
    "gcflags",
    "asmflags",
    "ldflags",
    "cover",
    "msan",
    "asan",
    "buildmode",
    "trimpath",
    "toolexec",
    "compiler",
];

/// How a service is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What compiles and links.
    pub tools: Tools,
    /// Which instructions code may use: GOAMD64.
    pub level: String,
    /// Where its files are that are not in the user's tree.
    pub dir: PathBuf,
    /// The modules whose files are the user's own.
    pub modules: Vec<String>,
    /// The flags that go to the go command, for a build and for a listing.
    pub flags: Vec<String>,
    /// The file of the workspace, if there is one.
    pub workspace: Option<PathBuf>,
    /// The go command that it is for.
    pub origin: Origin,
}

/// Why a service cannot be patched, in words that end a sentence.
#[derive(Debug, thiserror::Error)]
pub enum Unable {
    /// It is built by a command of its own.
    #[error("it is built by a command of its own")]
    Command,
    /// The system is another one.
    #[error("that works on Linux on x86-64 only, and this is for {0}")]
    Platform(String),
    /// Go is too old.
    #[error("{0} is too old for that; it takes Go 1.22 or newer")]
    Version(String),
    /// There is no C compiler.
    #[error("that takes cgo and a C compiler: install gcc, and do not set CGO_ENABLED=0")]
    NoCompiler,
    /// The environment says how to compile.
    #[error("GOFLAGS sets `-{0}`")]
    Flag(&'static str),
    /// The race detector knows the memory of the executable and the heap, not that of a patch: it ends the process when
    /// it wants to report what it has seen there.
    #[error("the race detector cannot follow patches, and GOFLAGS sets `-race`")]
    Race,
    /// The compiler is told to try something.
    #[error("GOEXPERIMENT is `{0}`")]
    Experiments(String),
    /// The go command cannot be asked.
    #[error("{0}")]
    Asked(#[from] ExportError),
    /// A file cannot be written.
    #[error("cannot write to `{}`: {error}", dir.display())]
    Io { dir: PathBuf, error: io::Error },
}

impl Recipe {
    /// How to build `service`, whose variables for the go command are `env`. What belongs to it is kept in `dir`.
    ///
    /// # Errors
    /// It cannot be patched.
    pub fn find(service: &Service, env: &BTreeMap<String, String>, dir: &Path) -> Result<Recipe, Unable> {
        if service.build != Build::Go || !service.run.iter().any(|word| word == "{out}") {
            return Err(Unable::Command);
        }
        let asked = go::env(&service.dir, env).map_err(ExportError::Run)?;
        check(&asked)?;
        let package = service.package.as_deref().unwrap_or(".");
        let asked_of =
            Asked { dir: &service.dir, env, package, run: &|command| tool::Running::default().run(command) };
        let Sketch { main, modules } = export::sketch(asked_of)?;
        let io = |error| Unable::Io { dir: dir.to_owned(), error };
        fs::create_dir_all(dir).map_err(io)?;
        let overlay = agent::overlay(&main, dir).map_err(io)?;
        let mut flags = vec!["-buildvcs=false".to_owned(), "-pgo=off".to_owned()];
        flags.push(format!("-gcflags=all={NAMED}"));
        flags.extend(modules.iter().map(|module| format!("-gcflags={module}/...={NAMED} {NOT_INLINED}")));
        flags.push(format!("-overlay={}", overlay.display()));
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
        let origin = Origin::of(&asked, env);
        let tools = Tools { dir: asked.tools, version: asked.version, threads };

        let (level, workspace) = (asked.level, asked.workspace);
        Ok(Recipe { tools, level, dir: dir.to_owned(), modules, flags, workspace, origin })
    }

    /// The command that builds `service`; `{out}` stands for the binary.
    pub fn build(&self, service: &Service) -> Vec<String> {
        let package = service.package.clone().unwrap_or_else(|| ".".to_owned());
        let mut words = ["go", "build", "-o", "{out}", "-ldflags=-w"].map(str::to_owned).to_vec();
        words.extend(self.flags.iter().cloned());
        words.push(package);
        words
    }
}

/// Whether `flag` has races detected; a boolean as `strconv.ParseBool` takes it.
fn is_race(flag: &str) -> bool {
    let (name, value) = flag.trim_start_matches('-').split_once('=').unwrap_or((flag, "true"));
    name.trim_start_matches('-') == "race" && ["1", "t", "T", "true", "TRUE", "True"].contains(&value)
}

fn check(asked: &GoEnv) -> Result<(), Unable> {
    if (asked.os.as_str(), asked.architecture.as_str()) != ("linux", "amd64") {
        return Err(Unable::Platform(format!("{}/{}", asked.os, asked.architecture)));
    }
    if asked.minor().is_none_or(|minor| minor < OLDEST) {
        return Err(Unable::Version(asked.version.clone()));
    }
    let named = |flag: &&&str| {
        let sets =
            |word: &String| word.trim_start_matches('-').split('=').next().is_some_and(|name| name == **flag);
        asked.flags.iter().any(sets)
    };
    if let Some(flag) = FOREIGN.iter().find(named) {
        return Err(Unable::Flag(flag));
    }
    if asked.flags.iter().any(|flag| is_race(flag)) {
        return Err(Unable::Race);
    }
    if !asked.experiments.is_empty() {
        return Err(Unable::Experiments(asked.experiments.clone()));
    }
    if !asked.cgo || !asked.has_compiler {
        return Err(Unable::NoCompiler);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_against_it() {
        let able = || GoEnv {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            version: "go1.26.1".to_owned(),
            cgo: true,
            has_compiler: true,
            ..GoEnv::default()
        };
        let told = |change: &dyn Fn(&mut GoEnv)| {
            let mut asked = able();
            change(&mut asked);
            check(&asked).map_err(|unable| unable.to_string())
        };
        assert_eq!(told(&|_| {}), Ok(()));
        assert_eq!(told(&|asked| asked.flags = vec!["-race=false".to_owned(), "-tags=x".to_owned()]), Ok(()));
        for flag in ["-race", "--race", "-race=1"] {
            assert!(
                told(&|asked| asked.flags = vec![flag.to_owned()]).unwrap_err().contains("race detector")
            );
        }
        let flag = told(&|asked| asked.flags = vec!["-ldflags=-s".to_owned()]);
        assert_eq!(flag.unwrap_err(), "GOFLAGS sets `-ldflags`");
        assert!(told(&|asked| asked.version = "go1.21.3".to_owned()).unwrap_err().contains("too old"));
        assert!(told(&|asked| asked.cgo = false).unwrap_err().contains("CGO_ENABLED=0"));
        assert!(told(&|asked| asked.os = "darwin".to_owned()).unwrap_err().contains("darwin/amd64"));
    }
}
