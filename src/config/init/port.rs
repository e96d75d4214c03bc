//! Which port a service listens on, from what it is given and from its source. Only what is plain to see counts:
//! a port that is wrong makes a service look as if it never became ready.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fact, plain_name};

/// The port in arguments such as `--port 80`, `-http=:80` or `-listen 127.0.0.1:80`.
pub fn in_arguments(args: &[String]) -> Option<u16> {
    const FLAGS: [&str; 11] = [
        "port",
        "p",
        "addr",
        "address",
        "listen",
        "http",
        "bind",
        "http-addr",
        "http-port",
        "listen-addr",
        "grpc-port",
    ];
    let mut found = BTreeSet::new();
    for (index, arg) in args.iter().enumerate() {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, args.get(index + 1).map(String::as_str)),
        };
        if FLAGS.contains(&name.replace('_', "-").as_str()) {
            found.extend(value.and_then(port_of));
        }
    }
    only(&found)
}

/// The port of `80`, `:80` or `host:80`.
fn port_of(text: &str) -> Option<u16> {
    let digits = text.rsplit(':').next().unwrap_or(text);
    digits.parse().ok().filter(|port| *port > 0)
}

fn only(ports: &BTreeSet<u16>) -> Option<u16> {
    let mut ports = ports.iter();
    ports.next().filter(|_| ports.next().is_none()).copied()
}

/// Whether a variable called `variable` is the port that the service `name` listens on.
fn is_port_of(variable: &str, name: &str) -> bool {
    const ENDS: [&str; 4] = ["_PORT", "_ADDR", "_LISTEN_ADDR", "_HTTP_PORT"];
    const PLAIN: [&str; 8] = [
        "PORT",
        "HTTP_PORT",
        "SERVER_PORT",
        "LISTEN_PORT",
        "APP_PORT",
        "API_PORT",
        "LISTEN_ADDR",
        "HTTP_ADDR",
    ];
    PLAIN.contains(&variable)
        || ENDS.iter().any(|end| variable.strip_suffix(end).is_some_and(|rest| means(rest, name)))
}

/// Whether a variable is named after one service, as `USERS_PORT` is, and not after what any service has.
pub fn is_own(variable: &str) -> bool {
    const GENERAL: [&str; 5] = ["HTTP", "SERVER", "LISTEN", "APP", "API"];
    variable.split_once('_').is_some_and(|(first, _)| !GENERAL.contains(&first))
}

/// Whether the beginning of a variable means the service: `USER_SERVICE` and `USER` mean `userService`.
fn means(prefix: &str, name: &str) -> bool {
    let (prefix, name) = (plain_name(prefix), plain_name(name));
    let short =
        |text: &str| text.strip_suffix("service").or(text.strip_suffix("svc")).unwrap_or(text).to_owned();
    !prefix.is_empty() && short(&prefix) == short(&name)
}

/// The port in the variables that the service `name` alone is given.
pub fn in_variables(name: &str, env: &BTreeMap<String, Fact<String>>) -> Option<Fact<u16>> {
    let ports: Vec<Fact<u16>> = env
        .iter()
        .filter(|(variable, _)| is_port_of(variable, name))
        .filter_map(|(_, fact)| Some(Fact { value: port_of(&fact.value)?, from: fact.from.clone() }))
        .collect();
    let distinct: BTreeSet<u16> = ports.iter().map(|fact| fact.value).collect();
    only(&distinct).and_then(|_| ports.into_iter().next())
}

/// What the source of a main package says of its port.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// It listens here; the text says how that is known.
    Port(Fact<u16>),
    /// Several ports, or one that it may not listen on.
    Unsure(String),
    /// Nothing.
    Silent,
}

/// Reads the source of a main package: its files by name, relative to the root. `lookup` gives the value of a
/// variable that the service `name` gets, and where that stands.
pub fn in_source(
    name: &str,
    files: &[(String, String)],
    lookup: &dyn Fn(&str) -> Option<Fact<String>>,
) -> Source {
    let (mut variables, mut literals) = (BTreeMap::new(), BTreeMap::new());
    for (file, text) in files {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let at = format!("{file}:{}", index + 1);
            for variable in strings(line).filter(|text| is_port_of(text, name)) {
                let known = lookup(variable).and_then(|fact| Some((port_of(&fact.value)?, fact.from)));
                let default = || {
                    default(&lines[index..], variable)
                        .map(|port| (port, format!("the default of {variable} in {at}")))
                };
                variables.entry(variable.to_owned()).or_insert(known.or_else(default));
            }
            for port in strings(line).filter_map(|text| listens(line, text)) {
                literals.entry(port).or_insert(at.clone());
            }
        }
    }
    // A variable named after the service says more than one that any service may have.
    if variables.keys().any(|variable| is_own(variable)) {
        variables.retain(|variable, _| is_own(variable));
    }
    let candidates: BTreeMap<u16, String> = match variables.len() {
        0 => literals,
        _ => variables.into_values().flatten().collect(),
    };
    let mut ports = candidates.iter();
    match (ports.next(), ports.next()) {
        (None, _) => Source::Silent,
        (Some((port, from)), None) => Source::Port(Fact { value: *port, from: from.clone() }),
        _ => {
            let list: Vec<String> =
                candidates.iter().map(|(port, from)| format!("{port} ({from})")).collect();
            Source::Unsure(format!(
                "ports in its source: {}; set `port` to the one to wait for",
                list.join(", ")
            ))
        }
    }
}

/// The string literals of a line of Go.
fn strings(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

/// The port that `text` stands for in a line that listens on it.
fn listens(line: &str, text: &str) -> Option<u16> {
    const CALLS: [&str; 10] = [
        "ListenAndServe(",
        "ListenAndServeTLS(",
        "net.Listen(\"tcp",
        ".Listen(",
        ".Run(",
        ".Start(",
        "Addr:",
        "flag.String(",
        "WithHostPorts(",
        "WithAddress(",
    ];
    let (host, port) = text.rsplit_once(':')?;
    // `Addr: "localhost:6379"` is how clients are told where their server is.
    let hosts: &[&str] = match line.contains("Addr:") {
        true => &["", "0.0.0.0"],
        false => &["", "0.0.0.0", "127.0.0.1", "localhost", "[::]", "[::1]"],
    };
    let here = hosts.contains(&host);
    let called = CALLS.iter().any(|call| line.contains(call));
    // Flags have names; others than these are about peers.
    let flag = !line.contains("flag.String(")
        || strings(line).next().is_some_and(|flag| in_arguments(&[format!("-{flag}={text}")]).is_some());
    (here && called && flag).then(|| port.parse().ok().filter(|port| *port > 0)).flatten()
}

/// The default of `variable` on its line (`env("PORT", "80")`), or in a condition just below (`port = "80"`).
fn default(lines: &[&str], variable: &str) -> Option<u16> {
    let (_, rest) = lines.first()?.split_once(&format!("\"{variable}\""))?;
    let same = rest.trim_start().strip_prefix(',').and_then(|rest| {
        let value = rest.trim_start().trim_start_matches('"');
        port_of(value.split(['"', ')', ',']).next()?.trim())
    });
    same.or_else(|| {
        let below = lines.get(1..4.min(lines.len()))?;
        let condition = below.iter().chain(lines.first()).any(|line| line.contains("== \"\""));
        let assigned =
            below.iter().filter_map(|line| strings(line.split_once("= \"").map(|_| *line)?).last());
        condition.then(|| assigned.filter_map(port_of).next()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let table = [
            ("--port 80", Some(80)),
            ("-port=80", Some(80)),
            ("serve -http :80 -v", Some(80)),
            ("--listen=127.0.0.1:80", Some(80)),
            ("--http_port 80", Some(80)),
            ("--port 80 --grpc-port 81", None),
            ("--db-port 5432", None),
            ("--addr unix", None),
            ("--port", None),
            ("80", None),
        ];
        for (line, expected) in table {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(in_arguments(&args), expected, "{line}");
        }
    }

    #[test]
    fn variables() {
        let table = [
            ("PORT=80", Some(80)),
            ("USER_SERVICE_PORT=80", Some(80)),
            ("USER_PORT=80", Some(80)),
            ("USERS_ADDR=:80", None),
            ("DB_PORT=5432", None),
            ("PORT=80 USER_SERVICE_PORT=81", None),
            ("PORT=no", None),
        ];
        for (line, expected) in table {
            let fact = |value: &str| Fact { value: value.to_owned(), from: String::new() };
            let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
            let env = pairs.map(|(name, value)| (name.to_owned(), fact(value))).collect();
            assert_eq!(in_variables("userService", &env).map(|fact| fact.value), expected, "{line}");
        }
    }

    #[test]
    fn sources() {
        let lookup = |name: &str| {
            let fact = |value: &str| Fact { value: value.to_owned(), from: ".env".to_owned() };
            match name {
                "USER_SERVICE_PORT" => Some(fact("20000")),
                _ => None,
            }
        };
        let table = [
            ("http.ListenAndServe(\":8080\", nil)", "8080 main.go:1"),
            ("net.Listen(\"tcp\", \"127.0.0.1:90\")", "90 main.go:1"),
            ("r := gin.New()\nr.Run(\":81\")", "81 main.go:2"),
            ("srv := http.Server{\n\tAddr: \":82\",\n}", "82 main.go:2"),
            ("addr := flag.String(\"addr\", \":83\", \"where\")", "83 main.go:1"),
            ("peer := flag.String(\"peer\", \":84\", \"whom\")", "-"),
            ("redis.Options{Addr: \"localhost:6379\"}", "-"),
            ("// http.ListenAndServe(\":8080\", nil)", "-"),
            ("http.Get(\"http://localhost:80\")", "-"),
            ("port := os.Getenv(\"USER_SERVICE_PORT\")\nif port == \"\" {\n\tport = \"1\"\n}", "20000 .env"),
            (
                "port := os.Getenv(\"PORT\")\nif port == \"\" {\n\tport = \"85\"\n}",
                "85 the default of PORT in main.go:1",
            ),
            ("if p := os.Getenv(\"PORT\"); p != \"\" {\n\tport = p\n}", "-"),
            ("port := env(\"PORT\", \"86\")", "86 the default of PORT in main.go:1"),
            ("port := envInt(\"PORT\", 87)", "87 the default of PORT in main.go:1"),
            ("db := env(\"DB_PORT\", \"5432\")", "-"),
            ("os.Getenv(\"ASSET_SERVICE_PORT\")", "-"),
            ("go http.ListenAndServe(\":1\", nil)\nhttp.ListenAndServe(\":2\", nil)", "?"),
        ];
        for (text, expected) in table {
            let found = match in_source("userService", &[("main.go".to_owned(), text.to_owned())], &lookup) {
                Source::Port(fact) => format!("{} {}", fact.value, fact.from),
                Source::Unsure(_) => "?".to_owned(),
                Source::Silent => "-".to_owned(),
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}
