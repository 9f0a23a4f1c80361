//! Base64 of both alphabets, at every alignment, inside anything.
//!
//! A token in base64 is a streak of groups whose three bytes are all ASCII: three of the 24 bits are zero, so that
//! random text has four such groups in a row once in 4,096 places; a token of 17 bytes has as many at any alignment.
//! Only such streaks are decoded.

use super::deflate::{self, Looks};
use crate::secrets::search::classes::Classes;
use std::ops::Range;

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
pub(in crate::secrets) const FRONT: Classes<2> = Classes::new([FIRST, SECOND]);
pub(in crate::secrets) const BACK: Classes<1> = Classes::new([THIRD]);

/// Whether a run begins like base64 of gzip, zip, zstd, a git pack or zlib.
pub(in crate::secrets) fn begins_a_file(text: &[u8]) -> bool {
    const HEADS: [&[u8]; 9] = [b"H4sI", b"UEsDB", b"KLUv/", b"KLUv_", b"UEFDSwAAAA", b"eAE", b"eF4", b"eJ", b"eN"];
    matches!(text, [b'H' | b'U' | b'K' | b'e', ..]) && HEADS.iter().any(|head| text.starts_with(head))
}

/// Whether a run may begin with this character that is base64 of text.
pub(in crate::secrets) const fn may_begin_text(character: u8) -> bool {
    let value = VALUES[character as usize];
    // Of the first byte two bits are not known.
    value != INVALID && !matches!(value << 2, 0..=4 | 16..=28 | 0x80..=0xbc | 0xf8..)
}

/// Whether a run is base64 of text that isn't ASCII: full-width letters, invisible characters between others.
pub(in crate::secrets) fn begins_wide_text(text: &[u8]) -> bool {
    const LOOKED_AT: usize = 48;
    // Most runs begin with bytes that no text does.
    let [[first, second, _]] = front(text).unwrap_or_default();
    let goes_on = matches!(second, 0x80..0xc0);
    if matches!(first, 0..=8 | 14..=31 | 0x80..0xc2 | 0xf5..) || goes_on != (first >= 0xc2) {
        return false;
    }
    if front::<4>(text).is_some_and(|bytes| !super::may_be_wide(bytes.as_flattened())) {
        return false;
    }
    let mut bytes = Vec::with_capacity(LOOKED_AT);
    decode(text.get(..LOOKED_AT).unwrap_or(text), &mut bytes);
    super::is_wide(&bytes)
}

/// Whether a run is base64 of text in a raw deflate stream, as SAML has it.
pub(in crate::secrets) fn begins_deflate(text: &[u8]) -> bool {
    /// Shorter ones hold no token.
    const LEAST: usize = 48;
    let first = front::<4>(text).filter(|_| text.len() >= LEAST);
    first.is_some_and(|bytes| deflate::looks(bytes.as_flattened(), false) != Looks::No) && {
        let mut bytes = Vec::with_capacity(deflate::ENOUGH + 3);
        decode(text.get(..deflate::ENOUGH.div_ceil(3) * 4).unwrap_or(text), &mut bytes);
        match deflate::looks(&bytes, false) {
            Looks::Open => deflate::looks(&bytes, true) == Looks::Text,
            looks => looks == Looks::Text,
        }
    }
}

/// What the first groups of a run hold.
fn front<const GROUPS: usize>(text: &[u8]) -> Option<[[u8; 3]; GROUPS]> {
    let groups = text.as_chunks::<4>().0.first_chunk::<GROUPS>()?;
    Some(groups.each_ref().map(|group| {
        let [_, bytes @ ..] = three(group);
        bytes
    }))
}

/// Blocks that are looked at together.
const SPAN: usize = 16;

/// Whether there may be a streak in 64 characters or fewer: one bit for each that may be a first, a second and a third of
/// a group.
pub(in crate::secrets) const fn has_streak([first, second, third]: [u64; 3]) -> bool {
    has_four(first & second >> 1 & third >> 2)
}

/// Whether there may be one in characters that were reversed.
pub(in crate::secrets) const fn has_streak_backwards([first, second, third]: [u64; 3]) -> bool {
    has_four(third >> 1 & second >> 2 & first >> 3)
}

const fn has_four(groups: u64) -> bool {
    groups & groups >> 4 & groups >> 8 & groups >> 12 != 0
}

fn short_masks(text: &[u8]) -> [u64; 3] {
    let ([first, second], [third]) = (FRONT.short_masks(text), BACK.short_masks(text));
    [first, second, third]
}

/// Whether there may be a streak in a text that was reversed.
pub(in crate::secrets) fn may_have_streaks_backwards(text: &[u8]) -> bool {
    const BLOCK: usize = 64;
    // What a streak of four groups goes over into the next block.
    const OVER: usize = 15;
    (0..text.len().saturating_sub(OVER)).step_by(BLOCK - OVER).any(|at| {
        let block = text.get(at..at + BLOCK).or(text.get(at..)).unwrap_or_default();
        has_streak_backwards(short_masks(block))
    })
}

/// Finds streaks in a run of base64 characters; `each` gets the characters of one, with a group more on each side: a
/// token's first and last byte may share theirs with others.
#[inline(never)]
pub(in crate::secrets) fn streaks(text: &[u8], each: &mut dyn FnMut(Range<usize>)) {
    if text.len() <= 64 && !has_streak(short_masks(text)) {
        return;
    }
    let groups = ascii_groups(text);
    // The end of the streak that was told last, by alignment.
    let mut told = [0; 4];
    for (number, pair) in groups.windows(2).enumerate() {
        let four = u128::from(pair[0]) | u128::from(pair[1]) << 64;
        let mut open = (four & four >> 4 & four >> 8 & four >> 12) as u64;
        for (told, aligned) in told.iter().zip(ALIGNED) {
            open &= !(aligned & below(number, *told));
        }
        while open != 0 {
            let start = number * 64 + open.trailing_zeros() as usize;
            let (aligned, end) = (ALIGNED[start % 4], streak_end(&groups, start));
            told[start % 4] = end;
            open &= !(aligned & below(number, end));
            each(start.checked_sub(4).unwrap_or(start)..end.min(text.len()));
        }
    }
}

/// Every fourth place, from each of the first four on.
const ALIGNED: [u64; 4] = [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x4444_4444_4444_4444, 0x8888_8888_8888_8888];

/// The places of a block that lie before one in the text.
const fn below(block: usize, place: usize) -> u64 {
    match place.saturating_sub(block * 64) {
        0 => 0,
        count @ 1..64 => (1 << count) - 1,
        _ => u64::MAX,
    }
}

/// Where groups of ASCII may begin, one bit each, and a block without any behind them.
fn ascii_groups(text: &[u8]) -> Vec<u64> {
    let mut groups = Vec::with_capacity(text.len() / 64 + 2);
    for from in (0..text.len()).step_by(SPAN * 64) {
        // With the block behind, which groups go on into.
        let span = text.get(from..text.len().min(from + (SPAN + 1) * 64)).unwrap_or_default();
        let (mut front, mut back) = ([[0; 2]; SPAN + 1], [[0; 1]; SPAN + 1]);
        masks(span, &FRONT, &mut front);
        masks(span, &BACK, &mut back);
        groups.extend((0..SPAN.min(span.len().div_ceil(64))).map(|block| {
            let second = front[block][1] >> 1 | front[block + 1][1] << 63;
            let third = back[block][0] >> 2 | back[block + 1][0] << 62;
            front[block][0] & second & third
        }));
    }
    groups.push(0);
    groups
}

/// Where the streak ends that a group belongs to: behind the first one that isn't ASCII.
fn streak_end(groups: &[u64], start: usize) -> usize {
    let others = |block: usize| !groups.get(block).copied().unwrap_or(0) & ALIGNED[start % 4];
    let (mut block, mut left) = (start / 64, others(start / 64) & u64::MAX << (start % 64));
    while left == 0 {
        block += 1;
        left = others(block);
    }
    block * 64 + left.trailing_zeros() as usize + 4
}

/// The masks of a text's blocks; what lies behind it belongs to no class.
fn masks<const N: usize>(text: &[u8], classes: &Classes<N>, out: &mut [[u64; N]]) {
    let (blocks, rest) = text.as_chunks::<64>();
    classes.masks_of(blocks, out);
    if let (Some(last), false) = (out.get_mut(blocks.len()), rest.is_empty()) {
        *last = classes.short_masks(rest);
    }
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

/// Whether a streak holds as much text in a row as a name or a value has at least: random bytes that look like ASCII
/// don't, as a rule.
pub(in crate::secrets) fn holds_text(streak: &[u8]) -> bool {
    const SURE: usize = 84;
    const TEXT: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0);
        while byte < 128 {
            table[byte] = byte == 0 || (byte as u8).is_ascii_whitespace() || !(byte as u8).is_ascii_control();
            byte += 1;
        }
        table
    };
    if streak.len() >= SURE {
        return true;
    }
    let (groups, rest) = streak.as_chunks::<4>();
    // One bit for each byte, without a branch: what comes is random.
    let is_text = |byte: u8| u64::from(TEXT[usize::from(byte)]);
    let text = groups.iter().rev().fold([0, 0, 1, 3][rest.len()], |text, group| {
        let [_, a, b, c] = three(group);
        text << 3 | is_text(c) << 2 | is_text(b) << 1 | is_text(a)
    });
    let twos = text & text >> 1;
    let fours = twos & twos >> 2;
    fours & fours >> 4 != 0
}

/// The bytes of a group, behind a zero.
const fn three(&[a, b, c, d]: &[u8; 4]) -> [u8; 4] {
    (PLACES[0][a as usize] | PLACES[1][b as usize] | PLACES[2][c as usize] | PLACES[3][d as usize]).to_be_bytes()
}

/// Decodes whole groups, and what a last incomplete one holds.
pub(in crate::secrets) fn decode(text: &[u8], out: &mut Vec<u8>) {
    let (groups, rest) = text.as_chunks::<4>();
    let from = out.len();
    out.resize(from + groups.len() * 3, 0);
    let (threes, _) = out.get_mut(from..).unwrap_or_default().as_chunks_mut::<3>();
    for (three, group) in threes.iter_mut().zip(groups) {
        let [_, bytes @ ..] = self::three(group);
        *three = bytes;
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
        streaks(text.as_bytes(), &mut |streak| {
            let mut bytes = Vec::new();
            decode(&text.as_bytes()[streak], &mut bytes);
            found |= memchr::memmem::find(&bytes, needle).is_some();
        });
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
            streaks(text, &mut |streak| found.push(streak.start));
            // The last group may be cut: its fourth character says nothing.
            found.retain(|at| expected.contains(at) || at + 15 + 4 < text.len());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn text_is_told_from_random_bytes() {
        let holds = |bytes: &[u8]| holds_text(BASE64_NOPAD.encode(bytes).as_bytes());
        assert!(holds(b"\x01\x02password\x12") && holds(b"g\0h\0p\0_\0") && holds(b"\x01\x01\x0112345678"));
        assert!(!holds(b"\x01abcdefg\x02hijklmn\x03opqrstu"));
        assert!(holds(&[1; 72]));
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
