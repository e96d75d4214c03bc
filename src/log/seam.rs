//! Where pieces of lines meet: a line that a service has not ended stays open until its rest comes, or somebody else
//! has something to say.

use std::collections::BTreeSet;

/// Which line is open in a view, of all those whose writers are called `K`.
#[derive(Debug)]
pub(super) struct Seam<K> {
    open: Option<K>,
    /// Whose last piece was not the end of a line.
    unfinished: BTreeSet<K>,
}

/// What to do with a piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// It goes on where the view stands.
    Continues,
    /// It begins a line.
    Begins,
    /// It only ends a line that had to be ended before.
    Nothing,
}

impl<K: Clone + Ord> Seam<K> {
    pub(super) fn new() -> Seam<K> {
        Seam { open: None, unfinished: BTreeSet::new() }
    }

    /// Takes in a piece of `writer`. If it begins a line, [`Seam::close`] comes first.
    pub(super) fn piece(&mut self, writer: &K, partial: bool, is_empty: bool) -> Piece {
        let was_unfinished = match partial {
            true => !self.unfinished.insert(writer.clone()),
            false => self.unfinished.remove(writer),
        };
        if self.open.as_ref() == Some(writer) {
            self.open.take_if(|_| !partial);
            return Piece::Continues;
        }
        if was_unfinished && is_empty && !partial { Piece::Nothing } else { Piece::Begins }
    }

    /// Leaves the line of `writer` open.
    pub(super) fn leave_open(&mut self, writer: &K) {
        self.open = Some(writer.clone());
    }

    /// Whether a line was open, which is to be ended now.
    pub(super) fn close(&mut self) -> bool {
        self.open.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_unless_somebody_comes_between() {
        // Who writes, what, and how it is shown; `+` marks a piece that goes on, `/` the end of another's line.
        let table = [
            (&[("a", "x+"), ("a", "y")][..], "a:x y\n"),
            (&[("a", "x+"), ("a", "")], "a:x \n"),
            (&[("a", "x+"), ("b", "z"), ("a", "y")], "a:x\nb:z\na:y\n"),
            (&[("a", "x+"), ("b", "z"), ("a", "")], "a:x\nb:z\n"),
            (&[("a", ""), ("a", "")], "a:\na:\n"),
            (&[("a", "x+"), ("b", "z+"), ("a", "y+"), ("b", ""), ("a", "w")], "a:x\nb:z\na:y w\n"),
        ];
        for (pieces, expected) in table {
            let (mut seam, mut shown) = (Seam::new(), String::new());
            for (writer, text) in pieces {
                let (partial, text) = (text.ends_with('+'), text.trim_end_matches('+'));
                match seam.piece(writer, partial, text.is_empty()) {
                    Piece::Nothing => continue,
                    Piece::Continues => shown += " ",
                    Piece::Begins => {
                        shown += if seam.close() { "\n" } else { "" };
                        shown += &format!("{writer}:");
                    }
                }
                shown += text;
                if partial {
                    seam.leave_open(writer);
                } else {
                    shown.push('\n');
                }
            }
            assert_eq!(shown, expected);
        }
    }
}
