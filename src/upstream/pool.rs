//! Connections to origins, kept for the session that opened them and for no other.

use super::{Error, tls};
use crate::ca::Trust;
use crate::flow::UpstreamTls;
use crate::net::{AddressClass, Authority, Scheme};
use crate::policy::Permit;
use crate::session::SessionId;
use crate::wire::{Stream, Transport, Wire};
use bytes::BytesMut;
use rustls::ClientConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection is kept idle. Shorter than origins commonly wait (60 s and more), so that few
/// requests meet a connection that is just being closed; and no longer than DNS answers are trusted.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Idle connections kept for one origin, and for one session.
const PER_ORIGIN: usize = 32;
const PER_SESSION: usize = 256;

/// A connection to an origin, ready for a request.
#[derive(Debug)]
pub struct Upstream {
    /// Its bytes.
    pub wire: Wire,
    /// The vetted address that it was dialled at.
    pub address: SocketAddr,
    /// What was agreed in TLS.
    pub tls: Option<UpstreamTls>,
}

/// Idle connections and TLS settings, by session: neither a connection nor a TLS ticket ever serves
/// another session than the one it was made for (T25).
pub struct Pool {
    trust: Trust,
    sessions: Mutex<HashMap<SessionId, Owned>>,
}

struct Owned {
    config: Arc<ClientConfig>,
    idle: HashMap<(Scheme, Authority), Vec<Idle>>,
}

struct Idle {
    upstream: Upstream,
    since: Instant,
}

impl Pool {
    /// An empty pool that trusts what `trust` does.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, sessions: Mutex::default() }
    }

    /// An idle connection of this session to the permitted origin, at an address that the permit still
    /// allows; one that the origin has closed or written to is thrown away.
    pub fn take(&self, session: &SessionId, permit: &Permit) -> Option<Upstream> {
        let key = (permit.scheme(), permit.authority().clone());
        loop {
            let mut idle = self.lock().get_mut(session)?.idle.get_mut(&key)?.pop()?;
            let ip = idle.upstream.address.ip();
            let allowed = AddressClass::of(ip).is_public() || permit.names_address(ip);
            if allowed && idle.since.elapsed() < IDLE_MAX && idle.upstream.wire.is_quiet() {
                return Some(idle.upstream);
            }
        }
    }

    /// Keeps a connection for the session's next request. It must have nothing of the last one left.
    pub fn put(&self, session: &SessionId, permit: &Permit, mut upstream: Upstream) {
        upstream.wire.release_buffer();
        let mut sessions = self.lock();
        // A session that has ended meanwhile was forgotten, and is not taken in again.
        let Some(owned) = sessions.get_mut(session) else { return };
        let total: usize = owned.idle.values().map(Vec::len).sum();
        let kept = owned.idle.entry((permit.scheme(), permit.authority().clone())).or_default();
        if kept.len() < PER_ORIGIN && total < PER_SESSION {
            kept.push(Idle { upstream, since: Instant::now() });
        }
    }

    /// Makes a connection of a dialled socket: with TLS where the permit's scheme has it.
    pub async fn secure(
        &self,
        session: &SessionId,
        permit: &Permit,
        stream: impl Into<Stream>,
        address: SocketAddr,
        deadline: Duration,
    ) -> Result<Upstream, Error> {
        let config = self.config(session);
        if permit.scheme() == Scheme::Http {
            return Ok(Upstream { wire: Wire::new(stream.into()), address, tls: None });
        }
        let transport = Transport::new(stream, BytesMut::new());
        let stream = tls::handshake(config, &permit.authority().host, transport, deadline).await?;
        let tls = Some(tls::agreed(stream.get_ref().1, &permit.authority().host));
        Ok(Upstream { wire: Wire::new(Stream::Upstream(Box::new(stream))), address, tls })
    }

    /// Drops what has been idle for too long or was closed by its origin, and everything of sessions
    /// that are not live any more.
    pub fn reap(&self, is_live: impl Fn(&SessionId) -> bool) {
        let mut sessions = self.lock();
        sessions.retain(|session, _| is_live(session));
        for owned in sessions.values_mut() {
            for kept in owned.idle.values_mut() {
                kept.retain_mut(|idle| idle.since.elapsed() < IDLE_MAX && idle.upstream.wire.is_quiet());
            }
            owned.idle.retain(|_, kept| !kept.is_empty());
        }
    }

    /// The session's own TLS settings: tickets are kept in them.
    fn config(&self, session: &SessionId) -> Arc<ClientConfig> {
        let mut sessions = self.lock();
        if let Some(owned) = sessions.get(session) {
            return owned.config.clone();
        }
        let config = self.trust.client_config();
        sessions.insert(session.clone(), Owned { config: config.clone(), idle: HashMap::new() });
        config
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Owned>> {
        // A panic while it was held leaves a map that is whole: no step of ours spans two changes.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
