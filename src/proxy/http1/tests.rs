use super::*;

#[test]
fn the_first_bytes_tell_what_a_connection_speaks() {
    let table: [(&[u8], Opening); 22] = [
        (b"", Opening::Unsure),
        (b"\r\n", Opening::Unsure),
        (b"GET", Opening::Unsure),
        (b"GET /", Opening::Unsure),
        (b"GET / HTTP/", Opening::Unsure),
        (b"GET / HTTP/1.", Opening::Request),
        (b"\r\nPOST /a?b HTTP/1.1\r\n", Opening::Request),
        (b"M-SEARCH * HTTP/1.1\r\n", Opening::Request),
        (b"CONNECT a.example:443 HTTP/1.1\r\n", Opening::Request),
        (b"PRI * HTTP/", Opening::Unsure),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opening::Other),
        (b"\x16\x03\x01", Opening::Other),
        (b"PING\r\n", Opening::Other),
        (b"SET key value\r\n", Opening::Other),
        (b"*1\r\n$4\r\nPING\r\n", Opening::Other),
        (b"GET  / HTTP/1.1", Opening::Other),
        (b"GET /\r\n", Opening::Other),
        (b" GET / HTTP/1.1", Opening::Other),
        (b"hello", Opening::Other),
        (b"\0", Opening::Other),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", Opening::Other),
        (b"GET / HTTX", Opening::Other),
    ];
    for (bytes, expected) in table {
        assert_eq!(opening(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(opening(format!("GET /{}", "a".repeat(HEAD_LIMIT)).as_bytes()), Opening::Request);
}

fn request_with(fields: &str) -> Result<Option<Request>, Refusal> {
    request(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

#[test]
fn no_request_is_taken_whose_end_two_readers_may_see_at_two_places() {
    let table = [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding\r\n : chunked\r\n",
        "X: a\r\n Content-Length: 5\r\n",
        "X: a\rContent-Length: 5\r\n",
        "X: a\0b\r\n",
        "X y: a\r\n",
        ": a\r\n",
    ];
    for fields in table {
        assert_eq!(request_with(fields), Err(Refusal::Malformed), "{fields:?}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(old), Err(Refusal::Malformed));
    assert_eq!(request(b"GET / HTTP/2.0\r\n\r\n"), Err(Refusal::Malformed));
}

#[test]
fn the_body_of_a_request() {
    let table = [
        ("", Body::Length(0)),
        ("content-length: 0012\r\n", Body::Length(12)),
        ("CONTENT-LENGTH:7 \r\n", Body::Length(7)),
        ("Transfer-Encoding: Chunked\r\n", Body::Chunked(Chunked::START)),
    ];
    for (fields, body) in table {
        assert_eq!(request_with(fields).unwrap().unwrap().body, body, "{fields:?}");
    }
}

#[test]
fn a_head_may_be_split_anywhere_and_has_a_limit() {
    let head = b"\r\nGET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(request(&head[..end]), Ok(None), "{end}");
    }
    let request_of = |bytes: &[u8]| request(bytes).unwrap().unwrap();
    let whole = request_of(&[&head[..], b"GET"].concat());
    assert_eq!((whole.length, whole.target.as_str()), (head.len(), "/a?b"));

    let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_LIMIT));
    assert_eq!(request(long.as_bytes()), Err(Refusal::TooLarge));
    assert_eq!(request(format!("{long}\r\n\r\n").as_bytes()), Err(Refusal::TooLarge));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(FIELDS + 1));
    assert_eq!(request(many.as_bytes()), Err(Refusal::TooLarge));
}

#[test]
fn whether_the_connection_outlives_a_request() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.1", "Connection: upgrade\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, fields, persistent) in table {
        let head = format!("GET / HTTP/{version}\r\n{fields}\r\n");
        assert_eq!(request(head.as_bytes()).unwrap().unwrap().persistent, persistent, "{head:?}");
    }
}

#[test]
fn pages_are_what_browsers_navigate_to() {
    let table = [
        ("GET", "Accept: text/html,application/xhtml+xml\r\nSec-Fetch-Mode: navigate\r\n", true),
        ("HEAD", "Accept: TEXT/HTML\r\n", true),
        ("GET", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n", false),
        ("GET", "Accept: */*\r\n", false),
        ("GET", "", false),
        ("POST", "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n", false),
    ];
    for (method, fields, page) in table {
        let head = format!("{method} / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(request(head.as_bytes()).unwrap().unwrap().page, page, "{head:?}");
    }
}

/// The response `text` to a request with this method.
fn response_to(method: &str, text: &str) -> Result<Option<Response>, Malformed> {
    let request = request(format!("{method} / HTTP/1.1\r\n\r\n").as_bytes()).unwrap().unwrap();
    response(text.as_bytes(), &request)
}

#[test]
fn the_body_of_a_response() {
    let chunked = Body::Chunked(Chunked::START);
    let table = [
        ("GET", "200 OK\r\nContent-Length: 5\r\n", Meaning::Final, Body::Length(5), true),
        ("GET", "200 OK\r\nTransfer-Encoding: chunked\r\n", Meaning::Final, chunked, true),
        ("GET", "200 OK\r\nTransfer-Encoding: gzip\r\n", Meaning::Final, Body::UntilClose, false),
        ("GET", "200 OK\r\n", Meaning::Final, Body::UntilClose, false),
        (
            "GET",
            "200 OK\r\nConnection: close\r\nContent-Length: 5\r\n",
            Meaning::Final,
            Body::Length(5),
            false,
        ),
        ("HEAD", "200 OK\r\nContent-Length: 5\r\n", Meaning::Final, Body::Length(0), true),
        ("GET", "204 No Content\r\n", Meaning::Final, Body::Length(0), true),
        ("GET", "304 Not Modified\r\nContent-Length: 5\r\n", Meaning::Final, Body::Length(0), true),
        ("POST", "100 Continue\r\n", Meaning::Interim, Body::Length(0), true),
        ("GET", "103 Early Hints\r\nLink: a\r\n", Meaning::Interim, Body::Length(0), true),
        ("GET", "101 Switching Protocols\r\nUpgrade: x\r\n", Meaning::Tunnel, Body::Length(0), true),
        ("CONNECT", "200 OK\r\n", Meaning::Tunnel, Body::Length(0), true),
        ("CONNECT", "403 Forbidden\r\nContent-Length: 2\r\n", Meaning::Final, Body::Length(2), true),
    ];
    for (method, text, meaning, body, persistent) in table {
        let response = response_to(method, &format!("HTTP/1.1 {text}\r\n")).unwrap().unwrap();
        assert_eq!(
            (response.meaning, response.body, response.persistent),
            (meaning, body, persistent),
            "{text}"
        );
    }
    let odd = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "220 mail.example ESMTP\r\n",
    ];
    for text in odd {
        assert_eq!(response_to("GET", text), Err(Malformed), "{text}");
    }
    assert_eq!(response_to("GET", "HTTP/1.1 200 OK\r\nX"), Ok(None));
}

#[test]
fn which_pages_get_a_script() {
    let nonce = |value: &str| Script::Nonce(value.to_owned());
    let policy = "Content-Security-Policy: ";
    let table = [
        ("200", "Content-Type: text/html\r\n".to_owned(), Script::Allowed),
        ("500", "content-type: Text/HTML; charset=utf-8\r\n".to_owned(), Script::Allowed),
        ("200", "Content-Type: text/htmlx\r\n".to_owned(), Script::Forbidden),
        ("200", "Content-Type: text/plain\r\n".to_owned(), Script::Forbidden),
        ("206", "Content-Type: text/html\r\n".to_owned(), Script::Forbidden),
        ("200", "Content-Type: text/html\r\nContent-Encoding: gzip\r\n".to_owned(), Script::Forbidden),
        ("200", "Content-Type: text/html\r\nContent-Encoding: identity\r\n".to_owned(), Script::Allowed),
        ("200", format!("Content-Type: text/html\r\n{policy}default-src 'self'\r\n"), Script::Forbidden),
        (
            "200",
            format!(
                "Content-Type: text/html\r\n{policy}style-src 'nonce-x'; script-src 'self' 'nonce-a+/='\r\n"
            ),
            nonce("a+/="),
        ),
        ("200", format!("Content-Type: text/html\r\n{policy}style-src 'nonce-x'\r\n"), Script::Forbidden),
        ("200", format!("Content-Type: text/html\r\n{policy}script-src 'nonce-\">'\r\n"), Script::Forbidden),
        (
            "200",
            format!(
                "Content-Type: text/html\r\n{policy}script-src 'nonce-a'\r\n{policy}script-src 'nonce-b'\r\n"
            ),
            Script::Forbidden,
        ),
    ];
    for (status, fields, script) in table {
        let text = format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: 3\r\n\r\n");
        assert_eq!(response_to("GET", &text).unwrap().unwrap().script, script, "{text}");
    }
}

#[test]
fn heads_are_changed_by_the_line() {
    let head = b"GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\nAccept: a\r\naccept-encoding:br\r\n\r\n";
    assert_eq!(without(head, "accept-encoding"), b"GET / HTTP/1.1\r\nAccept: a\r\n\r\n");
    assert_eq!(
        with_length(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\n", 12),
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y\r\n\r\n"
    );
}
