//! Credentials that are none: made at run time, valid in form and checksum, so that no file holds one.

use aws_lc_rs::rand;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// So many random characters of an alphabet.
pub fn random(alphabet: &[u8], count: usize) -> String {
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).unwrap();
    bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

pub fn base62(count: usize) -> String {
    random(BASE62, count)
}

/// A GitHub token: 30 characters and their CRC-32 in base62 (secrets.md, checksums).
pub fn github_token() -> String {
    let body = base62(30);
    format!("{}{body}{}", ["gh", "p_"].concat(), checksum(&body))
}

/// An npm token: the same checksum.
pub fn npm_token() -> String {
    let body = base62(30);
    format!("{}{body}{}", ["npm", "_"].concat(), checksum(&body))
}

/// An Anthropic API key.
pub fn anthropic_key() -> String {
    format!("{}{}AA", ["sk-ant", "-api03-"].concat(), base62(93))
}

fn checksum(body: &str) -> String {
    let mut value = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[usize::try_from(value % 62).unwrap()];
        value /= 62;
    }
    String::from_utf8(digits.to_vec()).unwrap()
}
