//! Unicode look-alikes: invisible characters, full-width and mathematical letters, homoglyphs.

use super::escape::Unit;

/// What a character comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Folded {
    /// Invisible.
    Nothing,
    /// Looks like this one.
    Byte(u8),
    /// Like nothing in ASCII.
    Itself,
}

/// Cyrillic and Greek letters that look like Latin ones.
const ALIKE: &[(u32, u8)] = &[
    (0x0391, b'A'),
    (0x0392, b'B'),
    (0x0395, b'E'),
    (0x0396, b'Z'),
    (0x0397, b'H'),
    (0x0399, b'I'),
    (0x039a, b'K'),
    (0x039c, b'M'),
    (0x039d, b'N'),
    (0x039f, b'O'),
    (0x03a1, b'P'),
    (0x03a4, b'T'),
    (0x03a5, b'Y'),
    (0x03a7, b'X'),
    (0x03b1, b'a'),
    (0x03b9, b'i'),
    (0x03bd, b'v'),
    (0x03bf, b'o'),
    (0x03c1, b'p'),
    (0x03c5, b'u'),
    (0x03f2, b'c'),
    (0x03f3, b'j'),
    (0x0405, b'S'),
    (0x0406, b'I'),
    (0x0408, b'J'),
    (0x0410, b'A'),
    (0x0412, b'B'),
    (0x0415, b'E'),
    (0x041a, b'K'),
    (0x041c, b'M'),
    (0x041d, b'H'),
    (0x041e, b'O'),
    (0x0420, b'P'),
    (0x0421, b'C'),
    (0x0422, b'T'),
    (0x0423, b'Y'),
    (0x0425, b'X'),
    (0x0430, b'a'),
    (0x0435, b'e'),
    (0x043e, b'o'),
    (0x0440, b'p'),
    (0x0441, b'c'),
    (0x0443, b'y'),
    (0x0445, b'x'),
    (0x0455, b's'),
    (0x0456, b'i'),
    (0x0458, b'j'),
    (0x0461, b'w'),
    (0x04ae, b'Y'),
    (0x04bb, b'h'),
    (0x04c0, b'I'),
    (0x04cf, b'l'),
    (0x0501, b'd'),
    (0x051b, b'q'),
    (0x051c, b'W'),
    (0x051d, b'w'),
    (0x0261, b'g'),
    (0x0131, b'i'),
    (0x017f, b's'),
    (0x2010, b'-'),
    (0x2011, b'-'),
    (0x2012, b'-'),
    (0x2013, b'-'),
    (0x2212, b'-'),
    (0x2024, b'.'),
    (0xfe4d, b'_'),
    (0xfe4e, b'_'),
    (0xfe4f, b'_'),
    (0xfe58, b'-'),
    (0xfe63, b'-'),
    (0xfe52, b'.'),
    (0x2044, b'/'),
    (0x2215, b'/'),
    (0x2236, b':'),
    (0xfe55, b':'),
    (0xfe6b, b'@'),
];

pub(in crate::secrets) fn fold(code: u32) -> Folded {
    match code {
        0xad
        | 0x34f
        | 0x61c
        | 0x115f
        | 0x1160
        | 0x17b4
        | 0x17b5
        | 0x180b..=0x180f
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x206f
        | 0x3164
        | 0xfe00..=0xfe0f
        | 0xfeff
        | 0xffa0
        | 0xe0000..=0xe0fff => Folded::Nothing,
        0xff01..=0xff5e => Folded::Byte((code - 0xfee0) as u8),
        0x24b6..=0x24cf => Folded::Byte(b'A' + (code - 0x24b6) as u8),
        0x24d0..=0x24e9 => Folded::Byte(b'a' + (code - 0x24d0) as u8),
        0x2460..=0x2468 => Folded::Byte(b'1' + (code - 0x2460) as u8),
        0x24ea => Folded::Byte(b'0'),
        0x1d400..=0x1d6a3 => {
            let letter = ((code - 0x1d400) % 52) as u8;
            Folded::Byte(if letter < 26 { b'A' + letter } else { b'a' + letter - 26 })
        }
        0x1d7ce..=0x1d7ff => Folded::Byte(b'0' + ((code - 0x1d7ce) % 10) as u8),
        _ => ALIKE.iter().find(|(alike, _)| *alike == code).map_or(Folded::Itself, |(_, byte)| Folded::Byte(*byte)),
    }
}

/// The character at the front: its code point and length; `None` where the bytes end inside it, an error where it is
/// no UTF-8.
fn decode(text: &[u8]) -> Option<Result<(u32, usize), ()>> {
    let &first = text.first()?;
    let (length, lead) = match first {
        0xc2..=0xdf => (2, first & 0x1f),
        0xe0..=0xef => (3, first & 0x0f),
        0xf0..=0xf4 => (4, first & 0x07),
        _ => return Some(Err(())),
    };
    let mut code = u32::from(lead);
    for at in 1..length {
        match text.get(at) {
            Some(byte @ 0x80..=0xbf) => code = code << 6 | u32::from(byte & 0x3f),
            Some(_) => return Some(Err(())),
            None => return None,
        }
    }
    Some(Ok((code, length)))
}

/// What stands at the front of a text that begins with a byte over 0x7f.
pub(in crate::secrets) fn unit(text: &[u8]) -> Option<Unit> {
    let Ok((code, length)) = decode(text)? else { return Some(Unit::Plain) };
    Some(match fold(code) {
        Folded::Nothing => Unit::Escape { length, byte: None },
        Folded::Byte(byte) => Unit::Escape { length, byte: Some(byte) },
        Folded::Itself => Unit::Plain,
    })
}

/// Bytes that a look-alike's UTF-8 may begin with.
pub(in crate::secrets) const LEADS: [bool; 256] = {
    let mut table = [false; 256];
    let leads = [
        0xc2, 0xc4, 0xc5, 0xc9, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd8, 0xe0, 0xe1, 0xe2, 0xe3, 0xef,
        0xf0, 0xf3,
    ];
    let mut at = 0;
    while at < leads.len() {
        table[leads[at]] = true;
        at += 1;
    }
    table
};

/// Bytes of a character's UTF-8 behind the first.
pub(in crate::secrets) const REST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x80;
    while byte < 0xc0 {
        table[byte] = true;
        byte += 1;
    }
    table
};

/// Whether a look-alike stands at a place, beside a token's character or in full width.
pub(super) fn is_gate_at(text: &[u8], at: usize) -> bool {
    let Some(Ok((code, length))) = decode(text.get(at..).unwrap_or_default()) else { return false };
    is_gate(code, text.get(..at).unwrap_or_default(), text.get(at + length..).unwrap_or_default())
}

fn is_gate(code: u32, before: &[u8], after: &[u8]) -> bool {
    let token =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match fold(code) {
        Folded::Itself => false,
        Folded::Byte(byte) => {
            let wide = matches!(code, 0xff01..=0xff5e | 0x1d400..=0x1d7ff | 0x2460..=0x24ea);
            (wide && (byte.is_ascii_alphanumeric() || byte == b'_')) || token(before.last()) || token(after.first())
        }
        Folded::Nothing => token(before.last()) || token(after.first()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_alike_in_more_bytes_than_it_needs_is_looked_for_too() {
        for &(code, _) in ALIKE.iter().filter(|(code, _)| *code < 0x800) {
            let overlong = [0xe0, 0x80 | (code >> 6) as u8, 0x80 | (code & 0x3f) as u8];
            assert!(
                LEADS[usize::from(overlong[0])] && unit(&overlong).is_some_and(|unit| unit != Unit::Plain),
                "{code}"
            );
        }
    }

    #[test]
    fn every_look_alike_begins_with_a_byte_that_is_looked_for() {
        for character in (0x80..=u32::from(char::MAX)).filter_map(char::from_u32) {
            if fold(u32::from(character)) != Folded::Itself {
                let first = character.encode_utf8(&mut [0; 4]).as_bytes()[0];
                assert!(LEADS[usize::from(first)], "{:x}", u32::from(character));
            }
        }
    }

    #[test]
    fn ordinary_text_in_other_scripts_opens_nothing() {
        for text in ["привет мир", "价格：一百元，谢谢", "καλημέρα κόσμε", "naïve café", "👍🏽 ok"]
        {
            assert!(!(0..text.len()).any(|at| is_gate_at(text.as_bytes(), at)), "{text}");
        }
        for text in ["gһp", "gh\u{200b}p", "ｇｈｐ", "\u{2060}ghp"] {
            assert!((0..text.len()).any(|at| is_gate_at(text.as_bytes(), at)), "{text}");
        }
    }
}
