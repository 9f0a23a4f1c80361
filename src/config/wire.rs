//! What the rooms below take, made of what the file says: the one place that knows both.

use crate::policy::Policy;
use crate::secrets::{Action, Permitted};
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
