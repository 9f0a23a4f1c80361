//! What hides a secret: one decoder a file. A decoder takes bytes apart and hands on what may be text; whether
//! that holds a secret is for the level that it feeds.

pub(super) mod base32;
pub(super) mod base64;

mod delta;
pub(super) mod escape;
pub(super) mod fold;
pub(super) mod gates;
pub(super) mod hex;
pub(super) mod inflate;
pub(super) mod numbers;
pub(super) mod pack;

/// Whether a byte may go on a text: printable, or between two such as in UTF-16.
fn is_text(byte: u8, before: Option<&u8>) -> bool {
    (0x20..0x7f).contains(&byte) || byte.is_ascii_whitespace() || (byte == 0 && before != Some(&0))
}
