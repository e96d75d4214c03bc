//! The edits: each says what it changes, where that shows, and how it has to reach the process.

mod apart;
mod kept;

use Expected::{Extended, Nothing, Patched, Restarted};

pub use apart::APART;
pub use kept::KEPT;

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

const fn reflected(expected: Expected, change: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { file: "reflected.go", change, path: "/reflected", expected, also: None }
}

const fn new(file: &'static str, expected: Expected, text: &'static [(&'static str, &'static str)]) -> Edit {
    Edit { file, change: text, path: "/hello", expected, also: None }
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

/// Files that come and go, and files that are embedded.
pub const FILES: &[Edit] = &[
    // What the linker is told, and what a constraint leaves out from now on.
    main(
        "/crash",
        Restarted("`main.go` changed"),
        &[("package main\n", "//go:debug panicnil=1\npackage main\n")],
    ),
    new("late.go", Restarted("has run already"), &[("", "package main\n\nfunc init() { limit = 9 }\n")]),
    Edit {
        file: "late.go",
        change: &[("package main", "//go:build !linux\n\npackage main")],
        path: "/numbers",
        expected: Restarted("has run already"),
        also: None,
    },
    main(
        "/paged",
        Patched,
        &[("fmt.Fprint(w, motto, string(page), err)", "fmt.Fprint(w, motto, len(page), err)")],
    ),
    // A file of functions that nobody calls yet, and their first call.
    new("extra.go", Nothing, &[("", "package main\n\nfunc extra() string { return \"extra\" }\n")]),
    main("/hello", Patched, &[("\"hello %s %s\", label(3)", "\"hello %s %s\", extra()")]),
    Edit {
        file: "extra.go",
        change: &[("\"extra\"", "\"more\"")],
        path: "/hello",
        expected: Patched,
        also: None,
    },
    // Files that are for other systems, by their constraint and by their name.
    new(
        "extra_other.go",
        Nothing,
        &[("", "//go:build !linux\n\npackage main\n\nfunc extra() string { return \"elsewhere\" }\n")],
    ),
    new(
        "extra_windows.go",
        Nothing,
        &[("", "package main\n\nfunc extra() string { return \"elsewhere\" }\n")],
    ),
    // What is in a file that goes is called no longer.
    main("/hello", Patched, &[("\"hello %s %s\", extra()", "\"hello %s %s\", label(2)")]),
    Edit {
        file: "extra.go",
        change: &[("package main\n\nfunc extra() string { return \"more\" }\n", "")],
        path: "/hello",
        expected: Nothing,
        also: None,
    },
    // What is embedded is what a variable begins with.
    Edit {
        file: "pages/motto.txt",
        change: &[("first come", "first served")],
        path: "/paged",
        expected: Restarted("variable `motto` begins with another value"),
        also: None,
    },
    new("pages/two.html", Restarted("variable `pages` begins with another value"), &[("", "<p>two</p>\n")]),
    main("/paged", Patched, &[("ReadFile(\"pages/one.html\")", "ReadFile(\"pages/two.html\")")]),
    main(
        "/paged",
        Patched,
        &[
            ("fmt.Fprint(w, motto, len(page)", "fmt.Fprint(w, motto, second, len(page)"),
            ("//go:embed pages\n", "//go:embed pages/two.html\nvar second string\n\n//go:embed pages\n"),
        ],
    ),
    // A package in another language than Go.
    new("price/note.s", Restarted("`note.s` changed"), &[("", "// Nothing.\n")]),
    // A workspace that the module becomes part of.
    Edit {
        file: "main.go",
        change: &[("hello %s %s", "hello in a workspace %s %s")],
        path: "/hello",
        expected: Restarted("`go.work` changed"),
        also: Some(("go.work", &[("", "go 1.22\n\nuse .\n")])),
    },
];

/// New variables that begin with what has to be computed.
pub const INITIAL: &[Edit] = &[
    main(
        "/kinds",
        Patched,
        &[
            ("kind(errors.New(\"no\"))", "kind(errSpare)"),
            ("const rate = 7", "var errSpare = errors.New(\"none\")\n\nconst rate = 7"),
        ],
    ),
    main("/kinds", Patched, &[("kind(errSpare)", "kind(fmt.Errorf(\"%w!\", errSpare))")]),
    // In a group, from what was there.
    main(
        "/numbers",
        Patched,
        &[
            ("\tlimit   = 3\n", "\tfirst = errors.New(\"one\")\n\tlimit   = 3\n"),
            ("sum(1, 2, 3), pick", "sum(1, 2, 3), first, pick"),
        ],
    ),
    main(
        "/hello",
        Patched,
        &[
            ("s.seen[r.URL.Path]++", "s.seen[r.URL.Path]++\n\tseenOnce[r.URL.Path] = true"),
            ("title)", "title+fmt.Sprint(len(seenOnce) > 0))"),
            ("const rate = 7", "var seenOnce = map[string]bool{}\n\nconst rate = 7"),
        ],
    ),
    main("/hello", Patched, &[("len(seenOnce) > 0", "len(seenOnce) > 1")]),
    // With a package that is imported for it, and in a package that had nothing to initialise.
    main(
        "/where",
        Extended,
        &[
            ("\"os\"\n", "\"os\"\n\t\"regexp\"\n"),
            ("const rate = 7", "var letters = regexp.MustCompile(\"[a-z]+\")\n\nconst rate = 7"),
            ("\"in \"", "letters.FindString(file), \" in \""),
        ],
    ),
    price(
        Patched,
        &[
            ("\"%d for %s\", n", "\"%d for %s%d\", n"),
            ("round(n*Default.Cents))", "round(n*Default.Cents), len(known))"),
            ("func round(", "var known = map[int]string{1: \"one\"}\n\nfunc round("),
        ],
    ),
    price(Patched, &[("\"%d for %s%d\", n", "\"%d for %s, %d\", n")]),
    // One that comes to the user's own code, those of which one needs another, and several in one declaration.
    main(
        "/numbers",
        Restarted("`init` has run already"),
        &[
            ("const rate = 7", "var taxes = taxed(2)\n\nconst rate = 7"),
            ("first, pick", "first, taxes, pick"),
        ],
    ),
    main(
        "/numbers",
        Restarted("`init` has run already"),
        &[
            (
                "const rate = 7",
                "var early = late + fmt.Sprint(1)\n\nvar late = fmt.Sprint(2)\n\nconst rate = 7",
            ),
            ("first, taxes, pick", "first, early, pick"),
        ],
    ),
    main(
        "/numbers",
        Restarted("`init` has run already"),
        &[
            ("const rate = 7", "var left, right = right + \"1\", fmt.Sprint(2)\n\nconst rate = 7"),
            ("first, early, pick", "first, left, pick"),
        ],
    ),
    // What cannot be told from the rest of the initialisation.
    main(
        "/where",
        Restarted("`init` has run already"),
        &[
            (
                "const rate = 7",
                "var digits = regexp.MustCompile(func() string { return \"[0-9]+\" }())\n\nconst rate = 7",
            ),
            ("letters.FindString(file)", "digits.FindString(file)"),
        ],
    ),
    main(
        "/numbers",
        Restarted("`init` has run already"),
        &[
            ("const rate = 7", "var fourth = fmt.Sprint(4)\n\nconst rate = 7"),
            ("errors.New(\"one\")", "errors.New(\"once\")"),
            ("first, left, pick", "first, fourth, pick"),
        ],
    ),
];

/// What the linker has left out of the process, since nothing came to it.
pub const LACKING: &[Edit] = &[
    main("/hello", Patched, &[("label(3), title", "label(3), title+fmt.Sprint(ranks[\"c\"])")]),
    main(
        "/kinds",
        Patched,
        &[(
            "fmt.Fprint(w, kind(square{1}), \", \",",
            "long, ok := any(square{1}).(interface{ perimeter() int })\n\tfmt.Fprint(w, ok, long.perimeter(), kind(square{1}), \", \",",
        )],
    ),
    // Functions of packages that the process has parts of.
    main(
        "/hello",
        Extended,
        &[(
            "func label(n int) string { return",
            "func label(n int) string { _, _ = fmt.Sscanln(\"7\", &n); return",
        )],
    ),
    main("/hello", Patched, &[("fmt.Sscanln(\"7\", &n)", "fmt.Sscanln(\"8\", &n)")]),
    main("/hello", Extended, &[("title+fmt", "strings.ToTitle(title)+fmt")]),
    // Functions of the runtime.
    main(
        "/numbers",
        Extended,
        &[("fact(4))", "fact(4), complex(float64(fact(4)), 1)/complex(2, float64(fact(2))))")],
    ),
    // Packages that it has nothing of, and what they do when they are loaded.
    main(
        "/numbers",
        Extended,
        &[
            ("\"bytes\"\n", "\"bytes\"\n\t\"container/ring\"\n"),
            ("fact(4), ", "fact(4), ring.New(3).Len(), "),
        ],
    ),
    main(
        "/globals",
        Extended,
        &[
            ("\"errors\"\n", "\"errors\"\n\t\"expvar\"\n"),
            (
                "visits.Store(r.URL.Path, true)",
                "visits.Store(r.URL.Path, true)\n\tvars := &http.Request{Method: \"GET\", URL: &url.URL{Path: \"/debug/vars\"}}\n\t_, pattern := http.DefaultServeMux.Handler(vars)\n\tdefer fmt.Fprint(w, pattern, expvar.Get(\"cmdline\") != nil)",
            ),
        ],
    ),
    main(
        "/globals",
        Patched,
        &[("fmt.Fprint(w, pattern, expvar", "fmt.Fprint(w, \"pattern \", pattern, expvar")],
    ),
];

const fn more(
    path: &'static str,
    expected: Expected,
    change: &'static [(&'static str, &'static str)],
) -> Edit {
    Edit { file: "more.go", change, path, expected, also: None }
}

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

/// Types that the process has made by itself.
pub const REFLECTED: &[Edit] = &[
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
        Restarted("`*main.cell` becomes `interface { main.small() bool }` where it never did"),
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
