//! Tokens in runs: shapes that begin with one or with a token in it, and those that words before it tell.

use super::loose::{Makeup, NEAR, Value, is_assigned};
use super::pieces::Hint;
use super::rules::rule::is_field;
use super::runs::{PIECE, is_wrapped};
use super::search::byte_set::ByteSet;
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
    let run = run.start..run.end.min(run.start + PIECE);
    if !inside {
        let lead = level.lead(run.start, run.end);
        for start in [Some(run.start), lead.map(|lead| run.start + lead)].into_iter().flatten() {
            begin(level, scan, origin, start..run.end, limit, (true, ended))?;
        }
    }
    let mut inner = std::mem::take(&mut level.inner);
    inner.clear();
    let joints = level.survey.places(|block| block.joints, run.start..run.end.min(until)).map(|at| at + 1);
    inner.extend(joints.filter(|&at| scan.scanner.starts.may_be(level.head(at))));
    for &start in &inner {
        begin(level, scan, origin, start..run.end, limit, (false, ended))?;
    }
    level.inner = inner;
    Ok(())
}

/// Shapes that begin at a place in a run, and at its front those that words before it tell.
fn begin(
    level: &mut Stream,
    scan: &mut Scan<'_>,
    origin: Origin<'_>,
    run: Range<usize>,
    limit: u64,
    (is_front, ended): (bool, bool),
) -> Result<(), Option<Pending>> {
    let (start, offset) = (run.start, level.base + run.start as u64);
    // A match of the literals' pass may have it as a part.
    if offset >= limit || scan.work.is_exhausted() {
        return Err(None);
    }
    if level.covers(offset) {
        return Ok(());
    }
    let mut matches = Vec::new();
    let shapes = scan.scanner.starts.of(level.head(start));
    let fourth = level.buffer.get(start + 3).copied();
    let may_be = |set: &ByteSet| fourth.is_none_or(|byte| set.has(byte));
    for &(shape, _) in shapes.iter().filter(|(_, set)| may_be(set)) {
        matches.extend(level.try_shape(scan, shape, start, ended)?.map(|length| (start, length, shape)));
    }
    let text = level.buffer.get(run.clone()).unwrap_or_default();
    if matches.is_empty() && (!shapes.is_empty() || scan.scanner.begins_a_first_piece(text)) {
        level.suspects.add(offset, Hint::Token);
    }
    if is_front && !tell_by_words(level, scan, run, &mut matches, ended)? {
        return Ok(());
    }
    if !matches.is_empty() {
        level.settle_run(scan, origin, matches);
    }
    Ok(())
}

/// Adds the matches that words before a run tell; false if it is a part of a number.
fn tell_by_words(
    level: &mut Stream,
    scan: &mut Scan<'_>,
    run: Range<usize>,
    matches: &mut Vec<(usize, usize, u32)>,
    ended: bool,
) -> Result<bool, Pending> {
    let (start, text) = (run.start, level.buffer.get(run.clone()).unwrap_or_default());
    let assigned = is_assigned(level.buffer.get(start.saturating_sub(BEFORE)..start).unwrap_or_default());
    let is_wrapped = is_wrapped(level, start);
    if is_wrapped && !assigned && !scan.scanner.loose.takes_without_words(run.len()) {
        return Ok(true);
    }
    let makeup = Makeup::of(text);
    if matches.is_empty() && !assigned && !makeup.has_digit() {
        // A name in code.
        return Ok(true);
    }
    if is_fraction(level.before(start, 2), text) {
        return Ok(false);
    }
    scan.work.spent += Work::WORDS;
    let value = Value { length: run.len() as u32, makeup, assigned };
    let mut candidates = std::mem::take(&mut level.candidates);
    let before = (!is_wrapped).then(|| level.before(start, NEAR));
    scan.scanner.loose.candidates(before, value, &mut candidates);
    for (shape, (least, most)) in candidates.drain(..) {
        for start in (least..=most).filter_map(|back| start.checked_sub(back as usize)) {
            let length = level.try_shape(scan, shape, start, ended)?;
            matches.extend(length.map(|length| (start, length, shape)));
        }
    }
    level.candidates = candidates;
    Ok(true)
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
                is_field(before, usize::from(*size)).then_some(1)
            }
            _ => None,
        }
    }

    pub(super) fn head(&self, start: usize) -> [u8; 3] {
        self.buffer.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }
}

/// The digits behind a point.
pub(super) fn is_fraction(before: &[u8], run: &[u8]) -> bool {
    matches!(before, [.., b'0'..=b'9', b'.']) && run.iter().all(u8::is_ascii_digit)
}
