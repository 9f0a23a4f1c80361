//! `host:port`, as CONNECT, `Host` and the absolute form carry it.

use super::{Host, HostError};
use std::fmt;

/// A destination: canonical host and port. Shown as `host:port`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    /// The canonical host.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// Why an authority was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// `user@host`: never valid in a request to a proxy, and a known way to hide the host.
    #[error("the authority holds userinfo")]
    Userinfo,
    /// CONNECT without a port (RFC 9110 §9.3.6 asks for one).
    #[error("the authority has no port")]
    NoPort,
    /// A port that is not 1 to 5 digits from 1 to 65535, without sign or leading zero.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// The host itself.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Authority {
    /// Parses authority-form (RFC 9112 §3.2.3): host and port, both compulsory.
    pub fn parse(text: &[u8]) -> Result<Self, AuthorityError> {
        let (host, port) = split_port(text)?;
        let port = parse_port(port.ok_or(AuthorityError::NoPort)?)?;
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Parses `host[:port]` as `Host` and URLs carry it; a port that is left out is `default_port`.
    /// An empty port (`host:`) is refused although RFC 3986 allows it: no client sends it.
    pub fn parse_or(text: &[u8], default_port: u16) -> Result<Self, AuthorityError> {
        let (host, port) = split_port(text)?;
        let port = port.map_or(Ok(default_port), parse_port)?;
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Appends the authority as it is shown.
    pub fn push_to(&self, text: &mut String) {
        match &self.host {
            Host::V6(address) => text.push_str(&format!("[{address}]")),
            host => host.push_to(text),
        }
        text.push(':');
        text.push_str(itoa::Buffer::new().format(self.port));
    }

    /// Whether `text` is this authority in its canonical spelling: a name, with its port only where that is not
    /// `default_port`. False says nothing.
    #[must_use]
    pub fn is_spelled(&self, text: &[u8], default_port: u16) -> bool {
        let rest = self.host.as_name().and_then(|name| text.strip_prefix(name.as_bytes()));
        match rest {
            Some([]) => self.port == default_port,
            Some([b':', port @ ..]) => parse_port(port) == Ok(self.port),
            _ => false,
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::V6(address) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// A port: 1 to 5 digits, no sign (`u16::from_str` takes `+443`), no leading zero, 1 to 65535.
pub fn parse_port(text: &[u8]) -> Result<u16, AuthorityError> {
    let digits = matches!(text, [b'1'..=b'9', rest @ ..] if rest.len() <= 4 && rest.iter().all(u8::is_ascii_digit));
    if !digits {
        return Err(AuthorityError::BadPort);
    }
    let value = text.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(value).map_err(|_| AuthorityError::BadPort)
}

fn split_port(text: &[u8]) -> Result<(&[u8], Option<&[u8]>), AuthorityError> {
    if text.contains(&b'@') {
        return Err(AuthorityError::Userinfo);
    }
    let host_end = if text.first() == Some(&b'[') {
        text.iter().position(|&byte| byte == b']').ok_or(HostError::BadV6)? + 1
    } else {
        text.iter().position(|&byte| byte == b':').unwrap_or(text.len())
    };
    match text.split_at(host_end) {
        (host, []) => Ok((host, None)),
        (host, [b':', port @ ..]) => Ok((host, Some(port))),
        _ => Err(HostError::BadV6.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_authority_has_a_host_and_a_port() {
        for (text, shown) in [
            ("example.com:443", "example.com:443"),
            ("EXAMPLE.com.:80", "example.com:80"),
            ("[::1]:8443", "[::1]:8443"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("a:65535", "a:65535"),
        ] {
            assert_eq!(Authority::parse(text.as_bytes()).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn the_canonical_spelling_is_known_without_a_parse() {
        let authority = Authority::parse(b"a.test:443").unwrap();
        for (text, default_port, is_spelled) in [
            ("a.test", 443, true),
            ("a.test:443", 443, true),
            ("a.test:443", 80, true),
            ("a.test", 80, false),
            ("a.test:444", 443, false),
            ("a.test:0443", 443, false),
            ("a.test:", 443, false),
            ("a.testing", 443, false),
            ("a.test.", 443, false),
            ("A.test", 443, false),
            ("u@a.test", 443, false),
            ("", 443, false),
        ] {
            assert_eq!(authority.is_spelled(text.as_bytes(), default_port), is_spelled, "{text}");
        }
        let address = Authority::parse(b"127.0.0.1:80").unwrap();
        assert!(!address.is_spelled(b"127.0.0.1:80", 80), "an address is parsed");
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for (text, error) in [
            ("a", AuthorityError::NoPort),
            ("a:", AuthorityError::BadPort),
            ("a:0", AuthorityError::BadPort),
            ("a:0443", AuthorityError::BadPort),
            ("a:+443", AuthorityError::BadPort),
            ("a:-1", AuthorityError::BadPort),
            ("a:65536", AuthorityError::BadPort),
            ("a:65979", AuthorityError::BadPort),
            ("a:4294967739", AuthorityError::BadPort),
            ("a:443:443", AuthorityError::BadPort),
            ("a:443 ", AuthorityError::BadPort),
            ("a:443/", AuthorityError::BadPort),
            ("user@a:443", AuthorityError::Userinfo),
            ("a:443@b:443", AuthorityError::Userinfo),
            ("user:pw@a:443", AuthorityError::Userinfo),
            ("[::1]443", AuthorityError::Host(HostError::BadV6)),
            ("[a]:443", AuthorityError::Host(HostError::BadV6)),
            ("::1:443", AuthorityError::BadPort),
            ("/x", AuthorityError::NoPort),
            ("http://a:443/", AuthorityError::BadPort),
            (":443", AuthorityError::Host(HostError::Empty)),
            ("a\0.b:443", AuthorityError::Host(HostError::BadCharacter)),
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn a_missing_port_is_the_default_where_one_is_given() {
        assert_eq!(Authority::parse_or(b"a", 80).unwrap().port, 80);
        assert_eq!(Authority::parse_or(b"a:81", 80).unwrap().port, 81);
        assert_eq!(Authority::parse_or(b"a:", 80), Err(AuthorityError::BadPort));
    }

    proptest! {
        #[test]
        fn a_displayed_authority_parses_back(text in "[a-zA-Z0-9.:@\\[\\]-]{0,30}") {
            if let Ok(authority) = Authority::parse(text.as_bytes()) {
                prop_assert_eq!(Authority::parse(authority.to_string().as_bytes()), Ok(authority));
            }
        }
    }
}
