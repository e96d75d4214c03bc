use super::*;

fn scan_text(text: &str, mains: &[&str]) -> Found {
    let read = |file: &str| match file {
        "cmd/Dockerfile" => Some("FROM golang\nCOPY . .\nRUN go build -o /x ./cmd/worker\n".to_owned()),
        "api/Dockerfile" => Some("FROM golang\nENTRYPOINT [\"/api\", \"-v\"]\n".to_owned()),
        _ => None,
    };
    let mains: Vec<String> = mains.iter().map(|dir| (*dir).to_owned()).collect();
    let variables = BTreeMap::from([("TAG".to_owned(), "7".to_owned())]);
    scan(text, "compose.yaml", &mains, &variables, &Tree { read: &read, dirs: &[] })
}

const TEXT: &str = r#"
x-common: &common
  environment:
    LEVEL: debug
services:
  api:
    build: ./api
    ports: ["8080:80"]
    command: [serve, --level=info]
    environment:
      DB_HOST: db
      DB_NAME: db
      URL: http://worker:9000/x
      VERSION: 1.10
      GOCACHE: /cache
      TAGGED: x-${TAG}
      SECRET: ${SECRET}
      PASSED:
    env_file: api.env
    depends_on:
      db: { condition: service_healthy }
      worker: {}
  worker:
    <<: *common
    build:
      context: .
      dockerfile: cmd/Dockerfile
    ports:
      - target: 9000
        published: 9000
    depends_on: [db]
  db:
    image: postgres
  web:
    build: web
"#;

#[test]
fn services_that_are_built_here() {
    let found = scan_text(TEXT, &["api", "cmd/worker", "cmd/other"]);
    let [api, worker] = found.starts.as_slice() else { panic!("{found:?}") };
    assert_eq!((api.from.as_str(), &api.program), ("compose.yaml:6", &Program::Package("api".to_owned())));
    assert_eq!(api.port, Some(Fact { value: 80, from: "compose.yaml:8".to_owned() }));
    assert_eq!(api.args, ["-v", "serve", "--level=info"]);
    let env: Vec<String> = api.env.iter().map(|(name, fact)| format!("{name}={}", fact.value)).collect();
    assert_eq!(env, ["DB_HOST=db", "DB_NAME=db", "TAGGED=x-7", "URL=http://worker:9000/x", "VERSION=1.10"]);
    assert_eq!(api.remarks.keys().collect::<Vec<_>>(), ["DB_HOST", "URL"]);
    assert_eq!(api.env_files[0], Fact { value: "api.env".to_owned(), from: "compose.yaml:19".to_owned() });
    assert_eq!(api.depends_on, ["db", "worker"]);
    assert_eq!(
        api.notes,
        [
            "with compose, people reach it on port 8080 (compose.yaml:8)",
            "compose.yaml:17 sets SECRET to something that is not known here",
        ]
    );
    assert_eq!(worker.program, Program::Package("cmd/worker".to_owned()));
    assert_eq!((worker.env["LEVEL"].value.as_str(), worker.port.as_ref().unwrap().value), ("debug", 9000));
    assert_eq!(
        found.notes,
        [
            "compose.yaml: no main package was found that is built for `web`; left out",
            "images only; start these yourself: docker compose up -d db",
        ]
    );
}

#[test]
fn sources_that_are_mounted() {
    let text = "services:\n  users:\n    image: golang\n    working_dir: /src/users\n    \
                volumes: ['./internal:/src:ro']\n    command: go run . -v\n";
    let found = scan_text(text, &["internal/users", "internal/orders"]);
    let start = &found.starts[0];
    assert_eq!(
        (&start.program, start.args.join(" ")),
        (&Program::Package("internal/users".to_owned()), "-v".to_owned())
    );
}

#[test]
fn ports_in_all_their_forms() {
    let table = [
        ("ports: ['80']", Some(80)),
        ("ports: ['127.0.0.1:8080:80/tcp']", Some(80)),
        ("ports: [\"${PORT:-8081}:81\"]", Some(81)),
        ("expose: [82]", Some(82)),
        ("ports: ['1:1', '2:2']", None),
        ("ports: ['3000-3005']", None),
        ("ports: ['53:53/udp']", None),
    ];
    for (line, expected) in table {
        let found = scan_text(&format!("services:\n  a:\n    build: .\n    {line}\n"), &[""]);
        assert_eq!(found.starts[0].port.as_ref().map(|port| port.value), expected, "{line}");
    }
}

#[test]
fn what_is_no_compose_file_is_named() {
    assert!(scan_text("a: [", &[]).notes[0].starts_with("compose.yaml was left out: "));
    assert_eq!(scan_text("a: 1", &[]), Found::default());
}

#[test]
fn hosts_in_values() {
    let table = [
        ("DB_HOST", "db", true),
        ("DB_NAME", "db", false),
        ("DSN", "postgres://u:p@db/x", true),
        ("DSN", "u:p@tcp(db:3306)/x", true),
        ("BROKERS", "kafka:1,db:2", true),
        ("URL", "http://db-2:80", false),
        ("URL", "http://x/db:1", false),
        ("PATH", "/db/x", false),
    ];
    for (name, value, expected) in table {
        assert_eq!(names_host(name, value, "db"), expected, "{name}={value}");
    }
}
