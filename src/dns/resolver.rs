//! The way from a permit to vetted addresses.

use super::lookup::{Answer, lookup};
use super::nameservers::Servers;
use super::vet::{Vetted, vet, vet_parent};
use super::{Error, OwnListeners, Settings};
use crate::net::{Authority, Host};
use crate::policy::Permit;
use moka::Expiry;
use moka::future::Cache;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The longest that a flow waits for its addresses.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest that one lookup takes, two attempts of two seconds included: a little less than
/// [`DEADLINE`], so that all who wait for it get its error rather than start it again.
const LOOKUP_DEADLINE: Duration = Duration::from_millis(4_800);
/// Lookups under way at once, over all names.
const IN_FLIGHT: usize = 256;
/// Names that are remembered.
const CACHED_NAMES: u64 = 10_000;

/// Turns permits into addresses that may be dialled. A cheap handle; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    own: OwnListeners,
    servers: Servers,
    answers: Cache<Arc<str>, Answer, std::hash::RandomState>,
    in_flight: Semaphore,
}

/// Answers live as long as their own TTL says.
struct ByLifetime;

impl Expiry<Arc<str>, Answer> for ByLifetime {
    fn expire_after_create(&self, _name: &Arc<str>, answer: &Answer, _now: Instant) -> Option<Duration> {
        Some(answer.lifetime)
    }
}

impl Resolver {
    /// A resolver that asks the name servers of `settings` and never leads to `own`.
    pub fn new(settings: Settings, own: OwnListeners) -> Result<Self, Error> {
        let servers = Servers::new(&settings.nameservers)?;
        let answers = Cache::builder().max_capacity(CACHED_NAMES).expire_after(ByLifetime).build();
        let in_flight = Semaphore::new(IN_FLIGHT);
        Ok(Self { inner: Arc::new(Inner { settings, own, servers, answers, in_flight }) })
    }

    /// The addresses to dial for a permit: from `resolver.connect`, the literal itself or DNS, and all
    /// of them vetted. Takes five seconds at most.
    pub async fn resolve(&self, permit: &Permit) -> Result<Vetted, Error> {
        let Inner { settings, own, .. } = &*self.inner;
        let authority = permit.authority();
        let (host, port) = match settings.connect_to(&authority.host) {
            Some(to) => (&to.host, to.port.unwrap_or(authority.port)),
            None => (&authority.host, authority.port),
        };
        match host {
            Host::V4(address) => vet(permit, port, &[IpAddr::V4(*address)], own),
            Host::V6(address) => vet(permit, port, &[IpAddr::V6(*address)], own),
            Host::Name(_) if host.is_localhost() => vet(permit, port, &localhost(permit), own),
            Host::Name(name) => vet(permit, port, &self.inner.lookup(name).await?.addresses, own),
        }
    }

    /// The addresses of a parent proxy, which the operator chose and may lie inside the network; never those
    /// that nobody dials, and never our own.
    pub async fn resolve_parent(&self, parent: &Authority) -> Result<Vetted, Error> {
        let addresses = match &parent.host {
            Host::V4(address) => vec![IpAddr::V4(*address)],
            Host::V6(address) => vec![IpAddr::V6(*address)],
            Host::Name(_) if parent.host.is_localhost() => {
                vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
            }
            Host::Name(name) => self.inner.lookup(name).await?.addresses.to_vec(),
        };
        vet_parent(parent, &addresses, &self.inner.own)
    }

    /// How many more lookups could be under way.
    #[cfg(test)]
    pub(super) fn free_slots(&self) -> usize {
        self.inner.in_flight.available_permits()
    }
}

impl Inner {
    /// The addresses of a name: one lookup at a time for each, whoever waits for it.
    async fn lookup(&self, name: &Arc<str>) -> Result<Answer, Error> {
        if let Some(answer) = self.answers.get(name).await {
            return Ok(answer);
        }
        // On the heap what is needed for seconds in a connection's life.
        let answer = Box::pin(self.answers.try_get_with_by_ref(name, self.ask(name)));
        match timeout(DEADLINE, answer).await {
            Ok(found) => found.map_err(|error| (*error).clone()),
            Err(_) => Err(Error::Timeout),
        }
    }

    async fn ask(&self, name: &str) -> Result<Answer, Error> {
        let asked = async {
            // Never closed; a queue that is longer than the deadline is a time-out like any other.
            let _slot = self.in_flight.acquire().await.map_err(|_| Error::Timeout)?;
            lookup(&self.servers.resolver(), name).await
        };
        timeout(LOOKUP_DEADLINE, asked).await.unwrap_or(Err(Error::Timeout))
    }
}

/// What `localhost` and the names below it mean (RFC 6761 §6.3). The answer is ours and not some
/// server's, so a rule that names one loopback address gets that one; a rule that names none gets both,
/// to be refused.
fn localhost(permit: &Permit) -> Vec<IpAddr> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let named: Vec<IpAddr> = both.into_iter().filter(|address| permit.names_address(*address)).collect();
    if named.is_empty() { both.to_vec() } else { named }
}
