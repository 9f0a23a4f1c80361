//! How many may come in: connections that have not shown who they are, by source, handshakes under way, and nobody
//! while there is more work than can be done.

use super::error::Error;
use super::interrupt::{Cause, Interrupt};
use super::load::{Begin, Load};
use super::streams::Rooms;
use super::work::Work;
use crate::reason::{Denial, Reason};
use crate::session::SessionId;
use crate::wire::Descriptors;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long work of a burst waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// What bounds those that come in.
#[derive(Debug)]
pub struct Admission {
    pub(super) descriptors: Descriptors,
    pub(super) load: Load,
    strangers: Mutex<HashMap<Source, VecDeque<Waiting>>>,
    next: AtomicU64,
    handshakes: AtomicUsize,
    pub(super) rooms: Rooms,
}

/// Where connections come from: an address, a network of IPv6 (one machine has all of a /64), or this machine's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(Option<IpAddr>);

#[derive(Debug)]
struct Waiting {
    number: u64,
    crowded_out: CancellationToken,
}

/// A connection that has not shown who it is. Dropped when it has, or ends.
#[derive(Debug)]
#[must_use = "the connection counts as known when this is dropped"]
pub(super) struct Stranger {
    admission: Arc<Admission>,
    source: Source,
    number: u64,
    /// Cancelled when others of its source took its place.
    pub(super) crowded_out: CancellationToken,
}

/// A TLS handshake under way with a client: counted until this is dropped.
#[derive(Debug)]
#[must_use = "the handshake counts as over when this is dropped"]
pub(super) struct Handshake(Arc<Admission>);

impl Admission {
    /// Nobody has come in yet.
    #[must_use]
    pub fn new(descriptors: Descriptors) -> Arc<Self> {
        Arc::new(Self {
            descriptors,
            load: Load::default(),
            strangers: Mutex::default(),
            next: AtomicU64::new(0),
            handshakes: AtomicUsize::new(0),
            rooms: Rooms::default(),
        })
    }

    /// Watches the load until it is stopped.
    pub async fn watch_load(&self, stop: CancellationToken) {
        self.load.watch(stop).await;
    }

    /// How many pieces of work are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.load.under_way()
    }

    /// Whether there is so much work that a connection's first request would be refused.
    pub(super) fn is_overloaded(&self) -> bool {
        self.load.is_full()
    }

    /// New work of theirs, unless there is too much already. It may have to wait for its turn.
    pub(super) async fn work(
        self: &Arc<Self>,
        whose: Option<&SessionId>,
        interrupt: &mut Interrupt,
    ) -> Result<Work, Error> {
        match self.load.begin(whose) {
            Begin::Now => {}
            Begin::Never => return Err(Reason::Overloaded.into()),
            Begin::Later(turn) => {
                interrupt.arm(PATIENCE);
                match interrupt.during(turn).await {
                    Ok(Ok(())) => self.load.resume(),
                    Ok(Err(_)) | Err(Cause::Deadline) => return Err(Reason::Overloaded.into()),
                    Err(cause) => return Err(Error::Interrupted(cause)),
                }
            }
        }
        Ok(Work::begun(self))
    }

    /// Takes in a connection. Beyond `most` of one source the one that has waited longest goes: whoever holds
    /// connections without a word can't keep those out that speak.
    pub(super) fn stranger(self: &Arc<Self>, from: Option<IpAddr>, most: usize) -> Stranger {
        let (source, number) = (Source::of(from), self.next.fetch_add(1, Ordering::Relaxed));
        let crowded_out = CancellationToken::new();
        let mut strangers = self.lock();
        let waiting = strangers.entry(source).or_default();
        waiting.push_back(Waiting { number, crowded_out: crowded_out.clone() });
        let out = if waiting.len() > most { waiting.pop_front() } else { None };
        drop(strangers);
        if let Some(out) = out {
            out.crowded_out.cancel();
        }
        Stranger { admission: Arc::clone(self), source, number, crowded_out }
    }

    /// Counts a handshake that is about to begin.
    pub(super) fn handshake(self: &Arc<Self>, most: usize) -> Result<Handshake, Denial> {
        let room = |under_way| (under_way < most).then_some(under_way + 1);
        match self.handshakes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => Ok(Handshake(Arc::clone(self))),
            Err(_) => Err(Denial::new(Reason::Overloaded).because("too many TLS handshakes are under way")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, VecDeque<Waiting>>> {
        // No step of ours that could panic spans two changes.
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn of(from: Option<IpAddr>) -> Self {
        Self(from.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        }))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = self.admission.lock();
        let Some(waiting) = strangers.get_mut(&self.source) else { return };
        // Numbers rise; one that was crowded out is not there any more.
        if let Ok(place) = waiting.binary_search_by_key(&self.number, |waiting| waiting.number) {
            waiting.remove(place);
        }
        if waiting.is_empty() {
            strangers.remove(&self.source);
        }
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_one_that_has_waited_longest_makes_room_for_its_own_source_only() {
        let admission = Admission::new(Descriptors::of_process());
        let other = admission.stranger(from("192.0.2.2"), 2);
        let waiting: Vec<_> = (0..4).map(|_| admission.stranger(from("192.0.2.1"), 2)).collect();
        let out: Vec<bool> = waiting.iter().map(|one| one.crowded_out.is_cancelled()).collect();
        assert_eq!((out, other.crowded_out.is_cancelled()), (vec![true, true, false, false], false));
        drop((waiting, other));
        assert!(admission.lock().is_empty());
    }

    #[test]
    fn whoever_has_shown_itself_is_not_crowded_out() {
        let admission = Admission::new(Descriptors::of_process());
        let known = admission.stranger(from("192.0.2.1"), 1);
        let crowded_out = known.crowded_out.clone();
        drop(known);
        let waiting: Vec<_> = (0..3).map(|_| admission.stranger(from("192.0.2.1"), 1)).collect();
        assert!(!crowded_out.is_cancelled());
        assert!(!waiting[2].crowded_out.is_cancelled());
    }

    #[test]
    fn a_network_of_one_machine_is_one_source() {
        assert_eq!(Source::of(from("2001:db8::1")), Source::of(from("2001:db8::ffff:1")));
        assert_ne!(Source::of(from("2001:db8::1")), Source::of(from("2001:db8:0:1::1")));
        assert_eq!(Source::of(from("::ffff:192.0.2.1")), Source::of(from("192.0.2.1")));
    }

    #[test]
    fn handshakes_are_counted_until_they_are_over() {
        let admission = Admission::new(Descriptors::of_process());
        let first = admission.handshake(1).unwrap();
        assert_eq!(admission.handshake(1).unwrap_err().reason, Reason::Overloaded);
        drop(first);
        assert!(admission.handshake(1).is_ok());
    }
}
