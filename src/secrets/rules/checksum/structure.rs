//! Values that must decode to something: JSON, a macaroon, `user:password`.

use super::super::generic::is_wordy;
use data_encoding::{BASE32, BASE64_NOPAD, BASE64URL_NOPAD};

/// Base64 of either alphabet, with or without padding; trailing bits don't matter.
fn decode64(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |at| at + 1);
    let mut text = text.get(..end)?.to_vec();
    if text.len() % 4 == 1 {
        return None;
    }
    let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    // A last character may carry bits that a strict decoder minds.
    let spare = text.len() % 4;
    if spare != 0 {
        text.resize(text.len() + 4 - spare, b'A');
    }
    let mut bytes = if url { BASE64URL_NOPAD.decode(&text) } else { BASE64_NOPAD.decode(&text) }.ok()?;
    if spare != 0 {
        bytes.truncate(bytes.len() + spare - 4);
    }
    Some(bytes)
}

/// The value's first `eyJ` on, part by part.
fn jwt_parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = memchr::memmem::find(value, b"eyJ")?;
    let mut parts = value.get(start..)?.split(|&byte| byte == b'.');
    Some((parts.next()?, parts.next()?))
}

/// Header and claims are JSON objects; the header names an algorithm.
pub(super) fn jwt(value: &[u8], _: Option<&str>) -> bool {
    let Some((header, claims)) = jwt_parts(value) else { return false };
    let object = |part| decode64(part).and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    object(header).is_some_and(|header| header.get("alg").is_some())
        && object(claims).is_some_and(|claims| claims.is_object() && !is_sample(&claims))
}

/// Claims that say nothing of anyone: `{"foo":"bar"}`, as libraries' tests have them.
fn is_sample(claims: &serde_json::Value) -> bool {
    const TELLING: [&str; 16] = [
        "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "uid", "id", "user", "userid", "user_id", "email",
        "scope", "role",
    ];
    let Some(members) = claims.as_object().filter(|members| members.len() <= 1) else { return false };
    members.iter().all(|(name, value)| {
        let word = |text: &str| text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_lowercase());
        !TELLING.contains(&name.as_str()) && word(name) && value.as_str().is_some_and(word)
    })
}

/// The claims of a JWT.
pub(in crate::secrets) fn jwt_claims(value: &[u8]) -> Option<serde_json::Value> {
    let (_, claims) = jwt_parts(value)?;
    serde_json::from_slice(&decode64(claims)?).ok()
}

/// From its `eyJ` on, base64 of a JSON object; what follows a `_` is a signature.
pub(super) fn base64_json(value: &[u8], prefix: Option<&str>) -> bool {
    let start = match prefix {
        Some(prefix) => prefix.len().min(value.len()),
        None => memchr::memmem::find(value, b"eyJ").unwrap_or(0),
    };
    let text = value.get(start..).unwrap_or_default();
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'/' | b'-'));
    decode64(text.get(..end.unwrap_or(text.len())).unwrap_or_default())
        .is_some_and(|json| json.trim_ascii_start().starts_with(b"{\""))
}

/// Base64 of `user:password`, in printable characters.
pub(super) fn base64_pair(value: &[u8], prefix: Option<&str>) -> bool {
    let text = prefix.and_then(|prefix| value.strip_prefix(prefix.as_bytes())).unwrap_or(value);
    let text = text.rsplit(|byte| matches!(byte, b' ' | b'"' | b'\'')).next().unwrap_or(text);
    decode64(text).is_some_and(|pair| {
        let colon = memchr::memchr(b':', &pair);
        colon.is_some_and(|at| pair.len() > at + 3) && pair.iter().all(|byte| (0x20..0x7f).contains(byte))
    })
}

/// Whether a value is a JSON object in base64 with nothing random in it, as a JWT's header is. What it holds is looked at
/// by itself.
pub(in crate::secrets::rules) fn is_plain_json(value: &[u8]) -> bool {
    const LONGEST_WORD: usize = 12;
    let is_plain = |word: &[u8]| word.len() <= LONGEST_WORD || is_wordy(word);
    value.starts_with(b"eyJ")
        && decode64(value).is_some_and(|json| {
            serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&json).is_ok()
                && json.split(|byte| !byte.is_ascii_alphanumeric()).all(is_plain)
        })
}

/// A macaroon of version 2: it starts with 2, then its location.
pub(super) fn macaroon(value: &[u8], prefix: Option<&str>) -> bool {
    let text = match prefix {
        Some(prefix) => value.strip_prefix(prefix.as_bytes()),
        None => memchr::memchr(b'-', value).and_then(|at| value.get(at + 1..)),
    };
    let text = text.unwrap_or_default();
    let text = text.get(..text.len() / 4 * 4).unwrap_or_default();
    decode64(text).is_some_and(|bytes| bytes.starts_with(&[2, 1]))
}

/// Sixteen characters of base32 behind four letters, that hold an account number of twelve digits.
pub(super) fn aws_key_id(value: &[u8], _: Option<&str>) -> bool {
    let Some(Ok(bytes)) = value.get(4..20).map(|text| BASE32.decode(text)) else { return false };
    let Some(&head) = bytes.first_chunk::<6>() else { return false };
    let [a, b, c, d, e, f] = head;
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    (number & 0x7fff_ffff_ff80) >> 7 < 1_000_000_000_000
}

/// The part before the first dot is base64 of digits (Discord's user id).
pub(super) fn base64_digits(value: &[u8], _: Option<&str>) -> bool {
    let first = value.split(|&byte| byte == b'.').next().unwrap_or_default();
    decode64(first).is_some_and(|digits| digits.len() >= 17 && digits.iter().all(u8::is_ascii_digit))
}

/// Base58 of 54 bytes (JFrog).
pub(super) fn base58_54(value: &[u8], _: Option<&str>) -> bool {
    super::coin::base58(value).is_some_and(|bytes| bytes.len() == 54)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_json_in_both_parts() {
        let good = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl";
        assert!(jwt(good.as_bytes(), None));
        assert!(!jwt(b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM.x", None));
        // {"foo":"bar"}, {"sub":"7"}
        assert!(!jwt(b"eyJhbGciOiJIUzI1NiJ9.eyJmb28iOiJiYXIifQ.feG39E-bn8HXAKhzDZq7yEAPWYDhZlwTn3sePJnU9Vr", None));
        assert!(jwt(b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.feG39E-bn8HXAKhzDZq7yEAPWYDhZlwTn3sePJnU9Vr", None));
        assert!(!jwt(b"eyJ", None));
        assert!(!jwt(b"", None));
        assert_eq!(jwt_claims(good.as_bytes()).unwrap()["sub"], "1234567890");
    }

    #[test]
    fn an_aws_key_id_holds_an_account() {
        assert!(aws_key_id(b"AKIAIOSFODNN7EXAMPLE", None));
        assert!(!aws_key_id(b"AKIA777777777777777", None));
        assert!(!aws_key_id(b"AKIA", None));
    }

    #[test]
    fn a_pair_is_user_and_password() {
        assert!(base64_pair(b"Basic YWxpY2U6aHVudGVyMg==", Some("Basic ")));
        assert!(!base64_pair(b"Basic YWxpY2U", Some("Basic ")));
    }
}
