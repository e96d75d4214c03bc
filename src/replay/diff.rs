//! Two texts line by line: what is gone, what came. Pure.

/// The longest piece, in lines, in which the smallest difference is looked for; longer ones are told as a whole.
const PIECE: usize = 1000;

/// A line that only one of two texts has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first.
    Gone(&'a str),
    /// The second.
    New(&'a str),
}

/// The lines of `before` and `after` that the other has not, in order.
pub fn lines<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let same = before.iter().zip(&after).take_while(|(was, is)| was == is).count();
    let (before, after) = (&before[same..], &after[same..]);
    let same = before.iter().rev().zip(after.iter().rev()).take_while(|(was, is)| was == is).count();
    let (before, after) = (&before[..before.len() - same], &after[..after.len() - same]);
    if before.len().max(after.len()) > PIECE {
        let gone = before.iter().map(|line| Line::Gone(line));
        return gone.chain(after.iter().map(|line| Line::New(line))).collect();
    }
    // How many lines the rests have in common, by where they begin.
    let width = after.len() + 1;
    let mut common = vec![0_u16; (before.len() + 1) * width];
    for (row, was) in before.iter().enumerate().rev() {
        for (column, is) in after.iter().enumerate().rev() {
            common[row * width + column] = if was == is {
                common[(row + 1) * width + column + 1] + 1
            } else {
                common[(row + 1) * width + column].max(common[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column, mut lines) = (0, 0, Vec::new());
    while row < before.len() || column < after.len() {
        let ends = row == before.len() || column == after.len();
        if !ends && before[row] == after[column] {
            (row, column) = (row + 1, column + 1);
        } else if column == after.len()
            || (row < before.len() && common[(row + 1) * width + column] >= common[row * width + column + 1])
        {
            lines.push(Line::Gone(before[row]));
            row += 1;
        } else {
            lines.push(Line::New(after[column]));
            column += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        let lines = lines(before, after);
        let words = lines.iter().map(|line| match line {
            Line::Gone(text) => format!("-{text}"),
            Line::New(text) => format!("+{text}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_smallest_difference() {
        for (before, after, expected) in [
            ("a\nb", "a\nb", ""),
            ("a\nb\nc", "a\nx\nc", "-b +x"),
            ("a\nb\nc\nd", "b\nd\ne", "-a -c +e"),
            ("", "a", "- +a"),
            ("a\nb", "b\na", "-a +a"),
        ] {
            assert_eq!(told(before, after), expected, "{before:?} {after:?}");
        }
        let many = |word: &str| (0..2 * PIECE).map(|number| format!("{word}{number}\n")).collect::<String>();
        assert_eq!(lines(&many("a"), &many("b")).len(), 4 * PIECE);
    }
}
