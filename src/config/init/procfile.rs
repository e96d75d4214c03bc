//! The `Procfile` of foreman and its kind: a line `name: command` per process, in the order of starting.

use std::collections::BTreeMap;

use super::{Found, Program, Start, Tree, start_sh};

/// What the Procfile `text` starts; `file` is its path. Commands are read as a shell would, in the directory of the
/// file, and with `variables`: such tools load `.env` by themselves.
pub fn scan(text: &str, file: &str, variables: &BTreeMap<String, String>, tree: &Tree<'_>) -> Found {
    let mut all = Found::default();
    for (index, line) in text.lines().enumerate() {
        let at = format!("{file}:{}", index + 1);
        let Some((name, command)) = process(line) else { continue };
        let dir = super::parent(file);
        let mut found = start_sh::follow(command, file, index + 1, dir, variables.clone(), tree);
        all.notes.append(&mut found.notes);
        all.env_files.append(&mut found.env_files);
        let start = found.starts.pop().or_else(|| {
            let words = start_sh::plain_words(command)?;
            Some(Start::new(at.clone(), Some(dir.to_owned()), Program::Command(words)))
        });
        match start {
            Some(start) => all.starts.push(Start { name: Some(name.to_owned()), ..start }),
            None => all.notes.push(format!("{at}: `{command}` was left out: it is no single command")),
        }
    }
    all
}

/// The name and the command of a line.
fn process(line: &str) -> Option<(&str, &str)> {
    let (name, command) = line.split_once(':')?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = name.trim();
    (!name.is_empty() && name.chars().all(fine)).then_some((name, command.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_process() {
        let tree = Tree { read: &|_| None, dirs: &[] };
        let text = "# web\nweb: PORT=$PORT go run ./cmd/web -v\nworker: cd jobs && go run .\n\n\
                    # off: x\nassets: npm run dev\nrelease: a | b > c\napi: bin/api\n";
        let variables = BTreeMap::from([("PORT".to_owned(), "5000".to_owned())]);
        let found = scan(text, "Procfile", &variables, &tree);
        let shown: Vec<_> = found
            .starts
            .iter()
            .map(|start| (start.from.as_str(), start.name.as_deref().unwrap(), start.program.clone()))
            .collect();
        let package = |dir: &str| Program::Package(dir.to_owned());
        assert_eq!(
            shown,
            [
                ("Procfile:2", "web", package("cmd/web")),
                ("Procfile:3", "worker", package("jobs")),
                ("Procfile:6", "assets", Program::Command(["npm", "run", "dev"].map(str::to_owned).to_vec())),
                ("Procfile:8", "api", Program::Binary("bin/api".to_owned())),
            ]
        );
        assert_eq!(
            (found.starts[0].env["PORT"].value.as_str(), found.starts[0].args[0].as_str()),
            ("5000", "-v")
        );
        assert_eq!(found.notes, ["Procfile:7: `a | b > c` was left out: it is no single command"]);
    }
}
