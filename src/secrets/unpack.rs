//! A compressed stream and the level that it inflates to.

use super::decode::inflate::{Broken, Coding, Inflate, Step};
use super::stream::{BEFORE, Origin, Scan, Stream};
use std::collections::VecDeque;

/// A decompressor that feeds a level.
pub(super) struct Unpack {
    inflate: Inflate,
    child: Box<Stream>,
    trail: Trail,
    out: Vec<u8>,
    rows: Rows,
    state: State,
    /// What came behind a member and may be the next one's magic.
    magic: Vec<u8>,
    /// Where members began that followed another, as far as they weren't asked for.
    members: Vec<u64>,
}

/// The longest magic of a member.
const MAGIC: usize = 4;

/// How far a compressed stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A member is complete: if another follows, what it says goes on (RFC 1952, section 2.2; RFC 8878, section 3).
    Between,
    Ended,
}

/// How far a feed came.
pub(super) struct Fed {
    /// Bytes taken of those given.
    pub(super) read: usize,
    /// The compressed stream is complete; the rest is not part of it.
    pub(super) ended: bool,
}

impl Unpack {
    /// A stream that starts at `start`, an offset of the level that holds it.
    pub(super) fn new(coding: Coding, child: Stream, start: u64) -> Result<Self, Broken> {
        Ok(Self {
            inflate: Inflate::new(coding)?,
            child: Box::new(child),
            trail: Trail::new(start),
            out: Vec::new(),
            rows: Rows::default(),
            state: State::Open,
            magic: Vec::new(),
            members: Vec::new(),
        })
    }

    /// Takes compressed bytes as far as the stream goes.
    pub(super) fn feed(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, bytes: &[u8]) -> Result<Fed, Broken> {
        let mut taken = 0;
        while self.state != State::Ended {
            if self.state == State::Between {
                let (read, goes_on) = self.begin_member(scan, origin, bytes.get(taken..).unwrap_or_default())?;
                taken += read;
                if !goes_on {
                    break;
                }
            }
            self.out.clear();
            let before = self.trail.read;
            let step = self.inflate.step(bytes.get(taken..).unwrap_or_default(), &mut self.out);
            // What came before the break is there for whoever receives it.
            let Step { read, ended } = step.unwrap_or_default();
            taken += read;
            if ended {
                self.state = if self.inflate.coding().has_members() { State::Between } else { State::Ended };
            }
            scan.work.inflated += self.out.len() as u64;
            self.rows.thin(&mut self.out);
            self.trail.step(read, self.out.len());
            let is_last = self.state == State::Ended;
            if !self.out.is_empty() || is_last {
                // Where in the compressed bytes a match lies depends on how they came: its stream's start doesn't.
                let start = self.trail.start;
                scan.path.push(self.inflate.coding().name());
                let cleared = self.child.feed(scan, &|_| origin(start), &self.out, is_last);
                scan.path.pop();
                self.trail.settle(cleared, if self.inflate.lags() && !ended { before } else { self.trail.read });
            } else if !self.inflate.lags() {
                // A head, however long: nothing of it is content.
                self.trail.settle(self.trail.cleared, self.trail.read);
            }
            step?;
            if scan.work.is_exhausted() || (read == 0 && self.out.is_empty()) {
                break;
            }
        }
        Ok(Fed { read: taken, ended: self.state == State::Ended })
    }

    /// Behind a member: how many of these bytes are of the next one, and whether one begins. What was said ends if none
    /// does.
    fn begin_member(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, bytes: &[u8]) -> Result<(usize, bool), Broken> {
        let (coding, before) = (self.inflate.coding(), self.magic.len());
        self.magic.extend(bytes.iter().take(MAGIC - before));
        let read = self.magic.len() - before;
        let goes_on = coding.begins_member(&self.magic);
        match goes_on {
            Some(false) => {
                self.finish(scan, origin);
                return Ok((0, false));
            }
            Some(true) => {
                self.members.push(self.trail.read - before as u64);
                scan.work.spent += coding.opening();
                (self.inflate, self.state) = (Inflate::new(coding)?, State::Open);
                let magic = std::mem::take(&mut self.magic);
                let mut rest = magic.as_slice();
                while !rest.is_empty() {
                    let step = self.inflate.step(rest, &mut Vec::new())?;
                    rest = rest.get(step.read.max(1)..).unwrap_or_default();
                }
            }
            None => {}
        }
        self.trail.step(read, 0);
        Ok((read, goes_on == Some(true)))
    }

    /// No more comes: what was cut off is judged as it is.
    pub(super) fn finish(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>) {
        if self.state != State::Ended {
            self.state = State::Ended;
            let start = self.trail.start;
            scan.path.push(self.inflate.coding().name());
            let cleared = self.child.feed(scan, &|_| origin(start), &[], true);
            scan.path.pop();
            self.trail.settle(cleared, self.trail.read);
        }
    }

    /// The compressed offset before which everything is decided.
    pub(super) fn cleared(&self) -> u64 {
        self.trail.cleared()
    }

    /// Where members began that followed another, since the last call.
    pub(super) fn members(&mut self) -> impl Iterator<Item = u64> {
        self.members.drain(..)
    }

    /// Whether all of it is there, if nothing follows.
    pub(super) fn is_complete(&self) -> bool {
        self.state != State::Open && self.magic.is_empty()
    }
}

/// Long rows of one byte in what is inflated, where offsets say nothing: the most of a bomb, and of a disk's image.
#[derive(Default)]
pub(super) struct Rows {
    last: u8,
    length: usize,
}

impl Rows {
    /// Leaves out the middle of a row: so much that neither the alignment of what is encoded changes nor what
    /// stands near to its ends.
    pub(super) fn thin(&mut self, out: &mut Vec<u8>) {
        const KEPT: usize = 1024;
        const STEP: usize = 7680;
        let Some(&last) = out.last() else { return };
        let row = out.iter().rev().take_while(|byte| **byte == last).count();
        if row < out.len() || last != self.last {
            (self.last, self.length) = (last, row);
        } else if self.length >= KEPT {
            out.truncate(out.len() - out.len().saturating_sub(KEPT) / STEP * STEP);
        } else {
            self.length += row;
        }
    }
}

/// Which decoded bytes come from where.
pub(super) struct Trail {
    /// Pairs of (decoded offset, the offset of the bytes that came after it), ascending.
    points: VecDeque<(u64, u64)>,
    pub(super) start: u64,
    pub(super) read: u64,
    written: u64,
    /// Bytes before this have all their output written.
    settled: u64,
    cleared: u64,
}

impl Trail {
    pub(super) const fn new(start: u64) -> Self {
        Self { points: VecDeque::new(), start, read: start, written: 0, settled: start, cleared: 0 }
    }

    /// `read` bytes gave `wrote`.
    pub(super) fn step(&mut self, read: usize, wrote: usize) {
        if wrote > 0 {
            self.points.push_back((self.written, self.settled));
            self.written += wrote as u64;
        }
        self.read += read as u64;
    }

    /// The decoded level is decided up to `cleared`; the output of everything before `settled` is written.
    pub(super) fn settle(&mut self, cleared: u64, settled: u64) {
        (self.cleared, self.settled) = (cleared, settled);
        while self.points.get(1).is_some_and(|point| point.0 + BEFORE as u64 <= cleared) {
            self.points.pop_front();
        }
    }

    /// At the latest where a decoded byte's source begins.
    fn source(&self, decoded: u64) -> u64 {
        let at = self.points.partition_point(|point| point.0 <= decoded);
        self.points.get(at.saturating_sub(1)).map_or(0, |point| point.1)
    }

    /// The offset before which everything is decided.
    pub(super) fn cleared(&self) -> u64 {
        if self.cleared >= self.written { self.settled } else { self.source(self.cleared) }
    }
}
