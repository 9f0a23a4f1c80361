//! The policies in force: swapped whole, and what is under way asked again.

use super::identify::Identity;
use crate::net::{Authority, Target};
use crate::policy::{Policy, TlsMode};
use crate::session::Ruleset;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The policies in force, by name.
pub type Rulesets = HashMap<Arc<str>, Arc<Ruleset>>;

/// The policies in force. A request is judged by one generation of them, whatever comes after it; a flow that
/// goes on is asked about anew when the next one is there.
pub struct InForce(ArcSwap<Generation>);

/// All policies of one reading of the configuration.
pub(super) struct Generation {
    rulesets: Rulesets,
    /// Cancelled when the next one is there.
    replaced: CancellationToken,
}

impl InForce {
    /// The first policies.
    #[must_use]
    pub fn new(rulesets: Rulesets) -> Self {
        Self(ArcSwap::from_pointee(Generation::new(rulesets)))
    }

    /// Puts others in their place: requests are judged by them from now on, and flows under way that they do
    /// not allow end.
    pub fn replace(&self, rulesets: Rulesets) {
        self.0.swap(Arc::new(Generation::new(rulesets))).replaced.cancel();
    }

    /// The names of the policies.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.load().rulesets.keys().cloned().collect()
    }

    pub(super) fn now(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    pub(super) fn is_now(&self, generation: &Arc<Generation>) -> bool {
        Arc::ptr_eq(&self.0.load(), generation)
    }
}

impl Generation {
    fn new(rulesets: Rulesets) -> Self {
        Self { rulesets, replaced: CancellationToken::new() }
    }

    pub(super) fn ruleset(&self, policy: &str) -> Option<&Arc<Ruleset>> {
        self.rulesets.get(policy)
    }

    pub(super) fn replaced(&self) -> &CancellationToken {
        &self.replaced
    }
}

/// What a flow was permitted.
pub(super) enum Asked {
    /// Nothing, for now: the connection is idle.
    Nothing,
    /// A request.
    Request(Arc<Target>),
    /// A tunnel to TLS, opened or relayed, or to plain HTTP.
    Tunnel(Authority, TlsMode),
}

impl Asked {
    fn is_allowed_by(&self, policy: &Policy) -> bool {
        match self {
            Asked::Nothing => true,
            Asked::Request(target) => policy.decide(target).is_ok(),
            // What is relayed may not go on where it is to be opened now.
            Asked::Tunnel(authority, tls) => policy
                .decide_either(authority)
                .is_ok_and(|permit| *tls == TlsMode::Intercept || permit.tls() == TlsMode::Tunnel),
        }
    }
}

/// A flow under way, to be asked about when the policies change.
pub(super) struct Watch {
    /// Whose it is, and the policies that allowed it.
    identity: Identity,
    /// Those that allowed it when it was asked about last, if others.
    later: Option<Arc<Generation>>,
    asked: Asked,
}

impl Watch {
    pub(super) fn new(identity: Identity, asked: Asked) -> Self {
        Self { identity, later: None, asked }
    }

    pub(super) fn generation(&self) -> &Arc<Generation> {
        self.later.as_ref().unwrap_or(&self.identity.generation)
    }

    /// The flow is over, and the connection idle.
    pub(super) fn rest(&mut self) {
        self.asked = Asked::Nothing;
    }

    /// Whether the policies of now allow it too.
    pub(super) fn is_still_allowed(&mut self) -> bool {
        let now = self.later.insert(self.identity.in_force.now());
        let ruleset = now.ruleset(&self.identity.live.session.policy);
        ruleset.is_some_and(|ruleset| self.asked.is_allowed_by(&ruleset.policy))
    }
}
