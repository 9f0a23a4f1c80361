//! What stands around pieces, the same every time: quotes, the name of a file, a sentence. And pieces that are encoded
//! each by itself.

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD};
use zeroize::Zeroizing;

/// What is left of a piece has so many bytes.
const SHORTEST: usize = 3;
/// Shorter pieces are in base64 by chance.
const SHORTEST_CODED: usize = 6;

/// Bytes that count as the same: digits, which count up, and what is no text.
const fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        0..=0x1f | 0x7f..=0xff => 0,
        byte => byte,
    }
}

/// Whether a frame may end with this byte: it is none of a word's.
const fn is_edge(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && byte != b'_' && byte != b'+'
}

/// Two values that were sent under one name, one after the other, without what they have in common at their edges;
/// nothing where that is nothing.
pub(super) fn inside<'a, 'b>(before: &'a [u8], value: &'b [u8]) -> Option<(&'a [u8], &'b [u8])> {
    let alike = |(a, b): &(&u8, &u8)| class(**a) == class(**b);
    let front = before.iter().zip(value).take_while(alike).count();
    let front = value.get(..front)?.iter().rposition(|byte| is_edge(*byte)).map_or(0, |edge| edge + 1);
    let (before, value) = (before.get(front..)?, value.get(front..)?);
    let back = before.iter().rev().zip(value.iter().rev()).take_while(alike).count();
    let tail = value.get(value.len() - back..)?;
    let back = tail.iter().position(|byte| is_edge(*byte)).map_or(0, |edge| tail.len() - edge);
    let (before, value) = (before.get(..before.len() - back)?, value.get(..value.len() - back)?);
    let is_framed = front + back > 0 && before.len() >= SHORTEST && value.len() >= SHORTEST;
    (is_framed && !is_id(value)).then_some((before, value))
}

/// What ids of requests and digests look like, of which every request has others: hex in groups, or of a digest's length.
pub(super) fn is_id(text: &[u8]) -> bool {
    let is_hex = text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    is_hex && (text.contains(&b'-') || matches!(text.len(), 16 | 32 | 40 | 64))
}

/// The text that a piece is by itself in base64 or base32.
pub(in crate::secrets) fn decoded(piece: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    (piece.len() >= SHORTEST_CODED).then(|| decoded_short(piece))?
}

/// The same for one that may be short: the last of several.
pub(in crate::secrets) fn decoded_short(piece: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = piece.strip_suffix(b"==").or_else(|| piece.strip_suffix(b"=")).unwrap_or(piece);
    let text = text.get(..text.iter().position(|byte| *byte == b'=').unwrap_or(text.len()))?;
    if text.is_empty() || !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte)) {
        return None;
    }
    let upper = || Zeroizing::new(text.to_ascii_uppercase());
    let all = [&BASE64_NOPAD, &BASE64URL_NOPAD].into_iter().find_map(|coding| read(coding, text));
    all.or_else(|| read(&BASE32_NOPAD, &upper()))
}

fn read(coding: &data_encoding::Encoding, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    // The first letters tell of most that it is none.
    let mut front = [0; 3];
    let letters = text.get(..4).filter(|_| coding.bit_width() == 6);
    if letters.is_some_and(|letters| coding.decode_mut(letters, &mut front).is_err() || !is_text(&front)) {
        return None;
    }
    let bytes = Zeroizing::new(coding.decode(text).ok()?);
    is_text(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_values_have_in_common_at_their_edges_is_taken_off() {
        for (before, value, left) in [
            ("\"ghp_c0nR\"", "\"53vbNwv\"", ("ghp_c0nR", "53vbNwv")),
            ("ghp_c0nR.png", "53vbNwv.png", ("ghp_c0nR", "53vbNwv")),
            ("curl/8.1 (ghp_c0nR)", "curl/8.2 (53vbNwv)", ("ghp_c0nR", "53vbNwv")),
            ("sid=ghp_c0nR; theme=dark", "sid=53vbNwv; theme=dark", ("ghp_c0nR", "53vbNwv")),
            ("\u{8}\u{1}\u{12}\u{8}ghp_c0nR", "\u{8}\u{2}\u{12}\u{7}53vbNwv", ("ghp_c0nR", "53vbNwv")),
        ] {
            let found = inside(before.as_bytes(), value.as_bytes());
            assert_eq!(found, Some((left.0.as_bytes(), left.1.as_bytes())), "{before}");
        }
        for (before, value) in [
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "00-1bf7651916cd43dd8448eb211c80319d-c7ad6b7169203332-01",
            ),
            ("W/\"5f1c8e0a7b3d4e2f9a6b8c1d0e3f5a7b\"", "W/\"6a1c8e0a7b3d4e2f9a6b8c1d0e3f5a7c\""),
            ("ghp_c0nR", "53vbNwv"),
            ("abcdef", "abcxyz"),
            ("\"a\"", "\"b\""),
        ] {
            assert_eq!(inside(before.as_bytes(), value.as_bytes()), None, "{before}");
        }
    }

    #[test]
    fn a_piece_may_be_encoded_by_itself() {
        for coded in ["Z2hwX2MwblI=", "Z2hwX2MwblI", "M5UHAX3DGBXFE===", "m5uhax3dgbxfe"] {
            assert_eq!(decoded(coded.as_bytes()).as_deref(), Some(&b"ghp_c0nR".to_vec()), "{coded}");
        }
        for other in ["ghp_c0nR", "53vbNwvZ", "hello world", "12345"] {
            assert_eq!(decoded(other.as_bytes()), None, "{other}");
        }
    }
}
