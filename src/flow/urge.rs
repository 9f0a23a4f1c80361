//! When the writer is called for a record that someone waits for: once the thread has nothing else to do. Waking a
//! thread costs a flow more than its whole record does, and on a busy core the writer would take the core away
//! from flows that are about to add theirs.

use super::journal::Shared;
use std::cell::RefCell;
use std::sync::Arc;

/// What this thread's flows wait for.
#[derive(Default)]
struct Owed {
    /// The thread says when it has nothing else to do.
    parks: bool,
    /// The journal, and the ticket of the newest record.
    newest: Option<(Arc<Shared>, u64)>,
}

impl Owed {
    fn pay(&mut self) {
        if let Some((journal, ticket)) = self.newest.take() {
            journal.queue.urge(ticket);
        }
    }
}

thread_local! {
    static OWED: RefCell<Owed> = RefCell::default();
}

/// Calls the writer for what this thread's flows wait for. For a runtime's workers, before they park
/// (`tokio::runtime::Builder::on_thread_park`); on a thread that never says so each flow calls for itself.
pub fn before_park() {
    // A thread that ends has nothing more to say.
    let _ = OWED.try_with(|owed| {
        let mut owed = owed.borrow_mut();
        owed.parks = true;
        owed.pay();
    });
}

/// Whether this thread says when it has nothing else to do.
pub(super) fn parks() -> bool {
    OWED.try_with(|owed| owed.borrow().parks).unwrap_or(false)
}

/// Leaves it to this thread's next pause to call for the record. One that doesn't come soon is no harm: the writer
/// lets records gather for a moment only.
pub(super) fn later(journal: &Arc<Shared>, ticket: u64) {
    let _ = OWED.try_with(|owed| {
        let mut owed = owed.borrow_mut();
        if owed.newest.as_ref().is_some_and(|(other, _)| !Arc::ptr_eq(other, journal)) {
            owed.pay();
        }
        match &mut owed.newest {
            Some((_, newest)) => *newest = ticket,
            newest => *newest = Some((Arc::clone(journal), ticket)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::queue::Wake;
    use super::super::{Durability, Journal, Settings};
    use super::*;
    use std::path::Path;
    use tempfile::tempdir;

    fn open(directory: &Path) -> Journal {
        Journal::open(Settings { journal: directory.into(), durability: Durability::Batched }).unwrap()
    }

    #[tokio::test]
    async fn a_record_is_called_for_when_its_thread_pauses() {
        let directory = tempdir().unwrap();
        let journal = open(directory.path());
        before_park();
        assert!(parks());
        let ticket = journal.shared().queue.append(br#"{"kind":"note"}"#, Wake::Nobody).unwrap();
        later(journal.shared(), ticket);
        before_park();
        assert_eq!(journal.written(ticket).await, Ok(()));
    }

    #[tokio::test]
    async fn a_record_of_another_journal_calls_for_the_one_before() {
        let directories = [tempdir().unwrap(), tempdir().unwrap()];
        let [first, second] = directories.each_ref().map(|at| open(at.path()));
        let tickets = [&first, &second].map(|journal| {
            let ticket = journal.shared().queue.append(br#"{"kind":"note"}"#, Wake::Nobody).unwrap();
            later(journal.shared(), ticket);
            ticket
        });
        assert_eq!(first.written(tickets[0]).await, Ok(()));
        before_park();
        assert_eq!(second.written(tickets[1]).await, Ok(()));
    }
}
