//! What is known by four bytes or three: a bit for each hash tells most of what is asked for from what is there.

use super::heads::Spread;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Four bytes of a text that it is found by, or three and whatever stands before them.
pub(in crate::secrets) type Key = [Option<u8>; 4];

/// Numbers by keys.
pub(in crate::secrets) struct Keys {
    /// One bit for each hash.
    seen: Box<[u64; Self::SLOTS / 64]>,
    numbers: HashMap<u32, Vec<u32>, BuildHasherDefault<Spread>>,
}

impl Keys {
    const SLOTS: usize = 1 << 16;

    const fn slot(key: u32) -> (usize, u64) {
        let slot = key.wrapping_mul(0x9e37_79b1) >> 16;
        ((slot >> 6) as usize, 1 << (slot & 63))
    }

    pub(in crate::secrets) fn add(&mut self, key: Key, value: u32) {
        // The last byte is the highest: a key of three bytes is a number of three.
        let number = key.iter().flatten().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let (word, bit) = Self::slot(number);
        self.seen[word] |= bit;
        self.numbers.entry(number).or_default().push(value);
    }

    /// Whether there may be any. A key of four bytes is asked for as they stand in little endian, of three likewise.
    #[inline]
    pub(in crate::secrets) fn may_have(&self, key: u32) -> bool {
        let (word, bit) = Self::slot(key);
        self.seen[word] & bit != 0
    }

    pub(in crate::secrets) fn get(&self, key: u32) -> &[u32] {
        self.numbers.get(&key).map_or(&[], Vec::as_slice)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { seen: Box::new([0; Self::SLOTS / 64]), numbers: HashMap::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_four_bytes_and_by_three() {
        let mut keys = Keys::default();
        keys.add([Some(b'a'), Some(b'b'), Some(b'c'), Some(b'd')], 1);
        keys.add([None, Some(b'a'), Some(b'b'), Some(b'c')], 2);
        keys.add([None, Some(b'a'), Some(b'b'), Some(b'c')], 3);
        let four = u32::from_le_bytes(*b"abcd");
        assert!(keys.may_have(four) && keys.may_have(four & 0xff_ffff));
        assert_eq!((keys.get(four), keys.get(four & 0xff_ffff)), (&[1][..], &[2, 3][..]));
        assert!(keys.get(u32::from_le_bytes(*b"bcd\0")).is_empty());
    }
}
