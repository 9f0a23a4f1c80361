//! Who asks: the credentials on this request, and nothing else (never a default session).

use super::Shared;
use super::admission::Stranger;
use super::in_force::{Asked, Generation, InForce, Watch};
use crate::flow::SessionInfo;
use crate::http1::Fields;
use crate::reason::{Denial, Reason};
use crate::session::{ConnectionSlot, Credentials, CredentialsBuffer, Ruleset, SessionId};
use crate::store::{KnownLost, Live};
use std::ops::Deref;
use std::sync::Arc;

/// A session as one connection knows it. Shared whole: every request hands it on a few times.
#[derive(Clone)]
pub(super) struct Identity(Arc<Known>);

/// What is known of a session, under the policies of one time.
pub(super) struct Known {
    pub(super) live: Arc<Live>,
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) info: Arc<SessionInfo>,
    pub(super) in_force: Arc<InForce>,
    pub(super) generation: Arc<Generation>,
    /// How often its known secrets had been replaced.
    replaced: u64,
}

impl Deref for Identity {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.0
    }
}

impl Identity {
    /// The session with the policy that is in force now. A session whose policy is gone has no
    /// permission left.
    fn new(shared: &Shared, live: Arc<Live>) -> Result<Self, Denial> {
        let generation = shared.in_force.now();
        // First: what is replaced from now on is noticed by the next who asks.
        let replaced = live.known_replaced();
        let ruleset = generation
            .ruleset(&live.session.policy)
            .cloned()
            .ok_or_else(|| Denial::new(Reason::SessionEnded).because("the session's policy is no longer configured"))?;
        let ruleset = live.ruleset(ruleset).map_err(|KnownLost| Reason::KnownSecretsLost)?;
        let session = &live.session;
        let (task, labels) = (session.task.clone(), session.labels.clone());
        let hash = ruleset.policy.hash().clone();
        let info = Arc::new(SessionInfo::new(session.id.shared(), session.policy.clone(), hash, task, labels));
        Ok(Self(Arc::new(Known { live, ruleset, info, in_force: shared.in_force.clone(), generation, replaced })))
    }

    /// Whose work its work is.
    pub(super) fn whose(&self) -> Option<&SessionId> {
        Some(&self.live.session.id)
    }

    /// What asks again about a flow of the session when the policies change.
    pub(super) fn watch(&self, asked: Asked) -> Watch {
        Watch::new(self.clone(), asked)
    }

    /// The same session under the policy in force now: tunnels outlive reloads, decisions don't.
    pub(super) fn refresh(&mut self, shared: &Shared) -> Result<(), Denial> {
        if !self.live.is_live() {
            return Err(Reason::SessionEnded.into());
        }
        if shared.in_force.is_now(&self.generation) && self.live.known_replaced() == self.replaced {
            return Ok(());
        }
        let now = shared.in_force.now();
        let in_force = now.ruleset(&self.live.session.policy).map(|base| self.live.ruleset(base.clone()));
        let is_same = in_force.is_some_and(|made| made.is_ok_and(|ruleset| Arc::ptr_eq(&ruleset, &self.ruleset)));
        if !is_same || self.live.known_replaced() != self.replaced {
            *self = Self::new(shared, self.live.clone())?;
        }
        Ok(())
    }
}

/// What a connection remembers of its last credentials, so that a keep-alive connection doesn't pay for
/// the same proof again. Every request still shows its own: other bytes are looked up anew.
#[derive(Default)]
pub(super) struct Remembered {
    value: Vec<u8>,
    identity: Option<Identity>,
    slot: Option<ConnectionSlot>,
    /// The session that the connection's client certificate names.
    certified: Option<SessionId>,
    /// Nobody has shown who the connection's agent is.
    stranger: Option<Stranger>,
}

impl Remembered {
    /// The session whose credentials are in `fields`.
    pub(super) fn identify(&mut self, shared: &Shared, fields: &Fields) -> Result<Identity, Denial> {
        let mut values = fields.values("proxy-authorization");
        let Some(value) = values.next() else { return self.identify_certified(shared) };
        if values.next().is_some() {
            return Err(Denial::new(Reason::BadRequest).because("there is more than one Proxy-Authorization field"));
        }
        let same = self.identity.as_mut().filter(|identity| self.value == value && identity.live.is_live());
        if let Some(identity) = same {
            identity.refresh(shared)?;
            return Ok(identity.clone());
        }
        let mut buffer = CredentialsBuffer::default();
        let credentials =
            Credentials::parse(value, &mut buffer).map_err(|error| Denial::new(Reason::AuthRequired).because(error))?;
        let identity = self.enter(shared, &credentials)?;
        self.value = value.to_vec();
        Ok(identity)
    }

    /// The session that these credentials prove, with a connection of its budget.
    pub(super) fn enter(&mut self, shared: &Shared, credentials: &Credentials<'_>) -> Result<Identity, Denial> {
        let live = shared.sessions.authenticate(credentials).ok_or(Reason::AuthRequired)?;
        self.assume(shared, live)
    }

    /// Counts the connection among those of its source that have not shown who they are.
    pub(super) fn meet(&mut self, stranger: Stranger) {
        self.stranger = Some(stranger);
    }

    /// Whether nobody has shown who the connection's agent is.
    pub(super) fn is_stranger(&self) -> bool {
        self.stranger.is_some()
    }

    /// The connection's client certificate names this session.
    pub(super) fn certify(&mut self, session: Option<SessionId>) {
        self.certified = session;
    }

    /// The session of the client certificate, for a request without credentials.
    fn identify_certified(&mut self, shared: &Shared) -> Result<Identity, Denial> {
        let certified = self.certified.as_ref().ok_or(Reason::AuthRequired)?;
        let same = self.identity.as_mut().filter(|identity| identity.live.is_live());
        if let Some(identity) = same {
            identity.refresh(shared)?;
            return Ok(identity.clone());
        }
        let live = shared.sessions.show(certified.as_str()).ok_or(Reason::AuthRequired)?;
        self.assume(shared, live)
    }

    /// This session, which the gateway knows by other means than a token, with a connection of its budget.
    pub(super) fn assume(&mut self, shared: &Shared, live: Arc<Live>) -> Result<Identity, Denial> {
        let identity = Identity::new(shared, live)?;
        let slot = identity.live.budget.connection(&identity.ruleset.limits)?;
        self.remember(&identity, slot)?;
        Ok(identity)
    }

    /// A connection whose certificate names one session is no other's, whatever token it shows.
    fn remember(&mut self, identity: &Identity, slot: ConnectionSlot) -> Result<(), Denial> {
        if self.certified.as_ref().is_some_and(|certified| *certified != identity.live.session.id) {
            let denial = Denial::new(Reason::AuthRequired);
            return Err(denial.because("the token and the client certificate are of two sessions"));
        }
        self.value.clear();
        self.stranger = None;
        (self.identity, self.slot) = (Some(identity.clone()), Some(slot));
        Ok(())
    }

    /// The session's connection slot, for the tunnel that this connection turns into.
    pub(super) fn take_slot(&mut self) -> Option<ConnectionSlot> {
        self.slot.take()
    }
}
