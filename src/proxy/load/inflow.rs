//! How much may begin, while not all may.

use super::{HELD_AT, is_at_work};
use std::time::Duration;
use tokio::time::Instant;

/// What a look shows while some is held up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) delay: Duration,
    pub(super) now: Instant,
    /// What the process has used of the processors.
    pub(super) cpu: Duration,
    /// Since the look before.
    pub(super) ended: usize,
    /// The same: refused, or made to wait.
    pub(super) held_up: usize,
}

/// How much may begin, while not all may: in the place of what ends, and more while nothing has to wait.
#[derive(Debug)]
pub(super) struct Inflow {
    /// What ends from one look to the next, on average.
    pace: f64,
    last: (Instant, Duration),
    let_in: Instant,
    /// Since when these were counted.
    since: Instant,
    ended: usize,
    held_up: usize,
    is_over: bool,
}

impl Inflow {
    /// After this time it is over, if little was held up in it.
    const WHILE: Duration = Duration::from_millis(500);
    const LITTLE: usize = 4;
    /// However long the wait is, one is let in now and then.
    const RARELY: Duration = Duration::from_millis(200);

    pub(super) fn begun(now: Instant, cpu: Duration) -> Self {
        Self { pace: 0.0, last: (now, cpu), let_in: now, since: now, ended: 0, held_up: 0, is_over: false }
    }

    /// How many may wait to begin.
    pub(super) fn most(&self) -> usize {
        2 + self.pace as usize
    }

    /// Whether as much may begin as will.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes one more look in: how much more may begin.
    pub(super) fn look(&mut self, look: Look) -> usize {
        let Look { delay, now, cpu, ended, held_up } = look;
        self.pace += (ended as f64 - self.pace) / 8.0;
        self.ended += ended;
        self.held_up += held_up;
        if now - self.since >= Self::WHILE {
            self.is_over = self.held_up * Self::LITTLE <= self.ended;
            (self.since, self.ended, self.held_up) = (now, 0, 0);
        }
        let is_ours = is_at_work(self.last, (now, cpu));
        self.last = (now, cpu);
        if delay > HELD_AT && is_ours && now - self.let_in < Self::RARELY {
            return 0;
        }
        self.let_in = now;
        1 + (self.pace / 2.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::OFTEN;
    use super::*;

    const LONG: Duration = Duration::from_millis(30);

    /// What may begin at each of so many looks; the process has the processors for this part of the time.
    fn looks(inflow: &mut Inflow, delays: &[Duration], ended: usize, held_up: usize, at_work: f64) -> Vec<usize> {
        let (mut now, mut cpu) = inflow.last;
        let each = |delay: &Duration| {
            now += OFTEN;
            cpu += OFTEN.mul_f64(at_work);
            inflow.look(Look { delay: *delay, now, cpu, ended, held_up })
        };
        delays.iter().map(each).collect()
    }

    fn inflow() -> Inflow {
        Inflow::begun(Instant::now(), Duration::ZERO)
    }

    #[test]
    fn more_is_let_in_while_nothing_has_to_wait_and_nothing_while_it_has() {
        let mut inflow = inflow();
        assert_eq!(looks(&mut inflow, &[HELD_AT, LONG, HELD_AT], 0, 9, 0.9), [1, 0, 1]);
        let quick = looks(&mut inflow, &[HELD_AT; 60], 20, 100, 0.9).pop();
        assert!(quick.is_some_and(|more| (8..=11).contains(&more)), "half of what ends in that time: {quick:?}");
    }

    #[test]
    fn something_is_let_in_however_long_it_takes() {
        let let_in: usize = looks(&mut inflow(), &[LONG; 1000], 0, 9, 0.9).iter().sum();
        assert!((5..=20).contains(&let_in), "{let_in} in two seconds");
    }

    #[test]
    fn a_wait_that_others_cause_is_no_reason_to_let_in_less() {
        assert_eq!(looks(&mut inflow(), &[LONG; 3], 0, 9, 0.1), [1; 3]);
    }

    #[test]
    fn all_is_let_in_again_when_for_a_while_little_was_held_up() {
        let over = |ended, held_up| {
            let mut inflow = inflow();
            looks(&mut inflow, &[HELD_AT; 300], ended, held_up, 0.9);
            inflow.is_over()
        };
        assert!(over(4, 1) && over(0, 0));
        assert!(!over(3, 1) && !over(1, 5));
    }
}
