mod load;
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use super::{Held, Listen, Settings, Told};
use support::{LONG, Rig, Service, answer, expect, rest, serve_http};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// How long what is to run out of patience is patient.
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_clients_connection_outlives_the_process_it_talked_to() {
    let (rig, mut client, old) = (Rig::new(), None, Service::echo(1));
    rig.switch(&old);
    let client: &mut TcpStream = client.insert(rig.connect());
    for path in ["/a", "/b"] {
        write!(client, "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!(answer(client).body, format!("1 {path} abc"));
    }
    let new = Service::echo(2);
    rig.switch(&new);
    rig.held.retire(1);
    rig.idle(&old);
    drop(old);
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(answer(client).body, "2 / ");
    assert_eq!(rig.get("/new").body, "2 /new ");
}

#[test]
fn a_request_in_flight_ends_where_it_began() {
    let rig = Rig::new();
    let (begun, begins) = crossbeam_channel::unbounded();
    let (gate, opened) = crossbeam_channel::unbounded::<()>();
    let old = Service::start(1, move |stream| {
        serve_http(stream, |_, _| {
            begun.send(()).unwrap();
            let _ = opened.recv();
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold".to_vec()
        });
    });
    rig.switch(&old);
    let mut client = rig.connect();
    client.write_all(GET.as_bytes()).unwrap();
    begins.recv_timeout(LONG).unwrap();

    let new = Service::echo(2);
    rig.switch(&new);
    rig.held.retire(1);
    assert_eq!(rig.get("/").body, "2 / ");
    assert!(rig.told.is_empty(), "the old one still works");
    gate.send(()).unwrap();
    assert_eq!(answer(&mut client).body, "old");
    rig.idle(&old);
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(answer(&mut client).body, "2 / ");
    assert!(rig.told.is_empty(), "told once");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let mut client = rig.connect();
    let requests = "POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n\
                    GET /c HTTP/1.1\r\nConnection: close\r\n\r\n";
    client.write_all(requests.as_bytes()).unwrap();
    for expected in ["1 /a x", "1 /b ", "1 /c "] {
        assert_eq!(answer(&mut client).body, expected);
    }
    assert_eq!(rest(&mut client), "");
}

#[test]
fn the_last_requests_are_kept_with_their_bodies() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let mut client = rig.connect();
    let head = "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    // The body comes in two pieces, and the next request behind the second.
    write!(client, "{head}ab").unwrap();
    client.flush().unwrap();
    write!(client, "cdGET /b HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!([answer(&mut client).body, answer(&mut client).body], ["1 /a abcd", "1 /b "]);
    rig.ask(&format!("POST /d HTTP/1.1\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000)));
    let recent = rig.held.recent();
    let kept: Vec<_> = recent.iter().map(|it| (it.head.as_slice(), it.body.as_slice())).collect();
    assert_eq!(kept, [(head.as_bytes(), &b"abcd"[..]), (b"GET /b HTTP/1.1\r\n\r\n", b"")]);
}

#[test]
fn clients_that_send_no_more_are_answered() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let mut client = rig.connect();
    client.write_all(format!("{GET}{GET}").as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&mut client).body, "1 / ");
    }
    assert_eq!(rest(&mut client), "");
    let mut old = rig.connect();
    old.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut old).ends_with("\r\n\r\n1 / "));
}

#[test]
fn interim_responses_and_the_body_they_ask_for() {
    let rig = Rig::new();
    let service = Service::start(1, |mut stream| {
        expect(&mut stream, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        expect(&mut stream, "2;a=b\r\nhi\r\n0\r\nSum: 1\r\n\r\n");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .unwrap();
        let _ = stream.read(&mut [0]);
    });
    rig.switch(&service);
    let mut client = rig.connect();
    client
        .write_all(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    expect(&mut client, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"2;a=b\r\nhi\r\n0\r\nSum: 1\r\n\r\n").unwrap();
    expect(&mut client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
}

#[test]
fn large_bodies_pass_whole_however_slow_the_reader() {
    const SIZE: usize = 8 << 20;
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let mut client = rig.connect();
    let mut writer = client.try_clone().unwrap();
    let body = (0..SIZE).map(|index| b'a' + u8::try_from(index % 23).unwrap()).collect::<Vec<_>>();
    let sent = body.clone();
    let writing = std::thread::spawn(move || {
        write!(writer, "POST / HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n").unwrap();
        writer.write_all(&sent).unwrap();
    });
    // Nothing is read before everything was sent.
    writing.join().unwrap();
    assert!(answer(&mut client).body.as_bytes()[4..] == body);
}

#[test]
fn an_upgraded_connection_stays_with_its_process() {
    let rig = Rig::new();
    let upgraded = |id| {
        Service::start(id, |mut stream| {
            expect(&mut stream, "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").unwrap();
            let mut bytes = [0; 16];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                stream.write_all(&bytes[..count]).unwrap();
            }
        })
    };
    let old = upgraded(1);
    rig.switch(&old);
    let open = || {
        let mut client = rig.connect();
        // Some do not wait for the answer.
        client.write_all(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly").unwrap();
        expect(&mut client, "HTTP/1.1 101 Switching Protocols\r\n\r\nearly");
        client
    };
    let (mut first, mut second) = (open(), open());
    let new = Service::echo(2);
    rig.switch(&new);
    rig.held.retire(1);
    assert_eq!(rig.get("/").body, "2 / ");
    for client in [&mut first, &mut second] {
        client.write_all(b"still").unwrap();
        expect(client, "still");
    }
    drop(first);
    assert!(rig.told.is_empty(), "one is still open");
    rig.held.close(1);
    rig.idle(&old);
    assert_eq!(rest(&mut second), "");
}

#[test]
fn what_is_no_http_1_is_a_tunnel_from_its_first_byte_and_half_closes_both_ways() {
    for opening in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "hello", "ABC", "GET"] {
        let rig = Rig::new();
        let service = Service::start(1, |mut stream| {
            let said = rest(&mut stream);
            stream.write_all(format!("all of {said}").as_bytes()).unwrap();
        });
        rig.switch(&service);
        let mut client = rig.connect();
        client.write_all(opening.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), format!("all of {opening}"));
        // The other way round.
        let service = Service::start(2, |mut stream| {
            stream.write_all(b"bye").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(rest(&mut stream), "more");
        });
        rig.switch(&service);
        let mut client = rig.connect();
        assert_eq!(rest(&mut client), "bye");
        client.write_all(b"more").unwrap();
        drop(client);
        rig.held.retire(2);
        rig.idle(&service);
    }
}

#[test]
fn a_client_that_waits_in_the_middle_of_a_line_is_passed_on() {
    let rig = Rig::new();
    let service = Service::start(1, |mut stream| {
        expect(&mut stream, "HELLO");
        stream.write_all(b"hello").unwrap();
    });
    rig.switch(&service);
    let mut client = rig.connect();
    client.write_all(b"HELLO").unwrap();
    expect(&mut client, "hello");
}

#[test]
fn who_speaks_first_may_be_the_service() {
    let rig = Rig::new();
    let greeter = |id| {
        Service::start(id, move |mut stream| {
            let _ = stream.write_all(format!("220 {id}\r\n").as_bytes());
            let _ = stream.read(&mut [0; 16]);
        })
    };
    let mut early = rig.connect();
    let old = greeter(1);
    rig.switch(&old);
    expect(&mut early, "220 1\r\n");
    let new = greeter(2);
    rig.switch(&new);
    rig.held.retire(1);
    expect(&mut rig.connect(), "220 2\r\n");
    assert!(rig.told.is_empty(), "a tunnel is open");
    drop(early);
    rig.idle(&old);
}

#[test]
fn what_arrives_without_a_process_waits_for_one() {
    // Who is endlessly patient is no special case.
    let rig = Rig::with(Duration::MAX, false);
    let mut request = rig.connect();
    request.write_all(GET.as_bytes()).unwrap();
    // Nobody listens there any more.
    let gone = Service::echo(1).address;
    rig.held.switch(Some((1, gone)));
    let service = Service::echo(2);
    rig.switch(&service);
    assert_eq!(answer(&mut request).body, "2 / ");
    // The same process may refuse for a while.
    rig.held.switch(Some((3, gone)));
    request.write_all(GET.as_bytes()).unwrap();
    let _late = Service::on(gone, 3, |stream| {
        serve_http(stream, |_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_vec());
    });
    assert_eq!(answer(&mut request).body, "late");
}

#[test]
fn patience_ends() {
    let rig = Rig::with(SHORT, false);
    let mut clients = [GET, "HEAD / HTTP/1.1\r\n\r\n", "\x16\x03", ""].map(|text| {
        let mut client = rig.connect();
        client.write_all(text.as_bytes()).unwrap();
        client
    });
    let [get, head, raw, silent] = &mut clients;
    let text = "hotwatch: the service does not run; see its output\n";
    assert_eq!((answer(get).body.as_str(), rest(get).as_str()), (text, ""));
    assert!(rest(head).ends_with("\r\n\r\n"));
    // What was sent is thrown away, so it may be a reset.
    assert_eq!(raw.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(rest(silent), "");

    let gone = Service::echo(1).address;
    rig.held.switch(Some((1, gone)));
    assert_eq!(rig.get("/").status, 503);
}

#[test]
fn a_service_that_closes_without_an_answer() {
    let rig = Rig::new();
    let silent = Service::start(1, |mut stream| expect(&mut stream, GET));
    rig.switch(&silent);
    assert_eq!(rig.ask(GET).status, 502);
    let half = Service::start(2, |mut stream| {
        expect(&mut stream, GET);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    });
    rig.switch(&half);
    let mut client = rig.connect();
    client.write_all(GET.as_bytes()).unwrap();
    assert!(rest(&mut client).ends_with("\r\n\r\nhalf"), "cut, and seen to be");
}

#[test]
fn what_is_still_open_can_be_closed() {
    let rig = Rig::new();
    let (begun, begins) = crossbeam_channel::unbounded();
    let stuck = Service::start(1, move |mut stream| {
        expect(&mut stream, GET);
        begun.send(()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    rig.switch(&stuck);
    let mut client = rig.connect();
    client.write_all(GET.as_bytes()).unwrap();
    begins.recv_timeout(LONG).unwrap();
    rig.held.retire(1);
    rig.held.close(1);
    assert_eq!(answer(&mut client).status, 502);
    rig.idle(&stuck);
}

#[test]
fn the_service_hears_of_a_client_that_is_gone() {
    let rig = Rig::new();
    let (begun, begins) = crossbeam_channel::unbounded();
    let (heard, hears) = crossbeam_channel::unbounded();
    let service = Service::start(1, move |mut stream| {
        expect(&mut stream, GET);
        begun.send(()).unwrap();
        let _ = heard.send(stream.read(&mut [0]).unwrap_or(0));
    });
    rig.switch(&service);
    let mut client = rig.connect();
    client.write_all(GET.as_bytes()).unwrap();
    begins.recv_timeout(LONG).unwrap();
    drop(client);
    assert_eq!(hears.recv_timeout(LONG), Ok(0));
    rig.held.retire(1);
    rig.idle(&service);
}

#[test]
fn a_response_before_the_end_of_the_request() {
    let rig = Rig::new();
    let service = Service::start(1, |mut stream| {
        expect(&mut stream, "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
            .unwrap();
    });
    rig.switch(&service);
    let mut client = rig.connect();
    client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let answered = answer(&mut client);
    assert_eq!((answered.status, answered.body.as_str()), (413, "big"));
    assert_eq!(rest(&mut client), "");
}

#[test]
fn no_request_is_smuggled_past() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let table = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello", 400),
        ("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n", 400),
    ];
    for (fields, status) in table {
        let mut client = rig.connect();
        write!(client, "POST / HTTP/1.1\r\n{fields}GET /smuggled HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((answer(&mut client).status, rest(&mut client).as_str()), (status, ""), "{fields:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(rig.ask(&long).status, 431);
    // A request after another that is none.
    let mut client = rig.connect();
    write!(client, "{GET}\x16\x03\x01").unwrap();
    assert_eq!(answer(&mut client).status, 200);
    assert_eq!(answer(&mut client).status, 400);
}

const PAGE: &str = "GET / HTTP/1.1\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\r\n";

/// The address of the stream of events that the script of `body` listens to.
fn stream_of(body: &str) -> &str {
    body.split_once("EventSource(\"").unwrap().1.split_once('"').unwrap().0
}

/// Connects to the stream of events at `path` like a page of the rig's.
fn listen_to(rig: &Rig, path: &str) -> TcpStream {
    let mut client = rig.connect();
    write!(client, "GET {path} HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    expect(&mut client, super::answer::STREAM);
    client
}

#[test]
fn while_a_page_is_set_pages_show_it() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let mut client = rig.connect();
    rig.held.page(Some("main.go:3: x < y & \"z\"".to_owned()));
    client.write_all(PAGE.as_bytes()).unwrap();
    let shown = answer(&mut client);
    assert_eq!(shown.status, 503);
    assert!(shown.body.contains("main.go:3: x &#60; y &#38; &#34;z&#34;"), "{}", shown.body);
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(answer(&mut client).body, "1 / ", "what is no page is passed on");

    let mut events = listen_to(&rig, stream_of(&shown.body));
    rig.held.page(None);
    expect(&mut events, super::answer::EVENT);
    client.write_all(PAGE.as_bytes()).unwrap();
    assert_eq!(answer(&mut client).body, "1 / ");
    // What is there no longer is told to who asks late.
    expect(&mut listen_to(&rig, stream_of(&shown.body)), super::answer::EVENT);
}

#[test]
fn who_waits_for_a_page_is_shown_why_there_is_none() {
    let rig = Rig::new();
    let mut client = rig.connect();
    client.write_all(PAGE.as_bytes()).unwrap();
    rig.held.page(Some("does not build".to_owned()));
    assert!(answer(&mut client).body.contains("does not build"));
}

#[test]
fn pages_reload_when_another_process_is_current() {
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<p>old";
    let (rig, old) = (Rig::with(LONG, true), Service::fixed(1, html));
    rig.switch(&old);
    let page = rig.ask(PAGE).body;
    assert!(page.starts_with("<p>old<script>"), "{page}");
    assert_eq!(rig.ask(GET).body, "<p>old", "a part of a page gets no script");

    let mut events = listen_to(&rig, stream_of(&page));
    rig.held.switch(None);
    rig.switch(&old);
    assert_eq!(rig.ask(PAGE).body, page, "the same process is no news");
    let new = Service::echo(2);
    rig.switch(&new);
    rig.held.retire(1);
    rig.idle(&old);
    expect(&mut events, super::answer::EVENT);
    expect(&mut listen_to(&rig, stream_of(&page)), super::answer::EVENT);
}

#[test]
fn a_port_that_is_taken_is_told_with_its_holder() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = Settings { listen: Listen::Loopback(port), live_reload: false, patience: LONG };
    let error = Held::listen(settings, |_| {}).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let expected = format!("port {port} is held by PID {}", std::process::id());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn the_end_of_the_handle_is_the_end_of_everything() {
    let (rig, service) = (Rig::new(), Service::echo(1));
    rig.switch(&service);
    let (mut client, address) = (rig.connect(), rig.held.local_addr());
    client.write_all(GET.as_bytes()).unwrap();
    assert_eq!(answer(&mut client).status, 200);
    if TcpListener::bind("[::1]:0").is_ok() {
        let mut client = TcpStream::connect(("::1", address.port())).unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        assert_eq!(answer(&mut client).status, 200);
    }
    drop(rig);
    assert_eq!(rest(&mut client), "");
    assert!(TcpStream::connect(address).is_err());
    let settings = Settings { listen: Listen::Address(address), live_reload: false, patience: LONG };
    let held = Held::listen(settings, |_: Told| {}).unwrap();
    assert_eq!(held.local_addr(), address);
}
