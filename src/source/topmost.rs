//! What a Go file declares at its top, as far as tokens tell: its package clause, imports, functions, types and variables,
//! each with where it stands. What is inside of functions is passed over, but for the goroutines that it starts.

use std::ops::Range;

use super::reader::Reader;
use super::unquote;

/// The declarations of a file. Positions are in bytes from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topmost {
    /// The name in the package clause.
    pub package: Range<usize>,
    /// The literals of the import paths, and what they say.
    pub imports: Vec<(Range<usize>, String)>,
    /// Functions without a receiver.
    pub functions: Vec<Declaration>,
    /// Types.
    pub types: Vec<Declaration>,
    /// Variables.
    pub variables: Vec<Declaration>,
    /// Where `go` statements stand.
    pub goroutines: Vec<usize>,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The name.
    pub name: String,
    /// Where that stands.
    pub at: usize,
    /// Whether it has type parameters.
    pub generic: bool,
}

/// What `text`, a Go file, declares; `None` if its tokens are not Go.
pub fn topmost(text: &str) -> Option<Topmost> {
    let mut reader = Reader::new(text)?;
    let mut found = Topmost::default();
    while !reader.token.is_empty() {
        match (reader.depth, reader.token) {
            (0, "package") if found.package.is_empty() => {
                reader.advance()?;
                found.package = reader.place();
                reader.advance()?;
            }
            (0, "import") => group(&mut reader, |reader, _| {
                // A name in front of it.
                if !reader.token.starts_with(['"', '`']) {
                    reader.advance()?;
                }
                found.imports.push((reader.place(), unquote(reader.token)?));
                reader.advance()
            })?,
            (0, "func") => {
                reader.advance()?;
                if is_name(reader.token) {
                    found.functions.push(declaration(&mut reader)?);
                } else {
                    reader.advance()?;
                }
            }
            (0, "type") => group(&mut reader, |reader, outside| {
                found.types.push(declaration(reader)?);
                rest(reader, outside)
            })?,
            (0, "var") => group(&mut reader, |reader, outside| {
                loop {
                    let (name, at) = (reader.token.to_owned(), reader.place().start);
                    found.variables.push(Declaration { name, at, generic: false });
                    reader.advance()?;
                    if reader.token != "," {
                        break;
                    }
                    reader.advance()?;
                }
                rest(reader, outside)
            })?,
            (1.., "go") => {
                found.goroutines.push(reader.place().start);
                reader.advance()?;
            }
            _ => reader.advance()?,
        }
    }
    Some(found)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What follows `import`, `type` or `var`: one, or several in brackets, each read by `each`, which is told how many
/// brackets are around it.
fn group<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, usize) -> Option<()>,
) -> Option<()> {
    reader.advance()?;
    if reader.token != "(" {
        return each(reader, 0);
    }
    reader.advance()?;
    while reader.depth > 0 && !reader.token.is_empty() {
        each(reader, 1)?;
    }
    reader.advance()
}

/// The name that the token is; what follows it is read then.
fn declaration(reader: &mut Reader<'_>) -> Option<Declaration> {
    let (name, at) = (reader.token.to_owned(), reader.place().start);
    reader.advance()?;
    // `[N]T` and `[]T` are arrays and slices, `[T any]` has a name and a constraint.
    let generic = reader.token == "[" && {
        let outside = reader.depth - 1;
        reader.advance()?;
        let named = is_name(reader.token);
        if named {
            reader.advance()?;
        }
        let generic = named && reader.depth > outside && reader.token != ".";
        while reader.depth > outside && !reader.token.is_empty() {
            reader.advance()?;
        }
        reader.advance()?;
        generic
    };
    Some(Declaration { name, at, generic })
}

/// Passes over the rest of a declaration inside of so many brackets.
fn rest(reader: &mut Reader<'_>, outside: usize) -> Option<()> {
    while !reader.has_ended(outside) {
        reader.advance()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// Package p\npackage p\n\nimport (\n\t\"a\"\n\tother \"b/c\"\n)\nimport . \"d\"\n\n\
                        type Live_T struct{ x int }\ntype (\n\tA = int\n\tG[T any] struct{}\n\tB [4]int\n)\n\
                        var x, live_y = 1, func() { var z int; _ = z }\nvar (\n\ta = map[string]int{\n\t\t\"k\": 1,\n\t}\n\tb int\n)\n\
                        func OnLoad(data any) error {\n\tgo run()\n\tvar inner int\n\treturn nil\n}\n\
                        func (t T) live_method() {}\nfunc live_gen[T any](t T) {}\nfunc live_send() {}\n";

    fn names(declarations: &[Declaration]) -> String {
        let name = |it: &Declaration| if it.generic { format!("{}[]", it.name) } else { it.name.clone() };
        declarations.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_stands_at_the_top_is_found() {
        let found = topmost(TEXT).unwrap();
        assert_eq!(&TEXT[found.package.clone()], "p");
        let imports: Vec<_> =
            found.imports.iter().map(|(at, path)| (&TEXT[at.clone()], path.as_str())).collect();
        assert_eq!(imports, [("\"a\"", "a"), ("\"b/c\"", "b/c"), ("\"d\"", "d")]);
        assert_eq!(names(&found.functions), "OnLoad live_gen[] live_send");
        assert_eq!(names(&found.types), "Live_T A G[] B");
        assert_eq!(names(&found.variables), "x live_y a b");
        assert_eq!(found.goroutines.len(), 1);
        assert!(TEXT[found.goroutines[0]..].starts_with("go run()"));
        assert!(TEXT[found.functions[2].at..].starts_with("live_send"));
        assert_eq!(topmost("package p; var x = 'ab"), None);
    }
}
