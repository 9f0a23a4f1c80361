//! Escapes of single characters: percent, JSON and JavaScript, HTML, quoted-printable, Unicode look-alikes.

use super::{fold, hex};
use crate::secrets::stream::is_separator;

/// The longest escape, in bytes.
pub(in crate::secrets) const LONGEST: usize = 12;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Unit {
    /// The byte itself.
    Plain,
    /// An escape: its length and the byte it stands for, if it is one.
    Escape { length: usize, byte: Option<u8> },
    /// The start of an escape, perhaps.
    More,
}

/// Whether an escape may begin with this byte.
pub(in crate::secrets) const fn may_begin(byte: u8) -> bool {
    matches!(byte, 0 | b'%' | b'\\' | b'&' | b'=') || fold::LEADS[byte as usize]
}

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
        ([b'\\', b'u' | b'U', ..] | [b'&', ..], Unit::Escape { byte: Some(b'?'), .. }) => None,
        ([b'%', ..], _) => Some("percent"),
        ([b'&', b'#', ..], _) => Some("html"),
        ([b'&', ..], Unit::Escape { byte, .. }) => {
            byte.is_some_and(|byte| byte != b'&' && byte != b'"').then_some("html")
        }
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
        && (letter(Some(at + 1)) || (text.get(at + 1..at + 3) == Some(&[0, 0]) && letter(Some(at + 4))))
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
    match text {
        [b'=', high, low, b'=', ..] => quoted(*high, *low).is_some(),
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

/// What stands at the front of `text`.
pub(in crate::secrets) fn unit(text: &[u8], ended: bool) -> Unit {
    let found = match text {
        [b'%', rest @ ..] => percent(rest),
        [b'\\', rest @ ..] => backslash(rest),
        [b'&', rest @ ..] => entity(rest),
        [b'=', rest @ ..] => soft(rest),
        // UTF-16 and UTF-32: NUL before or behind every letter.
        [0, ..] => Some(Unit::Escape { length: 1, byte: None }),
        _ => fold::unit(text),
    };
    match found {
        Some(unit) => unit,
        None if ended && text.starts_with(b"&#") => last_entity(text),
        None if ended || text.len() >= LONGEST => Unit::Plain,
        None => Unit::More,
    }
}

const fn escape(length: usize, byte: u8) -> Option<Unit> {
    Some(Unit::Escape { length, byte: Some(byte) })
}

/// `None` where the bytes end too early to tell.
fn percent(rest: &[u8]) -> Option<Unit> {
    match rest {
        [b'u' | b'U', digits @ ..] => match number(digits.get(..4)?, 16) {
            Some(high @ 0xd800..=0xdbff) => surrogates(high, digits.get(4..)?, b"%u"),
            Some(code) => Some(character(6, code)),
            None => Some(Unit::Plain),
        },
        [high, low, ..] => hex::pair(*high, *low).map_or(Some(Unit::Plain), |byte| escape(3, byte)),
        [byte] if !byte.is_ascii_hexdigit() => Some(Unit::Plain),
        _ => None,
    }
}

fn backslash(rest: &[u8]) -> Option<Unit> {
    match rest {
        [b'u', b'{', digits @ ..] => {
            let Some(close) = digits.iter().take(8).position(|byte| *byte == b'}') else {
                return (digits.len() >= 8).then_some(Unit::Plain);
            };
            let code = digits.get(..close).and_then(|digits| number(digits, 16));
            Some(code.map_or(Unit::Plain, |code| character(close + 4, code)))
        }
        [b'u', digits @ ..] => match number(digits.get(..4)?, 16) {
            Some(high @ 0xd800..=0xdbff) => surrogates(high, digits.get(4..)?, b"\\u"),
            Some(code) => Some(character(6, code)),
            None => Some(Unit::Plain),
        },
        [b'U', digits @ ..] => Some(number(digits.get(..8)?, 16).map_or(Unit::Plain, |code| character(10, code))),
        [b'x' | b'X', digits @ ..] => Some(number(digits.get(..2)?, 16).map_or(Unit::Plain, |code| character(4, code))),
        [b'0'..=b'7', ..] => Some(number(rest.get(..3)?, 8).map_or(Unit::Plain, |code| character(4, code))),
        [b'n' | b'r', ..] => escape(2, b'\n'),
        [b't' | b'b' | b'f', ..] => escape(2, b'\t'),
        [byte @ (b'\\' | b'/' | b'"' | b'\'' | b'`'), ..] => escape(2, *byte),
        [_, ..] => Some(Unit::Plain),
        [] => None,
    }
}

/// A number that the text ends in, without its semicolon.
fn last_entity(text: &[u8]) -> Unit {
    let complete = [text.get(1..).unwrap_or_default(), b";"].concat();
    match entity(&complete) {
        Some(Unit::Escape { length, byte }) if length == text.len() + 1 => Unit::Escape { length: length - 1, byte },
        _ => Unit::Plain,
    }
}

/// A character beyond the first plane is written as two halves (RFC 8259, section 7).
fn surrogates(high: u32, rest: &[u8], mark: &[u8; 2]) -> Option<Unit> {
    let Some(digits) = rest.strip_prefix(mark) else {
        return (!mark.starts_with(rest)).then(|| character(6, high));
    };
    Some(match number(digits.get(..4)?, 16) {
        Some(low @ 0xdc00..=0xdfff) => character(12, 0x1_0000 + ((high - 0xd800) << 10 | (low - 0xdc00))),
        _ => character(6, high),
    })
}

fn entity(rest: &[u8]) -> Option<Unit> {
    const NAMES: [(&[u8], u8); 16] = [
        (b"lowbar;", b'_'),
        (b"UnderBar;", b'_'),
        (b"hyphen;", b'-'),
        (b"dash;", b'-'),
        (b"period;", b'.'),
        (b"plus;", b'+'),
        (b"sol;", b'/'),
        (b"equals;", b'='),
        (b"colon;", b':'),
        (b"commat;", b'@'),
        (b"num;", b'#'),
        (b"amp;", b'&'),
        (b"quot;", b'"'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"NewLine;", b'\n'),
    ];
    const LONGEST_NAME: usize = 9;
    if let [b'#', digits @ ..] = rest {
        let (radix, digits, lead) = match digits {
            [b'x' | b'X', digits @ ..] => (16, digits, 3),
            digits => (10, digits, 2),
        };
        let Some(end) = digits.iter().take(8).position(|byte| !(*byte as char).is_digit(radix)) else {
            return (digits.len() >= 8).then_some(Unit::Plain);
        };
        let semicolon = usize::from(digits.get(end) == Some(&b';'));
        let code = digits.get(..end).and_then(|digits| number(digits, radix));
        return Some(code.map_or(Unit::Plain, |code| character(lead + end + semicolon, code)));
    }
    if rest.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
        return Some(Unit::Plain);
    }
    // References in code, mostly.
    let near = rest.get(..LONGEST_NAME).unwrap_or(rest);
    if near.len() == LONGEST_NAME && !near.contains(&b';') {
        return Some(Unit::Plain);
    }
    if let Some((name, byte)) = NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
        return escape(name.len() + 1, *byte);
    }
    let open = rest.len() < LONGEST_NAME && NAMES.iter().any(|(name, _)| name.starts_with(rest));
    (!open).then_some(Unit::Plain)
}

/// Quoted-printable: a soft line break, or a byte.
fn soft(rest: &[u8]) -> Option<Unit> {
    match rest {
        [b'\n', ..] => Some(Unit::Escape { length: 2, byte: None }),
        [b'\r', b'\n', ..] | [b'\\', b'n', ..] => Some(Unit::Escape { length: 3, byte: None }),
        // The line break itself is escaped, as in a JSON string.
        [b'\\', b'r', b'\\', b'n', ..] => Some(Unit::Escape { length: 5, byte: None }),
        [b'\\'] | [b'\\', b'r'] | [b'\\', b'r', b'\\'] => None,
        [high, low, ..] => {
            Some(quoted(*high, *low).map_or(Unit::Plain, |byte| Unit::Escape { length: 3, byte: Some(byte) }))
        }
        [byte] if !byte.is_ascii_hexdigit() && *byte != b'\r' => Some(Unit::Plain),
        _ => None,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, byte| Some(number.checked_mul(radix)? + (*byte as char).to_digit(radix)?))
}

/// The escape of a code point: an ASCII byte, nothing for what is invisible, `?` for the others.
fn character(length: usize, code: u32) -> Unit {
    let byte = match u8::try_from(code) {
        Ok(byte) if byte.is_ascii() => Some(byte),
        _ => match fold::fold(code) {
            fold::Folded::Nothing => None,
            fold::Folded::Byte(byte) => Some(byte),
            fold::Folded::Itself => Some(b'?'),
        },
    };
    Unit::Escape { length, byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        let (mut rest, mut out) = (text.as_bytes(), Vec::new());
        while let Some(&first) = rest.first() {
            let length = match unit(rest, true) {
                Unit::Escape { length, byte } => {
                    out.extend(byte);
                    length
                }
                _ => {
                    out.push(first);
                    1
                }
            };
            rest = &rest[length..];
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_way_to_write_a_letter_is_read() {
        for text in [
            "%67hp_",
            "%u0067hp_",
            "\\u0067hp_",
            "\\u{67}hp_",
            "\\U00000067hp_",
            "\\x67hp_",
            "\\147hp_",
            "&#103;hp_",
            "&#x67;hp_",
            "&#x67hp_",
            "=67hp_",
            "g=\r\nhp_",
            "g\u{200b}hp_",
            "ｇｈｐ＿",
            "g\\u200bhp_",
            "gһp_",
            "ghp&lowbar;",
            "𝗀hp_",
            "\\ud835\\udc20hp_",
            "%uD835%uDC20hp_",
            "g=\\r\\nhp_",
            "g=\\nhp_",
            "ghp&#95",
            "ghp&#x5F",
        ] {
            assert_eq!(all(text), "ghp_", "{text}");
        }
        assert_eq!(all("100% \\d &nbsp; a=b"), "100% \\d &nbsp; a=b");
    }

    #[test]
    fn a_cut_escape_asks_for_more() {
        for text in ["%", "%6", "\\", "\\u00", "&", "&#1", "&low", "=", "=6", "\u{200b}"] {
            let whole = text.as_bytes();
            let cut = if text == "\u{200b}" { &whole[..2] } else { whole };
            assert_eq!(unit(cut, false), Unit::More, "{text}");
            assert_ne!(unit(cut, true), Unit::More, "{text}");
        }
    }

    #[test]
    fn gates_are_escapes_that_hide_something() {
        let gate = |text: &str| (0..text.len()).find(|at| gate_at(text.as_bytes(), *at, true).is_some());
        assert_eq!(gate("a %67"), Some(2));
        assert_eq!(gate(r"a\nb \\n c:\dir \u0061"), Some(16));
        assert_eq!(gate("a=b&amp;c 100% &nbsp; привет мир"), None);
        assert_eq!(gate("=67=68"), Some(0));
    }
}
