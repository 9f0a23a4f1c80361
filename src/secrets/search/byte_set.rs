//! A set of bytes.

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::secrets) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(in crate::secrets) const EMPTY: Self = Self([0; 4]);

    pub(in crate::secrets) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut set = Self::EMPTY;
        bytes.into_iter().for_each(|byte| set.insert(byte));
        set
    }

    /// The bytes that are set in a table.
    pub(in crate::secrets) const fn of_table(table: &[bool; 256]) -> Self {
        let (mut set, mut byte) = (Self::EMPTY, 0);
        while byte < 256 {
            set.0[byte >> 6] |= (table[byte] as u64) << (byte & 63);
            byte += 1;
        }
        set
    }

    pub(in crate::secrets) fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    #[inline]
    pub(in crate::secrets) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    /// The digits of hexadecimal in small letters and capitals where it is those in one of them; else the set itself.
    pub(in crate::secrets) fn hex_in_either_case(self) -> Self {
        let (digits, small, capitals) = (b'0'..=b'9', b'a'..=b'f', b'A'..=b'F');
        let is_small = self == Self::of(digits.clone().chain(small.clone()));
        if is_small { Self::of(digits.chain(small).chain(capitals)) } else { self }
    }

    pub(in crate::secrets) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    pub(in crate::secrets) fn within(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(a, b)| a & !b == 0)
    }

    pub(in crate::secrets) fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
    }

    pub(in crate::secrets) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(in crate::secrets) fn bytes(&self) -> impl Iterator<Item = u8> + '_ {
        let ones = |(number, word): (usize, &u64)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(number as u8 * 64 + bit as u8)
            })
        };
        self.0.iter().enumerate().flat_map(ones)
    }
}
