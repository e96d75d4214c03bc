//! The port that hotwatch holds for a service: nobody who comes to it is ever turned away, whatever the process
//! behind it does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{DEADLINE, Project, copy, fixture, free_ports, is};

/// The fixture `web` behind a held port.
fn web(env: &str, settings: &str) -> (Project, u16) {
    with(env, "drain = \"5s\"", settings)
}

fn with(env: &str, proxy: &str, settings: &str) -> (Project, u16) {
    let project = Project::new();
    let port = free_ports(1)[0];
    copy(&fixture("web"), &project.path("web"));
    let config = format!(
        "log_dir = {:?}\ndebounce = \"0s\"\n[[service]]\nname = \"web\"\ndir = \"web\"\nenv = {{ {env} }}\n\
         proxy = {{ listen = {port}, {proxy} }}\n{settings}\n",
        project.log_dir()
    );
    project.write("hotwatch.toml", &config);
    (project, port)
}

fn save(project: &Project, answer: &str) {
    project.write("web/answer.go", &format!("package main\n\nconst answer = {answer:?}\n"));
}

/// A connection that sends requests and reads their answers, and tries nothing twice.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(port: u16) -> Client {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        Client(BufReader::new(connection))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "cut off");
        line
    }

    /// Reads one answer that says how long it is: its status line, and its body.
    fn answer(&mut self) -> (String, String) {
        let (status, mut length) = (self.line(), 0);
        loop {
            let line = self.line().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn get(&mut self) -> String {
        self.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
        let (status, body) = self.answer();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        body
    }

    /// Asks for a WebSocket; key and answer are those of RFC 6455, section 1.3.
    fn become_websocket(&mut self) {
        self.send(
            "GET /socket HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(self.line().starts_with("HTTP/1.1 101"));
        let head: String = std::iter::from_fn(|| Some(self.line()).filter(|line| line != "\r\n")).collect();
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    }

    /// Reads one text message of a WebSocket.
    fn message(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81);
        let mut length = usize::from(head[1]);
        if length == 126 {
            self.0.read_exact(&mut head).unwrap();
            length = usize::from(u16::from_be_bytes(head));
        }
        let mut message = vec![0; length];
        self.0.read_exact(&mut message).unwrap();
        String::from_utf8(message).unwrap()
    }

    fn post(&mut self, body: &str) {
        self.send(&format!(
            "POST /echo HTTP/1.1\r\nHost: web\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let (status, answer) = self.answer();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        assert!(answer == body, "{} of {} bytes", answer.len(), body.len());
    }
}

/// A WebSocket's frame with the message `text`, as clients send it.
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let head = match u8::try_from(text.len()) {
        Ok(length @ ..126) => vec![0x81, 0x80 | length],
        _ => [&[0x81, 0x80 | 126], &u16::try_from(text.len()).unwrap().to_be_bytes()[..]].concat(),
    };
    let masked = text.bytes().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask);
    head.into_iter().chain(mask).chain(masked).collect()
}

/// Requests in a steady rhythm, from threads of their own.
struct Load {
    stop: Arc<AtomicBool>,
    took: Arc<Mutex<Vec<Duration>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    /// 200 requests per second: by GET and POST, on connections that are kept and on fresh ones.
    fn start(port: u16) -> Load {
        let (stop, took) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let threads = (0..4).map(|kind| {
            let (stop, took) = (Arc::clone(&stop), Arc::clone(&took));
            thread::spawn(move || {
                let mut kept = Client::new(port);
                let (began, mut sent) = (Instant::now(), 0);
                while !stop.load(Ordering::Relaxed) {
                    let due = began + Duration::from_millis(20) * sent;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    sent += 1;
                    let mut fresh = (kind % 2 == 0).then(|| Client::new(port));
                    let client = fresh.as_mut().unwrap_or(&mut kept);
                    let start = Instant::now();
                    if kind < 2 {
                        drop(client.get());
                    } else {
                        client.post(&format!("{sent} {}", "x".repeat(3000)));
                    }
                    took.lock().unwrap().push(start.elapsed());
                }
            })
        });
        let threads = threads.collect();
        Load { stop, took, threads }
    }

    /// Ends it; fails if a request has. Returns how many there were, and the time below which 99 % of them stayed.
    fn end(self) -> (usize, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a request failed"));
        let mut took = self.took.lock().unwrap().clone();
        took.sort();
        (took.len(), took[took.len() * 99 / 100])
    }
}

/// Replaces the service `times` times under load: by saves now and then, by request otherwise.
fn replaced_under_load(env: &str, times: usize) {
    let (project, port) = web(env, "ready = { settle = \"50ms\" }");
    let mut up = project.up();
    up.until_event("good", "web");
    up.until_watching();
    let load = Load::start(port);
    for number in 0..times {
        let old = up.pid("web");
        if number % 20 == 0 {
            save(&project, &format!("edit {number}"));
        } else {
            let output = project.run(&["restart", "web", "--no-wait"]);
            assert!(output.status.success(), "{output:?}");
        }
        up.until_event("restarted", "web");
        let new = up.pid("web");
        let answer = Client::new(port).get();
        assert!(answer.starts_with(&format!("edit {} {new} ", number / 20 * 20)), "{answer}");
        up.until("the end of the old process", |seen| is(seen, "stopped", "web") && seen["pid"] == old);
    }
    let start_up = up.seen.iter().filter(|seen| is(seen, "ready", "web"));
    let start_up = start_up.map(|seen| seen["ms"].as_u64().unwrap()).max().unwrap();
    let (requests, p99) = load.end();
    eprintln!("{requests} requests over {times} restarts, p99 {p99:?}, slowest start {start_up} ms");
    assert!(p99 < Duration::from_millis(start_up + 100), "p99 {p99:?}, start {start_up} ms");
    up.stop();
}

#[test]
fn no_request_fails_while_a_service_that_dies_at_once_is_replaced() {
    replaced_under_load("", 100);
}

#[test]
fn no_request_fails_while_a_service_that_shuts_down_gracefully_is_replaced() {
    replaced_under_load("GRACEFUL = \"1\"", 100);
}

#[test]
fn a_service_that_is_handed_the_socket_is_replaced_without_anybody_in_between() {
    let (project, port) = with("GRACEFUL = \"1\"", "mode = \"fd\"", "ready = { settle = \"500ms\" }");
    let mut up = project.up();
    up.until_event("good", "web");
    up.until_watching();
    let stop = Arc::new(AtomicBool::new(false));
    let load = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                drop(Client::new(port).get());
            }
        })
    };
    for number in 0..4 {
        save(&project, &format!("edit {number}"));
        up.until_event("restarted", "web");
        up.until_event("stopped", "web");
        assert!(Client::new(port).get().starts_with(&format!("edit {number} ")));
    }
    stop.store(true, Ordering::Relaxed);
    load.join().expect("a request failed");
    up.stop();
}

#[test]
fn what_arrives_before_the_service_is_ready_waits() {
    let (project, port) = web("", "");
    let mut up = project.up();
    up.until("the build", |seen| is(seen, "building", "web"));
    assert!(Client::new(port).get().starts_with("one "));
    up.until_event("ready", "web");
    up.stop();
}

#[test]
fn streams_and_websockets_are_never_cut_while_the_old_process_drains() {
    let (project, port) = web("", "ready = { settle = \"50ms\" }");
    let mut up = project.up();
    up.until_event("good", "web");
    up.until_watching();
    let old = up.pid("web");
    let mut stream = Client::new(port);
    stream.send("GET /stream HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    assert!(stream.line().starts_with("HTTP/1.1 200"));
    let mut socket = Client::new(port);
    socket.become_websocket();
    let before = "before".repeat(1000);
    socket.0.get_mut().write_all(&frame(&before)).unwrap();
    assert_eq!(socket.message(), format!("{before} {old}"));
    // Part of a frame, of which the rest comes when another process has taken over.
    let after = frame("after");
    socket.0.get_mut().write_all(&after[..7]).unwrap();
    save(&project, "two");
    up.until_event("restarted", "web");
    assert!(Client::new(port).get().starts_with("two "));
    // Both are still with the process on which they began.
    up.until_event("good", "web");
    socket.0.get_mut().write_all(&after[7..]).unwrap();
    assert_eq!(socket.message(), format!("after {old}"));
    let mut rest = String::new();
    stream.0.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("line 29\n") && rest.ends_with("end\n\r\n0\r\n\r\n"), "{rest}");
    assert_eq!(up.count(0, "stopped", "web"), 0);
    drop(socket);
    up.until("the end of the old process", |seen| is(seen, "stopped", "web") && seen["pid"] == old);
    up.stop();
}

/// Reads frames of HTTP/2 until `stream` ends; returns what data they carried (RFC 9113, section 4.1).
fn http2_body(client: &mut Client, stream: u8) -> String {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        client.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        client.0.read_exact(&mut payload).unwrap();
        assert_ne!(head[3], 7, "GOAWAY: {payload:?}");
        if (head[3], head[8]) == (0, stream) {
            body.extend(payload);
            if head[4] & 1 != 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }
}

#[test]
fn http_2_stays_with_the_process_on_which_it_began() {
    let (project, port) = web("", "ready = { settle = \"50ms\" }");
    let mut up = project.up();
    up.until_event("good", "web");
    up.until_watching();
    let old = up.pid("web");
    let mut client = Client::new(port);
    // The preface with an empty SETTINGS frame, then GET / by entries of the static table (RFC 7541, appendix A).
    let get = |stream| [b"\0\0\x08\x01\x05\0\0\0".as_slice(), &[stream], b"\x82\x86\x84\x41\x03web"].concat();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    client.0.get_mut().write_all(&get(1)).unwrap();
    assert_eq!(http2_body(&mut client, 1), format!("one {old} HTTP/2.0\n"));
    save(&project, "two");
    up.until_event("restarted", "web");
    up.until_event("good", "web");
    client.0.get_mut().write_all(&get(3)).unwrap();
    assert_eq!(http2_body(&mut client, 3), format!("one {old} HTTP/2.0\n"));
    drop(client);
    up.until("the end of the old process", |seen| is(seen, "stopped", "web") && seen["pid"] == old);
    up.stop();
}

#[test]
fn one_that_does_not_listen_where_it_was_told_hears_of_the_variable() {
    let proxy = "env = \"LISTEN_PORT\", drain = \"5s\"";
    let (project, _) = with("PORT = \"0\"", proxy, "ready = { timeout = \"1s\" }");
    let mut up = project.up();
    let late = up.until("a late start", |seen| {
        is(seen, "notice", "web")
            && seen["message"].as_str().is_some_and(|text| text.starts_with("not ready"))
    });
    let message = late["message"].as_str().unwrap();
    assert!(message.contains("which the variable `LISTEN_PORT` tells it"), "{message}");
    up.stop();
}

#[test]
fn a_bad_version_behind_a_held_port_is_never_seen() {
    let (project, port) = web("", "");
    let mut up = project.up();
    up.until_event("good", "web");
    up.until_watching();
    let pid = up.pid("web");
    let load = Load::start(port);
    let bad = "package main\n\nimport \"os\"\n\nconst answer = \"bad\"\n\nfunc init() { os.Exit(3) }\n";
    project.write("web/answer.go", bad);
    let back = up.until_event("rolled_back", "web");
    assert_eq!((back["pid"].as_i64(), &back["started"]), (Some(pid), &serde_json::Value::Bool(false)));
    assert!(Client::new(port).get().starts_with(&format!("one {pid} ")));
    load.end();
    up.stop();
}

#[test]
fn a_port_is_held_otherwise_after_an_edit_of_the_configuration() {
    let (project, port) = web("", "");
    let mut up = project.up();
    up.until_event("ready", "web");
    up.until_watching();
    let other = free_ports(1)[0];
    let config = std::fs::read_to_string(project.path("hotwatch.toml")).unwrap();
    project.write("hotwatch.toml", &config.replace(&port.to_string(), &other.to_string()));
    up.until_event("ready", "web");
    assert!(Client::new(other).get().starts_with("one "));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    up.stop();
}
