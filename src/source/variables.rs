//! Where a Go file declares its variables, as far as tokens tell.

use std::ops::Range;

use super::lexer::Lexer;

/// The variables of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Where the package clause and the imports end, in bytes from the start.
    pub head: usize,
    /// The declarations, in order.
    pub specs: Vec<Spec>,
}

/// One declaration: `a, b T = x, y`, without the word `var`. Positions are in bytes from the start of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// The names.
    pub names: Vec<String>,
    /// All of it.
    pub at: Range<usize>,
    /// What stands behind `=`; `None` if there is nothing.
    pub values: Option<Range<usize>>,
    /// Whether it is one of several in brackets.
    pub grouped: bool,
    /// Whether there are function literals among the values, or types of functions.
    pub has_functions: bool,
}

/// The variables that `text`, a Go file, declares outside of functions; `None` if its tokens are not Go.
pub fn declared(text: &str) -> Option<Declared> {
    // What `scan` passes over stays where it is here.
    if text.starts_with('\u{feff}') {
        return None;
    }
    let mut reader = Reader { lexer: Lexer::new(text), token: "", depth: 0 };
    let mut declared = Declared::default();
    reader.next()?;
    let mut in_head = true;
    while !reader.token.is_empty() {
        if reader.depth == 0 && reader.token == "var" {
            in_head = false;
            reader.declaration(&mut declared.specs)?;
            continue;
        }
        let begins = reader.before() == 0 && (reader.lexer.separated || declared.head == 0);
        in_head &= !begins || matches!(reader.token, "package" | "import");
        if in_head {
            declared.head = reader.end();
        }
        reader.next()?;
    }
    Some(declared)
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    token: &'a str,
    /// How many brackets are open behind the token.
    depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<()> {
        self.token = self.lexer.token()?;
        match self.token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.checked_sub(1)?,
            _ => {}
        }
        Some(())
    }

    /// How many brackets are open in front of the token.
    fn before(&self) -> usize {
        match self.token {
            "(" | "[" | "{" => self.depth - 1,
            ")" | "]" | "}" => self.depth + 1,
            _ => self.depth,
        }
    }

    /// Where the token ends.
    fn end(&self) -> usize {
        self.lexer.start(self.token) + self.token.len()
    }

    /// What follows `var`.
    fn declaration(&mut self, specs: &mut Vec<Spec>) -> Option<()> {
        self.next()?;
        if self.token != "(" {
            specs.push(self.spec(false)?);
            return Some(());
        }
        self.next()?;
        while self.depth > 0 {
            specs.push(self.spec(true)?);
        }
        self.next()
    }

    /// A declaration whose first token was read; what follows it was read as well then.
    fn spec(&mut self, grouped: bool) -> Option<Spec> {
        let mut spec = Spec { grouped, ..Spec::default() };
        let (start, outside) = (self.lexer.start(self.token), usize::from(grouped));
        let mut end;
        loop {
            spec.names.push(self.token.to_owned());
            end = self.end();
            self.next()?;
            if self.token != "," {
                break;
            }
            self.next()?;
        }
        let is_assigned = |reader: &Self| reader.token == "=" && reader.depth == outside;
        while !(self.has_ended(outside) || is_assigned(self)) {
            spec.has_functions |= self.token == "func";
            end = self.end();
            self.next()?;
        }
        if !self.has_ended(outside) {
            self.next()?;
            let from = self.lexer.start(self.token);
            while !self.has_ended(outside) {
                spec.has_functions |= self.token == "func";
                end = self.end();
                self.next()?;
            }
            spec.values = Some(from..end);
        }
        spec.at = start..end;
        Some(spec)
    }

    /// Whether the token is no part any more of a declaration inside of so many brackets.
    fn has_ended(&self, outside: usize) -> bool {
        let is_next = self.lexer.separated && self.before() == outside;
        self.token.is_empty() || self.depth < outside || is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found() {
        let text = "// var no = 1\npackage p\n\nimport (\n\t\"a\" // var\n)\n\nvar a = f(1,\n\t2)\nvar b, c T\n\n\
                    func f() { var x = 1; _ = x }\n\nvar (\n\td = map[string]int{\n\t\t\"k\": 1,\n\t}; e = 2\n\
                    \tg func(int) string = func(int) string { return \"}\" }\n\n\th *struct {\n\t\tx int\n\t}\n)\nvar i int = 3";
        let declared = declared(text).unwrap();
        assert!(text[..declared.head].ends_with("\"a\" // var\n)"), "{}", &text[..declared.head]);
        let found: Vec<_> = declared
            .specs
            .iter()
            .map(|spec| {
                (spec.names.join(","), &text[spec.at.clone()], spec.values.clone().map(|at| &text[at]))
            })
            .collect();
        let expected = [
            ("a", "a = f(1,\n\t2)", Some("f(1,\n\t2)")),
            ("b,c", "b, c T", None),
            ("d", "d = map[string]int{\n\t\t\"k\": 1,\n\t}", Some("map[string]int{\n\t\t\"k\": 1,\n\t}")),
            ("e", "e = 2", Some("2")),
            (
                "g",
                "g func(int) string = func(int) string { return \"}\" }",
                Some("func(int) string { return \"}\" }"),
            ),
            ("h", "h *struct {\n\t\tx int\n\t}", None),
            ("i", "i int = 3", Some("3")),
        ];
        assert_eq!(found, expected.map(|(names, text, values)| (names.to_owned(), text, values)));
        let grouped: Vec<bool> = declared.specs.iter().map(|spec| spec.grouped).collect();
        assert_eq!(grouped, [false, false, true, true, true, true, false]);
        assert_eq!(declared.specs.iter().filter(|spec| spec.has_functions).count(), 1);
    }

    #[test]
    fn files_without_variables_and_what_is_no_go() {
        let plain = declared("package p").unwrap();
        assert_eq!((plain.head, plain.specs.len()), ("package p".len(), 0));
        assert_eq!(declared("package p; var x = 'ab"), None);
        let empty = declared("package p\nvar ()\nimport \"late\"\n").unwrap();
        assert_eq!((empty.head, empty.specs.len()), ("package p".len(), 0));
    }
}
