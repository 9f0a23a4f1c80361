//! Tokens in runs: shapes that begin with one or with a token in it, and those that words before it tell.

use super::loose::{Makeup, may_be_value};
use super::pieces::Hint;
use super::rule::is_protobuf_field;
use super::runs::PIECE;
use super::shape::ByteSet;
use super::stream::{BEFORE, Origin, Pending, Scan, Stream, Work};
use std::ops::Range;

/// Shapes that begin with the run or with a token in it; an error if one isn't decided yet, and which, if it is
/// not for the literals' pass to go on.
#[inline(never)]
pub(super) fn pass(
    level: &mut Stream,
    scan: &mut Scan<'_>,
    origin: Origin<'_>,
    (run, until, inside): (Range<usize>, usize, bool),
    limit: u64,
    ended: bool,
) -> Result<(), Option<Pending>> {
    let (mut matches, mut candidates) = (Vec::new(), std::mem::take(&mut level.candidates));
    let run = run.start..run.end.min(run.start + PIECE);
    let joints = level.survey.places(|block| block.joints, run.start..run.end.min(until)).map(|at| at + 1);
    let inner: Vec<usize> = joints.filter(|&at| scan.scanner.starts.may_be(level.head(at))).collect();
    let first = (!inside).then_some(run.start);
    let second = first.and_then(|at| level.lead(at, run.end)).map(|lead| run.start + lead);
    for start in first.into_iter().chain(second).chain(inner) {
        // A match of the literals' pass may have it as a part.
        if level.base + start as u64 >= limit || scan.work.is_exhausted() {
            return Err(None);
        }
        if level.covers(level.base + start as u64) {
            continue;
        }
        let shapes = scan.scanner.starts.of(level.head(start));
        let fourth = level.buffer.get(start + 3).copied();
        let may_be = |set: &ByteSet| fourth.is_none_or(|byte| set.has(byte));
        for &(shape, _) in shapes.iter().filter(|(_, set)| may_be(set)) {
            matches.extend(level.try_shape(scan, shape, start, ended)?.map(|length| (start, length, shape)));
        }
        let text = level.buffer.get(start..run.end).unwrap_or_default();
        if matches.is_empty() && (!shapes.is_empty() || scan.scanner.begins_a_first_piece(text)) {
            level.suspects.add(level.base + start as u64, Hint::Token);
        }
        let near = level.buffer.get(start.saturating_sub(BEFORE)..start).unwrap_or_default();
        let is_front = Some(start) == first || Some(start) == second;
        if is_front && (!matches.is_empty() || may_be_value(near, text)) {
            let before = level.before(start);
            if is_fraction(before, text) {
                continue;
            }
            let makeup = Makeup::of(text);
            scan.work.spent += Work::WORDS;
            scan.scanner.loose.candidates(before, (run.end - start) as u32, makeup, &mut candidates);
            for (shape, (least, most)) in candidates.drain(..) {
                for back in least..=most {
                    let Some(start) = start.checked_sub(back as usize) else { continue };
                    let length = level.try_shape(scan, shape, start, ended)?;
                    matches.extend(length.map(|length| (start, length, shape)));
                }
            }
        }
        if !matches.is_empty() {
            level.settle_run(scan, origin, std::mem::take(&mut matches));
        }
    }
    level.candidates = candidates;
    Ok(())
}

impl Stream {
    /// Bytes at a run's front that may not be the token's: the letter of an escaped line break, the digits of `%3D`,
    /// the length of a protobuf string.
    pub(super) fn lead(&self, start: usize, end: usize) -> Option<usize> {
        let tag = start.checked_sub(1)?;
        let before = self.buffer.get(tag..=start).unwrap_or_default();
        match self.buffer.get(tag..end)? {
            [b'\\', ..] => Some(1),
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Some(2),
            // The quote of a string is the tag of field 4.
            [b'"', ..] if matches!(self.buffer.get(..tag)?, [.., b':' | b',' | b' ' | b'[' | b'{' | b'(' | b'=']) => {
                None
            }
            [_, size, rest @ ..] if usize::from(*size) >= rest.len() => {
                is_protobuf_field(before, usize::from(*size)).then_some(1)
            }
            _ => None,
        }
    }

    pub(super) fn head(&self, start: usize) -> [u8; 3] {
        self.buffer.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }
}

/// The digits behind a point.
fn is_fraction(before: &[u8], run: &[u8]) -> bool {
    matches!(before, [.., b'0'..=b'9', b'.']) && run.iter().all(u8::is_ascii_digit)
}
