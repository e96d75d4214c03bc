//! Sends a request to a process, on a connection of its own, and reads the answer to its end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::request::Request;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest answer that is compared, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, as it is without a coding of the connection.
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody listens, or the connection broke.
    #[error("cannot be reached: {0}")]
    Io(#[from] io::Error),
    /// It takes too long.
    #[error("has not ended its answer after {} s", ANSWER.as_secs())]
    Late,
    /// It is too long.
    #[error("answers with more than {} MB", LARGEST / (1024 * 1024))]
    Large,
    /// It is no HTTP/1.
    #[error("answers with what is no HTTP/1")]
    Strange,
}

/// Sends `request` to `address`, or where that is the loopback to its IPv6 address; `host` is what the server is called.
///
/// # Errors
/// See [`FetchError`].
pub fn fetch(request: &Request, address: SocketAddr, host: &str) -> Result<Response, FetchError> {
    let deadline = Instant::now() + ANSWER;
    let mut stream = connect(address)?;
    // A server may answer, and close, before it has read all.
    let written = stream.write_all(&request.bytes(host));
    let mut answer = Answer { bytes: Vec::new(), head_only: request.method == "HEAD" };
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FetchError::Late);
        }
        stream.set_read_timeout(Some(left))?;
        let ended = match stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                answer.bytes.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if answer.bytes.len() > LARGEST {
            return Err(FetchError::Large);
        }
        if let Some(response) = answer.complete(ended)? {
            return Ok(response);
        }
        if ended {
            written?;
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER).or_else(|error| {
        let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        if address.ip().is_loopback() { TcpStream::connect_timeout(&other, ANSWER) } else { Err(error) }
    })?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// An answer as far as it has come.
struct Answer {
    bytes: Vec<u8>,
    head_only: bool,
}

impl Answer {
    /// It, if it is complete; `ended` says that nothing more will come.
    fn complete(&mut self, ended: bool) -> Result<Option<Response>, FetchError> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 256];
            let mut head = httparse::Response::new(&mut fields);
            let length = match head.parse(&self.bytes).map_err(|_| FetchError::Strange)? {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial => return Ok(None),
            };
            let status = head.code.unwrap_or_default();
            if (100..200).contains(&status) && status != 101 {
                // Another one follows.
                self.bytes.drain(..length);
                continue;
            }
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers: Vec<(String, String)> =
                head.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
            let value = |name: &str| {
                headers
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.trim())
            };
            let rest = &self.bytes[length..];
            let body = if self.head_only || matches!(status, 101 | 204 | 304) {
                Some(Vec::new())
            } else if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
            {
                unchunked(rest)?
            } else if let Some(length) = value("content-length") {
                let length: usize = length.parse().map_err(|_| FetchError::Strange)?;
                rest.get(..length).map(<[u8]>::to_vec)
            } else {
                ended.then(|| rest.to_vec())
            };
            return Ok(body.map(|body| Response { status, headers, body }));
        }
    }
}

/// The body that is chunked in `bytes`; `None` if it is not complete.
fn unchunked(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, FetchError> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes).map_err(|_| FetchError::Strange)? {
            httparse::Status::Complete(chunk) => chunk,
            httparse::Status::Partial => return Ok(None),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|&size| size <= LARGEST).ok_or(FetchError::Large)?;
        // Two bytes end the line behind a chunk.
        let Some(chunk) = bytes.get(start..start + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        bytes = &bytes[start + size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    /// What is understood of a server that writes `answer` in pieces and closes if it `closes`.
    fn answered(method: &str, answer: &'static str, closes: bool) -> Result<Response, FetchError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            for piece in answer.as_bytes().chunks(7) {
                stream.write_all(piece).unwrap();
                stream.flush().unwrap();
            }
            if !closes {
                let _ = wait.recv();
            }
        });
        let request = Request { method: method.to_owned(), target: "/".to_owned(), ..Request::default() };
        let result = fetch(&request, address, "host");
        drop(done);
        server.join().unwrap();
        result
    }

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        let table = [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello"),
            (
                "GET",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
                false,
                404,
                "",
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n",
                false,
                200,
                "hello world",
            ),
            ("GET", "HTTP/1.0 200 OK\r\n\r\nto the end", true, 200, "to the end"),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 200, ""),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 304, ""),
        ];
        for (method, answer, closes, status, body) in table {
            let response =
                answered(method, answer, closes).unwrap_or_else(|error| panic!("{answer}: {error}"));
            assert_eq!((response.status, response.body.as_slice()), (status, body.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn what_is_cut_off_or_no_answer_is_told() {
        let cut = answered("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true);
        assert!(matches!(cut, Err(FetchError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof));
        assert!(matches!(answered("GET", "hello there", true), Err(FetchError::Strange)));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert!(matches!(answered("GET", chunks, true), Err(FetchError::Strange)));
    }
}
