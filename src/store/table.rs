//! The live sessions, as every request asks for them.

use super::guarded::Guarded;
use super::guarded::KnownLost;
use crate::secrets::{KnownSecret, SessionMemory};
use crate::session::{Budget, Credentials, Ruleset, Session, SessionId, TokenDigest};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A session that may act, with what it has spent.
#[derive(Debug)]
pub struct Live {
    /// Who it is.
    pub session: Session,
    /// What it has spent since the gateway started.
    pub budget: Budget,
    /// What it sent lately that may be a piece of a secret.
    pub memory: Arc<SessionMemory>,
    /// Cancelled when it expires or is revoked: its flows end with it.
    pub ended: CancellationToken,
    /// Where it comes from.
    pub origin: Origin,
    /// When it expires, by the monotonic clock: a jump of the wall clock ends nothing early or late (T35).
    pub(super) deadline: Option<Instant>,
    /// Its known secrets, and the policy with them.
    pub(super) guarded: Guarded,
}

/// Where a session comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Made at run time, kept in the store.
    Minted,
    /// Written in the configuration file.
    Configured,
}

impl Live {
    pub(super) fn new(
        session: Session,
        origin: Origin,
        deadline: Option<Instant>,
        known: Vec<KnownSecret>,
    ) -> Arc<Self> {
        Arc::new(Self {
            guarded: Guarded::new(session.known, known),
            session,
            budget: Budget::default(),
            memory: Arc::default(),
            ended: CancellationToken::new(),
            origin,
            deadline,
        })
    }

    /// The policy in force with the session's own known secrets.
    ///
    /// # Errors
    /// They are lost: the gateway was restarted, and nothing of them is on the disk.
    pub fn ruleset(&self, base: Arc<Ruleset>) -> Result<Arc<Ruleset>, KnownLost> {
        self.guarded.ruleset(base)
    }

    /// How often its known secrets were replaced: under one policy [`ruleset`](Self::ruleset) is the same as long as
    /// this is.
    #[must_use]
    pub fn known_replaced(&self) -> u64 {
        self.guarded.replaced()
    }

    /// How many known secrets are registered for it.
    ///
    /// # Errors
    /// They are lost.
    pub fn known(&self) -> Result<usize, KnownLost> {
        self.guarded.count()
    }

    /// Whether it has neither expired nor been revoked.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.ended.is_cancelled() && self.deadline.is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// The live sessions by name, by token and by end.
#[derive(Default)]
pub(super) struct Table {
    by_id: HashMap<SessionId, Arc<Live>>,
    by_digest: HashMap<TokenDigest, Arc<Live>>,
    by_deadline: BTreeSet<(Instant, SessionId)>,
}

/// Compared with what a stranger shows, so that he waits as long as everybody (T26). No token has
/// this digest that anyone could find.
const NOBODY: TokenDigest = TokenDigest::from_bytes([0; 32]);

impl Table {
    pub(super) fn authenticate(&self, credentials: &Credentials<'_>) -> Option<Arc<Live>> {
        let (shown, live) = match credentials {
            Credentials::Basic { id, token } => (TokenDigest::of(token), self.by_id.get(*id)),
            Credentials::Bearer(token) => {
                let shown = TokenDigest::of(token);
                (shown, self.by_digest.get(&shown))
            }
        };
        let expected = live.map_or(NOBODY, |live| live.session.digest);
        let same = expected == shown;
        live.filter(|live| same && live.is_live()).cloned()
    }

    /// Enters a session whose name and token are free; says whether it ends before all the others.
    pub(super) fn insert(&mut self, live: Arc<Live>) -> bool {
        let soonest = live.deadline.is_some_and(|deadline| self.next_deadline().is_none_or(|next| deadline < next));
        if let Some(deadline) = live.deadline {
            self.by_deadline.insert((deadline, live.session.id.clone()));
        }
        self.by_digest.insert(live.session.digest, Arc::clone(&live));
        self.by_id.insert(live.session.id.clone(), live);
        soonest
    }

    /// Takes a session out and ends its flows.
    pub(super) fn end(&mut self, id: &str) -> Option<Arc<Live>> {
        let live = self.by_id.remove(id)?;
        self.by_digest.remove(&live.session.digest);
        if let Some(deadline) = live.deadline {
            self.by_deadline.remove(&(deadline, live.session.id.clone()));
        }
        live.ended.cancel();
        Some(live)
    }

    /// Takes out the sessions that have expired and ends their flows.
    pub(super) fn end_expired(&mut self, now: Instant) -> Vec<Arc<Live>> {
        let expired: Vec<SessionId> =
            self.by_deadline.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, id)| id.clone()).collect();
        expired.iter().filter_map(|id| self.end(id.as_str())).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Arc<Live>> {
        self.by_id.get(id)
    }

    pub(super) fn by_digest(&self, digest: &TokenDigest) -> Option<&Arc<Live>> {
        self.by_digest.get(digest)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.by_id.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}
