//! 64 bytes at once, in the widest registers that the machine has: work over blocks is written once for all of them.

use super::teddy::Window;

/// What is done with a machine's registers. Whatever isn't inlined in [`Task::run`] is compiled for the least
/// machine: plain loops and no closures there.
pub(in crate::secrets) trait Lanes: Copy {
    /// One byte for each of 64.
    type Bytes: Copy;
    /// Sixteen bytes to look up in, or one for all.
    type Table: Copy;

    fn load(self, bytes: &[u8; 64]) -> Self::Bytes;
    fn table(self, bytes: [u8; 16]) -> Self::Table;
    /// The low half of each byte, and the high one.
    fn halves(self, bytes: Self::Bytes) -> [Self::Bytes; 2];
    /// The bits that a byte's two halves have in common, in the table of each.
    fn common(self, tables: [Self::Table; 2], halves: [Self::Bytes; 2]) -> Self::Bytes;
    fn and(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    fn or(self, a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// One bit for each byte that has one of these.
    fn any(self, bytes: Self::Bytes, bits: Self::Table) -> u64;
}

/// Work for whatever registers there are.
pub(in crate::secrets) trait Task {
    fn run<L: Lanes>(self, lanes: L);
}

/// Does it as wide as the machine can.
pub(in crate::secrets) fn run(task: impl Task) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = *x86::AVX512 {
            return simd.vectorize(x86::On(simd, task));
        }
        if let Some(simd) = *x86::AVX2 {
            return simd.vectorize(x86::On(simd, task));
        }
    }
    task.run(Plain);
}

/// The window of 64 bytes at `at` and three before them; what is not there is taken from a copy with zeroes.
#[inline(always)]
pub(in crate::secrets) fn window_at<'a>(hay: &'a [u8], at: usize, padded: &'a mut Window) -> &'a Window {
    match at.checked_sub(3).and_then(|from| hay.get(from..)?.first_chunk()) {
        Some(window) => window,
        None => {
            *padded = super::teddy::window(hay, at);
            padded
        }
    }
}

/// Byte by byte.
#[derive(Clone, Copy)]
struct Plain;

impl Lanes for Plain {
    type Bytes = [u8; 64];
    type Table = [u8; 16];

    fn load(self, bytes: &[u8; 64]) -> [u8; 64] {
        *bytes
    }

    fn table(self, bytes: [u8; 16]) -> [u8; 16] {
        bytes
    }

    fn halves(self, bytes: [u8; 64]) -> [[u8; 64]; 2] {
        [bytes.map(|byte| byte & 15), bytes.map(|byte| byte >> 4)]
    }

    fn common(self, [low, high]: [[u8; 16]; 2], halves: [[u8; 64]; 2]) -> [u8; 64] {
        let at = |table: [u8; 16], half: u8| table[usize::from(half & 15)];
        std::array::from_fn(|byte| at(low, halves[0][byte]) & at(high, halves[1][byte]))
    }

    fn and(self, a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|at| a[at] & b[at])
    }

    fn or(self, a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|at| a[at] | b[at])
    }

    fn any(self, bytes: [u8; 64], bits: [u8; 16]) -> u64 {
        bytes.iter().zip(0..).fold(0, |mask, (byte, at)| mask | u64::from(byte & bits[0] != 0) << at)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Task};
    use pulp::x86::{V3, V4};
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::{__m256i, __m512i};
    use std::sync::LazyLock;

    pub(in crate::secrets) static AVX512: LazyLock<Option<V4>> = LazyLock::new(V4::try_new);
    pub(in crate::secrets) static AVX2: LazyLock<Option<V3>> = LazyLock::new(V3::try_new);

    /// A task on its registers.
    pub(in crate::secrets) struct On<L, T>(pub(in crate::secrets) L, pub(in crate::secrets) T);

    impl<L: Lanes, T: Task> NullaryFnOnce for On<L, T> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            self.1.run(self.0);
        }
    }

    impl Lanes for V4 {
        type Bytes = __m512i;
        type Table = __m512i;

        #[inline(always)]
        fn load(self, bytes: &[u8; 64]) -> __m512i {
            cast(*bytes)
        }

        #[inline(always)]
        fn table(self, bytes: [u8; 16]) -> __m512i {
            cast([bytes; 4])
        }

        #[inline(always)]
        fn halves(self, bytes: __m512i) -> [__m512i; 2] {
            let low: __m512i = cast([0x0fu8; 64]);
            let high = self.avx512bw._mm512_srli_epi16::<4>(bytes);
            [self.and(bytes, low), self.and(high, low)]
        }

        #[inline(always)]
        fn common(self, tables: [__m512i; 2], halves: [__m512i; 2]) -> __m512i {
            let low = self.avx512bw._mm512_shuffle_epi8(tables[0], halves[0]);
            self.and(low, self.avx512bw._mm512_shuffle_epi8(tables[1], halves[1]))
        }

        #[inline(always)]
        fn and(self, a: __m512i, b: __m512i) -> __m512i {
            self.avx512f._mm512_and_si512(a, b)
        }

        #[inline(always)]
        fn or(self, a: __m512i, b: __m512i) -> __m512i {
            self.avx512f._mm512_or_si512(a, b)
        }

        #[inline(always)]
        fn any(self, bytes: __m512i, bits: __m512i) -> u64 {
            self.avx512bw._mm512_test_epi8_mask(bytes, bits)
        }
    }

    impl Lanes for V3 {
        type Bytes = [__m256i; 2];
        type Table = __m256i;

        #[inline(always)]
        fn load(self, bytes: &[u8; 64]) -> [__m256i; 2] {
            cast(*bytes)
        }

        #[inline(always)]
        fn table(self, bytes: [u8; 16]) -> __m256i {
            cast([bytes; 2])
        }

        #[inline(always)]
        fn halves(self, [front, back]: [__m256i; 2]) -> [[__m256i; 2]; 2] {
            let low: __m256i = cast([0x0fu8; 32]);
            let high = [self.avx2._mm256_srli_epi16::<4>(front), self.avx2._mm256_srli_epi16::<4>(back)];
            [self.and([front, back], [low, low]), self.and(high, [low, low])]
        }

        #[inline(always)]
        fn common(self, [low, high]: [__m256i; 2], [lows, highs]: [[__m256i; 2]; 2]) -> [__m256i; 2] {
            let avx2 = self.avx2;
            let low = [avx2._mm256_shuffle_epi8(low, lows[0]), avx2._mm256_shuffle_epi8(low, lows[1])];
            self.and(low, [avx2._mm256_shuffle_epi8(high, highs[0]), avx2._mm256_shuffle_epi8(high, highs[1])])
        }

        #[inline(always)]
        fn and(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            [self.avx2._mm256_and_si256(a[0], b[0]), self.avx2._mm256_and_si256(a[1], b[1])]
        }

        #[inline(always)]
        fn or(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            [self.avx2._mm256_or_si256(a[0], b[0]), self.avx2._mm256_or_si256(a[1], b[1])]
        }

        #[inline(always)]
        fn any(self, bytes: [__m256i; 2], bits: __m256i) -> u64 {
            let avx2 = self.avx2;
            let (none, [front, back]) = (cast([0u8; 32]), self.and(bytes, [bits, bits]));
            let front = avx2._mm256_movemask_epi8(avx2._mm256_cmpeq_epi8(front, none)) as u32;
            let back = avx2._mm256_movemask_epi8(avx2._mm256_cmpeq_epi8(back, none)) as u32;
            !(u64::from(front) | u64::from(back) << 32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct All<'a> {
        window: &'a Window,
        tables: [[u8; 16]; 4],
        found: &'a mut Vec<u64>,
    }

    impl Task for All<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) {
            let halves = super::super::teddy::halves(lanes, self.window);
            let [a, b, c, d] = self.tables.map(|table| lanes.table(table));
            let (first, last) = (lanes.common([a, b], halves[0]), lanes.common([c, d], halves[3]));
            for bytes in [first, lanes.and(first, last), lanes.or(first, last)] {
                self.found.push(lanes.any(bytes, lanes.table([0x55; 16])));
            }
        }
    }

    proptest! {
        #[test]
        fn all_registers_give_what_one_byte_at_a_time_gives(
            bytes in proptest::collection::vec(any::<u8>(), 67),
            tables in any::<[[u8; 16]; 4]>(),
        ) {
            let window: &Window = bytes.first_chunk().unwrap();
            let (mut plain, mut wide, mut widest) = (Vec::new(), Vec::new(), Vec::new());
            All { window, tables, found: &mut plain }.run(Plain);
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = *x86::AVX2 {
                simd.vectorize(x86::On(simd, All { window, tables, found: &mut wide }));
                prop_assert_eq!(&wide, &plain);
            }
            run(All { window, tables, found: &mut widest });
            prop_assert_eq!(widest, plain);
        }
    }
}
