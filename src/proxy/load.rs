//! Whether there is more work than can be done: work that is ready waits too long for its turn. Then as much is let in
//! as is done meanwhile.

use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
/// What the delay is held at while work is refused: a piece of work waits many times for its turn before it is done.
const HELD_AT: Duration = Duration::from_millis(3);
/// The part of the time that the process itself must have been at work: where others have the processors, refusing
/// helps nobody.
const AT_WORK: f64 = 0.3;

/// Whether new work is refused for now.
#[derive(Debug, Default)]
pub(super) struct Load {
    is_shedding: AtomicBool,
    /// While some is refused: how much may still begin before the next look.
    room: AtomicU64,
    begun: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    /// Whether nothing new may begin before the next look.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.is_shedding.load(Ordering::Relaxed) && self.room.load(Ordering::Relaxed) == 0;
        if is_full {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_full
    }

    /// Whether a piece of work may begin, which is counted.
    pub(super) fn admits(&self) -> bool {
        let take = |room: u64| room.checked_sub(1);
        if self.is_shedding.load(Ordering::Relaxed)
            && self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err()
        {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Measures until it is stopped.
    pub(super) async fn watch(&self, connections: &TaskTracker, stop: CancellationToken) {
        let (mut window, mut inflow) = (Window::begun(Instant::now(), cpu_time()), None::<Inflow>);
        loop {
            let is_busy = connections.len() >= FEW;
            let due = Instant::now() + if is_busy { EVERY } else { AT_REST };
            if stop.run_until_cancelled(sleep_until(due)).await.is_none() {
                return;
            }
            let now = Instant::now();
            if !is_busy {
                inflow = None;
                window = Window::begun(now, cpu_time());
                self.begun.store(0, Ordering::Relaxed);
            } else if let Some(held) = &mut inflow {
                let refused = self.refused.swap(0, Ordering::Relaxed);
                match held.look(now - due, now, refused, cpu_time) {
                    Some(room) => self.room.store(room, Ordering::Relaxed),
                    None => {
                        inflow = None;
                        window = Window::begun(now, cpu_time());
                        self.begun.store(0, Ordering::Relaxed);
                    }
                }
            } else {
                let since = window.since;
                if let Some(is_too_much) = window.look(now - due, now, cpu_time) {
                    let begun = self.begun.swap(0, Ordering::Relaxed);
                    self.room.store(0, Ordering::Relaxed);
                    inflow = is_too_much.then(|| Inflow::after(begun, now - since, now, cpu_time()));
                }
            }
            self.is_shedding.store(inflow.is_some(), Ordering::Relaxed);
        }
    }
}

/// How much may begin, while not all may: less when the delay is too long, more when it is not.
#[derive(Debug)]
struct Inflow {
    per_second: f64,
    /// A part of one that may begin.
    carried: f64,
    /// Looks one after the other at which nobody had been refused.
    calm: u32,
    since: Instant,
    cpu_before: Duration,
}

impl Inflow {
    /// What came in while there was too much of it, far less of which can be done.
    const AT_FIRST: f64 = 0.2;
    const LESS: f64 = 0.97;
    /// Where the delay is beyond what is tolerable.
    const FAR_LESS: f64 = 0.85;
    const MORE: f64 = 1.03;
    /// However long a piece of work takes, one a fifth of a second is let in, and one a look where the delay is gone.
    const LEAST: f64 = 5.0;
    const LEAST_IN_TIME: f64 = 100.0;
    /// After so many calm looks all is let in again.
    const CALM: u32 = 50;

    fn after(begun: u64, within: Duration, now: Instant, cpu_before: Duration) -> Self {
        let per_second = begun as f64 / within.as_secs_f64().max(1e-3) * Self::AT_FIRST;
        Self { per_second: per_second.max(Self::LEAST), carried: 0.0, calm: 0, since: now, cpu_before }
    }

    /// Takes one more look in: how much may begin before the next. Nothing: as much as will.
    fn look(&mut self, delay: Duration, now: Instant, refused: u64, cpu_time: impl Fn() -> Duration) -> Option<u64> {
        let (passed, cpu) = ((now - self.since).as_secs_f64(), cpu_time());
        let is_at_work = cpu.saturating_sub(self.cpu_before).as_secs_f64() >= AT_WORK * passed;
        (self.since, self.cpu_before) = (now, cpu);
        let (times, least) = if delay <= HELD_AT || !is_at_work {
            (Self::MORE, Self::LEAST_IN_TIME)
        } else if delay <= TOLERABLE {
            (Self::LESS, Self::LEAST)
        } else {
            (Self::FAR_LESS, Self::LEAST)
        };
        self.per_second = (self.per_second * times).max(least);
        self.calm = if refused == 0 && delay <= TOLERABLE { self.calm + 1 } else { 0 };
        if self.calm >= Self::CALM {
            return None;
        }
        // What was not taken is not saved up.
        let room = self.carried + self.per_second * passed.min(2.0 * EVERY.as_secs_f64());
        self.carried = room.fract();
        Some(room as u64)
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

    /// What may begin at each of so many looks; the process has the processors for this part of the time.
    fn flows(inflow: &mut Inflow, delays: &[Duration], refused: u64, at_work: f64) -> Vec<Option<u64>> {
        let (mut now, mut cpu) = (inflow.since, inflow.cpu_before);
        let each = |delay: &Duration| {
            now += EVERY;
            cpu += EVERY.mul_f64(at_work);
            inflow.look(*delay, now, refused, || cpu)
        };
        delays.iter().map(each).collect()
    }

    fn inflow(begun: u64) -> Inflow {
        Inflow::after(begun, Duration::from_secs(1), Instant::now(), Duration::ZERO)
    }

    #[test]
    fn less_is_let_in_while_the_delay_is_too_long_and_more_while_it_is_not() {
        let mut inflow = inflow(10_000);
        let first = flows(&mut inflow, &[HELD_AT; 1], 9, 0.9)[0].unwrap();
        assert_eq!(first, 20, "a fifth of what came, and a little more");
        let less = flows(&mut inflow, &[HELD_AT * 2; 40], 9, 0.9).pop().unwrap().unwrap();
        let far_less = flows(&mut inflow, &[SLOW; 10], 9, 0.9).pop().unwrap().unwrap();
        let more = flows(&mut inflow, &[HELD_AT; 120], 9, 0.9).pop().unwrap().unwrap();
        assert!(far_less < less && less < first && first <= more, "{first} {less} {far_less} {more}");
    }

    #[test]
    fn something_is_let_in_however_long_it_takes() {
        let let_in: u64 = flows(&mut inflow(1000), &[SLOW * 10; 200], 9, 0.9).iter().flatten().sum();
        assert!((10..100).contains(&let_in), "{let_in} in two seconds");
    }

    #[test]
    fn a_delay_that_others_cause_is_no_reason_to_let_in_less() {
        let let_in = flows(&mut inflow(10_000), &[SLOW; 40], 9, 0.1);
        assert!(let_in.last() > let_in.first(), "{let_in:?}");
    }

    #[test]
    fn all_is_let_in_again_when_for_a_while_nobody_had_to_be_refused() {
        let mut inflow = inflow(10_000);
        assert!(flows(&mut inflow, &[HELD_AT; 100], 1, 0.9).iter().all(Option::is_some));
        assert_eq!(flows(&mut inflow, &[HELD_AT; 50], 0, 0.9).iter().position(Option::is_none), Some(49));
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
