//! Requests to send: as editors' HTTP clients have them in files, or as they passed a held port. Pure.
//!
//! A file holds requests between lines of `###`. Each begins with `GET /path`, or the like with a whole URL, of which the
//! path counts; then come lines of headers, an empty line, and the body. Lines with `#` or `//` before the body are
//! comments, and variables are not filled in.

use crate::proxy::Passed;

/// Methods that change nothing (RFC 9110, section 9.2.1).
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Fields that are about the connection, or about how bytes are coded on it; they are written anew.
const OF_CONNECTION: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
];

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// The path, and behind `?` the query.
    pub target: String,
    /// Names and values, without those about the connection.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is wrong with a file of requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A line that should begin a request.
    #[error("line {line}: `{text}` begins no request; write `GET /path`, or `POST /path`")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A line that should be a header.
    #[error("line {line}: `{text}` is no header; write `Name: value`, or an empty line before the body")]
    Header {
        /// The number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

impl Request {
    /// Whether it may be sent without changing anything.
    pub fn is_safe(&self) -> bool {
        SAFE.contains(&self.method.as_str())
    }

    /// It, as it passed a held port; `None` if it is none that has one answer and an end.
    pub fn of(passed: &Passed) -> Option<Request> {
        let mut fields = [httparse::EMPTY_HEADER; 256];
        let mut head = httparse::Request::new(&mut fields);
        head.parse(&passed.head).ok()?;
        let text = |value: &[u8]| std::str::from_utf8(value).map(str::to_owned).ok();
        let mut headers = Vec::new();
        for field in &*head.headers {
            if field.name.eq_ignore_ascii_case("upgrade") {
                return None;
            }
            if is_kept(field.name) {
                headers.push((field.name.to_owned(), text(field.value)?));
            }
        }
        let (method, target) = (head.method?.to_owned(), path(head.path?).to_owned());
        Some(Request { method, target, headers, body: passed.body.clone() })
    }

    /// How it is written on a connection, for a server that is called `host` unless the request says how.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !has("host") {
            head += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || !self.is_safe() {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head += "Connection: close\r\n\r\n";
        [head.as_bytes(), &self.body].concat()
    }
}

/// The requests in a file of the content `text`.
///
/// # Errors
/// A line is not as it should be.
pub fn parse(text: &str) -> Result<Vec<Request>, RequestError> {
    let lines: Vec<&str> = text.lines().collect();
    let mut requests = Vec::new();
    let mut start = 0;
    for block in lines.split(|line| line.trim_start().starts_with("###")) {
        requests.extend(one(block, start)?);
        start += block.len() + 1;
    }
    Ok(requests)
}

/// The request in `lines`, the first of which has the number `start`, from 0; `None` if there is none.
fn one(lines: &[&str], start: usize) -> Result<Option<Request>, RequestError> {
    let is_comment = |line: &str| line.trim_start().starts_with('#') || line.trim_start().starts_with("//");
    let mut numbered = lines.iter().enumerate().map(|(at, line)| (start + at + 1, *line));
    let Some((line, text)) = numbered.by_ref().find(|(_, line)| !line.trim().is_empty() && !is_comment(line))
    else {
        return Ok(None);
    };
    let wrong = || RequestError::Line { line, text: text.to_owned() };
    let mut words = text.split_whitespace();
    let (Some(method), Some(url)) = (words.next(), words.next()) else { return Err(wrong()) };
    let has_path = url.starts_with('/') || url.contains("://");
    if !method.bytes().all(|byte| byte.is_ascii_uppercase()) || !has_path {
        return Err(wrong());
    }
    let (mut headers, mut body) = (Vec::new(), Vec::new());
    while let Some((line, text)) = numbered.next() {
        if text.trim().is_empty() {
            body = numbered.map(|(_, line)| line).collect();
            break;
        }
        if is_comment(text) {
            continue;
        }
        let (name, value) = text
            .split_once(':')
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| RequestError::Header { line, text: text.to_owned() })?;
        if is_kept(name) {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    // Empty lines before the next request are between the two.
    while body.last().is_some_and(|line| line.trim().is_empty()) {
        body.pop();
    }
    let (method, target) = (method.to_owned(), path(url).to_owned());
    Ok(Some(Request { method, target, headers, body: body.join("\n").into_bytes() }))
}

fn is_kept(name: &str) -> bool {
    !OF_CONNECTION.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The path of `url`, with what follows it.
fn path(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://").filter(|_| !url.starts_with('/')) else { return url };
    rest.find('/').map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_a_file() {
        let text = "# about\nGET /a?b=c\n\n###\n\n### named\nPOST http://localhost:80/x/y HTTP/1.1\n// note\n\
                    Content-Type: application/json\nConnection: keep-alive\n\n{\"a\":\n\n 1}\n\n\n###\nDELETE https://host\n";
        let requests = parse(text).unwrap();
        let short: Vec<_> = requests.iter().map(|it| (it.method.as_str(), it.target.as_str())).collect();
        assert_eq!(short, [("GET", "/a?b=c"), ("POST", "/x/y"), ("DELETE", "/")]);
        assert_eq!(requests[1].headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
        assert_eq!(requests[1].body, b"{\"a\":\n\n 1}");
        assert_eq!(requests.iter().map(Request::is_safe).collect::<Vec<_>>(), [true, false, false]);
        let sent = String::from_utf8(requests[1].bytes("h:1")).unwrap();
        let head = "POST /x/y HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\
                    Connection: close\r\n\r\n{";
        assert!(sent.starts_with(head), "{sent}");
        assert_eq!(parse("\n# nothing\n###\n").unwrap(), []);
    }

    #[test]
    fn lines_that_are_none_are_told_by_number() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("###\n\nget /a\n").starts_with("line 3: `get /a` begins no request"));
        assert!(error("GET a").starts_with("line 1: `GET a` begins no request"));
        assert!(error("GET").starts_with("line 1: `GET` begins no request"));
        assert!(error("GET /\nX: 1\nbody\n").starts_with("line 3: `body` is no header"));
    }

    #[test]
    fn requests_that_have_passed() {
        let of = |head: &str, body: &[u8]| {
            Request::of(&Passed { head: head.as_bytes().to_vec(), body: body.to_vec() })
        };
        let head =
            "PUT http://host/a HTTP/1.1\r\nHost: host\r\nAccept-Encoding: gzip\r\nContent-Length: 2\r\n\r\n";
        let request = of(head, b"\xff\0").unwrap();
        assert_eq!((request.target.as_str(), &request.body[..]), ("/a", &b"\xff\0"[..]));
        assert_eq!(request.headers, [("Host".to_owned(), "host".to_owned())]);
        assert_eq!(of("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b""), None);
        assert_eq!(of("nonsense", b""), None);
    }
}
