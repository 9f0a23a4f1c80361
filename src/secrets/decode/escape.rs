//! Escapes of single characters: percent, JSON and JavaScript, HTML, quoted-printable, Unicode look-alikes.

use super::{fold, hex};

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
        [b'u' | b'x', b'{', digits @ ..] => {
            let Some(close) = digits.iter().take(8).position(|byte| *byte == b'}') else {
                return (digits.len() >= 8).then_some(Unit::Plain);
            };
            let code = digits.get(..close).and_then(|digits| number(digits, 16));
            Some(code.map_or(Unit::Plain, |code| character(close + 4, code)))
        }
        // Of RTF: a letter's number in decimal, and what stands for it where that is not known.
        [b'u', a @ b'0'..=b'9', b @ b'0'..=b'9', b'?', ..] => {
            Some(number(&[*a, *b], 10).map_or(Unit::Plain, |code| character(5, code)))
        }
        [b'u', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'?', ..] => {
            Some(number(&[*a, *b, *c], 10).map_or(Unit::Plain, |code| character(6, code)))
        }
        [b'u', digits @ ..] => match number(digits.get(..4)?, 16) {
            Some(high @ 0xd800..=0xdbff) => surrogates(high, digits.get(4..)?, b"\\u"),
            Some(code) => Some(character(6, code)),
            None => Some(Unit::Plain),
        },
        [b'U', digits @ ..] => Some(number(digits.get(..8)?, 16).map_or(Unit::Plain, |code| character(10, code))),
        [b'x' | b'X', digits @ ..] => match number(digits.get(..2)?, 16) {
            // A soft hyphen, unless it is a byte among others.
            Some(0xad) if !digits.get(2..4)?.eq_ignore_ascii_case(b"\\x") => Some(character(4, 0xad)),
            Some(code) => Some(byte(4, code)),
            None => Some(Unit::Plain),
        },
        // In CSS: six digits, or fewer and a space (CSS Syntax, section 4.3.7).
        [b'0', b'0', digits @ ..] if digits.iter().take(4).all(u8::is_ascii_hexdigit) => {
            Some(number(digits.get(..4)?, 16).map_or(Unit::Plain, |code| character(7, code)))
        }
        [b'2'..=b'7', low, b' ', ..] if low.is_ascii_hexdigit() => {
            Some(number(rest.get(..2)?, 16).map_or(Unit::Plain, |code| character(4, code)))
        }
        [b'0'..=b'7', ..] => Some(number(rest.get(..3)?, 8).map_or(Unit::Plain, |code| byte(4, code))),
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
    const NAMES: [(&[u8], Option<u8>); 38] = [
        (b"lowbar;", Some(b'_')),
        (b"UnderBar;", Some(b'_')),
        (b"hyphen;", Some(b'-')),
        (b"dash;", Some(b'-')),
        (b"period;", Some(b'.')),
        (b"plus;", Some(b'+')),
        (b"sol;", Some(b'/')),
        (b"equals;", Some(b'=')),
        (b"colon;", Some(b':')),
        (b"commat;", Some(b'@')),
        (b"num;", Some(b'#')),
        (b"amp;", Some(b'&')),
        (b"quot;", Some(b'"')),
        (b"lt;", Some(b'<')),
        (b"gt;", Some(b'>')),
        (b"NewLine;", Some(b'\n')),
        (b"excl;", Some(b'!')),
        (b"dollar;", Some(b'$')),
        (b"percnt;", Some(b'%')),
        (b"apos;", Some(b'\'')),
        (b"lpar;", Some(b'(')),
        (b"rpar;", Some(b')')),
        (b"ast;", Some(b'*')),
        (b"comma;", Some(b',')),
        (b"semi;", Some(b';')),
        (b"quest;", Some(b'?')),
        (b"lsqb;", Some(b'[')),
        (b"bsol;", Some(b'\\')),
        (b"rsqb;", Some(b']')),
        (b"Hat;", Some(b'^')),
        (b"grave;", Some(b'`')),
        (b"lcub;", Some(b'{')),
        (b"vert;", Some(b'|')),
        (b"verbar;", Some(b'|')),
        (b"rcub;", Some(b'}')),
        // Invisible.
        (b"shy;", None),
        (b"zwnj;", None),
        (b"zwj;", None),
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
        return Some(Unit::Escape { length: name.len() + 1, byte: *byte });
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
        // Some write small letters (RFC 2045, section 6.7).
        [high, low, ..] => {
            // What is no text is written in capitals, as it should be: elsewhere it is a value behind its name.
            let is_strict = !high.is_ascii_lowercase() && !low.is_ascii_lowercase();
            let byte = hex::pair(*high, *low).filter(|byte| is_strict || (0x20..0x7f).contains(byte));
            Some(byte.map_or(Unit::Plain, |byte| Unit::Escape { length: 3, byte: Some(byte) }))
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

/// The escape of a byte, which may be one of a file's.
fn byte(length: usize, code: u32) -> Unit {
    u8::try_from(code).map_or_else(|_| character(length, code), |byte| Unit::Escape { length, byte: Some(byte) })
}

/// The escape of a code point: a byte of Latin-1, nothing for what is invisible, `?` for the others.
fn character(length: usize, code: u32) -> Unit {
    let byte = match u8::try_from(code) {
        Ok(byte) if byte != 0xad => Some(byte),
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
            "\\x{67}hp_",
            "\\u103?hp\\u95?",
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
}
