//! What hides a secret: one decoder a file. A decoder takes bytes apart and hands on what may be text; whether
//! that holds a secret is for the level that it feeds.

pub(super) mod base32;
pub(super) mod base64;
pub(super) mod base85;
pub(super) mod columns;
pub(super) mod deflate;
mod delta;
pub(super) mod encoded_words;
pub(super) mod escape;
pub(super) mod fold;
pub(super) mod gates;
pub(super) mod hex;
pub(super) mod inflate;
pub(super) mod numbers;
pub(super) mod pack;
pub(super) mod spelled;
pub(super) mod uuencode;
pub(super) mod whole;

/// Whether a byte may go on a text: printable, or between two such as in UTF-16.
fn is_text(byte: u8, before: Option<&u8>) -> bool {
    (0x20..0x7f).contains(&byte) || byte.is_ascii_whitespace() || (byte == 0 && before != Some(&0))
}

/// Whether a byte may stand in a text that a decoder made; `wide`: also one of a letter beyond ASCII.
const fn may_stand(byte: u8, wide: bool) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0) || (wide && byte >= 0x80)
}

/// So much of what may be text beyond ASCII is looked at.
const WIDE: usize = 36;

/// Whether bytes are UTF-8 that may go on, without control characters.
fn may_be_wide(bytes: &[u8]) -> bool {
    // The last character may be cut.
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let rest = bytes.get(..valid).unwrap_or_default();
    valid + 4 > bytes.len() && !rest.iter().any(|byte| matches!(byte, 0..=8 | 14..=31))
}

/// Whether bytes begin as text beyond ASCII does: full-width letters, invisible characters between others.
fn is_wide(bytes: &[u8]) -> bool {
    let front = bytes.get(..WIDE).unwrap_or(bytes);
    may_be_wide(front) && !front.is_ascii()
}
