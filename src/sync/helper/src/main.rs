//! The helper as a program of its own: `serve` on standard input and output, `run GRACE-MS DIR COMMAND...` or
//! the same as `expand`, with variables in the command, `wait`, or `leave`.

use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hotwatch_helper::expand::expand;
use hotwatch_helper::serve::{leave, serve};
use hotwatch_helper::supervise::supervise;
use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match act(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hotwatch's helper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &[&str]) -> io::Result<ExitCode> {
    match args {
        ["serve"] => serve(io::stdin().lock(), io::stdout())?,
        [verb @ ("run" | "expand"), grace, dir, words @ ..] => {
            let grace = Duration::from_millis(grace.parse().unwrap_or(0));
            let known = |word: &str| expand(word, |name| std::env::var(name).ok());
            let fill = |&word: &&str| if *verb == "expand" { known(word) } else { word.to_owned() };
            let words: Vec<String> = words.iter().map(fill).collect();
            // Its own file: every service has a helper of its own, and may write none where that lies.
            let lock = std::env::current_exe()?;
            let code = supervise(&words, Path::new(dir), &lock, grace, BufReader::new(io::stdin()));
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
        }
        // Something has to run in a container that nobody else has made.
        ["wait"] => {
            let mut ends = SigSet::empty();
            [Signal::SIGTERM, Signal::SIGINT].into_iter().for_each(|signal| ends.add(signal));
            ends.thread_block()?;
            ends.wait()?;
        }
        ["leave"] => leave()?,
        _ => {
            return Err(io::Error::other(
                "this is a part of hotwatch, which starts it itself where it is needed",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
