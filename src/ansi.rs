//! Takes escape sequences out of text that comes in pieces: all of them, or all but colours. A program that thinks it
//! owns a terminal clears it and moves about in it, which no console of several services can bear. The sequences are
//! those of ECMA-48, the states those of Paul Williams's parser for DEC terminals (vt100.net/emu/dec_ansi_parser),
//! without what matters only to who acts on them. The eight-bit forms are left alone: they are letters in UTF-8.

/// A longer one is no colour.
const LONGEST_KEPT: usize = 64;

/// What stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything but escape sequences.
    Text,
    /// That, and the sequences that set colours and the like (SGR).
    Colors,
}

/// Filters one stream of text.
#[derive(Debug, Clone)]
pub struct Filter {
    keep: Keep,
    state: State,
    /// The sequence so far, where it may be one that stays.
    sequence: Vec<u8>,
    colored: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of any sequence.
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and a byte that says what kind the last one is of, as for character sets.
    Intermediate,
    /// After ESC [ and up to the letter that says what to do.
    Control,
    /// After ESC ] and the like, up to BEL or ESC \.
    String,
    /// There, after ESC.
    StringEscape,
}

impl Filter {
    /// A filter at the beginning of a line.
    pub fn new(keep: Keep) -> Filter {
        Filter { keep, state: State::Ground, sequence: Vec::new(), colored: false }
    }

    /// Adds to `out` what stays of `piece`, which goes on where the last one ended.
    pub fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if self.state == State::Ground && !piece.contains(&0x1b) {
            return out.extend_from_slice(piece);
        }
        piece.iter().for_each(|&byte| self.byte(byte, out));
    }

    /// Takes in that the line has ended: what was begun and not ended hides nothing after it.
    pub fn end_line(&mut self) {
        (self.state, self.colored) = (State::Ground, false);
    }

    /// Whether a colour was set in this line.
    pub fn is_colored(&self) -> bool {
        self.colored
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        use State::{Control, Escape, Ground, Intermediate, String, StringEscape};
        self.state = match (self.state, byte) {
            // Strings may hold anything; ST ends them, and so does any other sequence.
            (String, 0x1b) => StringEscape,
            (String, 0x07) | (StringEscape, b'\\') => Ground,
            (_, 0x18 | 0x1a) => Ground,
            (String, _) => String,
            (_, 0x1b) => {
                self.sequence.clear();
                self.sequence.push(byte);
                Escape
            }
            (Ground, _) => {
                out.push(byte);
                Ground
            }
            // Acted on at once, wherever they stand.
            (state, 0x00..=0x1f) => {
                out.push(byte);
                state
            }
            (state, 0x7f) => state,
            (Escape | StringEscape, b'[') => {
                self.sequence = vec![0x1b, b'['];
                Control
            }
            (Escape | StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => String,
            (Escape | StringEscape | Intermediate, 0x20..=0x2f) => Intermediate,
            (Escape | StringEscape | Intermediate, 0x30..=0x7e) => Ground,
            (Control, 0x20..=0x3f) => {
                if self.sequence.len() < LONGEST_KEPT {
                    self.sequence.push(byte);
                }
                Control
            }
            (Control, 0x40..=0x7e) => {
                if byte == b'm' && self.keep == Keep::Colors && self.sets_colors() {
                    out.append(&mut self.sequence);
                    out.push(byte);
                    self.colored = true;
                }
                Ground
            }
            // No sequence has such a byte, so this was none.
            (_, 0x80..) => {
                out.push(byte);
                Ground
            }
        };
    }

    /// Whether the control sequence that ends in `m` has parameters only; with others it is of a private kind.
    fn sets_colors(&self) -> bool {
        let is_parameter = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
        self.sequence.len() < LONGEST_KEPT && self.sequence[2..].iter().all(is_parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[(&str, &str, &str)] = &[
        ("plain ü\0\t", "plain ü\0\t", "plain ü\0\t"),
        ("\x1b[1;31mred\x1b[0m", "red", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[38:2::1:2:3mx\x1b[m", "x", "\x1b[38:2::1:2:3mx\x1b[m"),
        // The screen, the cursor, modes, keyboard settings that end in `m` too.
        ("a\x1b[2J\x1b[10;1H\x1b[?25l\x1b[>4;1m\x1b[?4mb", "ab", "ab"),
        // Titles and links, ended in either way.
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\", "ab", "ab"),
        ("\x1bPq#0\x1b\\a\x1b_x\x1b\\", "a", "a"),
        // Character sets, single letters, the keypad.
        ("\x1b(Ba\x1b)0b\x1bMc\x1b=d\x1b#8e", "abcde", "abcde"),
        // Broken off: by another, by CAN, by text.
        ("\x1b[31\x1b[32mx", "x", "\x1b[32mx"),
        ("\x1b]0;t\x1b[31mx", "x", "\x1b[31mx"),
        ("\x1b[3\x18x\x1b[1üy", "xüy", "xüy"),
        ("\x1b[3\r1mx", "\rx", "\r\x1b[31mx"),
    ];

    #[test]
    fn sequences_go_and_colours_stay_if_they_may_however_the_text_is_cut() {
        for &(text, without, colored) in TABLE {
            for (keep, expected) in [(Keep::Text, without), (Keep::Colors, colored)] {
                for cut in 0..=text.len() {
                    let (mut filter, mut out) = (Filter::new(keep), Vec::new());
                    filter.pass(&text.as_bytes()[..cut], &mut out);
                    filter.pass(&text.as_bytes()[cut..], &mut out);
                    assert_eq!(String::from_utf8_lossy(&out), expected, "{text:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn what_is_endless_hides_no_more_than_its_line() {
        let (mut filter, mut out) = (Filter::new(Keep::Colors), Vec::new());
        filter.pass(b"a\x1b]0;no end", &mut out);
        filter.end_line();
        filter.pass(format!("b\x1b[{}mc", "1;".repeat(1000)).as_bytes(), &mut out);
        assert_eq!(out, b"abc");
    }
}
