//! Edits that follow each other.

use super::Expected::Patched;
use super::{Edit, main, price};

/// Edits that only mean something after others.
pub const SEQUENCES: &[Edit] = &[
    // New, then changed, then changed by who calls it only.
    main(
        "/hello",
        Patched,
        &[(
            "func label(n int) string { return strings.Repeat(\"x\", n) }",
            "func label(n int) string { return one(n) }\n\nfunc one(n int) string { return two(n) }\n\nfunc two(n int) string { return strings.Repeat(\"2\", n) }",
        )],
    ),
    main("/hello", Patched, &[("strings.Repeat(\"2\", n)", "strings.Repeat(\"3\", n)")]),
    main("/hello", Patched, &[("{ return two(n) }", "{ return \"<\" + two(n) }")]),
    main("/hello", Patched, &[("strings.Repeat(\"3\", n)", "strings.Repeat(\"4\", n)")]),
    main("/hello", Patched, &[("\"hello %s %s\"", "\"hello, %s %s\"")]),
    // A signature, and then the body behind it.
    main(
        "/hello",
        Patched,
        &[
            (
                "func one(n int) string { return \"<\" + two(n) }",
                "func one(n int, by string) string { return by + two(n) }",
            ),
            ("{ return one(n) }", "{ return one(n, \"(\") }"),
        ],
    ),
    main("/hello", Patched, &[("{ return by + two(n) }", "{ return by + \" \" + two(n) }")]),
    main("/hello", Patched, &[("strings.Repeat(\"4\", n)", "strings.Repeat(\"5\", n)")]),
    // There and back again.
    main("/hello", Patched, &[("\"hello, %s %s\"", "\"hello %s %s\"")]),
    main("/hello", Patched, &[("\"hello %s %s\"", "\"hello; %s %s\"")]),
    // A variable that is new, written by one generation and read by another.
    main(
        "/hello",
        Patched,
        &[
            ("s.hits++\n\ts.seen", "s.hits++\n\tcalls++\n\ts.seen"),
            ("const rate", "var calls int\n\nconst rate"),
        ],
    ),
    main("/numbers", Patched, &[("sum(1, 2, 3), pick", "sum(1, 2, 3), calls >= 0, pick")]),
    // Deferred calls of changed functions, with arguments.
    main("/cleaned", Patched, &[("defer closing(w, \"end\")", "defer closing(w, \"END\")")]),
    main("/cleaned", Patched, &[("\"(%s)\"", "\"{%s}\"")]),
    main(
        "/cleaned",
        Patched,
        &[(
            "defer closing(w, \"END\")\n\tfmt.Fprint(w, \"begin \")",
            "for i := range 2 {\n\t\tdefer closing(w, fmt.Sprint(i))\n\t}\n\tfmt.Fprint(w, \"begin \")",
        )],
    ),
    // Two packages at once, one file each.
    price(
        Patched,
        &[("func Describe(n int) string {\n\tasked++", "func Describe(n int) string {\n\tasked += 2")],
    ),
    price(
        Patched,
        &[
            (
                "return fmt.Sprintf(\"%d for %s\", n, round(n*Default.Cents))",
                "return fmt.Sprintf(\"%d for %s %t\", n, round(n*Default.Cents), Known())",
            ),
            (
                "func round(",
                "// Known says whether anybody has asked.\nfunc Known() bool { return asked > 0 }\n\nfunc round(",
            ),
        ],
    ),
    main("/prices", Patched, &[("price.Describe(2), \" \",", "price.Describe(2), price.Known(), \" \",")]),
    price(Patched, &[("return asked > 0", "return asked > 1")]),
    // A dependant in another package changes with what it calls.
    price(
        Patched,
        &[(
            "func (t *Tag) Text() string { return round(t.Cents) }",
            "func (t *Tag) Text() string { return round(t.Cents) + \"!\" }",
        )],
    ),
    // Instances of generic functions.
    main("/numbers", Patched, &[("pick([]int{4, 5}, 1)", "pick([]int{4, 5}, 1), pick([]float64{1.5}, 0)")]),
    main(
        "/numbers",
        Patched,
        &[("return items[at%len(items)]", "return items[(at+len(items)-1)%len(items)]")],
    ),
];
