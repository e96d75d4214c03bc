//! The demo backend's `userService`, edited fifty times in a row while it is in use: by clients on kept connections, who
//! check each answer and send nothing twice. `SEED=N` replays the edits.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::is_possible;
use crate::support::{DEADLINE, Project, Up, copy, fixture, free_ports};

const EDITS: usize = 50;
const CLIENTS: usize = 16;

/// What a generation may take of the process's memory, in bytes.
const MEMORY: u64 = 200_000;

/// A place of the source that is edited: what stands there, and how the new code is asked for what it answers. `{}` is
/// a number.
struct Place {
    code: &'static str,
    ask: (&'static str, &'static str),
    answers: &'static str,
}

/// Places in three functions, one of which calls the others.
const PLACES: [Place; 4] = [
    Place { code: "return \"Hello from {}\"", ask: ("GET", "/"), answers: "\"message\":\"Hello from {}\"" },
    Place { code: "\"edit\": {},", ask: ("GET", "/"), answers: "\"edit\":{}," },
    Place { code: "\"use GET or POST {}\"", ask: ("PUT", "/users"), answers: "use GET or POST {}\n" },
    Place { code: "w.Header().Set(\"X-Edit\", \"{}\")", ask: ("GET", "/"), answers: "X-Edit: {}\r\n" },
];

/// A connection that is kept.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(port: u16) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Connection(BufReader::new(stream))
    }

    /// The status, and all of the answer.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection was closed");
            if let Some(value) = head[from..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head + &String::from_utf8(body).unwrap())
    }
}

/// Those who use the service. Each tells how many requests it has made, and how many users it has added.
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(u64, u64)>>,
}

impl Clients {
    fn begin(port: u16) -> Clients {
        let stop = Arc::<AtomicBool>::default();
        let client = |number: usize| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let (mut connection, mut rounds, mut added) = (Connection::open(port), 0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let (status, answer) = connection.ask("GET", "/", "");
                    assert!(status == 200 && answer.contains("\"service\":\"userService\""), "{answer}");
                    let (status, answer) = connection.ask("PUT", "/users", "");
                    assert!(status == 405 && answer.contains("use GET or POST"), "{answer}");
                    rounds += 1;
                    if rounds % 10 == 0 {
                        let name = format!("user {added} of {number}");
                        let (status, answer) =
                            connection.ask("POST", "/users", &format!("{{\"name\": \"{name}\"}}"));
                        assert!(status == 201 && answer.contains(&name), "{answer}");
                        added += 1;
                    }
                    // Some hundred requests a second in all, so that there are processors left for compiling.
                    thread::sleep(Duration::from_millis(50));
                }
                (2 * rounds + added, added)
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Clients { stop, threads }
    }

    /// How many requests there were, none of which has failed, and how many users are new.
    fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let counts = self.threads.into_iter().map(|thread| thread.join().unwrap());
        counts.fold((0, 0), |(requests, added), (more, users)| (requests + more, added + users))
    }
}

/// How much memory `pid` has, and how much of that belongs to what was loaded into it, in bytes.
fn resident(pid: i64) -> (u64, u64) {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let (mut loaded, mut all, mut total) = (false, 0, 0);
    for line in maps.lines() {
        if line.split('-').next().is_some_and(|start| u64::from_str_radix(start, 16).is_ok()) {
            loaded = line.contains("/patches/");
        }
        if let Some(size) = line.strip_prefix("Rss:") {
            let size = 1024 * size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            all += size;
            total += if loaded { size } else { 0 };
        }
    }
    (all, total)
}

fn project() -> (Project, u16) {
    let project = Project::new();
    copy(&fixture("backend/services/userService"), &project.path("users"));
    let port = free_ports(1)[0];
    let config = format!(
        "log_dir = {:?}\n[[service]]\nname = \"users\"\ndir = \"users\"\nport = {port}\nreload = \"patch\"\n\
         env = {{ USER_SERVICE_PORT = \"{port}\" }}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    // The places that are edited.
    let code = |place: usize| PLACES[place].code.replace("{}", "0");
    let file = "users/handlers.go";
    project.edit(file, "return \"Hello from userService\"", &code(0));
    project.edit(
        file,
        "\"service\": \"userService\",",
        &format!("\"service\": \"userService\",\n\t\t{}", code(1)),
    );
    project.edit(file, "\"use GET or POST\"", &code(2));
    project.edit(file, "w.WriteHeader(status)", &format!("{}\n\tw.WriteHeader(status)", code(3)));
    (project, port)
}

#[test]
fn fifty_random_edits_while_it_is_in_use() {
    if !is_possible() {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
    println!("SEED={seed}");
    let (project, port) = project();
    let mut up: Up = project.up();
    up.until_notice("takes patches");
    let pid = up.pid("users");
    let (mut early, clients) = (Connection::open(port), Clients::begin(port));
    early.ask("GET", "/", "");
    let (before, _) = resident(pid);

    let (mut state, mut last) = (seed, [0; PLACES.len()]);
    for edit in 1..=EDITS {
        // Numerical Recipes' linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32);
        let number = (state >> 16) as usize % PLACES.len();
        let place = &PLACES[number];
        let with = |text: &str, value: usize| text.replace("{}", &value.to_string());
        project.edit("users/handlers.go", &with(place.code, last[number]), &with(place.code, edit));
        last[number] = edit;
        let patched = up.until_event("patched", "users");
        assert_eq!(patched["generation"], edit, "SEED={seed}");
        let (method, path) = place.ask;
        // One that was open before the first edit, and a new one.
        for connection in [&mut early, &mut Connection::open(port)] {
            let (_, answer) = connection.ask(method, path, "");
            assert!(answer.contains(&with(place.answers, edit)), "SEED={seed}, edit {edit}: {answer}");
        }
    }
    let (requests, added) = clients.end();
    let (_, answer) = early.ask("GET", "/", "");
    assert!(answer.contains(&format!("\"pid\":{pid},")), "{answer}");
    assert!(answer.contains(&format!("\"users\":{}}}", 2 + added)), "{added} were added: {answer}");
    let (after, loaded) = resident(pid);
    let [taken, grown] = [loaded, after.saturating_sub(before)].map(|size| size / EDITS as u64);
    println!("{requests} requests, {added} of them POST, none failed");
    println!(
        "{taken} bytes resident per generation; with what its users have added, it has grown by {grown}"
    );
    assert!(taken <= MEMORY, "{taken} bytes");
    up.stop();
}
