//! Ways to write text that nobody is expected to use but who hides something: letters moved by thirteen, all of it
//! backwards. Small bodies are looked through for them.

use super::decode::{gates, numbers};
use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::joins::is_token;
use super::named::has_names;
use super::recall::seams::Seams;
use super::rules::catalogue::Group;
use super::rules::home::Spot;
use super::shards::holds_random;
use super::stream::{Hit, Scan, Stream, Work};
use super::written::strings;
use crate::net::Host;
use zeroize::Zeroizing;

/// So many escapes of a form's ask for another look.
const FEW: usize = 4;

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
        findings.extend(self.scan_written_body(host, surface, text));
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
        let named = has_names(&reversed);
        let tells = named || is_coded(&reversed) || !seams.places(&reversed).is_empty();
        if !tells && self.inner.known.is_empty() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        let mut read = |text: &[u8], is_turned: bool| {
            let mut work = Work::new();
            work.given = text.len() as u64;
            let (scanner, known) = (&self.inner.scanner, &self.inner.known);
            let mut report = |hit: &Hit<'_>| {
                *is_clean = false;
                // Of words that are turned in their places some say what a digest beside them would be.
                let is_named = !is_turned || scanner.is_of(Group::Generic, hit.rules);
                let is_sure = hit.known.is_some()
                    || is_token(hit)
                    || scanner.is_of(Group::Financial, hit.rules)
                    || (is_named && hit.is_likely && holds_random(hit.candidate.value));
                let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
                findings.extend(is_sure.then(|| self.inner.judge(hit, at)).flatten());
            };
            let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec!["reversed"] };
            Stream::new(1).feed(&mut scan, &|at| at, text, true);
        };
        read(&reversed, false);
        // What is one word was read with the whole: what goes over several has a name.
        if named {
            let strings = strings(text);
            [Some(text), strings.as_deref().map(Vec::as_slice)].into_iter().flatten().for_each(|text| {
                turned(text).for_each(|text| read(&text, true));
            });
        }
        findings
    }
}

/// A text of which each word, what stands between spaces, or each line, stands backwards in its place.
fn turned(text: &[u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let ends: [fn(&u8) -> bool; 3] = [u8::is_ascii_whitespace, |byte| *byte == b' ', |byte| *byte == b'\n'];
    ends.into_iter().filter(|is_end| text.iter().any(is_end)).map(|is_end| {
        let mut turned = Zeroizing::new(text.to_vec());
        turned.split_mut(is_end).for_each(<[u8]>::reverse);
        turned
    })
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
