//! What the operator sets under `resolver`.

use crate::net::{AuthorityError, Host, HostError, HostPattern, parse_port};
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Where names are looked up, and which are dialled elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who is asked.
    pub nameservers: Nameservers,
    /// Names that are dialled at a given address. The most specific pattern wins, of equals the first.
    pub connect: Vec<ConnectOverride>,
}

/// The name servers to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Nameservers {
    /// Those of `/etc/resolv.conf`, read again when the file changes.
    #[default]
    System,
    /// These, over UDP and, for long answers, TCP on the same port.
    Fixed(Vec<SocketAddr>),
}

/// One entry of `resolver.connect`: like curl's `--connect-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOverride {
    /// The hosts that it is for.
    pub host: HostPattern,
    /// Where they are dialled.
    pub to: ConnectTo,
}

/// `ADDRESS`, `ADDRESS:PORT`, `NAME` or `NAME:PORT`. A name is resolved by DNS, and is not overridden
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// The host to dial instead.
    pub host: Host,
    /// The port to dial instead; left out, the target's own.
    pub port: Option<u16>,
}

/// Why a `to` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The host is neither an address nor a name.
    #[error("{0}")]
    Host(#[from] HostError),
    /// The port is none.
    #[error("{0}")]
    Port(#[from] AuthorityError),
}

impl FromStr for ConnectTo {
    type Err = ConnectError;

    fn from_str(text: &str) -> Result<Self, ConnectError> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: Host::V6(address), port: None });
        }
        // The last colon starts the port, unless it stands inside the brackets of an IPv6 address.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port.as_bytes())?)),
            _ => (text, None),
        };
        Ok(Self { host: Host::parse(host.as_bytes())?, port })
    }
}

/// As it is written in the file.
impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
            (host, None) => host.fmt(f),
        }
    }
}

impl Settings {
    /// The override for a host, if one is for it.
    pub(super) fn connect_to(&self, host: &Host) -> Option<&ConnectTo> {
        // `max_by_key` takes the last of equals; the first is what the file's reader expects.
        let matching = self.connect.iter().rev().filter(|entry| entry.host.matches(host));
        matching.max_by_key(|entry| entry.host.specificity()).map(|entry| &entry.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_connect_to_is_an_address_or_a_name_with_or_without_port() {
        for (text, host, port) in [
            ("127.0.0.1:8443", "127.0.0.1", Some(8443)),
            ("127.0.0.1", "127.0.0.1", None),
            ("[::1]:8443", "::1", Some(8443)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
            ("mirror.internal:80", "mirror.internal", Some(80)),
            ("Mirror.Internal", "mirror.internal", None),
        ] {
            let to: ConnectTo = text.parse().unwrap();
            assert_eq!((to.host.to_string().as_str(), to.port), (host, port), "{text}");
            assert_eq!(to.to_string().parse::<ConnectTo>(), Ok(to), "{text}");
        }
        for text in ["", ":443", "a:", "a:0", "a:99999", "127.1", "0x7f.1:80", "[::1", "[a]:1", "a b", "http://a"] {
            assert!(text.parse::<ConnectTo>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_most_specific_override_wins_and_of_equals_the_first() {
        let entry = |host: &str, to: &str| ConnectOverride { host: host.parse().unwrap(), to: to.parse().unwrap() };
        let settings = Settings {
            nameservers: Nameservers::System,
            connect: vec![
                entry("**", "127.0.0.1"),
                entry("*.a.test", "127.0.0.2"),
                entry("x.a.test", "127.0.0.3"),
                entry("x.a.test", "127.0.0.4"),
            ],
        };
        let to = |host: &str| {
            settings
                .connect_to(&Host::parse(host.as_bytes()).unwrap())
                .map(|to| to.host.to_string())
                .unwrap_or_default()
        };
        assert_eq!(to("x.a.test"), "127.0.0.3");
        assert_eq!(to("y.a.test"), "127.0.0.2");
        assert_eq!(to("b.test"), "127.0.0.1");
        assert_eq!(to("192.0.2.1"), "");
    }
}
