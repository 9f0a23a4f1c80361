//! The connections that are open, and which of them makes room for the next.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// A connection by what it does: its place among those that wait for a request, or one of these.
const AT_WORK: u64 = 0;
const GONE: u64 = u64::MAX;

/// The connections that are open, as the listener has them.
#[derive(Debug, Default)]
pub(super) struct Callers {
    open: Vec<(Caller, JoinHandle<()>)>,
    places: Arc<AtomicU64>,
}

/// One connection. From one request's answer to the next request's head it waits, and can be closed for another.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    doing: Arc<AtomicU64>,
    places: Arc<AtomicU64>,
}

/// A request under way: dropped when its answer was handed over.
#[derive(Debug)]
#[must_use = "the connection waits for its next request when this is dropped"]
pub(super) struct AtWork(Caller);

impl Callers {
    /// One more, which waits for its first request.
    pub(super) fn next(&self) -> Caller {
        let caller = Caller { doing: Arc::default(), places: Arc::clone(&self.places) };
        caller.wait();
        caller
    }

    /// Remembers the task that serves a connection.
    pub(super) fn serve(&mut self, caller: Caller, task: JoinHandle<()>) {
        self.open.push((caller, task));
    }

    /// How many are open.
    pub(super) fn count(&mut self) -> usize {
        self.open.retain(|(_, task)| !task.is_finished());
        self.open.len()
    }

    /// Closes the one that has waited longest for a request. False: all are being answered.
    pub(super) async fn make_room(&mut self) -> bool {
        loop {
            let waiting =
                self.open.iter().enumerate().map(|(at, (caller, _))| (caller.doing.load(Ordering::Acquire), at));
            let Some((place, at)) = waiting.filter(|(doing, _)| *doing != AT_WORK).min() else { return false };
            // Its request may have come this moment.
            if self.open[at].0.change(place, GONE) {
                let (_, task) = self.open.swap_remove(at);
                task.abort();
                // Its descriptor is free when the task is over.
                let _ = task.await;
                return true;
            }
        }
    }
}

impl Caller {
    /// A request has come. An error where the connection was closed for another a moment ago.
    pub(super) fn begin(&self) -> io::Result<AtWork> {
        let place = self.doing.load(Ordering::Acquire);
        if place != GONE && self.change(place, AT_WORK) {
            Ok(AtWork(self.clone()))
        } else {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }

    fn change(&self, from: u64, to: u64) -> bool {
        self.doing.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// It goes to the end of those that wait.
    fn wait(&self) {
        self.doing.store(self.places.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Release);
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn open(callers: &mut Callers) -> Caller {
        let caller = callers.next();
        callers.serve(caller.clone(), tokio::spawn(pending()));
        caller
    }

    #[tokio::test]
    async fn the_one_that_has_waited_longest_makes_room_and_none_that_is_being_answered() {
        let mut callers = Callers::default();
        let (first, second, third) = (open(&mut callers), open(&mut callers), open(&mut callers));
        let answering = second.begin().unwrap();
        drop(first.begin().unwrap());
        assert!(callers.make_room().await);
        assert!(third.begin().is_err(), "it had waited longer than the first, which has been answered since");
        assert!(callers.make_room().await && first.begin().is_err());
        assert!(!callers.make_room().await, "the last one is being answered");
        drop(answering);
        assert!(callers.make_room().await && second.begin().is_err());
        assert_eq!(callers.count(), 0);
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_takes_no_place() {
        let mut callers = Callers::default();
        let caller = callers.next();
        let task = tokio::spawn(async {});
        while !task.is_finished() {
            tokio::task::yield_now().await;
        }
        callers.serve(caller, task);
        assert_eq!(callers.count(), 0);
        assert!(!callers.make_room().await);
    }
}
