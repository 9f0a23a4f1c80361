//! Work that came in beyond what could be done meanwhile, told before any of it has to wait.

use super::{ANY, BACKLOG, LASTING, micros};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Known {
    begun: AtomicUsize,
    /// Microseconds of the processors.
    backlog: AtomicU64,
    /// Those of one piece of work.
    cost: AtomicU64,
}

impl Known {
    pub(super) fn note(&self, backlog: &Backlog) {
        self.begun.store(backlog.begun, Ordering::Relaxed);
        self.backlog.store((backlog.work * 1e6) as u64, Ordering::Relaxed);
        self.cost.store((backlog.cost * 1e6) as u64, Ordering::Relaxed);
    }

    /// For how long waits may be too long, now that so much has begun.
    pub(super) fn patience(&self, begun: &AtomicUsize) -> Duration {
        let since = begun.load(Ordering::Relaxed).wrapping_sub(self.begun.load(Ordering::Relaxed)) as u64;
        let work = self.backlog.load(Ordering::Relaxed) + since.min(1 << 20) * self.cost.load(Ordering::Relaxed);
        if work >= micros(BACKLOG) { ANY } else { LASTING }
    }
}

/// Work that came in, of what a piece of it takes on average, beyond what the processors could have done since.
#[derive(Debug)]
pub(super) struct Backlog {
    last: (Instant, Duration),
    begun: usize,
    pub(super) ended: usize,
    /// Seconds of one processor, of them all together.
    pub(super) work: f64,
    /// The same for each.
    cost: f64,
    /// What was used and no work has ended for yet.
    used: f64,
    processors: f64,
}

impl Backlog {
    /// Pieces of work that an average is made of.
    const REMEMBERED: f64 = 64.0;

    pub(super) fn none(now: Instant, cpu: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(1.0, |number| number.get() as f64);
        Self { last: (now, cpu), begun: 0, ended: 0, work: 0.0, cost: 0.0, used: 0.0, processors }
    }

    /// Takes one more look in.
    pub(super) fn look(&mut self, now: Instant, cpu: Duration, begun: usize, ended: usize) {
        let came = begun.wrapping_sub(self.begun) as f64 * self.cost;
        self.work = (self.work + came - (now - self.last.0).as_secs_f64() * self.processors).max(0.0);
        self.used += cpu.saturating_sub(self.last.1).as_secs_f64();
        let done = ended.wrapping_sub(self.ended) as f64;
        if done > 0.0 {
            self.cost += (self.used / done - self.cost) * done / (done + Self::REMEMBERED);
            self.used = 0.0;
        }
        (self.last, self.begun, self.ended) = ((now, cpu), begun, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::super::EVERY;
    use super::*;

    /// Looks, between which so much began and ended and the process had all of one processor.
    fn backlog(looks: &[(usize, usize)]) -> Backlog {
        let start = Instant::now();
        let mut backlog = Backlog { processors: 1.0, ..Backlog::none(start, Duration::ZERO) };
        let (mut passed, mut begun, mut ended) = (Duration::ZERO, 0, 0);
        for (more_begun, more_ended) in looks {
            (passed, begun, ended) = (passed + EVERY, begun + more_begun, ended + more_ended);
            backlog.look(start + passed, passed, begun, ended);
        }
        backlog
    }

    #[test]
    fn what_comes_in_beyond_what_can_be_done_is_a_backlog_long_before_it_waits() {
        let (ordinary, known) = (vec![(2, 2); 300], Known::default());
        let calm = backlog(&ordinary);
        assert!((0.002..0.003).contains(&calm.cost) && calm.work < 0.01, "{calm:?}");
        known.note(&calm);
        let began = |more: usize| known.patience(&AtomicUsize::new(calm.begun + more));
        assert_eq!((began(20), began(140)), (LASTING, ANY), "350 ms of work have come in since");
        let flood = backlog(&[ordinary.clone(), vec![(12, 2); 15]].concat());
        assert!(flood.work > 0.3, "{flood:?}");
        let over = backlog(&[ordinary, vec![(12, 2); 15], vec![(1, 2); 200]].concat());
        assert!(over.work < 0.05, "{over:?}");
    }
}
