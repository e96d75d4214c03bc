use super::*;

/// What becomes of `response` to `request` when both come in pieces that end at `cut`: what the service and the client
/// get, how it ends, and what is left of the response's bytes.
fn exchange(
    request: &[u8],
    response: &[u8],
    cut: usize,
    script: Option<&str>,
) -> (Vec<u8>, Vec<u8>, Progress, usize) {
    let head = http1::request(request).unwrap().unwrap();
    let length = head.length;
    let (mut to_service, mut to_client) = (Vec::new(), Vec::new());
    let script = script.map(str::to_owned);
    let mut exchange = Exchange::begin(head, &request[..length], script, &mut to_service);

    let (mut body, mut reply) = (Vec::new(), Vec::new());
    let cut_body = length + cut.min(request.len() - length);
    let cut_reply = cut.min(response.len());
    body.extend_from_slice(&request[length..cut_body]);
    exchange.send(&mut body, &mut to_service).unwrap();
    body.extend_from_slice(&request[cut_body..]);
    exchange.send(&mut body, &mut to_service).unwrap();

    reply.extend_from_slice(&response[..cut_reply]);
    let mut progress = exchange.receive(&mut reply, false, &mut to_client);
    for ended in [false, true] {
        reply.extend_from_slice(if ended { &[] } else { &response[cut_reply..] });
        if progress == Progress::Going {
            progress = exchange.receive(&mut reply, ended, &mut to_client);
        }
    }
    (to_service, to_client, progress, reply.len())
}

#[test]
fn messages_pass_unchanged_however_they_are_split() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n";
    let table = [
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Progress::Done),
        (post, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", Progress::Last),
        (
            chunked,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nB: c\r\n\r\n",
            Progress::Done,
        ),
        (post, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Progress::Done),
        (get, "HTTP/1.1 200 OK\r\n\r\nuntil the end", Progress::Last),
        (get, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Progress::Last),
        (get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Progress::Done),
        (get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", Progress::Broken),
        (get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", Progress::Broken),
        (get, "HTTP/1.1 101 Switching Protocols\r\n\r\n", Progress::Tunnel),
        (get, "what is not HTTP\r\n", Progress::Last),
        (get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n", Progress::Last),
        ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Progress::Done),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", Progress::Last),
    ];
    for (request, response, expected) in table {
        for cut in 0..=response.len() {
            let (sent, received, progress, left) =
                exchange(request.as_bytes(), response.as_bytes(), cut, None);
            let sent = String::from_utf8(sent).unwrap();
            assert_eq!((sent.as_str(), progress, left), (request, expected, 0), "{response:?} at {cut}");
            assert_eq!(String::from_utf8(received).unwrap(), response, "at {cut}");
        }
    }
}

#[test]
fn what_follows_a_message_is_left() {
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 408";
    let (.., progress, left) = exchange(b"GET / HTTP/1.1\r\n\r\n", response, 0, None);
    assert_eq!((progress, left), (Progress::Done, 12));
    let (sent, ..) = exchange(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nokGET", response, 0, None);
    assert!(sent.ends_with(b"\r\n\r\nok"));
}

#[test]
fn an_answer_without_its_head_complete_is_none() {
    let (_, received, progress, _) =
        exchange(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nConte", 7, None);
    assert_eq!((received.as_slice(), progress), (&b""[..], Progress::Broken));
}

#[test]
fn an_early_answer_does_not_cut_the_request() {
    let bytes = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
    let head = http1::request(bytes).unwrap().unwrap();
    let (mut to_service, mut to_client) = (Vec::new(), Vec::new());
    let mut exchange = Exchange::begin(head, bytes, None, &mut to_service);
    let mut reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    assert_eq!(exchange.receive(&mut reply, false, &mut to_client), Progress::Going);
    exchange.send(&mut b"hello".to_vec(), &mut to_service).unwrap();
    assert_eq!(exchange.receive(&mut reply, false, &mut to_client), Progress::Done);
}

#[test]
fn buffers_are_bounded() {
    let bytes = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", 10 * BUFFER);
    let head = http1::request(bytes.as_bytes()).unwrap().unwrap();
    let (mut to_service, mut to_client) = (Vec::new(), Vec::new());
    let mut exchange = Exchange::begin(head, bytes.as_bytes(), None, &mut to_service);
    let mut body = vec![b'x'; BUFFER];
    for _ in 0..4 {
        exchange.send(&mut body, &mut to_service).unwrap();
        body.resize(BUFFER, b'x');
    }
    let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 10 * BUFFER).into_bytes();
    for _ in 0..4 {
        reply.resize(BUFFER, b'x');
        assert_eq!(exchange.receive(&mut reply, false, &mut to_client), Progress::Going);
    }
    assert!(to_service.len() < 3 * BUFFER && to_client.len() < 3 * BUFFER);
    assert!(body.len() == BUFFER && reply.len() == BUFFER);
}

#[test]
fn pages_get_the_script_behind_them_and_tell_the_new_length() {
    let page = "GET / HTTP/1.1\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\r\n";
    let kind = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let script = "<script>x</script>";
    let table = [
        (
            "Content-Length: 4\r\n\r\n<p>a",
            "HTTP/1.1 200 OK\r\nContent-Length: 22\r\nContent-Type: text/html\r\n\r\n<p>a<script>x</script>"
                .to_owned(),
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n4;x\r\n<p>a\r\n000\r\nA: b\r\n\r\n",
            format!(
                "{kind}Transfer-Encoding: chunked\r\n\r\n4\r\n<p>a\r\n12\r\n{script}\r\n0\r\nA: b\r\n\r\n"
            ),
        ),
        ("\r\n<p>a", format!("{kind}\r\n<p>a{script}")),
        ("Content-Length: 0\r\n\r\n", format!("{kind}Content-Length: 0\r\n\r\n")),
        (
            "Content-Security-Policy: script-src 'nonce-n'\r\n\r\n<p>a",
            format!(
                "{kind}Content-Security-Policy: script-src 'nonce-n'\r\n\r\n<p>a<script nonce=\"n\">x</script>"
            ),
        ),
    ];
    for (rest, expected) in table {
        let response = format!("{kind}{rest}");
        for cut in 0..=response.len() {
            let (sent, received, ..) = exchange(page.as_bytes(), response.as_bytes(), cut, Some(script));
            assert_eq!(sent, b"GET / HTTP/1.1\r\nAccept: text/html\r\n\r\n");
            assert_eq!(String::from_utf8(received).unwrap(), expected, "at {cut}");
        }
    }
    let other = "GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n";
    let response = format!("{kind}Content-Length: 4\r\n\r\n<p>a");
    let (sent, received, ..) = exchange(other.as_bytes(), response.as_bytes(), 0, Some(script));
    assert_eq!((sent.as_slice(), received.as_slice()), (other.as_bytes(), response.as_bytes()));
}

#[test]
fn what_is_kept_is_kept_once_and_only_when_its_length_was_told() {
    let kept = |request: &str| {
        let head = http1::request(request.as_bytes()).unwrap().unwrap();
        let (length, mut to) = (head.length, Vec::new());
        let mut exchange = Exchange::begin(head, &request.as_bytes()[..length], None, &mut to);
        let mut body = request.as_bytes()[length..].to_vec();
        let before = exchange.passed().is_some();
        exchange.send(&mut body, &mut to).unwrap();
        let kept = exchange.passed().map(|passed| passed.body);
        assert_eq!(exchange.passed(), None);
        (before, kept)
    };
    assert_eq!(kept("GET / HTTP/1.1\r\n\r\n"), (true, None));
    assert_eq!(kept("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"), (false, Some(b"ab".to_vec())));
    assert_eq!(kept("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"), (false, None));
    assert_eq!(
        kept("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        (false, None)
    );
}
