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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
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
    /// It is refused, unless there is room, or it is all that its session has: then it waits.
    Refused,
}

/// Whose a piece of work is, where that is known.
#[derive(Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) id: &'a SessionId,
    /// How many of the session's pieces of work are under way.
    pub(super) under_way: &'a Arc<AtomicU32>,
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
    /// Whether whoever comes now is refused, as long as nobody knows who it is.
    pub(super) fn is_full(&self) -> bool {
        let is_full =
            self.stage() == Stage::Refused && self.room.load(Ordering::Relaxed) == 0 && self.admitted() >= FEWEST;
        if is_full {
            self.held_up.fetch_add(1, Ordering::Relaxed);
        }
        is_full
    }

    /// Whether a piece of work of theirs may begin, which is counted then until it [ends](Self::end).
    pub(super) fn begin(&self, whose: Option<Whose<'_>>) -> Begin {
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
        let has_nothing = whose.is_some_and(|whose| whose.under_way.load(Ordering::Relaxed) == 0);
        let may = |waiting: usize| match self.stage() {
            Stage::Begins => false,
            Stage::Waits => true,
            Stage::Refused => has_nothing && waiting == 0,
        };
        match self.line.join(whose.map(|whose| whose.id), may) {
            Some(turn) => Begin::Later(turn),
            // All were let in at this moment.
            None if self.stage() == Stage::Begins => {
                self.resume();
                Begin::Now
            }
            None => Begin::Never,
        }
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
                self.line.thin_out();
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
mod tests;
