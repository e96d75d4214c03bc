//! What a Go file declares at its top, as far as tokens tell: its package clause, imports, functions, types and variables,
//! each with where it stands. What is inside of functions is passed over, but for the goroutines that it starts.

use std::ops::Range;

use super::lexer::Lexer;
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
    let mut reader = Reader { lexer: Lexer::new(text), token: "", depth: 0 };
    let mut found = Topmost::default();
    reader.next()?;
    while !reader.token.is_empty() {
        match (reader.depth, reader.token) {
            (0, "package") if found.package.is_empty() => {
                reader.next()?;
                found.package = reader.place();
                reader.next()?;
            }
            (0, "import") => reader.group(|reader| {
                // A name in front of it.
                if !reader.token.starts_with(['"', '`']) {
                    reader.next()?;
                }
                found.imports.push((reader.place(), unquote(reader.token)?));
                reader.next()
            })?,
            (0, "func") => {
                reader.next()?;
                if is_name(reader.token) {
                    let declared = reader.declaration()?;
                    found.functions.push(declared);
                } else {
                    reader.next()?;
                }
            }
            (0, "type") => reader.group(|reader| {
                let declared = reader.declaration()?;
                found.types.push(declared);
                reader.rest()
            })?,
            (0, "var") => reader.group(|reader| {
                loop {
                    let (name, at) = (reader.token.to_owned(), reader.place().start);
                    found.variables.push(Declaration { name, at, generic: false });
                    reader.next()?;
                    if reader.token != "," {
                        break;
                    }
                    reader.next()?;
                }
                reader.rest()
            })?,
            (1.., "go") => {
                found.goroutines.push(reader.place().start);
                reader.next()?;
            }
            _ => reader.next()?,
        }
    }
    Some(found)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    token: &'a str,
    /// How many brackets are open behind the token.
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<()> {
        self.token = self.lexer.token()?;
        match self.token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.checked_sub(1)?,
            _ => {}
        }
        Some(())
    }

    fn place(&self) -> Range<usize> {
        let start = self.lexer.start(self.token);
        start..start + self.token.len()
    }

    /// What follows `import`, `type` or `var`: one, or several in brackets, each read by `each`.
    fn group(&mut self, mut each: impl FnMut(&mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.next()?;
        if self.token != "(" {
            return each(self);
        }
        self.next()?;
        while self.depth > 0 && !self.token.is_empty() {
            each(self)?;
        }
        self.next()
    }

    /// The name that the token is; what follows it is read then.
    fn declaration(&mut self) -> Option<Declaration> {
        let (name, at) = (self.token.to_owned(), self.place().start);
        self.next()?;
        // `[N]T` and `[]T` are arrays and slices, `[T any]` has a name and a constraint.
        let generic = self.token == "[" && {
            let outside = self.depth - 1;
            self.next()?;
            let named = is_name(self.token);
            if named {
                self.next()?;
            }
            let generic = named && self.depth > outside && self.token != ".";
            while self.depth > outside && !self.token.is_empty() {
                self.next()?;
            }
            self.next()?;
            generic
        };
        Some(Declaration { name, at, generic })
    }

    /// Passes over the rest of a declaration.
    fn rest(&mut self) -> Option<()> {
        let outside = self.outside();
        loop {
            let begins_next = self.lexer.separated && self.before() == outside;
            if self.token.is_empty() || begins_next || self.depth < outside {
                return Some(());
            }
            self.next()?;
        }
    }

    /// How many brackets are open around the declaration whose name was just passed: those of its group.
    fn outside(&self) -> usize {
        self.before()
    }

    /// How many brackets are open in front of the token.
    fn before(&self) -> usize {
        match self.token {
            "(" | "[" | "{" => self.depth - 1,
            ")" | "]" | "}" => self.depth + 1,
            _ => self.depth,
        }
    }
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
