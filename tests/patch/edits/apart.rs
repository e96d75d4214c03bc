//! Packages that depend on each other.

use super::Expected::{Patched, Restarted};
use super::{Edit, Expected, price};

type Changes = &'static [(&'static str, &'static str)];

const fn tax(path: &'static str, expected: Expected, change: Changes) -> Edit {
    Edit { file: "tax/tax.go", change, path, expected, also: None }
}

const fn both(path: &'static str, expected: Expected, kept: Changes, also: (&'static str, Changes)) -> Edit {
    Edit { file: "kept.go", change: kept, path, expected, also: Some(also) }
}

/// Edits of them.
pub const APART: &[Edit] = &[
    // A function that has a second symbol of its name, for code that is not Go's.
    tax("/taxes", Patched, &[("\" per cent\"", "\" percent\"")]),
    // A package comes to import another one, which changes then.
    price(
        Patched,
        &[
            ("import \"fmt\"", "import (\n\t\"fmt\"\n\n\t\"example.com/shop/tax\"\n)"),
            ("round(n*Default.Cents))", "round(n*Default.Cents+tax.Percent))"),
        ],
    ),
    tax("/prices", Patched, &[("Percent = 19", "Percent = 20")]),
    // New variables: of two packages, beside one that begins with another constant, and one that nobody reads.
    both(
        "/piled",
        Restarted("`init` has run already"),
        &[
            ("func nothing()", "var piles = price.Text() + \"s\"\n\nfunc nothing()"),
            ("price.Text())", "price.Text(), piles)"),
        ],
        (
            "price/price.go",
            &[
                (
                    "func Text() string { return \"pile\" }",
                    "func Text() string { return fmt.Sprint(len(heap)) }",
                ),
                ("var asked int", "var heap = map[string]int{\"heap\": 1}\n\nvar asked int"),
            ],
        ),
    ),
    both(
        "/taxes",
        Restarted("`init` has run already"),
        &[
            ("func nothing()", "var highest = map[string]int{\"to\": 100}\n\nfunc nothing()"),
            ("tax.Words(), lowest", "tax.Words(), lowest, len(highest)"),
        ],
        ("tax/tax.go", &[("Lowest = 7", "Lowest = 8")]),
    ),
    Edit {
        file: "kept.go",
        change: &[("func nothing()", "var unread = map[string]int{\"unread\": 1}\n\nfunc nothing()")],
        path: "/hello",
        expected: Restarted("has run already"),
        also: None,
    },
    // What has run and is gone.
    tax("/taxes", Restarted("`init.0` has run already"), &[("func init()", "func begin()")]),
    tax("/taxes", Restarted("`init` has run already"), &[("var since = year(2020)", "var since string")]),
    Edit {
        file: "kept.go",
        change: &[("\t_ \"example.com/shop/plug\"\n", "")],
        path: "/plug",
        expected: Restarted("`example.com/shop/plug`"),
        also: None,
    },
    // What has type parameters changes while another package comes to use it: a function, and a type.
    both(
        "/piled",
        Restarted("was removed before and is there again"),
        &[("price.Of(\"a\"), ", "")],
        (
            "price/price.go",
            &[
                ("\"pile of \"", "\"a pile of \""),
                (
                    "func Text() string { return fmt.Sprint(len(heap)) }",
                    "func Text() string { return Of(\"a\") }",
                ),
            ],
        ),
    ),
    both(
        "/piled",
        Restarted("type `example.com/shop/price.Pile["),
        &[("price.Text(), piles)", "price.Of(\"b\"), piles)")],
        (
            "price/price.go",
            &[
                ("space [2]int", "space [40]int"),
                (
                    "func Text() string { return Of(\"a\") }",
                    "func Text() string { return fmt.Sprint(len(heap)) }",
                ),
            ],
        ),
    ),
];
