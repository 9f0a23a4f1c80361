//! The secret that proves a session, and the digest of it that is kept.

use aws_lc_rs::{constant_time, digest};
use data_encoding::BASE64URL_NOPAD;
use std::fmt;
use std::hash::{Hash, Hasher};
use zeroize::Zeroizing;

/// A session's secret: 256 random bits as 43 digits of base64url. Can be shown once, and is wiped
/// from memory when dropped.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of these bits, which the caller takes from the system's random source.
    #[must_use]
    pub fn from_random(bits: &[u8; 32]) -> Self {
        Self(Zeroizing::new(BASE64URL_NOPAD.encode(bits)))
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }

    /// Gives the token away; there is no other way to read it.
    #[must_use]
    pub fn reveal(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// SHA-256 of a token. Plain, without salt or stretching: a token of 256 random bits can't be guessed.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token as shown.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(bytes)
    }

    /// A digest as it was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest to be kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time: how long it takes does not tell how much was right (T26).
impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for TokenDigest {}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_digest_is_sha_256_of_the_token_as_text() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(data_encoding::HEXLOWER.encode(TokenDigest::of("abc").as_bytes()), abc);
    }

    proptest! {
        #[test]
        fn a_token_shows_once_and_only_as_itself(bits: [u8; 32]) {
            let token = Token::from_random(&bits);
            let (digest, debug) = (token.digest(), format!("{token:?} {:?}", token.digest()));
            let shown = token.reveal();
            prop_assert_eq!(shown.len(), 43);
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
            prop_assert_eq!(TokenDigest::of(&shown), digest);
            prop_assert!(!debug.contains(&shown[..4]));
        }

        #[test]
        fn no_other_text_has_the_digest(bits: [u8; 32], other in "\\PC{0,60}") {
            let token = Token::from_random(&bits);
            prop_assert_ne!(TokenDigest::of(&other), token.digest());
        }
    }
}
