//! A session's known secrets: in memory only, and never silently gone.

use crate::secrets::KnownSecret;
use crate::session::Ruleset;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What was registered for one session, and the policy that it makes.
#[derive(Debug)]
pub(super) struct Guarded {
    state: Mutex<State>,
    /// How often it was replaced: what was made of it before is of no use then.
    replaced: AtomicU64,
}

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
        let state = match (registered, known.is_empty()) {
            (_, false) => State::Held { known, made: None },
            (0, true) => State::Nothing,
            (_, true) => State::Lost,
        };
        Self { state: Mutex::new(state), replaced: AtomicU64::new(0) }
    }

    /// Others in the place of what was registered.
    pub(super) fn replace(&self, known: Vec<KnownSecret>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::Held { known, made: None };
        self.replaced.fetch_add(1, Ordering::Release);
    }

    pub(super) fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Acquire)
    }

    pub(super) fn count(&self) -> Result<usize, KnownLost> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Nothing => Ok(0),
            State::Lost => Err(KnownLost),
            State::Held { known, .. } => Ok(known.len()),
        }
    }

    pub(super) fn ruleset(&self, base: Arc<Ruleset>) -> Result<Arc<Ruleset>, KnownLost> {
        match &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
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
