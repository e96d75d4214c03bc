//! HTTP/1 messages as far as whoever stands between a client and a service must understand them: whether bytes begin
//! a request at all, where a head ends, how long the body behind it is, and whether the connection outlives it
//! (RFC 9112). What two readers could understand in two ways is refused.

use httparse::{Header, Status};

use super::chunked::{Chunked, Malformed, Part};

/// The largest head, in bytes.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// The most field lines of a head.
const FIELDS: usize = 256;

/// The longest method; of those registered with IANA the longest has 17 letters.
const METHOD: usize = 20;

/// What the first bytes on a connection begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The line of an HTTP/1 request.
    Request,
    /// Something else.
    Other,
    /// Either; the next bytes will tell.
    Unsure,
}

/// What `bytes`, the first on a connection, begin. Methods are taken for capital letters and hyphens, as all
/// registered ones are: so what begins otherwise need not be held back until a line is complete.
pub fn opening(bytes: &[u8]) -> Opening {
    // Empty lines before a request are ignored (RFC 9112, section 2.2).
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = &bytes[start..];
    let until = |line: &[u8], belongs: fn(u8) -> bool| line.iter().position(|&byte| !belongs(byte));
    let Some(end) = until(line, |byte| byte.is_ascii_uppercase() || byte == b'-') else {
        return if line.len() > METHOD { Opening::Other } else { Opening::Unsure };
    };
    if end == 0 || end > METHOD || line[end] != b' ' {
        return Opening::Other;
    }
    let target = &line[end + 1..];
    let Some(end) = until(target, |byte| byte > b' ' && byte != 0x7f) else {
        return if bytes.len() < HEAD_LIMIT { Opening::Unsure } else { Opening::Request };
    };
    if end == 0 || target[end] != b' ' {
        return Opening::Other;
    }
    let (version, expected) = (&target[end + 1..], b"HTTP/1.");
    let known = version.len().min(expected.len());
    match (version[..known] == expected[..known], known == expected.len()) {
        (false, _) => Opening::Other,
        (true, false) => Opening::Unsure,
        (true, true) => Opening::Request,
    }
}

/// How the end of a body is told, and what of it is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are left.
    Length(u64),
    /// It tells its end itself.
    Chunked(Chunked),
    /// Everything until the connection is closed.
    UntilClose,
}

impl Body {
    /// Whether nothing of it is left.
    pub fn is_complete(self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunked(Chunked::Complete))
    }

    /// How many of `bytes`, which may not be empty, come next, and what they are: none if it is complete.
    ///
    /// # Errors
    /// They do not follow the chunked coding.
    pub fn next(&mut self, bytes: &[u8]) -> Result<(usize, Part), Malformed> {
        match self {
            Body::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= count as u64;
                Ok((count, Part::Rest))
            }
            Body::Chunked(Chunked::Complete) => Ok((0, Part::Rest)),
            Body::Chunked(state) => state.next(bytes),
            Body::UntilClose => Ok((bytes.len(), Part::Rest)),
        }
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not follow the standard, or may be read in two ways.
    Malformed,
    /// Its head is larger than [`HEAD_LIMIT`] or has too many fields.
    TooLarge,
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its length in bytes.
    pub length: usize,
    /// The method is HEAD, so the response has no body.
    pub head_only: bool,
    /// The method is CONNECT, so a successful response makes the connection a tunnel.
    pub connect: bool,
    /// What is asked for: the path and behind `?` the query.
    pub target: String,
    /// A browser asks for a page that it will show, not for a part of one.
    pub page: bool,
    /// The client would send another request on the connection.
    pub persistent: bool,
    /// The body.
    pub body: Body,
}

/// The request at the beginning of `bytes`; `None` if its head is incomplete.
///
/// # Errors
/// There is none, or it may not be passed on.
pub fn request(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(Status::Complete(length)) if length <= HEAD_LIMIT => length,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::Malformed),
    };
    let fields = Fields(head.headers);
    let (method, minor) = (head.method.unwrap_or_default(), head.version.unwrap_or_default());
    let body = match (fields.length(), fields.all("transfer-encoding").next()) {
        (Ok(None), None) => Body::Length(0),
        (Ok(Some(length)), None) => Body::Length(length),
        // Other codings are nothing that Go's server knows either, and HTTP/1.0 has none.
        (Ok(None), Some(_)) if minor == 1 && fields.is_chunked() => Body::Chunked(Chunked::START),
        _ => return Err(Refusal::Malformed),
    };
    let navigates = fields.all("sec-fetch-mode").all(|mode| mode.eq_ignore_ascii_case(b"navigate"));
    let wants_html = fields.all("accept").any(|types| contains(types, b"text/html"));
    Ok(Some(Request {
        length,
        head_only: method == "HEAD",
        connect: method == "CONNECT",
        target: head.path.unwrap_or_default().to_owned(),
        page: matches!(method, "GET" | "HEAD") && wants_html && navigates,
        persistent: fields.persistent(minor),
        body,
    }))
}

/// Whether a script may be appended to a response's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// It is no page, is compressed, is a part of one, or its security policy forbids it.
    Forbidden,
    /// Yes.
    Allowed,
    /// Yes, with this nonce.
    Nonce(String),
}

/// What a response does to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Another response to the same request follows.
    Interim,
    /// The last one.
    Final,
    /// From here on the connection is no HTTP/1.
    Tunnel,
}

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its length in bytes.
    pub length: usize,
    /// What it does.
    pub meaning: Meaning,
    /// The service would take another request on the connection.
    pub persistent: bool,
    /// The body.
    pub body: Body,
    /// Whether a script may follow the body.
    pub script: Script,
}

/// The response to `request` at the beginning of `bytes`; `None` if its head is incomplete.
///
/// # Errors
/// There is none, it is too large, or the end of its body may be told in two ways.
pub fn response(bytes: &[u8], request: &Request) -> Result<Option<Response>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < HEAD_LIMIT => return Ok(None),
        _ => return Err(Malformed),
    };
    let fields = Fields(head.headers);
    let (code, minor) = (head.code.unwrap_or_default(), head.version.unwrap_or_default());
    let meaning = match code {
        101 => Meaning::Tunnel,
        200..300 if request.connect => Meaning::Tunnel,
        100..200 => Meaning::Interim,
        _ => Meaning::Final,
    };
    let body = match (fields.length()?, fields.all("transfer-encoding").next()) {
        _ if request.head_only || meaning != Meaning::Final || matches!(code, 204 | 304) => Body::Length(0),
        (Some(_), Some(_)) => return Err(Malformed),
        (None, Some(_)) if fields.is_chunked() => Body::Chunked(Chunked::START),
        (Some(length), None) => Body::Length(length),
        (None, _) => Body::UntilClose,
    };
    let script = if code == 206 || body.is_complete() { Script::Forbidden } else { fields.script() };
    let persistent = fields.persistent(minor) && body != Body::UntilClose;
    Ok(Some(Response { length, meaning, persistent, body, script }))
}

/// The field lines of a head.
struct Fields<'a>(&'a [Header<'a>]);

impl<'a> Fields<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of Content-Length. Twice the same is refused too: one reader takes it, another does not.
    fn length(&self) -> Result<Option<u64>, Malformed> {
        let mut values = self.all("content-length");
        let Some(value) = values.next() else { return Ok(None) };
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        if digits && values.next().is_none() { number.map(Some).ok_or(Malformed) } else { Err(Malformed) }
    }

    /// Whether the transfer coding is chunked and nothing else.
    fn is_chunked(&self) -> bool {
        let mut codings = self.all("transfer-encoding");
        let only = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        only && codings.next().is_none()
    }

    /// Whether the connection outlives the message (RFC 9112, section 9.3).
    fn persistent(&self, minor: u8) -> bool {
        let says = |option: &[u8]| {
            let mut options = self.all("connection").flat_map(|value| value.split(|&byte| byte == b','));
            options.any(|value| value.trim_ascii().eq_ignore_ascii_case(option))
        };
        !says(b"close") && (minor >= 1 || says(b"keep-alive"))
    }

    /// A page with a security policy gets a script only if the policy names a nonce, which the script then carries:
    /// whether a policy without one permits it would take all of its grammar.
    fn script(&self) -> Script {
        let html = self.all("content-type").any(|kind| {
            kind.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
                && matches!(kind.get(9), None | Some(b';' | b' '))
        });
        let coded = self.all("content-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        if !html || coded || self.all("content-range").next().is_some() {
            return Script::Forbidden;
        }
        let mut policies = self.all("content-security-policy").peekable();
        if policies.peek().is_none() {
            return Script::Allowed;
        }
        let nonces = policies.map(nonce).collect::<Option<Vec<_>>>().unwrap_or_default();
        match nonces.as_slice() {
            [nonce, rest @ ..] if rest.iter().all(|other| other == nonce) => Script::Nonce(nonce.clone()),
            _ => Script::Forbidden,
        }
    }
}

/// The nonce that a Content-Security-Policy asks of scripts, checked to be one: it is written into a page.
fn nonce(policy: &[u8]) -> Option<String> {
    let policy = std::str::from_utf8(policy).ok()?;
    let mut directives = policy.split([';', ',']).map(str::trim_start);
    let scripts = directives.find(|directive| directive.starts_with("script-src"))?;
    let (nonce, _) = scripts.split_once("'nonce-")?.1.split_once('\'')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
    nonce.chars().all(fits).then(|| nonce.to_owned())
}

/// `head` without the lines of the field `name`. It was parsed before, so no line continues the one above it.
pub fn without(head: &[u8], name: &str) -> Vec<u8> {
    let is = |line: &&[u8]| {
        line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
    };
    head.split_inclusive(|&byte| byte == b'\n').filter(|line| !is(line)).flatten().copied().collect()
}

/// `head`, which tells the length of the body, telling `length` instead.
pub fn with_length(head: &[u8], length: u64) -> Vec<u8> {
    let mut head = without(head, "content-length");
    let end = head.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    head.splice(end..end, format!("Content-Length: {length}\r\n").into_bytes());
    head
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests;
