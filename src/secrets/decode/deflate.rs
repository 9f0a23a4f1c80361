//! Whether bytes are text in a raw deflate stream (RFC 1951): it has no magic, but hardly any other bytes are one.

use std::sync::LazyLock;

/// Whatever a stream is, so many of its bytes tell.
pub(in crate::secrets) const ENOUGH: usize = 384;
/// So many characters of text are no chance.
const SURE: usize = 32;
/// What ends before has so many.
const LEAST: usize = 20;
/// What is repeated counts as so many.
const REPEATED: usize = 2;
/// Other bytes that may stand among them.
const FEW: usize = 1;

/// What bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Looks {
    /// Text in a deflate stream.
    Text,
    /// That isn't known yet.
    Open,
    No,
}

/// What the front of some bytes looks like; `ended` says that no more follow.
pub(in crate::secrets) fn looks(bytes: &[u8], ended: bool) -> Looks {
    /// What is text itself says something else.
    const PLAIN: usize = 16;
    let front = bytes.get(..ENOUGH).unwrap_or(bytes);
    let plain = front.get(..PLAIN).unwrap_or(front);
    if plain.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')) {
        return if plain.len() < PLAIN && !ended { Looks::Open } else { Looks::No };
    }
    match Probe::new(front).run() {
        Ok(true) => Looks::Text,
        Err(Stop::Short) if !ended && bytes.len() < ENOUGH => Looks::Open,
        _ => Looks::No,
    }
}

/// Why a stream isn't read on.
#[derive(Clone, Copy)]
enum Stop {
    /// The bytes end.
    Short,
    /// It is none, or no text.
    Wrong,
}

/// The look at a stream: its bits, the next one, and what came out of it.
struct Probe<'a> {
    bytes: &'a [u8],
    at: usize,
    text: usize,
    other: usize,
    out: usize,
}

impl<'a> Probe<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, text: 0, other: 0, out: 0 }
    }

    fn bit(&mut self) -> Result<u16, Stop> {
        let byte = self.bytes.get(self.at / 8).ok_or(Stop::Short)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Ok(u16::from(bit))
    }

    fn bits(&mut self, count: u8) -> Result<u16, Stop> {
        let mut value = 0;
        for place in 0..count {
            value |= self.bit()? << place;
        }
        Ok(value)
    }

    /// Whether there is enough text, or an error where none is.
    fn run(&mut self) -> Result<bool, Stop> {
        loop {
            let last = self.bit()? == 1;
            let enough = match self.bits(2)? {
                0 => self.stored()?,
                1 => self.compressed(&FIXED.0, &FIXED.1)?,
                2 => {
                    let (letters, distances) = self.codes()?;
                    self.compressed(&letters, &distances)?
                }
                _ => return Err(Stop::Wrong),
            };
            if enough || last {
                return Ok(enough || self.text >= LEAST);
            }
        }
    }

    fn letter(&mut self, byte: u8) -> Result<bool, Stop> {
        self.out += 1;
        if matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n') {
            self.text += 1;
        } else {
            self.other += 1;
        }
        if self.other > FEW + self.text / 8 { Err(Stop::Wrong) } else { Ok(self.text >= SURE) }
    }

    /// A block that isn't compressed: empty ones flush what comes before.
    fn stored(&mut self) -> Result<bool, Stop> {
        self.at = self.at.next_multiple_of(8);
        let (length, check) = (self.bits(16)?, self.bits(16)?);
        if length != !check {
            return Err(Stop::Wrong);
        }
        for _ in 0..length {
            let byte = self.bits(8)? as u8;
            if self.letter(byte)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The codes at the front of a block (section 3.2.7).
    fn codes(&mut self) -> Result<(Code, Code), Stop> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let letters = usize::from(self.bits(5)?) + 257;
        let distances = usize::from(self.bits(5)?) + 1;
        let count = usize::from(self.bits(4)?) + 4;
        if letters > 286 || distances > 30 {
            return Err(Stop::Wrong);
        }
        let mut lengths = [0; 19];
        for place in ORDER.into_iter().take(count) {
            lengths[place] = self.bits(3)? as u8;
        }
        let code = Code::of(&lengths).ok_or(Stop::Wrong)?;
        let mut lengths: Vec<u8> = Vec::with_capacity(letters + distances);
        while lengths.len() < letters + distances {
            let (length, times) = match self.symbol(&code)? {
                length @ 0..=15 => (length as u8, 1),
                16 => (*lengths.last().ok_or(Stop::Wrong)?, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                _ => (0, 11 + self.bits(7)?),
            };
            lengths.extend(std::iter::repeat_n(length, usize::from(times)));
        }
        let (first, second) = lengths.split_at_checked(letters).ok_or(Stop::Wrong)?;
        // Without an end no block is one.
        if second.len() > distances || first.get(256) == Some(&0) {
            return Err(Stop::Wrong);
        }
        let letters = Code::of(first).ok_or(Stop::Wrong)?;
        let distances = Code::of(second).or_else(|| Code::single(second)).ok_or(Stop::Wrong)?;
        Ok((letters, distances))
    }

    fn symbol(&mut self, code: &Code) -> Result<u16, Stop> {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in code.counts.iter().skip(1) {
            value |= self.bit()?;
            if value < first + count {
                return code.symbols.get(usize::from(index + value - first)).copied().ok_or(Stop::Wrong);
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        Err(Stop::Wrong)
    }

    /// A block's text: letters, and what is repeated of them.
    fn compressed(&mut self, letters: &Code, distances: &Code) -> Result<bool, Stop> {
        const EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
        const LENGTHS: [u16; 29] = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
            227, 258,
        ];
        loop {
            match self.symbol(letters)? {
                256 => return Ok(false),
                letter @ 0..256 => {
                    if self.letter(letter as u8)? {
                        return Ok(true);
                    }
                }
                length => {
                    let number = usize::from(length - 257);
                    let extra = *EXTRA.get(number).ok_or(Stop::Wrong)?;
                    let length = usize::from(LENGTHS.get(number).copied().unwrap_or(0) + self.bits(extra)?);
                    let symbol = self.symbol(distances)?;
                    // Each further pair of codes has a bit more.
                    let more = u8::try_from((symbol / 2).saturating_sub(1)).map_err(|_| Stop::Wrong)?;
                    let base = if symbol < 4 { usize::from(symbol) } else { usize::from(2 + symbol % 2) << more };
                    let distance = base + usize::from(self.bits(more)?) + 1;
                    if distance > self.out {
                        return Err(Stop::Wrong);
                    }
                    self.out += length;
                    // However long it is, it tells no more than letters.
                    self.text += REPEATED;
                    if self.text >= SURE {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

/// A code of prefixes: how many of each length there are, and what they stand for in their order.
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

/// The codes of blocks without any of their own (section 3.2.6): letters, and distances, of which two stand for none.
static FIXED: LazyLock<(Code, Code)> = LazyLock::new(|| {
    let length = |symbol| match symbol {
        0..144 | 280..288 => 8,
        144..256 => 9,
        _ => 7,
    };
    let lengths: Vec<u8> = (0..288).map(length).collect();
    (Code::any(&lengths), Code::any(&[5; 30]))
});

impl Code {
    /// From the length of each symbol's prefix; nothing where they are too many or too few.
    fn of(lengths: &[u8]) -> Option<Self> {
        let left = counts(lengths).iter().skip(1).try_fold(1i32, |left, count| {
            let left = 2 * left - i32::from(*count);
            (left >= 0).then_some(left)
        });
        (left == Some(0)).then(|| Self::any(lengths))
    }

    /// Of distances there may be one alone, or none.
    fn single(lengths: &[u8]) -> Option<Self> {
        let used = lengths.iter().filter(|length| **length > 0).count();
        (used == 0 || (used == 1 && lengths.contains(&1))).then(|| Self::any(lengths))
    }

    fn any(lengths: &[u8]) -> Self {
        let of_length = |length: u8| (0..).zip(lengths).filter(move |(_, other)| **other == length);
        let symbols = (1..=15).flat_map(of_length).map(|(symbol, _)| symbol).collect();
        Self { counts: counts(lengths), symbols }
    }
}

fn counts(lengths: &[u8]) -> [u16; 16] {
    let mut counts = [0; 16];
    lengths.iter().for_each(|length| counts[usize::from(*length & 15)] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::super::inflate::Coding;
    use super::super::inflate::tests::compress;
    use super::*;

    #[test]
    fn text_is_told_however_it_is_compressed() {
        let long: String = (0..300).map(|n| format!("line {n} of something, said again and again\n")).collect();
        for text in ["DB_PASSWORD=c0nR53vbNwvZ57YiuPRr", &long] {
            let packed = compress(Coding::Deflate, text.as_bytes());
            assert_eq!(looks(&packed, true), Looks::Text, "{text}");
            for end in 0..packed.len().min(20) {
                assert_ne!(looks(&packed[..end], false), Looks::No, "{text} {end}");
            }
        }
    }

    #[test]
    fn hardly_any_other_bytes_are_one() {
        let mut seed = 88_172_645_463_325_252u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        };
        let mut told = 0;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..ENOUGH).map(|_| random()).collect();
            told += usize::from(looks(&bytes, true) == Looks::Text);
        }
        assert!(told < 3, "{told}");
        for text in ["{\"a\": [1, 2, 3]}", "fn main() {}", "%PDF-1.7\n%\u{e2}", "\u{7f}ELF\u{2}\u{1}\u{1}", ""] {
            assert_eq!(looks(text.repeat(40).as_bytes(), true), Looks::No, "{text}");
        }
    }
}
