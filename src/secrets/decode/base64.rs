//! Base64 of both alphabets, at every alignment, inside anything.
//!
//! A token in base64 is a streak of groups whose three bytes are all ASCII: three of the 24 bits are zero, so that
//! random text has four such groups in a row once in 4,096 places; a token of 17 bytes has as many at any alignment.
//! Only such streaks are decoded.

use crate::secrets::classes::Classes;

const INVALID: u8 = 0x80;

const VALUES: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut value = 0;
    while value < 26 {
        table[b'A' as usize + value] = value as u8;
        table[b'a' as usize + value] = value as u8 + 26;
        value += 1;
    }
    let mut digit = 0;
    while digit < 10 {
        table[b'0' as usize + digit] = digit as u8 + 52;
        digit += 1;
    }
    table[b'+' as usize] = 62;
    table[b'-' as usize] = 62;
    table[b'/' as usize] = 63;
    table[b'_' as usize] = 63;
    table
};

/// Whether a character may stand at a place in a group of ASCII bytes: a first one that leaves the top bit of byte 1
/// unset, a second one that of byte 2, a third one that of byte 3.
const fn may_stand(place: usize) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = VALUES[byte];
        table[byte] = value != INVALID && value >> (5 - 2 * place) & 1 == 0;
        byte += 1;
    }
    table
}

const FIRST: [bool; 256] = may_stand(0);
const SECOND: [bool; 256] = may_stand(1);
const THIRD: [bool; 256] = may_stand(2);
const FRONT: Classes<2> = Classes::new([FIRST, SECOND]);
const BACK: Classes<1> = Classes::new([THIRD]);

/// Whether a run begins like base64 of gzip, zip, zstd, a git pack or zlib.
pub(in crate::secrets) fn begins_a_file(text: &[u8]) -> bool {
    const HEADS: [&[u8]; 9] = [b"H4sI", b"UEsDB", b"KLUv/", b"KLUv_", b"UEFDSwAAAA", b"eAE", b"eF4", b"eJ", b"eN"];
    HEADS.iter().any(|head| text.starts_with(head))
}

/// Whether a run is base64 of text that isn't ASCII: full-width letters, invisible characters between others.
pub(in crate::secrets) fn begins_wide_text(text: &[u8]) -> bool {
    const LOOKED_AT: usize = 48;
    // Most runs begin with bytes that no text does.
    if let [a, b, c, d, ..] = text {
        let [a, b, c, d] = [a, b, c, d].map(|character| u32::from(VALUES[usize::from(*character)] & 0x3f));
        let [_, first, second, _] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        let goes_on = matches!(second, 0x80..0xc0);
        if matches!(first, 0..=8 | 14..=31 | 0x80..0xc2 | 0xf5..) || goes_on != (first >= 0xc2) {
            return false;
        }
    }
    let mut bytes = Vec::with_capacity(LOOKED_AT);
    decode(text.get(..LOOKED_AT).unwrap_or(text), &mut bytes);
    // The last character may be cut.
    let valid = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let rest = bytes.get(..valid).unwrap_or_default();
    valid + 4 > bytes.len() && !rest.is_ascii() && !rest.iter().any(|byte| matches!(byte, 0..=8 | 14..=31))
}

/// Blocks that are looked at together.
const SPAN: usize = 16;

/// Whether there may be a streak in 64 characters or fewer.
pub(in crate::secrets) fn may_have_streaks(text: &[u8]) -> bool {
    let ([first, second], [third]) = (FRONT.short_masks(text), BACK.short_masks(text));
    let groups = first & second >> 1 & third >> 2;
    groups & groups >> 4 & groups >> 8 & groups >> 12 != 0
}

/// Whether there may be one in a text that was reversed.
pub(in crate::secrets) fn may_have_streaks_backwards(text: &[u8]) -> bool {
    const BLOCK: usize = 64;
    // What a streak of four groups goes over into the next block.
    const OVER: usize = 15;
    let may_have = |text: &[u8]| {
        let ([first, second], [third]) = (FRONT.short_masks(text), BACK.short_masks(text));
        let groups = third >> 1 & second >> 2 & first >> 3;
        groups & groups >> 4 & groups >> 8 & groups >> 12 != 0
    };
    (0..text.len().saturating_sub(OVER))
        .step_by(BLOCK - OVER)
        .any(|at| may_have(text.get(at..at + BLOCK).or(text.get(at..)).unwrap_or_default()))
}

/// Finds streaks in a run of base64 characters; `each` gets where a streak starts and its bytes.
#[inline(never)]
pub(in crate::secrets) fn streaks(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    // The end of the streak that was told last, by alignment.
    let mut told = [0usize; 4];
    let mut bytes = Vec::new();
    for (number, _) in text.chunks(SPAN * 64).enumerate() {
        let from = number * SPAN * 64;
        // With the block behind, which groups go on into.
        let span = text.get(from..text.len().min(from + (SPAN + 1) * 64)).unwrap_or_default();
        let (mut front, mut back) = ([[0; 2]; SPAN + 1], [[0; 1]; SPAN + 1]);
        masks(span, &FRONT, &mut front);
        masks(span, &BACK, &mut back);
        for block in 0..SPAN.min(span.len().div_ceil(64)) {
            let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
            let first = both(front[block][0], front[block + 1][0]);
            let second = both(front[block][1], front[block + 1][1]);
            let third = both(back[block][0], back[block + 1][0]);
            let groups = first & second >> 1 & third >> 2;
            let mut open = (groups & groups >> 4 & groups >> 8 & groups >> 12) as u64;
            while open != 0 {
                let start = from + block * 64 + open.trailing_zeros() as usize;
                open &= open - 1;
                if start >= told[start % 4] {
                    told[start % 4] = tell(text, start, &mut bytes, each);
                }
            }
        }
    }
}

/// The masks of a text's blocks; what lies behind it belongs to no class.
fn masks<const N: usize>(text: &[u8], classes: &Classes<N>, out: &mut [[u64; N]]) {
    let (blocks, rest) = text.as_chunks::<64>();
    classes.masks_of(blocks, out);
    if let (Some(last), false) = (out.get_mut(blocks.len()), rest.is_empty()) {
        *last = classes.short_masks(rest);
    }
}

/// Decodes from `start` on while groups are ASCII, and one group more on each side: a token's first and last byte may
/// share theirs with others. Gives where the streak ends.
fn tell(text: &[u8], start: usize, bytes: &mut Vec<u8>, each: &mut dyn FnMut(usize, &[u8])) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let is_ascii = |group: &&[u8; 4]| {
        let [a, b, c, _] = group.map(usize::from);
        FIRST[a] && SECOND[b] && THIRD[c]
    };
    let end = start + rest.as_chunks().0.iter().take_while(is_ascii).count() * 4 + 4;
    let first = start.checked_sub(4).unwrap_or(start);
    bytes.clear();
    decode(text.get(first..end).or(text.get(first..)).unwrap_or_default(), bytes);
    each(first, bytes);
    end
}

/// A character's bits at each of the four places in a group.
const PLACES: [[u32; 256]; 4] = {
    let (mut table, mut byte) = ([[0; 256]; 4], 0);
    while byte < 256 {
        let mut place = 0;
        while place < 4 {
            table[place][byte] = ((VALUES[byte] & 63) as u32) << (18 - 6 * place);
            place += 1;
        }
        byte += 1;
    }
    table
};

/// Decodes whole groups, and what a last incomplete one holds.
pub(in crate::secrets) fn decode(text: &[u8], out: &mut Vec<u8>) {
    let (groups, rest) = text.as_chunks::<4>();
    let from = out.len();
    out.resize(from + groups.len() * 3, 0);
    let (threes, _) = out.get_mut(from..).unwrap_or_default().as_chunks_mut::<3>();
    for (three, group) in threes.iter_mut().zip(groups) {
        let [a, b, c, d] = group.map(usize::from);
        let [_, x, y, z] = (PLACES[0][a] | PLACES[1][b] | PLACES[2][c] | PLACES[3][d]).to_be_bytes();
        *three = [x, y, z];
    }
    let value = |at: usize| rest.get(at).map_or(0, |&byte| PLACES[at][usize::from(byte)]);
    let [_, x, y, _] = (value(0) | value(1) | value(2)).to_be_bytes();
    if rest.len() >= 2 {
        out.push(x);
    }
    if rest.len() == 3 {
        out.push(y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
    use proptest::prelude::*;

    fn found(text: &str, needle: &[u8]) -> bool {
        let mut found = false;
        streaks(text.as_bytes(), &mut |_, bytes| found |= memchr::memmem::find(bytes, needle).is_some());
        found
    }

    #[test]
    fn a_token_is_found_at_every_alignment_inside_anything() {
        let token = b"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";
        for lead in 0..3 {
            let plain = [&b"\xff\xfe\xfd"[..lead], token, b"\xf0\xf1"].concat();
            for glued in 0..9 {
                let text = "Zz9+/_-aB".get(..glued).unwrap().to_owned() + &BASE64_NOPAD.encode(&plain);
                assert!(found(&text, token), "{lead} {glued} {text}");
                let text = "Zz9+/_-aB".get(..glued).unwrap().to_owned() + &BASE64URL_NOPAD.encode(&plain) + "zzzzzzz";
                assert!(found(&text, token), "{lead} {glued} {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn streaks_begin_where_four_groups_of_ascii_do(text in "[A-Za-z0-9+/]{0,40}([A-Ha-g0-3]{0,90}[A-Za-z+/]{0,60}){0,4}", lead in 0usize..1100) {
            let text = ["9".repeat(lead), text].concat();
            let text = text.as_bytes();
            let is_ascii = |at: usize| {
                let mut bytes = Vec::new();
                decode(&text[at..at + 4], &mut bytes);
                bytes.is_ascii()
            };
            let (mut told, mut expected) = ([0; 4], Vec::new());
            for start in 0..text.len().saturating_sub(15) {
                if start >= told[start % 4] && (0..4).all(|group| is_ascii(start + group * 4)) {
                    let groups = (start..text.len() - 3).step_by(4).take_while(|at| is_ascii(*at)).count();
                    told[start % 4] = start + groups * 4 + 4;
                    expected.push(start.checked_sub(4).unwrap_or(start));
                }
            }
            let mut found = Vec::new();
            streaks(text, &mut |at, _| found.push(at));
            // The last group may be cut: its fourth character says nothing.
            found.retain(|at| expected.contains(at) || at + 15 + 4 < text.len());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_token_is_found_wherever_it_stands_in_a_long_run() {
        let token = b"AKIAEWCGRBFAS73QNT3Y";
        for lead in 180..600 {
            let plain = [vec![0xff; lead], token.to_vec(), vec![0xee; 40]].concat();
            assert!(found(&BASE64_NOPAD.encode(&plain), token), "{lead}");
        }
    }
}
