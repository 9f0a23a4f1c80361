//! A destination host in its one canonical spelling.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A host as it is decided on, looked up, dialled and logged.
///
/// Names are ASCII A-labels in lower case without a dot at the end (RFC 1123, RFC 5890); addresses
/// are strict (RFC 3986 §3.2.2): every other numeric spelling that some resolver would take for an
/// address (`127.1`, `0x7f.1`, `2130706433`) is refused, never looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name: `[a-z0-9_-]` labels, at most 253 bytes.
    Name(Arc<str>),
    /// A dotted quad without leading zeros.
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets where a port may follow.
    V6(Ipv6Addr),
}

/// Why a host was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// A byte at 0x80 or above: names go over the wire as A-labels (`xn--…`).
    #[error("the host has a byte that is not ASCII; write the name as A-labels (xn--…)")]
    NotAscii,
    /// A byte outside `[A-Za-z0-9_-.]`.
    #[error("the host has a character that no host name has")]
    BadCharacter,
    /// Two dots in a row, or a dot at the start.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label that starts or ends with a hyphen.
    #[error("a label of the host starts or ends with a hyphen")]
    BadHyphen,
    /// A label over 63 bytes or a name over 253.
    #[error("the host is longer than DNS allows")]
    TooLong,
    /// The last label is a number, but the whole is no strict IPv4 address.
    #[error("the host is a number that is not an IPv4 address in its usual form")]
    Numeric,
    /// Brackets without a strict IPv6 address in them; a zone id counts.
    #[error("the brackets hold no IPv6 address")]
    BadV6,
}

impl Host {
    /// Parses a host as it stands in an authority: a name, an IPv4 address, or an IPv6 address in
    /// brackets.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        if text.first() == Some(&b'[') {
            let inner = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")).ok_or(HostError::BadV6)?;
            let inner = std::str::from_utf8(inner).map_err(|_| HostError::BadV6)?;
            return inner.parse().map(Host::V6).map_err(|_| HostError::BadV6);
        }
        Self::parse_name_or_v4(text)
    }

    fn parse_name_or_v4(text: &[u8]) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        let name = text.strip_suffix(b".").unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if name.len() > 253 {
            return Err(HostError::TooLong);
        }
        let mut last = &name[..0];
        for label in name.split(|&byte| byte == b'.') {
            check_label(label)?;
            last = label;
        }
        if is_numeric_label(last) {
            // A dot behind an address ("127.0.0.1.") is one more spelling, and refused as such.
            let strict = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
            return strict.map(Host::V4).ok_or(HostError::Numeric);
        }
        // Checked above: ASCII only, so that the lossless conversion can't fail.
        let name = std::str::from_utf8(name).map_err(|_| HostError::NotAscii)?;
        Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Host::Name(name.to_ascii_lowercase().into())
        } else {
            Host::Name(name.into())
        })
    }

    /// Appends the host as it is shown.
    pub fn push_to(&self, text: &mut String) {
        match self {
            Host::Name(name) => text.push_str(name),
            // As the standard library does, at a small part of its cost: each request of an address pays it twice.
            Host::V4(address) => address.octets().into_iter().enumerate().for_each(|(at, octet)| {
                text.push_str(if at > 0 { "." } else { "" });
                text.push_str(itoa::Buffer::new().format(octet));
            }),
            Host::V6(address) => text.push_str(&address.to_string()),
        }
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn as_ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The name, where the host is one.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Host::Name(name) => Some(name),
            Host::V4(_) | Host::V6(_) => None,
        }
    }

    /// Whether the name is `localhost` or below it: such names are never sent to DNS (RFC 6761 §6.3).
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        self.as_name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

/// Without brackets, as certificates and logs write it; [`Authority`](super::Authority) adds them.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => address.fmt(f),
        }
    }
}

fn check_label(label: &[u8]) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::EmptyLabel);
    }
    if label.len() > 63 {
        return Err(HostError::TooLong);
    }
    for &byte in label {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {}
            0x80.. => return Err(HostError::NotAscii),
            _ => return Err(HostError::BadCharacter),
        }
    }
    if label.first() == Some(&b'-') || label.last() == Some(&b'-') {
        return Err(HostError::BadHyphen);
    }
    Ok(())
}

/// Whether URL parsers would read a host with this last label as an IPv4 address
/// (WHATWG URL, "ends in a number"): decimal digits only, or `0x` and hex digits.
fn is_numeric_label(label: &[u8]) -> bool {
    let hex = label.strip_prefix(b"0x").or_else(|| label.strip_prefix(b"0X"));
    label.iter().all(u8::is_ascii_digit) || hex.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_lower_case_without_a_dot_at_the_end() {
        for (text, canonical) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("a", "a"),
            ("1password.com", "1password.com"),
            ("0xabc.com", "0xabc.com"),
        ] {
            assert_eq!(Host::parse(text.as_bytes()).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn addresses_have_one_spelling() {
        assert_eq!(Host::parse(b"127.0.0.1"), Ok(Host::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(Host::parse(b"[::1]"), Ok(Host::V6(Ipv6Addr::LOCALHOST)));
        for text in [
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0x7f000001",
            "0x7f.1",
            "2130706433",
            "127.0.0.1.",
            "0",
            "00.0.0.0",
            "256.0.0.1",
            "1.2.3.4.5",
            "example.1",
            "example.0x",
            "127.0.0.01",
            "017700000001",
            "example.0x1f.",
        ] {
            assert_eq!(Host::parse(text.as_bytes()), Err(HostError::Numeric), "{text}");
        }
        for text in
            ["[::1", "[::1%25lo]", "[::1%lo]", "[evil.test]", "[]", "[127.0.0.1]", "[::1]x", "[[::1]]", "[::00001]"]
        {
            assert_eq!(Host::parse(text.as_bytes()), Err(HostError::BadV6), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, error) in [
            (&b""[..], HostError::Empty),
            (b".", HostError::EmptyLabel),
            (b"a..b", HostError::EmptyLabel),
            (b".a", HostError::EmptyLabel),
            (b"a..", HostError::EmptyLabel),
            (b"a b", HostError::BadCharacter),
            (b"a\0b", HostError::BadCharacter),
            (b"a%2fb", HostError::BadCharacter),
            (b"a/b", HostError::BadCharacter),
            (b"a\\b", HostError::BadCharacter),
            (b"user@a", HostError::BadCharacter),
            (b"a,b", HostError::BadCharacter),
            (b"*.a", HostError::BadCharacter),
            (b"::1", HostError::BadCharacter),
            ("ａllowed.test".as_bytes(), HostError::NotAscii),
            ("①②⑦.⓪.⓪.①".as_bytes(), HostError::NotAscii),
            (b"xn--allowed-.test", HostError::BadHyphen),
            (b"-a.test", HostError::BadHyphen),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Host::parse("a".repeat(64).as_bytes()), Err(HostError::TooLong));
        assert_eq!(Host::parse(["a"; 128].join(".").as_bytes()), Err(HostError::TooLong));
    }

    proptest! {
        #[test]
        fn a_displayed_host_parses_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(host) = Host::parse(&bytes) {
                let text = match &host {
                    Host::V6(address) => format!("[{address}]"),
                    other => other.to_string(),
                };
                prop_assert_eq!(Host::parse(text.as_bytes()), Ok(host));
            }
        }
    }
}
