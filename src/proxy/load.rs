//! Whether there is more work than can be done: work that is ready waits too long for its turn.

use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the delay is measured.
const EVERY: Duration = Duration::from_millis(10);
/// The same while there is nothing to measure.
const AT_REST: Duration = Duration::from_millis(100);
/// Connections below which nothing is refused for the delay.
const FEW: usize = 64;
/// A delay that lasts is one that was above this at every look of a window: bursts end by themselves (CoDel, RFC 8289).
const TOLERABLE: Duration = Duration::from_millis(20);
const LOOKS: u32 = 4;
/// The part of the time that the process itself must have been at work: where others have the processors, refusing
/// helps nobody.
const AT_WORK: f64 = 0.3;

/// Whether new work is refused for now.
#[derive(Debug, Default)]
pub(super) struct Load {
    is_shedding: AtomicBool,
}

impl Load {
    /// Whether new work is refused for now.
    pub(super) fn is_shedding(&self) -> bool {
        self.is_shedding.load(Ordering::Relaxed)
    }

    /// Measures until it is stopped.
    pub(super) async fn watch(&self, connections: &TaskTracker, stop: CancellationToken) {
        let mut window = Window::begun(Instant::now(), cpu_time());
        loop {
            let is_busy = connections.len() >= FEW;
            let due = Instant::now() + if is_busy { EVERY } else { AT_REST };
            if stop.run_until_cancelled(sleep_until(due)).await.is_none() {
                return;
            }
            let now = Instant::now();
            if !is_busy {
                window = Window::begun(now, cpu_time());
                self.is_shedding.store(false, Ordering::Relaxed);
            } else if let Some(is_shedding) = window.look(now - due, now, cpu_time) {
                self.is_shedding.store(is_shedding, Ordering::Relaxed);
            }
        }
    }
}

/// Some looks at the delay, one after the other.
#[derive(Debug)]
struct Window {
    looks: u32,
    least: Duration,
    since: Instant,
    cpu_before: Duration,
}

impl Window {
    fn begun(since: Instant, cpu_before: Duration) -> Self {
        Self { looks: 0, least: Duration::MAX, since, cpu_before }
    }

    /// Takes one more look in. At the end of the window, or at once where the delay is gone: whether there is too much
    /// work.
    fn look(&mut self, delay: Duration, now: Instant, cpu_time: impl Fn() -> Duration) -> Option<bool> {
        self.looks += 1;
        self.least = self.least.min(delay);
        let is_tolerable = self.least <= TOLERABLE;
        if self.looks < LOOKS && !is_tolerable {
            return None;
        }
        let cpu = cpu_time();
        let at_work = cpu.saturating_sub(self.cpu_before).as_secs_f64() / (now - self.since).as_secs_f64().max(1e-6);
        *self = Self::begun(now, cpu);
        Some(!is_tolerable && at_work >= AT_WORK)
    }
}

/// What the process has used of the processors. A system that can't tell has used none, and then nothing is refused.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(30);

    /// What each look says; the process has the processors for this part of the time.
    fn looks(delays: &[Duration], at_work: f64) -> Vec<Option<bool>> {
        let start = Instant::now();
        let mut window = Window::begun(start, Duration::ZERO);
        let each = |(number, delay): (u32, &Duration)| {
            let passed = (EVERY + SLOW) * number;
            window.look(*delay, start + passed, || passed.mul_f64(at_work))
        };
        (1..).zip(delays).map(each).collect()
    }

    #[test]
    fn a_delay_that_lasts_is_too_much_work() {
        assert_eq!(looks(&[SLOW; 4], 0.9), [None, None, None, Some(true)]);
    }

    #[test]
    fn a_burst_is_not_and_the_end_of_a_delay_shows_at_once() {
        assert_eq!(looks(&[SLOW, SLOW, EVERY / 10, SLOW], 0.9), [None, None, Some(false), None]);
    }

    #[test]
    fn nothing_is_refused_where_others_have_the_processors() {
        assert_eq!(looks(&[SLOW; 4], 0.1), [None, None, None, Some(false)]);
    }

    #[test]
    fn the_system_tells_the_time_of_the_processors() {
        let before = cpu_time();
        let mut sum = 0u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
