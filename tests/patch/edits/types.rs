//! Types that the process has made, and methods of those that it has.

use super::Expected::{Extended, Patched, Restarted};
use super::{Edit, Expected, more, price};

const fn reflected(expected: Expected, change: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { file: "reflected.go", change, path: "/reflected", expected, also: None }
}

/// Types that the process has made by itself.
pub const REFLECTED: &[Edit] = &[
    reflected(
        Patched,
        &[(
            "\t}\n\tfor _, value",
            "\t\treflect.Zero(reflect.StructOf([]reflect.StructField{{Name: \"Box\", Type: of}})).Interface(),\n\
             \t}\n\tfor _, value",
        )],
    ),
    reflected(Patched, &[("return value == nil", "_, ok := value.(func() box)\n\treturn ok")]),
    reflected(Restarted("has made the type []main.box itself"), &[("value.(func() box)", "value.([]box)")]),
    reflected(Restarted("has made the type *[]main.box itself"), &[("value.([]box)", "value.(*[]box)")]),
    reflected(
        Restarted("has made the type func(main.box) itself"),
        &[("value.(*[]box)", "value.(func(box))")],
    ),
    reflected(
        Restarted("has made the type struct { Box main.box } itself"),
        &[("value.(func(box))", "value.(struct{ Box box })")],
    ),
    // One that no code has had a name for so far is found by whoever makes it later.
    reflected(Patched, &[("value.(struct{ Box box })", "value.(chan box)")]),
    reflected(
        Extended,
        &[(
            "reflect.MakeSlice(reflect.SliceOf(of), 1, 1)",
            "reflect.Zero(reflect.ChanOf(reflect.BothDir, of))",
        )],
    ),
    // What makes structs looks at all methods of what they consist of.
    more(
        "/promoted",
        Restarted("type `*main.box` changed"),
        &[
            ("type box struct", "func (s square) small() bool { return s.side < 9 }\n\ntype box struct"),
            ("shape(b).area())", "shape(b).area(), b.small())"),
        ],
    ),
];

/// Methods that come, go and change.
pub const METHODS: &[Edit] = &[
    // One that only its own package can name, and so no interface of others.
    more(
        "/listed",
        Patched,
        &[
            ("func step(c *cell)", "func (c *cell) double() int { return 2 * c.n }\n\nfunc step(c *cell)"),
            ("words.add(\"a\").text())", "words.add(\"a\").text(), (&cell{7}).double())"),
        ],
    ),
    more("/listed", Patched, &[("return 2 * c.n", "return 3 * c.n")]),
    more(
        "/listed",
        Patched,
        &[
            ("double() int { return 3 * c.n }", "double(more int) int { return 3*c.n + more }"),
            ("(&cell{7}).double()", "(&cell{7}).double(100)"),
        ],
    ),
    // Its value, and one by a value, which has a wrapper.
    more(
        "/listed",
        Patched,
        &[
            ("func step(c *cell)", "func (c cell) half() int { return c.n / 2 }\n\nfunc step(c *cell)"),
            ("(&cell{7}).double(100)", "(&cell{8}).double(200), cell{8}.half(), (*cell).half(&cell{6})"),
        ],
    ),
    more("/listed", Patched, &[("return c.n / 2", "return c.n / -2")]),
    // It goes.
    more(
        "/listed",
        Patched,
        &[
            ("func (c cell) half() int { return c.n / -2 }\n\n", ""),
            (", cell{8}.half(), (*cell).half(&cell{6})", ""),
        ],
    ),
    // There again, and its old value may still be known.
    more(
        "/listed",
        Restarted("was removed before and is there again"),
        &[
            ("func step(c *cell)", "func (c cell) half() int { return c.n + 2 }\n\nfunc step(c *cell)"),
            ("(&cell{8}).double(200)", "(&cell{8}).double(200), cell{8}.half()"),
        ],
    ),
    // Through a type that is embedded, where a package has both, and from another package.
    more(
        "/promoted",
        Patched,
        &[
            ("type box struct", "func (s square) small() bool { return s.side < 9 }\n\ntype box struct"),
            ("shape(b).area())", "shape(b).area(), b.small())"),
        ],
    ),
    more("/promoted", Patched, &[("s.side < 9", "s.side > 9")]),
    // Now an interface asks for it, which looks into what the process has.
    more(
        "/promoted",
        Restarted("type `*main.box` changed"),
        &[(
            "shape(b).area(), b.small())",
            "shape(b).area())\n\tif s, ok := any(b).(interface{ small() bool }); ok {\n\t\tfmt.Fprint(w, s.small())\n\t}",
        )],
    ),
    // A type that has just got what it asks for.
    more(
        "/promoted",
        Restarted("`*main.cell`"),
        &[
            ("func step(c *cell)", "func (c *cell) small() bool { return c.n < 1 }\n\nfunc step(c *cell)"),
            ("if s, ok := any(b)", "if s, ok := any(&cell{7})"),
        ],
    ),
    // One that others can name.
    more(
        "/listed",
        Restarted("type `*main.cell` changed"),
        &[
            ("func step(c *cell)", "func (c *cell) Double() int { return 4 * c.n }\n\nfunc step(c *cell)"),
            ("(&cell{8}).double(200)", "(&cell{8}).Double()"),
        ],
    ),
    // One that was another for a while, and then what it was: the process's description leads to the first.
    more(
        "/listed",
        Patched,
        &[
            (
                "func step(c *cell)",
                "func (c *cell) label(n int) string { return \"one\" }\n\nfunc step(c *cell)",
            ),
            ("(&cell{8}).Double()", "(&cell{8}).label(1)"),
        ],
    ),
    more(
        "/unicoded",
        Restarted("variable `größe` begins with another value"),
        &[("größe   = zahl(3)", "größe   = zahl(4)")],
    ),
    more(
        "/listed",
        Patched,
        &[
            ("label(n int) string { return \"one\" }", "label(n int, s string) string { return s }"),
            ("(&cell{8}).label(1)", "(&cell{8}).label(1, \"two\")"),
        ],
    ),
    more(
        "/listed",
        Patched,
        &[
            ("label(n int, s string) string { return s }", "label(n int) string { return \"three\" }"),
            ("(&cell{8}).label(1, \"two\")", "(&cell{8}).label(1)"),
        ],
    ),
    more(
        "/listed",
        Restarted("type `*main.cell` changed"),
        &[("(&cell{8}).label(1)", "any(&cell{8}).(interface{ label(int) string }).label(1)")],
    ),
    // In another package, where only others can be seen to use it.
    price(
        Patched,
        &[(
            "func (t *Tag) Text() string { return round(t.Cents) }",
            "func (t *Tag) Text() string { return t.rounded() }\n\n\
             func (t *Tag) rounded() string { return round(t.Cents) + \".\" }",
        )],
    ),
    price(Patched, &[("+ \".\"", "+ \"!\"")]),
];
