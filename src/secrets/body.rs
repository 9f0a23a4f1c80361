//! A body on its way: what is decided flows on at once, what could still become a match is held back.

use super::content::Content;
use super::finding::{Disposition, Finding, Fingerprint, Surface};
use super::guard::{At, Guard, Inner};
use super::recall::memory::{SMALL_BODY, SessionMemory};
use super::settings::special;
use super::spelled::is_in_numbers;
use super::spots::Kind;
use super::stream::{Hit, SEPARATOR, Scan, Work};
use crate::net::Host;
use crate::reason::Reason;
use bytes::{Bytes, BytesMut};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

/// Decodings after which offsets don't tell which bytes to write over, or what is written over is no text.
const UNMASKABLE: [&str; 10] =
    ["gzip", "zlib", "deflate", "zstd", "br", "git-pack", "joined", "letters", "hexdump", "numbers"];
/// So much of what is held is copied together while the body rests.
const COPIED: usize = 16 * 1024;
/// Bodies in numbers are held up to this size, as small ones are.
const IN_NUMBERS: usize = 32 * 1024;
/// Findings told for one body; more of them change nothing.
const MOST_FINDINGS: usize = 64;

/// What a body belongs to.
#[derive(Clone, Copy, Debug)]
pub struct BodyContext<'a> {
    /// The destination.
    pub host: &'a Host,
    /// The method.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The field `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The field `Content-Encoding`.
    pub content_encoding: Option<&'a [u8]>,
}

/// Why a body goes no further; the findings are in [`BodyScan::take_findings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The refusal's reason.
    pub reason: Reason,
}

/// One body's scan.
pub struct BodyScan {
    guard: Arc<Inner>,
    host: Host,
    kind: Kind,
    surface: Surface,
    content: Content,
    pub(super) work: Work,
    /// What came in and has not been released.
    held: VecDeque<Bytes>,
    /// The offset of its first byte, and the offset before which everything is decided.
    released: u64,
    cleared: u64,
    findings: Vec<Finding>,
    /// Rule, offset, secret and decodings of what was told: pieces that overlap see the same twice.
    told: HashSet<(Arc<str>, u64, Fingerprint, Vec<&'static str>)>,
    masks: Vec<Mask>,
    /// Credentials at home in a small body.
    at_home: Vec<Zeroizing<Vec<u8>>>,
    /// Its bytes go on as they are or not at all.
    is_fixed: bool,
    stopped: Option<Reason>,
    /// It was told that something lies deeper than is looked.
    is_depth_told: bool,
    /// Nothing has come since it was told to rest.
    rests: bool,
    /// The session's memory, and the body as long as it is small: it is held until its pieces are known.
    session: Option<(Arc<SessionMemory>, Instant)>,
    small: Option<Zeroizing<Vec<u8>>>,
}

/// Keeps what came of a body as long as it is small, or what it begins with says that all of it is in numbers; gives
/// whether it is.
fn keep(small: &mut Vec<u8>, chunk: &[u8]) -> bool {
    let (front, rest) = chunk.split_at(chunk.len().min(SMALL_BODY.saturating_sub(small.len())));
    small.extend_from_slice(front);
    let goes_on = |small: &[u8]| small.len() > SMALL_BODY || is_in_numbers(small);
    let is_kept = rest.is_empty() || (small.len() + rest.len() <= IN_NUMBERS && goes_on(small));
    small.extend_from_slice(rest);
    is_kept
}

/// What is written over: a secret, and behind an encoded one the characters that hold its last bits.
struct Mask {
    start: u64,
    end: u64,
    shared: u64,
}

impl Guard {
    /// Begins a body's scan.
    #[must_use]
    pub fn body(&self, context: &BodyContext<'_>) -> BodyScan {
        BodyScan {
            guard: self.inner.clone(),
            host: context.host.clone(),
            kind: Kind::of(context.content_type.unwrap_or_default()),
            surface: Surface::Body,
            content: Content::of(context),
            work: Work::new(),
            held: VecDeque::new(),
            released: 0,
            cleared: 0,
            findings: Vec::new(),
            told: HashSet::new(),
            masks: Vec::new(),
            at_home: Vec::new(),
            is_fixed: false,
            stopped: None,
            is_depth_told: false,
            rests: false,
            session: None,
            small: None,
        }
    }

    /// What a small text holds in pieces, and in ways that only who hides something writes.
    pub(super) fn scan_small(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut found = self.scan_rows(host, surface, text);
        found.extend(self.scan_shards(host, surface, text));
        found.extend(self.scan_odd(host, surface, text));
        found
    }

    /// Begins the scan of one WebSocket message.
    #[must_use]
    pub fn message(&self, host: &Host) -> BodyScan {
        let context = BodyContext { host, method: "", path: "", content_type: None, content_encoding: None };
        BodyScan { surface: Surface::Message, ..self.body(&context) }
    }
}

impl BodyScan {
    /// The same with the session's memory: a small body is held until it is complete, and its values are held
    /// together with those of the session's earlier requests.
    #[must_use]
    pub fn in_session(mut self, memory: Arc<SessionMemory>, now: Instant) -> Self {
        self.session = Some((memory, now));
        self.small = Some(Zeroizing::new(Vec::new()));
        self
    }

    /// The same for bytes that go on as they came, whatever is released here: what would be masked is stopped.
    #[must_use]
    pub fn fixed(self) -> Self {
        Self { is_fixed: true, ..self }
    }

    /// Takes a chunk.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Stopped> {
        self.check()?;
        self.work.given += chunk.len() as u64;
        self.held.push_back(chunk.clone());
        self.rests = false;
        self.small.take_if(|small| !keep(small, &chunk));
        self.feed(&chunk, false)
    }

    /// The body is complete.
    pub fn finish(&mut self) -> Result<(), Stopped> {
        self.check()?;
        self.feed(&[], true)?;
        if let (Some((memory, now)), Some(small)) = (self.session.take(), self.small.take()) {
            let guard = Guard { inner: self.guard.clone() };
            let text = self.content.plain(&small, SMALL_BODY.max(small.len())).unwrap_or_default();
            let is_small = small.len() <= SMALL_BODY;
            let others = self.without_at_home(&text);
            let mut found = if is_small { guard.scan_small(&self.host, self.surface, &others) } else { Vec::new() };
            let spelled = guard.scan_spelled(&self.host, self.surface, &others, &mut true);
            let told = |new: &Finding| {
                let mut told = self.findings.iter().chain(&found);
                told.any(|told| (&told.rule, told.fingerprint) == (&new.rule, new.fingerprint))
            };
            let spelled: Vec<Finding> = spelled.into_iter().filter(|finding| !told(finding)).collect();
            found.extend(spelled);
            if is_small {
                found.extend(guard.recall_body(&self.host, &text, &memory, now));
            }
            if found.iter().any(|finding| finding.disposition == Disposition::Blocked) {
                self.stopped = Some(Reason::SecretInRequest);
            }
            self.findings.extend(found);
        }
        self.check()
    }

    /// A text without the credentials that are at home here: what stands beside one would make another of it, and some
    /// kinds look the same in another alphabet.
    fn without_at_home(&self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut others = Zeroizing::new(text.to_vec());
        for value in &self.at_home {
            for at in memchr::memmem::find_iter(text, value.as_slice()) {
                others.get_mut(at..at + value.len()).unwrap_or_default().fill(SEPARATOR);
            }
        }
        others
    }

    /// What may go upstream; call it until there is none.
    pub fn released(&mut self) -> Option<Bytes> {
        if self.stopped.is_some() || self.small.is_some() || self.released >= self.cleared {
            return None;
        }
        let mut chunk = self.held.pop_front()?;
        let free = self.cleared - self.released;
        if (chunk.len() as u64) > free {
            let rest = chunk.split_off(free as usize);
            self.held.push_front(rest);
        }
        let start = self.released;
        self.released += chunk.len() as u64;
        Some(self.mask(chunk, start))
    }

    /// The next bytes are waited for: what is held takes no more memory than it needs. The few bytes that are left of
    /// a chunk would keep all of it alive.
    pub fn rest(&mut self) {
        if std::mem::replace(&mut self.rests, true) {
            return;
        }
        let length: usize = self.held.iter().map(Bytes::len).sum();
        if length <= COPIED {
            let held: BytesMut = self.held.drain(..).flatten().collect();
            self.held = if length == 0 { VecDeque::new() } else { VecDeque::from([held.freeze()]) };
        }
        if let Content::Plain(stream) = &mut self.content {
            stream.rest();
        }
    }

    /// The findings since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    fn check(&self) -> Result<(), Stopped> {
        self.stopped.map_or(Ok(()), |reason| Err(Stopped { reason }))
    }

    fn feed(&mut self, bytes: &[u8], ended: bool) -> Result<(), Stopped> {
        let Self { guard, host, kind, surface, content, work, findings, told, masks, at_home, stopped, .. } = self;
        let (is_fixed, is_small) = (self.is_fixed, self.small.is_some());
        let maskable = !is_fixed && matches!(content, Content::Plain(_));
        let mut report = |hit: &Hit<'_>| {
            let spot = kind.spot(&hit.candidate);
            let maskable = maskable && !hit.path.iter().any(|step| UNMASKABLE.contains(step));
            let at = At { host, surface: *surface, place: None, spot, offset: hit.start, maskable };
            let Some(finding) = guard.judge(hit, at) else { return };
            match finding.disposition {
                Disposition::Blocked => *stopped = Some(Reason::SecretInRequest),
                Disposition::Masked => {
                    // A group of characters at each step.
                    let shared = 4 * hit.path.len() as u64;
                    masks.push(Mask { start: hit.start, end: hit.end, shared });
                }
                // A login that only its name tells may be anything, written in any way.
                Disposition::CredentialUsed
                    if is_small && at_home.len() < MOST_FINDINGS && guard.has_home_at(hit, host) =>
                {
                    at_home.push(Zeroizing::new(hit.candidate.value.to_vec()));
                }
                Disposition::Observed | Disposition::CredentialUsed => {}
            }
            let mut new =
                || told.insert((finding.rule.clone(), finding.offset, finding.fingerprint, hit.path.to_vec()));
            if findings.len() < MOST_FINDINGS && new() {
                findings.push(finding);
            }
        };
        let mut scan =
            Scan { scanner: &guard.scanner, known: &guard.known, report: &mut report, work, path: Vec::new() };
        let fed = content.feed(&mut scan, bytes, self.cleared, ended);
        match fed {
            Ok(cleared) => self.cleared = cleared,
            Err(reason) => self.give_up(reason),
        }
        if self.work.is_exhausted() {
            self.give_up(Reason::InflateLimit);
        }
        if self.work.is_too_deep && !self.is_depth_told {
            self.is_depth_told = true;
            let finding = self.guard.unscanned(special::DEPTH, self.surface, &self.host);
            if finding.as_ref().is_some_and(|finding| finding.disposition == Disposition::Blocked) {
                self.stopped = self.stopped.or(Some(Reason::BodyNotInspectable));
            }
            self.findings.extend(finding);
        }
        self.check()
    }

    /// The rest can't be looked into: a finding of its own, which stops the body unless the policy says otherwise.
    fn give_up(&mut self, reason: Reason) {
        if self.stopped.is_some() || matches!(self.content, Content::Passed) {
            return;
        }
        let what = if reason == Reason::InflateLimit { special::BOMB } else { special::UNINSPECTABLE };
        let finding = self.guard.unscanned(what, self.surface, &self.host);
        if finding.as_ref().is_some_and(|finding| finding.disposition == Disposition::Blocked) {
            self.stopped = Some(reason);
        } else {
            self.content = Content::Passed;
            self.cleared = self.work.given;
        }
        self.findings.extend(finding);
    }

    /// Writes over what is masked in a chunk.
    fn mask(&mut self, chunk: Bytes, start: u64) -> Bytes {
        let end = start + chunk.len() as u64;
        if !self.masks.iter().any(|mask| mask.start < end && mask.end + mask.shared > start) {
            return chunk;
        }
        let mut copy = BytesMut::from(&chunk[..]);
        for mask in &mut self.masks {
            let within = |at: u64| (at.clamp(start, end) - start) as usize;
            let secret = copy.get_mut(within(mask.start)..within(mask.end)).unwrap_or_default();
            secret.iter_mut().filter(|byte| byte.is_ascii_graphic()).for_each(|byte| *byte = b'X');
            let (from, to) = (within(mask.end), within(mask.end + mask.shared));
            for at in from..to {
                let encoded = chunk.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte));
                if !encoded {
                    mask.shared = 0;
                    break;
                }
                copy.get_mut(at).into_iter().for_each(|byte| *byte = b'X');
            }
        }
        self.masks.retain(|mask| mask.end + mask.shared > end);
        copy.freeze()
    }
}
