//! Bytes written as numbers: `67 68 70`, `67:68:70`, `0x67, 0x68`, `[103, 104, 112]`, `["67", "68"]`.

use super::hex;
use crate::secrets::known;
use crate::secrets::search::classes::Class;

/// Bytes of text in a row that make a streak; fewer, if short values are known.
pub(in crate::secrets) const STREAK: usize = 16;
/// Signs between two numbers at most: a comma, a space and quotes, which may be escaped.
const BETWEEN: usize = 6;
/// What stands between two numbers at most: a comma, and a new line with its indent.
const GAP: usize = 24;

/// The characters of such a list, but for the letters of escaped line breaks.
pub(in crate::secrets) const PARTS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        has[byte as usize] = byte.is_ascii_hexdigit()
            || matches!(
                byte,
                b',' | b'-' | b'.' | b':' | b';' | b'x' | b' ' | b'\t'..=b'\r' | b'|' | b'"' | b'\'' | b'\\'
            );
        byte += 1;
    }
    has
});

/// Gets where each number of a streak stands, then where the last one ends; and the bytes.
pub(in crate::secrets) type Each<'a> = &'a mut dyn FnMut(&[u32], &[u8]);

/// Finds text written as numbers.
pub(in crate::secrets) fn streaks(text: &[u8], shortest: usize, each: Each<'_>) {
    for radix in [16, 10] {
        let (mut bytes, mut places, mut at, mut end) = (Vec::new(), Vec::new(), 0, 0);
        for token in text.chunk_by(|a, b| is_digit(*a) == is_digit(*b)) {
            let from = at;
            at += token.len();
            if !is_digit(token.first().copied().unwrap_or(0)) {
                if token.len() <= BETWEEN || (token.len() <= GAP && is_indent(token)) {
                    continue;
                }
            } else if let Some(byte) = number(token, radix).filter(|byte| super::is_text(*byte, bytes.last())) {
                places.push(from as u32);
                bytes.push(byte);
                end = at;
                continue;
            }
            tell(&mut places, end, &mut bytes, shortest, each);
        }
        tell(&mut places, end, &mut bytes, shortest, each);
    }
}

/// Whether a list of so many numbers that a known value may be in it goes over a place.
pub(in crate::secrets) fn goes_over(text: &[u8], at: usize) -> bool {
    let is_byte = |token: &[u8]| number(token, 16).is_some() || number(token, 10).is_some();
    let lies_in_list = |gap: &[u8]| gap.iter().all(|byte| PARTS.has(*byte) || matches!(byte, b'n' | b'r' | b't'));
    const LONGEST: usize = 4;
    let (before, behind) = text.split_at_checked(at).unwrap_or((text, &[]));
    let start = at - before.iter().rev().take(LONGEST + 1).take_while(|byte| is_digit(**byte)).count();
    let end = at + behind.iter().take(LONGEST + 1).take_while(|byte| is_digit(**byte)).count();
    let (before, behind) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let inner = text.get(start..end).unwrap_or_default();
    if !inner.is_empty() && !is_byte(inner) {
        return false;
    }
    let is_number = |token: &&[u8]| token.first().copied().is_some_and(is_digit);
    let belongs = |token: &&[u8]| if is_number(token) { is_byte(token) } else { lies_in_list(token) };
    let alike = |a: &u8, b: &u8| is_digit(*a) == is_digit(*b);
    let left = before.chunk_by(alike).rev().take_while(belongs).filter(is_number).count();
    let right = behind.chunk_by(alike).take_while(belongs).filter(is_number).count();
    left + right + usize::from(!inner.is_empty()) >= known::SHORTEST
}

/// Whether there may be so many numbers: digests, UUIDs and indents have few.
pub(in crate::secrets) fn has_numbers(text: &[u8], shortest: usize) -> bool {
    let (mut numbers, mut before) = (0, 0);
    for block in text.chunks(64) {
        let digits = DIGITS.short_mask(block);
        numbers += (digits & !(digits << 1 | before)).count_ones() as usize;
        before = digits >> 63;
    }
    numbers >= shortest
}

/// A sign and a new line, which may be escaped, between quotes or not.
fn is_indent(gap: &[u8]) -> bool {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b'n' | b'r' | b't');
    gap.iter().filter(|byte| !blank(byte)).count() <= 1
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b'x'
}

/// Hexadecimal digits, and the `x` of `0x`.
const DIGITS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        has[byte] = is_digit(byte as u8);
        byte += 1;
    }
    has
});

/// The bytes of a list that begins like gzip, zip or zstd, and where they stand.
pub(in crate::secrets) fn file(text: &[u8]) -> Option<(Vec<u32>, Vec<u8>)> {
    const HEADS: [&[u8]; 3] = [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"];
    [10, 16].into_iter().find_map(|radix| {
        let (mut bytes, mut places, mut at) = (Vec::new(), Vec::new(), 0);
        for token in text.chunk_by(|a, b| is_digit(*a) == is_digit(*b)) {
            if token.first().copied().is_some_and(is_digit) {
                let Some(byte) = number(token, radix) else { break };
                places.push(at as u32);
                bytes.push(byte);
                if bytes.len() == 4 && !HEADS.iter().any(|head| bytes.starts_with(head)) {
                    return None;
                }
            }
            at += token.len();
        }
        places.push(at as u32);
        (bytes.len() >= STREAK).then_some((places, bytes))
    })
}

/// A byte's number.
fn number(token: &[u8], radix: u32) -> Option<u8> {
    let byte = match (radix, token) {
        (16, [high, low] | [b'0', b'x', high, low]) => hex::pair(*high, *low)?,
        (10, [_] | [_, _] | [_, _, _]) => {
            let digits = |number: u32, byte: &u8| Some(number * 10 + (*byte as char).to_digit(10)?);
            u8::try_from(token.iter().try_fold(0, digits)?).ok()?
        }
        _ => return None,
    };
    Some(byte)
}

fn tell(places: &mut Vec<u32>, end: usize, bytes: &mut Vec<u8>, shortest: usize, each: Each<'_>) {
    if bytes.len() >= shortest {
        places.push(end as u32);
        each(places, bytes);
    }
    places.clear();
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_out_of_lists_of_numbers() {
        let token = b"ghp_c0nR53vbNwvZ57YiuPRr";
        let join = |show: &dyn Fn(&u8) -> String, gap: &str| token.iter().map(show).collect::<Vec<_>>().join(gap);
        let hex = |byte: &u8| format!("{byte:02x}");
        for text in [
            join(&hex, " "),
            join(&hex, ":"),
            join(&hex, "-"),
            join(&hex, ", "),
            join(&|byte| format!("0x{byte:02X}"), ", "),
            join(&|byte| byte.to_string(), ","),
            join(&|byte| byte.to_string(), ",\n  "),
            join(&hex, "\", \""),
            join(&hex, "\\\", \\\""),
            join(&|byte| format!("0x{byte:02x}"), "','"),
        ] {
            let mut found = Vec::new();
            streaks(text.as_bytes(), STREAK, &mut |places, bytes| found.push((places[0], bytes.to_vec())));
            assert!(found.contains(&(0, token.to_vec())), "{text} {found:?}");
        }
        streaks(b"1, 2, 3, 1000, 2000, 3.14, 99999, 12, 44, 2026-11-22 13:05:07", STREAK, &mut |_, bytes| {
            panic!("{bytes:?}")
        });
    }
}
