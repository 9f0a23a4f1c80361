//! How long the wait for a turn has been too long.

use super::{TOLERABLE, is_at_work, micros};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Since when every wait for a turn has been too long, the present one's end being open.
#[derive(Debug)]
pub(super) struct Long {
    origin: Instant,
    /// Microseconds after the origin; 0: the last wait was none, and nobody waits.
    pub(super) since: AtomicU64,
    /// What the process had used of the processors then (microseconds).
    cpu: AtomicU64,
}

impl Default for Long {
    fn default() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::default(), cpu: AtomicU64::default() }
    }
}

impl Long {
    /// A wait begins, which may be too long.
    pub(super) fn begins(&self, now: Instant, cpu_time: impl Fn() -> Duration) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.cpu.store(micros(cpu_time()), Ordering::Relaxed);
            self.since.store(micros(now - self.origin).max(1), Ordering::Release);
        }
    }

    /// A wait was not too long.
    pub(super) fn is_over(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether waits have been too long for too long, by the process's own work.
    pub(super) fn lasts(&self, now: Instant, cpu_time: impl Fn() -> Duration) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let before = self.origin + Duration::from_micros(since);
        let cpu_before = Duration::from_micros(self.cpu.load(Ordering::Relaxed));
        since != 0 && now >= before + TOLERABLE && is_at_work((before, cpu_before), (now, cpu_time()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(400);

    /// A wait that began a while ago, in which the process had the processors for this part of the time: does it last?
    fn lasts(begun: Duration, at_work: f64) -> bool {
        let long = Long::default();
        let start = long.origin + Duration::from_secs(1);
        long.begins(start, || Duration::ZERO);
        long.lasts(start + begun, || begun.mul_f64(at_work))
    }

    #[test]
    fn a_wait_that_has_not_ended_is_too_long_once_it_lasts() {
        assert!(lasts(LONG, 0.9));
        assert!(!lasts(TOLERABLE / 2, 0.9));
        assert!(!lasts(LONG, 0.1), "others have the processors");
    }

    #[test]
    fn a_short_wait_ends_a_row_of_long_ones() {
        let long = Long::default();
        long.begins(long.origin + LONG, || Duration::ZERO);
        long.begins(long.origin + LONG * 2, || Duration::ZERO);
        assert!(long.lasts(long.origin + LONG * 3, || LONG * 3), "it began with the first of them");
        long.is_over();
        assert!(!long.lasts(long.origin + LONG * 9, || LONG * 9));
    }
}
