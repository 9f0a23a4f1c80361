//! A pattern as counted character classes, where it can be said so.

use super::super::search::byte_set::ByteSet;
use super::shape::LONGEST;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Alternatives that a pattern may expand to before the DFA takes it whole.
const MOST_ALTERNATIVES: usize = 64;

/// One step of a shape: `min` to `max` bytes of a set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::secrets) struct Step {
    pub(in crate::secrets) set: ByteSet,
    pub(in crate::secrets) min: u32,
    pub(in crate::secrets) max: u32,
}

impl Step {
    fn byte(byte: u8) -> Self {
        Self { set: ByteSet::of([byte]), min: 1, max: 1 }
    }
}

/// Whether counting greedily finds the longest match: what a step may leave out never starts what follows.
pub(super) fn is_exact(steps: &[Step]) -> bool {
    steps.iter().enumerate().all(|(at, step)| {
        let mut next = ByteSet::EMPTY;
        for follower in steps.get(at + 1..).unwrap_or_default() {
            next.join(&follower.set);
            if follower.min > 0 {
                break;
            }
        }
        step.min == step.max || !step.set.meets(&next)
    })
}

/// All alternatives as sequences of steps; `None` if there are too many or a part can't be said so.
pub(super) fn expand(hir: &Hir) -> Option<Vec<Vec<Step>>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.iter().copied().map(Step::byte).collect()]),
        HirKind::Class(class) => Some(vec![vec![Step { set: class_set(class)?, min: 1, max: 1 }]]),
        HirKind::Look(_) => None,
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Concat(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                all = append(&all, &expand(part)?)?;
            }
            Some(all)
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expand(part)?);
            }
            (all.len() <= MOST_ALTERNATIVES).then_some(all)
        }
        HirKind::Repetition(repetition) => {
            let subs = expand(&repetition.sub)?;
            if let [sub] = subs.as_slice()
                && let [Step { set, min: 1, max: 1 }] = sub.as_slice()
            {
                let max = repetition.max.unwrap_or(LONGEST as u32);
                return Some(vec![vec![Step { set: *set, min: repetition.min, max }]]);
            }
            let max = repetition.max.filter(|&max| max <= 16)?;
            let mut all = Vec::new();
            let mut power = vec![Vec::new()];
            for times in 0..=max {
                if times >= repetition.min {
                    all.extend(power.iter().cloned());
                }
                if times < max {
                    power = append(&power, &subs)?;
                }
            }
            (all.len() <= MOST_ALTERNATIVES).then_some(all)
        }
    }
}

fn append(heads: &[Vec<Step>], tails: &[Vec<Step>]) -> Option<Vec<Vec<Step>>> {
    if heads.len() * tails.len() > MOST_ALTERNATIVES {
        return None;
    }
    Some(heads.iter().flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat())).collect())
}

fn class_set(class: &Class) -> Option<ByteSet> {
    let mut set = ByteSet::EMPTY;
    match class {
        Class::Bytes(class) => class.ranges().iter().for_each(|r| (r.start()..=r.end()).for_each(|b| set.insert(b))),
        Class::Unicode(class) => {
            for range in class.ranges() {
                let end = u8::try_from(u32::from(range.end())).ok().filter(u8::is_ascii)?;
                (range.start() as u8..=end).for_each(|byte| set.insert(byte));
            }
        }
    }
    Some(set)
}
