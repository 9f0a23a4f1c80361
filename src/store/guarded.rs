//! A session's known secrets: in memory only, and never silently gone.

use crate::secrets::KnownSecret;
use crate::session::Ruleset;
use std::sync::{Arc, Mutex, PoisonError};

/// What was registered for one session, and the policy that it makes.
#[derive(Debug)]
pub(super) struct Guarded(Mutex<State>);

enum State {
    /// Nothing was registered: the policy is as it is.
    Nothing,
    /// Something was, by a gateway that has ended since.
    Lost,
    Held {
        known: Vec<KnownSecret>,
        /// The policy in force when this was made, and the same with the known secrets.
        made: Option<(Arc<Ruleset>, Arc<Ruleset>)>,
    },
}

/// The known secrets of a session are gone with the gateway that held them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's known secrets were lost when the gateway was restarted")]
pub struct KnownLost;

/// Shows no value.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Nothing => "Nothing",
            State::Lost => "Lost",
            State::Held { .. } => "Held",
        })
    }
}

impl Guarded {
    /// For a session for which so many were registered, of which these are at hand.
    pub(super) fn new(registered: u32, known: Vec<KnownSecret>) -> Self {
        Self(Mutex::new(match (registered, known.is_empty()) {
            (_, false) => State::Held { known, made: None },
            (0, true) => State::Nothing,
            (_, true) => State::Lost,
        }))
    }

    /// Others in the place of what was registered.
    pub(super) fn replace(&self, known: Vec<KnownSecret>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Held { known, made: None };
    }

    pub(super) fn count(&self) -> Result<usize, KnownLost> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Nothing => Ok(0),
            State::Lost => Err(KnownLost),
            State::Held { known, .. } => Ok(known.len()),
        }
    }

    pub(super) fn ruleset(&self, base: Arc<Ruleset>) -> Result<Arc<Ruleset>, KnownLost> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Nothing => Ok(base),
            State::Lost => Err(KnownLost),
            State::Held { made: Some((of, ruleset)), .. } if Arc::ptr_eq(of, &base) => Ok(Arc::clone(ruleset)),
            State::Held { known, made } => {
                let Ruleset { policy, guard, limits } = &*base;
                let guard = Arc::new(guard.with_known(known));
                let ruleset = Arc::new(Ruleset { policy: Arc::clone(policy), guard, limits: *limits });
                *made = Some((base, Arc::clone(&ruleset)));
                Ok(ruleset)
            }
        }
    }
}
