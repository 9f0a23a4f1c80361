//! Connections to origins, kept for the session that opened them and for no other.

mod kept;

use super::{ByName, Dialled, Error, Opening, Streams, tls};
use crate::ca::{ClientCertificates, Trust};
use crate::flow::UpstreamTls;
use crate::http1::Version;
use crate::net::{AddressClass, Scheme};
use crate::policy::{ClientCertificate, Permit, Resolve};
use crate::session::SessionId;
use crate::wire::{Stream, Transport, Wire};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use kept::{Idle, Owned, Shared, Speaks};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection is kept idle. Shorter than origins commonly wait (60 s and more), so that few
/// requests meet a connection that is just being closed; and no longer than DNS answers are trusted.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Idle connections kept for one origin.
const PER_ORIGIN: usize = 32;

/// A connection to an origin, ready for a request.
#[derive(Debug)]
pub struct Upstream {
    /// What carries the request.
    pub link: Link,
    /// The address that it was dialled at.
    pub address: SocketAddr,
    /// What was agreed in TLS.
    pub tls: Option<UpstreamTls>,
    /// Where a parent was given the name: the address is the parent's.
    pub by_name: Option<ByName>,
}

/// What carries a request.
#[derive(Debug)]
pub enum Link {
    /// A connection that serves one request at a time.
    Http1(Wire),
    /// A place on a connection that serves many.
    Http2(Streams),
}

/// Connections and TLS settings, by session: neither a connection nor a TLS ticket ever serves
/// another session than the one it was made for (T25).
pub struct Pool {
    trust: Trust,
    clients: ArcSwap<ClientCertificates>,
    sessions: Mutex<Sessions>,
    /// Held once by the pool and by every connection that it keeps: their number.
    kept: Arc<()>,
    bounds: Bounds,
}

/// How many connections are kept.
struct Bounds {
    /// For one session, of those that serve one request at a time, and of those that serve many.
    per_session: usize,
    /// For all of them together.
    in_all: usize,
}

const BOUNDS: Bounds = Bounds { per_session: 256, in_all: 2048 };

/// Hashed with a seed of this process, and far cheaper than by the standard hash: every request asks. Only hosts that a
/// policy allows come in.
type Sessions = HashMap<Owner, Owned, foldhash::fast::RandomState>;

/// Whose a connection is, and under which of its rules' settings it was opened: what one rule shows of itself, or where
/// it lets a parent proxy lead, is nothing that the requests of another may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    session: SessionId,
    client: Option<Arc<ClientCertificate>>,
    resolve: Resolve,
}

impl Owner {
    fn of(session: &SessionId, permit: &Permit) -> Self {
        Self { session: session.clone(), client: permit.client_certificate().cloned(), resolve: permit.resolve() }
    }
}

impl Pool {
    /// An empty pool that trusts what `trust` does, and shows the certificates of `clients` where a rule says so.
    #[must_use]
    pub fn new(trust: Trust, clients: ClientCertificates) -> Self {
        Self {
            trust,
            clients: ArcSwap::from_pointee(clients),
            sessions: Mutex::default(),
            kept: Arc::default(),
            bounds: BOUNDS,
        }
    }

    /// Shows these from now on.
    pub fn show(&self, clients: ClientCertificates) {
        self.clients.store(Arc::new(clients));
    }

    /// A connection of this session to the permitted origin, at an address that the permit still allows, and in the
    /// client's version if the origin speaks it; one that the origin has closed or written to is thrown away.
    pub fn take(&self, session: &SessionId, permit: &Permit, version: Version) -> Option<Upstream> {
        let mut sessions = self.lock();
        let owned = sessions.get_mut(&Owner::of(session, permit))?;
        let origin = owned.origins.get_mut(&(permit.scheme(), permit.authority().clone()))?;
        // A parent's own address is the operator's business.
        let allowed = |ip: IpAddr, by_name: Option<&ByName>| {
            by_name.is_some() || AddressClass::of(ip).is_public() || permit.names_address(ip)
        };
        if version == Version::Http2 || origin.speaks == Speaks::OnlyHttp2 {
            origin.shared.retain_mut(|shared| {
                allowed(shared.address.ip(), shared.by_name.as_ref()) && !shared.streams.is_closed()
            });
            if let Some(shared) = origin.shared.iter_mut().find(|shared| shared.streams.has_room()) {
                shared.used = Instant::now();
                let link = Link::Http2(shared.streams.clone());
                let (address, tls, by_name) = (shared.address, shared.tls.clone(), shared.by_name.clone());
                return Some(Upstream { link, address, tls, by_name });
            }
            if origin.speaks != Speaks::Http1 {
                return None;
            }
        }
        while let Some(mut idle) = origin.idle.pop() {
            owned.idle -= 1;
            if allowed(idle.address.ip(), idle.by_name.as_ref())
                && idle.since.elapsed() < IDLE_MAX
                && idle.wire.is_quiet()
            {
                let Idle { wire, address, tls, by_name, .. } = idle;
                return Some(Upstream { link: Link::Http1(wire), address, tls, by_name });
            }
        }
        None
    }

    /// What waits for its turn to open a connection that may serve more than the one who asks. Nothing: it will not.
    pub fn opening(&self, session: &SessionId, permit: &Permit, version: Version) -> Option<Arc<Opening>> {
        if permit.scheme() == Scheme::Http {
            return None;
        }
        let mut sessions = self.lock();
        let owned = sessions.entry(Owner::of(session, permit)).or_insert_with(|| self.owned(permit));
        let origin = owned.origins.entry((permit.scheme(), permit.authority().clone())).or_default();
        let is_shared = match origin.speaks {
            Speaks::Http1 => false,
            Speaks::Unknown | Speaks::Http2 => version == Version::Http2,
            Speaks::OnlyHttp2 => true,
        };
        (is_shared && origin.shared.len() < PER_ORIGIN).then(|| origin.opening.clone())
    }

    /// Keeps a connection for the session's next request. It must have nothing of the last one left. Where there is no
    /// room the one goes that has been idle for longest: of the session itself, or of the session that has the most.
    pub fn put(&self, session: &SessionId, permit: &Permit, upstream: Upstream) {
        // One that serves many was kept when it was opened.
        let Upstream { link: Link::Http1(mut wire), address, tls, by_name } = upstream else { return };
        wire.release_buffers();
        // Closed when nobody waits for the lock any more.
        let _replaced;
        let mut sessions = self.lock();
        let owner = Owner::of(session, permit);
        // A session that has ended meanwhile was forgotten, and is not taken in again.
        let Some(mut owned) = sessions.get_mut(&owner) else { return };
        let key = (permit.scheme(), permit.authority().clone());
        if owned.origins.get(&key).is_some_and(|origin| origin.idle.len() >= PER_ORIGIN) {
            return;
        }
        let is_full = self.is_full();
        if owned.idle >= self.bounds.per_session || is_full && owned.idle > 0 {
            _replaced = owned.take_oldest();
        } else if is_full {
            _replaced = give_up_one(&mut sessions);
            let Some(again) = sessions.get_mut(&owner) else { return };
            owned = again;
        }
        owned.idle += 1;
        let idle = Idle { wire, address, tls, by_name, since: Instant::now(), _counted: self.kept.clone() };
        owned.origins.entry(key).or_default().idle.push(idle);
    }

    /// Whether a client may be offered HTTP/2: the origin speaks it, as far as this session has seen. Nothing: it has
    /// not seen the origin yet.
    pub fn speaks_http2(&self, session: &SessionId, permit: &Permit) -> Option<bool> {
        let sessions = self.lock();
        let origin =
            sessions.get(&Owner::of(session, permit))?.origins.get(&(permit.scheme(), permit.authority().clone()))?;
        match origin.speaks {
            Speaks::Unknown => None,
            Speaks::Http1 => Some(false),
            Speaks::Http2 | Speaks::OnlyHttp2 => Some(true),
        }
    }

    /// Makes a connection of a dialled socket: with TLS where the permit's scheme has it, and HTTP/2 where the client
    /// speaks it and the origin chooses it.
    pub async fn secure(
        &self,
        session: &SessionId,
        permit: &Permit,
        version: Version,
        dialled: Dialled,
        deadline: Duration,
    ) -> Result<Upstream, Error> {
        let Dialled { stream, address, by_name } = dialled;
        stream.keep_alive();
        if permit.scheme() == Scheme::Http {
            // The session is taken in, so that its connections are kept.
            self.config(session, permit, version);
            return Ok(Upstream { link: Link::Http1(Wire::new(stream)), address, tls: None, by_name });
        }
        let (config, offers_http2) = self.config(session, permit, version);
        let transport = Transport::new(stream, BytesMut::new());
        let handshake = tls::handshake(config, &permit.authority().host, transport, deadline).await;
        if !offers_http2 && matches!(&handshake, Err(Error::NoCommonProtocol)) {
            self.note(session, permit, Speaks::OnlyHttp2);
        }
        let stream = handshake?;
        let tls = Some(tls::agreed(stream.get_ref().1, &permit.authority().host));
        let chose_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = Stream::Upstream(Box::new(stream));
        if !chose_http2 {
            if offers_http2 {
                self.note(session, permit, Speaks::Http1);
            }
            return Ok(Upstream { link: Link::Http1(Wire::new(stream)), address, tls, by_name });
        }
        let streams = Streams::open(stream, deadline).await?;
        self.share(
            session,
            permit,
            Shared {
                streams: streams.clone(),
                address,
                tls: tls.clone(),
                by_name: by_name.clone(),
                used: Instant::now(),
                _counted: self.kept.clone(),
            },
        );
        Ok(Upstream { link: Link::Http2(streams), address, tls, by_name })
    }

    /// Drops what has been idle for too long or was closed by its origin, and everything of sessions
    /// that are not live any more.
    pub fn reap(&self, is_live: impl Fn(&SessionId) -> bool) {
        let mut sessions = self.lock();
        sessions.retain(|owner, _| is_live(&owner.session));
        for owned in sessions.values_mut() {
            for origin in owned.origins.values_mut() {
                origin.idle.retain_mut(|idle| idle.since.elapsed() < IDLE_MAX && idle.wire.is_quiet());
                origin.shared.retain_mut(|shared| {
                    let idle = shared.streams.in_use() == 0 && shared.used.elapsed() >= IDLE_MAX;
                    !idle && !shared.streams.is_closed()
                });
            }
            owned.idle = owned.origins.values().map(|origin| origin.idle.len()).sum();
            owned.origins.retain(|_, origin| !origin.idle.is_empty() || !origin.shared.is_empty());
        }
    }

    /// What an origin was seen to speak. That it takes nothing but HTTP/2 is known from a refusal only.
    fn note(&self, session: &SessionId, permit: &Permit, speaks: Speaks) {
        if let Some(owned) = self.lock().get_mut(&Owner::of(session, permit)) {
            owned.origins.entry((permit.scheme(), permit.authority().clone())).or_default().speaks = speaks;
        }
    }

    /// Keeps a connection that serves many, for which one goes that serves nobody where there are enough.
    fn share(&self, session: &SessionId, permit: &Permit, shared: Shared) {
        let _replaced;
        let mut sessions = self.lock();
        let owner = Owner::of(session, permit);
        let Some(mut owned) = sessions.get_mut(&owner) else { return };
        if owned.shared() >= self.bounds.per_session {
            owned.forget_unused();
        } else if self.is_full() {
            _replaced = give_up_one(&mut sessions);
            let Some(again) = sessions.get_mut(&owner) else { return };
            owned = again;
        }
        let origin = owned.origins.entry((permit.scheme(), permit.authority().clone())).or_default();
        if origin.speaks != Speaks::OnlyHttp2 {
            origin.speaks = Speaks::Http2;
        }
        if origin.shared.len() < PER_ORIGIN {
            origin.shared.push(shared);
        }
    }

    /// The session's own TLS settings for a client of this version, and whether they offer HTTP/2: tickets are kept in
    /// them.
    fn config(&self, session: &SessionId, permit: &Permit, version: Version) -> (Arc<ClientConfig>, bool) {
        let mut sessions = self.lock();
        let owned = sessions.entry(Owner::of(session, permit)).or_insert_with(|| self.owned(permit));
        let key = (permit.scheme(), permit.authority().clone());
        let only_http2 = owned.origins.get(&key).is_some_and(|origin| origin.speaks == Speaks::OnlyHttp2);
        if version == Version::Http2 || only_http2 {
            (owned.config_h2.clone(), true)
        } else {
            (owned.config.clone(), false)
        }
    }

    fn owned(&self, permit: &Permit) -> Owned {
        let mut config = self.trust.client_config();
        if let Some(shown) = permit.client_certificate().and_then(|client| self.clients.load().resolver(client)) {
            Arc::make_mut(&mut config).client_auth_cert_resolver = shown;
        }
        let mut config_h2 = ClientConfig::clone(&config);
        config_h2.alpn_protocols.insert(0, b"h2".to_vec());
        Owned { config, config_h2: Arc::new(config_h2), origins: HashMap::default(), idle: 0 }
    }

    fn is_full(&self) -> bool {
        Arc::strong_count(&self.kept) > self.bounds.in_all
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // A panic while it was held leaves a map that is whole: no step of ours spans two changes.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes from the session that has most the connection that nobody has used for longest.
fn give_up_one(sessions: &mut Sessions) -> Option<Idle> {
    let most = sessions.values_mut().max_by_key(|owned| owned.idle + owned.shared())?;
    let oldest = most.take_oldest();
    if oldest.is_none() {
        most.forget_unused();
    }
    oldest
}

#[cfg(test)]
mod tests;
