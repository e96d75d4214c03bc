//! The chunked transfer coding (RFC 9112, section 7.1) as boundaries: which bytes belong to a body, and where its
//! chunks begin. Nothing is decoded; the bytes travel on as they are.

/// Bytes that are no message, or one that two readers may understand in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What some bytes of a chunked body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Of a line that tells the size of a chunk; the size when the line is complete. The last chunk's is 0.
    Size(Option<u64>),
    /// Data with the line end behind it, or the trailer section.
    Rest,
}

/// Where in a chunked body the next byte stands. Lines end with CRLF and nothing else: a reader that takes LF alone
/// sees other boundaries than one that does not, which is how requests are smuggled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunked {
    /// In the digits of a size, of which there were so many.
    Digits {
        size: u64,
        count: u8,
    },
    /// In white space behind a size.
    Blank {
        size: u64,
    },
    /// In a chunk extension.
    Extension {
        size: u64,
    },
    /// At the LF that ends the line of a size.
    SizeEnd {
        size: u64,
    },
    /// In data, of which this much is to come.
    Data {
        left: u64,
    },
    /// At the CR, then the LF, behind data.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line; the empty one is the end.
    Trailer,
    /// In a trailer line.
    TrailerLine,
    /// At the LF that ends a trailer line.
    TrailerLf,
    /// At the last LF.
    LastLf,
    /// The body is complete.
    Complete,
}

/// A size of more digits does not fit, or is padded for a reason.
const DIGITS: u8 = 16;

impl Chunked {
    /// The beginning of a body.
    pub const START: Chunked = Chunked::Digits { size: 0, count: 0 };

    /// How many of `bytes`, which may not be empty, come next, and what they are. None if the body is complete.
    ///
    /// # Errors
    /// They do not follow the coding.
    pub fn next(&mut self, bytes: &[u8]) -> Result<(usize, Part), Malformed> {
        if let Chunked::Data { left } = *self {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - count as u64;
            *self = if left == 0 { Chunked::DataCr } else { Chunked::Data { left } };
            return Ok((count, Part::Rest));
        }
        let in_size = self.in_size();
        for (index, &byte) in bytes.iter().enumerate() {
            let size = if let Chunked::SizeEnd { size } = *self { Some(size) } else { None };
            *self = self.after(byte)?;
            if in_size && !self.in_size() {
                return Ok((index + 1, Part::Size(size)));
            }
            if self.in_size() != in_size || *self == Chunked::Complete {
                return Ok((index + 1, Part::Rest));
            }
        }
        Ok((bytes.len(), if in_size { Part::Size(None) } else { Part::Rest }))
    }

    fn in_size(self) -> bool {
        matches!(
            self,
            Chunked::Digits { .. }
                | Chunked::Blank { .. }
                | Chunked::Extension { .. }
                | Chunked::SizeEnd { .. }
        )
    }

    /// The state behind `byte`, for all states but that in data.
    fn after(self, byte: u8) -> Result<Chunked, Malformed> {
        Ok(match (self, byte) {
            (Chunked::Digits { count: 0, .. }, byte) if !byte.is_ascii_hexdigit() => return Err(Malformed),
            (Chunked::Digits { count: DIGITS, .. }, byte) if byte.is_ascii_hexdigit() => {
                return Err(Malformed);
            }
            (Chunked::Digits { size, count }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Chunked::Digits { size: size << 4 | u64::from(digit), count: count + 1 }
            }
            (Chunked::Digits { size, .. } | Chunked::Blank { size }, b' ' | b'\t') => Chunked::Blank { size },
            (Chunked::Digits { size, .. } | Chunked::Blank { size }, b';') => Chunked::Extension { size },
            (Chunked::Digits { size, .. } | Chunked::Blank { size } | Chunked::Extension { size }, b'\r') => {
                Chunked::SizeEnd { size }
            }
            (Chunked::Extension { size }, byte) if byte != b'\n' => Chunked::Extension { size },
            (Chunked::SizeEnd { size: 0 }, b'\n') => Chunked::Trailer,
            (Chunked::SizeEnd { size }, b'\n') => Chunked::Data { left: size },
            (Chunked::DataCr, b'\r') => Chunked::DataLf,
            (Chunked::DataLf, b'\n') => Chunked::START,
            (Chunked::Trailer, b'\r') => Chunked::LastLf,
            (Chunked::TrailerLine, b'\r') => Chunked::TrailerLf,
            (Chunked::Trailer | Chunked::TrailerLine, byte) if byte != b'\n' => Chunked::TrailerLine,
            (Chunked::TrailerLf, b'\n') => Chunked::Trailer,
            (Chunked::LastLf, b'\n') => Chunked::Complete,
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths and parts of `bytes` when they come in pieces that end at `cuts`, up to the end of the body.
    fn read(bytes: &[u8], cuts: &[usize]) -> Result<(usize, Vec<u64>, bool), Malformed> {
        let mut state = Chunked::START;
        let (mut at, mut sizes) = (0, Vec::new());
        for &cut in cuts.iter().chain([&bytes.len()]) {
            while at < cut && state != Chunked::Complete {
                let (count, part) = state.next(&bytes[at..cut])?;
                assert!(count > 0);
                at += count;
                if let Part::Size(Some(size)) = part {
                    sizes.push(size);
                }
            }
        }
        Ok((at, sizes, state == Chunked::Complete))
    }

    #[test]
    fn ends_where_the_body_ends_however_it_is_split() {
        let table: [(&str, &[u64]); 6] = [
            ("0\r\n\r\n", &[0]),
            ("5\r\nhello\r\n0\r\n\r\n", &[5, 0]),
            ("5;a=b;c=\"d\"\r\nhello\r\n3 \t\r\n\r\n\r\r\n000;x\r\n\r\n", &[5, 3, 0]),
            ("A\r\n0123456789\r\na\r\n0\r\n\r\n45678\r\n00\r\nX-Sum: 1\r\nY: 2\r\n\r\n", &[10, 10, 0]),
            ("0\r\nA:\r\n\r\n", &[0]),
            ("0000000000000001\r\nx\r\n0\r\n\r\n", &[1, 0]),
        ];
        for (text, sizes) in table {
            let all = format!("{text}GET / HTTP/1.1\r\n");
            for first in 0..all.len() {
                for second in first..all.len() {
                    let expected = Ok((text.len(), sizes.to_vec(), true));
                    assert_eq!(read(all.as_bytes(), &[first, second]), expected, "{text:?} {first} {second}");
                }
            }
        }
    }

    #[test]
    fn what_two_readers_may_understand_in_two_ways_is_no_body() {
        let table = [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1\n",
            "1 1\r\n",
            "1;a\nb\r\n",
            "1;a\rb\r\n",
            "1\r\nxx\r\n",
            "1\r\nx\n",
            "0\r\n\n",
            "0\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\rc\r\n",
            "00000000000000001\r\n",
            "fffffffffffffffff\r\n",
        ];
        for text in table {
            assert_eq!(read(text.as_bytes(), &[]), Err(Malformed), "{text:?}");
        }
        assert_eq!(read(b"ffffffffffffffff\r\nx", &[]).map(|read| read.2), Ok(false));
    }
}
