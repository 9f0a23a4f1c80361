//! Sums up a journal's feed while a run goes on.

use super::summary::Summary;
use crate::flow::{Feed, News};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the feed may take to end once the gateway has drained.
const PATIENCE: Duration = Duration::from_secs(2);

/// A task that sums up a feed; it ends with the journal.
pub(super) struct Watch {
    task: JoinHandle<()>,
    summary: Arc<Mutex<Summary>>,
}

impl Watch {
    pub(super) fn start(mut feed: Feed) -> Self {
        let summary = Arc::new(Mutex::new(Summary::default()));
        let shared = Arc::clone(&summary);
        let task = tokio::spawn(async move {
            while let Some(news) = feed.next().await {
                let mut summary = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match news {
                    News::Record(line) => summary.add(&line),
                    News::Missed(records) => summary.miss(records),
                }
            }
        });
        Self { task, summary }
    }

    /// The summary once the feed has ended, or what is there of it when it does not end in time.
    pub(super) async fn finish(self) -> Summary {
        let abort = self.task.abort_handle();
        if timeout(PATIENCE, self.task).await.is_err() {
            abort.abort();
        }
        std::mem::take(&mut self.summary.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Durability, Journal, Recorder, Settings};
    use crate::reason::{Denial, Reason};

    #[tokio::test]
    async fn every_record_of_a_journal_is_in_the_summary_when_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { journal: directory.path().to_owned(), durability: Durability::Batched };
        let journal = Journal::open(settings).unwrap();
        let watch = Watch::start(journal.feed());
        for _ in 0..100 {
            let mut recorder =
                Recorder::open(&journal, std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()).unwrap();
            recorder.denied(&Denial::new(Reason::DestinationNotListed));
            recorder.finish();
        }
        journal.close().await.unwrap();
        let summary = watch.finish().await;
        assert_eq!((summary.flows, summary.has_refusals()), (100, true));
    }
}
