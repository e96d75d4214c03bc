//! How the service is built, and how its packages are compiled again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::object::Object;
use super::super::{agent, keep};
use super::recompile::{Compilation, Log, said};
use super::source::{self, Version};

/// A module, and what `go build` does with it.
pub struct Toolchain {
    dir: tempfile::TempDir,
    tools: PathBuf,
    /// How main and the other package were compiled.
    compilations: [Compilation; 2],
    /// Keeps the files that those name.
    _log: Log,
}

impl Toolchain {
    /// Builds the service.
    pub fn build() -> Toolchain {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("app");
        for (name, text) in [
            ("go.mod", "module example.com/app\n\ngo 1.22\n".to_owned()),
            ("svc/main.go", source::main(0)),
            ("lib/lib.go", source::library(0)),
        ]
        .into_iter()
        .chain(source::SUM.map(|(name, text)| (name, text.to_owned())))
        {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        }
        let overlay = agent::overlay(&root.join("svc"), dir.path()).unwrap();
        let mut build = Command::new("go");
        build.args(["build", "-x", "-work", "-buildvcs=false", "-ldflags=-w", "-gcflags=all=-linkshared"]);
        build.args(["-gcflags=example.com/app/...=-linkshared -l", "-o", "../host", "-overlay"]);
        let log = Log::of(build.arg(&overlay).arg("./svc").current_dir(&root));
        let compilations = ["main", "example.com/app/lib"].map(|package| log.compilation(package));
        let tools = said(Command::new("go").args(["env", "GOTOOLDIR"])).trim().into();
        Toolchain { dir, tools, compilations, _log: log }
    }

    pub fn host(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// A directory for the generation `number`.
    pub fn fresh(&self, number: u32) -> PathBuf {
        let dir = self.dir.path().join(format!("patch{number}"));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// The packages in `version`.
    pub fn compile(&self, version: Version, with_main: bool) -> Vec<(String, Object)> {
        let mut packages =
            vec![("example.com/app/lib".to_owned(), self.compile_library(&source::library(version.library)))];
        if with_main {
            let names = keep::names(&packages, &super::IN_LIBRARY.map(str::to_owned));
            let text = keep::text(["example.com/app/lib"].into_iter(), names.iter().map(String::as_str));
            let agent = self.dir.path().join("zz_hotwatch_agent.go");
            let files =
                [self.write("main.go", &source::main(version.main)), agent, self.write("keep.go", &text)];
            packages.insert(0, ("main".to_owned(), self.run(0, "main.a", &files)));
        }
        packages
    }

    /// The other package with the source `text`.
    pub fn compile_library(&self, text: &str) -> Object {
        self.run(1, "lib.a", &[self.write("lib.go", text)])
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, compilation: usize, archive: &str, files: &[PathBuf]) -> Object {
        let compilation = &self.compilations[compilation];
        let config = self.config(compilation.config());
        compilation.again(&self.dir.path().join("app"), &self.dir.path().join(archive), &config, files)
    }

    /// The import configuration `from`, with the other package as it was compiled last, and with what tests import.
    fn config(&self, from: &str) -> PathBuf {
        let library = self.dir.path().join("lib.a");
        let lines = fs::read_to_string(from).unwrap();
        let lines = lines.lines().map(|line| match line.strip_prefix("packagefile example.com/app/lib=") {
            Some(_) => format!("packagefile example.com/app/lib={}\n", library.display()),
            None => format!("{line}\n"),
        });
        let mut config: String = lines.collect();
        let ring = said(Command::new("go").args(["list", "-export", "-f", "{{.Export}}", "container/ring"]));
        config += &format!("packagefile container/ring={ring}");
        self.write("importcfg", &config)
    }
}
