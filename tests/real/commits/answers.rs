//! Requests to a service, from a file beside this one, and its answers: the status, all headers and the body, with what
//! depends on time or chance put into a form that does not. Each such place is checked first: a value of another form
//! or of another time stays as it is, and differs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it is sent.
pub struct Request {
    /// What is told of it.
    pub line: String,
    bytes: Vec<u8>,
    /// What its answer has that depends on chance, or how it is asked: see [`Kind::of`].
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// The answer has a random UUID.
    Uuid,
    /// The answer has hexadecimal digits that are random, or a digest of the time.
    Digits,
    /// The answer tells how long it took.
    Timing,
    /// The body is sent at once and nothing after it.
    Ended,
}

impl Kind {
    fn of(word: &str) -> Kind {
        match word {
            "" => Kind::Plain,
            "uuid" => Kind::Uuid,
            "digits" => Kind::Digits,
            "timing" => Kind::Timing,
            "ended" => Kind::Ended,
            other => panic!("no kind of request: {other}"),
        }
    }
}

/// The requests of a file: each begins with a line `###` and its kind, then come its first line, its headers and after
/// an empty line its body.
pub fn requests(text: &str) -> Vec<Request> {
    text.split("\n###").skip(1).map(request).collect()
}

fn request(block: &str) -> Request {
    let (kind, rest) = block.split_once('\n').unwrap();
    let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let mut body = unescaped(body.trim_end_matches('\n'));
    if body.ends_with(b"\r") {
        body.push(b'\n');
    }
    let mut lines = head.trim_end().lines();
    let line = lines.next().unwrap().to_owned();
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: service.test\r\n");
    let headers: Vec<&str> = lines.collect();
    if !headers.iter().any(|header| header.starts_with("Connection:")) {
        bytes += "Connection: close\r\n";
    }
    let kind = Kind::of(kind.trim());
    if !body.is_empty() && kind != Kind::Ended && !head.contains("Transfer-Encoding:") {
        bytes += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|header| bytes += &format!("{header}\r\n"));
    bytes += "\r\n";
    Request { line, bytes: [bytes.into_bytes(), body].concat(), kind }
}

/// Bytes that a text file cannot hold are written as `\xNN`, and the end of a line of the protocol as `\r` at its end.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let hex = after.strip_prefix('x').and_then(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok());
        (bytes, rest) = match (hex, after.strip_prefix('r')) {
            (Some(byte), _) => ([bytes, vec![byte]].concat(), &after[3..]),
            (None, Some(after)) => ([bytes, vec![b'\r']].concat(), after),
            (None, None) => ([bytes, vec![b'\\']].concat(), after),
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

impl Request {
    /// What the service on `port` answers to it.
    pub fn ask(&self, port: u16) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let own = stream.local_addr().unwrap().to_string();
        let mut bytes = Vec::new();
        let asked = stream.write_all(&self.bytes).and_then(|()| {
            if self.kind == Kind::Ended {
                stream.shutdown(Shutdown::Write)?;
            }
            stream.read_to_end(&mut bytes)
        });
        // What is not text is shown by its numbers.
        let text: String = bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
            text += chunk.valid();
            chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
            text
        });
        let text = text.replace(&own, "<client>");
        let text =
            replace(&dated(&text, SystemTime::now()), 13, |word| milliseconds(word, SystemTime::now()));
        let text = match self.kind {
            Kind::Uuid => replace(&text, 36, uuid),
            Kind::Digits => digits(&text),
            Kind::Timing => timings(&text),
            Kind::Plain | Kind::Ended => text,
        };
        // A service that rejects a body may reset the connection after its answer.
        text + &asked.err().map(|error| format!("\n<{:?}>", error.kind())).unwrap_or_default()
    }
}

/// Replaces each piece of `length` bytes for which `put` has something else.
fn replace(text: &str, length: usize, put: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((piece, new)) = rest.get(..length).and_then(|piece| Some((piece, put(piece)?))) {
            out += &new;
            rest = &rest[piece.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Dates of HTTP as the distance from `now`, in whole minutes. Those more than ten years away are constants.
fn dated(text: &str, now: SystemTime) -> String {
    replace(text, "Sun, 06 Nov 1994 08:49:37 GMT".len(), |piece| {
        let [_, day, month, year, time, zone @ ("GMT" | "UTC")] = piece.split(' ').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months.iter().position(|name| *name == month)? + 1;
        let at = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
        let since =
            |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let minutes = (since(at) - since(now) + 30).div_euclid(60);
        (minutes.abs() < 10 * 366 * 24 * 60).then(|| format!("<now {minutes:+} min {zone}>"))
    })
}

/// A number of milliseconds since 1970 that is within a minute of `now`.
fn milliseconds(word: &str, now: SystemTime) -> Option<String> {
    let at = UNIX_EPOCH + Duration::from_millis(word.parse().ok()?);
    let apart = now.duration_since(at).unwrap_or_else(|error| error.duration());
    (word.bytes().all(|byte| byte.is_ascii_digit()) && apart < Duration::from_secs(60))
        .then(|| "<now>".to_owned())
}

/// A random UUID, whose version and variant are no random bits.
fn uuid(word: &str) -> Option<String> {
    let bytes = word.as_bytes();
    let fits = bytes.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        14 => *byte == b'4',
        19 => b"89ab".contains(byte),
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
    });
    fits.then(|| "<uuid>".to_owned())
}

/// Runs of at least 32 hexadecimal digits as their number.
fn digits(text: &str) -> String {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let end = run + rest[run..].find(is_digit).unwrap_or(rest.len() - run);
        out += &if run >= 32 { format!("<{run} digits>") } else { rest[..run].to_owned() };
        out += &rest[run..end];
        rest = &rest[end..];
    }
    out
}

/// The numbers of `dur=` as how they are written: with so many decimals.
fn timings(text: &str) -> String {
    let mut parts = text.split("dur=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let known = number.parse::<f64>().map_or(number.to_owned(), |_| format!("<{decimals} decimals>"));
        out += &format!("dur={known}{rest}");
    }
    out
}

#[test]
fn what_depends_on_time_or_chance() {
    let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let text = dated("a: Tue, 14 Nov 2023 22:13:22 GMT\nb: Tue, 14 Nov 2023 23:13:20 GMT", now);
    assert_eq!(text, "a: <now +0 min GMT>\nb: <now +60 min GMT>");
    for constant in
        ["Thu, 01 Jan 1970 00:00:00 GMT", "Tue, 14 Nov 2023 23:13:20 CET", "not a date at all, but as long"]
    {
        assert_eq!(dated(constant, now), constant);
    }
    assert_eq!(milliseconds("1700000000000", now), Some("<now>".to_owned()));
    assert_eq!(milliseconds("1700000900000", now), None);
    assert_eq!(replace("é1d4c1e0a-0b1c-4d2e-8f30-a1b2c3d4e5f6!", 36, uuid), "é<uuid>!");
    assert_eq!(uuid("1d4c1e0a-0b1c-5d2e-8f30-a1b2c3d4e5f6"), None);
    let random = "0123456789abcdef".repeat(2);
    assert_eq!(digits(&format!("n=\"{random}a\", q=auth{random}")), "n=\"<33 digits>\", q=auth<32 digits>");
    assert_eq!(digits("dead beef"), "dead beef");
    assert_eq!(
        timings("a;dur=12.5;desc=\"x\", b;dur=51"),
        "a;dur=<1 decimals>;desc=\"x\", b;dur=<0 decimals>"
    );
    assert_eq!(unescaped("a\\x00b\\r\nc\\d"), b"a\0b\r\nc\\d");
}
