//! What the compiler tells of closures when it is asked to (`-d=closure=1`): what each captures, and whether it may
//! outlive the function that makes it (`ClosureDebugRuntimeCheck` in `cmd/compile/internal/ir/func.go`). Pure.

/// The flag that makes the compiler tell.
pub const FLAG: &str = "-d=closure=1";

/// A closure.
#[derive(Debug, Clone, Eq)]
pub struct Capture {
    /// The name of its file, without the directory. Where it is is no part of what it is.
    pub file: String,
    /// The line at which it begins.
    pub line: u64,
    /// Whether somebody may keep it.
    pub lasts: bool,
    /// The variables that it captures, as the compiler writes them.
    pub variables: String,
}

impl PartialEq for Capture {
    fn eq(&self, other: &Capture) -> bool {
        (self.lasts, &self.variables) == (other.lasts, &other.variables)
    }
}

/// Takes what is told of closures out of the compiler's `output`; returns that in the order of the files, and the rest.
pub fn take(output: &str) -> (Vec<Capture>, String) {
    let (mut captures, mut rest) = (Vec::new(), String::new());
    for line in output.lines() {
        match parse(line) {
            Some(capture) => captures.push(capture),
            None => rest.extend([line, "\n"]),
        }
    }
    (captures, rest)
}

/// As in `/src/x.go:4:37: stack closure, captured vars = [y]`.
fn parse(line: &str) -> Option<Capture> {
    let (place, told) = line.split_once(": ")?;
    let (file, line) = position(place)?;
    if told == "closure converted to global" {
        return Some(Capture { file, line, lasts: true, variables: String::new() });
    }
    let (kind, variables) = told.split_once(" closure, captured vars = ")?;
    // The compiler numbers what it has made up itself.
    let words = variables.split(' ').map(|word| if word.contains(".autotmp_") { "." } else { word });
    Some(Capture { file, line, lasts: kind == "heap", variables: words.collect::<Vec<_>>().join(" ") })
}

/// The name of the file, without its directory, and the line in `path:line:column`; behind a `//line` that has none the
/// column is left out.
pub fn position(place: &str) -> Option<(String, u64)> {
    let (before, last) = place.rsplit_once(':')?;
    let with_column = before.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?)));
    let (path, line) = with_column.or_else(|| Some((before, last.parse().ok()?)))?;
    Some((path.rsplit('/').next().unwrap_or(path).to_owned(), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_with_and_without_a_column() {
        assert_eq!(position("/a/x.go:4:37"), Some(("x.go".to_owned(), 4)));
        assert_eq!(position("gen.y:3"), Some(("gen.y".to_owned(), 3)));
        assert_eq!(position("x.go"), None);
    }

    #[test]
    fn closures_and_complaints() {
        let output = "/a/x.go:4:37: stack closure, captured vars = [y]\n/a/x.go:5:1: undefined: z\n\
                      /a/x.go:6:2: closure converted to global\n/a/x.go:7:9: heap closure, captured vars = [n .autotmp_3]\n";
        let (captures, rest) = take(output);
        let told: Vec<_> = captures.iter().map(|it| (it.line, it.lasts, it.variables.as_str())).collect();
        assert_eq!(told, [(4, false, "[y]"), (6, true, ""), (7, true, "[n .")]);
        assert!(captures.iter().all(|capture| capture.file == "x.go"));
        assert_eq!(rest, "/a/x.go:5:1: undefined: z\n");
    }
}
