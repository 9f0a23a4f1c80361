//! What a small text, or a value of a head, says in a writing that tells itself apart: base85, uuencode, base32 of the
//! other alphabet, words of mail, dumps, folded lines, a key's lines. Where strings and fields stand in it, in them too.

use super::decode::inflate::{Coding, Inflate};
use super::decode::{base32, base85, columns, encoded_words, numbers, uuencode, whole};
use super::finding::{Finding, Surface};
use super::folds;
use super::guard::Guard;
use super::known;
use super::named::has_names;
use super::search::classes::Classes;
use super::shards::unquote;
use crate::net::Host;
use zeroize::Zeroizing;

impl Guard {
    /// What a text holds in such a writing. Not `is_clean`: something was seen, told or not.
    pub(super) fn scan_written(&self, host: &Host, surface: Surface, text: &[u8], is_clean: &mut bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let wide = !self.inner.known.is_empty();
        let shortest = if wide { known::SHORTEST } else { numbers::STREAK };
        let mut scan = |step: &'static str, bytes: &[u8]| {
            findings.extend(self.scan_text(host, surface, bytes, (step, false), is_clean));
        };
        let [numbers, letters, words] =
            STRETCHES.has_runs(text, [2 * shortest, base32::SHORTEST, base85::length(shortest)]);
        if words {
            base85::words(text, shortest, wide, &mut |bytes| scan("base85", bytes));
        }
        if letters {
            base32::extended(text, &mut |bytes| scan("base32", bytes));
        }
        if numbers {
            whole::numbers(text, shortest, wide, &mut |bytes| scan("numbers", bytes));
        }
        uuencode::lines(text, shortest, wide, &mut |bytes| scan("uuencode", bytes));
        columns::dumps(text, shortest, wide, &mut |bytes| scan("hexdump", bytes));
        encoded_words::decode(text).iter().for_each(|bytes| scan("encoded-word", bytes));
        folds::key(text).iter().for_each(|bytes| scan("lines", bytes));
        for row in folds::unfolded(text) {
            findings.extend(self.scan_row(host, surface, &row, self.may_hold(&row)));
        }
        findings
    }

    /// The same for a small body, and for what its strings and its fields say.
    pub(super) fn scan_written_body(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut findings = self.scan_written(host, surface, text, &mut true);
        for plain in [strings(text), fields(text)].into_iter().flatten() {
            findings.extend(self.scan_written(host, surface, &plain, &mut true));
        }
        for (step, plain) in [("percent", spaced(text)), ("escape", unquoted(text))] {
            let scan = |plain: Zeroizing<Vec<u8>>| self.scan_text(host, surface, &plain, (step, false), &mut true);
            findings.extend(plain.into_iter().flat_map(scan));
        }
        if !self.inner.known.is_empty() {
            for bytes in inflated(text) {
                findings.extend(self.scan_text(host, surface, &bytes, ("deflate", false), &mut true));
            }
        }
        findings
    }
}

/// Digits, letters with them, and all but white space: what is written so stands in stretches of them.
const STRETCHES: Classes<3> = Classes::new({
    let mut has = [[false; 256]; 3];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        has[0][byte] = character.is_ascii_digit();
        has[1][byte] = character.is_ascii_alphanumeric();
        has[2][byte] = !character.is_ascii_whitespace();
        byte += 1;
    }
    has
});

/// The strings of a text, a line each, if some are escaped.
pub(super) fn strings(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'\\', text).filter(|_| memchr::memchr(b'"', text).is_some())?;
    let (mut all, mut string, mut at) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()), 0);
    while let Some(open) = text.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        at += open + 1;
        string.clear();
        if let Some(length) = unquote(text.get(at..).unwrap_or_default(), b'"', &mut string) {
            at += length;
            // Both characters of a line break are read as one.
            string.dedup_by(|byte, before| *byte == b'\n' && *before == b'\n');
            all.extend_from_slice(&string);
            all.push(b'\n');
        }
    }
    Some(all)
}

/// The values of a form's fields, a line each.
fn fields(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr2(b'%', b'+', text).filter(|_| !text.iter().any(u8::is_ascii_whitespace))?;
    let mut all = Zeroizing::new(Vec::new());
    for pair in text.split(|byte| *byte == b'&') {
        let value = pair.get(memchr::memchr(b'=', pair).map_or(0, |equals| equals + 1)..).unwrap_or_default();
        all.extend(plain(value).iter());
        all.push(b'\n');
    }
    Some(all)
}

/// Words of a text as a form writes them, a line each, where they say a name that values stand behind.
fn spaced(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'%', text).and(memchr::memchr(b'+', text))?;
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'&');
    let is_coded = |word: &&[u8]| memchr::memchr(b'%', word).and(memchr::memchr(b'+', word)).is_some();
    let words: Vec<Zeroizing<Vec<u8>>> = text.split(is_end).filter(is_coded).map(plain).collect();
    let is_login = |word: &[u8]| memchr::memmem::find(&word.to_ascii_lowercase(), b"auth").is_some();
    let is_named = |word: &&[u8]| has_names(word) || is_login(word);
    let all: Vec<&[u8]> = words.iter().map(|word| word.as_slice()).filter(is_named).collect();
    (!all.is_empty()).then(|| Zeroizing::new(all.join(&b'\n')))
}

/// A text as a shell reads it that quotes its spaces and signs with backslashes.
fn unquoted(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memmem::find(text, b"\\ ")?;
    let (mut all, mut rest) = (Zeroizing::new(Vec::with_capacity(text.len())), text);
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let is_quote = rest.get(at + 1).is_some_and(|next| !next.is_ascii_alphanumeric());
        all.extend_from_slice(rest.get(..at + usize::from(!is_quote)).unwrap_or_default());
        // What is quoted is itself, a backslash too.
        let next = at + 1 + usize::from(is_quote);
        all.extend(rest.get(at + 1..next).unwrap_or_default());
        rest = rest.get(next..).unwrap_or_default();
    }
    all.extend_from_slice(rest);
    Some(all).filter(|all| has_names(all) || memchr::memmem::find(all, b"Authorization").is_some())
}

/// What a short text, or a part of one, is in raw deflate: known values are too short to tell it by what is in it, so
/// it must end where the text does.
fn inflated(text: &[u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    const LONGEST: usize = 256;
    let parts = memchr::memmem::find_iter(text, b"\r\n\r\n").filter_map(|at| {
        let part = text.get(at + 4..)?;
        part.get(..memchr::memmem::find(part, b"\r\n--")?)
    });
    let is_short = |part: &&[u8]| part.len() <= LONGEST && !part.is_ascii();
    std::iter::once(text).chain(parts).filter(is_short).filter_map(|part| {
        let mut bytes = Zeroizing::new(Vec::new());
        let step = Inflate::new(Coding::Deflate).ok()?.step(part, &mut bytes).ok()?;
        (step.ended && step.read == part.len()).then_some(bytes)
    })
}

/// What a form writes: a plus is a space.
fn plain(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Zeroizing::new(percent_encoding::percent_decode(&spaced).collect())
}
