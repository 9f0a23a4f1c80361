//! One rule, compiled.

use super::service::{Allowed, Scope};
use super::{Paths, Protocols, TlsMode};
use crate::net::{Authority, HostPattern, Scheme, Target};
use http::Method;
use ipnet::IpNet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// One entry of `allow` or `deny`: what it matches and, for an allow, what it grants.
#[derive(Clone, Debug)]
pub struct Rule {
    /// As the operator finds it: `agent.allow[2]`, `npm.allow[0]`.
    pub name: Arc<str>,
    /// Which hosts.
    pub host: HostPattern,
    /// Which ports.
    pub ports: Ports,
    /// Which methods.
    pub methods: Methods,
    /// Which paths.
    pub paths: Paths,
    /// Whether tunnels are opened or relayed. Means nothing in a deny.
    pub tls: TlsMode,
    /// What a relayed tunnel may carry. Means nothing in a deny.
    pub protocols: Protocols,
    /// Non-public ranges that may be dialled. Means nothing in a deny.
    pub addresses: Arc<[IpNet]>,
    /// Who looks up the names, where a parent proxy is asked. Means nothing in a deny.
    pub resolve: Resolve,
    /// What the gateway shows of itself to the destination. Means nothing in a deny.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// What relayed TLS may hide. Means nothing in a deny.
    pub hidden: Hidden,
    /// Whose credentials may go there. Means nothing in a deny.
    pub credentials: Credentials,
    /// What the hosts serve, and how far requests may go there. Means nothing in a deny.
    pub scope: Option<Scope>,
}

/// Who looks up the names of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resolve {
    /// The gateway, which vets every address.
    #[default]
    Gateway,
    /// The parent proxy, if there is one for the host: where its name leads is the parent's word.
    Parent,
}

/// A certificate and its key, by their files: what the gateway shows to a destination that asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// What a ClientHello that is relayed may hide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hidden {
    /// The server's name, by Encrypted ClientHello.
    pub ech: bool,
    /// The server's name, by leaving it out.
    pub sni: bool,
}

/// Whose credentials may go home by a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Anybody's.
    #[default]
    Any,
    /// The session's own: those that were registered for it or for its policy.
    Own,
}

/// The ports of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// None written. An allow means 443 for https and 80 for http; a deny means every port.
    #[default]
    Unset,
    /// These; an empty list is no port at all.
    Only(Box<[RangeInclusive<u16>]>),
}

/// The methods of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Methods {
    /// Every method.
    #[default]
    All,
    /// These; an empty list is no method at all.
    Only(Box<[Method]>),
}

/// Why a method was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// Not a token (RFC 9110 §5.6.2).
    #[error("a method is a word such as GET")]
    NotAToken,
    /// Methods are case-sensitive, and every known one is in capitals.
    #[error("methods are case-sensitive: write it in capitals")]
    LowerCase,
    /// CONNECT is judged by host and port, before any method is known.
    #[error("CONNECT opens a tunnel and is judged by host and port alone")]
    Connect,
}

impl Rule {
    /// A rule for every request to these hosts at their scheme's port, with the defaults of a file.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, host: HostPattern) -> Self {
        Self {
            name: name.into(),
            host,
            ports: Ports::Unset,
            methods: Methods::All,
            paths: Paths::ALL,
            tls: TlsMode::default(),
            protocols: Protocols::default(),
            resolve: Resolve::default(),
            client_certificate: None,
            hidden: Hidden::default(),
            addresses: Arc::new([]),
            credentials: Credentials::Any,
            scope: None,
        }
    }

    /// Whether more than host and port must be known to judge by this rule.
    #[must_use]
    pub fn looks_inside(&self) -> bool {
        self.methods != Methods::All || !self.paths.is_all() || self.scope.is_some()
    }

    /// Whether nothing can ever match: an empty list somewhere.
    #[must_use]
    pub fn is_void(&self) -> bool {
        let no_port = matches!(&self.ports, Ports::Only(ports) if ports.is_empty());
        let no_method = matches!(&self.methods, Methods::Only(methods) if methods.is_empty());
        let no_name = self.scope.as_ref().is_some_and(|scope| scope.repos.is_void());
        no_port || no_method || no_name || self.paths.is_void()
    }

    pub(super) fn allows_port(&self, scheme: Scheme, authority: &Authority) -> bool {
        match &self.ports {
            Ports::Unset => authority.port == scheme.default_port(),
            Ports::Only(ports) => ports.iter().any(|range| range.contains(&authority.port)),
        }
    }

    pub(super) fn denies_port(&self, authority: &Authority) -> bool {
        match &self.ports {
            Ports::Unset => true,
            Ports::Only(ports) => ports.iter().any(|range| range.contains(&authority.port)),
        }
    }

    /// Of a rule whose host and port match: whether it allows this method, every reading of the path, and
    /// what they amount to at its service.
    pub(super) fn allows_inside(&self, target: &Target) -> Allowed {
        if !self.methods.contain(&target.method) || !self.paths.match_all_readings(&target.path) {
            return Allowed::No;
        }
        self.scope.as_ref().map_or(Allowed::Yes, |scope| scope.allows(target))
    }

    /// Whether its word on a request holds for one method only.
    pub(super) fn minds_methods(&self) -> bool {
        self.methods != Methods::All || self.scope.is_some()
    }

    /// Of a rule whose host and port match: whether it denies this method and any reading of the path.
    pub(super) fn denies_inside(&self, target: &Target) -> bool {
        self.methods.contain(&target.method) && self.paths.match_any_reading(&target.path)
    }
}

impl Methods {
    /// What `read-only` is short for.
    pub const READ_ONLY: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

    /// Whether the rule means this method.
    #[must_use]
    pub fn contain(&self, method: &Method) -> bool {
        match self {
            Methods::All => true,
            Methods::Only(methods) => methods.contains(method),
        }
    }

    /// Reads one method as an operator writes it.
    pub fn parse_one(text: &str) -> Result<Method, MethodError> {
        let method = Method::from_bytes(text.as_bytes()).map_err(|_| MethodError::NotAToken)?;
        if method == Method::CONNECT {
            return Err(MethodError::Connect);
        }
        if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(MethodError::LowerCase);
        }
        Ok(method)
    }
}

impl Ports {
    /// Whether a request of either scheme could match both; unset counts as 80 and 443.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> bool {
        self.as_ranges().iter().any(|a| other.as_ranges().iter().any(|b| a.start() <= b.end() && b.start() <= a.end()))
    }

    /// Of two allows: whether every port of `other` is one of these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self == other || other.as_ranges().iter().all(|range| range.clone().all(|port| self.has(port)))
    }

    fn has(&self, port: u16) -> bool {
        self.as_ranges().iter().any(|range| range.contains(&port))
    }

    pub(super) fn as_ranges(&self) -> &[RangeInclusive<u16>] {
        const DEFAULT: &[RangeInclusive<u16>] = &[80..=80, 443..=443];
        match self {
            Ports::Unset => DEFAULT,
            Ports::Only(ranges) => ranges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_written_as_the_wire_has_them() {
        assert_eq!(Methods::parse_one("GET"), Ok(Method::GET));
        assert_eq!(Methods::parse_one("PROPFIND").unwrap().as_str(), "PROPFIND");
        assert_eq!(Methods::parse_one("get"), Err(MethodError::LowerCase));
        assert_eq!(Methods::parse_one("G T"), Err(MethodError::NotAToken));
        assert_eq!(Methods::parse_one(""), Err(MethodError::NotAToken));
        assert_eq!(Methods::parse_one("CONNECT"), Err(MethodError::Connect));
    }

    #[test]
    fn an_empty_list_means_nothing_and_not_everything() {
        let rule = Rule::new("t.allow[0]", "a.test".parse().unwrap());
        assert!(!rule.is_void());
        assert!(Rule { ports: Ports::Only([].into()), ..rule.clone() }.is_void());
        assert!(Rule { methods: Methods::Only([].into()), ..rule.clone() }.is_void());
        assert!(Rule { paths: Paths::only::<&str>(&[]).unwrap(), ..rule }.is_void());
    }

    #[test]
    fn ports_overlap_and_cover_by_number() {
        let only = |ranges: &[RangeInclusive<u16>]| Ports::Only(ranges.into());
        assert!(Ports::Unset.overlap(&only(&[1..=443])));
        assert!(!Ports::Unset.overlap(&only(&[8000..=9000])));
        assert!(only(&[1..=65535]).cover(&Ports::Unset));
        assert!(only(&[443..=443, 80..=80]).cover(&Ports::Unset));
        assert!(!only(&[443..=443]).cover(&Ports::Unset));
        assert!(only(&[1..=10, 11..=20]).cover(&only(&[5..=15])));
        assert!(!Ports::Unset.overlap(&only(&[])));
    }
}
