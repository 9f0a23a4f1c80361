//! Making, finding and ending sessions.

use super::table::Table;
use super::{Error, Live, Origin, Store};
use crate::secrets::KnownSecret;
use crate::session::{Credentials, Labels, Session, SessionId, Token};
use aws_lc_rs::rand;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// The most sessions that live at the same time.
pub const SESSIONS_MAX: usize = 65_536;

/// The live sessions. A clone is the same set.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    table: RwLock<Table>,
    /// Tells the owner of expiry that a session ends before the one it waits for.
    sooner: Notify,
}

/// A session to be made. Task and labels come from [`session::task`](crate::session::task) and
/// [`session::labels`](crate::session::labels), the policy's name is one that exists.
#[derive(Clone, Debug)]
pub struct New {
    /// The policy that is to judge it.
    pub policy: Arc<str>,
    /// How long it lives; nothing: as long as the store.
    pub ttl: Option<Duration>,
    /// What the agent is to do.
    pub task: Option<Arc<str>>,
    /// The operator's labels.
    pub labels: Labels,
    /// Values that it may not send but to their homes. They are held in memory and written nowhere.
    pub known: Vec<KnownSecret>,
}

/// A session that was made, and its token: this once.
#[derive(Debug)]
pub struct Created {
    /// The session.
    pub session: Session,
    /// Its token.
    pub token: Token,
}

impl Sessions {
    /// Loads what is kept, drops what has expired meanwhile, and adds the configuration's own
    /// sessions, which are not kept. A kept session gives way to a configured one of its name.
    ///
    /// Nothing expires by itself until [`expire`](Self::expire) runs; an expired session is
    /// refused either way.
    pub async fn open(store: Arc<dyn Store>, configured: Vec<Session>) -> Result<Self, Error> {
        blocking(move || {
            let now = (Timestamp::now(), Instant::now());
            let mut table = Table::default();
            for session in configured {
                enter_configured(&mut table, session, now)?;
            }
            let mut gone = Vec::new();
            for session in store.load()? {
                let (id, remaining) = (session.id.clone(), remaining(&session, now.0));
                if remaining.is_some_and(|remaining| remaining.is_zero()) || !is_free(&table, &session) {
                    gone.push(id);
                } else {
                    table.insert(Live::new(session, Origin::Minted, deadline(remaining, now.1), Vec::new()));
                }
            }
            store.remove(&gone)?;
            Ok(Self(Arc::new(Inner { store, table: RwLock::new(table), sooner: Notify::new() })))
        })
        .await
    }

    /// The live session that these credentials prove. Runs per request: one digest, one look-up under
    /// a lock held for nanoseconds, one comparison in constant time, the same for unknown names.
    #[must_use]
    pub fn authenticate(&self, credentials: &Credentials<'_>) -> Option<Arc<Live>> {
        self.0.read().authenticate(credentials)
    }

    /// Makes a session; returns when it would survive a crash. A caller that goes away leaves a
    /// session whose token nobody has seen.
    pub async fn create(&self, new: New) -> Result<Created, Error> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.create(new)).await
    }

    /// The live sessions, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Live>> {
        let mut all: Vec<_> = self.0.read().all().filter(|live| live.is_live()).cloned().collect();
        all.sort_by(|left, right| left.session.id.cmp(&right.session.id));
        all
    }

    /// The live session of this name.
    #[must_use]
    pub fn show(&self, id: &str) -> Option<Arc<Live>> {
        self.0.read().by_id(id).filter(|live| live.is_live()).cloned()
    }

    /// How many sessions are live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.read().len()
    }

    /// Ends a session and its flows at once, then forgets it; whether there was one. After an error
    /// the session is dead here, but would be back after a restart: call again. A configured session
    /// is back after a restart in any case.
    pub async fn revoke(&self, id: &SessionId) -> Result<bool, Error> {
        let live = self.0.write().end(id.as_str());
        let (inner, id) = (Arc::clone(&self.0), id.clone());
        let removed = blocking(move || inner.store.remove(&[id])).await?;
        Ok(live.is_some() || removed > 0)
    }

    /// Registers known secrets for a live session in the place of those that it had, or has lost; whether there is
    /// such a session. From its next request on they hold.
    pub async fn register(&self, id: &SessionId, known: Vec<KnownSecret>) -> Result<bool, Error> {
        let Some(live) = self.show(id.as_str()) else { return Ok(false) };
        if live.origin == Origin::Minted {
            let count = u32::try_from(known.len()).unwrap_or(u32::MAX);
            let (inner, session) = (Arc::clone(&self.0), Session { known: count, ..live.session.clone() });
            // First on the disk, so that a restart knows that something is missing.
            blocking(move || inner.store.put(&session)).await?;
        }
        live.guarded.replace(known);
        Ok(true)
    }

    /// Ends sessions as they expire, until `shutdown`. One task runs this for the whole process.
    pub async fn expire(self, shutdown: CancellationToken) {
        loop {
            let next = self.0.read().next_deadline();
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.0.sooner.notified() => {}
                () = due => self.end_expired().await,
            }
        }
    }

    async fn end_expired(&self) {
        let expired = self.0.write().end_expired(Instant::now());
        let ids: Vec<SessionId> =
            expired.iter().filter(|live| live.origin == Origin::Minted).map(|live| live.session.id.clone()).collect();
        for live in expired {
            tracing::info!(session.id = %live.session.id, "session expired");
        }
        let inner = Arc::clone(&self.0);
        // Not fatal: the session is dead, and what is left of it is dropped at the next start.
        if let Err(error) = blocking(move || inner.store.remove(&ids)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions are still in the store");
        }
    }
}

impl Inner {
    fn create(&self, new: New) -> Result<Created, Error> {
        let mut bits = Zeroizing::new([0; 32]);
        rand::fill(&mut *bits).map_err(|_| Error::Random)?;
        let token = Token::from_random(&bits);
        let (created_at, now) = (Timestamp::now(), Instant::now());
        let expires_at = new.ttl.and_then(|ttl| created_at.checked_add(ttl).ok());
        let digest = token.digest();
        let New { policy, ttl, task, labels, known } = new;
        let count = u32::try_from(known.len()).unwrap_or(u32::MAX);

        // Entered before it is kept, so that the name is taken; nobody knows the token yet.
        let live = {
            let mut table = self.write();
            let id = free_name(&table, created_at)?;
            let session = Session { id, policy, task, labels, created_at, expires_at, digest, known: count };
            let live = Live::new(session, Origin::Minted, deadline(ttl, now), known);
            if table.insert(Arc::clone(&live)) {
                self.sooner.notify_one();
            }
            live
        };
        if let Err(error) = self.store.put(&live.session) {
            self.write().end(live.session.id.as_str());
            return Err(error);
        }
        Ok(Created { session: live.session.clone(), token })
    }

    // A panic under the lock leaves the table whole: its methods do not stop half-way.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|_| Error::Stopped)?
}

fn enter_configured(table: &mut Table, session: Session, now: (Timestamp, Instant)) -> Result<(), Error> {
    if table.by_id(session.id.as_str()).is_some() {
        return Err(Error::SameName(session.id));
    }
    if let Some(other) = table.by_digest(&session.digest) {
        return Err(Error::SameToken(other.session.id.clone(), session.id));
    }
    let remaining = remaining(&session, now.0);
    table.insert(Live::new(session, Origin::Configured, deadline(remaining, now.1), Vec::new()));
    Ok(())
}

fn is_free(table: &Table, session: &Session) -> bool {
    table.by_id(session.id.as_str()).is_none() && table.by_digest(&session.digest).is_none()
}

fn free_name(table: &Table, now: Timestamp) -> Result<SessionId, Error> {
    // A second has a million names; a few tries find a free one.
    for _ in 0..16 {
        let mut random = [0; 4];
        rand::fill(&mut random).map_err(|_| Error::Random)?;
        let id = SessionId::generate(now, random);
        if table.len() < SESSIONS_MAX && table.by_id(id.as_str()).is_none() {
            return Ok(id);
        }
    }
    Err(Error::TooMany)
}

/// What is left of a kept session's life: never more than it was given, however the wall clock was
/// set back while the gateway was down (T35).
fn remaining(session: &Session, now: Timestamp) -> Option<Duration> {
    let expires_at = session.expires_at?;
    let given = expires_at.duration_since(session.created_at);
    let left = expires_at.duration_since(now).min(given).max(SignedDuration::ZERO);
    Some(left.unsigned_abs())
}

/// A life too long for the clock has no end.
fn deadline(life: Option<Duration>, now: Instant) -> Option<Instant> {
    life.and_then(|life| now.checked_add(life))
}

#[cfg(test)]
mod tests;
