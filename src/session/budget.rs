//! What a session may spend, and what it has spent.

use crate::reason::{Denial, Reason};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a policy lets each of its sessions spend. Nothing set: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute; a whole minute's may come at once.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Bytes sent up over the session's whole life.
    pub upload: Option<u64>,
    /// Connections held at the same time.
    pub connections: Option<NonZeroU32>,
}

/// What one session has spent. Limits are an argument of each call, because a reload may change them.
#[derive(Debug, Default)]
pub struct Budget {
    /// When the bucket of requests will be full again (the generic cell rate algorithm's
    /// theoretical arrival time); nothing before the first request.
    full_at: Mutex<Option<Instant>>,
    uploaded: AtomicU64,
    connections: Arc<AtomicU32>,
    streams: Arc<AtomicU32>,
    work: Arc<AtomicU32>,
}

/// The limit that a request ran into, and when it may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{spent}")]
pub struct Exceeded {
    /// Which limit.
    pub spent: Spent,
    /// How long until the same request can pass; nothing if it never can.
    pub retry_after: Option<Duration>,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// `requests_per_minute`.
    #[error("the session may send {0} requests a minute")]
    Requests(NonZeroU32),
    /// `upload`.
    #[error("the session may send {0} bytes up in all")]
    Upload(u64),
    /// `connections`.
    #[error("the session may hold {0} connections at a time")]
    Connections(NonZeroU32),
    /// Four for each of `connections`.
    #[error("the session may have {0} HTTP/2 streams open at a time")]
    Streams(NonZeroU32),
}

/// One of a session's connections, or of its streams: given back when dropped.
#[derive(Debug)]
#[must_use = "the slot is given back when it is dropped"]
pub struct Slot(Arc<AtomicU32>);

const MINUTE: Duration = Duration::from_secs(60);

impl Budget {
    /// Takes one request out of the minute's. A refused one takes nothing.
    pub fn request(&self, limits: &Limits, now: Instant) -> Result<(), Exceeded> {
        let Some(limit) = limits.requests_per_minute else { return Ok(()) };
        let each = MINUTE / limit.get();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full_at.map_or(now, |full_at| full_at.max(now)) + each;
        let ahead = next.saturating_duration_since(now);
        if ahead > MINUTE {
            return Err(Exceeded { spent: Spent::Requests(limit), retry_after: Some(ahead - MINUTE) });
        }
        *full_at = Some(next);
        Ok(())
    }

    /// Takes bytes that are about to go up. Refused bytes must not be sent and are not counted.
    pub fn upload(&self, limits: &Limits, bytes: u64) -> Result<(), Exceeded> {
        let most = limits.upload.unwrap_or(u64::MAX);
        self.uploaded
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
                let sum = sum.saturating_add(bytes);
                (sum <= most).then_some(sum)
            })
            .map(|_| ())
            .map_err(|_| Exceeded { spent: Spent::Upload(most), retry_after: None })
    }

    /// Takes one of the connections, for as long as the slot lives.
    pub fn connection(&self, limits: &Limits) -> Result<Slot, Exceeded> {
        let most = limits.connections.unwrap_or(NonZeroU32::MAX);
        Slot::take(&self.connections, most).ok_or(Spent::Connections(most).for_now())
    }

    /// Takes one of the streams, for as long as the slot lives. A session may have more of them than connections, and as
    /// many as one connection carries whatever its limit is; but not that number on each of its connections.
    pub fn stream(&self, limits: &Limits) -> Result<Slot, Exceeded> {
        const EACH: NonZeroU32 = NonZeroU32::new(4).unwrap();
        const LEAST: NonZeroU32 = NonZeroU32::new(128).unwrap();
        let most = limits.connections.unwrap_or(NonZeroU32::MAX).saturating_mul(EACH).max(LEAST);
        Slot::take(&self.streams, most).ok_or(Spent::Streams(most).for_now())
    }

    /// Pieces of work of the session that are under way, for whoever counts them.
    #[must_use]
    pub fn work(&self) -> &Arc<AtomicU32> {
        &self.work
    }

    /// Bytes sent up so far.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    /// Connections held now.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Exceeded {
    /// The value of `Retry-After`: whole seconds, rounded up, at least one; nothing if waiting won't help.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}

impl From<Exceeded> for Denial {
    fn from(exceeded: Exceeded) -> Self {
        Denial::new(Reason::QuotaExceeded).because(exceeded).after(exceeded.retry_after_seconds())
    }
}

impl Spent {
    /// Room comes with whatever ends next.
    fn for_now(self) -> Exceeded {
        Exceeded { spent: self, retry_after: Some(Duration::from_secs(1)) }
    }
}

impl Slot {
    fn take(held: &Arc<AtomicU32>, most: NonZeroU32) -> Option<Self> {
        let one_more = |held: u32| (held < most.get()).then_some(held + 1);
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        taken.then(|| Self(Arc::clone(held)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(requests: u32, upload: u64, connections: u32) -> Limits {
        Limits {
            requests_per_minute: NonZeroU32::new(requests),
            upload: Some(upload),
            connections: NonZeroU32::new(connections),
        }
    }

    #[test]
    fn without_limits_everything_passes() {
        let (budget, now) = (Budget::default(), Instant::now());
        let free = Limits::default();
        let slots: Vec<_> = (0..1000).map(|_| budget.connection(&free).unwrap()).collect();
        assert_eq!(budget.connections(), 1000);
        assert!((0..10_000).all(|_| budget.request(&free, now).is_ok()));
        budget.upload(&free, u64::MAX).unwrap();
        budget.upload(&free, 1).unwrap();
        drop(slots);
        assert_eq!(budget.connections(), 0);
    }

    #[test]
    fn a_minutes_requests_may_come_at_once_and_then_one_by_one() {
        let (budget, limits, start) = (Budget::default(), limits(60, 0, 1), Instant::now());
        assert!((0..60).all(|_| budget.request(&limits, start).is_ok()));
        let exceeded = budget.request(&limits, start).unwrap_err();
        assert_eq!(exceeded.retry_after_seconds(), Some(1));
        let soon = start + Duration::from_millis(900);
        assert_eq!(budget.request(&limits, soon).unwrap_err().retry_after, Some(Duration::from_millis(100)));
        let then = start + Duration::from_secs(1);
        budget.request(&limits, then).unwrap();
        assert!(budget.request(&limits, then).is_err());
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| budget.request(&limits, later).is_ok()).count(), 60);
    }

    #[test]
    fn coming_back_when_told_works() {
        let (budget, limits, mut now) = (Budget::default(), limits(7, 0, 1), Instant::now());
        for _ in 0..50 {
            if let Err(exceeded) = budget.request(&limits, now) {
                now += Duration::from_secs(exceeded.retry_after_seconds().unwrap());
                budget.request(&limits, now).unwrap();
            }
        }
    }

    #[test]
    fn an_upload_over_the_limit_takes_nothing_and_never_comes_back() {
        let (budget, limits) = (Budget::default(), limits(1, 100, 1));
        budget.upload(&limits, 99).unwrap();
        let exceeded = budget.upload(&limits, 2).unwrap_err();
        assert_eq!((exceeded.spent, exceeded.retry_after_seconds()), (Spent::Upload(100), None));
        budget.upload(&limits, 1).unwrap();
        assert!(budget.upload(&limits, 1).is_err());
        assert!(budget.upload(&limits, u64::MAX).is_err());
        assert_eq!(budget.uploaded(), 100);
    }

    #[test]
    fn a_dropped_connection_gives_its_slot_back() {
        let (budget, limits) = (Budget::default(), limits(1, 1, 2));
        let first = budget.connection(&limits).unwrap();
        let _second = budget.connection(&limits).unwrap();
        let exceeded = budget.connection(&limits).unwrap_err();
        assert_eq!(exceeded.retry_after_seconds(), Some(1));
        drop(first);
        let _third = budget.connection(&limits).unwrap();
    }

    #[test]
    fn streams_are_more_than_connections_and_have_a_limit_all_the_same() {
        let (few, many) = (Budget::default(), Budget::default());
        let slots: Vec<_> = (0..200).map_while(|_| few.stream(&limits(1, 1, 2)).ok()).collect();
        assert_eq!(slots.len(), 128, "one connection carries as many");
        assert_eq!(few.connections(), 0);
        drop(slots);
        let _room = few.stream(&limits(1, 1, 2)).unwrap();
        let slots: Vec<_> = (0..5000).map_while(|_| many.stream(&limits(1, 1, 1000)).ok()).collect();
        assert_eq!(slots.len(), 4000);
        let exceeded = many.stream(&limits(1, 1, 1000)).unwrap_err();
        assert_eq!(exceeded.to_string(), "the session may have 4000 HTTP/2 streams open at a time");
    }

    #[test]
    fn a_denial_tells_which_limit() {
        let budget = Budget::default();
        let denial = Denial::from(budget.upload(&limits(1, 5, 1), 6).unwrap_err());
        assert_eq!(denial.reason, Reason::QuotaExceeded);
        assert_eq!(denial.detail.as_deref(), Some("the session may send 5 bytes up in all"));
    }

    proptest! {
        /// Any window of a minute lets through at most two minutes' worth: a full bucket and its refill.
        #[test]
        fn no_minute_passes_more_than_burst_and_refill(limit in 1u32..50, gaps in prop::collection::vec(0u64..5000, 1..300)) {
            let (budget, limits, mut now) = (Budget::default(), limits(limit, 0, 1), Instant::now());
            let mut passed = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if budget.request(&limits, now).is_ok() {
                    passed.push(now);
                }
            }
            for (place, start) in passed.iter().enumerate() {
                let within = passed[place..].iter().take_while(|at| **at - *start < MINUTE).count();
                prop_assert!(within <= 2 * limit as usize);
            }
        }
    }
}
