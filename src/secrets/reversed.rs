//! Words that are read backwards: those that end like a token begins.

use super::inner_reversed::LONGEST_END;
use super::loose::Makeup;
use super::runs::is_value;
use super::scanner::Scanner;
use super::stream::{AFTER, Hit, word_start};
use std::ops::Range;

/// Whether a token that nothing but its letters tells stands by itself, or as a segment of a path: read backwards,
/// longer random text has as many of them again.
pub(super) fn stands_alone(hit: &Hit<'_>) -> bool {
    const FEW: usize = 4;
    let ends = |beside: &mut dyn Iterator<Item = &u8>| {
        let run: Vec<u8> = beside.take(AFTER).copied().take_while(|byte| is_value(*byte)).collect();
        run.len() < FEW || (run.starts_with(b"/") && !Makeup::of(&run).is_mixed())
    };
    ends(&mut hit.candidate.before.iter().rev()) && ends(&mut hit.candidate.after.iter())
}

/// The word around the end of a run that ends like a token begins, backwards.
pub(super) fn reversed_word(scanner: &Scanner, buffer: &[u8], end: usize) -> Option<Range<usize>> {
    let ends = |end: &usize| scanner.ends_reversed(buffer.get(..*end).unwrap_or_default());
    let word = || word_end(buffer, end, true);
    let goes_on = matches!(buffer.get(end), Some(b'.' | b':'));
    let around = || scanner.is_reversed_around(buffer, end).then(word).flatten();
    let end = Some(end).filter(ends).or_else(|| word().filter(|end| goes_on && ends(end))).or_else(around)?;
    Some(word_start(buffer, end)..end)
}

/// Whether a token stands backwards before the end of a run.
pub(super) fn is_reversed(scanner: &Scanner, text: &[u8], end: usize) -> bool {
    reversed_word(scanner, text, end).is_some()
}

/// Whether it is known where the word ends that goes on behind a run.
pub(super) fn word_is_known(buffer: &[u8], run: usize, ended: bool) -> bool {
    word_end(buffer, run, ended).is_some()
}

/// Where the word ends that goes on behind a run: a part of a token may stand behind a point. None if that isn't
/// known yet.
pub(super) fn word_end(buffer: &[u8], run: usize, ended: bool) -> Option<usize> {
    const REACH: usize = LONGEST_END as usize + 16;
    let rest = buffer.get(run..).unwrap_or_default();
    let near = rest.get(..REACH).unwrap_or(rest);
    let goes_on = |byte: &u8| is_value(*byte) || matches!(byte, b'.' | b':' | b'~' | b'$' | b'@');
    let end = near.iter().position(|byte| !goes_on(byte)).map(|at| run + at);
    end.or_else(|| (ended || near.len() == REACH).then_some(run + near.len()))
}
