//! Tokens read backwards whose literal does not stand at their front: an end of one, in front of what it begins with.

use super::rules::anchor::Anchor;
use super::rules::steps::Step;
use super::runs::value_set;
use super::search::byte_set::ByteSet;
use super::search::heads::{ByHead, Heads};

/// Literals inside shapes, backwards, that hold the end of a run: `.1vsalta.` stands behind one.
pub(super) struct InnerReversed {
    /// By their first three bytes.
    literals: ByHead<Box<[u8]>>,
    /// How much of one belongs to the run.
    leads: Vec<usize>,
    /// The byte behind that.
    next: ByteSet,
    /// Three bytes of one, with that byte as the last; the first three of those that hardly reach into the run.
    at_end: Heads,
    around: Heads,
    /// Literals near the end of shapes, backwards, and how far behind the front of a run they stand then.
    tails: ByHead<Box<[u8]>>,
    distances: Vec<usize>,
    /// How long such runs are, one bit each.
    lengths: u128,
}

impl Default for InnerReversed {
    fn default() -> Self {
        Self {
            literals: ByHead::default(),
            leads: Vec::new(),
            next: ByteSet::EMPTY,
            at_end: Heads::default(),
            around: Heads::default(),
            tails: ByHead::default(),
            distances: Vec::new(),
            lengths: 0,
        }
    }
}

impl InnerReversed {
    pub(super) fn add(&mut self, anchor: &Anchor) {
        let value = value_set();
        let reversed: Box<[u8]> = anchor.literal.iter().rev().copied().collect();
        let Some(lead) = reversed.iter().position(|byte| !value.has(*byte)) else { return };
        let (Some(head), true) = (reversed.first_chunk().copied(), anchor.farthest <= LONGEST_END) else { return };
        let next = reversed.get(lead).copied().unwrap_or_default();
        // Behind every name stands a sign.
        if anchor.farthest == 0 && !matches!(next, b'.' | b':' | b'~' | b'$' | b'@') {
            return;
        }
        self.next.insert(next);
        match lead.checked_sub(2).and_then(|at| reversed.get(at..)?.first_chunk()) {
            Some(three) => self.at_end.insert(*three),
            None => self.around.insert(head),
        }
        if !self.leads.contains(&lead) {
            self.leads.push(lead);
        }
        if !self.literals.get(head).contains(&reversed) {
            self.literals.add(head, reversed);
        }
    }

    /// A literal of four value characters or more that far more of its shape stands before than behind.
    pub(super) fn add_tail(&mut self, steps: &[Step], anchor: &Anchor) {
        const LONGEST_TAIL: usize = 40;
        let value = value_set();
        let fixed = steps.iter().all(|step| step.min == step.max) && anchor.nearest == anchor.farthest;
        let padding: u32 = steps.iter().rev().take_while(|step| !step.set.within(&value)).map(|step| step.min).sum();
        let length: u32 = steps.iter().map(|step| step.min).sum();
        let before = usize::from(anchor.farthest) + anchor.literal.len();
        let Some(tail) = ((length - padding) as usize).checked_sub(before) else { return };
        let telling = anchor.literal.len() >= 4 && anchor.literal.iter().all(|byte| value.has(*byte));
        let reversed: Box<[u8]> = anchor.literal.iter().rev().copied().collect();
        let Some(head) = reversed.first_chunk().copied() else { return };
        if fixed && telling && (1..=LONGEST_TAIL).contains(&tail) && anchor.farthest > LONGEST_END {
            self.tails.add(head, reversed);
            self.lengths |= 1u128.checked_shl(length - padding).unwrap_or(0);
            if !self.distances.contains(&tail) {
                self.distances.push(tail);
            }
        }
    }

    /// Whether a literal may stand around the end of a run.
    pub(super) fn may_stand_around(&self, text: &[u8], end: usize) -> bool {
        text.get(end).is_some_and(|next| self.next.has(*next))
    }

    /// Whether such a literal stands in a run.
    pub(super) fn stands_in(&self, run: &[u8]) -> bool {
        if self.lengths.checked_shr(run.len() as u32).unwrap_or(0) & 1 == 0 {
            return false;
        }
        self.distances.iter().filter_map(|distance| run.get(*distance..)).any(|rest| {
            let head = rest.first_chunk().copied().unwrap_or_default();
            self.tails.get(head).iter().any(|literal| rest.starts_with(literal))
        })
    }

    pub(super) fn stands_around(&self, text: &[u8], end: usize) -> bool {
        let has = |heads: &Heads, lead: usize| {
            let three = end.checked_sub(lead).and_then(|at| text.get(at..)?.first_chunk());
            three.is_some_and(|three| heads.has(*three))
        };
        let may_stand = text.get(end).is_some_and(|next| self.next.has(*next))
            && (has(&self.at_end, 2) || has(&self.around, 0) || has(&self.around, 1));
        if !may_stand {
            return false;
        }
        self.leads.iter().filter_map(|lead| text.get(end.checked_sub(*lead)?..)).any(|rest| {
            let head = rest.first_chunk().copied().unwrap_or_default();
            self.literals.get(head).iter().any(|literal| rest.starts_with(literal))
        })
    }
}

/// As much of a token may stand before a literal inside it, to be looked for backwards.
pub(super) const LONGEST_END: u16 = 32;
