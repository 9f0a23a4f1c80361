//! Refusals that anybody can cause, any number of times: recorded one by one at first, then counted.

use super::Shared;
use crate::flow::{Downstream, Recorder};
use crate::reason::{Denial, Reason};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many of one source are recorded by themselves in a while.
const ALONE: u64 = 100;
/// How long a while is.
const WHILE: Duration = Duration::from_secs(10);
/// Sources that are told apart; those beyond are one.
const SOURCES: usize = 4096;

/// Refusals of connections that nobody is known to stand behind, by source.
#[derive(Debug, Default)]
pub struct Floods(Mutex<HashMap<Source, Count>>);

/// Where refusals come from, and for what; without an address those of all sources beyond [`SOURCES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(Option<IpAddr>, Reason);

#[derive(Debug)]
struct Count {
    since: Instant,
    told: u64,
    /// Not recorded yet.
    more: u64,
    last: Downstream,
}

impl Floods {
    /// Whether a refusal is only to be counted. Those of who is known are never.
    pub(super) fn swallow(&self, reason: Reason, peer: Downstream, now: Instant) -> bool {
        if !matches!(reason, Reason::AuthRequired | Reason::TooManyConnections | Reason::Overloaded) {
            return false;
        }
        let mut counts = self.lock();
        let source = Source(peer.address.map(|address| address.ip()), reason);
        let is_full = counts.len() >= SOURCES && !counts.contains_key(&source);
        let source = if is_full { Source(None, reason) } else { source };
        let count = counts.entry(source).or_insert(Count { since: now, told: 0, more: 0, last: peer });
        count.last = peer;
        let is_more = count.told >= ALONE;
        if is_more {
            count.more += 1;
        } else {
            count.told += 1;
        }
        is_more
    }

    /// What was only counted and is to be recorded now, with how many each stands for; `all` of it, or what
    /// began a while ago.
    fn due(&self, now: Instant, all: bool) -> Vec<(Reason, Downstream, u64)> {
        let mut due = Vec::new();
        self.lock().retain(|source, count| {
            let is_over = all || now.saturating_duration_since(count.since) >= WHILE;
            if is_over && count.more > 0 {
                due.push((source.1, count.last, count.more));
            }
            !is_over
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Count>> {
        // Counting panics nowhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Records what was only counted; `all` of it, or what began a while ago.
    pub fn record_floods(&self, all: bool) {
        for (reason, peer, more) in self.floods.due(Instant::now(), all) {
            let Ok(mut recorder) = Recorder::open(&self.journal, peer) else { return };
            recorder.denied(
                &Denial::new(reason).because(format_args!("{more} more of this source, not recorded one by one")),
            );
            recorder.status(reason.status());
            recorder.repeats(more);
            recorder.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Downstream {
        std::net::SocketAddr::from(([127, 0, 0, last], 4000)).into()
    }

    #[test]
    fn a_flood_is_told_at_first_and_counted_then() {
        let (floods, now) = (Floods::default(), Instant::now());
        let swallowed = |last| (0..300).filter(|_| floods.swallow(Reason::AuthRequired, peer(last), now)).count();
        assert_eq!((swallowed(1), swallowed(2)), (200, 200), "each source has its own count");
        assert!(!floods.swallow(Reason::DestinationNotListed, peer(1), now), "who is known is recorded");
        assert!(floods.due(now, false).is_empty());
        let due = floods.due(now + WHILE, false);
        assert_eq!(due.iter().map(|(_, _, more)| more).sum::<u64>(), 400);
        assert!(!floods.swallow(Reason::AuthRequired, peer(1), now + WHILE), "the next while begins anew");
    }

    #[test]
    fn sources_without_end_take_no_memory_without_end() {
        let (floods, now) = (Floods::default(), Instant::now());
        for number in 0..20_000u32 {
            let address = std::net::SocketAddr::from((std::net::Ipv4Addr::from(0x7f00_0000 + number), 1));
            floods.swallow(Reason::TooManyConnections, address.into(), now);
        }
        assert!(floods.lock().len() <= SOURCES + 1);
        let told: u64 = floods.lock().values().map(|count| count.told + count.more).sum();
        assert_eq!(told, 20_000);
    }
}
