//! Where a secret may stand in pieces, told by what the other passes see on their way.

use super::{BACK, cells, is_letter};
use crate::secrets::survey::{Block, Survey};
use std::ops::Range;

/// Letters in a row, each by itself, that make a suspect.
const ROW: usize = 4;
/// Shorter rows hold no secret: the parameters of a function are one.
const SHORTEST: usize = 12;
/// The longest between two of them.
const GAP: usize = 12;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::secrets) enum Hint {
    /// A token's literal without the rest of it.
    Token,
    /// A plus by itself.
    Sum,
    /// Single letters at equal distances.
    Letters,
    /// A line of a hex dump.
    Dump,
}

/// The places that were seen.
#[derive(Default)]
pub(in crate::secrets) struct Suspects {
    places: Vec<(u64, Hint)>,
    /// How far it was looked, and whether the byte before the next block is a value character.
    seen: u64,
    before: u64,
}

impl Suspects {
    pub(in crate::secrets) fn clear(&mut self) {
        self.places.clear();
    }

    pub(in crate::secrets) fn reset(&mut self) {
        self.places.clear();
        (self.seen, self.before) = (0, 0);
    }

    pub(in crate::secrets) const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(in crate::secrets) fn add(&mut self, place: u64, hint: Hint) {
        if self.places.last() != Some(&(place, hint)) {
            self.places.push((place, hint));
        }
    }

    /// The places in their order.
    pub(super) fn take(&mut self) -> Vec<(u64, Hint)> {
        self.places.sort_unstable();
        self.places.dedup();
        std::mem::take(&mut self.places)
    }

    /// Keeps those from number `from` on for later, but for what was read already: a row may be long.
    pub(super) fn put_back(&mut self, places: &[(u64, Hint)], from: usize, read: u64) {
        let left = places.get(from..).unwrap_or_default();
        self.places.extend(left.iter().filter(|(place, _)| *place >= read));
    }

    /// Whether a text holds single letters in a row.
    pub(in crate::secrets) fn has_letters(&mut self, survey: &Survey, text: &[u8]) -> bool {
        self.see(survey, (text, 0), true);
        self.places.iter().any(|(place, hint)| *hint == Hint::Letters && letters(text, *place as usize).is_some())
    }

    /// Looks at which bytes are value characters, in what the level has more than before. Its blocks are those of the
    /// offsets, wherever the bytes are cut.
    pub(in crate::secrets) fn see(&mut self, survey: &Survey, (buffer, base): (&[u8], u64), ended: bool) {
        let end = base + buffer.len() as u64;
        let first = (self.seen / 64).saturating_sub(base / 64);
        let open = if ended { 0 } else { buffer.len() % 64 };
        let complete = (buffer.len() - open).div_ceil(64);
        for (number, block) in survey.blocks_from(first as usize).take(complete.saturating_sub(first as usize)) {
            self.judge(block, base + number as u64 * 64, (buffer, base));
        }
        self.seen = end;
    }

    fn judge(&mut self, block: &Block, place: u64, (buffer, base): (&[u8], u64)) {
        let values = block.value;
        let alone = values & !(values << 1 | self.before) & !(values >> 1);
        self.before = values >> 63;
        if alone.count_ones() >= ROW as u32 && STEPS.fold(0, |any, step| any | row(alone, step)) != 0 {
            let start = place.saturating_sub(base) as usize;
            let text = buffer.get(start..).unwrap_or_default();
            // A row may begin with a letter that is by itself for another reason: its last one is told too.
            let rows = STEPS.flat_map(|step| bits(row(alone, step)).map(move |at| (at, step as usize)));
            let rows = rows.filter(|(at, step)| text.get(*at..).is_some_and(|text| is_row(text, *step, ROW - 1)));
            let ends = rows.fold(None, |ends: Option<(usize, usize)>, (at, _)| {
                Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))))
            });
            let ends = ends.into_iter().flat_map(|(first, last)| [first, last]);
            self.places.extend(ends.map(|at| (place + at as u64, Hint::Letters)));
        }
        let mut signs = alone & block.joints;
        while signs != 0 {
            let place = place + u64::from(signs.trailing_zeros());
            if place.checked_sub(base).and_then(|at| buffer.get(at as usize)) == Some(&b'+') {
                self.places.push((place, Hint::Sum));
            }
            signs &= signs - 1;
        }
    }

    /// Where the row of letters begins that the bytes end in, before its block is complete.
    pub(super) fn open_letters(&self, buffer: &[u8]) -> Option<usize> {
        const TIMES: usize = 3;
        if self.seen.is_multiple_of(64) {
            return None;
        }
        let floor = buffer.len().saturating_sub(64);
        let near = buffer.get(floor..).unwrap_or_default();
        let begins = near.windows(2).filter(|pair| is_letter(Some(pair[0])) && begins_a_gap(&pair[1])).count();
        if begins < TIMES {
            return None;
        }
        let widest = (GAP + 1).min(buffer.len().saturating_sub(1) / TIMES);
        let rows = (2..=widest).flat_map(|step| (0..step).map(move |rest| (step, rest)));
        let begin = |(step, rest): (usize, usize)| {
            let last = buffer.len().checked_sub(1 + rest)?;
            let mut start = last.checked_sub(TIMES * step).filter(|start| *start >= floor)?;
            let gap = buffer.get(start + 1..start + step)?;
            if !gap.first().is_some_and(begins_a_gap) {
                return None;
            }
            let row = buffer.get(start..=last)?;
            let letters = row.iter().step_by(step).filter(|byte| byte.is_ascii_alphabetic()).count();
            let open = buffer.get(last + 1..).is_some_and(|rest| gap.starts_with(rest));
            if letters < 2 || !open || !is_row(row, step, TIMES) {
                return None;
            }
            let same = |at: usize| is_letter(buffer.get(at).copied()) && buffer.get(at + 1..at + step) == Some(gap);
            while let Some(back) = start.checked_sub(step).filter(|back| *back >= floor && same(*back)) {
                start = back;
            }
            Some(start)
        };
        rows.filter_map(begin).min()
    }
}

/// From one of them to the next.
const STEPS: Range<u32> = 2..GAP as u32 + 2;

/// Where rows begin of bits that are so far from each other.
const fn row(bits: u64, step: u32) -> u64 {
    const { assert!(ROW == 4) };
    let pairs = bits & bits >> step;
    pairs & pairs >> (2 * step)
}

fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (at < 64).then_some(at)
    })
}

/// Whether letters stand at equal distances with the same between them, so many times.
fn is_row(text: &[u8], step: usize, times: usize) -> bool {
    let Some(gap) = text.get(1..step) else { return false };
    let letter = |number: usize| text.get(number * step).copied();
    let same = |number: usize| text.get(number * step + 1..(number + 1) * step) == Some(gap);
    (0..=times).all(|number| is_letter(letter(number))) && (1..times).all(same) && is_gap(gap)
}

/// The first of them stands for itself.
const fn begins_a_gap(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || byte.is_ascii_punctuation()
}

/// Signs, the letters of escaped line breaks, and signs in percent.
fn is_gap(gap: &[u8]) -> bool {
    let stands = |back: usize, at: usize, sign: u8| at.checked_sub(back).and_then(|at| gap.get(at)) == Some(&sign);
    gap.iter().enumerate().all(|(at, byte)| match byte {
        b'n' | b'r' | b't' if stands(1, at, b'\\') => true,
        byte if byte.is_ascii_hexdigit() => stands(1, at, b'%') || stands(2, at, b'%'),
        byte => begins_a_gap(byte),
    })
}

/// The row that a place is in: where it begins and what stands between its letters. Numbers are none, nor is what is
/// too short for a secret.
pub(super) fn letters(buffer: &[u8], place: usize) -> Option<(usize, &[u8])> {
    let text = buffer.get(place..)?;
    let step = (2..=GAP + 1).find(|step| is_row(text, *step, ROW - 1))?;
    let of_row = (0..ROW).filter_map(|number| text.get(number * step));
    if of_row.filter(|byte| byte.is_ascii_alphabetic()).count() < 2 {
        return None;
    }
    let gap = text.get(1..step)?;
    let goes_on = |at: usize| is_letter(buffer.get(at).copied()) && buffer.get(at + 1..at + step) == Some(gap);
    let mut start = place;
    while let Some(back) = start.checked_sub(step).filter(|back| place - back <= BACK && goes_on(*back)) {
        start = back;
    }
    let ends = (1..SHORTEST).map(|number| start + number * step).find(|at| !goes_on(*at));
    let is_open = |at: usize| at + step > buffer.len();
    // Cells go on over the end of a line.
    (gap == cells::GAP || ends.is_none_or(is_open)).then_some((start, gap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::search::teddy::Teddy;

    fn seen(text: &[u8], size: usize) -> Vec<(u64, Hint)> {
        let (mut suspects, mut survey, teddy) = (Suspects::default(), Survey::default(), Teddy::new(&[]));
        for end in (size..text.len()).step_by(size).chain([text.len()]) {
            survey.extend(&text[..end], &teddy);
            suspects.see(&survey, (&text[..end], 0), end == text.len());
        }
        suspects.take()
    }

    #[test]
    fn letters_in_a_row_are_seen_however_they_come() {
        let row: Vec<String> = "ghp_c0nR53vbNwvZ57YiuPRr".chars().map(|letter| format!("\"{letter}\"")).collect();
        let text = format!("some text before it: [{}] and {}", row.join(", "), row.join(",\n    "));
        let whole = seen(text.as_bytes(), text.len());
        assert!(whole.len() >= 4, "{whole:?}");
        for size in [1, 3, 64, 100] {
            assert_eq!(seen(text.as_bytes(), size), whole, "{size}");
        }
        let (at, gap) = letters(text.as_bytes(), whole[1].0 as usize).unwrap();
        assert_eq!((&text[at..at + 1], gap), ("g", &b"\", \""[..]));
    }

    #[test]
    fn numbers_and_code_are_no_rows() {
        assert_eq!(letters(b"1, 0, 1, 1, 0, 1, 0, 1", 0), None);
        assert_eq!(letters(b"function(e,t,n,r,i,o,a){var s=1}", 9), None);
        assert_eq!(letters(b"if (a) { b(c, d) } else { e = f }", 4), None);
        assert_eq!(seen(b"\"ab\" + \"cd\"", 4), [(5, Hint::Sum)]);
    }
}
