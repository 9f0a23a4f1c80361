//! Known secrets: values that the operator named, matched exactly at every level, and in base64 and hex too where they
//! are not decoded without knowing them: short ones, and those with letters beyond ASCII.

mod files;
mod gather;
mod parse;

pub use gather::{home_beside, of_file, of_variable};
pub use parse::{Source, UnknownSource, parse};

use super::decode::fold;
use super::stream::{Origin, Scan, Stream};
use crate::net::HostPattern;
use aho_corasick::packed;
use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Shorter values would be found everywhere.
pub(super) const SHORTEST: usize = 8;
/// Longer values are found by decoding.
const LONGEST_IMAGE: usize = 24;
/// Bytes of a value that the searchers keep, and what stands before its other bytes in memory that is not wiped.
const HEAD: usize = 4;
/// What one packed searcher takes.
const GROUP: usize = 64;

/// A value that must not leave, and the hosts where it may go as a credential.
#[derive(Clone)]
pub struct KnownSecret {
    name: Arc<str>,
    value: Arc<Zeroizing<Vec<u8>>>,
    homes: Vec<HostPattern>,
}

impl KnownSecret {
    /// A value under a name; `None` for what is too short or too common to be a secret.
    #[must_use]
    pub fn new(name: &str, value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let distinct = value.iter().collect::<std::collections::HashSet<_>>().len();
        let known = value.len() >= SHORTEST && distinct >= 4 && !super::rules::filter::is_placeholder(value);
        known.then(|| Self {
            name: format!("known:{name}").into(),
            value: Arc::new(Zeroizing::new(value.to_vec())),
            homes: Vec::new(),
        })
    }

    /// The same with a host where it belongs: in its head, never in a body.
    #[must_use]
    pub fn at_home(mut self, host: HostPattern) -> Self {
        self.homes.push(host);
        self
    }

    /// The rule that a finding of it names.
    #[must_use]
    pub fn rule(&self) -> &Arc<str> {
        &self.name
    }

    /// The name that it was registered under.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.split_once(':').map_or("", |(_, name)| name)
    }

    /// The value, to hand it to the gateway that is to guard it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.value
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether a credential in a request is this one, a part of it (the password of a user and a password), or an
    /// address that shows it between signs (`https://user:VALUE@host`).
    pub(super) fn is_or_holds(&self, credential: &[u8]) -> bool {
        let shown = || {
            let at = memchr::memmem::find(credential, &self.value)?;
            let sign = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b':' | b'@' | b'/'));
            let before = at.checked_sub(1).and_then(|before| credential.get(before));
            Some(sign(before) && sign(credential.get(at + self.value.len())))
        };
        (credential.len() >= SHORTEST && memchr::memmem::find(&self.value, credential).is_some())
            || shown().unwrap_or(false)
    }

    /// The hosts where it belongs, beside those of its kind.
    #[must_use]
    pub fn homes(&self) -> &[HostPattern] {
        &self.homes
    }
}

/// Never shows the value.
impl fmt::Debug for KnownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// All values of a policy, ready to search.
#[derive(Default)]
pub(super) struct Known {
    needles: Vec<Needle>,
    groups: Vec<(packed::Searcher, Vec<Vec<u32>>)>,
}

struct Needle {
    text: Zeroizing<Vec<u8>>,
    /// Which value it is, and the encoding.
    secret: u32,
    encoding: Option<&'static str>,
}

impl Known {
    pub(super) fn new(secrets: &[KnownSecret]) -> Self {
        let mut needles = Vec::new();
        for (secret, number) in secrets.iter().zip(0..) {
            for (text, encoding) in images(secret.value()) {
                needles.push(Needle { text, secret: number, encoding });
            }
        }
        let mut heads: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        for (needle, number) in needles.iter().zip(0..) {
            heads.entry(needle.text.get(..HEAD).unwrap_or_default().to_vec()).or_default().push(number);
        }
        let heads: Vec<_> = heads.into_iter().collect();
        let groups = heads.chunks(GROUP).filter_map(|group| {
            let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
            let searcher = builder.extend(group.iter().map(|(head, _)| head)).build()?;
            Some((searcher, group.iter().map(|(_, needles)| needles.clone()).collect()))
        });
        let groups = groups.collect();
        Self { needles, groups }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether a value stands in a text at such a place.
    pub(super) fn stands_where(&self, text: &[u8], is_asked_for: impl Fn(usize, usize) -> bool) -> bool {
        let mut found = false;
        for (searcher, needles) in &self.groups {
            let mut at = 0;
            while let Some(head) = searcher.find_in(text, (at..text.len()).into()).filter(|_| !found) {
                at = head.start() + 1;
                let rest = text.get(head.start()..).unwrap_or_default();
                let needles = needles.get(head.pattern().as_usize()).into_iter().flatten();
                let mut needles = needles.filter_map(|number| self.needles.get(*number as usize));
                found = needles.any(|needle| {
                    is_asked_for(head.start(), head.start() + needle.text.len()) && rest.starts_with(&needle.text)
                });
            }
        }
        found
    }

    /// Whether a value begins with a text and goes on behind it.
    pub(super) fn goes_on_behind(&self, text: &[u8]) -> bool {
        let mut plain = self.needles.iter().filter(|needle| needle.encoding.is_none());
        text.len() >= HEAD && plain.any(|needle| needle.text.len() > text.len() && needle.text.starts_with(text))
    }

    /// Searches from `from` on; gives where the last bytes may be the start of a value.
    pub(super) fn pass(
        &self,
        level: &Stream,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        from: usize,
        ended: bool,
    ) -> usize {
        let buffer = &level.buffer;
        let mut hold = if ended { buffer.len() } else { self.open_head(buffer, from) };
        for (searcher, needles) in &self.groups {
            let mut at = from;
            while let Some(found) = searcher.find_in(buffer, (at..buffer.len()).into()) {
                at = found.start() + 1;
                let rest = buffer.get(found.start()..).unwrap_or_default();
                for &number in needles.get(found.pattern().as_usize()).into_iter().flatten() {
                    let Some(needle) = self.needles.get(number as usize) else { continue };
                    if rest.starts_with(&needle.text) {
                        if found.start() < hold {
                            level.report_known(
                                scan,
                                origin,
                                found.start(),
                                needle.text.len(),
                                needle.secret,
                                needle.encoding,
                            );
                        }
                    } else if !ended && needle.text.starts_with(rest) {
                        hold = hold.min(found.start());
                    }
                }
            }
        }
        hold
    }

    /// Where the last bytes begin that are less than a head.
    fn open_head(&self, buffer: &[u8], from: usize) -> usize {
        let open = |length: &usize| {
            let tail = buffer.get(buffer.len() - length..).unwrap_or_default();
            self.needles.iter().any(|needle| needle.text.starts_with(tail))
        };
        let most = (HEAD - 1).min(buffer.len().saturating_sub(from));
        buffer.len() - (1..=most).rev().find(open).unwrap_or(0)
    }
}

/// What a value comes to that has letters beyond ASCII where those are escaped, or written as numbers, or where letters
/// around them are: code points and bytes that look like nothing in ASCII are question marks there.
fn folded(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else { return Vec::new() };
    let show = |other: &dyn Fn(char, &mut Vec<u8>)| {
        let mut shown = Zeroizing::new(Vec::with_capacity(4 * value.len()));
        for letter in text.chars() {
            match fold::fold(u32::from(letter)) {
                _ if letter.is_ascii() => shown.push(letter as u8),
                fold::Folded::Nothing => {}
                fold::Folded::Byte(byte) => shown.push(byte),
                fold::Folded::Itself => other(letter, &mut shown),
            }
        }
        shown
    };
    let utf8 = |letter: char, out: &mut Vec<u8>| out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    let latin = |letter: char| u8::try_from(u32::from(letter)).unwrap_or(b'?');
    let wide = |show: fn(u16) -> [u8; 2]| Zeroizing::new(text.encode_utf16().flat_map(show).collect::<Vec<u8>>());
    // Its bytes escaped one by one, of which the soft hyphen's goes for nothing.
    let bytes = value.iter().filter(|byte| **byte != 0xad).map(|byte| if byte.is_ascii() { *byte } else { b'?' });
    vec![
        show(&|_, out| out.push(b'?')),
        show(&|letter, out| out.push(latin(letter))),
        show(&utf8),
        Zeroizing::new(bytes.collect()),
        Zeroizing::new(text.chars().map(latin).collect()),
        Zeroizing::new(text.chars().rev().collect::<String>().into_bytes()),
        wide(u16::to_le_bytes),
        wide(u16::to_be_bytes),
    ]
}

/// A value as JSON and HTML write it where they must: signs of their own, and letters beyond ASCII.
fn escaped(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let Ok(text) = std::str::from_utf8(value) else { return Vec::new() };
    let show = |show: &dyn Fn(char, &mut String)| {
        let mut shown = Zeroizing::new(String::with_capacity(6 * value.len()));
        text.chars().for_each(|letter| show(letter, &mut shown));
        Zeroizing::new(shown.as_bytes().to_vec())
    };
    let json = |upper: bool, ascii: bool| {
        show(&move |letter, out| match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if ascii && !letter.is_ascii() => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.push_str(&if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") });
                }
            }
            letter => out.push(letter),
        })
    };
    let html = show(&|letter, out| match letter {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        letter => out.push(letter),
    });
    vec![json(false, false), json(false, true), json(true, true), html]
}

/// A value as it may stand in text: itself, backwards, and if it is short or no ASCII its base64 and base32 at each
/// alignment and its hex.
fn images(value: &[u8]) -> Vec<(Zeroizing<Vec<u8>>, Option<&'static str>)> {
    let reversed: Vec<u8> = value.iter().rev().copied().collect();
    let mut all = vec![(Zeroizing::new(value.to_vec()), None)];
    if reversed != value {
        all.push((Zeroizing::new(reversed), Some("reversed")));
    }
    for image in folded(value) {
        if image.len() >= SHORTEST && !all.iter().any(|(known, _)| *known == image) {
            all.push((image, Some("unicode")));
        }
    }
    for image in escaped(value) {
        if !all.iter().any(|(known, _)| *known == image) {
            all.push((image, Some("escape")));
        }
    }
    if value.len() >= LONGEST_IMAGE && value.is_ascii() {
        return all;
    }
    for shift in 0..3 {
        let mut padded = Zeroizing::new(vec![0; shift]);
        padded.extend_from_slice(value);
        // Characters that hold bits of the value only.
        let (first, last) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            let text = Zeroizing::new(encoding.encode(&padded).into_bytes());
            let image = Zeroizing::new(text.get(first..last).unwrap_or_default().to_vec());
            if image.len() >= SHORTEST && !all.iter().any(|(known, _)| *known == image) {
                all.push((image, Some("base64")));
            }
        }
    }
    for shift in 0..5 {
        let mut padded = Zeroizing::new(vec![0; shift]);
        padded.extend_from_slice(value);
        let (first, last) = ((shift * 8).div_ceil(5), padded.len() * 8 / 5);
        let text = Zeroizing::new(BASE32_NOPAD.encode(&padded).into_bytes());
        let image = Zeroizing::new(text.get(first..last).unwrap_or_default().to_vec());
        let small = Zeroizing::new(image.to_ascii_lowercase());
        all.extend([image, small].map(|image| (image, Some("base32"))));
    }
    for encoding in [&HEXLOWER, &HEXUPPER] {
        let image = Zeroizing::new(encoding.encode(value).into_bytes());
        if !all.iter().any(|(known, _)| *known == image) {
            all.push((image, Some("hex")));
        }
    }
    all
}
