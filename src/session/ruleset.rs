//! One named policy, compiled: what the data path needs of it.

use super::Limits;
use crate::policy::Policy;
use crate::secrets::Guard;
use std::sync::Arc;

/// Everything that one named policy says, compiled. Shared by all its sessions and swapped whole.
pub struct Ruleset {
    /// Where to.
    pub policy: Arc<Policy>,
    /// What must not be in it.
    pub guard: Arc<Guard>,
    /// How much.
    pub limits: Limits,
}
