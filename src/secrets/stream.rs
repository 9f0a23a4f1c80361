//! One level of bytes on their way past the rules: the body itself, or what a decoder makes of it.
//!
//! Every pass reads the level on its own and decides a match by its bytes and a bounded piece of what stands
//! around it, never by where a chunk ended: so any split of the same bytes gives the same findings. What a pass
//! can't decide yet it asks to be held; the least of these places is how far the level is cleared.

use super::anchors::Sighting;
use super::embedded::Embedded;
use super::escapes::Escapes;
use super::joins::{Joins, Kind};
use super::known::Known;
use super::lists::Lists;
use super::pieces::{Hint, Pieces, Suspects};
use super::rule::Candidate;
use super::runs::Runs;
use super::scanner::Scanner;
use super::shape::{ByteSet, Outcome, Progress, Walk};
use super::survey::Survey;
use super::walked::Walked;
use std::collections::VecDeque;

/// Bytes kept before the first undecided one: contexts and literals inside a shape reach no further back.
pub(super) const BEFORE: usize = 512;
/// A match is judged when this much of what follows is known.
pub(super) const AFTER: usize = 16;
/// A literal may stand this far behind its match's start.
const FARTHEST: usize = 256;
/// Bytes taken at once: a level's buffer holds this, what is held, and what stands before.
const SLICE: usize = 16 * 1024;
/// What is held beside a slice, as a rule.
const ROOM: usize = 8 * 1024;
/// How deep decodings nest.
pub(super) const DEEPEST: u8 = 4;

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

/// What all levels of one scan share.
pub(super) struct Scan<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) known: &'a Known,
    pub(super) report: &'a mut dyn FnMut(&Hit<'_>),
    pub(super) work: &'a mut Work,
    /// The decodings that led to this level.
    pub(super) path: Vec<&'static str>,
}

/// What a scan may cost: verification and decoding against the bytes it was given.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) given: u64,
    pub(super) spent: u64,
    /// Bytes that came out of compressed ones.
    pub(super) inflated: u64,
    /// Something on the deepest level is encoded once more.
    pub(super) is_too_deep: bool,
}

impl Work {
    const FREE: u64 = 8 << 20;
    const PER_BYTE: u64 = 48;
    const PER_INFLATED_BYTE: u64 = 16;
    const FREE_INFLATED: u64 = 8 << 20;
    /// What holding a shape to a place costs, whatever it finds there, a byte of a match that its rule judges, and a
    /// look at the words before a value.
    const ATTEMPT: u64 = 32;
    const PER_JUDGED_BYTE: u64 = 16;
    pub(super) const WORDS: u64 = 320;
    /// Deflate comes to a thousand at most; what people send to thirty.
    const RATIO: u64 = 96;

    pub(super) const fn new() -> Self {
        Self { given: 0, spent: 0, inflated: 0, is_too_deep: false }
    }

    /// Nothing of this kind is sent in earnest.
    pub(super) const fn give_up(&mut self) {
        self.spent = u64::MAX / 2;
    }

    /// What will be done again when more bytes are there counts once, so that a body's cost is the same however it is
    /// cut.
    pub(super) const fn take_back(&mut self, spent: u64) {
        if !self.is_exhausted() {
            self.spent = spent;
        }
    }

    /// A flood of near-misses, a bomb, or decodings within decodings.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.spent > Self::FREE + self.given * Self::PER_BYTE + self.inflated * Self::PER_INFLATED_BYTE
            || self.inflated > Self::FREE_INFLATED + self.given * Self::RATIO
    }
}

/// A match that its rule accepts, or a known secret.
pub(super) struct Hit<'a> {
    /// The known secret's number; then there are no rules.
    pub(super) known: Option<u32>,
    /// Whether it may be believed where pieces were joined.
    pub(super) joins: bool,
    /// The rules that match at this place with this length.
    pub(super) rules: &'a [u32],
    pub(super) candidate: Candidate<'a>,
    /// Where in the outermost level it starts and ends.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) path: &'a [&'static str],
}

/// Maps a level's offset to the outermost level's.
pub(super) type Origin<'a> = &'a dyn Fn(u64) -> u64;

/// A shape that the bytes so far leave open: it goes on where it was, so that a key that comes byte by byte costs
/// what it costs at once.
pub(super) struct Pending {
    start: u64,
    shape: u32,
    progress: Progress,
    /// For a match: how much must be known from its start on.
    wanted: usize,
}

impl Pending {
    /// Where the match may start, as long as the bytes leave it open.
    pub(super) fn waits(&mut self, level: &mut Stream, scan: &mut Scan<'_>, ended: bool) -> Option<u64> {
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

/// One level.
pub(super) struct Stream {
    pub(super) buffer: Vec<u8>,
    /// The level's offset of the buffer's first byte.
    pub(super) base: u64,
    pub(super) depth: u8,
    /// Where the literals' pass goes on, and what it waits for.
    literals: u64,
    pending: Option<Pending>,
    /// Where the known secrets' pass goes on.
    known: u64,
    /// The literals' matches that the runs' pass has not gone by: what begins within one is part of it.
    spans: VecDeque<(u64, u64)>,
    /// The end of the last match, of the literals and of the runs.
    covered: u64,
    covered_runs: u64,
    runs: Runs,
    escapes: Escapes,
    embedded: Embedded,
    lists: Lists,
    pieces: Pieces,
    pub(super) suspects: Suspects,
    sightings: Vec<Sighting>,
    /// Shapes that a run may be, and how much of them stands before it: room for the runs' pass.
    pub(super) candidates: Vec<(u32, (u32, u32))>,
    /// Places in a run where a token may begin: room for the same pass.
    pub(super) inner: Vec<usize>,
    pub(super) walked: Walked,
    masks: Vec<u64>,
    /// What is known of the buffer's bytes.
    pub(super) survey: Survey,
    cleared: u64,
    /// For a level of joined pieces: where they end. It has literals only.
    edges: Option<VecDeque<u64>>,
    /// The values of the structure that the level is.
    joins: Option<Box<Joins>>,
}

impl Stream {
    pub(super) fn new(depth: u8) -> Self {
        Self {
            buffer: Vec::new(),
            base: 0,
            depth,
            literals: 0,
            pending: None,
            known: 0,
            spans: VecDeque::new(),
            covered: 0,
            covered_runs: 0,
            cleared: 0,
            edges: None,
            joins: None,
            runs: Runs::default(),
            escapes: Escapes::default(),
            embedded: Embedded::default(),
            lists: Lists::default(),
            pieces: Pieces::default(),
            suspects: Suspects::default(),
            sightings: Vec::new(),
            candidates: Vec::new(),
            inner: Vec::new(),
            walked: Walked::default(),
            masks: Vec::new(),
            survey: Survey::default(),
        }
    }

    /// A level of pieces that were joined.
    pub(super) fn joined(depth: u8) -> Self {
        Self { edges: Some(VecDeque::new()), ..Self::new(depth) }
    }

    /// The same level with its structure's values joined.
    pub(super) fn with_joins(self, kind: Option<Kind>) -> Self {
        let escapes = if kind == Some(Kind::Form) { Escapes::of_form() } else { self.escapes };
        Self { joins: kind.map(|kind| Box::new(Joins::new(kind))), escapes, ..self }
    }

    /// A piece ends here: what stands on its other side has nothing to do with it.
    pub(super) fn add_edge(&mut self, at: u64) {
        self.edges.get_or_insert_default().push_back(at);
    }

    /// Takes more bytes; gives the offset before which everything is decided.
    pub(super) fn feed(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, bytes: &[u8], ended: bool) -> u64 {
        let mut slices = bytes.chunks(SLICE).peekable();
        if slices.peek().is_none() && ended {
            self.cleared = self.step(scan, origin, true);
        }
        while let Some(slice) = slices.next() {
            if slice.len() == SLICE && self.buffer.capacity() < SLICE {
                self.buffer.reserve(SLICE + ROOM);
                self.survey.reserve(SLICE + ROOM);
            }
            self.buffer.extend_from_slice(slice);
            let anchors = if self.edges.is_some() { &scan.scanner.joined } else { &scan.scanner.anchors };
            self.survey.extend(&self.buffer, anchors.teddy());
            self.cleared = self.step(scan, origin, ended && slices.peek().is_none());
        }
        self.cleared
    }

    /// Gives back the room beyond what is held: the next bytes may be long in coming.
    pub(super) fn rest(&mut self) {
        self.buffer.shrink_to_fit();
        self.survey.shrink();
        self.masks.shrink_to_fit();
        self.sightings.shrink_to_fit();
        self.candidates.shrink_to_fit();
        self.runs.rest();
        self.escapes.rest();
        self.lists.rest();
        self.joins.iter_mut().for_each(|joins| joins.rest());
    }

    /// Makes it ready for other bytes.
    pub(super) fn reset(&mut self) {
        self.buffer.clear();
        self.survey.clear();
        self.walked.clear();
        (self.base, self.literals, self.known, self.cleared) = (0, 0, 0, 0);
        (self.covered, self.covered_runs) = (0, 0);
        self.pending = None;
        self.spans.clear();
        self.edges.iter_mut().for_each(VecDeque::clear);
        self.runs.reset();
        self.escapes.reset();
        self.embedded.reset();
        self.lists.reset();
        self.pieces.reset();
        self.suspects.reset();
    }

    fn step(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let mut pending = self.pending.take();
        let waits = pending.as_mut().and_then(|pending| pending.waits(self, scan, ended));
        let literals = match waits {
            Some(start) => {
                self.pending = pending;
                start
            }
            None => self.pass_literals(scan, origin, ended),
        };
        let mut cleared = literals.min(self.pass_known(scan, origin, ended));
        if let Some(edges) = &mut self.edges {
            let passed = edges.partition_point(|edge| *edge + (BEFORE as u64) < cleared);
            edges.drain(..passed);
        } else {
            if waits.is_none() {
                cleared = cleared.min(self.pass_runs(scan, origin, literals, ended));
            }
            cleared = cleared.min(self.pass_decoders(scan, origin, ended)).min(self.runs.cleared());
        }
        self.forget(cleared.min(self.literals));
        cleared
    }

    fn pass_runs(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, literals: u64, ended: bool) -> u64 {
        let mut runs = std::mem::take(&mut self.runs);
        let cleared = runs.pass(self, scan, origin, literals, ended);
        self.runs = runs;
        let gone = self.spans.partition_point(|span| span.1 <= cleared);
        self.spans.drain(..gone);
        cleared
    }

    fn pass_decoders(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let mut escapes = std::mem::take(&mut self.escapes);
        let mut cleared = escapes.pass(self, scan, origin, ended);
        self.escapes = escapes;
        let mut embedded = std::mem::take(&mut self.embedded);
        cleared = cleared.min(embedded.pass(self, scan, origin, ended));
        self.embedded = embedded;
        let mut lists = std::mem::take(&mut self.lists);
        cleared = cleared.min(lists.pass(self, scan, origin, ended));
        lists.dumps().for_each(|place| self.suspects.add(place, Hint::Dump));
        self.lists = lists;
        let mut pieces = std::mem::take(&mut self.pieces);
        cleared = cleared.min(pieces.pass(self, scan, origin, ended));
        self.pieces = pieces;
        if let Some(mut joins) = self.joins.take() {
            cleared = cleared.min(joins.pass(self, scan, origin, ended));
            self.joins = Some(joins);
        }
        cleared
    }

    fn pass_known(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let known = scan.known;
        let from = (self.known - self.base) as usize;
        let hold = if known.is_empty() { self.buffer.len() } else { known.pass(self, scan, origin, from, ended) };
        self.known = self.base + hold as u64;
        self.known
    }

    pub(super) fn report_known(
        &self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        start: usize,
        length: usize,
        secret: u32,
        encoding: Option<&'static str>,
    ) {
        let (start_of, end_of) = self.place(origin, start, length);
        scan.path.extend(encoding);
        (scan.report)(&Hit {
            known: Some(secret),
            joins: true,
            rules: &[],
            candidate: self.candidate(start, length),
            start: start_of,
            end: end_of,
            path: &scan.path,
        });
        if encoding.is_some() {
            scan.path.pop();
        }
    }

    /// Drops what no pass looks at any more.
    #[inline(never)]
    fn forget(&mut self, needed: u64) {
        let keep = needed.saturating_sub(self.base) as usize;
        // Whole blocks, so that what is known of the rest stays.
        let gone = keep.saturating_sub(BEFORE) & !63;
        if gone >= 4096 || gone * 2 > self.buffer.len() {
            self.buffer.drain(..gone);
            self.survey.forget(gone);
            self.base += gone as u64;
        }
    }

    /// Literals, and the shapes around them.
    #[inline(never)]
    fn pass_literals(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
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
    pub(super) fn try_shape(
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
        match near.get(self.walked.count(&USERINFO, self.base + start as u64, near)) {
            Some(byte) => *byte == b'@',
            None => near.len() < LONGEST && !ended,
        }
    }

    /// Of all matches around one place, tells the longest that its rule accepts; gives where it lies.
    fn settle(
        &self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        mut matches: Vec<(usize, usize, u32)>,
    ) -> Option<(u64, u64)> {
        matches.sort_unstable_by_key(|&(start, length, shape)| (std::cmp::Reverse(length), start, shape));
        let mut best: Option<(usize, usize)> = None;
        let mut rules: Vec<u32> = Vec::new();
        for (start, length, shape) in matches {
            if best.is_some_and(|best| best != (start, length)) {
                continue;
            }
            let Some(owner) = scan.scanner.shapes.get(shape as usize) else { continue };
            let Some(rule) = scan.scanner.rules.get(owner.rule as usize) else { continue };
            let candidate = self.candidate(start, length);
            scan.work.spent += length as u64 * Work::PER_JUDGED_BYTE;
            if !rules.contains(&owner.rule) && rule.accepts(&candidate, usize::from(owner.prefix)) {
                best = Some((start, length));
                rules.push(owner.rule);
            }
        }
        let (start, length) = best?;
        if self.ends_before_an_edge(scan, start, length, &rules) {
            return None;
        }
        let offset = self.base + start as u64;
        if rules.iter().any(|rule| scan.scanner.rules.get(*rule as usize).is_some_and(|rule| rule.public)) {
            return Some((offset, offset + length as u64));
        }
        let (start_of, end_of) = self.place(origin, start, length);
        (scan.report)(&Hit {
            known: None,
            joins: rules.iter().filter_map(|rule| scan.scanner.rules.get(*rule as usize)).any(|rule| rule.joins),
            rules: &rules,
            candidate: self.candidate(start, length),
            start: start_of,
            end: end_of,
            path: &scan.path,
        });
        Some((offset, offset + length as u64))
    }

    /// Whether a match of joined pieces is complete before the first edge that it goes over: then a value of its own
    /// stands there, which was told in its place, and what follows only looks like a part of it.
    fn ends_before_an_edge(&self, scan: &mut Scan<'_>, start: usize, length: usize, rules: &[u32]) -> bool {
        let Some(edges) = &self.edges else { return false };
        let from = self.base + start as u64;
        let Some(&edge) = edges.get(edges.partition_point(|edge| *edge <= from)) else { return false };
        let piece = (edge - from) as usize;
        if piece >= length {
            return false;
        }
        let hay = self.buffer.get(start..start + piece).unwrap_or_default();
        let owners = scan.scanner.shapes.iter().filter(|owner| rules.contains(&owner.rule));
        owners.into_iter().any(|owner| {
            let walk = Walk { spent: &mut scan.work.spent, walked: &mut Walked::default(), at: from };
            let Outcome::Match(found) = owner.shape.resume(hay, true, walk, &mut Progress::default()) else {
                return false;
            };
            let rule = scan.scanner.rules.get(owner.rule as usize);
            rule.is_some_and(|rule| rule.accepts(&self.candidate(start, found), usize::from(owner.prefix)))
        })
    }

    /// The same for a match of the runs' pass.
    pub(super) fn settle_run(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, matches: Vec<(usize, usize, u32)>) {
        if let Some((_, end)) = self.settle(scan, origin, matches) {
            self.covered_runs = end;
        }
    }

    /// Whether a place that the runs' pass comes to is part of a match.
    pub(super) fn covers(&self, offset: u64) -> bool {
        let next = self.spans.partition_point(|span| span.1 <= offset);
        offset < self.covered_runs || self.spans.get(next).is_some_and(|span| span.0 <= offset)
    }

    /// What stands before a place, as far as `reach`, and has to do with it.
    pub(super) fn before(&self, start: usize, reach: usize) -> &[u8] {
        let before = self.buffer.get(start.saturating_sub(reach)..start).unwrap_or_default();
        let own = memchr::memrchr(SEPARATOR, before).map_or(0, |at| at + 1);
        before.get(own..).unwrap_or_default()
    }

    /// Where a match lies on the outermost level; what was reversed begins where it ends.
    fn place(&self, origin: Origin<'_>, start: usize, length: usize) -> (u64, u64) {
        let offset = self.base + start as u64;
        let (start, end) = (origin(offset), origin(offset + length as u64));
        (start.min(end), start.max(end))
    }

    fn candidate(&self, start: usize, length: usize) -> Candidate<'_> {
        let end = start + length;
        let is_edge =
            |at: usize| self.edges.as_ref().is_some_and(|edges| edges.binary_search(&(self.base + at as u64)).is_ok());
        let after = if is_edge(end) { &[] } else { self.buffer.get(end..).unwrap_or_default() };
        Candidate {
            before: if is_edge(start) { &[] } else { self.before(start, BEFORE) },
            value: self.buffer.get(start..end).unwrap_or_default(),
            after: after.get(..AFTER).unwrap_or(after),
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

/// Where the word begins that `at` stands in or ends, as far as [`BEFORE`] reaches.
pub(super) fn word_start(buffer: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(BEFORE);
    let head = buffer.get(floor..at).unwrap_or_default();
    floor + head.iter().rposition(|byte| is_separator(*byte)).map_or(0, |at| at + 1)
}

/// Stands between texts that have nothing to do with each other: no context reaches over it.
pub(super) const SEPARATOR: u8 = 0x1e;

/// Bytes that stand in no token, plain or escaped.
pub(super) const fn is_separator(byte: u8) -> bool {
    matches!(byte, SEPARATOR | b' ' | b'\n' | b'\r' | b'\t' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'(' | b')' | b'|')
}
