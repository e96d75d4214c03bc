//! The line by which a service says that it is ready, whatever its colours, and whatever pieces it comes in.

use std::collections::BTreeMap;

use super::output::Piece;
use crate::ansi::{Filter, Keep};
use crate::record::Stream;

/// A text that is looked for in what a service writes, and never found over the end of a line.
pub struct Awaited {
    text: Vec<u8>,
    /// The ends of the lines that have not ended.
    lines: BTreeMap<Stream, (Filter, Vec<u8>)>,
}

impl Awaited {
    /// Looks for `text`.
    pub fn new(text: &str) -> Awaited {
        Awaited { text: text.as_bytes().to_vec(), lines: BTreeMap::new() }
    }

    /// Whether the text is in the line of which `piece` is the next.
    pub fn has_come(&mut self, piece: &Piece) -> bool {
        let begin = || (Filter::new(Keep::Text), Vec::new());
        let (filter, line) = self.lines.entry(piece.stream).or_insert_with(begin);
        filter.pass(&piece.text, line);
        let has_come =
            self.text.is_empty() || line.windows(self.text.len()).any(|window| window == self.text);
        if piece.partial {
            line.drain(..line.len().saturating_sub(self.text.len()));
        } else {
            self.lines.remove(&piece.stream);
        }
        has_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_pieces_and_under_colours_but_in_one_line_only() {
        // The pieces of standard output; `+` marks those that go on, `!` what is written to standard error.
        let table: [(&[&str], bool); 8] = [
            (&["is ready now"], true),
            (&["is rea+", "dy now"], true),
            (&["is r+", "e+", "a+", "!x", "d+", "y+"], true),
            (&["is \x1b[1mre\x1b[3+", "2mady\x1b[m"], true),
            (&["is rea", "dy now"], false),
            (&["is rea+", "!dy now"], false),
            (&["is re\x1b]0;+", "ady"], false),
            (&["!is ready"], true),
        ];
        for (pieces, expected) in table {
            let mut awaited = Awaited::new("ready");
            let found = pieces.iter().any(|written| {
                let text = written.trim_matches(['!', '+']).as_bytes().to_vec();
                let stream = if written.starts_with('!') { Stream::Stderr } else { Stream::Stdout };
                awaited.has_come(&Piece { stream, text, partial: written.ends_with('+') })
            });
            assert_eq!(found, expected, "{pieces:?}");
        }
    }
}
