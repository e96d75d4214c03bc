//! Whether two answers to one request are the same, and what differs. Fields that differ between any two answers, such
//! as the date, do not count. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::diff::{self, Line};
use super::fetch::Response;

/// Fields that are not compared (lower case).
const IGNORED: [&str; 12] = [
    "age",
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server-timing",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "x-correlation-id",
    "x-request-id",
    "x-runtime",
];

/// Something that two answers do not have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// The status.
    Status {
        /// That of the process that runs.
        running: u16,
        /// That of the fresh one.
        fresh: u16,
    },
    /// The values of a field.
    Header {
        /// Its name, in lower case.
        name: String,
        /// Those of the process that runs.
        running: Vec<String>,
        /// Those of the fresh one.
        fresh: Vec<String>,
    },
    /// The text of the body.
    Body {
        /// Lines that only one has: with `-` the process that runs, with `+` the fresh one.
        lines: Vec<String>,
    },
    /// A body that is no text.
    Bytes {
        /// The length of that of the process that runs.
        running: usize,
        /// The length of that of the fresh one.
        fresh: usize,
        /// Where the first byte is that differs, from 0.
        at: usize,
    },
}

/// What `running` and `fresh` differ in; fields that are `ignored` (lower case) do not count either.
pub fn compare(running: &Response, fresh: &Response, ignored: &BTreeSet<String>) -> Vec<Difference> {
    let mut differences = Vec::new();
    if running.status != fresh.status {
        differences.push(Difference::Status { running: running.status, fresh: fresh.status });
    }
    let names = |response: &Response| -> Vec<String> {
        response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
    };
    let names: BTreeSet<String> = names(running).into_iter().chain(names(fresh)).collect();
    for name in names.into_iter().filter(|name| !IGNORED.contains(&name.as_str()) && !ignored.contains(name))
    {
        let values = |response: &Response| -> Vec<String> {
            let of_name = response.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(&name));
            of_name.map(|(_, value)| value.clone()).collect()
        };
        let (running, fresh) = (values(running), values(fresh));
        if running != fresh {
            differences.push(Difference::Header { name, running, fresh });
        }
    }
    differences.extend(body(&running.body, &fresh.body));
    differences
}

fn body(running: &[u8], fresh: &[u8]) -> Option<Difference> {
    if running == fresh {
        return None;
    }
    let (Ok(was), Ok(is)) = (std::str::from_utf8(running), std::str::from_utf8(fresh)) else {
        let at = running.iter().zip(fresh).take_while(|(was, is)| was == is).count();
        return Some(Difference::Bytes { running: running.len(), fresh: fresh.len(), at });
    };
    // Most JSON is one line, which says little where it differs.
    let laid_out = laid_out(was).zip(laid_out(is)).filter(|(was, is)| was != is);
    let (was, is) = laid_out.unwrap_or_else(|| (was.to_owned(), is.to_owned()));
    let lines = diff::lines(&was, &is).into_iter().map(|line| match line {
        Line::Gone(text) => format!("-{text}"),
        Line::New(text) => format!("+{text}"),
    });
    Some(Difference::Body { lines: lines.collect() })
}

/// `text`, if it is a JSON object or array, with a line for each value.
fn laid_out(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then(|| serde_json::to_string_pretty(&value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, body: body.to_vec() }
    }

    fn lines(running: &[u8], fresh: &[u8]) -> Vec<String> {
        let none = BTreeSet::new();
        match &compare(&response(200, &[], running), &response(200, &[], fresh), &none)[..] {
            [Difference::Body { lines }] => lines.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_counts_and_what_does_not() {
        let running =
            response(200, &[("Date", "a"), ("X-A", "1"), ("Set-Cookie", "a"), ("set-cookie", "b")], b"x");
        let same =
            response(200, &[("x-a", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("date", "b")], b"x");
        assert_eq!(compare(&running, &same, &BTreeSet::new()), []);
        let other = response(404, &[("X-A", "2"), ("Set-Cookie", "a"), ("Set-Cookie", "b")], b"\xff");
        let differences = compare(&running, &other, &BTreeSet::new());
        let header = |running: &[&str], fresh: &[&str]| Difference::Header {
            name: "x-a".to_owned(),
            running: running.iter().map(|&value| value.to_owned()).collect(),
            fresh: fresh.iter().map(|&value| value.to_owned()).collect(),
        };
        let expected = [
            Difference::Status { running: 200, fresh: 404 },
            header(&["1"], &["2"]),
            Difference::Bytes { running: 1, fresh: 1, at: 0 },
        ];
        assert_eq!(differences, expected);
        let ignored = BTreeSet::from(["x-a".to_owned()]);
        assert_eq!(compare(&running, &other, &ignored).len(), 2);
    }

    #[test]
    fn bodies_line_by_line_and_json_value_by_value() {
        assert_eq!(lines(b"a\nb\n", b"a\nc\n"), ["-b", "+c"]);
        assert_eq!(lines(b"{\"a\":1,\"b\":[2]}", b"{\"a\":1,\"b\":[3]}"), ["-    2", "+    3"]);
        // The same values, written otherwise.
        assert_eq!(lines(b"{\"a\":1}", b"{\"a\": 1}"), ["-{\"a\":1}", "+{\"a\": 1}"]);
    }
}
