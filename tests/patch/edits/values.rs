//! What code needs that the process has not got: values of new variables, and what its linker left out.

use super::Expected::{Extended, Patched, Restarted};
use super::{Edit, main, price};

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
    // From what the compiler keeps as constants.
    main(
        "/numbers",
        Patched,
        &[
            ("sum(1, 2, 3), first, pick", "sum(1, 2, 3), spelt, first, pick"),
            ("const rate = 7", "var spelt = fmt.Sprint(\"spelt\", 300, 1.5, \"!\")\n\nconst rate = 7"),
        ],
    ),
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
