//! The one thing that a Dockerfile tells about a Go service: which main package its `go build` names, seen through
//! the directories that the build context is copied to; and with which arguments the image runs it.

use std::collections::BTreeMap;

use super::super::{Tree, join, start_sh};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The directory of the main package, relative to the root.
    pub package: Option<String>,
    /// `ENTRYPOINT`, in its list form.
    pub entrypoint: Option<Vec<String>>,
    /// `CMD`, in its list form.
    pub command: Option<Vec<String>>,
}

/// Reads the Dockerfile `text` at `file`, whose build context is the directory `context`.
pub fn scan(
    text: &str,
    file: &str,
    context: &str,
    arguments: &BTreeMap<String, String>,
    tree: &Tree<'_>,
) -> Image {
    let mut image = Image::default();
    let mut variables = BTreeMap::new();
    // Directories of the image, and what is copied there. A stage begins with nothing.
    let (mut workdir, mut copied) = (String::new(), Vec::<(String, String)>::new());
    for line in text.replace("\\\n", " ").lines() {
        let Some((instruction, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        let rest = rest.trim();
        match instruction.to_ascii_uppercase().as_str() {
            "FROM" => {
                (workdir, copied) = (String::new(), Vec::new());
                (image.entrypoint, image.command) = (None, None);
            }
            "ARG" | "ENV" => {
                let (name, default) = rest.split_once('=').unwrap_or((rest, ""));
                let given = arguments.get(name).cloned().or_else(|| Some(default.to_owned()));
                variables
                    .extend(given.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
            }
            "WORKDIR" => workdir = inside(&workdir, rest),
            "COPY" | "ADD" => {
                let words: Vec<&str> =
                    rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
                if let (false, [from, to]) = (rest.contains("--from"), words.as_slice()) {
                    copied.push((inside(&workdir, to), join(context, from)));
                }
            }
            "RUN" if image.package.is_none() => {
                let dir = host(&workdir, &copied).unwrap_or_else(|| context.to_owned());
                let mounts = |word: &&str| !word.starts_with("--");
                let script: Vec<&str> = rest.split_whitespace().skip_while(|word| !mounts(word)).collect();
                let found = start_sh::follow(&script.join(" "), file, 1, &dir, variables.clone(), tree);
                image.package = found.builds.into_values().next().map(|built| built.package);
            }
            "ENTRYPOINT" => image.entrypoint = serde_json::from_str(rest).ok(),
            "CMD" => image.command = serde_json::from_str(rest).ok(),
            _ => {}
        }
    }
    image
}

/// `path` in an image whose current directory is `workdir`.
fn inside(workdir: &str, path: &str) -> String {
    if path.starts_with('/') { join("", path) } else { join(workdir, path) }
}

/// What of the tree is at the directory `dir` of a container, by what was copied or mounted: pairs of the place in
/// the container and that in the tree.
pub fn host(dir: &str, copied: &[(String, String)]) -> Option<String> {
    let below = |(to, from): &(String, String)| {
        let rest = dir.strip_prefix(to.as_str())?;
        (rest.is_empty() || rest.starts_with('/') || to.is_empty()).then(|| (to.len(), join(from, rest)))
    };
    copied.iter().filter_map(below).max_by_key(|(length, _)| *length).map(|(_, from)| from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_that_is_built() {
        let table = [
            ("FROM golang\nWORKDIR /src\nCOPY . .\nRUN go build -o /app ./cmd/api", "svc/cmd/api"),
            (
                "FROM golang\nWORKDIR /src\nCOPY go.mod go.sum ./\nCOPY . ./\nRUN CGO_ENABLED=0 \\\n  go build -o /app .",
                "svc",
            ),
            (
                "FROM golang\nCOPY . /src\nWORKDIR /src/cmd/x\nRUN --mount=type=cache,target=/root go install",
                "svc/cmd/x",
            ),
            ("FROM golang\nARG NAME=api\nCOPY . .\nRUN go build -o /app ./cmd/${NAME}", "svc/cmd/users"),
            ("FROM golang\nWORKDIR /src\nCOPY users ./users\nRUN cd users && go build -o /app", "svc/users"),
            ("FROM golang\nCOPY . .\nRUN make", "-"),
        ];
        let arguments = BTreeMap::from([("NAME".to_owned(), "users".to_owned())]);
        for (text, expected) in table {
            let image = scan(text, "Dockerfile", "svc", &arguments, &Tree { read: &|_| None, dirs: &[] });
            assert_eq!(image.package.as_deref().unwrap_or("-"), expected, "{text}");
        }
    }

    #[test]
    fn the_last_stage_says_how_it_is_run() {
        let text = "FROM a\nCMD [\"x\"]\nFROM b\nENTRYPOINT [\"/app\", \"-v\"]\nCMD serve\n";
        let image = scan(text, "Dockerfile", "", &BTreeMap::new(), &Tree { read: &|_| None, dirs: &[] });
        assert_eq!((image.entrypoint, image.command), (Some(vec!["/app".to_owned(), "-v".to_owned()]), None));
    }
}
