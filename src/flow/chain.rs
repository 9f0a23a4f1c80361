//! The chain: each line holds the hash of the one before it.
//!
//! A line is `{"schema":1,"seq":N,…,"prev":"HEX","hash":"HEX"}`. `hash` is the SHA-256 of the line's exact
//! bytes up to, not including, `,"hash":`; `prev` is the hash of the line before, 64 zeros in the first.
//! The chain is not signed: it shows what was changed by one who did not rewrite all that follows.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use std::io::Write as _;
use std::ops::Range;

/// The version of the record's shape.
const HEAD: &[u8] = b"{\"schema\":1,\"seq\":";
const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b",\"hash\":\"";
const TAIL: &[u8] = b"\"}";

/// A SHA-256 in lower-case hexadecimal.
pub(super) type Hex = [u8; 64];

/// The `prev` of the first line.
pub const GENESIS: [u8; 64] = [b'0'; 64];

/// What one line says about its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The line's number, from 1.
    pub seq: u64,
    /// The hash that it gives for the line before it.
    pub prev: [u8; 64],
    /// The hash that it gives for itself.
    pub hash: [u8; 64],
}

impl Link {
    /// Where a chain begins: the line before line 1.
    pub(super) const START: Self = Self { seq: 0, prev: GENESIS, hash: GENESIS };

    /// Reads the link of a line (without its newline); nothing if the line does not have the shape.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(HEAD)?;
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let seq = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let rest = line.strip_suffix(TAIL)?;
        let (rest, hash) = hex_at_end(rest, HASH)?;
        let (_, prev) = hex_at_end(rest.strip_suffix(b"\"")?, PREV)?;
        Some(Self { seq, prev, hash })
    }

    /// Whether the line's bytes have the hash that the line gives.
    #[must_use]
    pub fn holds(&self, line: &[u8]) -> bool {
        let hashed = line.len().checked_sub(TAIL.len() + 64 + HASH.len()).and_then(|end| line.get(..end));
        hashed.is_some_and(|bytes| hex_digest(bytes) == self.hash)
    }
}

fn hex_at_end<'a>(text: &'a [u8], before: &[u8]) -> Option<(&'a [u8], Hex)> {
    let (rest, hex) = text.split_last_chunk::<64>()?;
    let is_hex = hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some((rest.strip_suffix(before)?, *hex))
}

fn hex_digest(bytes: &[u8]) -> Hex {
    let mut hex = [0; 64];
    HEXLOWER.encode_mut(digest(&SHA256, bytes).as_ref(), &mut hex);
    hex
}

/// Appends the line after `last` to `out`, newline included, and gives its link. `body` is a JSON object of
/// at least one member.
pub(super) fn seal(out: &mut Vec<u8>, last: &Link, body: &[u8]) -> Link {
    let start = out.len();
    let seq = last.seq + 1;
    out.extend_from_slice(HEAD);
    // Writing to a Vec can't fail.
    let _ = write!(out, "{seq},");
    out.extend_from_slice(&body[inner(body)]);
    out.extend_from_slice(PREV);
    out.extend_from_slice(&last.hash);
    out.push(b'"');
    let hash = hex_digest(&out[start..]);
    out.extend_from_slice(HASH);
    out.extend_from_slice(&hash);
    out.extend_from_slice(TAIL);
    out.push(b'\n');
    Link { seq, prev: last.hash, hash }
}

/// The body without its braces.
fn inner(body: &[u8]) -> Range<usize> {
    1.min(body.len())..body.len().saturating_sub(1).max(1.min(body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Vec<u8>, Link) {
        let mut out = Vec::new();
        let link = seal(&mut out, &Link::START, br#"{"a":1}"#);
        assert_eq!(out.pop(), Some(b'\n'));
        (out, link)
    }

    #[test]
    fn a_sealed_line_reads_back_and_holds() {
        let (line, link) = line();
        assert!(line.starts_with(br#"{"schema":1,"seq":1,"a":1,"prev":"0000"#));
        assert_eq!(Link::parse(&line), Some(link));
        assert!(link.holds(&line));
        serde_json::from_slice::<serde_json::Value>(&line).unwrap();
        let mut next = Vec::new();
        let second = seal(&mut next, &link, br#"{"b":2}"#);
        assert_eq!((second.seq, second.prev), (2, link.hash));
    }

    #[test]
    fn every_changed_byte_shows() {
        let (line, link) = line();
        for at in 0..line.len() {
            let mut changed = line.clone();
            changed[at] ^= 1;
            let held = Link::parse(&changed).is_some_and(|found| found.holds(&changed) && found == link);
            assert!(!held, "byte {at}");
        }
    }

    #[test]
    fn what_is_no_line_has_no_link() {
        for text in [&b""[..], b"{}", b"{\"schema\":1,\"seq\":1", b"\0\0\0\0", &[b'"'; 200]] {
            assert_eq!(Link::parse(text), None);
            assert!(!Link::START.holds(text));
        }
    }
}
