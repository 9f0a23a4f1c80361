//! Hexadecimal, of either case and at both alignments.

use crate::secrets::search::classes::Class;

/// Bytes of text in a row that make a streak.
const STREAK: usize = 16;
/// The digits of one.
pub(in crate::secrets) const SHORTEST: usize = STREAK * 2;

const fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

pub(in crate::secrets) fn pair(high: u8, low: u8) -> Option<u8> {
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Finds stretches of hex that are text; `each` gets where one starts and its bytes.
pub(in crate::secrets) fn streaks(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    streaks_either_way(text, each, &mut |_, _| {});
}

/// The same, and stretches that are text when they are read backwards: `backwards` gets where one ends and its bytes.
#[inline(never)]
pub(in crate::secrets) fn streaks_either_way(
    text: &[u8],
    each: &mut dyn FnMut(usize, &[u8]),
    backwards: &mut dyn FnMut(usize, &[u8]),
) {
    let mut runs = Vec::new();
    DIGITS.runs(text, 0, SHORTEST, &mut Vec::new(), &mut runs);
    for (start, end) in runs {
        let (start, end) = (start as usize, end as usize);
        let run = text.get(start..end).unwrap_or_default();
        if may_be_text(run) {
            pairs(run, start, each);
            let reversed: Vec<u8> = run.iter().rev().copied().collect();
            pairs(&reversed, 0, &mut |at, bytes| backwards(end - at, bytes));
        }
    }
}

pub(in crate::secrets) const DIGITS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        has[byte as usize] = byte.is_ascii_hexdigit();
        byte += 1;
    }
    has
});

/// The first digits of the bytes of text: of 32 to 127, and of those below that stand in it.
const FIRSTS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        has[byte] = matches!(byte as u8, b'0' | b'2'..=b'7');
        byte += 1;
    }
    has
});

/// Whether every second digit may be a text's first one for a streak's length: digests have no such place.
fn may_be_text(run: &[u8]) -> bool {
    const BLOCK: usize = 64;
    let mask = |at: usize| {
        let block = run.get(at..).unwrap_or_default();
        u128::from(FIRSTS.short_mask(block.get(..BLOCK).unwrap_or(block)))
    };
    (0..run.len().saturating_sub(SHORTEST - 2)).step_by(BLOCK).any(|at| {
        let firsts = mask(at) | mask(at + BLOCK) << BLOCK;
        let twos = firsts & firsts >> 2;
        let fours = twos & twos >> 4;
        let eights = fours & fours >> 8;
        eights & eights >> 16 != 0
    })
}

/// Whether a run begins like hex of gzip, zip, zstd, a git pack or zlib.
pub(in crate::secrets) fn begins_a_file(text: &[u8]) -> bool {
    const HEADS: [&[u8]; 6] = [b"1f8b08", b"504b0304", b"28b52ffd", b"5041434b000000", b"789c", b"78da"];
    let head = text.get(..32).unwrap_or_default();
    let begins = |with: &&[u8]| head.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    matches!(head, [b'1' | b'5' | b'2' | b'7', ..])
        && HEADS.iter().any(begins)
        && head.iter().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a run is hex of text that isn't ASCII.
pub(in crate::secrets) fn begins_wide_text(text: &[u8]) -> bool {
    // Digests begin with bytes that no text does.
    let Some(front) = text.as_chunks::<2>().0.first_chunk::<4>() else { return false };
    let bytes = front.each_ref().map(|[high, low]| pair(*high, *low).unwrap_or_default());
    if !super::may_be_wide(&bytes) {
        return false;
    }
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    text.get(..SHORTEST).is_some_and(is_hex) && {
        let mut bytes = Vec::with_capacity(super::WIDE);
        decode_all(text.get(..2 * super::WIDE).unwrap_or(text), &mut bytes);
        super::is_wide(&bytes)
    }
}

/// The digits of a run that is hex but for low lines between groups of them, and where each stands.
pub(in crate::secrets) fn grouped(text: &[u8]) -> Option<(Vec<u8>, Vec<usize>)> {
    // Most runs are told from one by their first characters.
    if !text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'_') {
        return None;
    }
    memchr::memchr(b'_', text)?;
    let places: Vec<usize> = (0..text.len()).filter(|at| text.get(*at) != Some(&b'_')).collect();
    Some((places.iter().filter_map(|at| text.get(*at).copied()).collect(), places))
}

/// Decodes what is hex, digit by digit.
pub(in crate::secrets) fn decode_all(text: &[u8], out: &mut Vec<u8>) {
    out.extend(text.chunks_exact(2).map_while(|two| pair(two[0], two[1])));
}

fn pairs(text: &[u8], base: usize, each: &mut dyn FnMut(usize, &[u8])) {
    let mut bytes = Vec::new();
    for alignment in 0..2 {
        let mut start = alignment;
        for at in (alignment..text.len()).step_by(2) {
            let byte = text.get(at..at + 2).and_then(|two| pair(two[0], two[1]));
            match byte.filter(|byte| super::is_text(*byte, bytes.last())) {
                Some(byte) => bytes.push(byte),
                None => {
                    tell(base + start, &mut bytes, each);
                    start = at + 2;
                }
            }
        }
        tell(base + start, &mut bytes, each);
    }
}

fn tell(start: usize, bytes: &mut Vec<u8>, each: &mut dyn FnMut(usize, &[u8])) {
    if bytes.len() >= STREAK {
        each(start, bytes);
    }
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_in_hex_is_passed_over(lead in "[0-9a-f]{0,150}", text in "[ -~\t\r\n]{16,20}", rest in "[0-9a-f]{0,40}") {
            let hex = format!("{lead}{}{rest}", data_encoding::HEXLOWER.encode(text.as_bytes()));
            let mut found = Vec::new();
            streaks(hex.as_bytes(), &mut |_, bytes| found.push(bytes.to_vec()));
            prop_assert!(found.iter().any(|bytes| memchr::memmem::find(bytes, text.as_bytes()).is_some()));
        }
    }

    #[test]
    fn text_in_hex_is_found_and_digests_are_not() {
        let mut found = Vec::new();
        let text = format!("f{}ff", data_encoding::HEXUPPER.encode(b"ghp_c0nR53vbNwvZ57YiuP"));
        streaks(text.as_bytes(), &mut |at, bytes| found.push((at, bytes.to_vec())));
        assert_eq!(found, [(1, b"ghp_c0nR53vbNwvZ57YiuP".to_vec())]);
        streaks(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", &mut |_, _| panic!());
    }
}
