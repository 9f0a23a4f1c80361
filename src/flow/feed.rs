//! Records as they are written, for those who watch.

use super::health::{Fault, Health};
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Lines that a watcher may be behind before it misses some: no fewer than one batch can hold.
pub(super) const BACKLOG: usize = 4_096;

/// A subscription to the journal's lines, in their order, from the moment when it was made.
///
/// Never slows the journal: a watcher that falls behind misses lines and is told how many.
#[derive(Debug)]
pub struct Feed {
    lines: broadcast::Receiver<Arc<str>>,
    faults: watch::Receiver<u8>,
}

/// What a [`Feed`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A line of the journal, without its newline.
    Record(Arc<str>),
    /// So many lines were not told.
    Missed(u64),
}

impl Feed {
    pub(super) fn new(lines: broadcast::Receiver<Arc<str>>, health: &Health) -> Self {
        Self { lines, faults: health.watch() }
    }

    /// The next news; nothing once the journal is closed and all was told. Cancel safe.
    pub async fn next(&mut self) -> Option<News> {
        let received = tokio::select! {
            biased;
            received = self.lines.recv() => received,
            _ = self.faults.wait_for(|faults| faults & Fault::Closed as u8 != 0) => match self.lines.try_recv() {
                Ok(line) => Ok(line),
                Err(broadcast::error::TryRecvError::Lagged(missed)) => return Some(News::Missed(missed)),
                Err(_) => return None,
            },
        };
        match received {
            Ok(line) => Some(News::Record(line)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(News::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
