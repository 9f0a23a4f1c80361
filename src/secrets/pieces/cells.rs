//! Letters in cells, as `od -c` prints them: four columns each, an offset at the front of every line or none.

use super::Next;

/// What stands between two letters.
pub(super) const GAP: &[u8] = b"   ";
/// Columns of a cell.
const CELL: usize = 4;
/// The digits of an offset at most, and the bytes from one line's last cell to the next line's first.
const OFFSET: usize = 11;
const BETWEEN: usize = OFFSET + 2;

/// Where the line's cells begin that a letter stands among.
pub(super) fn begin(buffer: &[u8], letter: usize) -> usize {
    const WIDEST: usize = 16;
    let cell = |end: usize| end.checked_sub(CELL).and_then(|start| cell_of(buffer.get(start..end)?));
    let mut at = letter + 1;
    for _ in 1..WIDEST {
        if cell(at - CELL.min(at)).is_none() {
            break;
        }
        at -= CELL;
    }
    at - 1
}

/// What follows behind a cell.
pub(super) fn next(rest: &[u8], ended: bool) -> Next {
    let skip = match line_break(rest) {
        Some(skip) => skip,
        None if rest.len() < BETWEEN && !ended && may_break(rest) => return Next::More,
        None => return Next::End,
    };
    match rest.get(skip..skip + CELL) {
        Some(cell) => cell_of(cell).map_or(Next::End, |byte| Next::Line(skip, CELL, vec![byte])),
        None if ended => Next::End,
        None => Next::More,
    }
}

/// Bytes up to the next cell: none within a line, else a line break and an offset.
fn line_break(rest: &[u8]) -> Option<usize> {
    let breaks = match rest {
        [b'\r', b'\n', ..] | [b'\\', b'n', ..] => 2,
        [b'\n', ..] => 1,
        [] => return None,
        _ => return Some(0),
    };
    let line = rest.get(breaks..).unwrap_or_default();
    let digits = line.iter().take(OFFSET + 1).take_while(|byte| byte.is_ascii_digit()).count();
    // The last line is an offset alone.
    (digits <= OFFSET && line.get(digits) == Some(&b' ')).then_some(breaks + digits)
}

/// Whether the bytes are too few to tell where the next cell begins.
fn may_break(rest: &[u8]) -> bool {
    let line = rest.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n' | b'\\' | b'n'));
    line.into_iter().all(u8::is_ascii_digit)
}

/// What a cell shows.
fn cell_of(cell: &[u8]) -> Option<u8> {
    match *cell {
        [b' ', b' ', b' ', letter] if letter.is_ascii_graphic() || letter == b' ' => Some(letter),
        [b' ', b' ', b'\\', sign] => match sign {
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'0' => Some(0),
            _ => None,
        },
        [b' ', ref digits @ ..] if digits.iter().all(|byte| matches!(byte, b'0'..=b'7')) => {
            let number = digits.iter().fold(0u16, |number, digit| number * 8 + u16::from(digit - b'0'));
            u8::try_from(number).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let (mut at, mut out) = (0, Vec::new());
        while let Next::Line(skip, length, bytes) = next(&text.as_bytes()[at..], true) {
            at += skip + length;
            out.extend(bytes);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn lines_of_letters_are_read_with_what_is_none() {
        let text = "   g   h       p  \\n 303 244\n0000020   a   b\n0000022\n";
        assert_eq!(read(text), "gh p\n\u{e4}ab");
        assert_eq!(read(&text.replace("0000020", "").replace("0000022\n", "")), "gh p\n\u{e4}ab");
        assert_eq!(read("  gh"), "");
    }
}
