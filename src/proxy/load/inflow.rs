//! How much may begin, while not all may.

use super::{HELD_AT, Moment};
use std::time::Duration;
use tokio::time::Instant;

/// What a look shows while some is held up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// How long what is ready waits for its turn, by the process's own work.
    pub(super) delay: Duration,
    pub(super) now: Moment,
    /// Since the look before.
    pub(super) ended: usize,
    /// The same: refused, or made to wait.
    pub(super) held_up: usize,
}

/// What may begin from one look to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Nothing, whatever ends: what is left waits too long.
    Nothing,
    /// As much as ends, and so much more.
    Replace(usize),
}

/// How much may begin, while not all may: in the place of what ends, and more while nothing has to wait and the
/// processors have nothing to do.
#[derive(Debug)]
pub(super) struct Inflow {
    /// What ends from one look to the next, on average.
    pace: f64,
    /// Threads that work.
    workers: usize,
    last: Moment,
    /// When something last ended, or was let in.
    moved: Moment,
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
    /// However long the wait is, one is let in after so much work of which none ends.
    const RARELY: Duration = Duration::from_millis(200);
    /// The part of the processors' time from which on more would only wait.
    const BUSY: f64 = 0.9;

    pub(super) fn begun(now: Moment, workers: usize) -> Self {
        let (pace, ended, held_up, is_over) = (0.0, 0, 0, false);
        Self { pace, workers, last: now, moved: now, since: now.at, ended, held_up, is_over }
    }

    /// How many may wait to begin.
    pub(super) fn most(&self) -> usize {
        2 + self.pace as usize
    }

    /// Whether as much may begin as will.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes one more look in: what may begin until the next.
    pub(super) fn look(&mut self, look: Look) -> May {
        let Look { delay, now, ended, held_up } = look;
        self.pace += (ended as f64 - self.pace) / 8.0;
        self.ended += ended;
        self.held_up += held_up;
        if now.at - self.since >= Self::WHILE {
            self.is_over = self.held_up * Self::LITTLE <= self.ended;
            (self.since, self.ended, self.held_up) = (now.at, 0, 0);
        }
        let is_busy = now.work_since(self.last) >= Self::BUSY * self.workers as f64;
        self.last = now;
        let stands_still = now.own_since(self.moved) >= Self::RARELY;
        if ended > 0 {
            self.moved = now;
        }
        if delay > HELD_AT && !stands_still {
            return May::Nothing;
        }
        if is_busy && !stands_still {
            return May::Replace(0);
        }
        self.moved = now;
        May::Replace(1 + (self.pace / 2.0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::OFTEN;
    use super::*;

    const LONG: Duration = Duration::from_millis(30);
    const MORE: May = May::Replace(1);

    /// What may begin at each of so many looks; the process has the processors for this part of the time.
    fn looks(inflow: &mut Inflow, delays: &[Duration], ended: usize, held_up: usize, at_work: f64) -> Vec<May> {
        let mut now = inflow.last;
        let each = |delay: &Duration| {
            now = Moment { at: now.at + OFTEN, cpu: now.cpu + OFTEN.mul_f64(at_work) };
            inflow.look(Look { delay: *delay, now, ended, held_up })
        };
        delays.iter().map(each).collect()
    }

    fn inflow() -> Inflow {
        Inflow::begun(Moment { at: Instant::now(), cpu: Duration::ZERO }, 1)
    }

    #[test]
    fn more_is_let_in_while_nothing_has_to_wait_and_nothing_while_it_has() {
        let mut inflow = inflow();
        assert_eq!(looks(&mut inflow, &[HELD_AT, LONG, HELD_AT], 0, 9, 0.5), [MORE, May::Nothing, MORE]);
        let quick = looks(&mut inflow, &[HELD_AT; 60], 20, 100, 0.5).pop();
        let is_half = |may| matches!(may, May::Replace(8..=11));
        assert!(quick.is_some_and(is_half), "half of what ends in that time: {quick:?}");
    }

    #[test]
    fn what_ends_is_replaced_and_no_more_is_let_in_while_the_processors_are_busy() {
        assert_eq!(looks(&mut inflow(), &[HELD_AT; 3], 1, 9, 1.0), [May::Replace(0); 3]);
        let mut of_two = Inflow { workers: 2, ..inflow() };
        assert_eq!(looks(&mut of_two, &[HELD_AT; 3], 0, 9, 1.0), [MORE; 3], "the other one has nothing to do");
    }

    #[test]
    fn something_is_let_in_however_long_it_takes_unless_something_ends() {
        let more = |ended| {
            let looks = looks(&mut inflow(), &[LONG; 1000], ended, 9, 0.9);
            looks.iter().filter(|may| **may != May::Nothing).count()
        };
        assert!((5..=20).contains(&more(0)), "{} in two seconds", more(0));
        assert_eq!(more(1), 0);
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
