//! What the rooms below take, made of what the file says: the one place that knows both.

use crate::net::HostPattern;
use crate::policy::Policy;
use crate::session;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One named policy, compiled.
#[derive(Debug)]
pub struct Ruleset {
    /// What may be reached.
    pub policy: Arc<Policy>,
    /// What happens to credentials.
    pub secrets: SecretSettings,
    /// What each session may spend.
    pub limits: session::Limits,
}

/// What happens to credentials in requests.
#[derive(Clone, Debug, Default)]
pub struct SecretSettings {
    /// What is done about one that does not belong where it goes.
    pub action: Action,
    /// More homes.
    pub permits: Vec<Permitted>,
    /// Values that are matched exactly.
    pub known: Vec<KnownSecret>,
}

/// What is done about a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// The request is stopped.
    #[default]
    Block,
    /// Its bytes are replaced.
    Mask,
    /// It is told.
    Observe,
}

/// More places where a kind of credential belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// The kind.
    pub rule: Arc<str>,
    /// The hosts.
    pub hosts: Vec<HostPattern>,
}

/// A value of the operator's.
#[derive(Clone)]
pub struct KnownSecret {
    /// Where it came from: `env:DB_PASSWORD`.
    pub name: Arc<str>,
    /// The value.
    pub value: Zeroizing<String>,
}

/// Without the value.
impl fmt::Debug for KnownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSecret").field("name", &self.name).finish_non_exhaustive()
    }
}
