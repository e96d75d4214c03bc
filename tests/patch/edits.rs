//! The edits: each says what it changes, where that shows, and how it has to reach the process.

mod apart;
mod files;
mod kept;
mod known;
mod sequences;
mod types;
mod values;

use Expected::{Nothing, Patched, Restarted};

pub use apart::APART;
pub use files::FILES;
pub use kept::KEPT;
pub use known::{MORE, OVER};
pub use sequences::SEQUENCES;
pub use types::{METHODS, REFLECTED};
pub use values::{INITIAL, LACKING};

/// A save of one file.
#[derive(Debug)]
pub struct Edit {
    /// The file, below the service's directory.
    pub file: &'static str,
    /// Texts that are replaced where they stand first.
    pub change: &'static [(&'static str, &'static str)],
    /// What to ask the service for.
    pub path: &'static str,
    /// How it reaches the process.
    pub expected: Expected,
    /// What is saved at the same time: a file, and what changes in it.
    pub also: Option<(&'static str, &'static [(&'static str, &'static str)])>,
}

/// How a save has to reach the process.
#[derive(Debug)]
pub enum Expected {
    /// It stays, and runs the new code.
    Patched,
    /// The same, and what the process lacked for that came with it.
    Extended,
    /// There is another one; the reason holds this.
    Restarted(&'static str),
    /// Nothing happens, and nothing needs to.
    Nothing,
}

const fn main(
    path: &'static str,
    expected: Expected,
    change: &'static [(&'static str, &'static str)],
) -> Edit {
    Edit { file: "main.go", change, path, expected, also: None }
}

const fn price(expected: Expected, change: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { file: "price/price.go", change, path: "/prices", expected, also: None }
}

/// One rule after the other, on both sides of its border.
pub const EDITS: &[Edit] = &[
    // Bodies, by every way in which they are entered.
    main("/hello", Patched, &[("\"hello %s %s\"", "\"hi %s %s\"")]),
    main("/hello", Patched, &[("strings.Repeat(\"x\", n)", "strings.Repeat(\"y\", n)")]),
    main("/greet", Patched, &[("\"%s, guest %t\"", "\"%s guest, %t\"")]),
    main("/greet", Patched, &[("\"X-Logged\", \"yes\"", "\"X-Logged\", \"no\"")]),
    main("/crash", Patched, &[("\"recovered: %v\"", "\"caught: %v\"")]),
    main("/crash", Patched, &[("m[\"x\"] = 1", "_ = []int{}[len(m)]")]),
    main("/cleaned", Patched, &[("\"(%s)\"", "\"[%s]\"")]),
    main("/cleaned", Patched, &[("closing(w, \"end\")", "closing(w, \"the end\")")]),
    main("/sorted", Patched, &[("turn*numbers[i] < turn*numbers[j]", "turn*numbers[i] > turn*numbers[j]")]),
    main("/area", Patched, &[("{ return s.side * s.side }", "{ return s.side * s.side * 10 }")]),
    main("/area", Patched, &[("\"area %d %T\"", "\"all %d %T\"")]),
    main("/kinds", Patched, &[("\"other %v\"", "\"else %v\"")]),
    main("/numbers", Patched, &[("return items[at%len(items)]", "return items[(at+1)%len(items)]")]),
    main(
        "/numbers",
        Restarted("has a loop that begins with its first bytes"),
        &[("total += n\n", "total += 2 * n\n")],
    ),
    main("/numbers", Patched, &[("return n * fact(n-1)", "return n + fact(n-1)")]),
    main("/ranged", Patched, &[("text += fmt.Sprint(i)", "text += fmt.Sprint(i * 2)")]),
    main("/globals", Patched, &[("\"%t %v %s %t\"", "\"%t, %v, %s, %t\"")]),
    main("/where", Patched, &[("\"in \"", "\"here: \"")]),
    main("/acted", Patched, &[("strings.Repeat(\"!\", n)", "strings.Repeat(\"?\", n)")]),
    main("/beating", Patched, &[("beats.Add(1)", "beats.Add(2)")]),
    price(Patched, &[("\"%d for %s\"", "\"%d at %s\"")]),
    price(Patched, &[("\"%d.%02d\"", "\"%d,%02d\"")]),
    price(Patched, &[("{ return round(t.Cents) }", "{ return \"EUR \" + round(t.Cents) }")]),
    // A constant, and what is new.
    main("/numbers", Patched, &[("const rate = 7", "const rate = 8")]),
    main(
        "/hello",
        Patched,
        &[(
            "func label(n int) string { return strings.Repeat(\"y\", n) }",
            "func label(n int) string { return padded(n) }\n\nfunc padded(n int) string { return strings.Repeat(\"-\", n) }",
        )],
    ),
    main(
        "/hello",
        Patched,
        &[("{ return strings.Repeat(\"-\", n) }", "{ return strings.Repeat(\"+\", n) }")],
    ),
    main(
        "/kinds",
        Patched,
        &[
            ("return fmt.Sprintf(\"else %v\", value)", "return fmt.Sprintf(\"else %v\", triple{1, 2, 3})"),
            ("type point struct", "type triple struct{ a, b, c int }\n\ntype point struct"),
        ],
    ),
    main(
        "/hello",
        Patched,
        &[
            (
                "fmt.Fprintf(w, \"hi %s %s\", label(3), title)",
                "greetings++\n\tfmt.Fprintf(w, \"hi %s %s %t\", label(3), title, greetings > 0)",
            ),
            ("const rate", "var greetings int\n\nconst rate"),
        ],
    ),
    main("/hello", Patched, &[("greetings > 0", "greetings > -1")]),
    // What the process has not got, since nothing has called it so far, and what a dependency makes of its own.
    main("/hello", Patched, &[("label(3), title, greetings", "label(3)+spare(2), title, greetings")]),
    main(
        "/numbers",
        Patched,
        &[
            ("\"runtime\"\n", "\"runtime\"\n\t\"slices\"\n"),
            ("taxed(2), sum", "taxed(2), slices.Max([]int{1, 9, 3}), sum"),
        ],
    ),
    // Signatures.
    main(
        "/hello",
        Patched,
        &[
            (
                "func label(n int) string { return padded(n) }",
                "func label(n int, end string) string { return padded(n) + end }",
            ),
            ("label(3)", "label(3, \".\")"),
        ],
    ),
    main(
        "/hello",
        Patched,
        &[
            ("func label(n int, end string) string", "func label(end string, n int) string"),
            ("label(3, \".\")", "label(\";\", 3)"),
        ],
    ),
    // What looks different and is not.
    main("/hello", Nothing, &[("// Command shop keeps", "// Command shop always keeps")]),
    main("/hello", Nothing, &[("func padded(n int)", "func padded( n int )")]),
    // Types.
    main(
        "/kinds",
        Restarted("type `main.point` changed"),
        &[
            ("type point struct{ x, y int }", "type point struct{ x, y, z int }"),
            ("point{1, 2}", "point{1, 2, 3}"),
        ],
    ),
    main(
        "/kinds",
        Restarted("type `main.triple` changed"),
        &[("type triple struct{ a, b, c int }", "type triple struct{ a, b, c int64 }")],
    ),
    main(
        "/hello",
        Restarted("type `main.server` changed"),
        &[("seen map[string]int\n}", "seen map[string]int\n\tlast string\n}")],
    ),
    main(
        "/area",
        Restarted("changed"),
        &[
            ("func label(", "func (s square) name() string { return \"square\" }\n\nfunc label("),
            ("\"all %d %T\", total", "\"all %d %T %s\", total"),
            ("shapes[0])", "shapes[0], square{1}.name())"),
        ],
    ),
    // Variables.
    main(
        "/numbers",
        Restarted("variable `limit` begins with another value"),
        &[("limit   = 3", "limit   = 4")],
    ),
    main("/hello", Restarted("variable `title`"), &[("title   = \"shop\"", "title   = []string{\"shop\"}")]),
    main(
        "/globals",
        Restarted("variable `client`"),
        &[("Timeout: time.Second}", "Timeout: 2 * time.Second}")],
    ),
    main(
        "/globals",
        Restarted("`init` has run already"),
        &[("time.Now()\n", "time.Now().Add(-time.Second)\n")],
    ),
    // What has run for the last time.
    main(
        "/hello",
        Restarted("`main` has run already"),
        &[(
            "mux := http.NewServeMux()\n",
            "mux := http.NewServeMux()\n\tmux.HandleFunc(\"/more\", srv.hello)\n",
        )],
    ),
    main(
        "/more",
        Restarted("`routes` is called by `main` only"),
        &[(
            "mux.HandleFunc(\"/hello\", srv.hello)",
            "mux.HandleFunc(\"/hello\", srv.hello)\n\tmux.HandleFunc(\"/again\", srv.hello)",
        )],
    ),
    main("/hello", Restarted("init"), &[("func main() {", "func init() { limit++ }\n\nfunc main() {")]),
    // Closures.
    main(
        "/greet",
        Restarted("`greet` is called by `routes` only"),
        &[(
            "fmt.Fprintf(w, \"%s guest, %t\", prefix, count > 0)",
            "fmt.Fprintf(w, \"guest, %t\", count > 0)",
        )],
    ),
    main(
        "/greet",
        Restarted("came, went or moved"),
        &[(
            "count := 0\n\tvar mu sync.Mutex\n",
            "count := 0\n\tvar mu sync.Mutex\n\tif prefix == \"\" {\n\t\treturn func(w http.ResponseWriter, r *http.Request) {}\n\t}\n",
        )],
    ),
    main(
        "/sorted",
        Patched,
        &[
            ("numbers, turn := []int{3, 1, 2}, 1", "numbers, turn, more := []int{3, 1, 2}, 1, 2"),
            ("turn*numbers[i] > turn*numbers[j]", "turn*numbers[i] < more*numbers[j]"),
        ],
    ),
    // Two that somebody may have kept: the second may be what was the third.
    main(
        "/acted",
        Restarted("`init` has run already"),
        &[
            (
                "func shout(n int)",
                "func made() (one, two func() string) {\n\tone = func() string { return \"1\" }\n\ttwo = func() string { return \"2\" }\n\treturn one, two\n}\n\nvar firsts, seconds = made()\n\nfunc shout(n int)",
            ),
            ("actions[\"shout\"](3), \" \"", "actions[\"shout\"](3), firsts(), seconds()"),
        ],
    ),
    main(
        "/acted",
        Restarted("closures in `made` came, went or moved"),
        &[("return \"1\"", "return \"one\""), ("return \"2\"", "return \"two\"")],
    ),
    main("/acted", Patched, &[("return \"two\"", "return \"2nd\"")]),
    // What is gone, and what the process does not contain.
    main(
        "/acted",
        Restarted("`shout` is gone"),
        &[("func shout(n int) string", "func shouted(n int) string"), ("= shout\n", "= shouted\n")],
    ),
    main(
        "/hello",
        Restarted("`encoding/csv` is imported"),
        &[
            ("\"errors\"\n", "\"encoding/csv\"\n\t\"errors\"\n"),
            ("func shouted(", "var _ = csv.ErrQuote\n\nfunc shouted("),
        ],
    ),
    main(
        "/kinds",
        Restarted("becomes"),
        &[(
            "fmt.Fprint(w, kind(square{1}), \", \",",
            "var told fmt.Stringer = base.User\n\tfmt.Fprint(w, told != nil, kind(square{1}), \", \",",
        )],
    ),
    // A dependant whose code is what it was.
    Edit {
        file: "price/price.go",
        change: &[("type Tag struct{ Cents int }", "type Tag struct{ Cents, Tax int }")],
        path: "/prices",
        expected: Restarted("type `"),
        also: None,
    },
];

const fn more(
    path: &'static str,
    expected: Expected,
    change: &'static [(&'static str, &'static str)],
) -> Edit {
    Edit { file: "more.go", change, path, expected, also: None }
}
