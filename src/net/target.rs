//! What one request asks for.

use super::{Authority, AuthorityError, Path, PathError};
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

/// Why a request target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The form of the target does not fit its method or place (RFC 9112 §3.2).
    #[error("the request target is in the wrong form for this place")]
    WrongForm,
    /// `https://…` in absolute form: TLS goes through CONNECT, where it ends at the gateway or the origin.
    #[error("https goes through CONNECT, not in absolute form")]
    HttpsInAbsoluteForm,
    /// The target's host or port.
    #[error("the target's authority is refused")]
    Authority(#[source] AuthorityError),
    /// The target's path.
    #[error("the target's path is refused")]
    Path(#[source] PathError),
    /// The `Host` field's host or port.
    #[error("the Host field is refused")]
    Host(#[source] AuthorityError),
    /// Not exactly one `Host` field (RFC 9112 §3.2).
    #[error("there is not exactly one Host field")]
    HostCount,
    /// `Host` differs from the target.
    #[error("the Host field differs from the target")]
    HostMismatch,
    /// Inside a tunnel: a target or `Host` other than the tunnel's.
    #[error("the request is for another host than its tunnel")]
    AuthorityMismatch,
}

/// The `Host` fields of a request: as many as there are.
#[derive(Clone, Copy, Debug)]
pub enum HostFields<'a> {
    /// None: HTTP/1.0 only.
    None,
    /// The one.
    One(&'a [u8]),
    /// None in HTTP/1.1, or several: refused.
    Wrong,
}

impl Target {
    /// The target of a request to the proxy itself, in absolute form: `http://host[:port]/path?query`.
    pub fn absolute(method: Method, target: &[u8], host: HostFields<'_>) -> Result<Self, TargetError> {
        let (scheme, rest) = split_scheme(target).ok_or(TargetError::WrongForm)?;
        if scheme == Scheme::Https {
            return Err(TargetError::HttpsInAbsoluteForm);
        }
        let (spelled, authority, path) = parse_hierarchy(scheme, rest, &method)?;
        // What is spelled the same is the same.
        if !matches!(host, HostFields::One(value) if value == spelled) {
            check_host(host, &authority, scheme, TargetError::HostMismatch)?;
        }
        Ok(Self { scheme, authority, method, path })
    }

    /// The target of a request inside an intercepted tunnel to `tunnel`, in origin form (or in absolute
    /// form for the same authority).
    pub fn inside(
        method: Method,
        target: &[u8],
        host: HostFields<'_>,
        tunnel: &Authority,
    ) -> Result<Self, TargetError> {
        Self::within(Scheme::Https, method, target, host, tunnel)
    }

    /// The same inside a tunnel that carries plain HTTP.
    pub fn inside_plain(
        method: Method,
        target: &[u8],
        host: HostFields<'_>,
        tunnel: &Authority,
    ) -> Result<Self, TargetError> {
        Self::within(Scheme::Http, method, target, host, tunnel)
    }

    fn within(
        scheme: Scheme,
        method: Method,
        target: &[u8],
        host: HostFields<'_>,
        tunnel: &Authority,
    ) -> Result<Self, TargetError> {
        let path = match split_scheme(target) {
            None => parse_path(target, &method)?,
            Some((given, rest)) => {
                let (_, authority, path) = parse_hierarchy(given, rest, &method)?;
                if given != scheme || authority != *tunnel {
                    return Err(TargetError::AuthorityMismatch);
                }
                path
            }
        };
        check_host(host, tunnel, scheme, TargetError::AuthorityMismatch)?;
        Ok(Self { scheme, authority: tunnel.clone(), method, path })
    }

    /// The authority that a CONNECT asks a tunnel to. Clients differ in whether their `Host` has the
    /// port; its host must be the same. Some (node's `http.request` as its documentation shows it) send
    /// the proxy's own address instead, `own`: that is let pass, for the field goes nowhere.
    pub fn connect(
        target: &[u8],
        host: HostFields<'_>,
        own: impl FnOnce() -> Option<Authority>,
    ) -> Result<Authority, TargetError> {
        let authority = Authority::parse(target).map_err(TargetError::Authority)?;
        match host {
            HostFields::None => Ok(authority),
            HostFields::Wrong => Err(TargetError::HostCount),
            HostFields::One(value) => {
                let host = Authority::parse_or(value, authority.port).map_err(TargetError::Host)?;
                let fits = host == authority || own() == Some(host);
                if fits { Ok(authority) } else { Err(TargetError::HostMismatch) }
            }
        }
    }
}

/// Schemes are case-insensitive (RFC 3986 §3.1).
fn split_scheme(target: &[u8]) -> Option<(Scheme, &[u8])> {
    let strip = |scheme: &str| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    };
    strip("http://").map(|rest| (Scheme::Http, rest)).or_else(|| strip("https://").map(|rest| (Scheme::Https, rest)))
}

/// The authority, as it is spelled and as it is, and the path.
fn parse_hierarchy<'a>(
    scheme: Scheme,
    rest: &'a [u8],
    method: &Method,
) -> Result<(&'a [u8], Authority, Path), TargetError> {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest.len());
    let (spelled, path) = rest.split_at(end);
    let authority = Authority::parse_or(spelled, scheme.default_port()).map_err(TargetError::Authority)?;
    let path = match path {
        // OPTIONS for the server as a whole comes without a path (RFC 9112 §3.2.4).
        [] if *method == Method::OPTIONS => Path::parse(b"*"),
        [] => Path::parse(b"/"),
        [b'?', ..] => Path::parse(&[b"/", path].concat()),
        _ => Path::parse(path),
    };
    Ok((spelled, authority, path.map_err(TargetError::Path)?))
}

fn parse_path(target: &[u8], method: &Method) -> Result<Path, TargetError> {
    if target.first() != Some(&b'/') && !(target == b"*" && *method == Method::OPTIONS) {
        return Err(TargetError::WrongForm);
    }
    Path::parse(target).map_err(TargetError::Path)
}

fn check_host(
    host: HostFields<'_>,
    authority: &Authority,
    scheme: Scheme,
    mismatch: TargetError,
) -> Result<(), TargetError> {
    match host {
        HostFields::None => Ok(()),
        HostFields::Wrong => Err(TargetError::HostCount),
        // The commonest spelling needs no second parse.
        HostFields::One(value) if authority.is_spelled(value, scheme.default_port()) => Ok(()),
        HostFields::One(value) => {
            let host = Authority::parse_or(value, scheme.default_port()).map_err(TargetError::Host)?;
            if host == *authority { Ok(()) } else { Err(mismatch) }
        }
    }
}

/// `METHOD scheme://host:port/path?query`. Holds the query as sent: never log it unredacted.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme.as_str(), self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn absolute(target: &str, host: &str) -> Result<String, TargetError> {
        Target::absolute(Method::GET, target.as_bytes(), HostFields::One(host.as_bytes()))
            .map(|target| target.to_string())
    }

    #[test]
    fn an_absolute_target_agrees_with_its_host() {
        for (target, host, shown) in [
            ("http://h/", "h", "GET http://h:80/"),
            ("HTTP://H.test:80/a?b", "h.TEST", "GET http://h.test:80/a?b"),
            ("http://h.test:8080", "h.test:8080", "GET http://h.test:8080/"),
            ("http://h?x", "h:80", "GET http://h:80/?x"),
            ("http://[::1]/", "[::1]", "GET http://[::1]:80/"),
        ] {
            assert_eq!(absolute(target, host), Ok(shown.to_owned()));
        }
        for (target, host, error) in [
            ("http://h/", "d", TargetError::HostMismatch),
            ("http://h/", "h:81", TargetError::HostMismatch),
            ("http://h/", "", TargetError::Host(AuthorityError::Host(crate::net::HostError::Empty))),
            ("http://h/", "a@h", TargetError::Host(AuthorityError::Userinfo)),
            ("http://h/", "h/x", TargetError::Host(AuthorityError::Host(crate::net::HostError::BadCharacter))),
            ("https://h/", "h", TargetError::HttpsInAbsoluteForm),
            ("/", "h", TargetError::WrongForm),
            ("*", "h", TargetError::WrongForm),
            ("h:80", "h", TargetError::WrongForm),
            ("ftp://h/", "h", TargetError::WrongForm),
            ("http:/h/", "h", TargetError::WrongForm),
            ("http://u@h/", "h", TargetError::Authority(AuthorityError::Userinfo)),
            ("http://h\\@d/", "h", TargetError::Path(PathError::NoSlash)),
            ("http://h#@d/", "h", TargetError::Path(PathError::Fragment)),
            ("http://h/../x", "h", TargetError::Path(PathError::DotSegment)),
        ] {
            assert_eq!(absolute(target, host), Err(error), "{target} {host}");
        }
        let wrong = Target::absolute(Method::GET, b"http://h/", HostFields::Wrong);
        assert_eq!(wrong, Err(TargetError::HostCount));
    }

    #[test]
    fn a_target_inside_a_tunnel_is_for_the_tunnel() {
        let tunnel = Authority::parse(b"h.test:443").unwrap();
        let inside = |target: &str, host: &str| {
            Target::inside(Method::GET, target.as_bytes(), HostFields::One(host.as_bytes()), &tunnel)
                .map(|t| t.to_string())
        };
        assert_eq!(inside("/x?y", "h.test"), Ok("GET https://h.test:443/x?y".to_owned()));
        assert_eq!(inside("/", "H.test:443"), Ok("GET https://h.test:443/".to_owned()));
        assert_eq!(inside("https://h.test/x", "h.test"), Ok("GET https://h.test:443/x".to_owned()));
        for (target, host) in [
            ("/", "d.test"),
            ("/", "h.test:80"),
            ("https://d.test/", "h.test"),
            ("http://h.test/", "h.test"),
            ("https://h.test:444/", "h.test"),
        ] {
            assert_eq!(inside(target, host), Err(TargetError::AuthorityMismatch), "{target} {host}");
        }
        assert_eq!(inside("d.test:443", "h.test"), Err(TargetError::WrongForm));
        assert_eq!(inside("*", "h.test"), Err(TargetError::WrongForm));
    }

    #[test]
    fn connect_takes_authority_form_only() {
        let own = Authority::parse(b"127.0.0.1:3128").unwrap();
        let connect =
            |target: &str, host| Target::connect(target.as_bytes(), host, || Some(own.clone())).map(|a| a.to_string());
        assert_eq!(connect("h:443", HostFields::None), Ok("h:443".to_owned()));
        assert_eq!(connect("h:443", HostFields::One(b"h")), Ok("h:443".to_owned()));
        assert_eq!(connect("h:443", HostFields::One(b"h:443")), Ok("h:443".to_owned()));
        assert_eq!(connect("h:443", HostFields::One(b"127.0.0.1:3128")), Ok("h:443".to_owned()));
        assert_eq!(connect("h:443", HostFields::One(b"127.0.0.1")), Err(TargetError::HostMismatch));
        assert_eq!(connect("h:443", HostFields::One(b"d:443")), Err(TargetError::HostMismatch));
        assert_eq!(connect("h:443", HostFields::One(b"h:80")), Err(TargetError::HostMismatch));
        assert_eq!(connect("h:443", HostFields::Wrong), Err(TargetError::HostCount));
        for target in ["h", "/", "*", "http://h:443/", "http://test", "u@h:443", "h:443/", "h:+443"] {
            assert!(connect(target, HostFields::None).is_err(), "{target}");
        }
    }

    proptest! {
        #[test]
        fn a_displayed_target_parses_back(target in "http://[a-z.:0-9]{1,12}(/[!-~]{0,12})?") {
            if let Ok(first) = Target::absolute(Method::GET, target.as_bytes(), HostFields::None) {
                let shown = first.to_string();
                let again = Target::absolute(Method::GET, &shown.as_bytes()[4..], HostFields::None);
                prop_assert_eq!(again, Ok(first));
            }
        }
    }
}
