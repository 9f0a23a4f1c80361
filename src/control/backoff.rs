//! Who keeps showing wrong keys.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures by source. Only ever asked after a wrong key: the right key passes whatever else its
/// source has sent, so that nobody can lock the operator out (T26).
#[derive(Debug, Default)]
pub(super) struct Backoff {
    sources: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// So many wrong keys are a slip of the hand.
const FREE: u32 = 5;
const LONGEST: Duration = Duration::from_secs(60);
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const SOURCES_MAX: usize = 1024;

impl Backoff {
    /// Counts a wrong key; how long the source is told to wait, if it has shown too many.
    pub(super) fn failed(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let source = network(source);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            make_room(&mut sources, now);
        }
        let failures = sources.entry(source).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) > FORGOTTEN_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        let over = failures.count.checked_sub(FREE + 1)?;
        Some(Duration::from_secs(1 << over.min(6)).min(LONGEST))
    }
}

/// A network of IPv6 is one source: its hosts choose their addresses.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn make_room(sources: &mut HashMap<IpAddr, Failures>, now: Instant) {
    sources.retain(|_, failures| now.saturating_duration_since(failures.last) <= FORGOTTEN_AFTER);
    if sources.len() >= SOURCES_MAX
        && let Some(oldest) = sources.iter().min_by_key(|(_, failures)| failures.last).map(|(source, _)| *source)
    {
        sources.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_wait_grows_with_each_failure_and_is_forgotten() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        let waits: Vec<_> = (0..13).map(|_| backoff.failed(ip("10.0.0.1"), now).map(|wait| wait.as_secs())).collect();
        let some = |wait| Some(wait);
        assert_eq!(waits[..6], [None, None, None, None, None, some(1)]);
        assert_eq!(waits[6..], [some(2), some(4), some(8), some(16), some(32), some(60), some(60)]);
        assert_eq!(backoff.failed(ip("10.0.0.2"), now), None);
        assert_eq!(backoff.failed(ip("10.0.0.1"), now + Duration::from_secs(601)), None);
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let (backoff, now) = (Backoff::default(), Instant::now());
        for host in 1..=6 {
            backoff.failed(ip(&format!("2001:db8::{host}")), now);
        }
        assert!(backoff.failed(ip("2001:db8::ffff"), now).is_some());
        assert!(backoff.failed(ip("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn sources_are_bounded_and_the_oldest_gives_way() {
        let (backoff, start) = (Backoff::default(), Instant::now());
        for number in 0..2000u32 {
            backoff.failed(IpAddr::V4(number.into()), start + Duration::from_millis(number.into()));
        }
        let sources = backoff.sources.lock().unwrap();
        assert_eq!(sources.len(), SOURCES_MAX);
        assert!(!sources.contains_key(&IpAddr::V4(0.into())) && sources.contains_key(&IpAddr::V4(1999.into())));
    }
}
