//! `hotwatch init`: what it writes for each of the foreign formats, for the demo backend, and where there is nothing;
//! what it never touches; and that `hotwatch check` accepts the outcome.

use std::fs;

use crate::support::{Project, copy, fixture};

/// A module with main packages in these directories.
fn module(project: &Project, dir: &str, packages: &[&str]) {
    let name = if dir == "." { "shop" } else { dir };
    project.write(&format!("{dir}/go.mod"), &format!("module example.com/{name}\n\ngo 1.21\n"));
    for package in packages {
        project.write(&format!("{dir}/{package}/main.go"), "package main\n\nfunc main() {}\n");
    }
}

/// Runs init, and checks that hotwatch accepts what was written.
fn init(project: &Project) -> (String, toml::Table) {
    let output = project.run(&["init"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let file = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    // A port that somebody on this machine holds says nothing about the file.
    let check = text(&project.run(&["check"]).stdout);
    let wrong = check.lines().filter(|line| !line.starts_with("ok") && !line.contains("is held by")).count();
    assert_eq!(wrong, 0, "{check}\n{file}");
    (stdout, file.parse().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One line per service: its keys, as TOML.
fn services(config: &toml::Table) -> Vec<String> {
    let show = |service: &toml::Value| {
        let keys =
            ["name", "dir", "package", "port", "args", "build", "run", "depends_on", "env", "stop", "watch"];
        let table = service.as_table().unwrap();
        assert!(table.keys().all(|key| keys.contains(&key.as_str())), "{table:?}");
        let value = |key: &&str| table.get(*key).map(|value| format!("{key}={}", plain(value)));
        keys.iter().filter_map(value).collect::<Vec<_>>().join(" ")
    };
    config["service"].as_array().unwrap().iter().map(show).collect()
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| format!("{key}={}", plain(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
        }
        toml::Value::Integer(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_demo_from_its_start_script() {
    let project = Project::new();
    copy(&fixture("backend"), &project.root());
    let own: toml::Table = fs::read_to_string(project.path("hotwatch.toml")).unwrap().parse().unwrap();
    fs::remove_file(project.path("hotwatch.toml")).unwrap();
    let (told, written) = init(&project);

    let essence = |config: &toml::Table| -> Vec<(String, String, String)> {
        let of = |service: &toml::Value, key: &str| plain(&service[key]);
        let all = config["service"].as_array().unwrap().iter();
        all.map(|service| (of(service, "name"), of(service, "dir"), of(service, "port"))).collect()
    };
    assert_eq!(essence(&written), essence(&own));
    assert_eq!(written["env_files"], own["env_files"]);
    assert!(told.starts_with("wrote `hotwatch.toml`: 6 services\n"), "{told}");
    assert!(told.contains("gateway (from start.sh:42), port 8080 (from GATEWAY_PORT in .env)"), "{told}");
}

#[test]
fn a_start_script_that_builds_first() {
    let project = Project::new();
    module(&project, ".", &["cmd/users", "cmd/worker", "cmd/other"]);
    project.write(
        "start.sh",
        "#!/bin/bash\nexport LEVEL=debug\nmkdir -p bin\nfor s in users worker; do\n  go build -o bin/$s ./cmd/$s\ndone\n\
         ./bin/worker -queue mail &\nsleep 1\nPORT=9000 ./bin/users >users.log 2>&1 &\nwait\n",
    );
    let (told, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=worker dir=. package=./cmd/worker args=[-queue mail]",
            "name=users dir=. package=./cmd/users port=9000 env={PORT=9000}"
        ]
    );
    assert_eq!(plain(&config["env"]), "{LEVEL=debug}");
    assert!(told.contains("left out: `cmd/other`: nothing starts it"), "{told}");
}

#[test]
fn a_procfile() {
    let project = Project::new();
    module(&project, ".", &["cmd/api", "cmd/jobs"]);
    project.write(".env", "PORT=9001\n");
    project.write(
        "Procfile",
        "web: go run ./cmd/api --port $PORT\nworker: go run -race ./cmd/jobs\nui: npm run dev\n",
    );
    let (_, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=web dir=. package=./cmd/api port=9001 args=[--port 9001]",
            "name=worker dir=. build=[go build -race -o {out} ./cmd/jobs]",
            "name=ui dir=. run=[npm run dev]",
        ]
    );
    assert_eq!(plain(&config["env_files"]), "[.env]");
}

#[test]
fn binaries_are_those_of_the_packages_that_they_are_called_after() {
    let project = Project::new();
    module(&project, ".", &["cmd/api", "cmd/jobs", "cmd/other"]);
    project.write(
        "Procfile",
        "web: bin/api --port 9001\nfast: ./bin/jobs -queue fast\nslow: ./bin/jobs -queue slow -key $KEY\nx: bin/x\n",
    );
    let (told, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=web dir=. package=./cmd/api port=9001 args=[--port 9001]",
            "name=fast dir=. package=./cmd/jobs args=[-queue fast]",
            "name=slow dir=. package=./cmd/jobs",
        ]
    );
    assert!(told.contains("refer to `${KEY}` and are left out: -queue slow -key ${KEY}"), "{told}");
    assert!(told.contains("which main package `bin/x` is built from is not known"), "{told}");
    assert!(told.contains("left out: `cmd/other`: nothing starts it"), "{told}");
}

#[test]
fn a_lone_program_may_be_started_twice_under_any_name() {
    let project = Project::new();
    module(&project, ".", &["."]);
    project.write("Procfile", "web: ./server -listen 9001\njobs: ./server -jobs\nother: ./else\n");
    let (told, config) = init(&project);
    assert_eq!(
        services(&config),
        ["name=web dir=. port=9001 args=[-listen 9001]", "name=jobs dir=. args=[-jobs]"]
    );
    assert!(told.contains("which main package `else` is built from is not known"), "{told}");
}

#[test]
fn configurations_of_air() {
    let project = Project::new();
    for service in ["orders", "users"] {
        module(&project, service, &["cmd/app"]);
        project.write(
            &format!("{service}/.air.toml"),
            "[build]\ncmd = \"go build -o ./tmp/main ./cmd/app\"\nbin = \"./tmp/main\"\nargs_bin = [\"-v\"]\n\
             include_ext = [\"go\", \"sql\", \"tmpl\"]\nexclude_dir = [\"tmp\", \"gen\"]\nsend_interrupt = true\n",
        );
    }
    project.write("users/queries/all.sql", "");
    let (_, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=orders dir=orders package=./cmd/app args=[-v] stop={signal=INT} watch={exclude=[gen/**]}",
            "name=users dir=users package=./cmd/app args=[-v] stop={signal=INT} watch={exclude=[gen/**] include=[**/*.sql]}",
        ]
    );
}

#[test]
fn a_compose_file() {
    let project = Project::new();
    module(&project, "users", &["."]);
    module(&project, "gateway", &["cmd/gateway", "cmd/probe"]);
    project.write("gateway/Dockerfile", "FROM golang\nCOPY . .\nRUN go build -o /gateway ./cmd/gateway\n");
    project.write(
        "compose.yaml",
        "services:\n  db:\n    image: postgres\n  users:\n    build: ./users\n    ports: ['8081:9002']\n    \
         environment: {DB_HOST: db}\n    depends_on: [db]\n  front:\n    build: ./gateway\n    ports: ['9003:9003']\n    \
         depends_on: [users]\n",
    );
    let (told, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=users dir=users port=9002 env={DB_HOST=db}",
            "name=front dir=gateway package=./cmd/gateway port=9003 depends_on=[users]",
        ]
    );
    assert!(told.contains("start these yourself: docker compose up -d db\n"), "{told}");
    let file = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    assert!(
        file.contains(
            "DB_HOST = \"db\"  # from compose.yaml:7; `db` is a host of compose; here it is `localhost`"
        ),
        "{file}"
    );
    assert!(file.contains("# with compose, people reach it on port 8081 (compose.yaml:6)"), "{file}");
}

#[test]
fn what_one_file_leaves_open_another_says() {
    let project = Project::new();
    module(&project, "users", &["."]);
    module(&project, "orders", &["."]);
    project.write("start.sh", "(cd orders && go run .) &\n(cd users && go run . -v) &\nnpm start &\nwait\n");
    project.write(
        "Procfile",
        "order-api: cd orders && go run .\nsecond: cd orders && go run . -x\nui: npm start\n",
    );
    project.write(
        "compose.yaml",
        "services:\n  user-api:\n    build: users\n    expose: [9004]\n  order-api:\n    build: orders\n",
    );
    let (_, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=order-api dir=orders",
            "name=user-api dir=users port=9004 args=[-v]",
            "name=ui dir=. run=[npm start]"
        ]
    );
}

#[test]
fn a_workspace_without_foreign_files() {
    let project = Project::new();
    for module_dir in ["users", "orders", "spare"] {
        module(&project, module_dir, &["."]);
    }
    module(&project, "jobs", &["cmd/mail", "cmd/report", "tools/gen"]);
    project.write("vendor/x/main.go", "package main\n\nfunc main() {}\n");
    project.write("go.work", "go 1.21\n\nuse (\n\t./users\n\t./jobs\n\t./orders\n)\n");
    project.write(
        "users/main.go",
        "package main\n\nimport \"net/http\"\n\nfunc main() {\n\thttp.ListenAndServe(\":9005\", nil)\n}\n",
    );
    let (told, config) = init(&project);
    assert_eq!(
        services(&config),
        [
            "name=users dir=users port=9005",
            "name=mail dir=jobs package=./cmd/mail",
            "name=report dir=jobs package=./cmd/report",
            "name=orders dir=orders"
        ]
    );
    assert!(told.contains("left out: `jobs/tools/gen`: it is a part of `tools`\n"), "{told}");
    assert!(told.contains("left out: `spare`: go.work does not name its module\n"), "{told}");
}

#[test]
fn a_single_program_needs_no_file() {
    let project = Project::new();
    module(&project, ".", &["."]);
    let printed = project.run(&["init", "--print"]);
    assert!(text(&printed.stdout).contains("name = \"shop\""));
    assert!(!project.path("hotwatch.toml").exists());
    let (told, config) = init(&project);
    assert_eq!(services(&config), ["name=shop dir=."]);
    assert!(told.contains("plain `hotwatch` runs a single program without such a file, too"), "{told}");
}

#[test]
fn nothing_to_run_is_refused() {
    let project = Project::new();
    let refused = |dir: &str| {
        let output = project.hotwatch(&["init"]).current_dir(project.path(dir)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!project.path(dir).join("hotwatch.toml").exists());
        text(&output.stderr)
    };
    let error = refused(".");
    assert!(
        error.contains("nothing to run in")
            && error.contains("go mod init")
            && error.contains("hotwatch demo"),
        "{error}"
    );

    module(&project, ".", &["."]);
    project.write("below/x.txt", "");
    let error = refused("below");
    assert!(error.contains("the module begins in") && error.contains("init`"), "{error}");
}

#[test]
fn what_exists_is_not_touched() {
    let project = Project::new();
    module(&project, ".", &["."]);
    for name in ["hotwatch.toml", ".vscode/launch.json"] {
        project.write(name, "mine");
    }
    let output = project.run(&["init"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`hotwatch.toml` exists and is not touched"));
    assert_eq!(fs::read_to_string(project.path("hotwatch.toml")).unwrap(), "mine");

    fs::remove_file(project.path("hotwatch.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", project.path("hotwatch.toml")).unwrap();
    assert_eq!(project.run(&["init"]).status.code(), Some(1));

    fs::remove_file(project.path("hotwatch.toml")).unwrap();
    let output = project.run(&["init", "--editor", "vscode"]);
    let told = text(&output.stdout);
    assert!(told.contains("`.vscode/launch.json` exists and is not touched; add these"), "{told}");
    assert!(told.contains("\"port\": 2345"), "{told}");
    assert_eq!(fs::read_to_string(project.path(".vscode/launch.json")).unwrap(), "mine");
}

#[test]
fn the_editor_attaches_in_the_order_of_the_file() {
    let project = Project::new();
    for name in ["users", "gateway"] {
        module(&project, name, &["."]);
    }
    // Started the other way round.
    project.write(
        "hotwatch.toml",
        "[[service]]\nname = \"gateway\"\ndir = \"gateway\"\ndepends_on = [\"users\"]\n[[service]]\nname = \"users\"\ndir = \"users\"\n",
    );
    let output = project.run(&["init", "--editor", "vscode"]);
    assert_eq!(text(&output.stdout), "wrote `.vscode/launch.json`: 2 services to attach to\n");
    let launch = fs::read_to_string(project.path(".vscode/launch.json")).unwrap();
    let launch: serde_json::Value = serde_json::from_str(&launch).unwrap();
    let attach = |name: &str, port: u16| {
        serde_json::json!({
            "name": format!("hotwatch: {name}"), "type": "go", "request": "attach", "mode": "remote",
            "debugAdapter": "dlv-dap", "host": "127.0.0.1", "port": port,
        })
    };
    assert_eq!(launch["configurations"], serde_json::json!([attach("gateway", 2345), attach("users", 2346)]));
}

#[test]
fn without_go_the_sources_are_read() {
    let project = Project::new();
    module(&project, ".", &["cmd/users", "cmd/orders"]);
    project.write("cmd/users/tool.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n");
    project.write("lib/lib.go", "package lib\n");
    let output = project.hotwatch(&["init", "--json"]).env("PATH", "").output().unwrap();
    let told = text(&output.stdout);
    let names: Vec<String> = told
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["service"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(names, ["orders", "users"]);
    let file = fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    assert!(
        file.contains("# the `go` command is not on the PATH; main packages were looked for in the text"),
        "{file}"
    );
}
