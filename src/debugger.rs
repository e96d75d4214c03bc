//! Delve: how it runs a service, on which port editors attach to it, and what it says. Nothing outside this module
//! knows it.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use hotwatch_platform::process::Exit;
use serde::Deserialize;

/// The program.
pub const PROGRAM: &str = "dlv";

/// How to get it (delve, `Documentation/installation/README.md`).
pub const INSTALL: &str = "go install github.com/go-delve/delve/cmd/dlv@latest";

/// The port of the first service's debugger.
const FIRST_PORT: u16 = 2345;

/// How long the debugger may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where the debugger of a service listens, whose place in the config file, counted from 0, is `place`.
pub fn port(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX).saturating_add(FIRST_PORT)
}

/// The command that runs `binary` under a debugger that listens on `port` and lets it run at once; the program's
/// arguments are to follow (`dlv help exec`).
pub fn command(port: u16, binary: &str) -> Vec<String> {
    let listen = format!("--listen=127.0.0.1:{port}");
    let words = [PROGRAM, "exec", "--headless", "--accept-multiclient", "--continue", "--api-version=2"];
    words.into_iter().chain([listen.as_str(), binary, "--"]).map(str::to_owned).collect()
}

/// What `line` of the output says if it is the debugger's own and not the program's.
pub fn said(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let address =
        line.strip_prefix("API server listening at: ").map(|at| format!("debugger listens on {at}"));
    address.or_else(|| line.strip_prefix("Stop reason: ").map(|why| format!("debugger: stopped, {why}")))
}

/// How the program has ended, as the debugger on `port` knows it; `None` if it does not tell.
pub fn exit(port: u16) -> Option<Exit> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    // Blocking, since the debugger may hear of the end later than others do.
    connection.write_all(br#"{"method":"RPCServer.State","params":[{"NonBlocking":false}],"id":1}"#).ok()?;
    let answer = serde_json::Deserializer::from_reader(BufReader::new(connection))
        .into_iter::<Answer>()
        .next()?
        .ok()?;
    parse_exit(&answer.error?)
}

/// An answer over JSON-RPC (delve, `Documentation/api/json-rpc/README.md`).
#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
}

/// The end of a program from the words of `ErrProcessExited` (delve, `pkg/proc/target.go`): signals are negative.
fn parse_exit(words: &str) -> Option<Exit> {
    let status: i32 = words.rsplit_once("has exited with status ")?.1.parse().ok()?;
    Some(if status < 0 { Exit::Signal(-status) } else { Exit::Code(status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_port_and_the_binary() {
        assert_eq!(
            command(port(1), "/cache/api").join(" "),
            "dlv exec --headless --accept-multiclient --continue --api-version=2 --listen=127.0.0.1:2346 \
             /cache/api --"
        );
        assert_eq!((port(0), port(100_000)), (2345, u16::MAX));
    }

    #[test]
    fn the_debuggers_lines_are_told_from_the_programs() {
        let table: [(&[u8], Option<&str>); 4] = [
            (b"API server listening at: 127.0.0.1:2345", Some("debugger listens on 127.0.0.1:2345")),
            (b"Stop reason: exited", Some("debugger: stopped, exited")),
            (b"listening", None),
            (b"\xff", None),
        ];
        for (line, expected) in table {
            assert_eq!(said(line).as_deref(), expected);
        }
    }

    #[test]
    fn the_end_of_a_program() {
        assert_eq!(parse_exit("Process 5455 has exited with status -15"), Some(Exit::Signal(15)));
        assert_eq!(parse_exit("Process 5455 has exited with status 3"), Some(Exit::Code(3)));
        assert_eq!(parse_exit("could not find file"), None);
    }
}
