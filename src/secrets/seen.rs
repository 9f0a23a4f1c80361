//! What of a session's heads was scanned already and held nothing: agents send the same fields with every request.
//!
//! A part is remembered by a keyed digest of its bytes, and only where nothing at all was found in it, whatever would
//! have been allowed: hosts and rules' exceptions do not matter then. Another guard begins anew.

use super::finding::Surface;
use super::guard::Inner;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Parts that are remembered, in 2 KiB; a new one takes the place of an old one.
const SLOTS: usize = 256;
/// Longer parts are scanned every time: they differ.
const LONGEST: usize = 1024;

/// A session's, under one guard at a time.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<Arc<Clean>>>);

/// The parts that held nothing under one guard.
pub(super) struct Clean {
    guard: Arc<Inner>,
    /// SipHash with keys that nobody knows: parts can't be made to collide.
    key: RandomState,
    slots: [AtomicU64; SLOTS],
}

/// A part of a head, by its digest.
#[derive(Clone, Copy)]
pub(super) struct Part(u64);

impl Seen {
    /// What was clean under this guard. Nothing is remembered under one whose verdicts depend on more than the bytes.
    pub(super) fn under(&self, guard: &Arc<Inner>) -> Option<Arc<Clean>> {
        if guard.own {
            return None;
        }
        let mut clean = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*clean {
            Some(known) if Arc::ptr_eq(&known.guard, guard) => Some(known.clone()),
            _ => Some(clean.insert(Arc::new(Clean::new(guard.clone()))).clone()),
        }
    }
}

impl Clean {
    fn new(guard: Arc<Inner>) -> Self {
        Self { guard, key: RandomState::new(), slots: [const { AtomicU64::new(0) }; SLOTS] }
    }

    /// A part's digest, unless it is too long. `joined`: its pieces are to be joined.
    pub(super) fn part(&self, surface: Surface, joined: bool, bytes: &[u8]) -> Option<Part> {
        (bytes.len() <= LONGEST).then(|| Part(self.key.hash_one((surface, joined, Bytes(bytes))).max(1)))
    }

    pub(super) fn holds(&self, part: Part) -> bool {
        self.slot(part).is_some_and(|slot| slot.load(Ordering::Relaxed) == part.0)
    }

    pub(super) fn remember(&self, part: Part) {
        if let Some(slot) = self.slot(part) {
            slot.store(part.0, Ordering::Relaxed);
        }
    }

    fn slot(&self, part: Part) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(part.0 >> 32).unwrap_or_default() % SLOTS)
    }
}

/// All of them at once, and not one after the other.
struct Bytes<'a>(&'a [u8]);

impl Hash for Bytes<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.0);
        state.write_u8(0xff);
    }
}
