//! Lists of numbers that are the bytes of a text.

use super::decode::numbers;
use super::runs::rare_runs;
use super::stream::{DEEPEST, Origin, Scan, Stream};

/// Shorter lists hold no token.
const SHORTEST: usize = 32;
/// Longer ones are decoded piece by piece, each with the end of the one before.
const PIECE: usize = 8192;
const OVERLAP: usize = 1024;

/// The pass over lists.
#[derive(Default)]
pub(super) struct Lists {
    /// Where it goes on.
    at: u64,
    found: Vec<(u32, u32)>,
    child: Option<Box<Stream>>,
}

impl Lists {
    pub(super) fn reset(&mut self) {
        self.at = 0;
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let buffer = &level.buffer;
        if level.depth >= DEEPEST {
            return level.base + buffer.len() as u64;
        }
        let mut at = (self.at - level.base) as usize;
        let mut found = std::mem::take(&mut self.found);
        rare_runs(buffer, at, SHORTEST, numbers::is_part, &mut found);
        let mut open = None;
        'lists: for &(start, end) in &found {
            let (mut start, end) = ((start as usize).max(at), end as usize);
            while end - start > PIECE {
                self.decode(level, scan, origin, start, start + PIECE);
                start += PIECE - OVERLAP;
                at = start;
            }
            if end == buffer.len() && !ended {
                open = Some(start);
                break 'lists;
            }
            self.decode(level, scan, origin, start, end);
            at = end;
        }
        self.found = found;
        let rest = buffer.get(at..).unwrap_or_default();
        let tail = || rest.iter().rposition(|byte| !numbers::is_part(*byte)).map_or(at, |last| at + last + 1);
        self.at = level.base + if ended { buffer.len() } else { open.unwrap_or_else(tail) } as u64;
        self.at
    }

    fn decode(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, start: usize, end: usize) {
        let text = level.buffer.get(start..end).unwrap_or_default();
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(level.depth + 1)));
        scan.work.spent += text.len() as u64 * 2;
        numbers::streaks(text, &mut |at, bytes| {
            scan.work.spent += bytes.len() as u64 * 4;
            scan.path.push("numbers");
            child.reset();
            // A number takes three to six characters: the list's start is what is sure.
            child.feed(scan, &|_| origin(level.base + (start + at) as u64), bytes, true);
            scan.path.pop();
        });
    }
}
