//! Base58check and Bech32: wallet keys, age and Nostr.

use aws_lc_rs::digest::{SHA256, digest};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Base58 costs the square of its length; no key is longer.
const LONGEST: usize = 128;

/// Decodes base58.
pub(super) fn base58(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    for character in text {
        let mut carry = BASE58.iter().position(|c| c == character)? as u32;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(carry as u8);
            carry >>= 8;
        }
    }
    bytes.extend(text.iter().take_while(|&&character| character == b'1').map(|_| 0));
    bytes.reverse();
    Some(bytes)
}

/// The last four bytes are the double SHA-256 of those before.
pub(super) fn base58check(value: &[u8], _: Option<&str>) -> bool {
    let Some(bytes) = base58(value) else { return false };
    let Some((before, tail)) = bytes.split_last_chunk::<4>() else { return false };
    digest(&SHA256, digest(&SHA256, before).as_ref()).as_ref().starts_with(tail)
}

/// Bech32 (BIP-173) of any human-readable part, in one case.
pub(super) fn bech32(value: &[u8], _: Option<&str>) -> bool {
    let lower = value.to_ascii_lowercase();
    let Some(one) = memchr::memrchr(b'1', &lower) else { return false };
    let (hrp, data) = (lower.get(..one).unwrap_or_default(), lower.get(one + 1..).unwrap_or_default());
    let mut state = 1;
    hrp.iter().for_each(|byte| state = polymod(state, u32::from(byte >> 5)));
    state = polymod(state, 0);
    hrp.iter().for_each(|byte| state = polymod(state, u32::from(byte & 31)));
    for character in data {
        let Some(five) = BECH32.iter().position(|c| c == character) else { return false };
        state = polymod(state, five as u32);
    }
    state == 1 && data.len() > 6
}

fn polymod(state: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = state >> 25;
    let next = (state & 0x01ff_ffff) << 5 ^ value;
    GENERATOR.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1).fold(next, |state, (_, g)| state ^ g)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallet_keys_are_held_to_their_checksums() {
        // The first from Bitcoin's wiki on WIF, the second from BIP-173.
        assert!(base58check(b"5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", None));
        assert!(!base58check(b"5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTK", None));
        assert!(!base58check(b"", None));
        assert!(bech32(b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", None));
        assert!(!bech32(b"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T5", None));
        assert!(!bech32(b"1", None));
    }
}
