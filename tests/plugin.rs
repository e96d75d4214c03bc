//! Plugins: built, loaded by a real host, replaced while that goes on.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Project, copy, fixture};

/// The fixture `plugins`, with the SDK in it.
struct Plugins {
    project: Project,
}

/// A host that runs. It ends with the value.
struct Host {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn next(&mut self) -> String {
        self.lines.next().expect("the host goes on").unwrap()
    }

    /// What the host answers to `line`.
    fn answer(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.next()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its end is that of its input.
        self.input.take();
        drop(self.child.wait());
    }
}

impl Plugins {
    fn new() -> Plugins {
        let project = Project::new();
        copy(&fixture("plugins"), &project.root());
        let plugins = Plugins { project };
        let output = plugins.hotwatch(&["init"]);
        assert!(output.status.success(), "{output:?}");
        plugins
    }

    fn hotwatch(&self, args: &[&str]) -> Output {
        self.project.hotwatch(&[&["plugin"], args].concat()).output().unwrap()
    }

    /// Builds the plugin `name` into the directory `plugins`; what is told of it.
    fn build(&self, name: &str, more: &[&str]) -> Value {
        let output = self.hotwatch(&[&["build", "--json"], more, &[name, "plugins"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn socket(&self) -> PathBuf {
        let dir = self.project.beside("admin");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        dir.join("host.sock")
    }

    /// Builds the command in `package` of the fixture.
    fn go_build(&self, package: &str) -> PathBuf {
        let binary = self.project.beside(package);
        let mut command = Command::new("go");
        command
            .args(["build", "-o"])
            .arg(&binary)
            .arg(format!("./{package}"))
            .current_dir(self.project.root());
        self.project.surround(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        binary
    }

    fn host(&self) -> Host {
        let mut command = Command::new(self.go_build("host"));
        command.arg(self.project.path("plugins")).arg(self.socket());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut host = Host { child, input, lines };
        assert_eq!(host.next(), "ready");
        host
    }

    fn ask(&self, verb: &str) -> Output {
        self.hotwatch(&[verb, "--socket", self.socket().to_str().unwrap()])
    }

    fn reload(&self) {
        let output = self.ask("reload");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn a_host_that_could_not_load_it_is_told_of_when_it_is_built() {
    if !has_cgo() {
        return;
    }
    let plugins = Plugins::new();
    plugins.project.write("shared/shared.go", "package shared\n\ntype Thing struct{ A int }\n");
    let import = "\t_ \"example.com/plugins/shared\"\n";
    for file in ["host/main.go", "hello/hello.go"] {
        plugins.project.edit(file, "\t\"fmt\"\n", &format!("\t\"fmt\"\n{import}"));
    }
    let host = plugins.go_build("host");
    let host = host.to_str().unwrap();
    let build =
        |more: &[&str]| plugins.hotwatch(&[&["build", "--host", host, "hello", "plugins"], more].concat());
    let output = build(&[]);
    assert!(output.status.success(), "{}", text(&output));
    // Something that both have changes, or is built otherwise.
    plugins.project.edit("shared/shared.go", "A int", "A, B int");
    let said = text(&build(&[]));
    assert!(said.contains("`example.com/plugins/shared` has changed since the host was built"), "{said}");
    plugins.project.edit("shared/shared.go", "A, B int", "A int");
    let said = text(&build(&["--", "-trimpath"]));
    assert!(
        said.contains("the host was built with no `-trimpath`, and the plugin with `-trimpath=true`"),
        "{said}"
    );
    let linked = plugins.hotwatch(&["build", "--static-linking", "hello", "linked"]);
    assert!(linked.status.success(), "{}", text(&linked));
    let other = plugins.go_build("linkedhost");
    let output = plugins.hotwatch(&["build", "--host", other.to_str().unwrap(), "jobs", "plugins"]);
    assert!(text(&output).contains("opens no shared objects"), "{}", text(&output));
}

/// Whether hosts can open shared objects on this machine; says so if not.
fn has_cgo() -> bool {
    let has = Command::new("gcc").arg("--version").output().is_ok();
    if !has {
        eprintln!("NOT CHECKED: PLUGINS IN SHARED OBJECTS, there is no C compiler");
    }
    has
}

#[test]
fn a_plugin_is_replaced_in_a_host_that_goes_on() {
    if !has_cgo() {
        return;
    }
    let plugins = Plugins::new();
    let built = plugins.build("hello", &[]);
    assert_eq!((&built["plugin"], &built["unchanged"]), (&"hello".into(), &false.into()));
    plugins.build("jobs", &[]);
    let mut host = plugins.host();
    assert_eq!(host.answer("call hello greet Ada"), "1 hello, Ada <nil>");
    assert_eq!(host.answer("pack jobs Grace"), "2 queued 1 <nil>");
    let listed = text(&plugins.ask("list"));
    assert!(listed.contains("hello") && listed.contains("shared object"), "{listed}");

    // A part of it, and the job that the first version has packed.
    plugins.project.edit("hello/words/words.go", "hello, %s", "good day, %s");
    plugins.project.edit("jobs/jobs.go", "version one", "version two");
    let again = plugins.build("hello", &[]);
    assert_eq!(again["unchanged"], false);
    assert!(again["version"].as_str().unwrap().ends_with("-2"), "{again}");
    plugins.build("jobs", &[]);
    plugins.reload();
    assert_eq!(host.answer("call hello greet Ada"), "3 good day, Ada <nil>");
    assert_eq!(host.answer("work"), "4 version two writes to Grace <nil>");

    // Back to what it was is a version of its own; the same again is none.
    plugins.project.edit("hello/words/words.go", "good day, %s", "hello, %s");
    let back = plugins.build("hello", &[]);
    assert!(back["version"].as_str().unwrap().ends_with("-3"), "{back}");
    assert_eq!(plugins.build("hello", &[])["unchanged"], true);
    plugins.reload();
    assert_eq!(host.answer("call hello greet Ada"), "5 hello, Ada <nil>");
    let manifest: Value = serde_json::from_slice(&plugins.ask("manifest").stdout).unwrap();
    let names: Vec<_> = manifest["plugins"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["hello", "jobs"]);
}

#[test]
fn a_plugin_in_a_process_of_its_own_is_replaced_as_well() {
    let plugins = Plugins::new();
    let process = ["--isolation", "process"];
    plugins.build("hello", &process);
    let mut host = plugins.host();
    assert_eq!(host.answer("call hello greet Ada"), "1 hello, Ada <nil>");
    plugins.project.edit("hello/words/words.go", "hello, %s", "good day, %s");
    plugins.build("hello", &process);
    plugins.reload();
    assert_eq!(host.answer("call hello greet Ada"), "2 good day, Ada <nil>");
    assert!(text(&plugins.ask("list")).contains("process"));
}

#[test]
fn a_plugin_is_linked_in() {
    let plugins = Plugins::new();
    let output = plugins.hotwatch(&["build", "--static-linking", "hello", "linked"]);
    assert!(output.status.success(), "{}", text(&output));
    let run = || text(&Command::new(plugins.go_build("linkedhost")).output().unwrap());
    assert_eq!(run(), "hello, Ada <nil>\n");
    plugins.project.edit("hello/words/words.go", "hello, %s", "good day, %s");
    let output = plugins.hotwatch(&["build", "--staticLinking", "hello", "linked"]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(run(), "good day, Ada <nil>\n");
    // It builds where there are no plugins, too.
    let mut command = Command::new("go");
    command.args(["vet", "./linked/...", "./linkedhost"]).current_dir(plugins.project.root());
    plugins.project.surround(&mut command);
    let output = command.env("GOOS", "windows").env("CGO_ENABLED", "0").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn what_is_no_plugin_is_told_where_it_stands() {
    let plugins = Plugins::new();
    let build = |name: &str| {
        let output = plugins.hotwatch(&["build", name, "plugins"]);
        assert_eq!(output.status.code(), Some(1));
        text(&output)
    };
    plugins.project.edit("hello/hello.go", "func OnFree()", "func onFree()");
    let said = build("hello");
    assert!(
        said.contains("`example.com/plugins/hello` lacks what every plugin has; add `func OnFree()`"),
        "{said}"
    );
    plugins.project.edit("hello/hello.go", "func onFree()", "func OnFree() int");
    let said = build("hello");
    assert!(said.contains("as a plugin: cannot use OnFree (value of type func() int)"), "{said}");
    assert!(said.contains("hello/hello.go:") && !said.contains("hotwatch-plugin-"), "{said}");
    plugins.project.write("jobs/other.go", "package jobs\n\nimport _ \"example.com/plugins/hello\"\n");
    plugins.project.edit("hello/hello.go", "func OnFree() int", "func OnFree()");
    let said = build("jobs");
    assert!(said.contains("imports the plugin `example.com/plugins/hello`"), "{said}");
    assert!(build("nowhere").contains("nowhere"));
    assert!(!plugins.project.path("plugins/hello.so").exists());
    let said = text(&plugins.ask("reload"));
    assert!(said.contains("cannot ask the host at"), "{said}");
}

#[test]
fn what_is_shared_and_was_loaded_otherwise_is_refused() {
    if !has_cgo() {
        return;
    }
    let plugins = Plugins::new();
    plugins.project.write("util/util.go", "package util\n\nvar Word = \"one\"\n");
    plugins.project.edit("hello/hello.go", "\t\"fmt\"\n", "\t\"fmt\"\n\n\t\"example.com/plugins/util\"\n");
    plugins.project.edit("hello/hello.go", "words.Greeting, name)", "words.Greeting+util.Word, name)");
    plugins.build("hello", &[]);
    let mut host = plugins.host();
    assert_eq!(host.answer("call hello greet Ada"), "1 hello, Adaone <nil>");
    plugins.project.edit("util/util.go", "one", "two");
    assert_eq!(plugins.build("hello", &[])["unchanged"], false);
    let said = text(&plugins.ask("reload"));
    assert!(said.contains("`example.com/plugins/util` has changed since a plugin of this process"), "{said}");
    assert_eq!(host.answer("call hello greet Ada"), "2 hello, Adaone <nil>");
    // As it was it may be loaded, if only as a version of its own.
    plugins.project.edit("util/util.go", "two", "one");
    plugins.build("hello", &["--force"]);
    plugins.reload();
    assert_eq!(host.answer("call hello greet Ada"), "3 hello, Adaone <nil>");
}

#[test]
fn what_is_the_user_s_is_not_written_over() {
    let plugins = Plugins::new();
    let build = |args: &[&str]| plugins.hotwatch(&[&["build"], args].concat());
    plugins.project.write("linked/plugins.go", "package linked\n");
    let output = build(&["--static-linking", "hello", "linked"]);
    assert!(text(&output).contains("linked/plugins.go` is not generated by hotwatch"), "{}", text(&output));
    plugins.project.remove("linked/plugins.go");
    assert!(build(&["--static-linking", "hello", "linked"]).status.success());
    // One that does not compile leaves the one before.
    let generated = || std::fs::read_to_string(plugins.project.path("linked/hello/hello.go")).unwrap();
    let before = generated();
    plugins.project.edit("hello/hello.go", "return fmt", "return 1 + fmt");
    for _ in 0..2 {
        assert_eq!(build(&["--static-linking", "hello", "linked"]).status.code(), Some(1));
        assert_eq!(generated(), before);
    }
    // What takes no part is not copied either, whatever system it is for.
    plugins.project.edit("hello/hello.go", "return 1 + fmt", "return fmt");
    plugins.project.write("hello/draft.go", "package hello\n");
    plugins.project.write("hello/draft_windows.go", "package hello\n");
    assert!(build(&["--static-linking", "--exclude", "^draft", "hello", "linked"]).status.success());
    let linked = std::fs::read_dir(plugins.project.path("linked/hello")).unwrap();
    let names = linked.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("draft")).collect::<Vec<_>>(), Vec::<String>::new());
    plugins.project.write("mine/doc.go", "package mine\n");
    let output = plugins.hotwatch(&["init", "mine"]);
    assert!(text(&output).contains("is not touched"), "{}", text(&output));
    plugins.project.write("jobs/fast.s", "");
    let output = build(&["jobs", "plugins"]);
    assert!(text(&output).contains("code in other languages"), "{}", text(&output));
}
