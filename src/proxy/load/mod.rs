//! Whether there is more work than can be done: work that is ready waits too long for its turn. Then as much begins as
//! ends, and so little at a time that none of it waits for long.

mod inflow;
mod long;

use inflow::{Inflow, Look};
use long::Long;
use nix::time::{ClockId, clock_gettime};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(5);
/// The same while work is refused.
const OFTEN: Duration = Duration::from_millis(2);
/// A wait for a turn that is too long, if it lasts: bursts end by themselves (CoDel, RFC 8289).
const TOLERABLE: Duration = Duration::from_millis(20);
const LASTING: Duration = Duration::from_millis(300);
/// Pieces of work under way below which none is refused: each may be a long one.
const FEW: usize = 64;
/// What the wait is held at while work is refused: a piece of work waits many times for its turn before it is done.
const HELD_AT: Duration = Duration::from_millis(1);
/// The part of the time that the process itself must have been at work: where others have the processors, refusing
/// helps nobody.
const AT_WORK: f64 = 0.3;

/// Whether new work is refused for now.
#[derive(Debug, Default)]
pub(super) struct Load {
    is_shedding: AtomicBool,
    /// Where some is refused: how much may begin.
    room: AtomicUsize,
    /// Where some is refused: what ends makes no room, for what is left waits too long.
    is_behind: AtomicBool,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Since the last look.
    refused: AtomicUsize,
    /// Nothing was to begin since the last look.
    is_quiet: AtomicBool,
    disturbed: Notify,
    long: Long,
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
        self.begun.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Work that was admitted before goes on, to be counted until it [ends](Self::end) again.
    pub(super) fn resume(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether not all may begin. Found out by whoever comes next, for a look at the wait ends no sooner than the wait.
    fn is_too_much(&self) -> bool {
        if self.is_shedding.load(Ordering::Relaxed) {
            return true;
        }
        let is_too_much = self.under_way() >= FEW && self.long.lasts(Instant::now(), cpu_time);
        if is_too_much && !self.is_shedding.swap(true, Ordering::Relaxed) {
            self.room.store(0, Ordering::Relaxed);
            self.is_behind.store(true, Ordering::Relaxed);
            // Whoever looks may have thought that nothing begins any more.
            self.disturbed.notify_one();
            let under_way = self.under_way();
            tracing::info!(under_way, "there is more work than can be done: some is refused");
        }
        is_too_much
    }

    /// Pieces of work that have begun and not ended.
    pub(super) fn under_way(&self) -> usize {
        // In this order: what has ended had begun.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).wrapping_sub(ended)
    }

    /// A piece of work is done, or waits for nothing but others from now on. The next may take its place.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
        if self.is_shedding.load(Ordering::Relaxed) && !self.is_behind.load(Ordering::Relaxed) {
            self.room.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Measures until it is stopped.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        let (mut inflow, mut ended_before) = (None::<Inflow>, 0);
        loop {
            let Some((delay, now)) = stop.run_until_cancelled(self.measure(inflow.is_some())).await else { return };
            let ended = self.ended.load(Ordering::Relaxed);
            let ended_now = ended.wrapping_sub(std::mem::replace(&mut ended_before, ended));
            let refused = self.refused.swap(0, Ordering::Relaxed);
            if !self.is_shedding.load(Ordering::Relaxed) {
                continue;
            }
            let held = inflow.get_or_insert_with(|| Inflow::begun(now, cpu_time()));
            match held.look(Look { delay, now, cpu: cpu_time(), ended: ended_now, refused }) {
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
impl Load {
    /// As if there were too much work.
    pub(super) fn refuse_all(&self) {
        self.is_shedding.store(true, Ordering::Relaxed);
        self.is_behind.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_system_tells_the_time_of_the_processors() {
        let before = cpu_time();
        let mut sum = 0u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
