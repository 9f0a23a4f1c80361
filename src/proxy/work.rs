//! A piece of work: whether it counts as under way, or waits for others.

use super::admission::Admission;
use super::error::Error;
use super::interrupt::Interrupt;
use crate::session::SessionId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How long after a tunnel was opened its first request is still part of that. Later it is new: whoever opens tunnels in
/// advance can't send through all of them while others are refused.
const SOON: Duration = Duration::from_secs(1);

/// A piece of work that may begin: under way until it is [done](Self::done), or dropped.
#[derive(Debug)]
#[must_use = "the work counts as done when this is dropped"]
pub(super) struct Work {
    admission: Arc<Admission>,
    is_done: AtomicBool,
}

/// Work that waits for its client: a tunnel is open, and worth nothing without its handshake and its first request.
#[derive(Debug)]
pub(super) struct Rest {
    admission: Arc<Admission>,
    until: Instant,
}

impl Work {
    /// Work that counts as under way already.
    pub(super) fn begun(admission: &Arc<Admission>) -> Self {
        Self { admission: Arc::clone(admission), is_done: AtomicBool::new(false) }
    }

    /// Nothing is left to be done, or nothing until others have done theirs.
    pub(super) fn done(&self) {
        if !self.is_done() && !self.is_done.swap(true, Ordering::Relaxed) {
            self.admission.load.end();
        }
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    /// A part of it that may have to wait: for the client, an origin, a name server. To wait is no work: whoever does
    /// not send on, and whose origin does not answer, would take from the others the work below which none is held up.
    pub(super) fn part<P: Future + Unpin>(&self, part: P) -> Part<'_, P> {
        Part { work: self, part, turn: None }
    }

    /// The client is waited for, which is no work. What it sends soon was admitted with this.
    pub(super) fn rest(self) -> Rest {
        Rest { admission: Arc::clone(&self.admission), until: Instant::now() + SOON }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.done();
    }
}

impl Rest {
    /// The work goes on. After a long rest it is new work.
    pub(super) async fn over(self, whose: Option<&SessionId>, interrupt: &mut Interrupt) -> Result<Work, Error> {
        if Instant::now() > self.until {
            return self.admission.work(whose, interrupt).await;
        }
        self.admission.load.resume();
        Ok(Work::begun(&self.admission))
    }
}

/// A part of a piece of work: under way whenever there is something to do, which is from when it is woken on and not
/// from when it has its turn.
#[must_use = "nothing is done unless it is awaited"]
pub(super) struct Part<'a, P> {
    work: &'a Work,
    part: P,
    turn: Option<Turn>,
}

impl<P: Future + Unpin> Future for Part<'_, P> {
    type Output = P::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<P::Output> {
        let Self { work, part, turn } = &mut *self;
        if !turn.as_ref().is_some_and(|turn| turn.is_of(cx.waker())) {
            *turn = Some(Turn::new(&work.admission, cx.waker()));
        }
        let Some(turn) = turn else { return Poll::Pending };
        turn.waits.go_on(AT_WORK);
        let polled = Pin::new(part).poll(&mut Context::from_waker(&turn.waker));
        if polled.is_pending() && !work.is_done() {
            turn.waits.begin();
        }
        polled
    }
}

/// Who is woken when what a part waits for has come.
struct Turn {
    waits: Arc<Waits>,
    /// The same as what is left with those that are waited for.
    waker: Waker,
}

/// Whether a part waits.
struct Waits {
    admission: Arc<Admission>,
    task: Waker,
    state: AtomicU8,
}

/// It has its turn.
const AT_WORK: u8 = 0;
/// It was woken, in its turn or before it.
const WOKEN: u8 = 1;
const WAITS: u8 = 2;

impl Turn {
    fn new(admission: &Arc<Admission>, task: &Waker) -> Self {
        let state = AtomicU8::new(AT_WORK);
        let waits = Arc::new(Waits { admission: Arc::clone(admission), task: task.clone(), state });
        Self { waker: Waker::from(Arc::clone(&waits)), waits }
    }

    fn is_of(&self, task: &Waker) -> bool {
        self.waits.task.will_wake(task)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Some of those that were waited for may keep the waker.
        self.waits.go_on(WOKEN);
    }
}

impl Waits {
    fn begin(&self) {
        // Unless it was woken in its turn: there is more to do at once.
        if self.state.compare_exchange(AT_WORK, WAITS, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.admission.load.pause();
        }
    }

    fn go_on(&self, state: u8) {
        if self.state.swap(state, Ordering::AcqRel) == WAITS {
            self.admission.load.go_on();
        }
    }
}

impl Wake for Waits {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.go_on(WOKEN);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::wire::Descriptors;
    use std::future::{pending, poll_fn};
    use tokio::sync::oneshot;
    use tokio_util::sync::CancellationToken;

    fn interrupt() -> Interrupt {
        let never = CancellationToken::new;
        Interrupt::new(never(), never(), never())
    }

    #[tokio::test]
    async fn what_follows_soon_after_a_rest_is_the_same_work_and_the_rest_itself_is_none() {
        let (admission, mut interrupt) = (Admission::new(Descriptors::of_process()), interrupt());
        let _others = (admission.work(None, &mut interrupt).await, admission.work(None, &mut interrupt).await);
        let mut rest = admission.work(None, &mut interrupt).await.unwrap().rest();
        assert_eq!(admission.under_way(), 2);
        admission.load.refuse_all();
        assert_eq!(admission.work(None, &mut interrupt).await.unwrap_err().denial().reason, Reason::Overloaded);
        let work = rest.over(None, &mut interrupt).await.unwrap();
        assert_eq!(admission.under_way(), 3);
        rest = work.rest();
        rest.until -= SOON * 2;
        assert_eq!(rest.over(None, &mut interrupt).await.unwrap_err().denial().reason, Reason::Overloaded);
    }

    /// Polls it once.
    async fn poll<T>(part: &mut Part<'_, impl Future<Output = T> + Unpin>) -> Poll<T> {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *part).poll(cx))).await
    }

    #[tokio::test]
    async fn a_part_that_waits_is_no_work_until_what_it_waits_for_has_come() {
        let admission = Admission::new(Descriptors::of_process());
        let work = admission.work(None, &mut interrupt()).await.unwrap();
        let (come, waited) = oneshot::channel();
        let mut part = work.part(waited);
        assert_eq!(admission.under_way(), 1);
        assert!(poll(&mut part).await.is_pending());
        assert_eq!(admission.under_way(), 0);
        come.send(7).unwrap();
        assert_eq!(admission.under_way(), 1, "it is ready, and waits for its turn");
        assert_eq!(poll(&mut part).await, Poll::Ready(Ok(7)));
        drop(part);
        assert_eq!(admission.under_way(), 1);
        drop(work);
        assert_eq!(admission.under_way(), 0);
    }

    #[tokio::test]
    async fn a_part_that_makes_way_for_others_goes_on_to_count() {
        let admission = Admission::new(Descriptors::of_process());
        let work = admission.work(None, &mut interrupt()).await.unwrap();
        let make_way = poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let mut part = work.part(make_way);
        assert!(poll(&mut part).await.is_pending());
        assert_eq!(admission.under_way(), 1);
    }

    #[tokio::test]
    async fn a_part_that_is_given_up_and_one_that_outlives_its_work_count_once() {
        let admission = Admission::new(Descriptors::of_process());
        let work = admission.work(None, &mut interrupt()).await.unwrap();
        let mut given_up = work.part(pending::<()>());
        assert!(poll(&mut given_up).await.is_pending());
        drop(given_up);
        assert_eq!(admission.under_way(), 1);
        let mut rest = work.part(pending::<()>());
        work.done();
        assert!(poll(&mut rest).await.is_pending());
        assert_eq!(admission.under_way(), 0);
        drop(rest);
        drop(work);
        assert_eq!(admission.under_way(), 0);
    }
}
