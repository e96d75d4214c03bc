use super::*;
use std::fs;

fn load_text(text: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    for service in ["a", "b", "c"] {
        fs::create_dir(dir.path().join(service)).unwrap();
    }
    fs::write(dir.path().join("file"), "").unwrap();
    fs::write(dir.path().join(".env"), "PORT=1\nexport URL=\"http://h:$PORT\"\n").unwrap();
    fs::write(dir.path().join("bad.env"), "A=1\nB two\n").unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    let path = dir.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    let prefix = format!("{}/", dir.path().display());
    load(&path, &|_| None).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn names(config: &Config) -> Vec<&str> {
    config.services.iter().map(|service| service.name.as_str()).collect()
}

#[test]
fn defaults_are_filled_in() {
    let config =
        load_text("env_files = [\".env\"]\n[[service]]\nname = \"a\"\ndir = \"a\"\nport = 80\n").unwrap();
    let service = &config.services[0];
    assert_eq!(config.log_dir, Path::new("/tmp"));
    assert_eq!((config.log_size, config.log_keep, config.log_strip), (100_000_000, 1, false));
    assert!(!service.pty);
    assert_eq!((config.quiet.as_millis(), config.cooldown.as_millis()), (20, 300));
    assert_eq!(service.readiness.when, Ready::Tcp(80));
    assert_eq!(service.stop_signal, Signal::SIGTERM);
    assert_eq!(service.grace, Duration::from_secs(5));
    assert_eq!((&service.build, &service.run), (&Build::Go, &vec!["{out}".to_owned()]));
    assert_eq!(service.env["URL"], "http://h:1");
}

#[test]
fn log_settings_are_taken() {
    let text =
        "log_size = \"2MB\"\nlog_keep = 0\nlog_ansi = \"strip\"\n[[service]]\nname = \"a\"\npty = true\n";
    let config = load_text(text).unwrap();
    assert_eq!((config.log_size, config.log_keep, config.log_strip), (2_000_000, 0, true));
    assert!(config.services[0].pty);
}

#[test]
fn dependencies_come_first_and_otherwise_the_order_of_the_file_holds() {
    let config = load_text(
        "[[service]]\nname = \"a\"\ndir = \"a\"\ndepends_on = [\"c\"]\n\
         [[service]]\nname = \"b\"\ndir = \"b\"\n\
         [[service]]\nname = \"c\"\ndir = \"c\"\n",
    )
    .unwrap();
    assert_eq!(names(&config), ["b", "c", "a"]);
    assert_eq!(config.services[2].depends_on, [1]);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let service = "[[service]]\nname = \"a\"\ndir = \"a\"\n";
    let table: &[(&str, &str)] = &[
        ("", "hotwatch.toml:1:1: no `[[service]]`; add one with at least a `name` and a `dir`"),
        ("x = ", "hotwatch.toml:1:"),
        (
            &format!("quite = \"1s\"\n{service}"),
            "hotwatch.toml:1:1: unknown key `quite`; did you mean `quiet`?",
        ),
        (&format!("{service}prot = 1\n"), "hotwatch.toml:4:1: unknown key `prot`; did you mean `port`?"),
        (&format!("{service}stop = {{ sginal = \"INT\" }}"), "unknown key `sginal`; did you mean `signal`?"),
        (&format!("{service}port = 99999\n"), "hotwatch.toml:4:8: "),
        (&format!("{service}port = \"x\"\n"), "; a port is a number from 1 to 65535"),
        (&format!("{service}args = \"x\"\n"), "; write a list, as in"),
        (&format!("quiet = \"fast\"\n{service}"), "; write it as `\"300ms\"` or `\"5s\"`"),
        (&format!("log_size = \"10\"\n{service}"), "hotwatch.toml:1:12: `10` is no size; write it as `10MB`"),
        (
            &format!("log_size = 10\n{service}"),
            "hotwatch.toml:1:12: invalid type: integer `10`, expected a string",
        ),
        (&format!("log_size = \"9B\"\n{service}"), "hotwatch.toml:1:12: `9B` is too small for a log"),
        (&format!("log_keep = 100\n{service}"), "hotwatch.toml:1:12: `log_keep` is a number from 0 to 99"),
        (&format!("log_keep = -1\n{service}"), "hotwatch.toml:1:12: "),
        (&format!("log_ansi = \"no\"\n{service}"), "unknown variant `no`, expected `keep` or `strip`"),
        (&format!("{service}{service}"), "hotwatch.toml:5:8: the name `a` is used twice"),
        ("[[service]]\ndir = \"a\"\n", "missing field `name`"),
        ("[[service]]\nname = \"a/b\"\n", "hotwatch.toml:2:8: `a/b` contains `/`"),
        (
            "[[service]]\nname = \"x\"\ndir = \"nope\"\n",
            "hotwatch.toml:3:7: the directory `nope` of `x` does not exist",
        ),
        (
            "[[service]]\nname = \"x\"\ndir = \"file\"\n",
            "hotwatch.toml:3:7: `file` of `x` is not a directory",
        ),
        ("[[service]]\nname = \"x\"\ndir = \"loop\"\n", "the directory `loop` of `x` cannot be read: "),
        (
            "[[service]]\nname = \"a\"\ndir = \"a\"\ndepends_on = [\"d\"]\n",
            "hotwatch.toml:4:15: there is no service `d` to depend on; did you mean `a`?",
        ),
        (
            "[[service]]\nname = \"a\"\ndir = \"a\"\ndepends_on = [\"b\"]\n\
             [[service]]\nname = \"b\"\ndir = \"b\"\ndepends_on = [\"c\"]\n\
             [[service]]\nname = \"c\"\ndir = \"c\"\ndepends_on = [\"b\"]\n",
            "hotwatch.toml:6:8: services wait for each other: `b` -> `c` -> `b`",
        ),
        (&format!("{service}depends_on = [\"a\"]"), "services wait for each other: `a` -> `a`"),
        (
            "[[service]]\nname = \"a\"\ndir = \"a\"\nport = 1\n[[service]]\nname = \"b\"\ndir = \"b\"\nport = 1\n",
            "hotwatch.toml:8:8: port 1 belongs to `a` already",
        ),
        (
            &format!("{service}build = [\"make\"]\n"),
            "hotwatch.toml:4:9: `build` must say where the binary goes",
        ),
        (&format!("{service}ready = {{ tcp = 1, log = \"x\" }}"), "hotwatch.toml:4:9: `ready` takes one of"),
        (
            &format!("{service}stop = {{ signal = \"NOPE\" }}"),
            "hotwatch.toml:4:19: there is no signal `NOPE`",
        ),
        (&format!("{service}watch = {{ include = [\"a[\"] }}"), "hotwatch.toml:4:22: "),
        (
            &format!("{service}watch = {{ include = [\"../b/*.go\"] }}"),
            "`../b/*.go` leaves the service's directory",
        ),
        (&format!("{service}reload = \"magic\"\n"), "unknown variant `magic`"),
        (&format!("env_files = [\"none.env\"]\n{service}"), "the env file `none.env` cannot be read"),
        (
            &format!("env_files = [\"bad.env\"]\n{service}"),
            "bad.env:2: not of the form `NAME=value`: `B two`",
        ),
    ];
    for (text, expected) in table {
        let error = load_text(text).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{text}\n  gave: {error}\n  not:  {expected}");
    }
}

#[test]
fn include_globs_name_the_directories_they_start_in() {
    let text = "[[service]]\nname = \"a\"\ndir = \"a\"\n\
                watch = { include = [\"testdata/gold/**\", \"**/*.html\", \"vendor/x.txt\"] }\n";
    let dirs = load_text(text).unwrap().services.remove(0).patterns.include.dirs().collect::<Vec<_>>();
    assert_eq!(dirs, [PathBuf::from("testdata/gold"), PathBuf::from("vendor")]);
}

#[test]
fn the_nearest_file_above_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x/y");
    fs::create_dir_all(&deep).unwrap();
    fs::write(dir.path().join(FILE_NAME), "").unwrap();
    assert_eq!(find(&deep).unwrap(), dir.path().join(FILE_NAME));
}

#[test]
fn bytes_that_are_no_utf8_are_an_error_with_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
    let error = load(&path, &|_| None).unwrap_err().to_string();
    assert!(error.ends_with("hotwatch.toml:2:1: not valid UTF-8; save the file as UTF-8"), "{error}");
}
