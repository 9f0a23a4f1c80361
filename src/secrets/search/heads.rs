//! What is known by the three bytes it begins with: a bit for each hash tells most of what is asked for from what is
//! there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A set of three-byte heads, by hash.
pub(in crate::secrets) struct Heads(Box<[u64; Heads::SLOTS / 64]>);

impl Default for Heads {
    fn default() -> Self {
        Self(Box::new([0; Heads::SLOTS / 64]))
    }
}

impl Heads {
    const SLOTS: usize = 32_768;

    #[inline]
    const fn slot([a, b, c]: [u8; 3]) -> usize {
        (a as usize ^ (b as usize) << 4 ^ (c as usize) << 8) & (Self::SLOTS - 1)
    }

    pub(in crate::secrets) fn insert(&mut self, head: [u8; 3]) {
        self.0[Self::slot(head) >> 6] |= 1 << (Self::slot(head) & 63);
    }

    #[inline]
    pub(in crate::secrets) fn has(&self, head: [u8; 3]) -> bool {
        self.0[Self::slot(head) >> 6] & 1 << (Self::slot(head) & 63) != 0
    }
}

/// Values by three-byte heads, most of which have none.
pub(in crate::secrets) struct ByHead<T> {
    seen: Heads,
    values: HashMap<u32, Vec<T>, BuildHasherDefault<Spread>>,
}

impl<T> Default for ByHead<T> {
    fn default() -> Self {
        Self { seen: Heads::default(), values: HashMap::default() }
    }
}

impl<T> ByHead<T> {
    const fn key([a, b, c]: [u8; 3]) -> u32 {
        u32::from_le_bytes([a, b, c, 0])
    }

    pub(in crate::secrets) fn add(&mut self, head: [u8; 3], value: T) {
        self.seen.insert(head);
        self.values.entry(Self::key(head)).or_default().push(value);
    }

    /// Whether there may be any.
    #[inline]
    pub(in crate::secrets) fn may_have(&self, head: [u8; 3]) -> bool {
        self.seen.has(head)
    }

    #[inline]
    pub(in crate::secrets) fn get(&self, head: [u8; 3]) -> &[T] {
        if !self.seen.has(head) {
            return &[];
        }
        self.values.get(&Self::key(head)).map_or(&[], Vec::as_slice)
    }
}

/// A hasher for keys that come from the catalogue, so that nobody chooses them.
#[derive(Default)]
pub(in crate::secrets) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
}
