//! The pass over literals, and the shapes that are held to the places where they stand.

use super::{AFTER, BEFORE, Origin, Scan, Stream, Work, is_separator, word_start};
use crate::secrets::anchors::Sighting;
use crate::secrets::pieces::Hint;
use crate::secrets::rules::shape::{Outcome, Progress, Walk};
use crate::secrets::search::byte_set::ByteSet;

/// A literal may stand this far behind its match's start.
const FARTHEST: usize = 256;

/// What may stand before the `@` of an address.
const USERINFO: ByteSet = ByteSet::of_table(&{
    let mut has = [true; 256];
    let mut byte = 0;
    while byte < 256 {
        has[byte] = !matches!(byte as u8, b'@' | b'\\') && !is_separator(byte as u8);
        byte += 1;
    }
    has
});

/// A shape that the bytes so far leave open: it goes on where it was, so that a key that comes byte by byte costs
/// what it costs at once.
pub(in crate::secrets) struct Pending {
    start: u64,
    shape: u32,
    progress: Progress,
    /// For a match: how much must be known from its start on.
    wanted: usize,
}

impl Pending {
    /// Where the match may start, as long as the bytes leave it open.
    pub(in crate::secrets) fn waits(&mut self, level: &mut Stream, scan: &mut Scan<'_>, ended: bool) -> Option<u64> {
        let hay = level.buffer.get((self.start - level.base) as usize..).unwrap_or_default();
        if ended || (self.wanted > 0 && hay.len() >= self.wanted) {
            return None;
        }
        if self.wanted == 0 {
            let shape = &scan.scanner.shapes.get(self.shape as usize)?.shape;
            let walk = Walk { spent: &mut scan.work.spent, walked: &mut level.walked, at: self.start };
            match shape.resume(hay, false, walk, &mut self.progress) {
                Outcome::More => {}
                Outcome::Match(length) if hay.len() < length + AFTER => self.wanted = length + AFTER,
                Outcome::Match(_) | Outcome::No => return None,
            }
        }
        Some(self.start)
    }
}

impl Stream {
    /// Literals, and the shapes around them.
    #[inline(never)]
    pub(super) fn pass_literals(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let (tail, mut hold) = match &self.edges {
            _ if ended => (self.buffer.len(), self.buffer.len()),
            Some(_) => {
                let tail = self.buffer.len() - scan.scanner.joined.open(&self.buffer);
                (tail, tail)
            }
            None => tail_start(&self.buffer),
        };
        let from = (self.literals - self.base) as usize;
        let mut sightings = std::mem::take(&mut self.sightings);
        let anchors = if self.edges.is_some() { &scan.scanner.joined } else { &scan.scanner.anchors };
        if self.edges.is_none() {
            self.runs.find(&self.buffer, &self.survey, from, self.base);
            self.suspects.see(&self.survey, (&self.buffer, self.base), ended);
        }
        let mut next = tail.max(from);
        let text = (&self.buffer[..], &self.survey);
        anchors.collect(text, from..next, self.runs.found(), &mut self.masks, &mut sightings);
        for group in sightings.chunk_by(|a, b| a.at == b.at) {
            let at = group.first().map_or(0, |sighting| sighting.at as usize);
            if at >= tail {
                break;
            }
            // A flood is given up within a slice too.
            if scan.work.is_exhausted() {
                next = at;
                break;
            }
            let spent = scan.work.spent;
            if let Err(pending) = self.verify(scan, origin, group, ended) {
                scan.work.take_back(spent);
                (hold, next) = (hold.min((pending.start - self.base) as usize), at);
                self.pending = Some(pending);
                break;
            }
        }
        self.sightings = sightings;
        self.literals = self.base + next as u64;
        self.base + hold as u64
    }

    /// Holds every shape to one literal's place; an error is where a match may start that isn't known yet.
    #[inline(never)]
    fn verify(
        &mut self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        group: &[Sighting],
        ended: bool,
    ) -> Result<(), Pending> {
        let mut matches: Vec<(usize, usize, u32)> = Vec::new();
        let at = group.first().map_or(0, |sighting| sighting.at as usize);
        let (mut may_have_at, mut begins) = (None, false);
        let scanner = scan.scanner;
        let anchors = if self.edges.is_some() { &scanner.joined } else { &scanner.anchors };
        for sighting in group {
            let [without_at, mut with_at] = anchors.targets(sighting.entry);
            // Most addresses have none.
            if !with_at.is_empty() && !*may_have_at.get_or_insert_with(|| self.may_have_at(at, ended)) {
                with_at = &[];
            }
            for target in without_at.iter().chain(with_at) {
                for back in target.nearest..=target.farthest {
                    let Some(start) = (sighting.at as usize).checked_sub(usize::from(back)) else { continue };
                    if self.base + (start as u64) < self.covered {
                        continue;
                    }
                    let length = self.try_shape(scan, target.shape, start, ended)?;
                    matches.extend(length.map(|length| (start, length, target.shape)));
                    begins |= back == 0;
                }
            }
        }
        if begins && matches.is_empty() && self.edges.is_none() {
            self.suspects.add(self.base + at as u64, Hint::Token);
        }
        if let Some((start, end)) = self.settle(scan, origin, matches) {
            self.covered = end;
            self.spans.push_back((start, end));
        }
        Ok(())
    }

    /// Holds a shape to a place: the match's length, or an error if the bytes so far leave it open.
    pub(in crate::secrets) fn try_shape(
        &mut self,
        scan: &mut Scan<'_>,
        shape: u32,
        start: usize,
        ended: bool,
    ) -> Result<Option<usize>, Pending> {
        let Some(owner) = scan.scanner.shapes.get(shape as usize) else { return Ok(None) };
        scan.work.spent += Work::ATTEMPT;
        let hay = self.buffer.get(start..).unwrap_or_default();
        let mut progress = Progress::default();
        let at = self.base + start as u64;
        let walk = Walk { spent: &mut scan.work.spent, walked: &mut self.walked, at };
        match owner.shape.resume(hay, ended, walk, &mut progress) {
            Outcome::No => Ok(None),
            Outcome::More => Err(Pending { start: at, shape, progress, wanted: 0 }),
            Outcome::Match(length) if !ended && hay.len() < length + AFTER => {
                Err(Pending { start: at, shape, progress, wanted: length + AFTER })
            }
            Outcome::Match(length) => Ok(Some(length)),
        }
    }

    /// Whether an `@` follows, as behind a user and a password, or may still come.
    fn may_have_at(&mut self, start: usize, ended: bool) -> bool {
        const LONGEST: usize = 512;
        let rest = self.buffer.get(start..).unwrap_or_default();
        let near = rest.get(..LONGEST).unwrap_or(rest);
        // Most have none for long, whatever they end with.
        if near.len() == LONGEST && memchr::memchr(b'@', near).is_none() {
            return false;
        }
        match near.get(self.walked.count(&USERINFO, self.base + start as u64, near)) {
            Some(byte) => *byte == b'@',
            None => near.len() < LONGEST && !ended,
        }
    }
}

/// Where the last token begins, whose end isn't known yet: it may be the start of anything. The second place is how
/// far the bytes may go on: where no token ends, a match may begin before its literal.
#[inline(never)]
fn tail_start(buffer: &[u8]) -> (usize, usize) {
    let floor = buffer.len().saturating_sub(BEFORE);
    let start = word_start(buffer, buffer.len());
    (start, if start == floor { floor.saturating_sub(FARTHEST) } else { start })
}
