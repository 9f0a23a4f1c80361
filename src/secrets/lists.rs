//! Lists of numbers that are the bytes of a text.

use super::decode::numbers;
use super::known;
use super::pieces::begins_dump;
use super::stream::{DEEPEST, Origin, Scan, Stream};
use super::survey::Survey;

/// Shorter lists hold no token, and none of these a known value.
const SHORTEST: usize = 32;
const SHORTEST_KNOWN: usize = 23;
/// Longer ones are decoded piece by piece, each with the end of the one before.
const PIECE: usize = 8192;
const OVERLAP: usize = 1024;

/// The pass over lists.
#[derive(Default)]
pub(super) struct Lists {
    /// Where it goes on, and how far the list there was seen to go on.
    at: u64,
    seen: u64,
    found: Vec<(u32, u32)>,
    child: Option<Box<Stream>>,
    dumps: Vec<u64>,
}

impl Lists {
    /// Gives back what it only works with.
    pub(super) fn rest(&mut self) {
        (self.found, self.child) = (Vec::new(), None);
    }

    pub(super) fn reset(&mut self) {
        (self.at, self.seen) = (0, 0);
    }

    /// Where hex dumps begin, as far as they weren't asked for.
    pub(super) fn dumps(&mut self) -> impl Iterator<Item = u64> {
        self.dumps.drain(..)
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let buffer = &level.buffer;
        if level.depth >= DEEPEST {
            return level.base + buffer.len() as u64;
        }
        let mut at = (self.at - level.base) as usize;
        // A list that comes in small pieces is not looked at from its start each time.
        let seen = self.seen.checked_sub(level.base).filter(|seen| *seen as usize > at);
        let seen = seen.and_then(|seen| buffer.get(seen as usize..));
        self.seen = level.base + buffer.len() as u64;
        let short = !ended && buffer.len() - at < PIECE;
        if short && seen.is_some_and(|fresh| fresh.iter().all(|byte| numbers::PARTS.has(*byte))) {
            return self.at;
        }
        let mut found = std::mem::take(&mut self.found);
        let least = if scan.known.is_empty() { SHORTEST } else { SHORTEST_KNOWN };
        level.survey.runs(|block| block.parts, at, least, &mut found);
        let mut open = None;
        'lists: for &(start, end) in &found {
            let end = end as usize;
            let mut start = first_number(buffer, (start as usize).max(at), end);
            while end - start > PIECE {
                self.decode(level, scan, origin, start, start + PIECE);
                at = start + PIECE - OVERLAP;
                start = first_number(buffer, at, end);
            }
            if end == buffer.len() && !ended {
                open = Some(start);
                break 'lists;
            }
            if end - start >= least {
                self.decode(level, scan, origin, start, end);
            }
            at = end;
        }
        self.found = found;
        let parts = open.unwrap_or_else(|| {
            level.survey.last_unset(|block| block.parts, at, buffer.len()).map_or(at, |last| last + 1)
        });
        at = if ended {
            buffer.len()
        } else {
            first_number(buffer, parts, buffer.len()).min(open_number(buffer, parts))
        };
        self.at = level.base + at as u64;
        self.at
    }

    fn decode(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, start: usize, end: usize) {
        let text = level.buffer.get(start..end).unwrap_or_default();
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(level.depth + 1)));
        scan.work.spent += text.len() as u64 * 2;
        self.dumps.extend(begins_dump(text).map(|at| level.base + (start + at) as u64));
        let shortest = if scan.known.is_empty() { numbers::STREAK } else { known::SHORTEST };
        if !numbers::has_numbers(text, shortest.min(numbers::STREAK / 2)) {
            return;
        }
        let mut each = |places: &[u32], bytes: &[u8]| {
            scan.work.spent += bytes.len() as u64 * 4;
            scan.path.push("numbers");
            child.reset();
            let place = |at: u64| places.get(at as usize).or(places.last()).copied().unwrap_or(0) as usize;
            child.feed(scan, &|at| origin(level.base + (start + place(at)) as u64), bytes, true);
            scan.path.pop();
        };
        if let Some((places, bytes)) = numbers::file(text) {
            each(&places, &bytes);
        }
        numbers::streaks(text, shortest, &mut each);
    }
}

/// Whether a list in a text may go over a place in it, or a dump begins in one.
pub(super) fn may_go_over(survey: &Survey, text: &[u8], edge: usize, found: &mut Vec<(u32, u32)>) -> bool {
    survey.runs(|block| block.parts, 0, SHORTEST_KNOWN, found);
    found.iter().any(|&(start, end)| {
        let (start, end) = (first_number(text, start as usize, end as usize), end as usize);
        let list = text.get(start..end).unwrap_or_default();
        let is_over = start < edge && edge < end && numbers::goes_over(list, edge - start);
        is_over || (list.contains(&b' ') && begins_dump(list).is_some())
    })
}

/// Where the letters begin, perhaps, of numbers that the bytes end in before there is a digit.
fn open_number(buffer: &[u8], start: usize) -> usize {
    const LONGEST: usize = 16;
    let start = start.max(buffer.len().saturating_sub(LONGEST));
    let tail = buffer.get(start..).unwrap_or_default();
    tail.iter().position(u8::is_ascii_hexdigit).map_or(buffer.len(), |at| start + at)
}

/// Where the first number stands: what is before it is no part of a list, as a byte of text begins with a digit. Of
/// other texts the first character is two or three bytes that do not.
fn first_number(buffer: &[u8], start: usize, end: usize) -> usize {
    const BYTES: usize = 2;
    let list = buffer.get(start..end).unwrap_or_default();
    let Some(mut at) = list.iter().position(u8::is_ascii_digit) else { return end };
    let is_letter = |byte: &u8| byte.is_ascii_hexdigit() && !byte.is_ascii_digit();
    for _ in 0..BYTES {
        let before = list.get(..at).unwrap_or_default();
        let gap = before.iter().rev().take_while(|byte| !byte.is_ascii_hexdigit()).count();
        match before.get(..at - gap) {
            Some([.., other, high, low]) if is_letter(high) && is_letter(low) && !other.is_ascii_hexdigit() => {}
            Some([high, low]) if is_letter(high) && is_letter(low) => {}
            _ => break,
        }
        at -= gap + 2;
    }
    start + at
}
