//! What one request asks for.

use super::{Authority, Path};
use http::Method;
use std::fmt;

/// The scheme of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// 80 or 443.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// One request's destination: the only value that policy, DNS, the dial and the record know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `http` for absolute-form, `https` inside an intercepted tunnel.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The method as sent (methods are case-sensitive, RFC 9110 §9.1).
    pub method: Method,
    /// Path and query.
    pub path: Path,
}

/// `METHOD scheme://host:port/path?query`. Holds the query as sent: never log it unredacted.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme.as_str(), self.authority, self.path)
    }
}
