//! Whether there is more work than can be done: work that is ready waits too long for its turn. Then as much begins as
//! ends, and so little at a time that none of it waits for long.

use nix::time::{ClockId, clock_gettime};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often the wait for a turn is measured.
const EVERY: Duration = Duration::from_millis(5);
/// The same while work is refused.
const OFTEN: Duration = Duration::from_millis(2);
/// A wait that is too long, if it lasts: bursts end by themselves (CoDel, RFC 8289).
const TOLERABLE: Duration = Duration::from_millis(20);
const LASTING: Duration = Duration::from_millis(25);
/// Pieces of work under way below which none is refused: each may be a long one.
const FEW: usize = 32;
/// What the wait is held at while work is refused: a piece of work waits many times for its turn before it is done.
const HELD_AT: Duration = Duration::from_millis(1);
/// The part of the time that the process itself must have been at work: where others have the processors, refusing
/// helps nobody.
const AT_WORK: f64 = 0.3;

/// Whether new work is refused for now.
#[derive(Debug)]
pub(super) struct Load {
    is_shedding: AtomicBool,
    /// Where some is refused: how much may begin.
    room: AtomicUsize,
    /// Where some is refused: what ends makes no room, for what is left waits too long.
    is_behind: AtomicBool,
    under_way: AtomicUsize,
    /// Since the last look.
    ended: AtomicUsize,
    refused: AtomicUsize,
    /// Nothing was to begin since the last look.
    is_quiet: AtomicBool,
    disturbed: Notify,
    long: Long,
}

/// Since when every wait for a turn has been too long, the present one's end being open.
#[derive(Debug)]
struct Long {
    origin: Instant,
    /// Microseconds after the origin; 0: the last wait was none, and nobody waits.
    since: AtomicU64,
    /// What the process had used of the processors then (microseconds).
    cpu: AtomicU64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            is_shedding: AtomicBool::default(),
            room: AtomicUsize::default(),
            is_behind: AtomicBool::default(),
            under_way: AtomicUsize::default(),
            ended: AtomicUsize::default(),
            refused: AtomicUsize::default(),
            is_quiet: AtomicBool::default(),
            disturbed: Notify::default(),
            long: Long { origin: Instant::now(), since: AtomicU64::default(), cpu: AtomicU64::default() },
        }
    }
}

impl Load {
    /// Whether nothing new may begin for now.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.is_too_much() && self.room.load(Ordering::Relaxed) == 0;
        if is_full {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_full
    }

    /// Whether a piece of work may begin, which is counted until it [ends](Self::end).
    pub(super) fn begin(&self) -> bool {
        if self.is_quiet.load(Ordering::Relaxed) && self.is_quiet.swap(false, Ordering::Relaxed) {
            self.disturbed.notify_one();
        }
        let take = |room: usize| room.checked_sub(1);
        if self.is_too_much() && self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.under_way.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether not all may begin. Found out by whoever comes next, for a look at the wait ends no sooner than the wait.
    fn is_too_much(&self) -> bool {
        if self.is_shedding.load(Ordering::Relaxed) {
            return true;
        }
        let is_too_much = self.under_way.load(Ordering::Relaxed) >= FEW && self.long.lasts(Instant::now(), cpu_time);
        if is_too_much && !self.is_shedding.swap(true, Ordering::Relaxed) {
            self.room.store(0, Ordering::Relaxed);
            self.is_behind.store(true, Ordering::Relaxed);
            // Whoever looks may have thought that nothing begins any more.
            self.disturbed.notify_one();
            let under_way = self.under_way.load(Ordering::Relaxed);
            tracing::info!(under_way, "there is more work than can be done: some is refused");
        }
        is_too_much
    }

    /// A piece of work is done, or waits for nothing but others from now on. The next may take its place.
    pub(super) fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        if self.is_shedding.load(Ordering::Relaxed) {
            self.ended.fetch_add(1, Ordering::Relaxed);
            if !self.is_behind.load(Ordering::Relaxed) {
                self.room.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Measures until it is stopped.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        let mut inflow = None::<Inflow>;
        loop {
            let Some((delay, now)) = stop.run_until_cancelled(self.measure(inflow.is_some())).await else { return };
            if !self.is_shedding.load(Ordering::Relaxed) {
                continue;
            }
            let (ended, refused) = (self.ended.swap(0, Ordering::Relaxed), self.refused.swap(0, Ordering::Relaxed));
            let held = inflow.get_or_insert_with(|| Inflow::begun(now, cpu_time()));
            match held.look(Look { delay, now, cpu: cpu_time(), ended, refused }) {
                Some(more) => self.let_in(more, held.most()),
                None => {
                    inflow = None;
                    self.long.is_over();
                    self.is_shedding.store(false, Ordering::Relaxed);
                    tracing::info!("nothing is refused any more");
                }
            }
        }
    }

    /// How long what is ready waits for its turn now. While nothing begins there is nothing to measure.
    async fn measure(&self, is_shedding: bool) -> (Duration, Instant) {
        if !is_shedding && self.is_quiet.swap(true, Ordering::Relaxed) {
            self.disturbed.notified().await;
        }
        sleep(if is_shedding { OFTEN } else { EVERY }).await;
        let since = Instant::now();
        self.long.begins(since, cpu_time);
        let mut is_ready = false;
        // A task that wakes itself goes behind all that are ready.
        poll_fn(|cx| {
            if std::mem::replace(&mut is_ready, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let now = Instant::now();
        if now - since <= TOLERABLE {
            self.long.is_over();
        }
        (now - since, now)
    }

    /// Makes room for so many more, at most for so many in all: what was not taken is not saved up.
    fn let_in(&self, more: usize, most: usize) {
        self.is_behind.store(more == 0, Ordering::Relaxed);
        let room = |room: usize| Some(if more == 0 { 0 } else { most.min(room + more) });
        let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
    }
}

/// What a look shows while some is refused.
#[derive(Clone, Copy, Debug)]
struct Look {
    delay: Duration,
    now: Instant,
    /// What the process has used of the processors.
    cpu: Duration,
    /// Since the look before.
    ended: usize,
    refused: usize,
}

/// How much may begin, while not all may: in the place of what ends, and more while nothing has to wait.
#[derive(Debug)]
struct Inflow {
    /// What ends from one look to the next, on average.
    pace: f64,
    last: (Instant, Duration),
    let_in: Instant,
    /// Since when these were counted.
    since: Instant,
    ended: usize,
    refused: usize,
}

impl Inflow {
    /// After this time it is over, if little had to be refused in it.
    const WHILE: Duration = Duration::from_millis(500);
    const LITTLE: usize = 4;
    /// However long the wait is, one is let in now and then.
    const RARELY: Duration = Duration::from_millis(200);

    fn begun(now: Instant, cpu: Duration) -> Self {
        Self { pace: 0.0, last: (now, cpu), let_in: now, since: now, ended: 0, refused: 0 }
    }

    /// How many may wait to begin.
    fn most(&self) -> usize {
        2 + self.pace as usize
    }

    /// Takes one more look in: how much more may begin. Nothing: as much as will.
    fn look(&mut self, look: Look) -> Option<usize> {
        let Look { delay, now, cpu, ended, refused } = look;
        self.pace += (ended as f64 - self.pace) / 8.0;
        self.ended += ended;
        self.refused += refused;
        if now - self.since >= Self::WHILE {
            if self.refused * Self::LITTLE <= self.ended {
                return None;
            }
            (self.since, self.ended, self.refused) = (now, 0, 0);
        }
        let is_ours = is_at_work(self.last, (now, cpu));
        self.last = (now, cpu);
        if delay > HELD_AT && is_ours && now - self.let_in < Self::RARELY {
            return Some(0);
        }
        self.let_in = now;
        Some(1 + (self.pace / 2.0) as usize)
    }
}

impl Long {
    /// A wait begins, which may be too long.
    fn begins(&self, now: Instant, cpu_time: impl Fn() -> Duration) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.cpu.store(micros(cpu_time()), Ordering::Relaxed);
            self.since.store(micros(now - self.origin).max(1), Ordering::Release);
        }
    }

    /// A wait was not too long.
    fn is_over(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether waits have been too long for too long, by the process's own work.
    fn lasts(&self, now: Instant, cpu_time: impl Fn() -> Duration) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let before = self.origin + Duration::from_micros(since);
        let cpu_before = Duration::from_micros(self.cpu.load(Ordering::Relaxed));
        since != 0 && now >= before + LASTING && is_at_work((before, cpu_before), (now, cpu_time()))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether the process was at work between two looks, by what it had used of the processors.
fn is_at_work((before, cpu_before): (Instant, Duration), (now, cpu): (Instant, Duration)) -> bool {
    cpu.saturating_sub(cpu_before).as_secs_f64() >= AT_WORK * (now - before).as_secs_f64()
}

/// What the process has used of the processors. A system that can't tell has used none, and then nothing is refused.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(30);

    /// A wait that began a while ago, in which the process had the processors for this part of the time: does it last?
    fn lasts(begun: Duration, at_work: f64) -> bool {
        let long = Long { origin: Instant::now(), since: AtomicU64::default(), cpu: AtomicU64::default() };
        let start = long.origin + Duration::from_secs(1);
        long.begins(start, || Duration::ZERO);
        long.lasts(start + begun, || begun.mul_f64(at_work))
    }

    #[test]
    fn a_wait_that_has_not_ended_is_too_long_once_it_lasts() {
        assert!(lasts(LONG, 0.9));
        assert!(!lasts(LASTING / 2, 0.9), "bursts end by themselves");
        assert!(!lasts(LONG, 0.1), "others have the processors");
    }

    #[test]
    fn a_short_wait_ends_a_row_of_long_ones() {
        let long = Long { origin: Instant::now(), since: AtomicU64::default(), cpu: AtomicU64::default() };
        long.begins(long.origin + LONG, || Duration::ZERO);
        long.begins(long.origin + LONG * 2, || Duration::ZERO);
        assert!(long.lasts(long.origin + LONG * 3, || LONG * 3), "it began with the first of them");
        long.is_over();
        assert!(!long.lasts(long.origin + LONG * 9, || LONG * 9));
    }

    /// A load of which so much is under way.
    fn load(under_way: usize, is_shedding: bool) -> Load {
        let load = Load::default();
        (0..under_way).for_each(|_| assert!(load.begin()));
        load.is_shedding.store(is_shedding, Ordering::Relaxed);
        load
    }

    #[test]
    fn a_piece_of_work_takes_the_place_of_one_that_ends_unless_what_is_left_waits_too_long() {
        let load = load(3, true);
        assert!(load.is_full() && !load.begin());
        load.end();
        assert!(!load.is_full() && load.begin() && !load.begin());
        load.let_in(0, 9);
        load.end();
        assert!(!load.begin());
        load.let_in(1, 9);
        load.end();
        assert!(load.begin() && load.begin() && !load.begin());
    }

    #[test]
    fn room_that_was_not_taken_is_not_saved_up() {
        let load = load(0, true);
        (0..100).for_each(|_| load.let_in(2, 5));
        assert_eq!((0..100).filter(|_| load.begin()).count(), 5);
        (0..100).for_each(|_| load.let_in(2, 5));
        load.let_in(0, 5);
        assert!(load.is_full());
    }

    /// As after a wait that has lasted for a second.
    fn waited(load: &Load) {
        load.long.since.store(1, Ordering::Relaxed);
        let ended = Instant::now() + LASTING;
        while Instant::now() < ended {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn few_pieces_of_work_are_never_too_many() {
        let (few, many) = (load(FEW - 1, false), load(FEW, false));
        [&few, &many].into_iter().for_each(waited);
        assert!(few.begin());
        assert!(!many.begin() && many.is_full());
    }

    /// What may begin at each of so many looks; the process has the processors for this part of the time.
    fn looks(
        inflow: &mut Inflow,
        delays: &[Duration],
        ended: usize,
        refused: usize,
        at_work: f64,
    ) -> Vec<Option<usize>> {
        let (mut now, mut cpu) = inflow.last;
        let each = |delay: &Duration| {
            now += OFTEN;
            cpu += OFTEN.mul_f64(at_work);
            inflow.look(Look { delay: *delay, now, cpu, ended, refused })
        };
        delays.iter().map(each).collect()
    }

    fn inflow() -> Inflow {
        Inflow::begun(Instant::now(), Duration::ZERO)
    }

    #[test]
    fn more_is_let_in_while_nothing_has_to_wait_and_nothing_while_it_has() {
        let mut inflow = inflow();
        assert_eq!(looks(&mut inflow, &[HELD_AT, LONG, HELD_AT], 0, 9, 0.9), [Some(1), Some(0), Some(1)]);
        let quick = looks(&mut inflow, &[HELD_AT; 60], 20, 100, 0.9).pop().flatten();
        assert!(quick.is_some_and(|more| (8..=11).contains(&more)), "half of what ends in that time: {quick:?}");
    }

    #[test]
    fn something_is_let_in_however_long_it_takes() {
        let let_in: usize = looks(&mut inflow(), &[LONG; 1000], 0, 9, 0.9).iter().flatten().sum();
        assert!((5..=20).contains(&let_in), "{let_in} in two seconds");
    }

    #[test]
    fn a_wait_that_others_cause_is_no_reason_to_let_in_less() {
        assert_eq!(looks(&mut inflow(), &[LONG; 3], 0, 9, 0.1), [Some(1); 3]);
    }

    #[test]
    fn all_is_let_in_again_when_for_a_while_little_had_to_be_refused() {
        let over = |ended, refused| looks(&mut inflow(), &[HELD_AT; 300], ended, refused, 0.9).contains(&None);
        assert!(over(4, 1) && over(0, 0));
        assert!(!over(3, 1) && !over(1, 5));
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
