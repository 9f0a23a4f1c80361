//! Pieces of one secret that a session sends under changing names, or with others between them: every value that is
//! new in the session is a step of its trail. What begins like a secret is followed to each of the next few steps, and
//! from there on over every step, over every second one, and so on.

use super::memory::{Pieces, SHORTEST};
use super::seams::{Look, Seams};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Steps from one piece to the next, at most: as many places in turn, or as much between.
const FARTHEST: u64 = 4;
/// What is followed at once, and its bytes, each: with where its pieces end, 80 KiB a session at most.
const MOST: usize = 96;
const LONGEST: usize = 512;
/// Values that are remembered as sent, by their digests, and of those that may have completed something.
const REMEMBERED: usize = 128;
const REFUSED: usize = 16;
/// What did not go on for so many steps is given up.
const PATIENCE: u64 = 32;

/// A session's.
#[derive(Default)]
pub(super) struct Trail {
    key: RandomState,
    /// Digests of values, and whether one begins like a secret.
    sent: VecDeque<(u64, bool)>,
    /// Those of values that may have completed something.
    complete: VecDeque<u64>,
    turn: u64,
    /// Counts heads and bodies.
    message: u64,
    chains: VecDeque<Chain>,
}

/// What begins like a secret, and how it goes on.
struct Chain {
    text: Zeroizing<Vec<u8>>,
    /// Where each piece ends.
    edges: Vec<u16>,
    /// Steps from each piece to the next; none for a beginning, which may go on at any of the next few, and for a pair,
    /// which any of the next values may complete: there is no telling how many others stand between a field and a body.
    step: Option<u64>,
    /// When its next piece is due; of a beginning when the last may be.
    due: u64,
    at: Instant,
    /// The message that it began in: what stands in one message is joined elsewhere.
    message: u64,
}

impl Chain {
    fn begin(piece: &[u8], turn: u64, at: Instant, message: u64) -> Self {
        let (text, edges) = (Zeroizing::new(piece.to_vec()), vec![piece.len() as u16]);
        Self { text, edges, step: None, due: turn + FARTHEST, at, message }
    }

    /// The same with one piece more, which came at `turn`.
    fn followed_by(&self, piece: &[u8], step: u64, turn: u64, at: Instant) -> Self {
        let text = self.with(piece);
        let edges = self.edges.iter().copied().chain([text.len() as u16]).collect();
        Self { text, edges, step: Some(step), due: turn + step, at, message: self.message }
    }

    /// The same, to be completed by one piece more.
    fn paired_with(&self, piece: &[u8], turn: u64, at: Instant) -> Self {
        Self { step: None, due: turn, ..self.followed_by(piece, 0, turn, at) }
    }

    /// Whether it may go on at `turn`. What is overdue waits: what came was none of its pieces.
    fn goes_on_at(&self, turn: u64) -> bool {
        if self.step.is_some() { self.due <= turn } else { turn <= self.due }
    }

    fn with(&self, piece: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.text.len() + piece.len()));
        text.extend_from_slice(&self.text);
        text.extend_from_slice(piece);
        text
    }

    /// Its pieces, and one more.
    fn pieces(&self, last: &[u8]) -> Pieces {
        let starts = [0].into_iter().chain(self.edges.iter().copied());
        let pieces = starts.zip(&self.edges).filter_map(|(start, end)| self.text.get(start.into()..usize::from(*end)));
        pieces.chain([last]).map(|piece| Zeroizing::new(piece.to_vec())).collect()
    }
}

impl Trail {
    /// Whether nothing is followed.
    pub(super) fn is_idle(&self) -> bool {
        self.chains.is_empty()
    }

    /// What comes from now on is another head or body.
    pub(super) fn begin_message(&mut self) {
        self.message += 1;
    }

    /// How much is followed.
    pub(super) fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether a value may have completed something when it came last.
    pub(super) fn was_complete(&self, value: &[u8]) -> bool {
        !self.complete.is_empty() && self.complete.contains(&self.key.hash_one(value))
    }

    /// Takes a step, whose value may be read in several ways; gives the pieces that it may complete, the newest last.
    /// What may be complete waits for its last piece on: it may be refused, and is held to the same when it comes again.
    pub(super) fn add<'a>(
        &mut self,
        seams: &mut Seams<'_>,
        readings: impl Iterator<Item = &'a [u8]> + Clone,
        now: Instant,
        age: Duration,
    ) -> Vec<Pieces> {
        let turn = self.turn + 1;
        let is_young = |chain: &Chain| now.saturating_duration_since(chain.at) < age && turn <= chain.due + PATIENCE;
        self.chains.retain(is_young);
        let (mut longer, mut complete) = (Vec::new(), Vec::new());
        for (number, chain) in self.chains.iter().enumerate() {
            let goes_on = chain.goes_on_at(turn);
            if !goes_on && chain.step.is_some() {
                continue;
            }
            let edges: Vec<usize> = chain.edges.iter().copied().map(usize::from).collect();
            for piece in readings.clone() {
                let text = chain.with(piece);
                match seams.look(&text, &edges) {
                    Look::Holds if chain.message < self.message => complete.push(chain.pieces(piece)),
                    Look::Open if goes_on && text.len() <= LONGEST => longer.push((number, piece)),
                    Look::Holds | Look::Open | Look::No => continue,
                }
                break;
            }
        }
        let Some(value) = readings.clone().next() else { return complete };
        let digest = self.key.hash_one(value);
        if !complete.is_empty() && !self.complete.contains(&digest) {
            self.complete.push_back(digest);
            self.complete.drain(..self.complete.len().saturating_sub(REFUSED));
        }
        // What was sent before is no step, nor is a number of one digit or two.
        if value.len() < SHORTEST {
            return complete;
        }
        let sent = self.sent.iter().find(|(known, _)| *known == digest).map(|(_, begins)| *begins);
        if sent.is_none() {
            self.turn = turn;
            self.extend(&longer, turn, now);
        }
        if sent != Some(false) {
            let begins: Vec<&[u8]> = readings.filter(|piece| seams.look(piece, &[]) == Look::Open).collect();
            self.chains.extend(begins.iter().map(|piece| Chain::begin(piece, self.turn, now, self.message)));
            if sent.is_none() && complete.is_empty() {
                self.sent.push_back((digest, !begins.is_empty()));
                self.sent.drain(..self.sent.len().saturating_sub(REMEMBERED));
            }
        }
        self.chains.drain(..self.chains.len().saturating_sub(MOST));
        complete
    }

    /// Goes on with what goes on.
    fn extend(&mut self, longer: &[(usize, &[u8])], turn: u64, now: Instant) {
        let mut fresh = Vec::new();
        for &(number, piece) in longer {
            let Some(chain) = self.chains.get_mut(number) else { continue };
            match chain.step {
                Some(step) => *chain = chain.followed_by(piece, step, turn, now),
                None => {
                    fresh.push(chain.paired_with(piece, turn, now));
                    fresh.extend((1..=FARTHEST).map(|step| chain.followed_by(piece, step, turn, now)));
                }
            }
        }
        for chain in fresh {
            let is_known = |known: &Chain| known.step.is_none() && *known.text == *chain.text;
            if chain.step.is_some() || !self.chains.iter().any(is_known) {
                self.chains.push_back(chain);
            }
        }
    }
}
