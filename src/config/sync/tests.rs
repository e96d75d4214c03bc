use super::*;
use std::path::Path;

fn parse(sync: &str) -> Result<Config, String> {
    let dir = std::env::temp_dir().canonicalize().unwrap();
    let text = format!("[[service]]\nname = \"web\"\n[service.sync]\n{sync}\n");
    crate::config::parse(&text, Path::new("hotwatch.toml"), &dir, &|_| None)
        .map_err(|error| error.to_string())
}

fn sync(text: &str) -> Sync {
    parse(text).unwrap().services[0].sync.clone().unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let found = sync("to = { podman = \"web\" }\n[[service.sync.pair]]\ntarget = \"/app/\"");
    let pair = &found.pairs[0];
    assert_eq!(
        (pair.target.as_str(), pair.source_as_written.as_str(), pair.mode),
        ("/app", ".", Mode::OneWay)
    );
    assert!(!pair.rules.ignored && found.run.is_empty() && found.restart == Restart::None);
    assert_eq!(pair.to_string(), ". -> /app");
    let found = sync("to = { docker = \"web\" }\nbinary = \"/app/server\"\nrun_args = [\"-v\"]");
    assert_eq!(
        (found.run, found.run_args, found.restart),
        (vec!["/app/server".to_owned()], vec!["-v".to_owned()], Restart::Supervise)
    );
    let found =
        sync("to = { dir = \"/no-such\" }\n[[service.sync.pair]]\ntarget = \"app\"\nmode = \"two-way-safe\"");
    assert!(found.pairs[0].rules.ignored && found.pairs[0].target == "/app");
}

#[test]
fn what_does_not_fit_together_is_said_where_it_stands() {
    let pair = "to = { podman = \"web\" }\n[[service.sync.pair]]\n";
    let table = [
        ("to = { }".to_owned(), ":4:6: `to` takes one of"),
        ("to = { docker = \"a\", ssh = \"b\" }".to_owned(), "`to` takes one of"),
        ("to = { ssh = \"-oProxyCommand=x\" }".to_owned(), "is no name of a target"),
        ("to = { kubectl = { workload = \"web\" } }".to_owned(), "write `deployment/web`"),
        ("to = { podman = \"web\" }".to_owned(), "there is nothing to sync for `web`"),
        (format!("{pair}target = \"/\""), ":6:10: `target` must not be `/`"),
        (format!("{pair}target = \"app\""), "`app` is no absolute path"),
        (format!("{pair}target = \"/app/../etc\""), "is no absolute path"),
        (format!("{pair}target = \"/app\"\nmode = \"one-way-reverse\""), "say with `source` where it goes"),
        ("to = { dir = \"/\" }\n[[service.sync.pair]]\ntarget = \".\"".to_owned(), "lie in each other"),
        ("to = { dir = \".\" }\n[[service.sync.pair]]\ntarget = \"out\"".to_owned(), "lie in each other"),
        (format!("{pair}target = \"/a\"\n[[service.sync.pair]]\ntarget = \"/b\""), "overlaps with `.`"),
        (format!("{pair}target = \"/app\"\nfile_mode = \"rw\""), "`file_mode` is written in octal"),
        (format!("{pair}target = \"/app\"\nmode = \"both\""), "unknown variant `both`"),
        (format!("{pair}target = \"/app\"\ntargt = \"/x\""), "unknown key `targt`; did you mean `target`?"),
        (
            "to = { ssh = \"x\" }\nrestart = \"recreate\"\nrun = [\"x\"]".to_owned(),
            "`recreate` is for containers",
        ),
        ("to = { ssh = \"x\" }\nrestart = \"supervise\"".to_owned(), "write `run = "),
        ("to = { ssh = \"x\" }\nrun_args = [\"x\"]".to_owned(), "say what that is with `run`"),
        (
            "to = { ssh = \"x\" }\nplatform = \"arm\"\nrun = [\"x\"]".to_owned(),
            "`platform` is written as Go does",
        ),
    ];
    for (text, expected) in table {
        let error = parse(&text).err().unwrap_or_default();
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn names_pick_who_is_synced() {
    let text =
        "to = { podman = \"web\" }\n[[service.sync.pair]]\ntarget = \"/app\"\n[[service]]\nname = \"api\"";
    let pick = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        parse(text).unwrap().synced(&names).map(|config| {
            let picked = config.services.iter().filter(|service| service.sync.is_some());
            picked.map(|service| service.name.to_string()).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(pick(&[]).unwrap(), "");
    assert_eq!(pick(&["*"]).unwrap(), "web");
    assert_eq!(pick(&["web,"]).unwrap(), "web");
    assert!(pick(&[","]).unwrap_err().contains("without a name"));
    assert!(pick(&["web,api"]).unwrap_err().starts_with("nothing says where to sync `api` to"));
    assert!(pick(&["wbe"]).unwrap_err().contains("did you mean `web`?"));
}
