//! How long the wait for a turn has been too long.

use super::{Moment, TOLERABLE, micros};
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
    pub(super) fn begins(&self, now: Moment) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.cpu.store(micros(now.cpu), Ordering::Relaxed);
            self.since.store(micros(now.at - self.origin).max(1), Ordering::Release);
        }
    }

    /// A wait was not too long.
    pub(super) fn is_over(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether waits have been too long for too long, by the process's own work.
    pub(super) fn lasts(&self, now: impl Fn() -> Moment) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let at = self.origin + Duration::from_micros(since);
        let before = Moment { at, cpu: Duration::from_micros(self.cpu.load(Ordering::Relaxed)) };
        since != 0 && now().own_since(before) >= TOLERABLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    fn moment(long: &Long, after: Duration, cpu: Duration) -> Moment {
        Moment { at: long.origin + Duration::from_secs(1) + after, cpu }
    }

    /// A wait that began a while ago, in which the process has used so much of the processors: does it last?
    fn lasts(begun: Duration, cpu: Duration) -> bool {
        let long = Long::default();
        long.begins(moment(&long, Duration::ZERO, Duration::ZERO));
        long.lasts(|| moment(&long, begun, cpu))
    }

    #[test]
    fn a_wait_that_has_not_ended_is_too_long_once_it_lasts() {
        assert!(lasts(TOLERABLE, TOLERABLE));
        assert!(!lasts(SHORT, SHORT));
        assert!(!lasts(SHORT, TOLERABLE * 2), "more processors do more in a short time");
    }

    #[test]
    fn where_others_have_the_processors_the_process_s_own_work_counts_however_slow_it_is() {
        assert!(!lasts(TOLERABLE * 100, SHORT), "others are waited for");
        assert!(lasts(TOLERABLE * 100, TOLERABLE), "so much work is ready that it would take long without them");
    }

    #[test]
    fn a_short_wait_ends_a_row_of_long_ones() {
        let long = Long::default();
        let at = |times: u32| moment(&long, TOLERABLE * times, TOLERABLE * times);
        long.begins(at(1));
        long.begins(at(2));
        assert!(long.lasts(|| at(2)), "it began with the first of them");
        long.is_over();
        assert!(!long.lasts(|| at(9)));
    }
}
