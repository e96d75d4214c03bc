use super::super::{Program, Start};
use super::*;

fn read(file: &str) -> Option<String> {
    match file {
        ".env" => Some("USERS_PORT=20000\nGREETING=\"good day\"\n".to_owned()),
        "b/start.sh" => Some("cd $(dirname $0)\nexec go run .\n".to_owned()),
        "lib.sh" => Some("run() { (cd \"$1\" && go run .) & }\n".to_owned()),
        _ => None,
    }
}

/// One line per start: line, name, directory, program, arguments, environment.
fn show(found: &Found) -> String {
    let start = |start: &Start| {
        let program = match &start.program {
            Program::Package(dir) => format!("package {dir}"),
            Program::Binary(file) => format!("binary {file}"),
            Program::Command(words) => format!("command {}", words.join(" ")),
        };
        let env: String = start.env.iter().map(|(name, fact)| format!(" {name}={}", fact.value)).collect();
        let line = last(&start.from).rsplit(':').next().unwrap();
        let name = start.log.as_deref().map(|name| format!(" {name}:")).unwrap_or_default();
        let args: String = start.args.iter().map(|arg| format!(" {arg}")).collect();
        let flags: String = start.build_flags.iter().map(|flag| format!(" {flag}")).collect();
        let notes: String = start.notes.iter().map(|note| format!(" # {note}")).collect();
        format!("{line}:{name} in [{}] {program}{flags}{args}{env}{notes}", start.dir.as_deref().unwrap())
    };
    found.starts.iter().map(start).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_scripts_start() {
    let dirs = ["services", "services/a", "services/b"].map(str::to_owned);
    let tree = Tree { read: &read, dirs: &dirs };
    let table = [
        ("go run .", "1: in [] package "),
        (
            "cd a\ngo run . --port 1 &\ncd ../b && go run . &\n",
            "2: in [a] package a --port 1\n3: in [b] package b",
        ),
        (
            "(cd a && exec go run ./cmd/x) &\n(cd b; go run .)",
            "1: in [a] package a/cmd/x\n2: in [b] package b",
        ),
        ("cd a && go run . &\ngo run ./b &", "1: in [a] package a\n2: in [] package b"),
        ("pushd a\ngo run . &\npopd\ngo run .", "2: in [a] package a\n4: in [] package "),
        ("go build -o bin/x ./cmd/x\n./bin/x serve", "2: in [] package cmd/x serve"),
        ("go build -tags dev -o bin/ ./cmd/x\nPORT=1 bin/x", "2: in [] package cmd/x -tags=dev PORT=1"),
        ("go build -race -ldflags \"-X main.v=$V\" -o x .\n./x", "2: in [] package  -race"),
        (
            "r() { local n=$1; shift; go run ./$n \"$@\" & }\nr a -v\nr b",
            "2: in [] package a -v\n3: in [] package b",
        ),
        ("r() { go run ./$2 \"${@:3}\" & }\nr x a -v 'b c'", "2: in [] package a -v b c"),
        ("r() { shift 2; go run ./$1; shift 9; go run \"./b$1\"; }\nr x y a", "2: in [] package a"),
        ("go build ./cmd/x && ./x", "1: in [] package cmd/x"),
        ("go run -race ./a", "1: in [] package a -race"),
        ("make build\n./bin/x", "2: in [] binary bin/x"),
        ("PORT=1 B='x y' go run . > logs/users.log 2>&1 &", "1: users: in [] package  B=x y PORT=1"),
        ("export A=1\nB=2\ngo run ./$B", "3: in [] package 2 A=1"),
        ("P=${P:-80}\ngo run . -port $P -x \"${Q:-a b}\"", "2: in [] package  -port 80 -x a b"),
        ("source .env\ngo run . -p $USERS_PORT", "2: in [] package  -p 20000"),
        ("export $(grep -v '^#' .env | xargs)\ngo run . -p $USERS_PORT", "2: in [] package  -p 20000"),
        (". ./lib.sh\nrun a\nrun b", "2: in [a] package a\n3: in [b] package b"),
        (
            "for s in a b; do\n (cd services/$s && go run .) &\ndone",
            "2: in [services/a] package services/a\n2: in [services/b] package services/b",
        ),
        (
            "for d in services/*/; do cd $d; go run . & cd -; done",
            "1: in [services/a] package services/a\n1: in [services/b] package services/b",
        ),
        (
            "S=(\"a:1\" \"b:2\")\nfor s in \"${S[@]}\"; do PORT=${s##*:} go run ./${s%%:*} & done",
            "2: in [] package a PORT=1\n2: in [] package b PORT=2",
        ),
        (
            "ROOT=$(cd \"$(dirname \"${BASH_SOURCE[0]}\")/..\" && pwd)\ncd \"$ROOT/a\"\ngo run .",
            "3: in [a] package a",
        ),
        ("cd \"$(dirname \"$0\")/..\"\ngo run ./a", "2: in [] package a"),
        (
            "(cd $HOME/x && go run .)\ngo run ./b -k $KEY",
            "2: in [] package b # the arguments in scripts/start.sh:2 refer to `${KEY}` and are left out: -k ${KEY}",
        ),
        (
            "TOKEN=$(openssl rand) go run .",
            "1: in [] package  # scripts/start.sh:1 sets TOKEN to `$(openssl rand)`",
        ),
        (
            "start() { go run ./$1 & }\ncase $1 in\n up) start a; start b;;\n down) kill 1;;\nesac",
            "3: in [] package a\n3: in [] package b",
        ),
        ("trap 'kill 0' EXIT\nsleep 1\nnode web/server.js &\nwait", "3: in [] command node web/server.js"),
        ("nohup env A=1 go run ./a >/dev/null &", "1: in [] package a A=1"),
        (
            "r() {\n cd \"$1\" || exit\n go run main.go &\n cd - >/dev/null\n}\nr a\nr b/c",
            "6: in [a] package a\n7: in [b/c] package b/c",
        ),
        (
            "PORT=1 go run ./a &\nPORT=2 go run ./a &\nPORT=2 go run ./a &",
            "1: in [] package a PORT=1\n2: in [] package a PORT=2",
        ),
        (
            "bash -c 'cd a && go run .' &\n./b/start.sh &\ngo run ./c",
            "1: in [a] package a\n2: in [b] package b\n3: in [] package c",
        ),
        ("cd a && air &", "1: in [a] package a"),
        ("f() { f; go run .; }\nf", "2: in [] package "),
        ("go test ./... && go vet ./...", ""),
    ];
    for (script, expected) in table {
        let found = scan(script, "scripts/start.sh", &tree);
        assert_eq!(show(&found), expected, "{script}");
    }
}

#[test]
fn env_files_and_preparations_are_named() {
    let tree = Tree { read: &read, dirs: &[] };
    let found =
        scan("set -a; . ./.env; set +a\ndocker compose up -d db\ngo generate ./...\n", "start.sh", &tree);
    assert_eq!(found.env_files, [Fact { value: ".env".to_owned(), from: "start.sh:1".to_owned() }]);
    assert_eq!(
        found.notes,
        [
            "start.sh:2: `docker compose up -d db` is not a service; run it yourself before",
            "start.sh:3: `go generate ./...` is not a service; run it yourself before"
        ]
    );
}
