//! What the tests hold a port with: services and clients of a few lines, without retries.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Receiver;

use crate::proxy::{Held, Listen, Settings, Told};

/// How long anything may take before a test fails.
pub const LONG: Duration = Duration::from_secs(30);

/// A held port and what was told of it.
pub struct Rig {
    pub held: Held,
    pub told: Receiver<Told>,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(LONG, false)
    }

    pub fn with(patience: Duration, live_reload: bool) -> Rig {
        let (tell, told) = crossbeam_channel::unbounded();
        let settings = Settings { listen: Listen::Loopback(0), live_reload, patience };
        let held = Held::listen(settings, move |it| tell.send(it).unwrap()).unwrap();
        Rig { held, told }
    }

    pub fn switch(&self, service: &Service) {
        self.held.switch(Some((service.id, service.address)));
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.held.local_addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub fn idle(&self, service: &Service) {
        assert_eq!(self.told.recv_timeout(LONG), Ok(Told::Idle { id: service.id }));
    }

    /// The answer to a request on a connection of its own.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    pub fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }
}

/// A service that deals with each connection in a thread of its own.
pub struct Service {
    pub id: i32,
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    pub fn start(id: i32, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Service {
        Service::on((Ipv4Addr::LOCALHOST, 0).into(), id, serve)
    }

    pub fn on(address: SocketAddr, id: i32, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (open, stopped) = (Arc::<Mutex<Vec<TcpStream>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stopping, serve) = (Arc::clone(&open), Arc::clone(&stopped), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            let mut threads = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let serve = Arc::clone(&serve);
                threads.push(std::thread::spawn(move || {
                    let end = stream.try_clone().unwrap();
                    serve(stream);
                    let _ = end.shutdown(Shutdown::Both);
                }));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        Service { id, address, open, stopped, thread: Some(thread) }
    }

    /// One that answers every request with its id, the path and the body.
    pub fn echo(id: i32) -> Service {
        Service::slow(id, Duration::ZERO)
    }

    /// One like [`Service::echo`] that works for so long on each request.
    pub fn slow(id: i32, work: Duration) -> Service {
        Service::start(id, move |stream| {
            serve_http(stream, |head, body| {
                std::thread::sleep(work);
                let path = head.split(' ').nth(1).unwrap();
                let text = [format!("{id} {path} ").as_bytes(), body].concat();
                [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()).as_bytes(), &text]
                    .concat()
            });
        })
    }

    /// One that answers every request with these bytes.
    pub fn fixed(id: i32, response: &'static str) -> Service {
        Service::start(id, move |stream| serve_http(stream, |_, _| response.as_bytes().to_vec()))
    }
}

/// Dies at once: whatever is open is cut.
impl Drop for Service {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let (Some(thread), Ok(_)) = (self.thread.take(), woken) {
            thread.join().unwrap();
        }
    }
}

/// Answers requests on `stream` until it ends: `respond` gets the head and the body.
pub fn serve_http(mut stream: TcpStream, respond: impl Fn(&str, &[u8]) -> Vec<u8>) {
    while let Some((head, body)) = message(&mut stream, &mut Vec::new()) {
        if stream.write_all(&respond(&head, &body)).is_err() {
            return;
        }
    }
}

/// What a client got.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The next response on `stream`.
pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut rest = Vec::new();
    let Some((head, body)) = message(stream, &mut rest) else {
        panic!("no answer but {:?}", String::from_utf8_lossy(&rest));
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

/// Reads a message with Content-Length, or one without a body; `None` at the end. What came last is left in `read`.
fn message(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => read.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(std::mem::take(read)).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Reads exactly what is expected.
pub fn expect(stream: &mut TcpStream, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

/// Everything until the end of `stream`.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
