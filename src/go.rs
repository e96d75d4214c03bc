//! The go command: where it is, and what it is asked to do. Nothing outside this module knows it.

pub mod build;
mod build_id;
pub mod command;
mod diagnostic;
pub mod export;
pub mod list;
pub mod mains;
mod modules;
pub mod packages;
mod run;
pub mod slots;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The executable `program` on `path`, a list as in `PATH`.
pub fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |file: &PathBuf| {
        file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path).map(|dir| dir.join(program)).find(executable)
}

/// The flags that the environment, or the user's settings of the go command, add to each of its commands; nothing
/// if it cannot be asked.
pub fn flags() -> String {
    let output = Command::new("go").args(["env", "GOFLAGS"]).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the go command says of how it would build, as far as patches ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoEnv {
    /// The system that programs are for.
    pub os: String,
    /// The processor that programs are for.
    pub architecture: String,
    /// Its version, as in `go1.26.1`.
    pub version: String,
    /// Where the compiler and the linker are.
    pub tools: PathBuf,
    /// Whether C is compiled.
    pub cgo: bool,
    /// Whether the C compiler is there.
    pub has_compiler: bool,
    /// Flags for each of its commands.
    pub flags: Vec<String>,
    /// What its toolchain is told to try: GOEXPERIMENT.
    pub experiments: String,
    /// The file of the workspace, if there is one.
    pub workspace: Option<PathBuf>,
    /// Which instructions of an x86-64 programs may use: GOAMD64.
    pub level: String,
    /// Where it is installed.
    pub root: PathBuf,
    /// The file with the user's settings of it.
    pub settings: PathBuf,
}

impl GoEnv {
    /// Of Go 1.x, x.
    pub fn minor(&self) -> Option<u32> {
        let minor = self.version.strip_prefix("go1.")?;
        let end = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        minor[..end].parse().ok()
    }
}

/// Asks the go command in `dir`, with the variables `env` added to the environment.
///
/// # Errors
/// It cannot be run, or answers something else.
pub fn env(dir: &Path, env: &BTreeMap<String, String>) -> io::Result<GoEnv> {
    let names = [
        "GOOS",
        "GOARCH",
        "GOVERSION",
        "GOTOOLDIR",
        "CGO_ENABLED",
        "CC",
        "GOFLAGS",
        "GOWORK",
        "GOEXPERIMENT",
        "GOROOT",
        "GOENV",
        "GOAMD64",
    ];
    let output = Command::new("go").args(["env", "-json"]).args(names).current_dir(dir).envs(env).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mut told: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)?;
    let mut told = |name: &str| told.remove(name).unwrap_or_default();
    let compiler = told("CC");
    let compiler = compiler.split_whitespace().next().unwrap_or_default();
    let path = env.get("PATH").map(Into::into).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    Ok(GoEnv {
        os: told("GOOS"),
        architecture: told("GOARCH"),
        version: told("GOVERSION"),
        tools: told("GOTOOLDIR").into(),
        cgo: told("CGO_ENABLED") == "1",
        has_compiler: Path::new(compiler).is_absolute() || find(compiler, &path).is_some(),
        flags: told("GOFLAGS").split_whitespace().map(str::to_owned).collect(),
        experiments: told("GOEXPERIMENT"),
        workspace: Some(told("GOWORK")).filter(|file| !file.is_empty() && file != "off").map(PathBuf::from),
        level: told("GOAMD64"),
        root: told("GOROOT").into(),
        settings: told("GOENV").into(),
    })
}

/// What the go command at `go` says of its version, as in `go1.26.1 linux/amd64`.
///
/// # Errors
/// It cannot be run, or answers something else.
pub fn version(go: &Path) -> Result<String, String> {
    let output = Command::new(go).arg("version").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().strip_prefix("go version ") {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(format!("`go version` answered: {}{}", text, String::from_utf8_lossy(&output.stderr))
            .trim()
            .to_owned()),
    }
}
