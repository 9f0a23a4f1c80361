//! Base32 (RFC 4648), of either case, at every alignment.

use crate::secrets::search::classes::Class;
use zeroize::Zeroizing;

/// Bytes of text in a row that make a streak.
const STREAK: usize = 14;
/// The characters of one.
pub(in crate::secrets) const SHORTEST: usize = STREAK * 8 / 5 + 1;

const fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

pub(in crate::secrets) const UPPER: Class = characters(b'A');
pub(in crate::secrets) const LOWER: Class = characters(b'a');

/// The alphabet of one case.
const fn characters(first: u8) -> Class {
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        has[byte as usize] = byte.wrapping_sub(first) < 26 || matches!(byte, b'2'..=b'7');
        byte += 1;
    }
    Class::new(has)
}

/// Finds stretches of base32 that are text; `each` gets where one starts and its bytes.
#[inline(never)]
pub(in crate::secrets) fn streaks(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    let (mut masks, mut runs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    UPPER.runs(text, 0, SHORTEST, &mut masks, &mut runs);
    LOWER.runs(text, 0, SHORTEST, &mut masks, &mut others);
    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    for (start, end) in runs.into_iter().chain(others) {
        let (start, end) = (start as usize, end as usize);
        values.clear();
        let run = text.get(start..end).unwrap_or_default();
        values.extend(run.iter().map(|character| value(*character).unwrap_or(0)));
        for alignment in 0..8 {
            decode(values.get(alignment..).unwrap_or_default(), start + alignment, &mut bytes, each);
        }
    }
}

/// Finds text in the alphabet that goes from digits to `V` (section 7): in words, of one case, that are no hex.
pub(in crate::secrets) fn extended(text: &[u8], each: &mut dyn FnMut(&[u8])) {
    for word in text.split(|byte| !byte.is_ascii_alphanumeric()) {
        let beyond = |first: u8| word.iter().any(|byte| (6..22).contains(&byte.wrapping_sub(first)));
        let all = |first: u8| word.iter().all(|byte| byte.is_ascii_digit() || byte.wrapping_sub(first) < 22);
        if word.len() >= SHORTEST && ((beyond(b'A') && all(b'A')) || (beyond(b'a') && all(b'a'))) {
            let plain: Zeroizing<Vec<u8>> = Zeroizing::new(word.iter().map(|byte| plain(*byte)).collect());
            streaks(&plain, &mut |_, bytes| each(bytes));
        }
    }
}

/// The character of the usual alphabet that has the value of one of the other.
const fn plain(byte: u8) -> u8 {
    let value = if byte.is_ascii_digit() { byte - b'0' } else { byte.to_ascii_uppercase() - b'A' + 10 };
    if value < 26 { b'A' + value } else { b'2' + value - 26 }
}

/// Whether a run begins like base32 of gzip, zip or zstd.
pub(in crate::secrets) fn begins_a_file(text: &[u8]) -> bool {
    const HEADS: [&[u8]; 3] = [b"D6FQ", b"KBFQGB", b"FC2S75"];
    let head = text.get(..32).unwrap_or_default();
    let begins = |with: &&[u8]| head.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    matches!(head, [b'D' | b'd' | b'K' | b'k' | b'F' | b'f', ..])
        && HEADS.iter().any(begins)
        && head.iter().all(|byte| value(*byte).is_some())
}

/// Whether a run is base32 of text that isn't ASCII.
pub(in crate::secrets) fn begins_wide_text(text: &[u8]) -> bool {
    const FIRST: usize = 8;
    let all = |class: &Class| text.get(..SHORTEST).is_some_and(|front| front.iter().all(|byte| class.has(*byte)));
    let decoded = |characters: usize| {
        let mut bytes = Vec::with_capacity(characters);
        decode_all(text.get(..characters).unwrap_or(text), &mut bytes);
        bytes
    };
    (all(&UPPER) || all(&LOWER))
        && super::may_be_wide(&decoded(FIRST))
        && super::is_wide(&decoded((super::WIDE * 8).div_ceil(5)))
}

/// Decodes whole characters; what is none counts as zero.
pub(in crate::secrets) fn decode_all(text: &[u8], out: &mut Vec<u8>) {
    for group in text.chunks(8) {
        let (mut bits, mut held) = (0u64, 0);
        for character in group {
            bits = bits << 5 | u64::from(value(*character).unwrap_or(0));
            held += 5;
        }
        out.extend((1..=held / 8).map(|byte| (bits >> (held - 8 * byte)) as u8));
    }
}

/// Whether a byte ends a streak whatever stands before it.
const fn is_none(byte: u8) -> bool {
    !(byte == 0 || (byte >= 0x20 && byte < 0x7f) || byte.is_ascii_whitespace())
}

/// The bytes that a run's characters stand for, by their numbers.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    const fn count(&self) -> usize {
        self.0.len() * 5 / 8
    }

    fn get(&self, number: usize) -> u8 {
        let (at, bit) = (number * 8 / 5, number * 8 % 5);
        let value = |at: usize| u16::from(self.0.get(at).copied().unwrap_or(0));
        ((value(at) << 10 | value(at + 1) << 5 | value(at + 2)) >> (7 - bit)) as u8
    }

    /// The character that a byte ends in.
    const fn end(number: usize) -> usize {
        (number * 8 + 7) / 5
    }
}

/// Of a streak one byte in so many is looked at, before all of them are.
fn decode(values: &[u8], start: usize, bytes: &mut Vec<u8>, each: &mut dyn FnMut(usize, &[u8])) {
    let run = Bytes(values);
    let (mut floor, mut probe) = (0, STREAK - 1);
    while probe < run.count() {
        if is_none(run.get(probe)) {
            floor = probe + 1;
            probe += STREAK;
            continue;
        }
        let mut number = (floor..probe).rev().find(|number| is_none(run.get(*number))).map_or(floor, |last| last + 1);
        let place = |number: usize| number.checked_sub(1).map_or(start, |last| start + Bytes::end(last));
        let mut first = place(number);
        bytes.clear();
        while number < run.count() {
            let byte = run.get(number);
            number += 1;
            if super::is_text(byte, bytes.last()) {
                bytes.push(byte);
                continue;
            }
            if bytes.len() >= STREAK {
                each(first, bytes);
            }
            bytes.clear();
            first = place(number);
            if is_none(byte) {
                break;
            }
        }
        if bytes.len() >= STREAK {
            each(first, bytes);
        }
        (floor, probe) = (number, number + STREAK - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE32_NOPAD;
    use proptest::prelude::*;

    /// Every byte after the other.
    fn plainly(run: &[u8], start: usize, each: &mut dyn FnMut(usize, &[u8])) {
        let (mut bits, mut held, mut bytes, mut first) = (0u32, 0u32, Vec::new(), start);
        for (at, &character) in run.iter().enumerate() {
            bits = bits << 5 | u32::from(character);
            held += 5;
            if held < 8 {
                continue;
            }
            held -= 8;
            let byte = (bits >> held) as u8;
            if super::super::is_text(byte, bytes.last()) {
                bytes.push(byte);
                continue;
            }
            if bytes.len() >= STREAK {
                each(first, &bytes);
            }
            bytes.clear();
            first = start + at;
        }
        if bytes.len() >= STREAK {
            each(first, &bytes);
        }
    }

    proptest! {
        #[test]
        fn streaks_are_those_that_a_look_at_every_byte_finds(
            text in proptest::collection::vec(prop_oneof!["[ -~]{0,40}", "[\0a]{0,40}", "[\u{80}-\u{ff}]{0,3}"], 0..12),
            lead in 0usize..8,
        ) {
            let run = BASE32_NOPAD.encode(text.concat().as_bytes());
            let values: Vec<u8> = run.bytes().map(|character| value(character).unwrap()).skip(lead).collect();
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            decode(&values, lead, &mut Vec::new(), &mut |at, bytes| found.push((at, bytes.to_vec())));
            plainly(&values, lead, &mut |at, bytes| expected.push((at, bytes.to_vec())));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn text_in_base32_is_found_at_every_alignment() {
        let token = b"ghp_c0nR53vbNwvZ57YiuPRr";
        for glued in 0..8 {
            for text in [BASE32_NOPAD.encode(token), BASE32_NOPAD.encode(token).to_lowercase()] {
                let glue = if text.starts_with('M') { "ZZZZZZZZ" } else { "zzzzzzzz" };
                let text = format!("{}{text}", &glue[..glued]);
                let mut found = false;
                streaks(text.as_bytes(), &mut |_, bytes| found |= memchr::memmem::find(bytes, token).is_some());
                assert!(found, "{text}");
            }
        }
        streaks(b"internationalizationsupportedlanguages", &mut |_, bytes| panic!("{bytes:?}"));
    }

    #[test]
    fn text_in_the_other_alphabet_is_read_and_digests_are_not() {
        let token = b"ghp_c0nR53vbNwvZ57YiuPRr";
        let coded = data_encoding::BASE32HEX_NOPAD.encode(token);
        for text in [coded.clone(), coded.to_lowercase(), format!("see '{coded}===' ok")] {
            let mut found = false;
            extended(text.as_bytes(), &mut |bytes| found |= bytes == token);
            assert!(found, "{text}");
        }
        extended(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c internationalisation", &mut |_| panic!());
    }
}
