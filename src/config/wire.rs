//! What the rooms below take, made of what the file says.

use super::OwnRules;
use crate::policy::Policy;
use crate::{secrets, session};
use std::sync::Arc;

/// One named policy, compiled; the scanner is joined to it where the gateway is built.
pub struct Ruleset {
    /// What may be reached.
    pub policy: Arc<Policy>,
    /// What happens to credentials.
    pub secrets: secrets::Settings,
    /// Rules of the user's own.
    pub own_rules: OwnRules,
    /// What each session may spend.
    pub limits: session::Limits,
}

/// Without the values of known secrets.
impl std::fmt::Debug for Ruleset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ruleset").field("policy", &self.policy).field("limits", &self.limits).finish_non_exhaustive()
    }
}
