//! How the service is built, and how its packages are compiled again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::object::Object;
use super::super::{agent, keep};
use super::source::{self, Version};

/// Flags of the compiler that are for other ways to build, with their values if they have any.
const SWITCHES: [&str; 4] = ["-pack", "-complete", "-shared", "-dynlink"];
const VALUED: [&str; 4] = ["-asmhdr", "-symabis", "-embedcfg", "-buildid"];

/// A module, and what `go build` does with it.
pub struct Toolchain {
    dir: tempfile::TempDir,
    tools: PathBuf,
    work: String,
    /// How main and the other package were compiled.
    commands: [Vec<String>; 2],
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
        ] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        }
        let overlay = agent::overlay(&root.join("svc"), dir.path()).unwrap();
        let mut build = Command::new("go");
        build.args(["build", "-x", "-work", "-buildvcs=false", "-ldflags=-w", "-gcflags=all=-linkshared"]);
        build.args(["-gcflags=example.com/app/...=-linkshared -l", "-o", "../host", "-overlay"]);
        let log = said(build.arg(&overlay).arg("./svc").current_dir(&root));
        let line = |what: &dyn Fn(&str) -> bool| {
            log.lines().find(|line| what(line)).unwrap_or_else(|| panic!("{log}"))
        };
        let work = line(&|line| line.starts_with("WORK=")).trim_start_matches("WORK=").to_owned();
        let command = |package: &str| {
            let package = format!(" -p {package} ");
            let line =
                line(&|line| line.contains("/compile -o") && line.contains(&package)).replace("$WORK", &work);
            words(&line)
        };
        let commands = [command("main"), command("example.com/app/lib")];
        let tools = said(Command::new("go").args(["env", "GOTOOLDIR"])).trim().into();
        Toolchain { dir, tools, work, commands }
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

    fn run(&self, command: usize, archive: &str, files: &[PathBuf]) -> Object {
        let archive = self.dir.path().join(archive);
        let mut compile = Command::new(&self.commands[command][0]);
        compile.args(["-dynlink", "-installsuffix", "dynlink", "-o"]).arg(&archive);
        let mut rest = self.commands[command][1..].iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "-o" => drop(rest.next()),
                "-importcfg" => drop(compile.arg("-importcfg").arg(self.config(rest.next().unwrap()))),
                word if VALUED.contains(&word) => drop(rest.next()),
                word if SWITCHES.contains(&word) || word.ends_with(".go") => {}
                word => drop(compile.arg(word)),
            }
        }
        said(compile.args(files).current_dir(self.dir.path().join("app")));
        Object::parse(fs::read(archive).unwrap()).unwrap()
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

impl Drop for Toolchain {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// The words of a line for a shell that has no quotes but double ones around whole words.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace()
        .take_while(|word| *word != "#")
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}
