//! Whether the journal can be written, for those who must not go on if it can't.

use super::written::Written;
use crate::reason::Reason;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Why no flow can be recorded now. The flow is refused: [`Reason::LogUnavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// As many records wait as may.
    #[error("too many records wait for the journal")]
    Full,
    /// The last write failed; it is tried again each second.
    #[error("the journal can't be written")]
    Failing,
    /// A write has not returned for two seconds, or a record was not written for as long.
    #[error("the journal's disk does not answer")]
    Stalled,
    /// The gateway is going down.
    #[error("the journal is closed")]
    Closed,
}

impl Unavailable {
    /// The reason of the refusal.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::LogUnavailable
    }
}

/// How long anyone waits for the journal (R9).
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What can be wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Write = 1,
    Sync = 2,
    Closed = 4,
}

#[derive(Debug)]
pub(super) struct Health {
    opened: Instant,
    faults: AtomicU8,
    told: watch::Sender<u8>,
    /// Microseconds from `opened` to the begin of the write that goes on; 0: none does.
    write_began: AtomicU64,
    pub(super) written: Written,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            faults: AtomicU8::new(0),
            told: watch::Sender::new(0),
            write_began: AtomicU64::new(0),
            written: Written::default(),
        }
    }

    /// When the journal was opened.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    pub(super) fn set(&self, fault: Fault, present: bool) {
        self.told.send_if_modified(|faults| {
            let new = if present { *faults | fault as u8 } else { *faults & !(fault as u8) };
            self.faults.store(new, Ordering::Release);
            std::mem::replace(faults, new) != new
        });
        if present {
            self.written.rouse();
        }
    }

    /// Notes that a write begins or has ended.
    pub(super) fn writing(&self, goes_on: bool) {
        let since = if goes_on { super::record::micros(self.opened.elapsed()).max(1) } else { 0 };
        self.write_began.store(since, Ordering::Relaxed);
    }

    /// What is known to be wrong.
    pub(super) fn problem(&self) -> Result<(), Unavailable> {
        problem(self.faults.load(Ordering::Acquire))
    }

    pub(super) fn check(&self) -> Result<(), Unavailable> {
        self.problem()?;
        let began = self.write_began.load(Ordering::Relaxed);
        let stalled = began != 0 && self.opened.elapsed().saturating_sub(Duration::from_micros(began)) > PATIENCE;
        if stalled { Err(Unavailable::Stalled) } else { Ok(()) }
    }

    pub(super) fn watch(&self) -> watch::Receiver<u8> {
        self.told.subscribe()
    }
}

/// What a set of faults means for a flow.
pub(super) fn problem(faults: u8) -> Result<(), Unavailable> {
    match faults {
        0 => Ok(()),
        faults if faults & Fault::Closed as u8 != 0 => Err(Unavailable::Closed),
        _ => Err(Unavailable::Failing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_faults_must_both_go_before_the_journal_is_well() {
        let health = Health::new();
        health.set(Fault::Write, true);
        health.set(Fault::Sync, true);
        health.set(Fault::Write, false);
        assert_eq!(health.check(), Err(Unavailable::Failing));
        health.set(Fault::Sync, false);
        assert_eq!(health.check(), Ok(()));
        health.set(Fault::Closed, true);
        assert_eq!(health.check(), Err(Unavailable::Closed));
    }
}
