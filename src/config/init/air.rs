//! The `.air.toml` of air: one program, how it is built, which files count and how it is stopped. Keys are those of
//! air's own `air_example.toml`; what it does not say is left to hotwatch's defaults.

use serde::Deserialize;

use super::{Built, Fact, Found, Program, Start, Tree, join, start_sh};

/// The parts of the file that hotwatch has something for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    root: Option<String>,
    build: Build,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Build {
    cmd: Option<toml::Spanned<String>>,
    bin: Option<String>,
    full_bin: Option<String>,
    entrypoint: Option<Words>,
    args_bin: Vec<String>,
    pre_cmd: Vec<String>,
    include_ext: Vec<String>,
    include_file: Vec<String>,
    exclude_dir: Vec<String>,
    exclude_file: Vec<String>,
    exclude_regex: Vec<String>,
    send_interrupt: bool,
    kill_delay: Option<Delay>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

/// A duration as text; a bare number counts nanoseconds, as Go's `time.Duration` does.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Delay {
    Text(String),
    Nanoseconds(u64),
}

/// Directories that hotwatch leaves out by itself, or that hold no Go.
const TEMPLATE_DIRS: [&str; 5] = ["assets", "tmp", "vendor", "testdata", "node_modules"];

/// What the file `file` with `text` runs. `has` tells whether there are files with an extension below a directory.
pub fn scan(text: &str, file: &str, has: &dyn Fn(&str, &str) -> bool, tree: &Tree<'_>) -> Found {
    let parsed: File = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = error.message().lines().next().unwrap_or_default();
            let note = format!("{file} was left out: {message}");
            return Found { notes: vec![note], ..Found::default() };
        }
    };
    let dir = join(super::parent(file), parsed.root.as_deref().unwrap_or("."));
    let build = &parsed.build;
    let line = build.cmd.as_ref().map_or(1, |cmd| text[..cmd.span().start].matches('\n').count() + 1);
    let cmd = build.cmd.as_ref().map_or("go build -o ./tmp/main .", |cmd| cmd.get_ref());
    let run = match (&build.full_bin, &build.entrypoint, &build.bin) {
        (Some(full), _, _) if !full.is_empty() => full.clone(),
        (_, Some(Words::One(one)), _) => one.clone(),
        (_, Some(Words::Many(words)), _) => words.join(" "),
        (_, _, Some(bin)) if !bin.is_empty() => bin.clone(),
        _ => "./tmp/main".to_owned(),
    };
    let script = format!("{cmd}\n{run}");
    let mut found = start_sh::follow(&script, file, line, &dir, std::collections::BTreeMap::new(), tree);
    found.env_files.clear();
    let built = found.builds.values().next().cloned();
    let Some(mut start) =
        found.starts.pop().filter(|start| matches!(start.program, Program::Package(_))).or_else(|| {
            let Built { package, flags } = built?;
            let start = Start::new(String::new(), Some(dir.clone()), Program::Package(package));
            Some(Start { build_flags: flags, ..start })
        })
    else {
        found.notes.push(format!("{file}:{line}: `{cmd}` builds no main package that can be seen"));
        return found;
    };
    found.starts.clear();
    start.from = format!("{file}:{line}");
    start.args.extend(build.args_bin.clone());
    patterns(build, &dir, has, &mut start);
    if build.send_interrupt {
        let grace = build.kill_delay.as_ref().and_then(grace);
        start.stop = Some(Fact { value: ("INT".to_owned(), grace), from: file.to_owned() });
    }
    let commands = build.pre_cmd.iter().map(|command| {
        format!("air runs `{command}` before each build; `build` may be a script that does so too")
    });
    start.notes.extend(commands);
    found.starts.push(start);
    found
}

fn grace(delay: &Delay) -> Option<String> {
    match delay {
        Delay::Text(text) => {
            humantime::parse_duration(text).ok().filter(|delay| !delay.is_zero()).map(|_| text.clone())
        }
        Delay::Nanoseconds(0) => None,
        Delay::Nanoseconds(number) => Some(format!("{}ms", number.div_ceil(1_000_000))),
    }
}

fn patterns(build: &Build, dir: &str, has: &dyn Fn(&str, &str) -> bool, start: &mut Start) {
    for extension in build.include_ext.iter().map(|extension| extension.trim_start_matches('.')) {
        // Air's template lists extensions that a program may well not have.
        if extension != "go" && has(dir, extension) {
            start.include.push(format!("**/*.{extension}"));
        }
    }
    start.include.extend(build.include_file.iter().map(|file| join("", file)));
    let dirs = build.exclude_dir.iter().map(|dir| join("", dir));
    start.exclude.extend(
        dirs.filter(|dir| !dir.starts_with('.') && !TEMPLATE_DIRS.contains(&dir.as_str()))
            .map(|dir| format!("{dir}/**")),
    );
    start.exclude.extend(build.exclude_file.iter().map(|file| join("", file)));
    for regex in &build.exclude_regex {
        match glob(regex) {
            Some(glob) if glob == "**/*_test.go" => {}
            Some(glob) => start.exclude.push(glob),
            None => start
                .notes
                .push(format!("air leaves out what matches `{regex}`; `watch.exclude` takes globs")),
        }
    }
}

/// The glob that means the same as `regex`, for those that are only a name's end, such as `_templ\.go$`.
fn glob(regex: &str) -> Option<String> {
    let letters =
        regex.trim_start_matches('^').trim_start_matches(".*").trim_end_matches('$').replace("\\.", ".");
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (letters.chars().all(fine) && letters.contains('.')).then(|| format!("**/*{letters}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_text(text: &str) -> Found {
        scan(text, "api/.air.toml", &|_, extension| extension == "html", &Tree { read: &|_| None, dirs: &[] })
    }

    #[test]
    fn program_arguments_and_files() {
        let found = scan_text(
            "root = \".\"\n[build]\npre_cmd = [\"go generate ./...\"]\n\
             cmd = \"go build -tags dev -o ./tmp/main ./cmd/api\"\nbin = \"tmp/main\"\nargs_bin = [\"-v\"]\n\
             full_bin = \"APP_ENV=dev ./tmp/main\"\n\
             include_ext = [\"go\", \"html\", \"tmpl\"]\nexclude_dir = [\"tmp\", \"web/dist\"]\n\
             exclude_regex = [\"_test.go\", \"_templ\\\\.go$\", \"a|b\"]\nsend_interrupt = true\nkill_delay = \"2s\"\n\
             [log]\ntime = true\n",
        );
        let start = &found.starts[0];
        assert_eq!(
            (start.from.as_str(), &start.program),
            ("api/.air.toml:4", &Program::Package("api/cmd/api".to_owned()))
        );
        assert_eq!((start.args.join(" "), start.env["APP_ENV"].value.as_str()), ("-v".to_owned(), "dev"));
        assert_eq!(start.build_flags, ["-tags=dev"]);
        assert_eq!(start.include, ["**/*.html"]);
        assert_eq!(start.exclude, ["web/dist/**", "**/*_templ.go"]);
        assert_eq!(start.stop.as_ref().unwrap().value, ("INT".to_owned(), Some("2s".to_owned())));
        assert_eq!(
            start.notes,
            [
                "air leaves out what matches `a|b`; `watch.exclude` takes globs",
                "air runs `go generate ./...` before each build; `build` may be a script that does so too",
            ]
        );
    }

    #[test]
    fn defaults_and_errors() {
        let package = |text: &str| scan_text(text).starts.pop().map(|start| start.program);
        let is = |dir: &str| Some(Program::Package(dir.to_owned()));
        let table = [
            ("", is("api")),
            ("root = \"..\"", is("")),
            ("[build]\ncmd = \"go build -o ./tmp/main ./cmd/x\"", is("api/cmd/x")),
            (
                "[build]\ncmd = \"go build -o ./bin/x ./cmd/x\"\nentrypoint = [\"./bin/x\", \"serve\"]",
                is("api/cmd/x"),
            ),
            ("[build]\ncmd = \"make\"", None),
        ];
        for (text, expected) in table {
            assert_eq!(package(text), expected, "{text}");
        }
        let delays = [("kill_delay = 500000000", Some("500ms")), ("kill_delay = \"0s\"", None)];
        for (text, expected) in delays {
            let found = scan_text(&format!("[build]\nsend_interrupt = true\n{text}\n"));
            assert_eq!(found.starts[0].stop.as_ref().unwrap().value.1.as_deref(), expected, "{text}");
        }
        assert!(scan_text("= 1").notes[0].starts_with("api/.air.toml was left out"));
    }
}
