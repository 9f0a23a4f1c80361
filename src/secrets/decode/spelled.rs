//! Bytes spelled out as numbers, whatever stands between them: `#67 #68`, `67/68`, `x'67' x'68'`, `0x670x68`,
//! `(byte)0x67`, `Chr(&H67)`, many bytes a word (`6768705f63306e52`), octal, binary. In small texts only: there is no end to the ways.

use super::super::search::classes::Class;
use super::{hex, is_text, numbers};
use std::ops::Range;
use zeroize::Zeroizing;

/// Signs between two numbers, and words: a cast.
const BETWEEN: usize = 8;
const ASIDE: usize = 2;
const LONGEST_ASIDE: usize = 8;
/// A text is looked at in blocks, of which those with so many digits are read.
const BLOCK: usize = 64;
const DENSE: usize = 8;

/// Finds text that is spelled out; `each` gets where it begins, and its bytes.
pub(in crate::secrets) fn streaks(text: &[u8], shortest: usize, each: &mut dyn FnMut(usize, &[u8])) {
    let wide = shortest < numbers::STREAK;
    let mut tokens = Vec::new();
    for range in dense(text) {
        tokens.clear();
        let part = text.get(range.clone()).unwrap_or_default();
        tokenize(part, &mut tokens);
        if !may_say(&tokens, shortest, wide) {
            continue;
        }
        for radix in [16, 10, 8, 2] {
            read(&tokens, (radix, wide), shortest, &mut |at, bytes| each(range.start + at, bytes));
        }
    }
}

/// What words are made of.
const LETTERS: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        has[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    has
});

/// Words, and the signs between them.
fn tokenize<'a>(text: &'a [u8], tokens: &mut Vec<&'a [u8]>) {
    let (mut start, mut last) = (0, text.first().is_some_and(|byte| LETTERS.has(*byte)));
    for (base, block) in (0..).step_by(BLOCK).zip(text.chunks(BLOCK)) {
        let letters = LETTERS.short_mask(block);
        let there = u64::MAX >> (BLOCK - block.len());
        let mut turns = (letters ^ (letters << 1 | u64::from(last))) & there;
        last = letters >> (block.len() - 1) & 1 == 1;
        while turns != 0 {
            let at = base + turns.trailing_zeros() as usize;
            tokens.extend(text.get(start..at));
            start = at;
            turns &= turns - 1;
        }
    }
    tokens.extend(text.get(start..).filter(|rest| !rest.is_empty()));
}

/// The parts of a text that have many digits, each with a block beside it: a byte of text has one in every radix.
fn dense(text: &[u8]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (number, block) in text.chunks(BLOCK).enumerate() {
        let digits = block.iter().map(|byte| usize::from(byte.is_ascii_digit())).sum::<usize>();
        if digits * BLOCK < DENSE * block.len() {
            continue;
        }
        let range = (number.max(1) - 1) * BLOCK..text.len().min((number + 2) * BLOCK);
        match ranges.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    ranges
}

/// Whether there may be so many bytes in a row, in any radix.
fn may_say(tokens: &[&[u8]], shortest: usize, wide: bool) -> bool {
    let (mut said, mut aside) = (0, 0);
    tokens.iter().filter(|token| token.first().is_some_and(u8::is_ascii_alphanumeric)).any(|word| {
        match most_of(word, wide) {
            Some(0) if aside < ASIDE => aside += 1,
            Some(bytes) if bytes > 0 => (said, aside) = (said + bytes, 0),
            _ => (said, aside) = (0, 0),
        }
        said >= shortest
    })
}

/// How many bytes of a text a word says at the most; nothing where it ends a row of them.
fn most_of(word: &[u8], wide: bool) -> Option<usize> {
    // In hex.
    let is_text = |high: u8, low: u8| match high {
        b'2'..=b'7' => true,
        b'0' => matches!(low, b'0' | b'9' | b'a' | b'c' | b'd' | b'A' | b'C' | b'D'),
        _ => wide && high.is_ascii_hexdigit(),
    };
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    match *word {
        [a] if a.is_ascii_digit() => Some(1),
        [a, b] if is_hex(a) && is_hex(b) => Some(1),
        [a, b, c] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => Some(1),
        [b'x' | b'X' | b'H', a, b] | [a, b, b'h' | b'H'] if is_hex(a) && is_hex(b) => Some(1),
        [.., b'u', b'8'] => Some(1),
        [b'0', b'x' | b'X' | b'o' | b'O' | b'b', ..] | [b'x' | b'X' | b'H', ..] => Some(word.len() / 2),
        // Octal, and eight bits a byte.
        [b'0', _, _, _] => Some(2),
        [b'0' | b'1', b'0' | b'1', b'0' | b'1', ..] if word.len().is_multiple_of(8) => Some(word.len() / 8),
        [a, b, c, d, ..] if is_text(a, b) && is_text(c, d) => Some(word.len() / 2),
        // A cast.
        _ => (word.len() <= LONGEST_ASIDE && word.iter().all(u8::is_ascii_alphabetic)).then_some(0),
    }
}

fn read(tokens: &[&[u8]], radix: (u32, bool), shortest: usize, each: &mut dyn FnMut(usize, &[u8])) {
    let (mut bytes, mut start, mut aside, mut at) = (Zeroizing::new(Vec::new()), 0, 0, 0);
    for &token in tokens {
        let from = at;
        at += token.len();
        let is_word = token.first().is_some_and(u8::is_ascii_alphanumeric);
        if !is_word && token.len() <= BETWEEN {
            continue;
        }
        if is_word && add(token, radix, &mut bytes) {
            aside = 0;
            continue;
        }
        aside += 1;
        let is_cast = is_word && token.len() <= LONGEST_ASIDE && token.iter().all(u8::is_ascii_alphabetic);
        if is_cast && aside <= ASIDE && !bytes.is_empty() {
            continue;
        }
        if bytes.len() >= shortest {
            each(start, &bytes);
        }
        bytes.clear();
        // The word may begin another.
        (start, aside) = (at, 0);
        if is_word && add(token, radix, &mut bytes) {
            start = from;
        }
    }
    if bytes.len() >= shortest {
        each(start, &bytes);
    }
}

/// Adds what a word says; false, and nothing, where it says none of a text. What is `wide` may have letters beyond ASCII.
fn add(word: &[u8], (radix, wide): (u32, bool), bytes: &mut Vec<u8>) -> bool {
    let before = bytes.len();
    let mut last = bytes.last().copied();
    let mut push = |byte: u8| {
        let is_said = (wide && byte >= 0x80) || is_text(byte, last.replace(byte).as_ref());
        if is_said {
            bytes.push(byte);
        }
        is_said
    };
    let said = match radix {
        16 => push_hex(word, &mut push),
        2 => push_bits(word, &mut push),
        _ => push_number(word, radix, &mut push),
    };
    if !said {
        bytes.truncate(before);
    }
    said
}

/// `67`, `x67`, `67h`, `0x67`, `0x670x68`, and words of whole bytes.
fn push_hex(word: &[u8], push: &mut impl FnMut(u8) -> bool) -> bool {
    let mut all = |digits: &[u8]| {
        let (pairs, rest) = digits.as_chunks::<2>();
        let said = |[high, low]: &[u8; 2]| hex::pair(*high, *low).is_some_and(&mut *push);
        !pairs.is_empty() && rest.is_empty() && pairs.iter().all(said)
    };
    match word {
        [b'0', b'x' | b'X', ..] => {
            let lower = word.to_ascii_lowercase();
            let mut rest = &*lower;
            while let Some(digits) = rest.strip_prefix(b"0x") {
                let end = memchr::memmem::find(digits, b"0x").unwrap_or(digits.len());
                let (digits, next) = digits.split_at(end);
                if !all(digits) {
                    return false;
                }
                rest = next;
            }
            true
        }
        [b'x' | b'X' | b'H', digits @ ..] => all(digits),
        [high, low, b'h' | b'H'] => all(&[*high, *low]),
        digits => all(digits),
    }
}

/// A number of three digits at most, with a sign for octal and with the name of its type, or not.
fn push_number(word: &[u8], radix: u32, push: &mut impl FnMut(u8) -> bool) -> bool {
    let word = word.strip_suffix(b"u8").unwrap_or(word);
    let digits = match (radix, word) {
        (8, [b'0', b'o' | b'O', digits @ ..] | [b'0', digits @ ..]) => digits,
        (_, digits) => digits,
    };
    let add = |number: u32, byte: &u8| Some(number * radix + (*byte as char).to_digit(radix)?);
    let number = (1..=3).contains(&digits.len()).then(|| digits.iter().try_fold(0, add)).flatten();
    number.and_then(|number| u8::try_from(number).ok()).is_some_and(push)
}

/// Eight digits a byte.
fn push_bits(word: &[u8], push: &mut impl FnMut(u8) -> bool) -> bool {
    let digits = word.strip_prefix(b"0b").unwrap_or(word);
    let (groups, rest) = digits.as_chunks::<8>();
    let said = |group: &[u8; 8]| {
        let add = |byte: u8, digit: &u8| matches!(digit, b'0' | b'1').then_some(byte << 1 | (digit & 1));
        group.iter().try_fold(0, add).is_some_and(&mut *push)
    };
    !groups.is_empty() && rest.is_empty() && groups.iter().all(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_parted_where_words_begin_and_end(text in "[a ,0-9]{0,90}(a{0,80}|,{0,80})[a-z-]{0,90}") {
            let mut tokens = Vec::new();
            tokenize(text.as_bytes(), &mut tokens);
            let parted = text.as_bytes().chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric());
            prop_assert_eq!(tokens, parted.collect::<Vec<_>>());
        }

        #[test]
        fn whatever_says_bytes_is_looked_at(
            words in proptest::collection::vec(
                "(0x|x|H|0o|0b|0|)[0-9a-f]{1,8}(h|u8|)|[0-9]{1,4}|[01]{8,16}|[A-Za-z]{1,9}", 1..24),
            sign in "[ ,#]{1,2}",
        ) {
            let text = words.join(&*sign);
            let mut tokens = Vec::new();
            tokenize(text.as_bytes(), &mut tokens);
            let mut found = false;
            for radix in [16, 10, 8, 2] {
                read(&tokens, (radix, false), 4, &mut |_, _| found = true);
            }
            prop_assert!(!found || may_say(&tokens, 4, false), "{}", text);
        }
    }

    const TEXT: &str = "ghp_c0nR53vbNwvZ57YiuPRr";

    #[test]
    fn bytes_are_read_whatever_stands_between_them() {
        let each = |show: &dyn Fn(u8) -> String, gap: &str| TEXT.bytes().map(show).collect::<Vec<_>>().join(gap);
        for text in [
            each(&|byte| format!("#{byte:02x}"), " "),
            each(&|byte| format!("{byte:02X}"), "/"),
            each(&|byte| format!("x'{byte:02x}'"), " "),
            each(&|byte| format!("0x{byte:02x}"), ""),
            each(&|byte| format!("(byte)0x{byte:02x}"), ", "),
            each(&|byte| format!("{byte:02X}h"), " "),
            each(&|byte| format!("{byte}u8"), ", "),
            each(&|byte| format!("\"{byte:o}\""), ", "),
            each(&|byte| format!("0o{byte:o}"), ", "),
            each(&|byte| format!("{byte:08b}"), ""),
            each(&|byte| format!("0b{byte:08b}"), ", "),
            each(&|byte| format!("ChrW(&H{byte:X})"), " & "),
            each(&|byte| format!("ZEICHEN({byte})"), "&"),
            TEXT.as_bytes().chunks(8).map(|eight| data_encoding::HEXLOWER.encode(eight)).collect::<Vec<_>>().join(" "),
        ] {
            let (mut found, text) = (Vec::new(), format!("see here: {text}; so it is"));
            streaks(text.as_bytes(), 16, &mut |_, bytes| found.push(String::from_utf8_lossy(bytes).into_owned()));
            assert!(found.iter().any(|bytes| bytes.contains(TEXT)), "{text} {found:?}");
        }
    }

    #[test]
    fn digests_dates_and_tables_of_numbers_spell_nothing() {
        for text in [
            "2026-11-22 13:05:07 550e8400-e29b-41d4-a716-446655440000 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
            "1 200 300 4 500 600 7 800 900 1 200 300 4 500 600 7 800 900 1 200 300 4 500 600 7 800 900",
        ] {
            streaks(text.as_bytes(), 16, &mut |_, bytes| panic!("{:?}", String::from_utf8_lossy(bytes)));
        }
    }
}
