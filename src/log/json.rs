//! One JSON object per line, for programs.

use std::io::{ErrorKind, Write};

use super::{Remark, View};
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

    fn flush(&mut self) -> Vec<Remark> {
        write_out(&mut self.out, &mut self.buffer, &mut self.broken)
    }
}

/// Writes `buffer` to standard output and empties it; says only once that this does not work.
pub(super) fn write_out(out: &mut impl Write, buffer: &mut Vec<u8>, broken: &mut bool) -> Vec<Remark> {
    let result = out.write_all(buffer).and_then(|()| out.flush());
    buffer.clear();
    let was_broken = std::mem::replace(broken, result.is_err());
    match result {
        Err(error) if !was_broken => vec![match error.kind() {
            ErrorKind::BrokenPipe => Remark::Closed,
            _ => Remark::Broken(format!("cannot write to standard output: {error}")),
        }],
        _ => Vec::new(),
    }
}
