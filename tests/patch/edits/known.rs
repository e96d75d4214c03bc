//! What programs know of their own code, and loops over functions.

use super::Expected::{Patched, Restarted};
use super::{Edit, main, more, price};

/// More ways in which code is entered, and what programs know of their own code.
pub const MORE: &[Edit] = &[
    // Names in other alphabets, names that hide others, and methods that only interfaces call.
    more("/unicoded", Patched, &[("bool { return int(z) > n }", "bool { return int(z) < n }")]),
    more("/unicoded", Patched, &[("\"größer \", g.größer(2)", "\"GRÖSSER \", g.größer(9)")]),
    more("/shadowed", Patched, &[("\"inner \", len(\"abc\")", "\"within \", len(\"abc\") + 1")]),
    more("/shadowed", Patched, &[("\"described \" + text", "\"told \" + text")]),
    // Values of methods that were made when the process started.
    more("/values", Patched, &[("\"server of \" + of", "\"a server of \" + of")]),
    more("/values", Patched, &[("\"a server of \" + of", "\"one more of \" + of + label(len(of)-3)")]),
    // Labels for profiles, positions in logs, in panics and in files that were generated.
    more("/labelled", Patched, &[("\"for\", \"labelled\"", "\"for\", \"patched\"")]),
    more("/labelled", Patched, &[("\"label \", value", "\"label is \", value")]),
    more("/shortly", Patched, &[("short.Print(\"shortly\")", "short.Print(\"briefly\")")]),
    more(
        "/panicky",
        Patched,
        &[("{ panic(how) }", "{\n\t// Three lines further down.\n\n\tpanic(how + \"!\")\n}")],
    ),
    Edit {
        file: "parsed.go",
        change: &[("\"parsed at %s:%d\"", "\"is parsed at %s:%d\"")],
        path: "/parsed",
        expected: Patched,
        also: None,
    },
    Edit {
        file: "parsed.go",
        change: &[("//line grammar.y:70", "//line grammar.y:170"), ("\"is parsed at", "\"was parsed at")],
        path: "/parsed",
        expected: Patched,
        also: None,
    },
    // Named results that a deferred closure changes, and methods of embedded types.
    more("/results", Patched, &[("\"failed: \" + err.Error()", "\"has failed: \" + err.Error()")]),
    more(
        "/results",
        Patched,
        &[("err = errors.New(\"too much\")", "err = errors.New(fmt.Sprint(n, \" is too much\"))")],
    ),
    main("/promoted", Patched, &[("{ return s.side * s.side }", "{ return s.side * s.side * 2 }")]),
    more("/promoted", Patched, &[("b.name, \" of \"", "b.name, \" has \"")]),
    // A type that becomes an interface only while the program runs.
    more("/compared", Patched, &[("any(zahl(2)) == any(zahl(2)), ok", "any(zahl(2)) == any(zahl(3)), ok")]),
    more(
        "/compared",
        Patched,
        &[
            ("\"two\": \"two\"}", "\"two\": \"two\", 3: \"three\"}"),
            ("keys[any(zahl(1))]", "keys[any(zahl(1))], keys[3]"),
        ],
    ),
    more("/listed", Patched, &[("\"list of %d\", len(l.items)", "\"list with %d\", len(l.items)")]),
    more("/listed", Patched, &[("l.items = append(l.items, item)", "l.items = append(l.items, item, item)")]),
    more(
        "/listed",
        Patched,
        &[("words.add(\"a\").text()", "words.add(\"a\").text(), (&list[float64]{}).add(1.5).text()")],
    ),
    more(
        "/stored",
        Patched,
        &[("level.Store(\"high\")", "level.Store(\"low\")"), ("time.Kitchen", "time.DateOnly")],
    ),
    // A signature whose callers are in two packages, saved together; then what is behind it.
    Edit {
        file: "price/price.go",
        change: &[(
            "func Sum(one, other int) string { return round(one + other) }",
            "func Sum(all ...int) (text string) {\n\tfor _, one := range all {\n\t\ttext += round(one) + \" \"\n\t}\n\treturn text\n}\n\n// Pair is what a pair comes to.\nfunc Pair() string { return Sum(3, 4) }",
        )],
        path: "/total",
        expected: Patched,
        also: Some(("more.go", &[("price.Sum(1, 2)", "price.Sum(1, 2, 3), price.Pair()")])),
    },
    price(Patched, &[("text += round(one) + \" \"", "text += round(one) + \", \"")]),
    more("/total", Patched, &[("price.Sum(1, 2, 3)", "price.Sum(4)")]),
    // Two packages at once, of which neither knows the other's change.
    Edit {
        file: "price/price.go",
        change: &[("{ return Sum(3, 4) }", "{ return Sum(5, 6) }")],
        path: "/total",
        expected: Patched,
        also: Some(("more.go", &[("\"total \"", "\"in total \"")])),
    },
    // A parameter more, while the only caller is in the other package and does not compile without.
    Edit {
        file: "price/price.go",
        change: &[(
            "func Pair() string { return Sum(5, 6) }",
            "func Pair(one int) string { return Sum(one, 6) }",
        )],
        path: "/total",
        expected: Patched,
        also: Some(("more.go", &[("price.Pair()", "price.Pair(8)")])),
    },
    // Something in its frame only: arguments of `defer` and `go`, and the bodies of loops over functions.
    main("/cleaned", Patched, &[("defer closing(w, \"end\")", "defer closing(w, fmt.Sprint(\"end\", 1))")]),
    // What a function keeps of what it is passed: a caller that is still running has it in its frame.
    more(
        "/keeping",
        Patched,
        &[(
            "func step(c *cell) { c.n++ }",
            "func step(c *cell) {\n\tcells.Lock()\n\tdefer cells.Unlock()\n\tif kept = append(kept, c); len(kept) > 9 {\n\t\tkept = kept[1:]\n\t}\n}",
        )],
    ),
    more(
        "/keeping",
        Patched,
        &[("func (s *server) step(c *cell) { c.n += 2 }", "func (s *server) step(c *cell) { c.n += 3 }")],
    ),
    more(
        "/keeping",
        Restarted("`(*server).step` keeps, writes or calls another parameter than before"),
        &[
            ("func (s *server) step(c *cell) { c.n += 3 }", "func (s *server) step(c *cell) { step(c) }"),
            ("len(known) == len(kept))", "len(known) == len(kept), fmt.Sprintf(\"%T\", (*server).step))"),
        ],
    ),
    // A type gets a method, and an interface one more.
    more(
        "/listed",
        Restarted("type `*main.list["),
        &[
            (
                "func (l *list[T]) text()",
                "func (l *list[T]) size() int { return len(l.items) }\n\nfunc (l *list[T]) text()",
            ),
            ("numbers.add(1).add(2).text()", "numbers.add(1).add(2).size()"),
        ],
    ),
    more(
        "/unicoded",
        Restarted("type `main.größer`"),
        &[
            ("{ größer(n int) bool }", "{ größer(n int) bool; kleiner(n int) bool }"),
            ("type box struct", "func (z zahl) kleiner(n int) bool { return int(z) < n }\n\ntype box struct"),
        ],
    ),
];

/// Loops over functions, which Go has from 1.23 on.
pub const OVER: &[Edit] = &[
    Edit {
        file: "over.go",
        change: &[("\"over \", i", "\"done \", i")],
        path: "/over",
        expected: Patched,
        also: None,
    },
    Edit {
        file: "over.go",
        change: &[("\" deferred \", i", "\" later \", i+1")],
        path: "/over",
        expected: Patched,
        also: None,
    },
    Edit {
        file: "over.go",
        change: &[("if i == 2", "if i == 1")],
        path: "/over",
        expected: Patched,
        also: None,
    },
    main(
        "/over",
        Patched,
        &[("for i := 0; i < 3; i++ {\n\t\tif !yield(i)", "for i := 0; i < 3; i++ {\n\t\tif !yield(i * 2)")],
    ),
];
