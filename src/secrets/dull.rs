//! Runs of value characters in which nothing can be found: names in code and words of texts, which most runs are.
//! Whatever the pass over runs would do with one of another kind it must do.

use super::binary::Coding;
use super::decode::{base32, base64};
use super::loose::{Makeup, is_assigned};
use super::reversed::{is_reversed, word_is_known};
use super::rules::generic::is_wordy;
use super::runs::{LEAST, is_value};
use super::scanner::Scanner;
use super::search::classes::{Classes, has_run};
use super::stream::{BEFORE, Stream};

/// Longer runs are none.
const LONGEST: usize = 64;

/// Whether the run is such a name. It is none where the bytes end too early to tell.
pub(super) fn is_dull(level: &Stream, scanner: &Scanner, start: usize, end: usize, ended: bool) -> bool {
    let buffer = &level.buffer;
    let run = buffer.get(start..end).unwrap_or_default();
    if run.len() > LONGEST {
        return false;
    }
    let makeup = Makeup::of(run);
    let before = buffer.get(start.saturating_sub(BEFORE)..start).unwrap_or_default();
    // Two bytes at its front may belong to what stands before it.
    let may_be_value = || scanner.loose.may_take(run.len(), makeup, true);
    let is_something = makeup.has_digit()
        || may_be_wrapped(buffer, end)
        || begins_a_token(level, scanner, start, end)
        || (may_be_value() && is_assigned(before) && !is_wordy(run))
        || (run.len() >= LEAST && may_be_coded(run))
        || may_be_reversed(scanner, buffer, end, ended);
    !is_something
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
fn may_be_coded(run: &[u8]) -> bool {
    const CASES: Classes<2> = Classes::new([base32::UPPER.members(), base32::LOWER.members()]);
    base64::may_have_streaks(run)
        || CASES.short_masks(run).into_iter().any(|letters| has_run(letters, base32::SHORTEST))
        || Coding::of(run).is_some()
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
            "@abcdefghijklmno_phg ",
            "x.@eyJhbGciOiJub25lIn_abc ",
        ] {
            assert!(!dull(&SCANNER, text, false), "{text}");
        }
        assert!(!dull(&SCANNER, "@update_role_description\n", false));
    }
}
