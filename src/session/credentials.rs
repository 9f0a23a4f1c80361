//! The grammar of `Proxy-Authorization`.

use data_encoding::BASE64;
use zeroize::Zeroize;

/// The longest `Proxy-Authorization` value that is read, in bytes.
pub const CREDENTIALS_MAX: usize = 1024;

/// What a request shows to prove its session. Borrowed: it lives as long as the request's head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// `http://ID:TOKEN@proxy`.
    Basic {
        /// The session's name as shown; any text.
        id: &'a str,
        /// The token as shown.
        token: &'a str,
    },
    /// `Proxy-Authorization: Bearer TOKEN`: the token names the session.
    Bearer(&'a str),
}

/// Room for one decoded value, so that reading credentials allocates nothing. What was used of it is wiped when it is
/// dropped.
pub struct CredentialsBuffer {
    room: [u8; CREDENTIALS_MAX],
    used: usize,
}

/// Why credentials were refused. Never holds a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// More than [`CREDENTIALS_MAX`] bytes.
    #[error("the credentials are longer than 1 KiB")]
    TooLong,
    /// Neither Basic nor Bearer, or nothing after the scheme.
    #[error("the credentials are neither Basic nor Bearer")]
    Scheme,
    /// Not canonical base64: blanks, missing padding, stray bits, anything after the padding.
    #[error("the credentials are not canonical base64")]
    Base64,
    /// Not UTF-8, or a NUL or other control character.
    #[error("the credentials hold a control character or are not UTF-8")]
    Character,
    /// No colon.
    #[error("the credentials have no colon between name and token")]
    NoColon,
    /// An empty name or token.
    #[error("the name or token is empty")]
    Empty,
}

impl<'a> Credentials<'a> {
    /// Reads a field value, without the blanks around it. One reading or none (T24): the scheme in
    /// any case, exactly one space, canonical base64, split at the first colon. Percent-encoding is
    /// not decoded: clients decode the userinfo of a proxy URL themselves.
    pub fn parse(value: &'a [u8], buffer: &'a mut CredentialsBuffer) -> Result<Self, CredentialsError> {
        if value.len() > CREDENTIALS_MAX {
            return Err(CredentialsError::TooLong);
        }
        let space = value.iter().position(|&byte| byte == b' ').ok_or(CredentialsError::Scheme)?;
        let (scheme, rest) = (&value[..space], &value[space + 1..]);
        if scheme.eq_ignore_ascii_case(b"basic") {
            basic(rest, buffer)
        } else if scheme.eq_ignore_ascii_case(b"bearer") {
            bearer(rest)
        } else {
            Err(CredentialsError::Scheme)
        }
    }
}

impl<'a> Credentials<'a> {
    /// Name and token that were sent as two strings (SOCKS5, RFC 1929).
    pub fn pair(id: &'a [u8], token: &'a [u8]) -> Result<Self, CredentialsError> {
        let (id, token) = (text(id)?, text(token)?);
        if id.is_empty() || token.is_empty() {
            return Err(CredentialsError::Empty);
        }
        Ok(Credentials::Basic { id, token })
    }
}

/// Shows the name only.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Basic { id, .. } => f.debug_struct("Basic").field("id", id).finish_non_exhaustive(),
            Credentials::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

impl CredentialsBuffer {
    fn take(&mut self, length: usize) -> Option<&mut [u8]> {
        self.used = self.used.max(length.min(CREDENTIALS_MAX));
        self.room.get_mut(..length)
    }
}

impl Default for CredentialsBuffer {
    fn default() -> Self {
        Self { room: [0; CREDENTIALS_MAX], used: 0 }
    }
}

impl Drop for CredentialsBuffer {
    fn drop(&mut self) {
        self.room[..self.used].zeroize();
    }
}

fn basic<'a>(encoded: &[u8], buffer: &'a mut CredentialsBuffer) -> Result<Credentials<'a>, CredentialsError> {
    // The decoder takes several padded pieces in a row (`YQ==YQ==`); RFC 4648 §3.3 does not.
    let padding = encoded.iter().rev().take_while(|&&byte| byte == b'=').count();
    if encoded[..encoded.len() - padding].contains(&b'=') {
        return Err(CredentialsError::Base64);
    }
    let room = BASE64.decode_len(encoded.len()).map_err(|_| CredentialsError::Base64)?;
    let room = buffer.take(room).ok_or(CredentialsError::TooLong)?;
    let length = BASE64.decode_mut(encoded, room).map_err(|_| CredentialsError::Base64)?;
    let (id, token) = text(&room[..length])?.split_once(':').ok_or(CredentialsError::NoColon)?;
    if id.is_empty() || token.is_empty() {
        return Err(CredentialsError::Empty);
    }
    Ok(Credentials::Basic { id, token })
}

fn bearer(token: &[u8]) -> Result<Credentials<'_>, CredentialsError> {
    if token.is_empty() {
        return Err(CredentialsError::Empty);
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(CredentialsError::Character);
    }
    Ok(Credentials::Bearer(text(token)?))
}

fn text(bytes: &[u8]) -> Result<&str, CredentialsError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CredentialsError::Character)?;
    if text.chars().any(char::is_control) { Err(CredentialsError::Character) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(value: &[u8]) -> Result<(Option<String>, String), CredentialsError> {
        Credentials::parse(value, &mut CredentialsBuffer::default()).map(|credentials| match credentials {
            Credentials::Basic { id, token } => (Some(id.to_owned()), token.to_owned()),
            Credentials::Bearer(token) => (None, token.to_owned()),
        })
    }

    fn parse_plain(userinfo: &[u8]) -> Result<(Option<String>, String), CredentialsError> {
        parse(format!("Basic {}", BASE64.encode(userinfo)).as_bytes())
    }

    fn pair(id: &str, token: &str) -> Result<(Option<String>, String), CredentialsError> {
        Ok((Some(id.to_owned()), token.to_owned()))
    }

    #[test]
    fn basic_names_the_session_and_shows_the_token() {
        assert_eq!(parse(b"Basic ZGV2OnRva2Vu"), pair("dev", "token"));
        assert_eq!(parse(b"bAsIc ZGV2OnRva2Vu"), pair("dev", "token"));
        assert_eq!(parse(b"Basic ZGV2OnQ="), pair("dev", "t"));
        assert_eq!(parse_plain(b"dev:to:k:en:"), pair("dev", "to:k:en:"));
        assert_eq!(parse_plain(b"d%65v:t%6fken"), pair("d%65v", "t%6fken"));
        assert_eq!(parse_plain("dev:tökén".as_bytes()), pair("dev", "tökén"));
    }

    #[test]
    fn bearer_shows_the_token_alone() {
        assert_eq!(parse(b"Bearer abc-_~=="), Ok((None, "abc-_~==".to_owned())));
        assert_eq!(parse(b"BEARER a:b"), Ok((None, "a:b".to_owned())));
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for (value, error) in [
            (&b""[..], CredentialsError::Scheme),
            (b"Basic", CredentialsError::Scheme),
            (b"ZGV2OnRva2Vu", CredentialsError::Scheme),
            (b"Basic\tZGV2OnRva2Vu", CredentialsError::Scheme),
            (b" Basic ZGV2OnRva2Vu", CredentialsError::Scheme),
            (b"Digest username=\"dev\"", CredentialsError::Scheme),
            (b"Negotiate YQ==", CredentialsError::Scheme),
            (b"Basic ", CredentialsError::NoColon),
            (b"Basic  ZGV2OnRva2Vu", CredentialsError::Base64),
            (b"Basic ZGV2OnRva2Vu ", CredentialsError::Base64),
            (b"Basic ZGV2 OnRva2Vu", CredentialsError::Base64),
            (b"Basic ZGV2OnRva2Vu\r\n", CredentialsError::Base64),
            (b"Basic ZGV2OnRva2V", CredentialsError::Base64),
            (b"Basic ZGV2OnQ", CredentialsError::Base64),
            (b"Basic ZGV2OnQ==", CredentialsError::Base64),
            (b"Basic YTpiYw==YTpiYw==", CredentialsError::Base64),
            (b"Basic YTpi====", CredentialsError::Base64),
            (b"Basic ====", CredentialsError::Base64),
            (b"Basic YTpiYx==", CredentialsError::Base64),
            (b"Basic YTpi_w==", CredentialsError::Base64),
            (b"Basic ZGV2OnRva2Vu, Basic ZGV2OnRva2Vu", CredentialsError::Base64),
            (b"Basic ZGV2OnRva2Vu\0", CredentialsError::Base64),
            (b"Bearer ", CredentialsError::Empty),
            (b"Bearer a b", CredentialsError::Character),
            (b"Bearer  a", CredentialsError::Character),
            (b"Bearer a\0", CredentialsError::Character),
            (b"Bearer \xff", CredentialsError::Character),
        ] {
            assert_eq!(parse(value), Err(error), "{:?}", String::from_utf8_lossy(value));
        }
        for (userinfo, error) in [
            (&b"dev"[..], CredentialsError::NoColon),
            (b":token", CredentialsError::Empty),
            (b"dev:", CredentialsError::Empty),
            (b":", CredentialsError::Empty),
            (b"dev:tok\0en", CredentialsError::Character),
            (b"dev\0:token", CredentialsError::Character),
            (b"dev:token\n", CredentialsError::Character),
            (b"dev:\x7f", CredentialsError::Character),
            ("dev:\u{85}".as_bytes(), CredentialsError::Character),
            (b"dev:\xff", CredentialsError::Character),
        ] {
            assert_eq!(parse_plain(userinfo), Err(error), "{userinfo:?}");
        }
    }

    #[test]
    fn long_credentials_are_refused_before_they_are_decoded() {
        let longest = |token: usize| format!("Bearer {}", "a".repeat(token));
        assert!(parse(longest(CREDENTIALS_MAX - 7).as_bytes()).is_ok());
        assert_eq!(parse(longest(CREDENTIALS_MAX - 6).as_bytes()), Err(CredentialsError::TooLong));
        assert_eq!(parse_plain(&[b'a'; 200_000]), Err(CredentialsError::TooLong));
    }

    #[test]
    fn nothing_of_a_token_is_shown_in_debug() {
        let mut buffer = CredentialsBuffer::default();
        let shown = format!("{:?}", Credentials::parse(b"Basic ZGV2OnRva2Vu", &mut buffer).unwrap());
        assert!(shown.contains("dev") && !shown.contains("token"), "{shown}");
        assert_eq!(format!("{:?}", Credentials::Bearer("token")), "Bearer(..)");
    }

    proptest! {
        #[test]
        fn what_a_client_encodes_is_read_back(id in "[a-z0-9][a-z0-9._-]{0,63}", token in "[!-~]{1,60}") {
            prop_assert_eq!(parse_plain(format!("{id}:{token}").as_bytes()), pair(&id, &token));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&value);
            let _ = parse(&[b"Basic ", &value[..]].concat());
        }

        #[test]
        fn one_pair_has_one_spelling(value in "[A-Za-z0-9+/=]{0,24}") {
            if let Ok((Some(id), token)) = parse(format!("Basic {value}").as_bytes()) {
                prop_assert_eq!(BASE64.encode(format!("{id}:{token}").as_bytes()), value);
            }
        }
    }
}
