//! Cards (Luhn), IBAN (mod 97), seed phrases (BIP-39).

use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A card's number, with or without spaces and hyphens; no run of one digit.
pub(super) fn luhn(value: &[u8], _: Option<&str>) -> bool {
    let digits: Vec<u32> = value.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0')).collect();
    if !(12..=19).contains(&digits.len()) || digits.iter().all(|digit| digits.first() == Some(digit)) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| match (at % 2, digit) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Lengths of IBANs by country (SWIFT registry).
const IBAN: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// An IBAN: the country's length, and 1 modulo 97.
pub(super) fn mod97(value: &[u8], _: Option<&str>) -> bool {
    let plain: Vec<u8> = value.iter().copied().filter(|byte| *byte != b' ' && *byte != b'-').collect();
    let Some(country) = plain.first_chunk::<2>() else { return false };
    if !IBAN.iter().any(|(code, length)| *code == country && *length == plain.len()) {
        return false;
    }
    let rotated = plain.iter().cycle().skip(4).take(plain.len());
    let rest = rotated.fold(0u32, |rest, &byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        _ => rest,
    });
    rest == 1
}

static WORDS: LazyLock<HashMap<&'static str, u16>> =
    LazyLock::new(|| include_str!("bip39.txt").lines().zip(0..).collect());

/// A seed phrase: words of the list whose last bits are the SHA-256 of the others (BIP-39).
pub(super) fn bip39(value: &[u8], _: Option<&str>) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let words: Option<Vec<u16>> = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty())
        .map(|w| WORDS.get(w).copied())
        .collect();
    let Some(words) = words.filter(|words| matches!(words.len(), 12 | 15 | 18 | 21 | 24)) else { return false };
    let bits: Vec<bool> = words.iter().flat_map(|word| (0..11).rev().map(move |bit| word >> bit & 1 == 1)).collect();
    let entropy_bits = bits.len() * 32 / 33;
    let (entropy, check) = bits.split_at(entropy_bits);
    let entropy: Vec<u8> =
        entropy.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect();
    let hash = digest(&SHA256, &entropy);
    check
        .iter()
        .enumerate()
        .all(|(at, &bit)| hash.as_ref().first().is_some_and(|byte| (byte >> (7 - at) & 1 == 1) == bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_to_their_check_digits() {
        assert!(luhn(b"4111 1111 1111 1111", None));
        assert!(!luhn(b"4111 1111 1111 1112", None));
        assert!(!luhn(b"0000 0000 0000 0000", None));
        assert!(mod97(b"DE89 3704 0044 0532 0130 00", None));
        assert!(!mod97(b"DE89370400440532013001", None));
        assert!(!mod97(b"", None));
    }

    #[test]
    fn a_seed_phrase_is_held_to_its_checksum() {
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        assert!(bip39(phrase.as_bytes(), None));
        assert!(!bip39(phrase.replace("yellow", "year").as_bytes(), None));
    }
}
