//! Verdicts on programs of a few lines, as the real compiler compiles them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::*;
use crate::go::export::{self, Asked, Own, Program, Said};
use crate::patch::compile::{NAMED, Order, Tools};
use crate::patch::object::Object;
use crate::patch::sources::Inputs;
use crate::patch::tool;

/// The standard library's packages that the programs import.
const IMPORTED: [&str; 5] = ["fmt", "net/http", "sort", "strings", "sync"];

fn run(command: &mut std::process::Command) -> std::io::Result<Said> {
    tool::Running::default().run(command)
}

fn go_env(name: &str) -> String {
    let output = std::process::Command::new("go").args(["env", name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The compiler and what it has compiled of the standard library, the same for all tests.
fn toolchain() -> &'static (Tools, Program) {
    static TOOLCHAIN: OnceLock<(Tools, Program)> = OnceLock::new();
    TOOLCHAIN.get_or_init(|| {
        let tools = Tools { dir: go_env("GOTOOLDIR").into(), version: go_env("GOVERSION"), threads: 1 };
        let mut program = Program::default();
        for package in IMPORTED {
            let flags = [format!("-gcflags=all={NAMED}")];
            let asked = Asked { dir: Path::new("/"), env: &BTreeMap::new(), package, run: &run };
            let compiled = export::compiled(asked, &flags).unwrap();
            program.packages.extend(compiled.packages);
        }
        (tools, program)
    })
}

/// The outline of a program whose only package is `source`, with imports for what it uses.
fn outline(source: &str) -> Outline {
    spoken(source, "1.22")
}

/// The same, in a version of the language.
fn spoken(source: &str, language: &str) -> Outline {
    let used = |package: &&&str| source.contains(&format!("{}.", package.rsplit('/').next().unwrap()));
    let imports: String =
        IMPORTED.iter().filter(used).map(|package| format!("import {package:?}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.go"), format!("package main\n{imports}{source}\n")).unwrap();
    let own = Own { dir: dir.path().to_owned(), language: language.to_owned(), ..Own::default() };
    let inputs = Inputs { files: vec!["main.go".to_owned()], ..Inputs::default() };
    let (own, inputs, into) = (&own, &inputs, dir.path());
    let order = Order { path: "main", own, inputs, agent: None, keep: None, flags: &[], into, run: &run };
    let (tools, program) = toolchain();
    let compiled =
        tools.compile(&order, program, &|_| None).unwrap_or_else(|error| panic!("{error}\n{source}"));
    Outline::of(&Object::parse(fs::read(compiled.archive).unwrap()).unwrap(), &compiled.captures)
}

#[test]
fn another_language_does_not_come_out_the_same() {
    let source = "func main() { for i := 0; i < 3; i++ { defer func() { println(i) }() } }";
    let [one, alike, newer] = ["1.20", "1.21", "1.22"].map(|language| spoken(source, language));
    assert_eq!(one.unlike(&alike), None);
    assert_eq!(one.unlike(&newer), Some("main.main"));
}

/// A process that was started from one package.
struct Process(BTreeSet<String>);

impl Contents for Process {
    fn has(&self, symbol: &str) -> bool {
        self.0.contains(symbol)
    }

    fn has_package(&self, path: &str) -> bool {
        path != "sort"
    }

    fn is_imported_elsewhere(&self, _: &str) -> bool {
        true
    }
}

fn started(outline: &Outline) -> (Running, Process) {
    let types = outline.types.keys().map(|name| format!("type:{name}"));
    let itabs = outline.itabs.iter().map(|pair| format!("go:itab.{pair}"));
    let contents = outline.functions.keys().cloned().chain(types).chain(itabs).collect();
    (Running::new([("main".to_owned(), outline.clone())].into()), Process(contents))
}

fn decide(before: &str, after: &str) -> Verdict {
    let (running, process) = started(&outline(before));
    running.decide(&[("main".to_owned(), outline(after))].into(), &process, &Known::default())
}

/// What a verdict says, in one line: the switched functions, then those that only new code calls.
fn told(verdict: Verdict) -> String {
    let names = |names: BTreeSet<String>| {
        names.iter().map(|name| name.trim_start_matches("main.")).collect::<Vec<_>>().join(" ")
    };
    match verdict {
        Verdict::Nothing => "nothing".to_owned(),
        Verdict::Patch(Change { switched, bound }) => format!("{} | {}", names(switched), names(bound)),
        Verdict::Restart(reason) => format!("restart: {reason}"),
    }
}

/// A server that keeps what it is given, and functions that are called later.
const SERVER: &str = "
type server struct { hits int; names []string }
func (s *server) hello(w http.ResponseWriter, r *http.Request) { s.hits++; fmt.Fprintf(w, \"hello %d %s\", s.hits, label(s.hits)) }
func label(n int) string { return strings.Repeat(\"x\", n) }
func greet(prefix string) http.HandlerFunc {
	count := 0
	return func(w http.ResponseWriter, r *http.Request) { count++; fmt.Fprintf(w, \"%s %d\", prefix, count) }
}
var limit = 3
func routes(mux *http.ServeMux, s *server) { mux.HandleFunc(\"/\", s.hello); mux.HandleFunc(\"/greet\", greet(\"dear\")) }
func main() { mux := http.NewServeMux(); s := &server{}; routes(mux, s); fmt.Println(http.ListenAndServe(\":0\", mux), limit) }
";

#[test]
fn what_a_change_leads_to() {
    if !crate::patch::tests::is_possible() {
        return;
    }
    let table: &[(&str, &str, &str)] = &[
        ("// nothing", "// something", "nothing"),
        ("\"hello %d %s\"", "\"hi %d %s\"", "(*server).hello | "),
        ("strings.Repeat(\"x\", n)", "strings.Repeat(\"y\", n)", "label | "),
        ("count++; ", "count += 2; ", "greet.func1 | "),
        (
            "func label(n int) string { return strings.Repeat(\"x\", n) }",
            "func label(n int) string { return pad(n) }\nfunc pad(n int) string { return strings.Repeat(\"z\", n) }",
            "label | pad",
        ),
        ("names []string", "names []string; more int", "restart: type `main.server` changed"),
        // A method that nobody can ask a value for, and one that anybody can.
        (
            "return strings.Repeat(\"x\", n) }",
            "return new(server).pad(n) }\nfunc (s *server) pad(n int) string { return strings.Repeat(\"z\", n) }",
            "label | (*server).pad",
        ),
        (
            "return strings.Repeat(\"x\", n) }",
            "return new(server).Pad(n) }\nfunc (s *server) Pad(n int) string { return strings.Repeat(\"z\", n) }",
            "restart: type `*main.server` changed",
        ),
        (
            "return strings.Repeat(\"x\", n) }",
            "_, ok := any(n).(interface{ pad() }); return fmt.Sprint(ok) }\nfunc (s server) pad() {}",
            "restart: type `*main.server` changed",
        ),
        ("var limit = 3", "var limit = 4", "restart: variable `limit` begins with another value"),
        (
            "var limit = 3",
            "var limit = 3.5",
            "restart: variable `limit` changed its type from `int` to `float64`",
        ),
        (
            "mux.HandleFunc(\"/\", s.hello);",
            "mux.HandleFunc(\"/hi\", s.hello);",
            "restart: `routes` is called by `main` only, it would not run again",
        ),
        (
            "routes(mux, s); fmt",
            "routes(mux, s); println(1); fmt",
            "restart: `main` has run already and would not run again",
        ),
        (
            "var limit = 3",
            "var limit = 3\nfunc init() { limit = 5 }",
            "restart: `init.0` has run already and would not run again",
        ),
    ];
    for (from, to, expected) in table {
        let before = format!("{SERVER}// nothing\n");
        assert!(before.contains(from), "{from}");
        assert_eq!(told(decide(&before, &before.replacen(from, to, 1))), *expected, "{from} -> {to}");
    }
}

/// Methods that only `main` calls, and some that others do.
const METHODS: &str = "
type app struct { mux *http.ServeMux; prefix string }
func (a *app) routes() { a.mux.HandleFunc(a.path(), a.hello) }
func (a *app) path() string { return \"/\" + a.prefix }
func (a *app) hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, a, a.name()) }
func (a *app) name() string { return \"app\" }
func (a *app) String() string { return spelt(\"shown\") }
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }
func spelt(text string) string { return text + \".\" }
type outer struct { *app }
type value struct { n int }
func (v value) first() int { return v.n + 1 }
func main() {
	a := outer{&app{http.NewServeMux(), \"hello\"}}
	a.routes()
	fmt.Println(value{1}.first(), spelt(a.name()), any(value{2}), any(&value{3}), any(a))
	fmt.Println(http.ListenAndServe(\":0\", a.app))
}
";

#[test]
fn methods_that_have_run_for_the_last_time() {
    if !crate::patch::tests::is_possible() {
        return;
    }
    let once =
        |name: &str, by: &str| format!("restart: `{name}` is called by `{by}` only, it would not run again");
    let table = [
        (
            "HandleFunc(a.path(), a.hello)",
            "HandleFunc(a.path() + \"/\", a.hello)",
            once("(*app).routes", "main"),
        ),
        ("\"/\" + a.prefix", "\"/\" + a.prefix + \"/\"", once("(*app).path", "(*app).routes")),
        ("return v.n + 1", "return v.n + 2", once("value.first", "main")),
        ("return \"app\"", "return \"one\"", "(*app).name | ".to_owned()),
        ("fmt.Fprint(w, a, a.name())", "fmt.Fprint(w, a)", "(*app).hello | ".to_owned()),
        ("spelt(\"shown\")", "spelt(\"seen\")", "(*app).String | ".to_owned()),
        ("text + \".\"", "text + \"!\"", "spelt | ".to_owned()),
        (
            "{ a.mux.ServeHTTP(w, r) }",
            "{ a.mux.ServeHTTP(w, r); println() }",
            "(*app).ServeHTTP | ".to_owned(),
        ),
    ];
    for (from, to, expected) in table {
        assert!(METHODS.contains(from), "{from}");
        assert_eq!(told(decide(METHODS, &METHODS.replacen(from, to, 1))), expected, "{from} -> {to}");
    }
}

#[test]
fn closures_that_were_made_earlier() {
    if !crate::patch::tests::is_possible() {
        return;
    }
    let table: &[(&str, &str, &str)] = &[
        // Kept by somebody: what it captures must stay.
        (
            "func f() func() int { x, y := 1, 2; _ = y; return func() int { return x } }",
            "func f() func() int { x, y := 1, 2; return func() int { return x + y } }",
            "restart: the closure `f.func1` captures other variables; those made earlier hold the old ones",
        ),
        (
            "func f() func() int { x, y := g(), g(); _ = y; return func() int { return x } }",
            "func f() func() int { x, y := g(), g(); _ = x; return func() int { return y } }",
            "restart: the closure `f.func1` captures other variables; those made earlier hold the old ones",
        ),
        (
            "func f() func() int { x := g(); return func() int { return x } }",
            "func f() func() int { x := g(); return func() int { x++; return x } }",
            "restart: the closure `f.func1` captures other variables; those made earlier hold the old ones",
        ),
        (
            "func f() func() int { x := g(); return func() int { return x } }",
            "func f() func() int { x := g(); return func() int { return x + 1 } }",
            "f.func1 | ",
        ),
        // Used by the call that it was made for, and by nobody else.
        (
            "func f() func() int { y := g(); each(func(i int) bool { return i > 1 }); _ = y; return nil }",
            "func f() func() int { y := g(); each(func(i int) bool { return i > y }); return nil }",
            "restart: the closure `f.func1` captures other variables; those made earlier hold the old ones",
        ),
        (
            "func f() func() int { y, z := g(), g(); each(func(i int) bool { return i > y }); _ = z; return nil }",
            "func f() func() int { y, z := g(), g(); each(func(i int) bool { return i > y + z }); return nil }",
            "f | f.func1",
        ),
        // Another closure before: the numbers move.
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { each(func(int) bool { return true }); return func() int { return 1 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { each(func(int) bool { return false }); return func() int { return 2 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { each(func(i int) bool { return i > 1 }); each(func(i int) bool { return i > 2 }); return nil }",
            "func f() func() int { each(func(i int) bool { return i > 2 }); each(func(i int) bool { return i > 1 }); return nil }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { defer each(func(int) bool { return false }); return func() int { return 1 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { if g() > 5 { return func() int { return 3 } }; return func() int { return 1 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { h := func() int { return 1 }\n if g() > 5 { return func() int { return 3 } }; return h }",
            "f | f.func2",
        ),
        (
            "func f() func() int { return func() int { return 1 } }",
            "func f() func() int { h := func() int { return 1 }\n if g() > 5 { return h }; return func() int { return 1 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
        (
            "func f() func() int { return func() int { kept = append(kept, func() int { return 1 }); return 2 } }",
            "func f() func() int { h := func() int { kept = append(kept, func() int { return 1 }); return 2 }\n if g() > 5 { return h }; return func() int { kept = append(kept, func() int { return 1 }); return 2 } }",
            "restart: closures in `f` came, went or moved; those made earlier cannot be told apart",
        ),
    ];
    let rest = "\nfunc each(f func(int) bool) { f(1) }\nfunc g() int { return len(fmt.Sprint(1)) }\n\
                var kept []func() int\nfunc work() { kept = append(kept, f()) }\nvar w = work\nfunc main() { w() }\n";
    for (before, after, expected) in table {
        let verdict = told(decide(&format!("{before}{rest}"), &format!("{after}{rest}")));
        assert_eq!(verdict, *expected, "{before}\n{after}");
    }
}

#[test]
fn two_packages_may_describe_a_type_each_in_its_own_way() {
    if !crate::patch::tests::is_possible() {
        return;
    }
    let one = outline("var kept any = struct{ n int }{1}\nfunc main() { fmt.Println(kept) }");
    let mut other = one.clone();
    other.types.values_mut().for_each(|digest| *digest ^= 1);
    let (_, process) = started(&one);
    let packages =
        [("main", &one), ("other", &other)].map(|(path, outline)| (path.to_owned(), outline.clone()));
    let running = Running::new(packages.into());
    let decide = |path: &str, outline: &Outline| {
        running.decide(&[(path.to_owned(), outline.clone())].into(), &process, &Known::default())
    };
    assert_eq!(decide("main", &one), Verdict::Nothing);
    assert_eq!(decide("other", &other), Verdict::Nothing);
    assert!(matches!(decide("main", &other), Verdict::Restart(Reason::Type(_))));
}
