//! The journal as the rest of the gateway holds it.

use super::feed::{BACKLOG, Feed};
use super::file::{Error, LiveFile};
use super::health::{Fault, Health, PATIENCE, Unavailable, problem};
use super::queue::Queue;
use super::settings::{Bounds, Settings};
use super::syncer::Unsynced;
use super::writer::Writer;
use crate::telemetry::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, timeout};

/// How long a closing journal may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How often a write that hangs is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The record of all flows: a handle that is cheap to clone. The writer's thread ends with the last one.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    shared: Arc<Shared>,
}

/// What the handles, the writer and the syncer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) bounds: Bounds,
    pub(super) health: Health,
    pub(super) lines: broadcast::Sender<Arc<str>>,
    pub(super) unsynced: Unsynced,
    /// Where flows are counted as they end.
    pub(super) metrics: Arc<Metrics>,
}

impl Journal {
    /// Opens the journal and carries its chain on; a line that was cut by a crash is moved to `flows.cut` and
    /// noted. Blocks for the time of a few reads.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        Self::open_counting(settings, Arc::default())
    }

    /// Like [`open`](Self::open), with the metrics that flows are counted in as they end.
    pub fn open_counting(settings: Settings, metrics: Arc<Metrics>) -> Result<Self, Error> {
        Self::open_with(settings, metrics, Bounds::default())
    }

    #[cfg(test)]
    pub(super) fn open_bounded(settings: Settings, bounds: Bounds) -> Result<Self, Error> {
        Self::open_with(settings, Arc::default(), bounds)
    }

    fn open_with(settings: Settings, metrics: Arc<Metrics>, bounds: Bounds) -> Result<Self, Error> {
        let (file, resumed) = LiveFile::open(&settings.journal)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            bounds,
            health: Health::new(),
            lines: broadcast::Sender::new(BACKLOG),
            unsynced: Unsynced::default(),
            metrics,
        });
        let writer = Writer::new(Arc::clone(&shared), file, resumed, settings.durability);
        spawn("journal", move || writer.run())?;
        let syncer = Arc::clone(&shared);
        spawn("journal-sync", move || syncer.unsynced.run(&syncer.health))?;
        Ok(Self { inner: Arc::new(Inner { settings, shared }) })
    }

    /// Whether a flow could be recorded now.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.check().is_ok()
    }

    /// How many records wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().queue.len()
    }

    /// Waits while too many records wait for the disk, for half of [`PATIENCE`] at the most: as much is left then for the
    /// flow's own record. Does not wait at all in the ordinary case. How long it has waited.
    pub(super) async fn ready(&self) -> Result<Duration, Unavailable> {
        if self.check() != Err(Unavailable::Full) {
            return self.check().map(|()| Duration::ZERO);
        }
        let began = Instant::now();
        let health = &self.shared().health;
        let room = async {
            loop {
                let next = health.written.last() + 1;
                if self.check() != Err(Unavailable::Full) {
                    return self.check();
                }
                health.written.wait(next, || health.problem()).await?;
            }
        };
        timeout(PATIENCE / 2, room).await.unwrap_or(Err(Unavailable::Full)).map(|()| began.elapsed())
    }

    /// Resolves once the journal has not been writable for two seconds (three where a write hangs), or is closed:
    /// whoever holds a tunnel open then closes it, since nothing could record how it goes on (R8).
    pub fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.inner.shared);
        let mut faults = shared.health.watch();
        let failing = async move {
            // The journal is gone with all its handles: nothing can be recorded either.
            while let Ok(faults_now) = faults.wait_for(|&faults| faults != 0).await.map(|faults| *faults) {
                let recovery = faults.wait_for(|&faults| faults == 0);
                if problem(faults_now) == Err(Unavailable::Closed) || timeout(PATIENCE, recovery).await.is_err() {
                    return;
                }
            }
        };
        // A write that hangs sets no fault that could be waited for.
        let hanging = async move {
            while shared.health.check() != Err(Unavailable::Stalled) {
                sleep(LOOK_EVERY).await;
            }
        };
        async move {
            tokio::select! {
                () = failing => {}
                () = hanging => {}
            }
        }
    }

    /// Resolves once nothing is wrong with the journal, or it is gone.
    pub fn recovered(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.inner.shared);
        let mut faults = shared.health.watch();
        async move {
            drop(faults.wait_for(|&faults| faults == 0).await);
            while shared.health.check() == Err(Unavailable::Stalled) {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// The lines written from now on.
    #[must_use]
    pub fn feed(&self) -> Feed {
        Feed::new(self.shared().lines.subscribe(), &self.shared().health)
    }

    /// Opens the file anew, for a log rotator that has moved it (SIGHUP). Nothing is lost without it: the
    /// writer sees by itself when the file is no longer at its place.
    pub fn reopen(&self) {
        self.shared().queue.order_reopen();
    }

    /// Writes and syncs what waits and takes no more records. An error: what waited could not be written
    /// within five seconds.
    pub async fn close(&self) -> Result<(), Unavailable> {
        let mut faults = self.shared().health.watch();
        self.shared().queue.order_close();
        let closed = faults.wait_for(|faults| faults & Fault::Closed as u8 != 0);
        match timeout(CLOSE_WITHIN, closed).await {
            Ok(Ok(faults)) if *faults == Fault::Closed as u8 => Ok(()),
            Ok(_) => Err(Unavailable::Failing),
            Err(_) => Err(Unavailable::Stalled),
        }
    }

    /// The directory of the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.inner.settings.journal
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(super) fn check(&self) -> Result<(), Unavailable> {
        let shared = self.shared();
        shared.health.check()?;
        if shared.queue.is_full(&shared.bounds) { Err(Unavailable::Full) } else { Ok(()) }
    }

    /// Resolves once the record with this ticket is written. The record stays in the queue after an error. That a write
    /// hangs is no error here: who waits sets a bound to it ([`PATIENCE`]).
    pub(super) async fn written(&self, ticket: u64) -> Result<(), Unavailable> {
        let health = &self.shared().health;
        health.written.wait(ticket, || health.problem()).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.order_close();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    // Never joined: a write that hangs must not hang the exit; `close` waits as long as is right.
    thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(Error::Thread)
}
