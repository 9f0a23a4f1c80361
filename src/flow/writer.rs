//! The thread that alone writes the file: takes the batch, chains it, writes it in one call, tells who waits.

use super::chain::{self, Link};
use super::file::{LiveFile, Resumed};
use super::health::Fault;
use super::journal::Shared;
use super::json::Object;
use super::queue::Batch;
use super::settings::Durability;
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Between two attempts at a batch that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// Capacity that outlives a burst.
const KEPT: usize = 512 << 10;

pub(super) struct Writer {
    shared: Arc<Shared>,
    file: LiveFile,
    durability: Durability,
    /// The record before the next one.
    last: Link,
    batch: Batch,
    /// The batch as lines.
    out: Vec<u8>,
    /// The number of its first line.
    first: u64,
    /// Bytes of a cut line that are to be noted first.
    dropped: u64,
    rotate_at: u64,
}

/// The last words of the thread, however it ends: nothing is recorded any more.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.queue.order_close();
        self.0.unsynced.close();
        if std::thread::panicking() {
            self.0.health.set(Fault::Write, true);
        }
        self.0.health.set(Fault::Closed, true);
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, file: LiveFile, resumed: Resumed, durability: Durability) -> Self {
        let rotate_at = shared.bounds.rotate_at;
        let Resumed { last, dropped } = resumed;
        let (batch, out) = (Batch::default(), Vec::new());
        Self { shared, file, durability, last, batch, out, first: last.seq + 1, dropped, rotate_at }
    }

    pub(super) fn run(self) {
        let _ending = Ending(Arc::clone(&self.shared));
        // Ends with the file and its lock let go, so that whoever saw the journal closed can open it.
        self.work();
    }

    fn work(mut self) {
        if self.dropped > 0 {
            self.seal_note();
            if !self.write() {
                return;
            }
        }
        loop {
            let orders = self.shared.queue.take(&mut self.batch);
            if orders.reopen {
                self.reopen();
            }
            if self.batch.len() > 0 {
                self.seal();
                if !self.write() {
                    return;
                }
                self.shared.queue.done(&mut self.batch);
                self.shared.health.written.tell(orders.ticket);
                self.tell();
                self.rotate();
            } else if orders.closing {
                self.shared.health.set(Fault::Sync, self.file.sync().is_err());
                return;
            }
        }
    }

    /// The batch as the chain's next lines.
    fn seal(&mut self) {
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.first = self.last.seq + 1;
        for body in self.batch.bodies() {
            self.last = chain::seal(&mut self.out, &self.last, body);
        }
    }

    fn seal_note(&mut self) {
        let mut body = Vec::new();
        Object::write(&mut body, |note| {
            note.time("ts", Timestamp::now());
            note.text("kind", "note");
            note.text("note", "cut_line");
            note.number("dropped_bytes", self.dropped);
        });
        self.first = self.last.seq + 1;
        self.last = chain::seal(&mut self.out, &self.last, &body);
        tracing::warn!(bytes = self.dropped, "the journal's last line was cut; it is kept in flows.cut");
    }

    /// Writes the lines, again each second until it succeeds. Gives up only when the journal closes.
    fn write(&mut self) -> bool {
        let (mut done, mut is_last_try) = (0, false);
        loop {
            self.shared.health.writing(true);
            let outcome = self.put(&mut done);
            self.shared.health.writing(false);
            let Err(error) = outcome else {
                self.shared.health.set(Fault::Write, false);
                return true;
            };
            tracing::error!(%error, "the journal can't be written; no flow passes until it can");
            self.shared.health.set(Fault::Write, true);
            if is_last_try {
                tracing::error!(
                    records = self.batch.len(),
                    "records are lost: the journal closes and can't be written"
                );
                return false;
            }
            is_last_try = self.shared.queue.pause(RETRY);
        }
    }

    fn put(&mut self, done: &mut usize) -> io::Result<()> {
        self.file.append(&self.out, done, self.first)?;
        match (self.durability, self.file.file()) {
            (Durability::Each, _) => self.file.sync()?,
            (Durability::Batched, Some(file)) if self.file.is_regular() => self.shared.unsynced.note(file),
            (Durability::Batched, _) => {}
        }
        Ok(())
    }

    /// Tells those who watch, if any do.
    fn tell(&self) {
        if self.shared.lines.receiver_count() == 0 {
            return;
        }
        for line in self.out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if let Ok(line) = std::str::from_utf8(line) {
                // An error says that the last watcher has left.
                let _ = self.shared.lines.send(line.into());
            }
        }
    }

    fn rotate(&mut self) {
        match self.file.rotate_at(self.rotate_at) {
            Ok(false) => {}
            Ok(true) => self.rotate_at = self.shared.bounds.rotate_at,
            Err(error) => {
                tracing::warn!(%error, "the journal's file can't be moved aside; it grows on");
                self.rotate_at = self.rotate_at.saturating_add(self.shared.bounds.rotate_at / 16);
            }
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.file.reopen() {
            // The next write tries again, and tells health.
            tracing::error!(%error, "the journal's file can't be reopened");
        }
    }
}
