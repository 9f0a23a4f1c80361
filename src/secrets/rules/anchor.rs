//! The literals of a shape: by which of its bytes it is found.

use super::super::search::byte_set::ByteSet;
use super::super::stream::is_separator;
use super::steps::Step;

/// A literal is compared up to this many bytes; the shape does the rest.
pub(in crate::secrets) const LONGEST_LITERAL: usize = 24;
/// One without a delimiter, up to this many.
const LONGEST_UNDELIMITED: usize = 8;

/// A literal inside a shape: where it stands from the match's start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::secrets) struct Anchor {
    pub(in crate::secrets) literal: Vec<u8>,
    pub(in crate::secrets) nearest: u16,
    pub(in crate::secrets) farthest: u16,
}

/// Most prefixes hold one (`ghp_`, `sk-ant-`, `SG.`).
pub(in crate::secrets) const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.')
}

/// The delimiter in a literal that it may be found by.
pub(in crate::secrets) fn delimiter_of(literal: &[u8]) -> Option<usize> {
    literal.windows(3).position(|w| is_delimiter(w[2]) && !is_delimiter(w[1]) && w[1] != b' ').map(|at| at + 2)
}

/// Whether all of these are found by a delimiter.
pub(in crate::secrets) fn has_delimiter(anchors: &[Anchor]) -> bool {
    !anchors.is_empty() && anchors.iter().all(|anchor| delimiter_of(&anchor.literal).is_some())
}

/// The literals by which an alternative is found; none if it has no literal of three bytes. They hold no
/// separator, so that a cut never lies inside one.
pub(in crate::secrets) fn anchors_of(steps: &[Step]) -> Vec<Anchor> {
    let mut best: Option<(u32, Vec<Anchor>)> = None;
    let mut sets: Vec<ByteSet> = Vec::new();
    let (mut nearest, mut farthest) = (0u32, 0u32);
    let mut start = (0, 0);
    for step in steps.iter().chain([&Step { set: ByteSet::EMPTY, min: 0, max: 1 }]) {
        let literal = step.min == step.max
            && step.set.len() <= 6
            && step.min <= 32
            && step.set.len() > 0
            && !step.set.bytes().any(is_separator);
        if literal {
            if sets.is_empty() {
                start = (nearest, farthest);
            }
            sets.extend(std::iter::repeat_n(step.set, step.min as usize));
        } else if !sets.is_empty() {
            let found = rate(&sets, start);
            if found.as_ref().is_some_and(|(score, _)| best.as_ref().is_none_or(|(top, _)| score > top)) {
                best = found;
            }
            sets.clear();
        }
        nearest = nearest.saturating_add(step.min);
        farthest = farthest.saturating_add(step.max);
    }
    best.map(|(_, anchors)| anchors).unwrap_or_default()
}

/// The literals that a row of small sets stands for, and how good they are as an anchor.
fn rate(sets: &[ByteSet], (nearest, farthest): (u32, u32)) -> Option<(u32, Vec<Anchor>)> {
    if farthest > 256 || farthest - nearest > 32 {
        return None;
    }
    let mut literals = vec![Vec::new()];
    let mut skipped = 0;
    for set in sets.iter().take(LONGEST_LITERAL) {
        if literals.len() * set.len() as usize > 32 {
            if literals.first().is_some_and(|literal| literal.len() >= 3) {
                break;
            }
            // A wide set in front: start behind it.
            skipped += literals.first().map_or(0, Vec::len) as u32 + 1;
            literals = vec![Vec::new()];
            continue;
        }
        literals = literals
            .iter()
            .flat_map(|literal: &Vec<u8>| {
                set.bytes().map(move |byte| {
                    let mut longer = literal.clone();
                    longer.push(byte);
                    longer
                })
            })
            .collect();
    }
    let length = literals.first().map_or(0, Vec::len);
    if length < 3 {
        return None;
    }
    let delimited = literals.iter().all(|literal| delimiter_of(literal).is_some());
    if !delimited {
        skipped += shorten(&mut literals);
    }
    let few = 64 / literals.len().max(1);
    // Rows of one character are common, and such a literal stands all along them.
    let row = literals.iter().all(|literal| literal.windows(2).all(|pair| pair[0] == pair[1]));
    let front = if farthest == 0 && !row { 1000 } else { 0 };
    let score = front + length.min(12) as u32 * 10 + u32::from(delimited) * 5 + few.min(9) as u32;
    let anchor =
        |literal| Anchor { literal, nearest: (nearest + skipped) as u16, farthest: (farthest + skipped) as u16 };
    Some((score, literals.into_iter().map(anchor).collect()))
}

/// Makes literals without a delimiter shorter, so that many shapes share one: all addresses have `://`.
/// Gives how much was cut in front.
fn shorten(literals: &mut Vec<Vec<u8>>) -> u32 {
    const SCHEME: &[u8] = b"://";
    let places: Vec<_> = literals.iter().map(|literal| memchr::memmem::find(literal, SCHEME)).collect();
    let cut = match places.first() {
        Some(&Some(first)) if places.iter().all(|place| *place == Some(first)) => first,
        _ => 0,
    };
    for literal in literals.iter_mut() {
        literal.drain(..cut);
        literal.truncate(if cut > 0 { SCHEME.len() } else { LONGEST_UNDELIMITED });
    }
    literals.sort_unstable();
    literals.dedup();
    cut as u32
}

#[cfg(test)]
mod tests {
    use super::super::shape::Parts;
    use super::*;

    fn anchors(pattern: &str) -> Vec<(String, u16, u16)> {
        let parts = Parts::parse(pattern).unwrap();
        let all = parts.alternatives.iter().flat_map(|steps| anchors_of(steps));
        all.map(|a| (String::from_utf8(a.literal).unwrap(), a.nearest, a.farthest)).collect()
    }

    #[test]
    fn the_literal_at_the_front_is_the_anchor() {
        assert_eq!(anchors("ghp_[A-Za-z0-9]{36}"), [("ghp_".into(), 0, 0)]);
        assert_eq!(anchors("gh[po]_[A-Za-z0-9]{36}"), [("gho_".into(), 0, 0), ("ghp_".into(), 0, 0)]);
        assert_eq!(anchors("sk-[a-z]{20}T3BlbkFJ[a-z]{20}"), [("sk-".into(), 0, 0)]);
    }

    #[test]
    fn a_literal_inside_is_the_anchor_where_there_is_no_other() {
        assert_eq!(anchors("[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"), [("AZDO".into(), 76, 76)]);
        assert_eq!(anchors("[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"), [(":AA".into(), 8, 10)]);
        assert_eq!(anchors("[0-9a-f]{32}"), []);
    }
}
