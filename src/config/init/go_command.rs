//! What a go command in somebody's script builds or runs: `go run -race ./cmd/users --port 80`.

use super::{join, parent};

/// A `go run`, `go build` or `go install`.
#[derive(Debug, PartialEq, Eq)]
pub struct GoCommand {
    /// `run`, `build` or `install`.
    pub verb: String,
    /// The directory of the package, relative to the root.
    pub package: String,
    /// What `-o` says.
    pub out: Option<String>,
    /// Flags that change what is built, each one word.
    pub flags: Vec<String>,
    /// Arguments of the program that `go run` runs.
    pub args: Vec<String>,
}

/// Flags of the build commands whose value may be the next word (`go help build`).
const WITH_VALUE: [&str; 14] = [
    "C",
    "asmflags",
    "buildmode",
    "compiler",
    "exec",
    "gcflags",
    "ldflags",
    "mod",
    "modfile",
    "o",
    "overlay",
    "p",
    "pkgdir",
    "tags",
];

/// Flags that a build should go on having.
const KEPT: [&str; 6] = ["tags", "race", "ldflags", "gcflags", "mod", "modfile"];

/// Reads `words`, the first of which is `go`; they are run in `dir`.
pub fn parse(words: &[String], dir: &str) -> Option<GoCommand> {
    let mut words = words[1..].iter().map(String::as_str).peekable();
    let mut dir = dir.to_owned();
    if words.next_if_eq(&"-C").is_some() {
        dir = join(&dir, words.next()?);
    }
    let verb = words.next().filter(|verb| ["run", "build", "install"].contains(verb))?.to_owned();
    let (mut out, mut flags) = (None, Vec::new());
    while let Some(flag) = words.next_if(|word| word.starts_with('-') && *word != "-") {
        let name = flag.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None if WITH_VALUE.contains(&name) => (name, words.next()),
            None => (name, None),
        };
        match (name, value) {
            ("C", Some(value)) => dir = join(&dir, value),
            ("o", Some(value)) => out = Some(value.to_owned()),
            (name, value) if KEPT.contains(&name) => {
                let value = value.map(|value| format!("={value}")).unwrap_or_default();
                flags.push(format!("-{name}{value}"));
            }
            _ => {}
        }
    }
    // `go run main.go other.go` names files of one package (`go help run`).
    let mut package = words.next().unwrap_or(".").to_owned();
    if package.ends_with(".go") {
        while words.next_if(|word| word.ends_with(".go")).is_some() {}
        package = parent(&package).to_owned();
    }
    let args = words.map(str::to_owned).collect();
    Some(GoCommand { verb, package: join(&dir, &package), out, flags, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_flags_and_arguments() {
        let table = [
            ("go run .", "run a out=None [] []"),
            ("go run ./cmd/x -port 80", "run a/cmd/x out=None [] [-port 80]"),
            ("go run -race -tags dev main.go util.go --v", "run a out=None [-race -tags=dev] [--v]"),
            ("go run cmd/x/main.go -- y", "run a/cmd/x out=None [] [-- y]"),
            ("go build -v -o ../bin/x ./cmd/x", "build a/cmd/x out=Some(\"../bin/x\") [] []"),
            ("go build -o=x", "build a out=Some(\"x\") [] []"),
            ("go -C ../b run .", "run b out=None [] []"),
            ("go build -C b ./c", "build a/b/c out=None [] []"),
        ];
        for (line, expected) in table {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let found = parse(&words, "a").unwrap();
            let text = format!(
                "{} {} out={:?} [{}] [{}]",
                found.verb,
                found.package,
                found.out,
                found.flags.join(" "),
                found.args.join(" ")
            );
            assert_eq!(text, expected, "{line}");
        }
        assert_eq!(parse(&["go", "mod", "tidy"].map(str::to_owned), ""), None);
    }
}
