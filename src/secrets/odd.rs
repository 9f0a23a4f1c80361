//! Ways to write text that nobody is expected to use but who hides something: letters moved by thirteen, base85,
//! uuencode, all of it backwards. Small bodies are looked through for them.

use super::decode::{gates, numbers};
use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::joins::is_token;
use super::recall::seams::Seams;
use super::rules::home::Spot;
use super::shards::{has_names, holds_random};
use super::stream::{Hit, Scan, Stream, Work};
use crate::net::Host;
use zeroize::Zeroizing;

/// Shorter words in base85 hold no token.
const SHORTEST: usize = 20;

/// Characters that a line of uuencode may have behind its own: some write a sum there.
const SPARE: usize = 2;

/// So many escapes of a form's ask for another look.
const FEW: usize = 4;

/// The alphabets: of RFC 1924 and git, of ZeroMQ, of Adobe.
const ALPHABETS: [&[u8; 85]; 3] = [
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
    b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstu",
];

impl Guard {
    /// What a small body holds in such a writing.
    pub(super) fn scan_odd(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut scan = |step: &'static str, bytes: &[u8]| {
            if Seams::new(&self.inner).places(bytes).is_empty() && self.inner.known.is_empty() {
                return;
            }
            let mut work = Work::new();
            work.given = bytes.len() as u64;
            let mut report = |hit: &Hit<'_>| {
                let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
                // Of any letters in another order some make a value with a name.
                findings.extend(hit.is_believed().then(|| self.inner.judge(hit, at)).flatten());
            };
            let (scanner, known) = (&self.inner.scanner, &self.inner.known);
            let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec![step] };
            Stream::new(1).feed(&mut scan, &|at| at, bytes, true);
        };
        scan("rot13", &rot13(text));
        if let Some(bytes) = uuencoded(text) {
            scan("uuencode", &bytes);
        }
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"';
        let words = text.split(is_end).chain(text.split(u8::is_ascii_whitespace));
        for word in words.filter(|word| word.len() >= SHORTEST) {
            let word = word.strip_prefix(b"<~").and_then(|word| word.strip_suffix(b"~>")).unwrap_or(word);
            ALPHABETS.iter().filter_map(|alphabet| base85(alphabet, word)).for_each(|bytes| scan("base85", &bytes));
        }
        findings.extend(self.scan_backwards(host, surface, text, &mut true));
        let is_form = || !text.iter().any(u8::is_ascii_whitespace) && memchr::memchr(b'%', text).is_some();
        if memchr::memchr_iter(b'%', text).nth(FEW).is_some() || is_form() {
            // A plus is a space in a form.
            let space = if is_form() { b' ' } else { b'+' };
            let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { space } else { *byte }).collect();
            let plain: Zeroizing<Vec<u8>> = Zeroizing::new(percent_encoding::percent_decode(&spaced).collect());
            findings.extend(self.scan_backwards(host, surface, &plain, &mut true));
        }
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// What a small body holds when it is read backwards: words are, wherever they stand, but not what goes over
    /// several, nor what is written another way. Not `is_clean`: something was seen, told or not.
    pub(super) fn scan_backwards(
        &self,
        host: &Host,
        surface: Surface,
        text: &[u8],
        is_clean: &mut bool,
    ) -> Vec<Finding> {
        let reversed: Zeroizing<Vec<u8>> = Zeroizing::new(text.iter().rev().copied().collect());
        let mut seams = Seams::new(&self.inner);
        let (named, coded) = (has_names(&reversed), is_coded(&reversed));
        if !named && !coded && self.inner.known.is_empty() && seams.places(&reversed).is_empty() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        let mut work = Work::new();
        work.given = reversed.len() as u64;
        let mut report = |hit: &Hit<'_>| {
            *is_clean = false;
            let is_sure = is_token(hit) || (hit.is_likely && holds_random(hit.candidate.value));
            let is_sure = hit.known.is_some() || is_sure;
            let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
            findings.extend(is_sure.then(|| self.inner.judge(hit, at)).flatten());
        };
        let (scanner, known) = (&self.inner.scanner, &self.inner.known);
        let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec!["reversed"] };
        Stream::new(1).feed(&mut scan, &|at| at, &reversed, true);
        findings
    }
}

/// Whether so many escapes stand in a text, or numbers, that something is written in them.
fn is_coded(text: &[u8]) -> bool {
    const LEAST: usize = 12;
    let escapes = memchr::memchr3_iter(b'%', b'\\', b'&', text).chain(memchr::memchr_iter(b'=', text));
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let mut is_list = false;
    escapes.filter(|at| gates::gate_at(text, *at, true).is_some()).take(LEAST).count() == LEAST
        || digits * 4 > text.len() && {
            numbers::streaks(text, numbers::STREAK, &mut |_, _| is_list = true);
            is_list
        }
}

fn rot13(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let turn = |byte: &u8| match byte {
        b'a'..=b'm' | b'A'..=b'M' => byte + 13,
        b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
        byte => *byte,
    };
    Zeroizing::new(text.iter().map(turn).collect())
}

/// What follows a line that begins it: lines of their length and so many bytes, four characters for three. A line that
/// is empty or longer than it says is passed over, as some that read it do.
fn uuencoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let begin = memchr::memmem::find(text, b"begin ")?;
    let mut bytes = Zeroizing::new(Vec::new());
    for line in text.get(begin..)?.split(|byte| *byte == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if line == b"end" {
            break;
        }
        let Some((length, characters)) = line.split_first() else { continue };
        let length = usize::from(length.saturating_sub(b' ') & 63);
        if length == 0 || characters.len() > 4 * length.div_ceil(3) + SPARE {
            continue;
        }
        let value = |at: usize| characters.get(at).map_or(0, |byte| byte.wrapping_sub(b' ') & 63);
        for group in 0..length.div_ceil(3) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| value(4 * group + at));
            bytes.extend([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d].into_iter().take(length - 3 * group));
        }
    }
    Some(bytes)
}

/// A word in base85, if it is one and what it says is text.
fn base85(alphabet: &[u8; 85], word: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(word.len()));
    for group in word.chunks(5) {
        // What is missing of the last is taken as the highest digit.
        let digits = group.iter().map(|byte| memchr::memchr(*byte, alphabet));
        let digits = digits.chain(std::iter::repeat_n(Some(84), 5 - group.len()));
        let add = |number: u32, digit: Option<usize>| number.checked_mul(85)?.checked_add(digit? as u32);
        let number = digits.into_iter().try_fold(0, add)?;
        bytes.extend(number.to_be_bytes().into_iter().take(group.len() - 1));
        let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n' | 0);
        if !bytes.iter().rev().take(4).all(is_text) {
            return None;
        }
    }
    Some(bytes)
}
