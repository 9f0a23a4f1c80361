//! Whether there is more work than can be done: work that is ready waits too long for its turn. Then as much begins as
//! ends, and so little at a time that none of it waits for long. What came at once waits until it can begin; what goes
//! on to come faster than it can be done is refused.

mod inflow;
mod line;
mod long;
mod trend;

use crate::session::SessionId;
use inflow::{Inflow, Look, May};
use line::Line;
use long::Long;
use nix::time::{ClockId, clock_gettime};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use trend::Trend;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(5);
/// The same while not all may begin.
const OFTEN: Duration = Duration::from_millis(2);
/// A wait of ready work for its turn that is too long: what comes then waits to begin.
const TOLERABLE: Duration = Duration::from_millis(10);
/// What waits for longer, and is followed by as much as is done meanwhile, is no burst (CoDel, RFC 8289).
const LASTING: Duration = Duration::from_millis(300);
/// Pieces of work under way below which none is held up at first: each may be a long one.
const FEW: usize = 64;
/// The same once some is held up: between two looks there is always something to do.
const FEWEST: usize = 2;
/// What the wait is held at while not all may begin: a piece of work waits many times for its turn before it is done.
const HELD_AT: Duration = Duration::from_micros(200);
/// How much of a processor the process itself must have used for work to be refused at once: where others have the
/// processors, what comes waits.
const AT_WORK: f64 = 0.3;

/// What becomes of new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Begins,
    /// It waits, unless there is room.
    Waits,
    /// It is refused, unless there is room.
    Refused,
}

/// What a piece of work may do.
pub(super) enum Begin {
    Now,
    /// When this says so; without a word it is refused.
    Later(Receiver<()>),
    Never,
}

/// Whether new work is held up for now.
#[derive(Debug, Default)]
pub(super) struct Load {
    stage: AtomicU8,
    line: Line,
    /// Where not all may begin: how much may.
    room: AtomicUsize,
    /// The same: what ends makes no room, for what is left waits too long.
    is_behind: AtomicBool,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Of those under way: what waits for others.
    paused: AtomicUsize,
    /// Where not all may begin: what came since the last look, and what of it had to wait or was refused.
    came: AtomicUsize,
    held_up: AtomicUsize,
    /// Nothing was to begin since the last look.
    is_quiet: AtomicBool,
    disturbed: Notify,
    long: Long,
}

impl Load {
    /// Whether whoever comes now is refused.
    pub(super) fn is_full(&self) -> bool {
        let is_full =
            self.stage() == Stage::Refused && self.room.load(Ordering::Relaxed) == 0 && self.admitted() >= FEWEST;
        if is_full {
            self.held_up.fetch_add(1, Ordering::Relaxed);
        }
        is_full
    }

    /// Whether a piece of work of theirs may begin, which is counted then until it [ends](Self::end).
    pub(super) fn begin(&self, whose: Option<&SessionId>) -> Begin {
        if self.is_quiet.load(Ordering::Relaxed) && self.is_quiet.swap(false, Ordering::Relaxed) {
            self.disturbed.notify_one();
        }
        let stage = self.stage();
        if stage == Stage::Begins {
            self.resume();
            return Begin::Now;
        }
        self.came.fetch_add(1, Ordering::Relaxed);
        if self.admitted() < FEWEST || self.takes_room() {
            self.resume();
            return Begin::Now;
        }
        self.held_up.fetch_add(1, Ordering::Relaxed);
        let turn = if stage == Stage::Waits { self.line.join(whose, || self.stage() == Stage::Waits) } else { None };
        turn.map_or(Begin::Never, Begin::Later)
    }

    /// Work that may go on, to be counted until it [ends](Self::end).
    pub(super) fn resume(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn takes_room(&self) -> bool {
        let take = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// That not all may begin is found out by whoever comes next, for a look at a wait ends no sooner than the wait.
    fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 if self.under_way() >= FEW && self.long.lasts(Moment::now) => self.hold_up(),
            0 => Stage::Begins,
            1 => Stage::Waits,
            _ => Stage::Refused,
        }
    }

    fn hold_up(&self) -> Stage {
        self.room.store(0, Ordering::Relaxed);
        self.is_behind.store(true, Ordering::Relaxed);
        self.stage.store(Stage::Waits as u8, Ordering::Relaxed);
        // Whoever looks may have thought that nothing begins any more.
        self.disturbed.notify_one();
        Stage::Waits
    }

    /// Pieces of work for which there is something to do now.
    pub(super) fn under_way(&self) -> usize {
        // A pause may be counted a moment after its end.
        let paused = self.paused.load(Ordering::Relaxed);
        usize::try_from(self.admitted().wrapping_sub(paused).cast_signed()).unwrap_or_default()
    }

    /// Pieces of work that have begun and not ended: all of them may go on at once.
    fn admitted(&self) -> usize {
        // In this order: what has ended had begun.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed).wrapping_sub(ended)
    }

    /// A piece of work waits for others, and [goes on](Self::go_on) before it ends.
    pub(super) fn pause(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    /// What a piece of work has waited for has come.
    pub(super) fn go_on(&self) {
        self.paused.fetch_sub(1, Ordering::Relaxed);
    }

    /// A piece of work is done, or waits for nothing but others from now on. The next may take its place.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Release);
        if self.stage.load(Ordering::Relaxed) == Stage::Begins as u8 {
            return;
        }
        if !self.is_behind.load(Ordering::Relaxed) {
            self.room.fetch_add(self.line.let_in(1), Ordering::Relaxed);
        } else if self.admitted() < FEWEST {
            self.line.let_in(1);
        }
    }

    /// Measures until it is stopped.
    pub(super) async fn watch(&self, stop: CancellationToken) {
        let (mut held, mut ended_before) = (None::<(Inflow, Trend)>, 0);
        loop {
            let Some((delay, now)) = stop.run_until_cancelled(self.measure(held.is_some())).await else { return };
            let all_ended = self.ended.load(Ordering::Relaxed);
            let ended = all_ended.wrapping_sub(std::mem::replace(&mut ended_before, all_ended));
            let came = self.came.swap(0, Ordering::Relaxed);
            let held_up = self.held_up.swap(0, Ordering::Relaxed);
            let stage = self.stage.load(Ordering::Relaxed);
            if stage == Stage::Begins as u8 {
                continue;
            }
            let workers = || Handle::current().metrics().num_workers();
            let (inflow, trend) = held.get_or_insert_with(|| (Inflow::begun(now, workers()), Trend::begun(now)));
            let may = inflow.look(Look { delay, now, ended, held_up });
            let waiting = self.line.count();
            if inflow.is_over() && waiting == 0 {
                self.let_all_in(stage);
                held = None;
                continue;
            }
            self.let_in(may, inflow.most());
            if stage == Stage::Waits as u8 && trend.look(now, waiting, came, ended) {
                self.stage.store(Stage::Refused as u8, Ordering::Relaxed);
                self.line.close();
                tracing::info!(waiting, "there is more work than can be done: some is refused");
            }
        }
    }

    /// How long what is ready waits for its turn now, by the process's own work. While nothing begins there is nothing to
    /// measure.
    async fn measure(&self, is_held_up: bool) -> (Duration, Moment) {
        if !is_held_up && self.is_quiet.swap(true, Ordering::Relaxed) {
            self.disturbed.notified().await;
        }
        sleep(if is_held_up { OFTEN } else { EVERY }).await;
        let since = Moment::now();
        self.long.begins(since);
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
        let now = Moment::now();
        let delay = now.own_since(since);
        if delay <= TOLERABLE {
            self.long.is_over();
        }
        (delay, now)
    }

    /// Makes room for so much, at most for so many in all: what was not taken is not saved up.
    fn let_in(&self, may: May, most: usize) {
        self.is_behind.store(may == May::Nothing, Ordering::Relaxed);
        let left = if let May::Replace(more) = may { self.line.let_in(more) } else { 0 };
        let room = |room: usize| Some(if may == May::Nothing { 0 } else { most.min(room + left) });
        let _ = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
    }

    /// Nothing is held up any more.
    fn let_all_in(&self, stage: u8) {
        self.long.is_over();
        self.stage.store(Stage::Begins as u8, Ordering::Relaxed);
        // Whoever came meanwhile.
        self.line.let_in(usize::MAX);
        if stage == Stage::Refused as u8 {
            tracing::info!("nothing is refused any more");
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A moment, and what the process had used of the processors by then.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    cpu: Duration,
}

impl Moment {
    fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time() }
    }

    /// How much of the time since then the process itself can have caused: what passes while others have the
    /// processors is not its doing.
    fn own_since(self, before: Self) -> Duration {
        (self.at - before.at).min(self.cpu.saturating_sub(before.cpu))
    }

    /// How many processors the process has used since then, on average.
    fn work_since(self, before: Self) -> f64 {
        let passed = (self.at - before.at).as_secs_f64();
        if passed > 0.0 { self.cpu.saturating_sub(before.cpu).as_secs_f64() / passed } else { 0.0 }
    }
}

/// What the process has used of the processors. A system that can't tell has used none, and then nothing is refused.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
impl Load {
    /// As if there were too much work.
    pub(super) fn refuse_all(&self) {
        self.stage.store(Stage::Refused as u8, Ordering::Relaxed);
        self.is_behind.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load of which so much is under way.
    fn load(under_way: usize, stage: Stage) -> Load {
        let load = Load::default();
        (0..under_way).for_each(|_| load.resume());
        load.stage.store(stage as u8, Ordering::Relaxed);
        load
    }

    fn begins(load: &Load) -> bool {
        matches!(load.begin(None), Begin::Now)
    }

    #[test]
    fn a_piece_of_work_takes_the_place_of_one_that_ends_unless_what_is_left_waits_too_long() {
        let load = load(9, Stage::Refused);
        assert!(load.is_full() && !begins(&load));
        load.end();
        assert!(!load.is_full() && begins(&load) && !begins(&load));
        load.let_in(May::Nothing, 9);
        load.end();
        assert!(!begins(&load));
        load.let_in(May::Replace(1), 9);
        load.end();
        assert!(begins(&load) && begins(&load) && !begins(&load));
    }

    #[test]
    fn room_that_was_not_taken_is_not_saved_up() {
        let load = load(FEWEST, Stage::Refused);
        (0..100).for_each(|_| load.let_in(May::Replace(2), 5));
        assert_eq!((0..100).filter(|_| begins(&load)).count(), 5);
        (0..100).for_each(|_| load.let_in(May::Replace(2), 5));
        load.let_in(May::Nothing, 5);
        assert!(load.is_full());
    }

    #[test]
    fn there_is_always_something_to_do_however_much_is_refused() {
        let load = load(FEWEST, Stage::Refused);
        load.let_in(May::Nothing, 9);
        load.end();
        assert!(!load.is_full() && begins(&load) && !begins(&load));
    }

    #[test]
    fn what_waits_takes_the_place_of_what_ends_and_is_refused_or_let_in_with_all_others() {
        let join = |load: &Load| match load.begin(None) {
            Begin::Later(turn) => turn,
            _ => panic!("it does not wait"),
        };
        let load = load(9, Stage::Waits);
        let (mut first, mut second) = (join(&load), join(&load));
        load.end();
        assert!(first.try_recv().is_ok() && !begins(&load));
        load.let_in(May::Nothing, 9);
        load.end();
        assert!(second.try_recv().is_err());
        load.let_all_in(Stage::Waits as u8);
        assert!(second.try_recv().is_ok() && begins(&load));
    }

    /// As after a wait that has been too long.
    fn waited(load: &Load) {
        load.long.since.store(1, Ordering::Relaxed);
        let ended = Instant::now() + LASTING;
        while Instant::now() < ended {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn few_pieces_of_work_are_never_too_many() {
        let (few, many) = (load(FEW - 1, Stage::Begins), load(FEW, Stage::Begins));
        [&few, &many].into_iter().for_each(waited);
        assert!(begins(&few));
        assert!(matches!(many.begin(None), Begin::Later(_)) && !many.is_full());
    }

    #[test]
    fn what_waits_for_others_does_not_take_away_what_is_never_too_many() {
        let load = load(2 * FEW - 1, Stage::Begins);
        (0..FEW).for_each(|_| load.pause());
        waited(&load);
        assert!(begins(&load), "so many have something to do, and no more");
        load.go_on();
        assert!(!begins(&load));
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
