//! What the go command has compiled a program from, and where it keeps the results: the archive of each package in the
//! build cache, and what the compiler was told of the user's own packages, so that one of them can be compiled again
//! without the go command.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::list;
use crate::constraint::Context;

/// A program of which every package is compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Its packages by the path that the linker knows; that of the program itself is `main`.
    pub packages: BTreeMap<String, Package>,
    /// What build constraints may ask for.
    pub context: Context,
    /// Packages of the user's that others import, each with one of those.
    pub used_elsewhere: BTreeMap<String, String>,
    /// What packages import that are not the user's.
    pub imported_elsewhere: BTreeSet<String>,
    /// The directories of packages that the user's tree has copies of, and of what they embed.
    pub vendored: BTreeSet<PathBuf>,
}

impl Program {
    fn of(raw: Vec<Raw>, context: Context) -> Program {
        let own: BTreeSet<String> =
            raw.iter().filter(|raw| raw.is_own()).map(|raw| raw.import_path.clone()).collect();
        let others = raw.iter().filter(|raw| !raw.is_own());
        let uses =
            others.flat_map(|raw| raw.imports.iter().map(|import| (import.clone(), raw.import_path.clone())));
        let uses: Vec<(String, String)> = uses.collect();
        let imported_elsewhere = uses.iter().map(|(import, _)| import.clone()).collect();
        let used_elsewhere = uses.into_iter().filter(|(import, _)| own.contains(import)).collect();
        let vendored = vendored(&raw);
        let packages = raw.into_iter().map(Raw::package).collect();
        Program { packages, context, used_elsewhere, imported_elsewhere, vendored }
    }
}

/// A compiled package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its archive in the build cache.
    pub archive: PathBuf,
    /// What it takes to compile it again; only of the user's own packages.
    pub own: Option<Own>,
}

/// What it takes to compile a package again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Where its files are.
    pub dir: PathBuf,
    /// The path that the go command knows it by.
    pub path: String,
    /// The path of its module.
    pub module: String,
    /// Its Go files when it was listed, as names in `dir`.
    pub files: Vec<String>,
    /// The version of the language that its module asks for, as in `1.22`; empty if it does not say.
    pub language: String,
    /// What it imports under another path than it says.
    pub renamed: BTreeMap<String, String>,
    /// The files of its module that say how it is built.
    pub beside: Vec<PathBuf>,
    /// Why it cannot be compiled alone; `None` if it can.
    pub obstacle: Option<&'static str>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The go command cannot be run.
    #[error("cannot run `go list`: {0}")]
    Run(io::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// It answered something else.
    #[error("`go list` answered what is not understood: {0}")]
    Answer(serde_json::Error),
    /// It answered something else when it was asked for the build tags that hold.
    #[error("`go list` answered what is not understood about build tags")]
    Context,
}

/// What a program said, and whether it succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Runs a command to its end.
pub type Run<'a> = &'a dyn Fn(&mut Command) -> io::Result<Said>;

/// Where and how the go command is asked.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its working directory.
    pub dir: &'a Path,
    /// Variables added to the inherited environment.
    pub env: &'a BTreeMap<String, String>,
    /// The package, as the go command takes it there.
    pub package: &'a str,
    /// Runs it.
    pub run: Run<'a>,
}

/// What is asked of each package.
const FIELDS: &str = "-json=ImportPath,Name,Dir,Export,Standard,Module,GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,\
                      FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles,EmbedFiles,Imports,ImportMap";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Raw {
    import_path: String,
    name: String,
    dir: PathBuf,
    export: PathBuf,
    standard: bool,
    module: Option<Module>,
    go_files: Vec<String>,
    cgo_files: Vec<String>,
    #[serde(rename = "CFiles")]
    c_files: Vec<String>,
    #[serde(rename = "CXXFiles")]
    cxx_files: Vec<String>,
    #[serde(rename = "MFiles")]
    m_files: Vec<String>,
    #[serde(rename = "HFiles")]
    h_files: Vec<String>,
    #[serde(rename = "FFiles")]
    f_files: Vec<String>,
    #[serde(rename = "SFiles")]
    s_files: Vec<String>,
    swig_files: Vec<String>,
    #[serde(rename = "SwigCXXFiles")]
    swig_cxx_files: Vec<String>,
    syso_files: Vec<String>,
    embed_files: Vec<PathBuf>,
    imports: Vec<String>,
    import_map: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Module {
    path: String,
    main: bool,
    go_mod: PathBuf,
    go_version: String,
    replace: Option<Replace>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Replace {
    version: String,
}

impl Module {
    /// Whether its files are the user's own: in the main module, the workspace, or a directory that takes its place.
    fn is_own(&self) -> bool {
        self.main || self.replace.as_ref().is_some_and(|replace| replace.version.is_empty())
    }
}

impl Raw {
    fn is_own(&self) -> bool {
        !self.standard && self.module.as_ref().is_some_and(Module::is_own)
    }

    fn is_vendored(&self) -> bool {
        !self.standard && !self.is_own() && self.dir.ends_with(Path::new("vendor").join(&self.import_path))
    }

    /// Files in other languages.
    fn foreign(&self) -> impl Iterator<Item = &String> {
        let of_c =
            [&self.cgo_files, &self.c_files, &self.cxx_files, &self.m_files, &self.h_files, &self.f_files];
        let others = [&self.swig_files, &self.swig_cxx_files, &self.syso_files];
        of_c.into_iter().chain(others).flatten()
    }

    fn obstacle(&self) -> Option<&'static str> {
        if self.foreign().next().is_some() {
            Some("uses cgo")
        } else if !self.s_files.is_empty() {
            Some("has assembly")
        } else {
            None
        }
    }

    fn package(self) -> (String, Package) {
        let obstacle = self.obstacle();
        let is_own = self.is_own();
        let own = self.module.filter(|_| is_own).map(|module| Own {
            dir: self.dir,
            path: self.import_path.clone(),
            module: module.path,
            files: self.go_files,
            beside: ["go.sum", "vendor/modules.txt"]
                .map(|name| module.go_mod.with_file_name(name))
                .into_iter()
                .chain([module.go_mod])
                .collect(),
            language: module.go_version,
            renamed: self.import_map,
            obstacle,
        });
        let linked = if self.name == "main" { "main".to_owned() } else { self.import_path };
        (linked, Package { archive: self.export, own })
    }
}

/// Has every package compiled that a program is made of, as `go build` with `flags` would, and tells where the results are. What is in the build cache already is not compiled again.
///
/// # Errors
/// Something does not compile, or the go command cannot be asked.
pub fn compiled(asked: Asked<'_>, flags: &[String]) -> Result<Program, ExportError> {
    let raw = list(asked, &[&["-export".to_owned()], flags].concat(), &[asked.package])?;
    let mut tags = Command::new("go");
    // Any package will do; this one is always there.
    tags.args(["list", "-find", "-f", list::CONTEXT]).args(flags).arg("errors");
    let told = said(asked, &mut tags)?;
    let context = list::context(&String::from_utf8_lossy(&told)).ok_or(ExportError::Context)?;
    Ok(Program::of(raw, context))
}

/// How packages are compiled that are loaded into a running process.
const LOADABLE: &str = "-buildmode=plugin";

/// The same program, compiled so that its packages can be loaded into a running process. What does not compile is
/// left out.
///
/// # Errors
/// The go command cannot be asked.
pub fn loadable(asked: Asked<'_>, flags: &[String]) -> Result<Program, ExportError> {
    let flags = [&["-e", "-export", LOADABLE].map(str::to_owned), flags].concat();
    let raw = list(asked, &flags, &[asked.package])?;
    Ok(Program { packages: raw.into_iter().map(Raw::package).collect(), ..Program::default() })
}

/// The packages `paths`, and what they depend on, compiled so that they can be loaded into a running process.
///
/// # Errors
/// One of them does not compile or cannot be found, or the go command cannot be asked.
pub fn imported(asked: Asked<'_>, flags: &[String], paths: &[&str]) -> Result<Program, ExportError> {
    let raw = list(asked, &[&["-export", LOADABLE].map(str::to_owned), flags].concat(), paths)?;
    let vendored = vendored(&raw);
    Ok(Program { packages: raw.into_iter().map(Raw::package).collect(), vendored, ..Program::default() })
}

fn vendored(raw: &[Raw]) -> BTreeSet<PathBuf> {
    let dirs = raw.iter().filter(|raw| raw.is_vendored()).flat_map(|raw| {
        let embedded =
            raw.embed_files.iter().filter_map(|file| Some(raw.dir.join(file).parent()?.to_owned()));
        embedded.chain([raw.dir.clone()])
    });
    dirs.collect()
}

/// What is known of a program without compiling it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    /// The directory of its main package.
    pub main: PathBuf,
    /// The paths of the modules whose files are the user's own, sorted.
    pub modules: Vec<String>,
}

/// Looks at a program.
///
/// # Errors
/// The go command cannot be asked.
pub fn sketch(asked: Asked<'_>) -> Result<Sketch, ExportError> {
    let mut raw = list(asked, &[], &[asked.package])?;
    // What others depend on comes first.
    let main = raw.last_mut().map(|raw| std::mem::take(&mut raw.dir)).unwrap_or_default();
    let modules = raw.into_iter().filter_map(|raw| raw.module).filter(Module::is_own);
    let modules: BTreeSet<String> = modules.map(|module| module.path).collect();
    Ok(Sketch { main, modules: modules.into_iter().collect() })
}

fn list(asked: Asked<'_>, flags: &[String], patterns: &[&str]) -> Result<Vec<Raw>, ExportError> {
    let mut command = Command::new("go");
    command.args(["list", "-deps", FIELDS]).args(flags).arg("--").args(patterns);
    let told = said(asked, &mut command)?;
    let answers = serde_json::Deserializer::from_slice(&told).into_iter();
    answers.collect::<Result<_, _>>().map_err(ExportError::Answer)
}

/// What the go command answers to `command`.
fn said(asked: Asked<'_>, command: &mut Command) -> Result<Vec<u8>, ExportError> {
    let said = (asked.run)(command.current_dir(asked.dir).envs(asked.env).env("PWD", asked.dir));
    let said = said.map_err(ExportError::Run)?;
    if !said.success {
        return Err(ExportError::Refused(String::from_utf8_lossy(&said.stderr).trim().to_owned()));
    }
    Ok(said.stdout)
}
