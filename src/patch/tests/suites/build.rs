//! The test binary of a package, built as usual and as a host for patches, and how the package was compiled for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::super::agent;
use super::super::super::object::Object;
use super::super::module::download;
use super::super::recompile::{Compilation, Log, said};
use super::list::Suite;

/// Files that are added to the external tests.
const ADDED: [(&str, &str); 2] =
    [("zz_hotwatch_agent_test.go", agent::TEXT), ("zz_hotwatch_hold_test.go", include_str!("hold.go"))];

/// A file that is added to the package itself, with something that no other build has: so it is compiled, and the flags
/// are told.
const MARK: &str = "zz_hotwatch_mark_test.go";

/// The binaries of a suite.
pub struct Built {
    dir: tempfile::TempDir,
    /// Where the package is, which is where its tests run.
    pub package_dir: PathBuf,
    compilation: Compilation,
    /// Keeps the files that this names.
    _log: Log,
}

impl Built {
    /// Builds them.
    pub fn of(suite: &Suite) -> Built {
        let dir = tempfile::tempdir().unwrap();
        let start = match suite.version {
            Some(version) => {
                let to = dir.path().join("module");
                download(&format!("{}@{version}", suite.package), &to);
                to
            }
            None => said(Command::new("go").args(["env", "GOROOT"])).trim().into(),
        };
        // Checksums of what tests import are not always there.
        let look_up = suite.version.map(|_| "-mod=mod");
        let list = |field: &str| {
            let mut list = Command::new("go");
            list.args(["list", "-f", &format!("{{{{.{field}}}}}")]).args(look_up).arg(suite.package);
            said(list.current_dir(&start)).trim().to_owned()
        };
        let package_dir = PathBuf::from(list("Dir"));
        let overlay = overlay(&package_dir, &list("Name"), dir.path());

        let test = |binary: &str| {
            let mut command = Command::new("go");
            command
                .args(["test", "-c", "-vet=off", "-o"])
                .arg(dir.path().join(binary))
                .current_dir(&package_dir);
            command.args(look_up);
            command
        };
        said(&mut test("ordinary"));
        let mut command = test("host");
        command.args([
            "-x",
            "-work",
            "-buildvcs=false",
            "-pgo=off",
            "-ldflags=-w",
            "-gcflags=all=-linkshared",
        ]);
        command.arg(format!("-gcflags={}=-linkshared -l", suite.package)).arg("-overlay").arg(overlay);
        let log = Log::of(&mut command);
        let compilation = log.compilation(suite.package);
        Built { dir, package_dir, compilation, _log: log }
    }

    /// The usual binary.
    pub fn ordinary(&self) -> PathBuf {
        self.dir.path().join("ordinary")
    }

    /// The one that patches can be loaded into.
    pub fn host(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    /// A directory named `name` for files.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// The package as it is in the host, compiled again.
    pub fn again(&self) -> Object {
        let archive = self.dir.path().join("again.a");
        let config = Path::new(self.compilation.config());
        self.compilation.again(&self.package_dir, &archive, config, &self.compilation.files())
    }
}

/// Writes what is added to the package `name` in `package` into the directory `into`, and an overlay, whose path is
/// returned.
fn overlay(package: &Path, name: &str, into: &Path) -> PathBuf {
    let mut replaced = serde_json::Map::new();
    let mut add = |file: &str, text: &str| {
        let path = into.join(file);
        fs::write(&path, text).unwrap();
        replaced.insert(package.join(file).display().to_string(), path.display().to_string().into());
    };
    for (file, text) in ADDED {
        add(file, &text.replace("\npackage main\n", &format!("\npackage {name}_test\n")));
    }
    add(MARK, &format!("// {}\n\npackage {name}\n", into.display()));
    let overlay = into.join("overlay.json");
    fs::write(&overlay, serde_json::json!({ "Replace": replaced }).to_string()).unwrap();
    overlay
}
