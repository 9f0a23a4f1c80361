//! The tasks that serve a connection's requests, each of them one after another: what a request registers (a timer, all
//! that ends it from outside) stands for the next one already.

use crate::proxy::interrupt::Interrupt;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
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
pub(super) type Arrived = (Request<RecvStream>, SendResponse<Bytes>);

/// The lanes of one connection. A lane is a task that takes requests until there are none for a while.
#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    /// Requests that were given and have not ended.
    under_way: AtomicUsize,
    ended: AtomicUsize,
}

#[derive(Default)]
struct State {
    given: VecDeque<Arrived>,
    /// The lanes that wait for one.
    idle: Vec<Waker>,
    /// Who waits for a request to end.
    watcher: Option<Waker>,
    is_closed: bool,
}

/// A request under way: it has ended when this is dropped.
#[must_use = "the request counts as ended when this is dropped"]
pub(super) struct UnderWay<'a>(&'a Lanes);

impl Lanes {
    /// Gives a request to a lane that waits for one. False: there is none, and another must be made for it.
    pub(super) fn give(&self, arrived: Arrived) -> bool {
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
    pub(super) async fn next(&self, interrupt: &mut Interrupt) -> Option<(Arrived, UnderWay<'_>)> {
        interrupt.forget_policy();
        interrupt.flow_ended();
        interrupt.arm(IDLE);
        let waited = interrupt.during(poll_fn(|cx| self.poll_next(cx))).await;
        // Whoever was about to leave may have been woken for a request.
        let arrived = if let Ok(arrived) = waited { arrived } else { poll_fn(|cx| self.leave(cx)).await };
        arrived.map(|arrived| (arrived, UnderWay(self)))
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Arrived>> {
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

    fn leave(&self, cx: &Context<'_>) -> Poll<Option<Arrived>> {
        let mut state = self.lock();
        state.idle.retain(|lane| !lane.will_wake(cx.waker()));
        Poll::Ready(state.given.pop_front())
    }

    /// No step under the lock that could panic leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        let watcher = self.0.lock().watcher.take();
        watcher.into_iter().for_each(Waker::wake);
    }
}
