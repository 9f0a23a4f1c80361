//! What a running gateway does by itself beside serving connections.

use crate::proxy::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often idle upstream connections are looked after.
const REAP_EVERY: Duration = Duration::from_secs(5);

/// Records floods, looks after idle connections, and forgets those of sessions that have ended.
pub(super) async fn reap(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(REAP_EVERY)).await.is_some() {
        stir();
        shared.record_floods(false);
        shared.pool.reap(|session| shared.sessions.show(session.as_str()).is_some());
    }
}

/// Wakes every thread of the runtime: what one does when it has nothing to do it does once, and much may have come to
/// an end on others since, of which it holds the memory.
fn stir() {
    for _ in 0..2 * Handle::current().metrics().num_workers() {
        tokio::spawn(async {
            for _ in 0..8 {
                yield_now().await;
            }
        });
    }
}

/// Interrupts live flows when the journal breaks, and lets new ones in when it works again.
pub(super) async fn watch_journal(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(shared.journal.broken()).await.is_some() {
        shared.journal_broken.load().cancel();
        if stop.run_until_cancelled(shared.journal.recovered()).await.is_none() {
            return;
        }
        shared.journal_broken.store(Arc::new(CancellationToken::new()));
    }
}
