//! Up to which record the journal is written, and who waits for one. Nearly every flow waits, most of them for the same
//! write: each leaves a waker and no more.

use super::health::Unavailable;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(super) struct Written {
    /// The ticket of the last record that is written.
    last: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By the ticket that is waited for.
    flows: Vec<(u64, Waker)>,
    /// Those that are to be woken, while that is done: its memory is used again.
    woken: Vec<Waker>,
}

impl Written {
    /// The ticket of the last record that is written.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    /// All up to this record are written.
    pub(super) fn tell(&self, ticket: u64) {
        self.last.store(ticket, Ordering::Release);
        self.wake(ticket);
    }

    /// Something is wrong: all who wait are to look at it.
    pub(super) fn rouse(&self) {
        self.wake(u64::MAX);
    }

    /// Waits for the record with this ticket, or for what `check` finds wrong. Cancel safe.
    pub(super) async fn wait(
        &self,
        ticket: u64,
        check: impl Fn() -> Result<(), Unavailable>,
    ) -> Result<(), Unavailable> {
        let mut is_known = false;
        poll_fn(|cx| {
            if self.last() >= ticket {
                return Poll::Ready(Ok(()));
            }
            let mut waiting = self.lock();
            // Under the lock: what is written, or goes wrong, from now on wakes whoever is in the list.
            if self.last() >= ticket {
                return Poll::Ready(Ok(()));
            }
            check()?;
            if !is_known || !waiting.knows(ticket, cx) {
                waiting.flows.push((ticket, cx.waker().clone()));
            }
            is_known = true;
            Poll::Pending
        })
        .await
    }

    fn wake(&self, ticket: u64) {
        let mut waiting = self.lock();
        let mut woken = std::mem::take(&mut waiting.woken);
        woken.extend(waiting.flows.extract_if(.., |(waits_for, _)| *waits_for <= ticket).map(|(_, waker)| waker));
        drop(waiting);
        woken.drain(..).for_each(Waker::wake);
        if woken.capacity() <= KEPT {
            self.lock().woken = woken;
        }
    }

    /// No step under the lock that could panic leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakers that there is room for after a burst.
const KEPT: usize = 4096;

impl Waiting {
    fn knows(&self, ticket: u64, cx: &Context<'_>) -> bool {
        self.flows.iter().rev().any(|(waits_for, waker)| *waits_for == ticket && waker.will_wake(cx.waker()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_flow_is_woken_for_its_own_record_and_once_however_often_it_looks() {
        let (written, woken) = (Written::default(), std::sync::Arc::new(Count::default()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut wait = pin!(written.wait(2, || Ok(())));
        for _ in 0..3 {
            assert!(wait.as_mut().poll(&mut cx).is_pending());
        }
        written.tell(1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        written.tell(2);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(wait.poll(&mut cx), Poll::Ready(Ok(())));
    }

    #[test]
    fn what_goes_wrong_is_told_to_all_who_wait_and_not_to_whose_record_is_written() {
        let (written, woken) = (Written::default(), std::sync::Arc::new(Count::default()));
        let (waker, is_wrong) = (Waker::from(woken.clone()), Cell::new(false));
        let mut cx = Context::from_waker(&waker);
        let check = || if is_wrong.get() { Err(Unavailable::Failing) } else { Ok(()) };
        let (mut first, mut second) = (pin!(written.wait(1, check)), pin!(written.wait(2, check)));
        assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
        written.tell(1);
        is_wrong.set(true);
        written.rouse();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert_eq!(first.poll(&mut cx), Poll::Ready(Ok(())));
        assert_eq!(second.poll(&mut cx), Poll::Ready(Err(Unavailable::Failing)));
    }
}
