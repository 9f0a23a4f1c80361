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

/// The characters of such a list, with the sign that assemblers put behind a number (`67h`), but for the letters of
/// escaped line breaks.
pub(in crate::secrets) const PARTS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        has[byte as usize] = byte.is_ascii_hexdigit()
            || matches!(
                byte,
                b',' | b'-' | b'.' | b':' | b';' | b'h' | b'H' | b'x' | b' ' | b'\t'
                    ..=b'\r' | b'|' | b'"' | b'\'' | b'\\'
            );
        byte += 1;
    }
    has
});

/// Gets where each number of a streak stands, then where the last one ends; and the bytes.
pub(in crate::secrets) type Each<'a> = &'a mut dyn FnMut(&[u32], &[u8]);

/// Finds text written as numbers.
pub(in crate::secrets) fn streaks(text: &[u8], shortest: usize, each: Each<'_>) {
    let wide = shortest < STREAK;
    for radix in [16, 10] {
        let (mut bytes, mut places, mut at, mut end) = (Vec::new(), Vec::new(), 0, 0);
        for token in text.chunk_by(|a, b| is_digit(*a) == is_digit(*b)) {
            let from = at;
            at += token.len();
            if !is_digit(token.first().copied().unwrap_or(0)) {
                if token.len() <= BETWEEN || (token.len() <= GAP && is_indent(token)) {
                    continue;
                }
            } else if let Some((group, length)) = group(token, radix, bytes.last()) {
                places.extend((0..length).map(|byte| (from + 2 * byte) as u32));
                bytes.extend(group.iter().take(length));
                end = at;
                continue;
            } else if let Some(byte) = letter(token, radix, wide).filter(|byte| is_text(*byte, bytes.last(), wide)) {
                places.push(from as u32);
                bytes.push(byte);
                end = at;
                continue;
            }
            tell(&mut places, end, &mut bytes, shortest, each);
        }
        tell(&mut places, end, &mut bytes, shortest, each);
    }
    indexed(text, shortest, each);
}

/// Finds text written as numbers that each stand behind the number of its place: `{"0":103,"1":104}`.
fn indexed(text: &[u8], shortest: usize, each: Each<'_>) {
    if memchr::memchr(b':', text).is_none() {
        return;
    }
    // Where a number stands and ends; none where a list ends.
    let (mut tokens, mut at) = (Vec::new(), 0);
    for token in text.chunk_by(|a, b| is_digit(*a) == is_digit(*b)) {
        let is_number = is_digit(token.first().copied().unwrap_or(0));
        if is_number || (token.len() > BETWEEN && !(token.len() <= GAP && is_indent(token))) {
            tokens.push(is_number.then_some((at, token)));
        }
        at += token.len();
    }
    for first in 0..2 {
        let (mut bytes, mut places, mut end, mut before) = (Vec::new(), Vec::new(), 0, None);
        for pair in tokens.get(first..).unwrap_or_default().chunks_exact(2) {
            let found = match pair {
                [Some((_, place)), Some((from, value))] => {
                    index(place).zip(number(value, 10)).map(|found| (found, from))
                }
                _ => None,
            };
            let found = found.filter(|((_, byte), _)| is_text(*byte, bytes.last(), shortest < STREAK));
            if found.is_none_or(|((place, _), _)| before.is_none_or(|before: usize| before + 1 != place)) {
                tell(&mut places, end, &mut bytes, shortest, each);
            }
            before = found.map(|((place, _), _)| place);
            if let (Some(((_, byte), from)), [_, Some((_, value))]) = (found, pair) {
                places.push(*from as u32);
                bytes.push(byte);
                end = from + value.len();
            }
        }
        tell(&mut places, end, &mut bytes, shortest, each);
    }
}

/// The number of a place.
fn index(token: &[u8]) -> Option<usize> {
    let digits = |number: usize, byte: &u8| Some(number * 10 + (*byte as char).to_digit(10)? as usize);
    (token.len() <= 5).then(|| token.iter().try_fold(0, digits))?
}

/// Whether a byte may go on a text; where short values are looked for, they may have letters beyond ASCII.
fn is_text(byte: u8, before: Option<&u8>, wide: bool) -> bool {
    super::is_text(byte, before) || (wide && byte >= 0x80)
}

/// A letter's number: a byte, or a code point beyond, which is a question mark.
fn letter(token: &[u8], radix: u32, wide: bool) -> Option<u8> {
    let is_beyond = || radix == 10 && (3..=6).contains(&token.len()) && token.iter().all(u8::is_ascii_digit);
    number(token, radix).or_else(|| (wide && is_beyond()).then_some(b'?'))
}

/// Two to four bytes of text in as many digits, as `xxd` groups them; of what is grouped from its end on the first group
/// is shorter.
fn group(token: &[u8], radix: u32, before: Option<&u8>) -> Option<([u8; 4], usize)> {
    if radix != 16 || !matches!(token.len(), 4 | 6 | 8) {
        return None;
    }
    let mut bytes = [0; 4];
    let mut before = before.copied();
    for (byte, two) in bytes.iter_mut().zip(token.chunks_exact(2)) {
        *byte = hex::pair(two[0], two[1]).filter(|byte| super::is_text(*byte, before.as_ref()))?;
        before = Some(*byte);
    }
    Some((bytes, token.len() / 2))
}

/// Finds text among words that are numbers: decimal, octal as `od` prints it, binary, or with a prefix that tells it.
pub(in crate::secrets) fn of_words(words: &[&[u8]], shortest: usize, each: &mut dyn FnMut(&[u8])) {
    let has_digit = |word: &&&[u8]| word.iter().any(u8::is_ascii_digit);
    if words.len() < shortest || words.iter().take(shortest).filter(has_digit).count() < shortest / 2 {
        return;
    }
    for radix in [10, 8, 2] {
        let mut bytes = Vec::new();
        for word in words {
            match of_word(word, radix).filter(|byte| super::is_text(*byte, bytes.last())) {
                Some(byte) => bytes.push(byte),
                None => {
                    if bytes.len() >= shortest {
                        each(&bytes);
                    }
                    bytes.clear();
                }
            }
        }
        if bytes.len() >= shortest {
            each(&bytes);
        }
    }
}

/// A byte's number, with a sign that adds it to others on either side.
fn of_word(word: &[u8], radix: u32) -> Option<u8> {
    let is_sign = |byte: &u8| matches!(byte, b'+' | b'.' | b'-' | b'/');
    let front = word.iter().take_while(|byte| is_sign(byte)).count();
    let word = word.get(front..word.len() - word.iter().rev().take_while(|byte| is_sign(byte)).count())?;
    let (digits, radix) = match (word, radix) {
        ([b'0', b'x' | b'X', digits @ ..], 10) => (digits, 16),
        // Of Basic: `&H67`.
        ([b'H', digits @ ..], 10) if digits.len() == 2 => (digits, 16),
        ([b'0', b'o' | b'O', digits @ ..], 10) => (digits, 8),
        ([b'0', b'b' | b'B', digits @ ..], 10) => (digits, 2),
        (digits, radix) => (digits, radix),
    };
    // What is octal or binary without a sign has all its digits.
    let least = if radix == 2 {
        8
    } else if radix == 8 && digits.len() == word.len() {
        3
    } else {
        1
    };
    if digits.len() < least || digits.len() > 8 {
        return None;
    }
    let add = |number: u32, byte: &u8| Some(number * radix + (*byte as char).to_digit(radix)?);
    u8::try_from(digits.iter().try_fold(0, add)?).ok()
}

/// Whether a list of so many numbers that a known value may be in it goes over a place.
pub(in crate::secrets) fn goes_over(text: &[u8], at: usize) -> bool {
    let is_byte =
        |token: &[u8]| number(token, 16).is_some() || number(token, 10).is_some() || group(token, 16, None).is_some();
    let lies_in_list = |gap: &[u8]| gap.iter().all(|byte| PARTS.has(*byte) || matches!(byte, b'n' | b'r' | b't'));
    const LONGEST: usize = 8;
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

/// The head of zlib: two bytes that are a multiple of 31 together (RFC 1950, section 2.2).
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [0x78, second, ..] if u16::from_be_bytes([0x78, *second]).is_multiple_of(31) && second & 0x20 == 0)
}

/// The bytes of a list that begins like gzip, zip, zstd or zlib, or that is text beyond ASCII, and where they stand.
pub(in crate::secrets) fn file(text: &[u8]) -> Option<(Vec<u32>, Vec<u8>)> {
    const HEADS: [&[u8]; 3] = [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"];
    [10, 16].into_iter().find_map(|radix| {
        let (mut bytes, mut places, mut at, mut is_file) = (Vec::new(), Vec::new(), 0, false);
        for token in text.chunk_by(|a, b| is_digit(*a) == is_digit(*b)) {
            if token.first().copied().is_some_and(is_digit) {
                let Some(byte) = number(token, radix) else { break };
                places.push(at as u32);
                bytes.push(byte);
                if bytes.len() == 4 {
                    is_file = HEADS.iter().any(|head| bytes.starts_with(head)) || is_zlib(&bytes);
                }
                if bytes.len() == 4 && !is_file && (bytes.is_ascii() || !super::may_be_wide(&bytes)) {
                    return None;
                }
            }
            at += token.len();
        }
        places.push(at as u32);
        (bytes.len() >= STREAK && (is_file || super::is_wide(&bytes))).then_some((places, bytes))
    })
}

/// A byte's number.
fn number(token: &[u8], radix: u32) -> Option<u8> {
    let byte = match (radix, token) {
        (16, [high, low] | [b'0', b'x', high, low]) => hex::pair(*high, *low)?,
        (16, [b'0', b'x', low]) => hex::pair(b'0', *low)?,
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
