//! Which hosts a rule means.

use super::{Host, HostError};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A host as rules write it: exact, `*.x` (one label), `**.x` (any depth), `**` (any name), an
/// address. Wildcards never match the apex and never an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host only.
    Exact(Host),
    /// `*.x`: one label more than `x`. Holds `.x`.
    OneLabel(Arc<str>),
    /// `**.x`: one label or more above `x`. Holds `.x`.
    AnyDepth(Arc<str>),
    /// `**`: every name, but no address.
    AnyName,
}

/// Why a host pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A star elsewhere than as the whole first label.
    #[error("a star stands for whole labels at the front only: `*.example.com`, `**.example.com` or `**`")]
    Star,
    /// A pattern with a star over an address.
    #[error("a star can't stand in an address; name ranges under `addresses`")]
    Address,
    /// A URL, a port, a path.
    #[error("a host is written without scheme, port or path")]
    NotAHost,
    /// A Unicode name that IDNA (UTS 46) does not take.
    #[error("the name is no valid internationalised domain name")]
    Idna,
    /// The host itself.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl HostPattern {
    /// Whether the pattern means this host.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        let above =
            |suffix: &str| host.as_name().and_then(|name| name.strip_suffix(suffix)).filter(|above| !above.is_empty());
        match self {
            HostPattern::Exact(exact) => exact == host,
            HostPattern::OneLabel(suffix) => above(suffix).is_some_and(|label| !label.contains('.')),
            HostPattern::AnyDepth(suffix) => above(suffix).is_some(),
            HostPattern::AnyName => host.as_name().is_some(),
        }
    }

    /// How narrow the pattern is: of two that match one host, the greater decides `tls` and
    /// `protocols`. Exact hosts come first, then longer suffixes, one label before any depth.
    #[must_use]
    pub fn specificity(&self) -> (u8, usize, u8) {
        match self {
            HostPattern::Exact(_) => (2, 0, 0),
            HostPattern::OneLabel(suffix) => (1, suffix.len(), 1),
            HostPattern::AnyDepth(suffix) => (1, suffix.len(), 0),
            HostPattern::AnyName => (0, 0, 0),
        }
    }

    /// Whether the pattern covers a whole public suffix (`*.com`, `**.co.uk`) or every name: told as
    /// a warning when a policy is loaded.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        match self {
            HostPattern::Exact(_) => false,
            HostPattern::OneLabel(suffix) | HostPattern::AnyDepth(suffix) => {
                let apex = suffix.trim_start_matches('.');
                psl::suffix_str(apex) == Some(apex)
            }
            HostPattern::AnyName => true,
        }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    /// Reads an operator's pattern; Unicode names become A-labels here, once.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "**" {
            return Ok(HostPattern::AnyName);
        }
        let is_v6 = text.starts_with('[') || text.parse::<std::net::Ipv6Addr>().is_ok();
        if text.contains(['/', '@', '?', '#']) || (text.contains(':') && !is_v6) {
            return Err(PatternError::NotAHost);
        }
        let (stars, apex) = match text.split_once('.') {
            Some((stars @ ("*" | "**"), apex)) => (stars, apex),
            _ => ("", text),
        };
        if apex.contains('*') {
            return Err(PatternError::Star);
        }
        let host = parse_operators_host(apex)?;
        match (stars, host) {
            ("", host) => Ok(HostPattern::Exact(host)),
            (_, Host::V4(_) | Host::V6(_)) => Err(PatternError::Address),
            ("*", Host::Name(name)) => Ok(HostPattern::OneLabel(format!(".{name}").into())),
            (_, Host::Name(name)) => Ok(HostPattern::AnyDepth(format!(".{name}").into())),
        }
    }
}

/// As the rule is written, in canonical form.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => host.fmt(f),
            HostPattern::OneLabel(suffix) => write!(f, "*{suffix}"),
            HostPattern::AnyDepth(suffix) => write!(f, "**{suffix}"),
            HostPattern::AnyName => f.write_str("**"),
        }
    }
}

fn parse_operators_host(text: &str) -> Result<Host, PatternError> {
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Ok(Host::V6(address));
    }
    if text.is_ascii() {
        return Ok(Host::parse(text.as_bytes())?);
    }
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| PatternError::Idna)?;
    Ok(Host::parse(ascii.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(&Host::parse(host.as_bytes()).unwrap())
    }

    #[test]
    fn patterns_match_whole_labels() {
        for (pattern, host, expected) in [
            ("allowed.test", "allowed.test", true),
            ("allowed.test", "ALLOWED.test.", true),
            ("allowed.test", "allowed.test.evil.test", false),
            ("allowed.test", "evilallowed.test", false),
            ("allowed.test", "x.allowed.test", false),
            ("*.wild.test", "a.wild.test", true),
            ("*.wild.test", "a.b.wild.test", false),
            ("*.wild.test", "wild.test", false),
            ("*.wild.test", "evilwild.test", false),
            ("*.wild.test", "a.wild.test.evil.test", false),
            ("**.wild.test", "a.wild.test", true),
            ("**.wild.test", "a.b.c.wild.test", true),
            ("**.wild.test", "wild.test", false),
            ("**.wild.test", "xwild.test", false),
            ("**", "anything.example", true),
            ("**", "127.0.0.1", false),
            ("**", "[::1]", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("*.bücher.example", "a.xn--bcher-kva.example", true),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn a_pattern_shows_as_it_is_written() {
        for text in ["a.b", "*.a.b", "**.a.b", "**", "127.0.0.1", "::1"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_pattern_is_refused() {
        for text in [
            "",
            "*",
            "a.*",
            "a*.b",
            "*a.b",
            "***.a",
            "*.*.a",
            "http://a",
            "a:443",
            "a/b",
            "a b",
            "*.",
            "**.",
            "*.127.0.0.1",
            "127.1",
            "a..b",
            "user@a",
            "*.0",
            "[::1]:443",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn wide_patterns_are_told_apart() {
        for (text, wide) in [
            ("**", true),
            ("*.com", true),
            ("**.co.uk", true),
            ("*.example.com", false),
            ("a.com", false),
            ("**.github.io", true),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().is_wide(), wide, "{text}");
        }
    }
}
