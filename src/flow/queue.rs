//! What waits for the writer: one batch that finishing flows append to, swapped out whole.

use super::settings::Bounds;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bodies of records, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn push(&mut self, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn clear(&mut self) {
        // A burst's memory is given back.
        if self.bytes.capacity() > 512 << 10 {
            *self = Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

/// The queue between finishing flows and the writer's thread.
#[derive(Debug)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    wake: Condvar,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    appended: u64,
    /// Whether someone waits for a record of the batch.
    is_urgent: bool,
    writer: Waits,
    /// When the writer last took a batch, and whether that was soon after the one before.
    taken: Option<Instant>,
    is_quick: bool,
    reopen: bool,
    closing: bool,
}

/// What the writer's thread waits for. Waking a thread costs a flow more than its whole record does, so under
/// load nobody wakes the writer: it comes back by itself.
#[derive(Clone, Copy, Debug, Default)]
enum Waits {
    /// Nothing: it is at work.
    #[default]
    No,
    /// For any record.
    Any,
    /// For an urgent record, or until [`LINGER`] has gone by.
    Urgent,
}

/// Whether a record wakes the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// If it waits for any.
    Writer,
    /// Not yet: [`Queue::urge`] follows.
    Nobody,
}

/// How long records gather behind a batch unless one of them is waited for.
const LINGER: Duration = Duration::from_millis(1);

/// They gather only while batches follow each other this soon: where they are rare, the end of each such wait would be
/// one more waking of a thread.
const SOON: Duration = Duration::from_micros(1_500);

/// Records that are not left to gather any longer.
const GATHERED: usize = 256;

impl Pending {
    fn is_due(&self) -> bool {
        self.is_urgent || self.reopen || self.closing || self.batch.len() >= GATHERED
    }

    fn is_empty(&self) -> bool {
        self.batch.len() == 0 && !self.reopen && !self.closing
    }
}

/// What the writer is to do next, beside the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    /// The ticket of the batch's last record.
    pub(super) ticket: u64,
    pub(super) reopen: bool,
    pub(super) closing: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            pending: Mutex::default(),
            wake: Condvar::new(),
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Nothing that runs under the lock panics halfway, so a poisoned one holds a whole state.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one record; its ticket, or nothing once the journal closes. Never refuses for fullness: who got a recorder
    /// also gets its record in.
    pub(super) fn append(&self, body: &[u8], wake: Wake) -> Option<u64> {
        let mut pending = self.lock();
        if pending.closing {
            return None;
        }
        pending.batch.push(body);
        pending.appended += 1;
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(body.len(), Ordering::Relaxed);
        let ticket = pending.appended;
        if wake == Wake::Writer {
            self.rouse(pending);
        }
        Some(ticket)
    }

    /// Someone waits for this record.
    pub(super) fn urge(&self, ticket: u64) {
        let mut pending = self.lock();
        // What is no more in the batch is being written.
        if ticket + pending.batch.len() as u64 > pending.appended {
            pending.is_urgent = true;
            self.rouse(pending);
        }
    }

    fn rouse(&self, mut pending: MutexGuard<'_, Pending>) {
        let wakes = match pending.writer {
            Waits::No => false,
            Waits::Any => true,
            Waits::Urgent => pending.is_due(),
        };
        if wakes {
            pending.writer = Waits::No;
        }
        drop(pending);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Records that are not written yet.
    pub(super) fn len(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// Whether new flows must be refused.
    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        self.len() >= bounds.records || self.bytes.load(Ordering::Relaxed) >= bounds.bytes
    }

    /// What is in `batch` is done with: there is room for as much again. Before anybody is told that it is written, or
    /// whoever waits for room would look for it too early, and wait for a record that may never come.
    pub(super) fn done(&self, batch: &mut Batch) {
        self.records.fetch_sub(batch.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
        batch.clear();
    }

    /// Waits for something to do and swaps what waits into `batch`, which is empty.
    pub(super) fn take(&self, batch: &mut Batch) -> Orders {
        let mut pending = self.lock();
        if pending.is_quick {
            pending = self.linger(pending);
        }
        while pending.is_empty() {
            pending.writer = Waits::Any;
            pending = self.wake.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.writer = Waits::No;
        pending.is_urgent = false;
        let now = Instant::now();
        pending.is_quick = pending.taken.is_some_and(|taken| now.duration_since(taken) < SOON);
        pending.taken = Some(now);
        std::mem::swap(batch, &mut pending.batch);
        Orders { ticket: pending.appended, reopen: std::mem::take(&mut pending.reopen), closing: pending.closing }
    }

    fn linger<'a>(&'a self, mut pending: MutexGuard<'a, Pending>) -> MutexGuard<'a, Pending> {
        let end = Instant::now() + LINGER;
        while !pending.is_due() {
            let Some(left) = left_until(end) else { break };
            pending.writer = Waits::Urgent;
            pending = self.wake.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        pending
    }

    /// Waits before a retry, or until the journal closes; whether it does.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut pending = self.lock();
        while !pending.closing {
            let Some(left) = left_until(end) else { break };
            pending = self.wake.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        pending.closing
    }

    pub(super) fn order_reopen(&self) {
        self.lock().reopen = true;
        self.wake.notify_all();
    }

    pub(super) fn order_close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }
}

fn left_until(end: Instant) -> Option<Duration> {
    end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_the_order_and_the_bounds_count_until_it_is_done() {
        let (queue, bounds) = (Queue::new(), Bounds { records: 2, ..Bounds::default() });
        assert_eq!((queue.append(b"one", Wake::Writer), queue.append(b"two", Wake::Writer)), (Some(1), Some(2)));
        let mut batch = Batch::default();
        let orders = queue.take(&mut batch);
        assert_eq!(orders.ticket, 2);
        assert_eq!(batch.bodies().collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(queue.is_full(&bounds), "the batch is not written yet");
        queue.done(&mut batch);
        assert!(!queue.is_full(&bounds));
        queue.order_reopen();
        assert!(queue.take(&mut batch).reopen);
    }

    #[test]
    fn a_record_that_is_waited_for_does_not_gather() {
        let queue = Queue::new();
        let mut batch = Batch::default();
        for body in [b"first", b"other"] {
            queue.append(body, Wake::Writer);
            queue.take(&mut batch);
            queue.done(&mut batch);
        }
        queue.lock().is_quick = true;
        queue.append(b"gathers", Wake::Writer);
        let began = Instant::now();
        assert_eq!((queue.take(&mut batch).ticket, began.elapsed() >= LINGER), (3, true));
        queue.done(&mut batch);
        queue.lock().is_quick = true;
        let ticket = queue.append(b"urgent", Wake::Nobody).unwrap();
        assert!(!queue.lock().is_due());
        queue.urge(ticket);
        assert!(queue.lock().is_due());
        assert_eq!(queue.take(&mut batch).ticket, 4);
        assert!(!queue.lock().is_due());
        queue.urge(ticket);
        assert!(!queue.lock().is_due(), "it is the writer's already");
    }

    #[test]
    fn records_gather_only_while_batches_follow_each_other_soon() {
        let queue = Queue::new();
        let take = |ago: Duration| {
            queue.lock().taken = Instant::now().checked_sub(ago);
            queue.append(b"one", Wake::Writer);
            queue.take(&mut Batch::default());
            queue.lock().is_quick
        };
        assert!(take(Duration::ZERO));
        assert!(!take(SOON * 100));
    }

    #[test]
    fn a_closing_queue_takes_no_more() {
        let queue = Queue::new();
        queue.order_close();
        assert_eq!(queue.append(b"late", Wake::Writer), None);
        assert!(queue.pause(Duration::from_secs(3_600)));
        assert!(queue.take(&mut Batch::default()).closing);
    }
}
