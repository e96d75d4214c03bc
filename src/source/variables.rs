//! Where a Go file declares its variables, as far as tokens tell.

use std::ops::Range;

use super::reader::Reader;

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
    let mut reader = Reader::new(text)?;
    let mut declared = Declared::default();
    let mut in_head = true;
    while !reader.token.is_empty() {
        if reader.depth == 0 && reader.token == "var" {
            in_head = false;
            declaration(&mut reader, &mut declared.specs)?;
            continue;
        }
        let begins = reader.before() == 0 && (reader.separated() || declared.head == 0);
        in_head &= !begins || matches!(reader.token, "package" | "import");
        if in_head {
            declared.head = reader.place().end;
        }
        reader.advance()?;
    }
    Some(declared)
}

/// What follows `var`.
fn declaration(reader: &mut Reader<'_>, specs: &mut Vec<Spec>) -> Option<()> {
    reader.advance()?;
    if reader.token != "(" {
        specs.push(spec(reader, false)?);
        return Some(());
    }
    reader.advance()?;
    while reader.depth > 0 {
        specs.push(spec(reader, true)?);
    }
    reader.advance()
}

/// A declaration whose first token was read; what follows it was read as well then.
fn spec(reader: &mut Reader<'_>, grouped: bool) -> Option<Spec> {
    let mut spec = Spec { grouped, ..Spec::default() };
    let (start, outside) = (reader.place().start, usize::from(grouped));
    let mut end;
    loop {
        spec.names.push(reader.token.to_owned());
        end = reader.place().end;
        reader.advance()?;
        if reader.token != "," {
            break;
        }
        reader.advance()?;
    }
    let is_assigned = |reader: &Reader<'_>| reader.token == "=" && reader.depth == outside;
    while !(reader.has_ended(outside) || is_assigned(reader)) {
        spec.has_functions |= reader.token == "func";
        end = reader.place().end;
        reader.advance()?;
    }
    if !reader.has_ended(outside) {
        reader.advance()?;
        let from = reader.place().start;
        while !reader.has_ended(outside) {
            spec.has_functions |= reader.token == "func";
            end = reader.place().end;
            reader.advance()?;
        }
        spec.values = Some(from..end);
    }
    spec.at = start..end;
    Some(spec)
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
