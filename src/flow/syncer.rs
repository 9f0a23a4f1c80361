//! The thread that puts batches on the disk, so that the writer never waits for it.

use super::health::{Fault, Health};
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that a power cut can take.
const INTERVAL: Duration = Duration::from_secs(1);

/// Files with bytes that are not on the disk yet.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Arc<File>>,
    closing: bool,
}

impl Unsynced {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `file` was written to.
    pub(super) fn note(&self, file: &Arc<File>) {
        let mut state = self.lock();
        if !state.files.iter().any(|noted| Arc::ptr_eq(noted, file)) {
            state.files.push(Arc::clone(file));
            self.wake.notify_one();
        }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    /// Syncs what was noted, at most once in [`INTERVAL`]; returns when closed.
    pub(super) fn run(&self, health: &Health) {
        loop {
            let mut state = self.lock();
            while state.files.is_empty() && !state.closing {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let files = std::mem::take(&mut state.files);
            let closing = state.closing;
            drop(state);
            let failed = sync_all(files);
            health.set(Fault::Sync, !failed.is_empty());
            if closing {
                return;
            }
            let mut state = self.lock();
            state.files.extend(failed);
            let wait = self.wake.wait_timeout_while(state, INTERVAL, |state| !state.closing);
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Syncs each file; those that failed.
fn sync_all(mut files: Vec<Arc<File>>) -> Vec<Arc<File>> {
    files.retain(|file| {
        let result = file.sync_data();
        if let Err(error) = &result {
            tracing::error!(%error, "the journal can't be synced to the disk");
        }
        // Pipes and character devices have no disk behind them.
        result.is_err_and(|error| error.kind() != io::ErrorKind::InvalidInput)
    });
    files
}
