//! The helper as a program of its own: `serve` on standard input and output, or `run LOCK GRACE-MS DIR COMMAND...`.

use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hotwatch_helper::serve::serve;
use hotwatch_helper::supervise::supervise;

fn main() -> ExitCode {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["serve"] => match serve(io::stdin().lock(), io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("hotwatch's helper: {error}");
                ExitCode::FAILURE
            }
        },
        ["run", lock, grace, dir, words @ ..] => {
            let grace = Duration::from_millis(grace.parse().unwrap_or(0));
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let orders = BufReader::new(io::stdin());
            let code = supervise(&words, Path::new(dir), Path::new(lock), grace, orders);
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        _ => {
            eprintln!("this is a part of hotwatch, which starts it itself where it is needed");
            ExitCode::from(2)
        }
    }
}
