//! One JSON object per line, for programs.

use std::io::{ErrorKind, Write};

use super::{Problem, View};
use crate::record::Record;

/// Writes records as JSON lines.
pub struct Json<W> {
    out: W,
    buffer: Vec<u8>,
    broken: bool,
}

impl<W: Write + Send> Json<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Json<W> {
        Json { out, buffer: Vec::new(), broken: false }
    }
}

impl<W: Write + Send> View for Json<W> {
    fn show(&mut self, record: &Record) {
        // Writing to memory cannot fail, and a record has no key that is no string.
        if serde_json::to_writer(&mut self.buffer, record).is_ok() {
            self.buffer.push(b'\n');
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        write_out(&mut self.out, &mut self.buffer, &mut self.broken, "standard output")
    }
}

/// Writes `buffer` and empties it; says only once that this does not work.
pub(super) fn write_out(
    out: &mut impl Write,
    buffer: &mut Vec<u8>,
    broken: &mut bool,
    name: &str,
) -> Result<(), Problem> {
    let result = out.write_all(buffer).and_then(|()| out.flush());
    buffer.clear();
    match result {
        Ok(()) => {
            *broken = false;
            Ok(())
        }
        Err(_) if *broken => Ok(()),
        Err(error) => {
            *broken = true;
            Err(match error.kind() {
                ErrorKind::BrokenPipe => Problem::Closed,
                _ => Problem::Broken(format!("cannot write to {name}: {error}")),
            })
        }
    }
}
