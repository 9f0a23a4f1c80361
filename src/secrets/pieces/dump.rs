//! Hex dumps, as xxd, hexdump and od print them: an offset, bytes in groups, perhaps their text.

use super::Next;
use crate::secrets::decode::hex;

/// Bytes a line at most, and the longest from the last group of one line to the next line's offset.
const WIDEST: usize = 64;
const BETWEEN: usize = 160;
/// The longest line up to its last group.
const LONGEST: usize = 16 + 4 * WIDEST;

/// What the next line's offset must be.
#[derive(Default)]
pub(super) struct Dump {
    next: u64,
}

/// One line: the bytes, and how long it is up to its last group.
struct Line {
    offset: Vec<u8>,
    bytes: Vec<u8>,
    length: usize,
}

impl Dump {
    pub(super) fn next(&mut self, rest: &[u8], first: bool, ended: bool) -> Next {
        let skip = if first { Ok(0) } else { line_start(rest) };
        let Ok(skip) = skip else {
            return if !ended && rest.len() < BETWEEN { Next::More } else { Next::End };
        };
        let text = rest.get(skip..).unwrap_or_default();
        if !ended && text.len() < LONGEST && is_open(text) {
            return Next::More;
        }
        let Some(line) = line(text) else { return Next::End };
        let offsets = [16, 8, 10].map(|radix| number(&line.offset, radix));
        if !first && !offsets.contains(&Some(self.next)) {
            return Next::End;
        }
        let offset = if first { offsets[0] } else { Some(self.next) };
        self.next = offset.unwrap_or(0) + line.bytes.len() as u64;
        Next::Line(skip, line.length, line.bytes)
    }
}

/// Whether a line of numbers goes on where the bytes end.
fn is_open(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b' ' | b':'))
}

/// Where in a list of numbers a dump begins: at its front, or behind a name that is made of such letters.
pub(in crate::secrets) fn begins(text: &[u8]) -> Option<usize> {
    const FRONT: usize = 24;
    // An offset's digits, a colon and a space.
    const OFFSET: usize = 16;
    let near = text.get(..FRONT + OFFSET + 2).unwrap_or(text);
    memchr::memchr(b' ', near)?;
    let is_dump = |at: &usize| {
        let line = text.get(*at..).and_then(line);
        line.is_some_and(|line| line.bytes.len() >= 8 && line.offset.len() >= 6)
    };
    let mut at = 0;
    let runs = near.chunk_by(|a, b| a.is_ascii_hexdigit() == b.is_ascii_hexdigit()).map(|run| {
        at += run.len();
        (at - run.len(), run)
    });
    // Behind an offset stands a colon or a space: behind the numbers of a digest or a UUID, neither.
    let is_offset = |&(at, run): &(usize, &[u8])| {
        let is_number = run.first().is_some_and(u8::is_ascii_hexdigit) && (6..=OFFSET).contains(&run.len());
        at < FRONT && is_number && matches!(text.get(at + run.len()), Some(b':' | b' '))
    };
    runs.filter(is_offset).map(|(at, _)| at).find(is_dump)
}

/// Behind the next line break, plain or escaped.
fn line_start(rest: &[u8]) -> Result<usize, ()> {
    let near = rest.get(..BETWEEN).unwrap_or(rest);
    let plain = memchr::memchr(b'\n', near).map(|at| at + 1);
    let escaped = memchr::memmem::find(near, b"\\n").map(|at| at + 2);
    plain.into_iter().chain(escaped).min().ok_or(())
}

fn line(text: &[u8]) -> Option<Line> {
    let digits = |at: usize| text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let spaces = |at: usize| text.get(at..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
    let offset = digits(0);
    let colon = usize::from(text.get(offset) == Some(&b':'));
    let mut at = offset + colon + spaces(offset + colon);
    if !(4..=16).contains(&offset) || at == offset + colon || at > offset + colon + 4 {
        return None;
    }
    let (mut bytes, mut length, mut width) = (Vec::new(), 0, 0);
    loop {
        let count = digits(at);
        let goes_on = count > 0 && count % 2 == 0 && count <= 16 && (width == 0 || count <= width);
        if !goes_on || bytes.len() + count / 2 > WIDEST {
            break;
        }
        width = width.max(count);
        let group = text.get(at..at + count).unwrap_or_default();
        let from = bytes.len();
        bytes.extend(group.chunks_exact(2).filter_map(|two| hex::pair(two[0], two[1])));
        // Without a colon it is words as the machine holds them.
        if colon == 0 && width > 2 {
            bytes.get_mut(from..).unwrap_or_default().reverse();
        }
        length = at + count;
        let gap = spaces(length);
        // Two stand in the middle of a line of single bytes; else the text follows.
        if gap == 0 || gap > 2 || (gap == 2 && !(width == 2 && bytes.len() == 8)) {
            break;
        }
        at = length + gap;
    }
    (!bytes.is_empty()).then(|| Line { offset: text.get(..offset).unwrap_or_default().to_vec(), bytes, length })
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let (mut dump, mut at, mut out) = (Dump::default(), 0, Vec::new());
        while let Next::Line(skip, length, bytes) = dump.next(&text.as_bytes()[at..], at == 0, true) {
            at += skip + length;
            out.extend(bytes);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn what_the_usual_tools_print_is_read() {
        let xxd = "00000000: 6768 705f 6330 6e52 3533 7662 4e77 765a  ghp_c0nR53vbNwvZ\n00000010: 3537 5969 75                             57Yiu\n";
        let hexdump = "00000000  67 68 70 5f 63 30 6e 52  35 33 76 62 4e 77 76 5a  |ghp_c0nR53vbNwvZ|\n00000010  35 37 59 69 75                                    |57Yiu|\n00000015\n";
        let words = "0000000 6867 5f70 3063 526e 3335 6276 774e 5a76\n0000010 3735 6959 0075\n0000015\n";
        let od = "0000000 67 68 70 5f 63 30 6e 52 35 33 76 62 4e 77 76 5a\n0000020 35 37 59 69 75\n0000025\n";
        for text in [xxd, hexdump, words, od] {
            assert_eq!(begins(text.as_bytes()), Some(0));
            assert_eq!(begins(format!("e: {text}").as_bytes()), Some(3));
            assert_eq!(read(text).trim_end_matches('\0'), "ghp_c0nR53vbNwvZ57Yiu", "{text}");
            assert_eq!(read(&text.replace('\n', "\\n")).trim_end_matches('\0'), "ghp_c0nR53vbNwvZ57Yiu", "{text}");
        }
    }

    #[test]
    fn other_lists_are_no_dumps() {
        for text in ["2026-11-22 13:05:07 12 12", "12 34 56 78 90", "deadbeef", "00000000: the text"] {
            assert_eq!(begins(text.as_bytes()), None, "{text}");
        }
    }
}
