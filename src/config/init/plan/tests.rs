use super::super::join;
use super::*;

/// Main packages in these directories; `module:package` for those of a module of their own.
fn mains(places: &[&str]) -> Vec<Main> {
    let main = |place: &&str| {
        let (module, package) = place.split_once(':').unwrap_or(("", place));
        Main {
            dir: join(module, package),
            module: module.to_owned(),
            module_path: format!("example.com/{}/v2", if module.is_empty() { "shop" } else { module }),
            in_workspace: true,
        }
    };
    places.iter().map(main).collect()
}

fn plan_of(places: &[&str], starts: Vec<Start>) -> Plan {
    let found = Found { starts, ..Found::default() };
    plan(&mains(places), vec![found], &Tree { read: &|_| None, dirs: &[] }, &|_| Vec::new())
}

fn start(name: Option<&str>, package: &str) -> Start {
    let mut start =
        Start::new("start.sh:1".to_owned(), Some(String::new()), Program::Package(package.to_owned()));
    start.name = name.map(str::to_owned);
    start
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.services.iter().map(|service| service.name.as_str()).collect()
}

#[test]
fn names_come_from_places() {
    let table: &[(&[&str], &[&str])] = &[
        (&[""], &["shop"]),
        (&["cmd/server"], &["shop"]),
        (&["cmd/server", "cmd/worker"], &["server", "worker"]),
        (&["", "cmd/worker"], &["shop", "worker"]),
        (&["services/users:", "services/orders:cmd/app"], &["users", "orders"]),
        (&["users/api", "users/rpc", "orders/api"], &["users-api", "rpc", "orders-api"]),
        (&["a/x/api", "b/x/api"], &["x-api", "x-api-2"]),
        (&["my app/ö"], &["service"]),
    ];
    for (places, expected) in table {
        assert_eq!(names(&plan_of(places, Vec::new())), *expected, "{places:?}");
    }
}

#[test]
fn what_is_plainly_no_service_is_left_out() {
    let others = [
        "tools/lint",
        "hack/x",
        "cmd/protoc-gen-x",
        "cmd/shopctl",
        "cmd/migrate",
        "test/load",
        "api/gen-go/x",
    ];
    let places: Vec<&str> = ["cmd/users"].into_iter().chain(others).collect();
    let plan = plan_of(&places, Vec::new());
    assert_eq!((names(&plan), plan.left_out.len()), (vec!["users"], others.len()));
    // Where there is nothing else, that is what there is.
    assert_eq!(names(&plan_of(&["examples/a", "examples/b"], Vec::new())), ["a", "b"]);
}

#[test]
fn two_processes_of_one_program_are_two_services() {
    let logged =
        |log: &str| Start { log: Some(log.to_owned()), args: vec![log.to_owned()], ..start(None, "w") };
    let plan = plan_of(&["w"], vec![logged("mail"), logged("report")]);
    assert_eq!(names(&plan), ["mail", "report"]);
    let plan = plan_of(&["w"], vec![logged("mail")]);
    assert_eq!(names(&plan), ["w"]);
}

#[test]
fn a_shared_port_is_nobodys() {
    let with = |package: &str, port: u16| Start {
        port: Some(Fact { value: port, from: "x:1".to_owned() }),
        ..start(None, package)
    };
    let plan = plan_of(&["a", "b", "c"], vec![with("a", 80), with("b", 80), with("c", 81)]);
    let ports: Vec<_> =
        plan.services.iter().map(|one| one.start.port.as_ref().map(|port| port.value)).collect();
    assert_eq!(ports, [None, None, Some(81)]);
    assert_eq!(
        plan.services[0].start.notes,
        ["port 80 (x:1) is also that of `b`; give each its own, and set `port`"]
    );
    let names = ["a", "b", "c", "d", "e", "f"];
    let plan = plan_of(&names, names.map(|name| with(name, 80)).into());
    let note = "port 80 (x:1) is also that of `b`, `c`, `d` and 2 more; give each its own, and set `port`";
    assert_eq!(plan.services[0].start.notes, [note]);
}

#[test]
fn directories_and_globs_are_those_of_the_module() {
    let globs = |dir: &str| {
        let mut one = start(None, "svc/cmd/x");
        (one.dir, one.include, one.exclude) =
            (Some(dir.to_owned()), vec!["**/*.sql".to_owned()], vec!["gen/**".to_owned()]);
        let plan = plan_of(&["svc:cmd/x"], vec![one]);
        let service = &plan.services[0];
        assert_eq!(service.place(), ("svc", Some("./cmd/x".to_owned())));
        (service.start.include.join(" "), service.start.exclude.join(" "), service.start.notes.len())
    };
    assert_eq!(globs("svc"), ("**/*.sql".to_owned(), "gen/**".to_owned(), 0));
    assert_eq!(globs("svc/cmd/x"), ("cmd/x/**/*.sql".to_owned(), "cmd/x/gen/**".to_owned(), 1));
    assert_eq!(globs(""), ("**/*.sql".to_owned(), String::new(), 1));
}
