//! Base85 of every alphabet that the usual tools write: of Python and git, of ZeroMQ, of Adobe.

use super::may_stand;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// How Adobe frames it.
const FRAME: (&[u8], &[u8]) = (b"<~", b"~>");

const INVALID: u8 = 0xff;

/// The alphabets: of RFC 1924 and git, of ZeroMQ, of Adobe.
const ALPHABETS: [Alphabet; 3] = [
    Alphabet::new(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~", false),
    Alphabet::new(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#", false),
    Alphabet::new(b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu", true),
];

/// The values of characters; some write four spaces, or four zeroes, as one.
struct Alphabet {
    values: [u8; 256],
    has_short: bool,
}

impl Alphabet {
    const fn new(characters: &[u8; 85], has_short: bool) -> Self {
        let (mut values, mut at) = ([INVALID; 256], 0);
        while at < characters.len() {
            values[characters[at] as usize] = at as u8;
            at += 1;
        }
        Self { values, has_short }
    }

    /// The bytes of the group at the front, and how many characters it has; of what is missing of the last, each is
    /// taken as the highest digit.
    fn group(&self, rest: &[u8]) -> Option<([u8; 4], usize, usize)> {
        match rest.first()? {
            b'z' if self.has_short => return Some(([0; 4], 4, 1)),
            b'y' if self.has_short => return Some(([b' '; 4], 4, 1)),
            _ => {}
        }
        let length = rest.len().min(5);
        let mut number = 0u32;
        for place in 0..5 {
            let value = rest.get(place).map_or(84, |byte| self.values[usize::from(*byte)]);
            if value == INVALID {
                return None;
            }
            number = number.checked_mul(85)?.checked_add(u32::from(value))?;
        }
        Some((number.to_be_bytes(), length - 1, length))
    }

    /// A word, if all of it is text.
    fn decode(&self, word: &[u8], wide: bool) -> Option<Zeroizing<Vec<u8>>> {
        // Nearly all words end at their first group: those need no room.
        self.part(word, wide)?;
        let (mut bytes, mut at) = (Zeroizing::new(Vec::with_capacity(word.len())), 0);
        while let Some(rest) = word.get(at..).filter(|rest| !rest.is_empty()) {
            let (said, count, length) = self.part(rest, wide)?;
            bytes.extend_from_slice(said.get(..count)?);
            at += length;
        }
        Some(bytes)
    }

    /// The group at the front, if it is text.
    fn part(&self, rest: &[u8], wide: bool) -> Option<([u8; 4], usize, usize)> {
        self.group(rest).filter(|(said, count, _)| said.iter().take(*count).all(|byte| may_stand(*byte, wide)))
    }
}

/// How many characters so many bytes take.
pub(in crate::secrets) const fn length(bytes: usize) -> usize {
    bytes * 5 / 4
}

/// Finds text of so many bytes in base85: words, what stands between Adobe's signs, lines without a space as one.
/// `wide`: with letters beyond ASCII.
pub(in crate::secrets) fn words(text: &[u8], shortest: usize, wide: bool, each: &mut dyn FnMut(&[u8])) {
    let shortest = length(shortest);
    let mut tell = |word: &[u8]| {
        if word.len() >= shortest {
            ALPHABETS.iter().filter_map(|alphabet| alphabet.decode(word, wide)).for_each(|bytes| each(&bytes));
        }
    };
    for line in text.split(u8::is_ascii_whitespace) {
        tell(line);
        if memchr::memchr(b'"', line).is_some() {
            line.split(|byte| *byte == b'"').for_each(&mut tell);
        }
    }
    let mut rest = if memchr::memchr(b'~', text).is_some() { text } else { &[] };
    while let Some(close) = memchr::memmem::find(rest, FRAME.1) {
        let before = rest.get(..close).unwrap_or_default();
        if let Some(open) = memchr::memmem::rfind(before, FRAME.0) {
            tell(&joined(before.get(open + FRAME.0.len()..).unwrap_or_default()));
        }
        rest = rest.get(close + FRAME.1.len()..).unwrap_or_default();
    }
    if memchr::memchr(b'\n', text).is_none() {
        return;
    }
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).peekable();
    let is_word = |line: &&[u8]| line.len() >= shortest && !line.iter().any(u8::is_ascii_whitespace);
    while let Some(first) = lines.next() {
        if !is_word(&first) || lines.peek().is_none() {
            continue;
        }
        let mut all = Zeroizing::new(first.to_vec());
        // The last one is shorter.
        let mut last = 0;
        while let Some(line) = lines.next_if(|line| !line.is_empty() && line.len() <= first.len()) {
            last = line.len();
            all.extend_from_slice(line);
        }
        // A line behind it may have nothing to do with it.
        for end in [all.len(), all.len() - last].into_iter().filter(|end| *end > first.len()) {
            tell(&joined(all.get(..end).unwrap_or_default()));
        }
    }
}

/// A text without its white space.
fn joined(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_whitespace) {
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        words(text, 16, false, &mut |bytes| found.push(String::from_utf8_lossy(bytes).into_owned()));
        found
    }

    #[test]
    fn every_alphabet_is_read_framed_or_not_and_over_lines() {
        // Of Python's b85encode and a85encode.
        let (git, adobe) = (&b"Xm%~KUu1P>WMyq=bYWv_b!1p>cVT5^W_4t7ZeeU@c4cy3bai$xWnpB)"[..], &b"AS>7sAh"[..]);
        assert!(read(git).is_empty() || read(git)[0].is_ascii());
        assert!(read(adobe).is_empty());
        let text = b"the quick brown fox jumps over";
        for alphabet in &ALPHABETS {
            let encoded = encode(alphabet, text);
            let line = encoded.escape_ascii().to_string();
            assert!(read(&encoded).contains(&String::from_utf8_lossy(text).into_owned()), "{line}");
            let (a, b) = encoded.split_at(22);
            let framed = [b"see <~", a, b"\n", b, b"~> there"].concat();
            assert!(read(&framed).iter().any(|found| found.as_bytes() == text), "{line}");
            let lines = [a, b"\r\n", b].concat();
            assert!(read(&lines).iter().any(|found| found.as_bytes() == text), "{line}");
        }
        assert_eq!(read(b"+<VdL+<VdL+<VdLy+<VdL").len(), 1);
    }

    #[test]
    fn words_and_digests_are_no_text() {
        assert!(read(b"internationalization 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c <~no~> \"\"").is_empty());
    }

    fn encode(alphabet: &Alphabet, text: &[u8]) -> Vec<u8> {
        let character = |value: u32| {
            let is = |at: &u8| alphabet.values[usize::from(*at)] == value as u8;
            (0..=u8::MAX).find(is).unwrap()
        };
        let mut out = Vec::new();
        for four in text.chunks(4) {
            let mut padded = [0; 4];
            padded[..four.len()].copy_from_slice(four);
            let number = u32::from_be_bytes(padded);
            let all = (0..5u32).rev().map(|place| character(number / 85u32.pow(place) % 85));
            out.extend(all.take(four.len() + 1));
        }
        out
    }
}
