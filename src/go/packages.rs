//! The packages that a package of the user's is made of, each with its files, as the go command lists them for a build
//! with certain flags; and such builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

/// A package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Package {
    /// What it is imported by.
    pub import_path: String,
    /// Where it lies.
    pub dir: PathBuf,
    /// What it calls itself.
    pub name: String,
    /// Whether it is one of Go's own.
    pub standard: bool,
    /// Its module.
    pub module: Option<Module>,
    go_files: Vec<PathBuf>,
    cgo_files: Vec<PathBuf>,
    ignored_go_files: Vec<PathBuf>,
    #[serde(rename = "CFiles")]
    c_files: Vec<PathBuf>,
    #[serde(rename = "CXXFiles")]
    cxx_files: Vec<PathBuf>,
    #[serde(rename = "HFiles")]
    h_files: Vec<PathBuf>,
    #[serde(rename = "SFiles")]
    s_files: Vec<PathBuf>,
    syso_files: Vec<PathBuf>,
    embed_files: Vec<PathBuf>,
}

/// A module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Module {
    /// Its path.
    pub path: String,
    /// Its version, if it has one.
    pub version: String,
    /// Where it lies.
    pub dir: PathBuf,
    /// The version of the language that it is written in.
    pub go_version: String,
    /// Whether it is one of those that are worked on.
    pub main: bool,
    /// What takes its place.
    pub replace: Option<Box<Module>>,
}

impl Module {
    /// What tells all of its content, if something does: path and version; a directory has none.
    pub fn fixed(&self) -> Option<String> {
        let is = self.replace.as_deref().unwrap_or(self);
        (!self.main && !is.version.is_empty()).then(|| format!("{}@{}", is.path, is.version))
    }
}

impl Package {
    /// Its Go files, in the order of their names.
    pub fn go_files(&self) -> Vec<&PathBuf> {
        self.go_files.iter().chain(&self.cgo_files).collect()
    }

    /// Go files that are for other systems.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.ignored_go_files
    }

    /// Whether it is built by more than the Go compiler.
    pub fn has_other_languages(&self) -> bool {
        let others = [&self.cgo_files, &self.c_files, &self.cxx_files, &self.s_files, &self.syso_files];
        others.iter().any(|files| !files.is_empty())
    }

    /// Files beside those in Go that are built in.
    pub fn others(&self) -> impl Iterator<Item = &PathBuf> {
        let compiled = self.c_files.iter().chain(&self.cxx_files).chain(&self.h_files).chain(&self.s_files);
        compiled.chain(&self.syso_files).chain(&self.embed_files)
    }
}

/// The fields of it, for `go list`.
const FIELDS: &str = "ImportPath,Dir,Name,Standard,Module,GoFiles,CgoFiles,IgnoredGoFiles,CFiles,CXXFiles,HFiles,SFiles,\
                      SysoFiles,EmbedFiles";

/// The package in `dir` and all that it is made of, itself last, for a build with `flags`.
///
/// # Errors
/// What the go command says.
pub fn packages(dir: &Path, flags: &[String]) -> Result<Vec<Package>, String> {
    let fields = format!("-json={FIELDS}");
    let args = ["list", "-deps", &fields].into_iter().chain(flags.iter().map(String::as_str)).chain(["."]);
    let text = run(dir, args)?;
    let packages = serde_json::Deserializer::from_str(&text).into_iter::<Package>();
    packages.collect::<Result<_, _>>().map_err(|error| format!("`go list` says something else: {error}"))
}

/// All that makes builds in `dir` differ beside files and flags: the version of Go, the system, what the environment says.
///
/// # Errors
/// What the go command says.
pub fn circumstances(dir: &Path) -> Result<String, String> {
    const NAMES: [&str; 18] = [
        "GOVERSION",
        "GOOS",
        "GOARCH",
        "GOAMD64",
        "GOARM64",
        "GOARM",
        "GO386",
        "GOFLAGS",
        "GOEXPERIMENT",
        "GOFIPS140",
        "CGO_ENABLED",
        "CGO_CFLAGS",
        "CGO_CPPFLAGS",
        "CGO_CXXFLAGS",
        "CGO_LDFLAGS",
        "CC",
        "CXX",
        "GOWASM",
    ];
    run(dir, ["env"].into_iter().chain(NAMES))
}

/// How the go command says that `program` was built, in lines.
///
/// # Errors
/// It is no program of Go's, or does not say.
pub fn build_info(program: &Path) -> Result<String, String> {
    let path = program.display().to_string();
    run(program.parent().unwrap_or(Path::new("/")), ["version", "-m", &path])
}

/// Runs `go build` in `dir` with `args`.
///
/// # Errors
/// What it says.
pub fn build(dir: &Path, args: &[String]) -> Result<(), String> {
    run(dir, ["build"].into_iter().chain(args.iter().map(String::as_str))).map(|_| ())
}

/// Edits the `go.mod` that counts in `dir`.
///
/// # Errors
/// What the go command says.
pub fn edit(dir: &Path, args: &[String]) -> Result<(), String> {
    run(dir, ["mod", "edit"].into_iter().chain(args.iter().map(String::as_str))).map(|_| ())
}

/// What the go command writes when it runs `args` in `dir`.
fn run<'a>(dir: &Path, args: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let args: Vec<&str> = args.into_iter().collect();
    let mut command = Command::new("go");
    command.args(&args).current_dir(dir).env("PWD", dir).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("cannot run `go {}`: {error}", args[0]))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if words.is_empty() { format!("`go {}` fails with {}", args[0], output.status) } else { words })
}
