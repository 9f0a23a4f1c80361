//! Pieces in the order in which they were sent, and in the opposite one: what is known of them stays known when
//! another comes.

use super::super::anchors::Sighting;
use super::super::runs::is_value;
use std::ops::Range;
use zeroize::Zeroizing;

/// Bytes of the pieces that are kept.
const MOST: usize = 512;

/// The pieces that went out under one name.
#[derive(Default)]
pub(in crate::secrets) struct Row {
    pub(in crate::secrets) forwards: Line,
    pub(in crate::secrets) backwards: Line,
    /// Where pieces begin in `forwards`.
    edges: Vec<usize>,
    /// Something in it may be read in another way than byte by byte, wherever the next piece stands: until so many
    /// bytes have come, and it is gone.
    odd: usize,
    /// Whether the newest piece completes something isn't decided yet.
    pub(in crate::secrets) is_open: bool,
}

/// The text of a row in one of the two orders.
#[derive(Default)]
pub(in crate::secrets) struct Line {
    pub(in crate::secrets) text: Zeroizing<Vec<u8>>,
    /// The literals in it, as far as they were looked for.
    pub(in crate::secrets) sightings: Vec<Sighting>,
    pub(in crate::secrets) is_sighted: bool,
    /// How many value characters stand on the side where pieces come.
    run: usize,
}

/// The edge between the newest piece and the others, in one of the two orders.
pub(in crate::secrets) struct Edge {
    pub(in crate::secrets) at: usize,
    /// The run of value characters around it.
    pub(in crate::secrets) run: Range<usize>,
    /// The newest piece.
    pub(in crate::secrets) fresh: Range<usize>,
}

impl Row {
    /// Adds a piece, unless it is the last one again; gives its edges to the others if there are any, forwards and
    /// backwards.
    pub(in crate::secrets) fn add(&mut self, piece: &[u8]) -> Option<(Edge, Edge)> {
        if self.ends_in(piece) {
            return None;
        }
        self.is_open = false;
        self.odd = self.odd.saturating_sub(piece.len());
        self.edges.push(self.forwards.text.len());
        self.forwards.text.extend_from_slice(piece);
        let others = self.backwards.text.len();
        self.backwards.text.extend_from_slice(piece);
        self.backwards.text.copy_within(..others, piece.len());
        self.backwards.text.get_mut(..piece.len()).into_iter().for_each(|front| front.copy_from_slice(piece));
        self.backwards.sightings.iter_mut().for_each(|sighting| sighting.at += piece.len() as u32);
        while self.forwards.text.len() > MOST && self.edges.len() > 1 {
            self.drop_first();
        }
        let (length, size) = (self.forwards.text.len(), piece.len());
        let at = length - size;
        let (front, back) = (self.forwards.run.min(at), self.backwards.run.min(at));
        let leads = piece.iter().position(|byte| !is_value(*byte)).unwrap_or(size);
        let ends = piece.iter().rev().position(|byte| !is_value(*byte)).unwrap_or(size);
        self.forwards.run = if leads == size { front + size } else { ends };
        self.backwards.run = if leads == size { back + size } else { leads };
        let forwards = Edge { at, run: at - front..at + leads, fresh: at..length };
        let backwards = Edge { at: size, run: size - ends..size + back, fresh: 0..size };
        (at > 0).then_some((forwards, backwards))
    }

    /// The newest piece did not go out.
    pub(in crate::secrets) fn take_back(&mut self, piece: &[u8]) {
        let mut pieces = self.pieces();
        if pieces.pop_if(|last| last.as_slice() == piece).is_some() {
            let odd = self.odd;
            *self = Self::default();
            for piece in &pieces {
                self.add(piece);
            }
            self.odd = odd;
        }
    }

    /// Whether a literal stands in the newest piece, or that isn't known.
    pub(super) fn may_begin_in_last(&self) -> bool {
        let last = self.edges.last().copied().unwrap_or(0);
        let Line { sightings, is_sighted, .. } = &self.forwards;
        !is_sighted || sightings.iter().any(|sighting| sighting.at as usize >= last)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// The newest piece, if there is one.
    pub(super) fn last(&self) -> Option<&[u8]> {
        self.edges.last().and_then(|last| self.forwards.text.get(*last..))
    }

    /// Whether this is the newest piece.
    pub(in crate::secrets) fn ends_in(&self, piece: &[u8]) -> bool {
        self.edges.last().is_some_and(|last| self.forwards.text.get(*last..) == Some(piece))
    }

    fn drop_first(&mut self) {
        let gone = self.edges.get(1).copied().unwrap_or(0);
        self.edges.remove(0);
        self.edges.iter_mut().for_each(|edge| *edge -= gone);
        self.forwards.text.drain(..gone);
        self.forwards.sightings.retain_mut(|sighting| {
            let stays = sighting.at >= gone as u32;
            sighting.at = sighting.at.saturating_sub(gone as u32);
            stays
        });
        let left = self.backwards.text.len() - gone;
        self.backwards.text.truncate(left);
        self.backwards.sightings.retain(|sighting| (sighting.at as usize) < left);
    }

    pub(in crate::secrets) const fn is_odd(&self) -> bool {
        self.odd > 0
    }

    /// The newest piece, or what it makes with those before it, is read otherwise than byte by byte.
    pub(in crate::secrets) fn set_odd(&mut self) {
        self.odd = self.forwards.text.len().max(MOST);
    }

    /// What is known of it belongs to another catalogue.
    pub(in crate::secrets) fn forget_sightings(&mut self) {
        for line in [&mut self.forwards, &mut self.backwards] {
            line.sightings.clear();
            line.is_sighted = false;
        }
    }

    /// The pieces in their order.
    pub(in crate::secrets) fn pieces(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let ends = self.edges.iter().skip(1).copied().chain([self.forwards.text.len()]);
        let pieces = self.edges.iter().zip(ends).filter_map(|(start, end)| self.forwards.text.get(*start..end));
        pieces.map(|piece| Zeroizing::new(piece.to_vec())).collect()
    }
}
