//! Runs of value characters in which nothing can be found: names in code, words of texts and fractions, which most runs
//! are. Whatever the pass over runs would do with one of another kind it must do.

use super::decode::{base32, base64};
use super::loose::{Makeup, is_assigned};
use super::reversed::{is_reversed, word_is_known};
use super::rules::generic::is_wordy;
use super::runs::{LEAST, file_in, is_value};
use super::scanner::Scanner;
use super::search::classes::{Classes, has_run};
use super::search::wide::{self, Lanes, Task};
use super::stream::{BEFORE, Stream};
use super::tokens::is_fraction;

/// Longer runs are none.
const LONGEST: usize = 64;

/// Whether the run is such a one. It is none where the bytes end too early to tell.
pub(super) fn is_dull(level: &Stream, scanner: &Scanner, start: usize, end: usize, ended: bool) -> bool {
    let buffer = &level.buffer;
    let run = buffer.get(start..end).unwrap_or_default();
    if run.len() > LONGEST {
        return false;
    }
    let is_something = may_be_wrapped(buffer, end)
        || may_be_value(level, scanner, start, run)
        || begins_a_token(level, scanner, start, end)
        || (run.len() >= LEAST && may_be_coded(buffer, start, run))
        || may_be_reversed(scanner, buffer, end, ended);
    !is_something
}

/// Whether words before the run may tell that it is a value.
fn may_be_value(level: &Stream, scanner: &Scanner, start: usize, run: &[u8]) -> bool {
    let makeup = Makeup::of(run);
    if makeup.has_digit() {
        return !is_part_of_a_number(level, scanner, start, run);
    }
    let before = level.buffer.get(start.saturating_sub(BEFORE)..start).unwrap_or_default();
    // Two bytes at its front may belong to what stands before it.
    scanner.loose.may_take(run.len(), makeup, true) && is_assigned(before) && !is_wordy(run)
}

/// Whether the run is a fraction, and too short for anything in hex.
fn is_part_of_a_number(level: &Stream, scanner: &Scanner, start: usize, run: &[u8]) -> bool {
    run.len() < LEAST
        && is_fraction(level.before(start, 2), run)
        && !scanner.begins_a_first_piece(run)
        && !scanner.is_reversed_in(run)
        && level.lead(start, start + run.len()).is_none()
}

/// Whether the run may go on behind a line break.
fn may_be_wrapped(buffer: &[u8], end: usize) -> bool {
    match buffer.get(end..).unwrap_or_default() {
        [] | [b'%', ..] => true,
        [b'\n', next, ..] => is_value(*next),
        [b'\\', b'n', next, ..] => is_value(*next),
        [b'\r', b'\n', next, ..] => is_value(*next),
        [b'\n' | b'\r', ..] | [b'\\', b'r', ..] | [b'\\'] | [b'\\', b'n'] => true,
        _ => false,
    }
}

/// Whether a shape may begin with the run, or with what stands behind a sign in it.
fn begins_a_token(level: &Stream, scanner: &Scanner, start: usize, end: usize) -> bool {
    let may_begin = |at: usize| scanner.starts.may_be(level.head(at));
    let joints = || level.survey.places(|block| block.joints, start..end).map(|at| at + 1);
    may_begin(start) || level.lead(start, end).is_some_and(|lead| may_begin(start + lead)) || joints().any(may_begin)
}

/// Whether a run without a digit may be something in base64 or base32; in hex it would have digits.
fn may_be_coded(buffer: &[u8], start: usize, run: &[u8]) -> bool {
    let Forms { groups, letters } = Forms::of(buffer, start, run.len());
    base64::has_streak(groups)
        || base64::has_streak_backwards(groups)
        || letters.into_iter().any(|letters| has_run(letters, base32::SHORTEST))
        || file_in(run).0.is_some()
}

/// What the characters of a run may be, one bit each.
#[derive(Default)]
struct Forms {
    /// Where they may stand in a group of base64.
    groups: [u64; 3],
    /// Of base32, of either case.
    letters: [u64; 2],
}

/// The look at a run and what follows it.
struct Look<'a>(&'a [u8; LONGEST], &'a mut Forms);

impl Forms {
    const LETTERS: Classes<2> = Classes::new([base32::UPPER.members(), base32::LOWER.members()]);

    fn of(buffer: &[u8], start: usize, length: usize) -> Self {
        let (mut forms, mut padded) = (Self::default(), [0; LONGEST]);
        let rest = buffer.get(start..).unwrap_or_default();
        let block = rest.first_chunk().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(copy, byte)| *copy = *byte);
            &padded
        });
        wide::run(Look(block, &mut forms));
        let there = u64::MAX >> LONGEST.saturating_sub(length);
        let Self { groups, letters } = forms;
        Self { groups: groups.map(|mask| mask & there), letters: letters.map(|mask| mask & there) }
    }
}

impl Task for Look<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self(block, forms) = self;
        let halves = lanes.halves(lanes.load(block));
        let [first, second] = base64::FRONT.tables(lanes).masks(lanes, halves);
        let [third] = base64::BACK.tables(lanes).masks(lanes, halves);
        let letters = Forms::LETTERS.tables(lanes).masks(lanes, halves);
        *forms = Forms { groups: [first, second, third], letters };
    }
}

fn may_be_reversed(scanner: &Scanner, buffer: &[u8], end: usize, ended: bool) -> bool {
    if !matches!(buffer.get(end), Some(b'.' | b':')) && !scanner.may_be_reversed_around(buffer, end) {
        return scanner.ends_reversed(buffer.get(..end).unwrap_or_default());
    }
    !word_is_known(buffer, end, ended) || is_reversed(scanner, buffer, end)
}

#[cfg(test)]
mod tests {
    use super::super::scanner::Scanner;
    use super::super::tests::SCANNER;
    use super::*;

    fn dull(scanner: &Scanner, text: &str, ended: bool) -> bool {
        let mut level = Stream::new(0);
        level.buffer = text.replace('@', "").into_bytes();
        level.survey.extend(&level.buffer, scanner.anchors.teddy());
        let start = text.find('@').unwrap();
        let end = start + level.buffer[start..].iter().take_while(|byte| is_value(**byte)).count();
        is_dull(&level, scanner, start, end, ended)
    }

    #[test]
    fn names_in_code_are_dull_and_what_may_be_something_is_not() {
        for text in [
            "fn @update_role_description(",
            "\"x\": \"@handle_request_body\"",
            "let x = @readLineFromStandardInput;",
            "@handle_request_body\n  next",
            "{\"cpu\": 0.@8474337369372327,",
        ] {
            assert!(dull(&SCANNER, text, true), "{text}");
        }
        for text in [
            "@c0nR53vbNwvZ57YiuPRr ",
            "key = @qXzWkVbNmQpLrTgHjKdF ",
            "@Z2hwX2NvblJlbnZiTnd2WkFiQ2RlRmdI ",
            "@QWxhZGRpbjpvcGVuIHNlc2FtZSBh ",
            "@update_role_description\nupdate",
            "@update_role_description",
            "@qwertyuiopasdfghjklzxcvbn ",
            "@a/IGHigItz4oCLZeKAi2PigItyZXQgd8O2cmRzIGJlZm9yZQ ",
            "%2C@0.8474337369372327",
            "0.@847433736937232747433736937232",
            "@ekaGVmZXIpb3Blbm5lc3NhbWVhbGFkZGlu ",
            "@abcdefghijklmno_phg ",
            "x.@eyJhbGciOiJub25lIn_abc ",
        ] {
            assert!(!dull(&SCANNER, text, false), "{text}");
        }
        assert!(!dull(&SCANNER, "@update_role_description\n", false));
    }
}
