//! Base64 of both alphabets, at every alignment, inside anything.
//!
//! A token in base64 is a streak of groups whose three bytes are all ASCII: three of the 24 bits are zero, so that
//! random text has four such groups in a row once in 4,096 places. Only streaks are decoded.

/// Groups in a row that make a streak: a token of 17 bytes has as many at any alignment.
const STREAK: usize = 4;
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

/// What a character says against each of its places in a group of ASCII bytes: bit 0 as the first character
/// (the top bit of byte 1), bit 1 as the second (of byte 2), bit 2 as the third (of byte 3).
const AGAINST: [u8; 256] = {
    let mut table = [7; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = VALUES[byte];
        if value != INVALID {
            table[byte] = (value >> 5 & 1) | (value >> 3 & 1) << 1 | (value >> 1 & 1) << 2;
        }
        byte += 1;
    }
    table
};

/// Whether a run begins like base64 of gzip, zip, zstd, a git pack or zlib.
pub(in crate::secrets) fn begins_a_file(text: &[u8]) -> bool {
    const HEADS: [&[u8]; 9] = [b"H4sI", b"UEsDB", b"KLUv/", b"KLUv_", b"UEFDSwAAAA", b"eAE", b"eF4", b"eJ", b"eN"];
    HEADS.iter().any(|head| text.starts_with(head))
}

/// Places that are looked at together, in long runs and in short ones.
const LONG: usize = 256;
const SHORT: usize = 32;
const SPAN: usize = STREAK * 4 - 1;

/// Whether a run is base64 of text that isn't ASCII: full-width letters, invisible characters between others.
pub(in crate::secrets) fn begins_wide_text(text: &[u8]) -> bool {
    const LOOKED_AT: usize = 48;
    let mut bytes = Vec::with_capacity(LOOKED_AT);
    decode(text.get(..LOOKED_AT).unwrap_or(text), &mut bytes);
    // The last character may be cut.
    let valid = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let rest = bytes.get(..valid).unwrap_or_default();
    valid + 4 > bytes.len() && !rest.is_ascii() && !rest.iter().any(|byte| matches!(byte, 0..=8 | 14..=31))
}

/// Finds streaks in a run of base64 characters; `each` gets where a streak starts and its bytes.
#[inline(never)]
pub(in crate::secrets) fn streaks(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    if text.len() > 2 * SHORT + SPAN {
        streaks_in::<LONG, { LONG + STREAK * 4 }>(text, each);
    } else {
        streaks_in::<SHORT, { SHORT + STREAK * 4 }>(text, each);
    }
}

#[inline(always)]
fn streaks_in<const BLOCK: usize, const WITH_SPAN: usize>(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    // The end of the streak that was told last, by alignment.
    let mut told = [0usize; 4];
    let mut bytes = Vec::new();
    let mut from = 0;
    while from + SPAN <= text.len() {
        let starts = (text.len() - SPAN + 1 - from).min(BLOCK);
        let mut against = [7u8; WITH_SPAN];
        let window = text.get(from..).unwrap_or_default();
        for (flag, &byte) in against.iter_mut().zip(window) {
            *flag = AGAINST[usize::from(byte)];
        }
        let mut groups = [1u8; WITH_SPAN];
        for (at, group) in groups.iter_mut().take(WITH_SPAN - 2).enumerate() {
            *group = against[at] & 1 | against[at + 1] & 2 | against[at + 2] & 4;
        }
        let mut open = [1u8; BLOCK];
        for (at, open) in open.iter_mut().enumerate() {
            *open = groups[at] | groups[at + 4] | groups[at + 8] | groups[at + 12];
        }
        for at in memchr::memchr_iter(0, open.get(..starts).unwrap_or_default()) {
            let start = from + at;
            let told = &mut told[start % 4];
            if start >= *told {
                // One group more on each side: a token's first and last byte may share theirs with others.
                let first = start.saturating_sub(4).max(start % 4);
                *told = decode_streak(text, start, &mut bytes);
                let mut lead = Vec::new();
                if first < start {
                    decode(text.get(first..start).unwrap_or_default(), &mut lead);
                }
                lead.extend_from_slice(&bytes);
                each(first, &lead);
            }
        }
        from += starts;
    }
}

/// Decodes from `start` on while groups are ASCII, and one group more; gives where it stopped.
fn decode_streak(text: &[u8], start: usize, out: &mut Vec<u8>) -> usize {
    out.clear();
    let rest = text.get(start..).unwrap_or_default();
    let good = rest.chunks_exact(4).take_while(|group| {
        (AGAINST[usize::from(group[0])] & 1 | AGAINST[usize::from(group[1])] & 2 | AGAINST[usize::from(group[2])] & 4)
            == 0
    });
    let end = good.count() * 4 + 4;
    decode(rest.get(..end).unwrap_or(rest), out);
    start + end
}

/// Decodes whole groups, and what a last incomplete one holds.
pub(in crate::secrets) fn decode(text: &[u8], out: &mut Vec<u8>) {
    let (groups, rest) = text.as_chunks::<4>();
    for group in groups {
        let [a, b, c, d] = group.map(|byte| u32::from(VALUES[usize::from(byte)] & 63));
        let [_, x, y, z] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
        out.extend_from_slice(&[x, y, z]);
    }
    let value = |at: usize| rest.get(at).map_or(0, |&byte| u32::from(VALUES[usize::from(byte)] & 63));
    let [_, x, y, _] = (value(0) << 18 | value(1) << 12 | value(2) << 6).to_be_bytes();
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

    #[test]
    fn a_token_is_found_wherever_it_stands_in_a_long_run() {
        let token = b"AKIAEWCGRBFAS73QNT3Y";
        for lead in 180..600 {
            let plain = [vec![0xff; lead], token.to_vec(), vec![0xee; 40]].concat();
            assert!(found(&BASE64_NOPAD.encode(&plain), token), "{lead}");
        }
    }
}
