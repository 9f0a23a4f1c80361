//! Whether what waits came at once, or goes on to come.

use super::{AT_WORK, LASTING, Moment};
use std::time::Duration;

/// Whether what waits came at once, and will be done, or comes faster than it can be done.
#[derive(Debug)]
pub(super) struct Trend {
    begun: Moment,
    /// Since when these were counted.
    since: Moment,
    came: usize,
    ended: usize,
}

impl Trend {
    const WINDOW: Duration = Duration::from_millis(100);

    pub(super) fn begun(now: Moment) -> Self {
        Self { begun: now, since: now, came: 0, ended: 0 }
    }

    /// Takes in what came and what ended since the look before. True: who comes now would wait for too long.
    pub(super) fn look(&mut self, now: Moment, waiting: usize, came: usize, ended: usize) -> bool {
        self.came += came;
        self.ended += ended;
        let passed = now.at - self.since.at;
        if passed < Self::WINDOW {
            return false;
        }
        let is_no_burst = self.came * 5 > self.ended * 4;
        let waits_long = waiting as f64 * passed.as_secs_f64() > self.ended as f64 * LASTING.as_secs_f64();
        let is_ours = now.work_since(self.since) >= AT_WORK;
        (self.since, self.came, self.ended) = (now, 0, 0);
        is_no_burst && waits_long && is_ours && now.at - self.begun.at >= LASTING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is found out, with so much that comes and ends in each of these tenths of a second.
    fn is_found(tenths: &[(usize, usize)]) -> bool {
        is_found_at(tenths, 0.9)
    }

    /// The same, with the processors for this part of the time.
    fn is_found_at(tenths: &[(usize, usize)], at_work: f64) -> bool {
        let mut now = Moment { at: tokio::time::Instant::now(), cpu: Duration::ZERO };
        let (mut trend, mut waiting) = (Trend::begun(now), 0);
        tenths.iter().any(|&(came, ended)| {
            now = Moment { at: now.at + Trend::WINDOW, cpu: now.cpu + Trend::WINDOW.mul_f64(at_work) };
            waiting = (waiting + came).saturating_sub(ended);
            trend.look(now, waiting, came, ended)
        })
    }

    #[test]
    fn a_burst_is_done_however_long_it_takes() {
        assert!(!is_found(&[(1000, 30), (0, 30), (0, 30), (0, 30), (0, 30)]));
        assert!(!is_found(&[(500, 30), (500, 30), (15, 30), (15, 30), (15, 30)]), "and others beside it");
    }

    #[test]
    fn what_goes_on_to_come_faster_than_it_can_be_done_is_too_much() {
        assert!(is_found(&[(200, 30), (200, 30), (200, 30)]));
        assert!(!is_found(&[(200, 30), (200, 30)]), "it may be a burst");
        assert!(is_found(&[(1000, 30), (30, 30), (30, 30)]), "each that is done makes place for one that comes");
        assert!(!is_found(&[(500, 490), (500, 500), (500, 500), (500, 500)]), "nobody waits for long");
        assert!(!is_found_at(&[(200, 30), (200, 30), (200, 30)], 0.1), "others have the processors");
    }
}
