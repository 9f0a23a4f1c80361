//! Encoded words of mail headers (RFC 2047): `=?utf-8?Q?ghp=5Fc0?=`, also cut into several.

use super::{base64, hex};
use zeroize::Zeroizing;

/// Longer names of a charset, with a language, are none.
const LONGEST_CHARSET: usize = 40;
/// Nor longer words, though they should be far shorter (section 2).
const LONGEST: usize = 4096;

/// A text as it reads with its encoded words decoded; nothing where it has none.
pub(in crate::secrets) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::new());
    let (mut rest, mut any) = (text, false);
    while let Some(open) = memchr::memmem::find(rest, b"=?") {
        let (before, behind) = rest.split_at(open);
        // White space between two of them is none of the text (section 6.2).
        if !any || !before.iter().all(u8::is_ascii_whitespace) {
            out.extend_from_slice(before);
        }
        match word(behind, &mut out) {
            Some(length) => {
                any = true;
                rest = behind.get(length..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(b"=?");
                rest = behind.get(2..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
    any.then_some(out)
}

/// Decodes the word at the front; gives how long it is.
fn word(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let name = text.get(2..)?;
    let charset = memchr::memchr(b'?', name.get(..=LONGEST_CHARSET).unwrap_or(name)).filter(|length| *length > 0)?;
    let (coding, coded) = match text.get(2 + charset + 1..)? {
        [coding, b'?', coded @ ..] => (coding, coded),
        _ => return None,
    };
    let end = memchr::memmem::find(coded.get(..LONGEST).unwrap_or(coded), b"?=")?;
    let coded = coded.get(..end)?;
    match coding {
        b'B' | b'b' => {
            let padded = coded.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
            base64::decode(coded.get(..padded)?, out);
        }
        b'Q' | b'q' => quoted(coded, out),
        _ => return None,
    }
    Some(2 + charset + 3 + end + 2)
}

/// A low line is a space (section 4.2).
fn quoted(mut coded: &[u8], out: &mut Vec<u8>) {
    while let [first, rest @ ..] = coded {
        let byte = match rest {
            [high, low, ..] if *first == b'=' => hex::pair(*high, *low),
            _ => None,
        };
        out.push(byte.unwrap_or(if *first == b'_' { b' ' } else { *first }));
        coded = rest.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_place_and_as_one_if_nothing_stands_between() {
        let read = |text: &str| decode(text.as_bytes()).map(|out| String::from_utf8_lossy(&out).into_owned());
        assert_eq!(read("Subject: =?utf-8?Q?a_b=5Fc?=\r\n =?UTF-8?b?ZGVm?= ok").unwrap(), "Subject: a b_cdef ok");
        assert_eq!(read("a=?b&c=d?=e"), None);
        assert_eq!(read("x =?utf-8?Z?abc?= =?utf-8?q?d"), None);
    }
}
