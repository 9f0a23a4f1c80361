//! Proof that policy allowed a target.

use super::{Access, ClientCertificate, Credentials, Document, Hidden, Resolve, Unreadable};
use crate::net::{Authority, Scheme};
use crate::reason::{Denial, Reason};
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
    pub(super) minds_methods: bool,
    pub(super) is_by_service: bool,
    pub(super) provided: Option<Proviso>,
    pub(super) observed: Option<Denial>,
}

/// What a body must not do for a permit to hold.
#[derive(Clone, Debug)]
pub(super) struct Proviso {
    pub(super) document: Document,
    /// What a body that writes is answered.
    pub(super) denial: Denial,
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

    /// Whether the permit is for this method only, so that no field may make another of it on the way.
    #[must_use]
    pub fn minds_methods(&self) -> bool {
        self.minds_methods
    }

    /// Whether it was given for what the request does at a known service, none of which is a WebSocket.
    #[must_use]
    pub fn is_by_service(&self) -> bool {
        self.is_by_service
    }

    /// What the body must be read as before any of the request goes up: the permit holds if it only reads.
    #[must_use]
    pub fn provided(&self) -> Option<Document> {
        self.provided.as_ref().map(|proviso| proviso.document)
    }

    /// Judges the body that the permit depends on.
    ///
    /// # Errors
    /// `request_not_listed`: it writes, or it can't be told not to.
    pub fn judge_body(&self, body: Result<(Option<&[u8]>, &[u8]), Unreadable>) -> Result<(), Denial> {
        let Some(Proviso { document, denial }) = &self.provided else { return Ok(()) };
        match body.and_then(|(content_type, body)| document.access(content_type, body)) {
            Ok(Access::Read) => Ok(()),
            Ok(Access::Write | Access::Admin) => Err(denial.clone()),
            Err(unreadable) => {
                let denial = Denial::new(Reason::RequestNotListed)
                    .by_rule(self.rule.clone())
                    .because(format_args!("{unreadable}, and the rule {} lets reads through only", self.rule));
                Err(denial)
            }
        }
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
            minds_methods: false,
            is_by_service: false,
            provided: None,
            observed: None,
        }
    }
}
