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

/// The digests of a head's fields, each of its name and its value: what is made of several is told by theirs, so that
/// none is read twice. Nothing for one that is too long.
pub(in crate::secrets) struct Fields(Vec<Option<Part>>);

impl Fields {
    pub(in crate::secrets) fn of(head: &HeadView<'_>, seen: &Clean) -> Self {
        let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
        let part = |(name, value): &(&[u8], &[u8])| {
            let mut hasher = seen.key.build_hasher();
            hasher.write(name);
            hasher.write(value);
            hasher.write_u64((name.len() as u64) << 40 | (value.len() as u64) << 16 | (surface as u64) << 8);
            (name.len() + value.len() <= LONGEST_HALF).then(|| Part(hasher.finish().max(1)))
        };
        Self(head.fields.iter().map(part).collect())
    }

    /// One by its place, unless it is scanned every time.
    pub(in crate::secrets) fn part(&self, head: &HeadView<'_>, place: usize) -> Option<Part> {
        let (name, value) = head.fields.get(place)?;
        self.0.get(place).copied().flatten().filter(|_| name.len() + value.len() <= LONGEST)
    }

    /// Those that the session may name itself, as pieces that are to be joined.
    pub(in crate::secrets) fn joined(
        &self,
        head: &HeadView<'_>,
        seen: &Clean,
        is_one: impl Fn(&[u8]) -> bool,
    ) -> Option<Part> {
        let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
        self.together(head, ((surface as u64) << 8 | Clean::JOINED, LONGEST), seen, is_one)
    }

    /// Some of them in their order, by what they are called.
    fn together(
        &self,
        head: &HeadView<'_>,
        (kind, longest): (u64, usize),
        seen: &Clean,
        is_one: impl Fn(&[u8]) -> bool,
    ) -> Option<Part> {
        let (mut bytes, mut length) = (Vec::with_capacity(8 * self.0.len()), 0);
        for ((name, value), part) in head.fields.iter().zip(&self.0).filter(|((name, _), _)| is_one(name)) {
            bytes.extend_from_slice(&(*part)?.0.to_le_bytes());
            length += name.len() + value.len();
        }
        (length <= longest).then(|| seen.digest(kind, &bytes))
    }
}

/// A whole head in two parts: its fields, which mostly are those of the request before, and where it goes, in which the
/// host stands beside all that depends on it.
#[derive(Clone, Copy)]
pub(in crate::secrets) struct Halves {
    target: Part,
    fields: Part,
}

impl Halves {
    /// Nothing for trailers, which have no target, and for what is too long. `fields` are those of the head.
    pub(in crate::secrets) fn of(head: &HeadView<'_>, fields: &Fields, seen: &Clean) -> Option<Self> {
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
        let target = (bytes.len() <= LONGEST_HALF).then(|| seen.digest(Clean::TARGET, &bytes))?;
        Some(Self { target, fields: fields.together(head, (Clean::FIELDS, LONGEST_HALF), seen, |_| true)? })
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
    /// Kinds of parts, beside the surfaces: no two are told by the same number.
    const JOINED: u64 = 1;
    const ITEMS: u64 = 0xff00;
    const TARGET: u64 = 0xff01;
    const FIELDS: u64 = 0xff02;

    fn new(guard: Arc<Inner>) -> Self {
        Self { guard, key: RandomState::new(), sets: [const { [const { AtomicU64::new(0) }; IN_SET] }; SETS] }
    }

    /// A part's digest, unless it is too long. `joined`: its pieces are to be joined.
    pub(in crate::secrets) fn part(&self, surface: Surface, joined: bool, bytes: &[u8]) -> Option<Part> {
        let joined = if joined { Self::JOINED } else { 0 };
        (bytes.len() <= LONGEST).then(|| self.digest((surface as u64) << 8 | joined, bytes))
    }

    /// The same for the pieces of a field, of which only the digest is read.
    pub(in crate::secrets) fn items(&self, field: Part) -> Part {
        self.digest(Self::ITEMS, &field.0.to_le_bytes())
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
