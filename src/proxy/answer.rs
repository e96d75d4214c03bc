//! What the held port answers by itself: plain errors, the page that shows why a build failed, the stream of events
//! that tells pages to reload, and the script in them that listens to it.

use std::fmt::Write;

use super::http1::Refusal;

/// The path of the stream of events. Requests for it never reach the service.
pub const RELOAD: &str = "/.hotwatch/reload";

/// What the stream begins with. The browser connects again by itself, after this many milliseconds (HTML Standard,
/// section 9.2).
pub const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                          Connection: close\r\n\r\nretry: 500\n\n";

/// The event that tells a page to reload.
pub const EVENT: &str = "data: reload\n\n";

/// An error that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The request is none.
    Refused(Refusal),
    /// The service has closed the connection without an answer.
    Broken,
    /// There is no service, or it does not accept connections.
    Absent,
}

/// The response for `failure`, after which the connection is closed; without body for a HEAD request.
pub fn failure(failure: Failure, head_only: bool) -> String {
    let (status, text) = match failure {
        Failure::Refused(Refusal::Malformed) => {
            ("400 Bad Request", "hotwatch: this is no valid HTTP/1 request")
        }
        Failure::Refused(Refusal::TooLarge) => {
            ("431 Request Header Fields Too Large", "hotwatch: the head of the request is larger than 64 KB")
        }
        Failure::Broken => {
            ("502 Bad Gateway", "hotwatch: the service has closed the connection without an answer")
        }
        Failure::Absent => ("503 Service Unavailable", "hotwatch: the service does not run; see its output"),
    };
    response(status, "text/plain; charset=utf-8", "Connection: close\r\n", &format!("{text}\n"), head_only)
}

/// A page that shows `text`, and asks for itself again once something else than `stamp` is to be shown.
pub fn page(text: &str, stamp: u64, persistent: bool, head_only: bool) -> String {
    let script = script(&page_stamp(stamp));
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>build failed</title>\n\
         <style>body {{ background: #1e1e1e; color: #ddd; margin: 2em }} pre {{ white-space: pre-wrap }}</style>\n\
         <pre>{}</pre>\n{script}",
        escape(text)
    );
    let connection = if persistent { "" } else { "Connection: close\r\n" };
    response("503 Service Unavailable", "text/html; charset=utf-8", connection, &body, head_only)
}

/// The script of a page that was made under `stamp`.
pub fn script(stamp: &str) -> String {
    format!("<script>new EventSource(\"{RELOAD}?{stamp}\").onmessage = () => location.reload()</script>\n")
}

/// What the stream is asked for by pages of the service, and by pages that show an error.
pub fn service_stamp(stamp: u64) -> String {
    format!("s{stamp}")
}

/// See [`service_stamp`].
pub fn page_stamp(stamp: u64) -> String {
    format!("p{stamp}")
}

fn response(status: &str, kind: &str, fields: &str, body: &str, head_only: bool) -> String {
    let length = body.len();
    let body = if head_only { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{fields}\r\n{body}"
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '<' | '>' | '&' | '"' | '\'' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
        escaped
    })
}
