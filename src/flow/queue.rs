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
        if self.bytes.capacity() > 4 << 20 {
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
    writer_waits: bool,
    reopen: bool,
    closing: bool,
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

    /// Adds one record; its ticket, or nothing once the journal closes. Never refuses for fullness: who got
    /// a recorder also gets its record in.
    pub(super) fn append(&self, body: &[u8]) -> Option<u64> {
        let mut pending = self.lock();
        if pending.closing {
            return None;
        }
        pending.batch.push(body);
        pending.appended += 1;
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(body.len(), Ordering::Relaxed);
        let ticket = pending.appended;
        let wake = std::mem::take(&mut pending.writer_waits);
        drop(pending);
        if wake {
            self.wake.notify_one();
        }
        Some(ticket)
    }

    /// Whether new flows must be refused.
    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        self.records.load(Ordering::Relaxed) >= bounds.records || self.bytes.load(Ordering::Relaxed) >= bounds.bytes
    }

    /// Waits for something to do and swaps what waits into `batch`, whose old content is done with.
    pub(super) fn take(&self, batch: &mut Batch) -> Orders {
        self.records.fetch_sub(batch.ends.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(batch.bytes.len(), Ordering::Relaxed);
        batch.clear();
        let mut pending = self.lock();
        while pending.batch.ends.is_empty() && !pending.reopen && !pending.closing {
            pending.writer_waits = true;
            pending = self.wake.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.writer_waits = false;
        std::mem::swap(batch, &mut pending.batch);
        Orders { ticket: pending.appended, reopen: std::mem::take(&mut pending.reopen), closing: pending.closing }
    }

    /// Waits before a retry, or until the journal closes; whether it does.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut pending = self.lock();
        while !pending.closing {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_the_order_and_the_bounds_count_until_it_is_done() {
        let (queue, bounds) = (Queue::new(), Bounds { records: 2, ..Bounds::default() });
        assert_eq!((queue.append(b"one"), queue.append(b"two")), (Some(1), Some(2)));
        let mut batch = Batch::default();
        let orders = queue.take(&mut batch);
        assert_eq!(orders.ticket, 2);
        assert_eq!(batch.bodies().collect::<Vec<_>>(), [b"one", b"two"]);
        assert!(queue.is_full(&bounds), "the batch is not written yet");
        queue.order_reopen();
        assert!(queue.take(&mut batch).reopen);
        assert!(!queue.is_full(&bounds));
    }

    #[test]
    fn a_closing_queue_takes_no_more() {
        let queue = Queue::new();
        queue.order_close();
        assert_eq!(queue.append(b"late"), None);
        assert!(queue.pause(Duration::from_secs(3_600)));
        assert!(queue.take(&mut Batch::default()).closing);
    }
}
