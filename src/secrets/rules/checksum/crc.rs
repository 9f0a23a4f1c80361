//! CRC tails: GitHub's and npm's base62, GitLab's base36, hex, and the CRC-16 of Stellar and NATS keys.

use super::body;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE62_LOWER_FIRST: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn digits<const N: usize>(mut number: u64, alphabet: &[u8]) -> [u8; N] {
    let mut out = [b'0'; N];
    for place in out.iter_mut().rev() {
        *place = alphabet.get((number % alphabet.len() as u64) as usize).copied().unwrap_or(b'0');
        number /= alphabet.len() as u64;
    }
    out
}

/// The last six characters are the CRC-32 of the body before them.
pub(super) fn base62_body(value: &[u8], prefix: Option<&str>) -> bool {
    let Some((middle, tail)) = body(value, prefix).and_then(|body| body.split_last_chunk::<6>()) else {
        return false;
    };
    *tail == digits::<6>(crc32fast::hash(middle).into(), BASE62)
}

/// The CRC-32 of a body as base62.
pub(in crate::secrets) fn base62_crc(body: &[u8]) -> String {
    digits::<6>(crc32fast::hash(body).into(), BASE62).iter().map(|byte| *byte as char).collect()
}

/// The last six characters are the CRC-32 of everything before them, the prefix too (Apify).
pub(super) fn base62_whole(value: &[u8], _: Option<&str>) -> bool {
    let Some((before, tail)) = value.split_last_chunk::<6>() else { return false };
    *tail == digits::<6>(crc32fast::hash(before).into(), BASE62_LOWER_FIRST)
}

/// The last eight are the CRC-32 of the body in hex (Cloudflare, Zuplo).
pub(super) fn hex_body(value: &[u8], prefix: Option<&str>) -> bool {
    let Some((middle, tail)) = body(value, prefix).and_then(|body| body.split_last_chunk::<8>()) else {
        return false;
    };
    let middle = middle.strip_suffix(b"_").unwrap_or(middle);
    tail.eq_ignore_ascii_case(format!("{:08x}", crc32fast::hash(middle)).as_bytes())
}

/// The last eight are the CRC-32 of prefix and body, little-endian, in hex (Grafana).
pub(super) fn hex_whole_little_endian(value: &[u8], _: Option<&str>) -> bool {
    let Some((before, tail)) = value.split_last_chunk::<8>() else { return false };
    let before = before.strip_suffix(b"_").unwrap_or(before);
    tail.eq_ignore_ascii_case(format!("{:08x}", crc32fast::hash(before).swap_bytes()).as_bytes())
}

/// `….` + payload length in base36 (2) + CRC-32 of all before in base36 (7); `.01.` is a version.
pub(super) fn gitlab_routable(value: &[u8], _: Option<&str>) -> bool {
    let Some((before, tail)) = value.split_last_chunk::<7>() else { return false };
    *tail == digits::<7>(crc32fast::hash(before).into(), BASE36)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
    })
}

fn base32_crc16(value: &[u8]) -> bool {
    let Ok(bytes) = data_encoding::BASE32_NOPAD.decode(value) else { return false };
    bytes.split_last_chunk::<2>().is_some_and(|(before, tail)| u16::from_le_bytes(*tail) == crc16(before))
}

/// A Stellar seed: 35 bytes in base32 (SEP-23).
pub(super) fn stellar(value: &[u8], _: Option<&str>) -> bool {
    value.len() == 56 && base32_crc16(value)
}

/// A NATS seed: 36 bytes in base32.
pub(super) fn nkey(value: &[u8], _: Option<&str>) -> bool {
    value.len() == 58 && base32_crc16(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_of_base62_is_held_to_its_body() {
        let body = "0123456789abcdefghijABCDEFGHIJ";
        let tail = String::from_utf8(digits::<6>(crc32fast::hash(body.as_bytes()).into(), BASE62).to_vec()).unwrap();
        assert!(base62_body(format!("ghp_{body}{tail}").as_bytes(), None));
        assert!(!base62_body(format!("ghp_{body}000000").as_bytes(), None));
        assert!(!base62_body(b"ghp_", None));
        assert!(!base62_body(b"", None));
    }

    #[test]
    fn crc16_is_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }
}
