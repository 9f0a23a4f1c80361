//! The name of a session.

use jiff::Timestamp;
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a session: `[a-z0-9][a-z0-9._-]{0,63}`. No secret: it is shown in records and URLs,
/// and every character of it can stand in userinfo as it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

/// Why a session's name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session's name is 1 to 64 of a-z, 0-9, `.`, `_`, `-`, and starts with a letter or digit")]
pub struct SessionIdError;

/// Crockford's base32: no i, l, o, u, and in the order of its values.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 2026-01-01T00:00:00Z. Six digits of base32 last 34 years from here.
const EPOCH: i64 = 1_767_225_600;

impl SessionId {
    /// A name for a session made at `now`: `s-`, six digits of the second, four random ones.
    /// Names sort by the time of making; the caller checks that the name is free.
    #[must_use]
    pub fn generate(now: Timestamp, random: [u8; 4]) -> Self {
        let seconds = now.as_second().saturating_sub(EPOCH).max(0).unsigned_abs() & 0x3fff_ffff;
        let value = seconds << 20 | u64::from(u32::from_be_bytes(random) >> 12);
        let digits = (0..10).rev().map(|place| char::from(ALPHABET[(value >> (5 * place) & 31) as usize]));
        Self("s-".chars().chain(digits).collect::<String>().into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let [first, rest @ ..] = text.as_bytes() else { return Err(SessionIdError) };
        let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let valid = alphanumeric(first)
            && rest.len() <= 63
            && rest.iter().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if valid { Ok(Self(text.into())) } else { Err(SessionIdError) }
    }
}

/// So that a map keyed by names is asked with the text of a request, without an allocation.
impl Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_lower_case_and_starts_with_a_letter_or_digit() {
        for text in ["dev", "0", "a.b_c-d", "s-0123456789", &"a".repeat(64)] {
            assert_eq!(text.parse::<SessionId>().unwrap().to_string(), text);
        }
        for text in ["", "-a", ".a", "_a", "A", "a b", "a:b", "a/b", "a@b", "é", "a\0", "a\n", &"a".repeat(65)] {
            assert_eq!(text.parse::<SessionId>(), Err(SessionIdError), "{text:?}");
        }
    }

    #[test]
    fn generated_names_sort_by_time() {
        let at = |second| SessionId::generate(Timestamp::from_second(EPOCH + second).unwrap(), [0xff; 4]);
        let names = [at(0), at(1), at(31), at(32), at(40_000_000), at(1_000_000_000)];
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(at(0).as_str(), "s-000000zzzz");
    }

    proptest! {
        #[test]
        fn a_generated_name_is_a_name(second in -1_000_000_000i64..200_000_000_000, random: [u8; 4]) {
            let id = SessionId::generate(Timestamp::from_second(second).unwrap(), random);
            prop_assert_eq!(id.as_str().len(), 12);
            prop_assert_eq!(id.as_str().parse::<SessionId>(), Ok(id.clone()));
        }
    }
}
