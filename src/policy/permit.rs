//! Proof that policy allowed a target.

use super::{ClientCertificate, Credentials, Hidden, Resolve};
use crate::net::{Authority, Scheme};
use crate::reason::Denial;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Proof that policy allowed a target: what DNS, the dial and the data path may do for it.
///
/// Made by [`policy`](super) only. In observe mode it also carries the denial that would have been.
#[derive(Clone, Debug)]
pub struct Permit {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) rule: Arc<str>,
    pub(super) tls: TlsMode,
    pub(super) protocols: Protocols,
    pub(super) addresses: Arc<[IpNet]>,
    pub(super) resolve: Resolve,
    pub(super) client_certificate: Option<Arc<ClientCertificate>>,
    pub(super) hidden: Hidden,
    pub(super) credentials: Credentials,
    pub(super) observed: Option<Denial>,
}

/// What happens to TLS inside a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Opened with a minted leaf: every request is judged.
    #[default]
    Intercept,
    /// Relayed as it is: the name, SNI and bytes are all that is known.
    Tunnel,
}

/// A protocol that a tunnel may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// TLS, with the CONNECT host as SNI.
    Tls = 1,
    /// Plain HTTP.
    Http = 2,
    /// SSH, by its banner.
    Ssh = 4,
    /// Anything: nothing is looked at.
    Any = 8,
}

/// The protocols that a rule's tunnels may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocols(u8);

impl Protocols {
    /// None yet.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, protocol: Protocol) -> Self {
        Self(self.0 | protocol as u8)
    }

    /// Whether a tunnel may carry it; `any` covers all.
    #[must_use]
    pub const fn contains(self, protocol: Protocol) -> bool {
        self.0 & (protocol as u8 | Protocol::Any as u8) != 0
    }
}

/// TLS only.
impl Default for Protocols {
    fn default() -> Self {
        Self::NONE.with(Protocol::Tls)
    }
}

impl Permit {
    /// The scheme of the target.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host and port that were allowed: the ones to resolve, to dial and to check TLS against.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The rule that allowed it, as the operator finds it: `agent.allow[2]`, `npm.allow[0]`.
    #[must_use]
    pub fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// Whether tunnels to it are opened or relayed.
    #[must_use]
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// What a relayed tunnel may carry.
    #[must_use]
    pub fn protocols(&self) -> Protocols {
        self.protocols
    }

    /// Who looks up the name, where a parent proxy is asked.
    #[must_use]
    pub fn resolve(&self) -> Resolve {
        self.resolve
    }

    /// What the gateway shows of itself to the destination.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.client_certificate.as_ref()
    }

    /// What a relayed ClientHello may hide.
    #[must_use]
    pub fn hidden(&self) -> Hidden {
        self.hidden
    }

    /// Whether the rule names a range with this address. Public addresses need no range.
    #[must_use]
    pub fn names_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(&address))
    }

    /// Whose credentials may go with it.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// In observe mode: the denial that enforcement would have given.
    #[must_use]
    pub fn observed(&self) -> Option<&Denial> {
        self.observed.as_ref()
    }

    /// A permit for the tests of the rooms above, which have no policy at hand.
    #[cfg(test)]
    pub(crate) fn for_tests(scheme: Scheme, authority: Authority, addresses: &[&str]) -> Self {
        Self {
            scheme,
            authority,
            rule: "tests.allow[0]".into(),
            tls: TlsMode::Intercept,
            protocols: Protocols::default(),
            addresses: addresses.iter().map(|range| range.parse().unwrap()).collect(),
            resolve: Resolve::default(),
            client_certificate: None,
            hidden: Hidden::default(),
            credentials: Credentials::Any,
            observed: None,
        }
    }
}
