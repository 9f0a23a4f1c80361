//! The tasks that serve a connection's requests, each of them one after another: what a request registers (a timer, all
//! that ends it from outside) stands for the next one already.

use crate::proxy::interrupt::Interrupt;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Lanes that are kept for requests to come, and for how long: each holds what its largest request did.
const MOST_IDLE: usize = 8;
const IDLE: Duration = Duration::from_secs(2);

/// A request's head, and where its answer goes.
pub(super) type Arrived = (http::Request<RecvStream>, SendResponse<Bytes>);

/// The lanes of one connection. A lane is a task that takes requests until there are none for a while.
pub(super) struct Lanes<Request = Arrived> {
    state: Mutex<State<Request>>,
    /// Requests that were given and have not ended.
    under_way: AtomicUsize,
    ended: AtomicUsize,
}

struct State<Request> {
    given: VecDeque<Request>,
    /// The lanes that wait for one.
    idle: Vec<Waker>,
    /// Who waits for a request to end.
    watcher: Option<Waker>,
    is_closed: bool,
}

/// A request under way: it has ended when this is dropped.
#[must_use = "the request counts as ended when this is dropped"]
pub(super) struct UnderWay<'a, Request = Arrived>(&'a Lanes<Request>);

impl<Request> Default for Lanes<Request> {
    fn default() -> Self {
        let state = State { given: VecDeque::new(), idle: Vec::new(), watcher: None, is_closed: false };
        Self { state: Mutex::new(state), under_way: AtomicUsize::new(0), ended: AtomicUsize::new(0) }
    }
}

impl<Request> Lanes<Request> {
    /// Gives a request to a lane that waits for one. False: there is none, and another must be made for it.
    pub(super) fn give(&self, arrived: Request) -> bool {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let mut state = self.lock();
        state.given.push_back(arrived);
        let lane = state.idle.pop();
        drop(state);
        lane.map(Waker::wake).is_some()
    }

    /// Requests that have not ended.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// How many have ended.
    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }

    /// Ready while fewer than `most` are under way.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>, most: usize) -> Poll<()> {
        if self.under_way() < most {
            return Poll::Ready(());
        }
        self.lock().watcher = Some(cx.waker().clone());
        // One may have ended before it was told whom to wake.
        if self.under_way() < most { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Gives up the lanes that wait; those at work end with their requests.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.into_iter().for_each(Waker::wake);
    }

    /// A lane's next request; nothing: the lane is over. Between two requests a lane has no flow.
    pub(super) async fn next(&self, interrupt: &mut Interrupt) -> Option<(Request, UnderWay<'_, Request>)> {
        interrupt.forget_policy();
        interrupt.flow_ended();
        interrupt.arm(IDLE);
        let waited = interrupt.during(poll_fn(|cx| self.poll_next(cx))).await;
        // Whoever was about to leave may have been woken for a request.
        let arrived = if let Ok(arrived) = waited { arrived } else { poll_fn(|cx| self.leave(cx)).await };
        arrived.map(|arrived| (arrived, UnderWay(self)))
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        let mut state = self.lock();
        if let Some(arrived) = state.given.pop_front() {
            // It may be another lane's that was woken for it: none at work may be taken for one that waits.
            state.idle.retain(|lane| !lane.will_wake(cx.waker()));
            return Poll::Ready(Some(arrived));
        }
        if state.idle.iter().any(|lane| lane.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        if state.is_closed || state.idle.len() >= MOST_IDLE {
            return Poll::Ready(None);
        }
        state.idle.push(cx.waker().clone());
        Poll::Pending
    }

    fn leave(&self, cx: &Context<'_>) -> Poll<Option<Request>> {
        let mut state = self.lock();
        state.idle.retain(|lane| !lane.will_wake(cx.waker()));
        Poll::Ready(state.given.pop_front())
    }

    /// No step under the lock that could panic leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, State<Request>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Request> Drop for UnderWay<'_, Request> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        let watcher = self.0.lock().watcher.take();
        watcher.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    /// Whether a task was woken since it was last polled.
    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A lane's task, polled by hand.
    #[derive(Default)]
    struct Lane {
        woken: Arc<Woken>,
        serves: Option<u32>,
        is_over: bool,
    }

    impl Lane {
        fn new() -> Self {
            Self { woken: Arc::new(Woken(AtomicBool::new(true))), ..Self::default() }
        }

        fn poll(&mut self, lanes: &Lanes<u32>) {
            let waker = Waker::from(Arc::clone(&self.woken));
            self.woken.0.store(false, Ordering::Relaxed);
            // A lane at work waits for other things than requests.
            if self.serves.is_none()
                && let Poll::Ready(arrived) = lanes.poll_next(&mut Context::from_waker(&waker))
            {
                (self.serves, self.is_over) = (arrived, arrived.is_none());
            }
        }

        /// Its patience has ended.
        fn leave(&mut self, lanes: &Lanes<u32>) {
            let waker = Waker::from(Arc::clone(&self.woken));
            if let Poll::Ready(arrived) = lanes.leave(&Context::from_waker(&waker)) {
                (self.serves, self.is_over) = (arrived, arrived.is_none());
            }
        }

        fn waits(&self) -> bool {
            self.serves.is_none() && !self.is_over
        }

        fn is_woken(&self) -> bool {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_lane_that_has_taken_a_request_meant_for_another_is_not_given_one_more() {
        let lanes = Lanes::default();
        let [mut first, mut second] = [Lane::new(), Lane::new()];
        first.poll(&lanes);
        second.poll(&lanes);
        assert!(lanes.give(1) && second.is_woken());
        // Its timer is set: nothing of this connection's.
        first.poll(&lanes);
        assert_eq!(first.serves, Some(1));
        second.poll(&lanes);
        assert!(lanes.give(2) && second.is_woken());
        assert!(!lanes.give(3), "the first is at work, and the second about to be");
    }

    /// Numbers of no meaning, the same each time (xorshift64).
    fn below(state: &mut u64, most: usize) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state % most as u64) as usize
    }

    #[test]
    fn no_request_waits_for_another_s_end_whatever_the_order_of_events() {
        for seed in 1..500_u64 {
            let (mut state, lanes, mut tasks) =
                (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), Lanes::default(), Vec::new());
            for number in 0..300 {
                let at = below(&mut state, tasks.len().max(1));
                match below(&mut state, 8) {
                    0..3 if !lanes.give(number) => tasks.push(Lane::new()),
                    0..3 => {}
                    3..5 => tasks.iter_mut().filter(|lane| lane.is_woken()).take(1).for_each(|lane| lane.poll(&lanes)),
                    // For no reason of the lane's.
                    5 => tasks.get_mut(at).into_iter().for_each(|lane| lane.poll(&lanes)),
                    6 => tasks.get_mut(at).filter(|lane| lane.waits()).into_iter().for_each(|lane| lane.leave(&lanes)),
                    _ => {
                        if let Some(lane) = tasks.get_mut(at)
                            && lane.serves.take().is_some()
                        {
                            lane.poll(&lanes);
                        }
                    }
                }
                tasks.retain(|lane| !lane.is_over);
                let about_to = tasks.iter().filter(|lane| lane.waits() && lane.is_woken()).count();
                assert!(
                    lanes.lock().given.len() <= about_to,
                    "{seed}: a request waits, and no lane is about to take it"
                );
            }
        }
    }
}
