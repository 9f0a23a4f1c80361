//! One level of bytes on their way past the rules: the body itself, or what a decoder makes of it.
//!
//! Every pass reads the level on its own and decides a match by its bytes and a bounded piece of what stands
//! around it, never by where a chunk ended: so any split of the same bytes gives the same findings. What a pass
//! can't decide yet it asks to be held; the least of these places is how far the level is cleared.

mod literals;
mod scan;
mod settle;

pub(super) use literals::Pending;
pub(super) use scan::{Hit, Origin, Scan, Work};
pub(super) use settle::{is_placeholder, is_whole};

use super::anchors::Sighting;
use super::embedded::Embedded;
use super::escapes::Escapes;
use super::joins::{Joins, Kind};
use super::lists::Lists;
use super::pieces::{Hint, Pieces, Suspects};
use super::runs::Runs;
use super::search::walked::Walked;
use super::survey::Survey;
use std::collections::VecDeque;

/// Bytes kept before the first undecided one: contexts and literals inside a shape reach no further back.
pub(super) const BEFORE: usize = 512;
/// A match is judged when this much of what follows is known.
pub(super) const AFTER: usize = 16;
/// Bytes taken at once: a level's buffer holds this, what is held, and what stands before.
const SLICE: usize = 16 * 1024;
/// What is held beside a slice, as a rule.
const ROOM: usize = 8 * 1024;
/// How deep decodings nest.
pub(super) const DEEPEST: u8 = 4;

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
    /// The structure that the level is.
    structure: Structure,
}

/// What is known of a level's structure.
enum Structure {
    /// What it is said to be; its first bytes have not come.
    Declared(Option<Kind>),
    /// What it is said to be, and what it looks like.
    Known(Vec<Joins>),
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
            structure: Structure::Known(Vec::new()),
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

    /// The same level with its structure's values joined; what it is said to be.
    pub(super) fn with_joins(self, kind: Option<Kind>) -> Self {
        let escapes = if kind == Some(Kind::Form) { Escapes::of_form() } else { self.escapes };
        Self { structure: Structure::Declared(kind), escapes, ..self }
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

    /// A text ends behind which another begins: no file goes on from one to the other.
    pub(super) fn close_files(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>) {
        self.embedded.close(scan, origin);
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
        if let Structure::Known(joins) = &mut self.structure {
            joins.iter_mut().for_each(Joins::rest);
        }
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
        cleared.min(self.pass_structure(scan, origin, ended))
    }

    fn pass_structure(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        if let Structure::Declared(declared) = self.structure {
            // Nothing of it is forgotten yet: it is held from its first byte on.
            let Some(seen) = Kind::seen(&self.buffer, ended) else { return 0 };
            let kinds = declared.into_iter().chain(seen.filter(|_| seen != declared));
            self.structure = Structure::Known(kinds.map(Joins::new).collect());
        }
        let mut cleared = self.base + self.buffer.len() as u64;
        if let Structure::Known(joins) = &mut self.structure {
            let mut joins = std::mem::take(joins);
            for joins in &mut joins {
                cleared = cleared.min(joins.pass(self, scan, origin, ended));
            }
            self.structure = Structure::Known(joins);
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
