//! Which of the places where an escape may begin hide something: what a text is read again for, in its own letters.

use super::escape::{LONGEST, Unit, may_begin, unit};
use super::{fold, hex};
use crate::secrets::stream::is_separator;

/// Bytes of ASCII that an escape may begin with.
pub(in crate::secrets) const GATES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = may_begin(byte as u8);
        byte += 1;
    }
    table
};

/// Second bytes of those that hide something.
pub(in crate::secrets) const SECOND: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 128 {
        let sign = matches!(byte as u8, 0 | b'#' | b'\r' | b'\n' | b'\\' | b'/' | b'_' | b'-' | b'.');
        table[byte] = sign || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// What most escapes begin with, and the second characters of those that hide nothing: line breaks, tabs and quotes,
/// as nearly every one in JSON is.
pub(in crate::secrets) const BACKSLASH: [bool; 256] = only(b"\\");
pub(in crate::secrets) const ORDINARY: [bool; 256] = only(b"nrt\"");

const fn only(bytes: &[u8]) -> [bool; 256] {
    let (mut table, mut at) = ([false; 256], 0);
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

/// What kind of escape at `at` hides a token's character, if there is one that may.
#[inline]
pub(in crate::secrets) fn gate_at(buffer: &[u8], at: usize, ended: bool) -> Option<&'static str> {
    // Signs in code, mostly: one look tells them, whichever they are.
    let hides = match buffer.get(at..)? {
        [first, second, ..] => SECONDS[usize::from(*second)] & KINDS[usize::from(*first)] != 0,
        _ => true,
    };
    if hides { kind_at(buffer, at, ended) } else { None }
}

/// One bit for each kind of first byte, and the second bytes that make it an escape.
const KINDS: [u8; 256] = {
    let mut table = [16; 256];
    (table[b'=' as usize], table[b'&' as usize], table[b'%' as usize], table[b'\\' as usize]) = (1, 2, 4, 8);
    table
};
const SECONDS: [u8; 256] = {
    let (mut table, mut at) = ([16; 256], 0);
    while at < 256 {
        let byte = at as u8;
        let upper = byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
        table[at] |= (upper || matches!(byte, b'\r' | b'\n' | b'\\')) as u8;
        table[at] |= ((byte == b'#' || byte.is_ascii_alphabetic()) as u8) << 1;
        table[at] |= ((byte.is_ascii_hexdigit() || matches!(byte, b'u' | b'U')) as u8) << 2;
        table[at] |= (!ORDINARY[at] as u8) << 3;
        at += 1;
    }
    table
};

#[inline(never)]
fn kind_at(buffer: &[u8], at: usize, ended: bool) -> Option<&'static str> {
    let rest = buffer.get(at..).unwrap_or_default();
    match rest.first()? {
        b'%' | b'\\' | b'&' => gate(rest, ended),
        b'=' => quoted_printable_gate(rest).then_some("quoted-printable"),
        0 => is_wide(buffer, at).then_some("utf-16"),
        _ => fold::is_gate_at(buffer, at).then_some("unicode"),
    }
}

/// Where the first escape may begin that the bytes end too early to tell.
pub(in crate::secrets) fn undecided(buffer: &[u8], from: usize) -> usize {
    let tail = buffer.len().saturating_sub(LONGEST).max(from);
    let rest = buffer.get(tail..).unwrap_or_default();
    // No escape goes over a separator, but for a soft line break; of UTF-16 more than one byte counts.
    let last = rest.iter().rposition(|byte| is_separator(*byte)).unwrap_or(0);
    let open = |(at, byte): (usize, &u8)| {
        let soft = *byte == b'=' && matches!(rest.get(at + 1), Some(b'\r' | b'\n'));
        may_begin(*byte) && (at >= last || soft || *byte == 0)
    };
    tail + rest.iter().enumerate().position(open).unwrap_or(rest.len())
}

/// Whether the escape at the front may hide a token's character, and what kind it is.
fn gate(text: &[u8], ended: bool) -> Option<&'static str> {
    match (text, unit(text, ended)) {
        (_, Unit::More | Unit::Plain) | ([], _) => None,
        // A character that stands for itself.
        ([b'\\', b'u' | b'U', ..] | [b'&', ..], Unit::Escape { byte: Some(b'?' | 0x80..), .. }) => None,
        ([b'%', ..], _) => Some("percent"),
        ([b'&', b'#', ..], _) => Some("html"),
        // An entity that is written as one itself, or something invisible.
        ([b'&', b'a', b'm', b'p', b';', b'#', ..], _) => Some("html"),
        ([b'&', ..], Unit::Escape { byte, .. }) => (!matches!(byte, Some(b'&' | b'"'))).then_some("html"),
        // Line breaks and quotes are no part of a token; the rules themselves know them.
        ([b'\\', b'u' | b'U' | b'x' | b'/' | b'0'..=b'7', ..], _) => Some("escape"),
        // Escaped again and again; what decides must be known wherever the bytes are cut.
        ([b'\\', b'\\', rest @ ..], _) => {
            let inner = rest.iter().take(LONGEST - 2).find(|byte| **byte != b'\\')?;
            matches!(inner, b'u' | b'U' | b'x').then_some("escape")
        }
        _ => None,
    }
}

/// A NUL between two letters, or three of them.
fn is_wide(text: &[u8], at: usize) -> bool {
    let letter = |at: Option<usize>| {
        at.and_then(|at| text.get(at))
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    letter(at.checked_sub(1))
        && (letter(Some(at + 1)) || (text.get(at + 1..at + 3) == Some(&[0, 0]) && letter(Some(at + 3))))
}

/// A soft line break inside a word, or an escape of a character that needs none.
fn quoted_printable_gate(text: &[u8]) -> bool {
    const BREAKS: [&[u8]; 4] = [b"=\n", b"=\r\n", b"=\\n", b"=\\r\\n"];
    if let Some(rest) = BREAKS.iter().find_map(|soft| text.strip_prefix(*soft)) {
        return match rest {
            [b'-' | b'_' | b'.', next, ..] | [next, ..] => next.is_ascii_alphanumeric(),
            [] => false,
        };
    }
    // Full-width letters and invisible characters.
    const WIDE: [&[u8]; 3] = [b"=EF=B", b"=E2=8", b"=F0=9D"];
    if WIDE.iter().any(|lead| text.starts_with(lead)) {
        return true;
    }
    match text {
        [b'=', high, low, b'=', ..] => quoted(*high, *low).is_some(),
        // A value in quotes behind its name.
        [b'=', b'3', b'D', b'\'' | b'"', ..] => true,
        [b'=', high, low, rest @ ..] => quoted(*high, *low)
            .is_some_and(|byte| matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/') || quoted_again(byte, rest)),
        _ => false,
    }
}

/// Whether a letter's escape is followed by another in the same word: one alone is a value behind its name.
fn quoted_again(byte: u8, rest: &[u8]) -> bool {
    const NEAR: usize = LONGEST - 6;
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let plain = rest.iter().take(NEAR).take_while(|byte| is_token(byte)).count();
    match rest.get(plain..) {
        Some([b'=', high, low, ..]) => {
            byte.is_ascii_alphanumeric() && quoted(*high, *low).is_some_and(|byte| is_token(&byte))
        }
        _ => false,
    }
}

fn quoted(high: u8, low: u8) -> Option<u8> {
    let upper = |byte: u8| !byte.is_ascii_lowercase();
    hex::pair(high, low).filter(|byte| upper(high) && upper(low) && (0x20..0x7f).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_escapes_that_hide_something() {
        let gate = |text: &str| (0..text.len()).find(|at| gate_at(text.as_bytes(), *at, true).is_some());
        assert_eq!(gate("a %67"), Some(2));
        assert_eq!(gate(r"a\nb \\n c:\dir \u0061"), Some(16));
        assert_eq!(gate("a=b&amp;c 100% &nbsp; привет мир"), None);
        assert_eq!(gate("=67=68"), Some(0));
    }
}
