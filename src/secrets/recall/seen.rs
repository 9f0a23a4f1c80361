//! What of a session's heads was scanned already and held nothing: agents send the same fields with every request.
//!
//! A part is remembered by a keyed digest of its bytes, and only where nothing at all was found in it, whatever would
//! have been allowed: hosts and rules' exceptions do not matter then. Another guard begins anew.

use super::super::finding::Surface;
use super::super::guard::Inner;
use super::super::head::HeadView;
use crate::net::Host;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Parts that are remembered, in 2 KiB, by their digests: a new one takes the place of the oldest of its set. In sets,
/// for two parts of every request that took each other's place would both be scanned every time.
const SETS: usize = 64;
const IN_SET: usize = 4;
/// Longer parts are scanned every time: they differ.
const LONGEST: usize = 1024;
/// The same for all fields of a head, and for all besides.
const LONGEST_HALF: usize = 4096;

/// A session's, under one guard at a time.
#[derive(Default)]
pub(in crate::secrets) struct Seen(Mutex<Option<Arc<Clean>>>);

/// The parts that held nothing under one guard.
pub(in crate::secrets) struct Clean {
    guard: Arc<Inner>,
    /// SipHash with keys that nobody knows: parts can't be made to collide.
    key: RandomState,
    sets: [[AtomicU64; IN_SET]; SETS],
}

/// A part of a head, by its digest.
#[derive(Clone, Copy)]
pub(in crate::secrets) struct Part(u64);

/// A whole head in two parts: its fields, which mostly are those of the request before, and where it goes, in which the
/// host stands beside all that depends on it.
#[derive(Clone, Copy)]
pub(in crate::secrets) struct Halves {
    target: Part,
    fields: Part,
}

impl Halves {
    /// Nothing for trailers, which have no target, and for what is too long.
    pub(in crate::secrets) fn of(head: &HeadView<'_>, seen: &Clean) -> Option<Self> {
        if head.trailers {
            return None;
        }
        let mut bytes = Vec::with_capacity(512);
        match head.host {
            Host::Name(name) => push(&mut bytes, name.as_bytes()),
            // No name begins so: an address's bytes may be those of one.
            Host::V4(address) => push(&mut bytes, &[&[4][..], &address.octets()].concat()),
            Host::V6(address) => push(&mut bytes, &[&[6][..], &address.octets()].concat()),
        }
        let texts = [head.method, head.path].into_iter().chain(head.query);
        texts.for_each(|text| push(&mut bytes, text.as_bytes()));
        let target = seen.half(1, &bytes)?;
        bytes.clear();
        for (name, value) in head.fields {
            push(&mut bytes, name);
            push(&mut bytes, value);
        }
        Some(Self { target, fields: seen.half(2, &bytes)? })
    }

    /// Whether the fields were seen, and whether all of it was.
    pub(in crate::secrets) fn are_in(self, seen: &Clean) -> (bool, bool) {
        let has_fields = seen.holds(self.fields);
        (has_fields, has_fields && seen.holds(self.target))
    }

    /// Nothing was found in it, nor anything that is let pass because of the host.
    pub(in crate::secrets) fn remember(self, seen: &Clean) {
        [self.target, self.fields].into_iter().filter(|half| !seen.holds(*half)).for_each(|half| seen.remember(half));
    }
}

/// Behind its length, so that no two lists of pieces are the same bytes.
fn push(bytes: &mut Vec<u8>, piece: &[u8]) {
    bytes.extend_from_slice(&piece.len().to_le_bytes());
    bytes.extend_from_slice(piece);
}

impl Seen {
    /// What was clean under this guard. Nothing is remembered under one whose verdicts depend on more than the bytes.
    pub(in crate::secrets) fn under(&self, guard: &Arc<Inner>) -> Option<Arc<Clean>> {
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
        Self { guard, key: RandomState::new(), sets: [const { [const { AtomicU64::new(0) }; IN_SET] }; SETS] }
    }

    /// A part's digest, unless it is too long. `joined`: its pieces are to be joined.
    pub(in crate::secrets) fn part(&self, surface: Surface, joined: bool, bytes: &[u8]) -> Option<Part> {
        (bytes.len() <= LONGEST).then(|| self.digest((surface as u64) << 8 | u64::from(joined), bytes))
    }

    /// The digest of one half of a head; no kind of part is told by the same number.
    fn half(&self, number: u64, bytes: &[u8]) -> Option<Part> {
        (bytes.len() <= LONGEST_HALF).then(|| self.digest(0xff00 | number, bytes))
    }

    fn digest(&self, kind: u64, bytes: &[u8]) -> Part {
        // In two writes: each costs as much as a few words. The length stands behind the bytes, so that no two parts are
        // the same.
        let mut hasher = self.key.build_hasher();
        hasher.write(bytes);
        hasher.write_u64((bytes.len() as u64) << 16 | kind);
        Part(hasher.finish().max(1))
    }

    pub(in crate::secrets) fn holds(&self, part: Part) -> bool {
        self.set(part).iter().any(|known| known.load(Ordering::Relaxed) == part.0)
    }

    /// What others remember at the same moment may be lost.
    pub(in crate::secrets) fn remember(&self, part: Part) {
        let mut newer = part.0;
        for known in self.set(part) {
            newer = known.swap(newer, Ordering::Relaxed);
        }
    }

    fn set(&self, part: Part) -> &[AtomicU64] {
        self.sets.get(usize::try_from(part.0 >> 32).unwrap_or_default() % SETS).map_or(&[], <[_; IN_SET]>::as_slice)
    }
}
