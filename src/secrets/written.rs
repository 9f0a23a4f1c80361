//! What a small text, or a value of a head, says in a writing that tells itself apart: base85, uuencode, base32 of the
//! other alphabet, words of mail, dumps, folded lines, a key's lines. Where strings and fields stand in it, in them too.

use super::decode::{base32, base85, columns, encoded_words, numbers, uuencode};
use super::finding::{Finding, Surface};
use super::folds;
use super::guard::Guard;
use super::known;
use super::shards::{has_names, unquote};
use crate::net::Host;
use zeroize::Zeroizing;

impl Guard {
    /// What a text holds in such a writing. Not `is_clean`: something was seen, told or not.
    pub(super) fn scan_written(
        &self,
        host: &Host,
        surface: Surface,
        text: &[u8],
        is_clean: &mut bool,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let wide = !self.inner.known.is_empty();
        let shortest = if wide { known::SHORTEST } else { numbers::STREAK };
        let mut scan = |step: &'static str, bytes: &[u8]| {
            findings.extend(self.scan_text(host, surface, bytes, (step, false), is_clean));
        };
        base85::words(text, wide, &mut |bytes| scan("base85", bytes));
        base32::extended(text, &mut |bytes| scan("base32", bytes));
        uuencode::lines(text, wide, &mut |bytes| scan("uuencode", bytes));
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
        if let Some(spaced) = spaced(text) {
            findings.extend(self.scan_text(host, surface, &spaced, ("percent", false), &mut true));
        }
        findings
    }
}

/// The strings of a text, a line each, if some are escaped.
pub(super) fn strings(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    memchr::memchr(b'\\', text).filter(|_| memchr::memchr(b'"', text).is_some())?;
    let (mut all, mut string, mut at) = (Zeroizing::new(Vec::new()), Zeroizing::new(Vec::new()), 0);
    while let Some(open) = text.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
        at += open + 1;
        string.clear();
        if let Some(length) = unquote(text.get(at..).unwrap_or_default(), b'"', &mut string) {
            at += length;
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

/// A text in which spaces are written as a form writes them, where something in it has several words.
fn spaced(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const FEW: usize = 2;
    memchr::memchr2_iter(b'%', b'+', text).nth(FEW).filter(|_| memchr::memchr(b'+', text).is_some())?;
    Some(plain(text)).filter(|plain| has_names(plain))
}

/// What a form writes: a plus is a space.
fn plain(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Zeroizing::new(percent_encoding::percent_decode(&spaced).collect())
}
