//! A credential's shape: its pattern as counted character classes, or a small DFA where that can't say it.

use super::super::search::walked::Walked;
use super::steps::{Step, expand, is_exact};
use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;
use std::sync::OnceLock;

/// The longest value that is followed; an open tail is cut here.
pub(in crate::secrets) const LONGEST: usize = 16 * 1024;
const DFA_LIMIT: usize = 4 << 20;

/// Why a pattern was refused.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not a regular expression.
    #[error("the pattern does not parse")]
    Syntax(#[from] Box<regex_syntax::Error>),
    /// Too large for a DFA.
    #[error("the pattern is too large")]
    TooLarge(#[from] Box<dense::BuildError>),
    /// Matches the empty text.
    #[error("the pattern matches nothing at all")]
    Empty,
    /// `\b`, `^`, `$`.
    #[error("the pattern has an assertion; neighbours are set by `boundary`")]
    Look,
}

/// What comes of holding a shape to the bytes from a place on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Outcome {
    No,
    /// The match's length.
    Match(usize),
    /// The bytes end before it is known.
    More,
}

/// What running a shape counts, and where its bytes stand.
pub(in crate::secrets) struct Walk<'a> {
    pub(in crate::secrets) spent: &'a mut u64,
    pub(in crate::secrets) walked: &'a mut Walked,
    pub(in crate::secrets) at: u64,
}

/// How far a shape came before its bytes ended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::secrets) struct Progress {
    /// Bytes that are gone by: those of whole steps, then those of the step that it is in.
    at: usize,
    taken: usize,
    step: usize,
    state: Option<StateID>,
    last: Option<usize>,
}

/// A pattern, ready to run from a given place.
#[derive(Debug)]
pub(in crate::secrets) enum Shape {
    /// Greedy counting is exact: no step can take what the next one needs.
    Steps(Vec<Step>),
    Dfa(Box<LazyDfa>),
}

/// A DFA that is built when a literal of it is first seen: most are never, and building takes longer than parsing.
#[derive(Debug)]
pub(in crate::secrets) struct LazyDfa {
    hir: Hir,
    built: OnceLock<Option<Built>>,
}

/// A DFA and the state that it begins in.
#[derive(Debug)]
struct Built {
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// A pattern taken apart: alternatives that run on their own, or one DFA for all of them.
#[derive(Debug)]
pub(in crate::secrets) struct Parts {
    /// Each alternative's steps, for finding literals; empty if there are too many.
    pub(in crate::secrets) alternatives: Vec<Vec<Step>>,
    /// One shape for each alternative, or a single DFA.
    pub(in crate::secrets) shapes: Vec<Shape>,
}

impl Parts {
    pub(in crate::secrets) fn parse(pattern: &str) -> Result<Self, ShapeError> {
        let hir =
            regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).map_err(Box::new)?;
        if hir.properties().minimum_len().unwrap_or(0) == 0 {
            return Err(ShapeError::Empty);
        }
        if !hir.properties().look_set().is_empty() {
            return Err(ShapeError::Look);
        }
        let mut alternatives = expand(&hir).unwrap_or_default();
        let long = alternatives.iter_mut().flatten().filter(|step| step.min >= 16);
        long.for_each(|step| step.set = step.set.hex_in_either_case());
        let exact = !alternatives.is_empty() && alternatives.iter().all(|steps| is_exact(steps));
        let shapes = if exact {
            alternatives.iter().cloned().map(Shape::Steps).collect()
        } else {
            vec![Shape::Dfa(Box::new(LazyDfa::new(hir)))]
        };
        Ok(Self { alternatives, shapes })
    }
}

impl LazyDfa {
    const fn new(hir: Hir) -> Self {
        Self { hir, built: OnceLock::new() }
    }

    fn build(&self) -> Result<Built, ShapeError> {
        let nfa = regex_automata::nfa::thompson::Compiler::new()
            .configure(regex_automata::nfa::thompson::Config::new().utf8(false).shrink(false))
            .build_from_hir(&self.hir)
            .map_err(|_| ShapeError::Empty)?;
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .match_kind(MatchKind::All)
                    .start_kind(regex_automata::dfa::StartKind::Anchored)
                    .dfa_size_limit(Some(DFA_LIMIT))
                    .determinize_size_limit(Some(DFA_LIMIT)),
            )
            .build_from_nfa(&nfa)
            .map_err(Box::new)?;
        let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).map_err(|_| ShapeError::Empty)?;
        Ok(Built { dfa, start })
    }

    fn get(&self) -> Option<&Built> {
        self.built.get_or_init(|| self.build().ok()).as_ref()
    }
}

impl Shape {
    /// Builds what would else be built when it is first needed; says why that can't be done.
    pub(in crate::secrets) fn build(&self) -> Result<(), ShapeError> {
        let Shape::Dfa(lazy) = self else { return Ok(()) };
        let built = lazy.build()?;
        lazy.built.get_or_init(|| Some(built));
        Ok(())
    }

    #[cfg(test)]
    fn run(&self, hay: &[u8], ended: bool, work: &mut u64) -> Outcome {
        let walk = Walk { spent: work, walked: &mut Walked::default(), at: 0 };
        self.resume(hay, ended, walk, &mut Progress::default())
    }

    /// Runs from the first byte of `hay`; `ended` says that nothing follows. Bytes looked at are counted.
    /// After [`Outcome::More`] it goes on where it was: `hay` is then what it was, and more.
    pub(in crate::secrets) fn resume(
        &self,
        hay: &[u8],
        ended: bool,
        walk: Walk<'_>,
        progress: &mut Progress,
    ) -> Outcome {
        let (hay, ended) = match hay.get(..LONGEST) {
            Some(cut) => (cut, true),
            None => (hay, ended),
        };
        match self {
            Shape::Steps(steps) => run_steps(steps, hay, ended, walk, progress),
            Shape::Dfa(lazy) => lazy
                .get()
                .map_or(Outcome::No, |built| run_dfa(&built.dfa, built.start, hay, ended, walk.spent, progress)),
        }
    }
}

fn run_steps(steps: &[Step], hay: &[u8], ended: bool, walk: Walk<'_>, progress: &mut Progress) -> Outcome {
    let mut at = progress.at;
    let mut before = progress.taken;
    *walk.spent += 1;
    for (number, step) in steps.iter().enumerate().skip(progress.step) {
        // Letters of a literal, mostly.
        if let (1, 1, Some(&byte)) = (step.min, step.max, hay.get(at)) {
            if !step.set.has(byte) {
                return Outcome::No;
            }
            *walk.spent += 1;
            at += 1;
            continue;
        }
        let rest = hay.get(at + before..).unwrap_or_default();
        let most = rest.len().min(step.max as usize - before);
        let place = walk.at + (at + before) as u64;
        let fresh = walk.walked.count(&step.set, place, rest.get(..most).unwrap_or(rest));
        let taken = before + fresh;
        *walk.spent += fresh as u64;
        let short = fresh == rest.len() && taken < step.max as usize && !ended;
        if short {
            *progress = Progress { at, taken, step: number, state: None, last: None };
            return Outcome::More;
        }
        before = 0;
        if taken < step.min as usize {
            return Outcome::No;
        }
        at += taken;
    }
    Outcome::Match(at)
}

fn run_dfa(
    dfa: &dense::DFA<Vec<u32>>,
    start: StateID,
    hay: &[u8],
    ended: bool,
    work: &mut u64,
    progress: &mut Progress,
) -> Outcome {
    let mut state = progress.state.unwrap_or(start);
    let mut last = progress.last;
    for (at, &byte) in hay.iter().enumerate().skip(progress.at) {
        *work += 1;
        state = dfa.next_state(state, byte);
        if dfa.is_match_state(state) {
            // Matches are told one byte late.
            last = Some(at);
        } else if dfa.is_dead_state(state) || dfa.is_quit_state(state) {
            return last.map_or(Outcome::No, Outcome::Match);
        }
    }
    if !ended {
        *progress = Progress { at: hay.len(), taken: 0, step: 0, state: Some(state), last };
        return Outcome::More;
    }
    if dfa.is_match_state(dfa.next_eoi_state(state)) {
        last = Some(hay.len());
    }
    last.map_or(Outcome::No, Outcome::Match)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pattern: &str, hay: &str, ended: bool) -> Outcome {
        let parts = Parts::parse(pattern).unwrap();
        let outcomes: Vec<_> = parts.shapes.iter().map(|shape| shape.run(hay.as_bytes(), ended, &mut 0)).collect();
        outcomes.iter().copied().find(|o| *o != Outcome::No).unwrap_or(Outcome::No)
    }

    #[test]
    fn counted_classes_and_dfas_find_the_same_lengths() {
        for (pattern, hay, expected) in [
            ("ghp_[A-Za-z0-9]{36}", "ghp_0123456789abcdefghijABCDEFGHIJ012345;", Outcome::Match(40)),
            ("ghp_[A-Za-z0-9]{36}", "ghp_0123456789abcdefghijABCDEFGHIJ01234;", Outcome::No),
            ("eyJ[a-z]{2,}\\.[a-z]{3,}", "eyJabc.defghi jk", Outcome::Match(13)),
            ("sk-[a-zA-Z]{2,}T3B[a-z]{2,}", "sk-abcT3Bde.", Outcome::Match(11)),
            ("x(?:-[0-9a-f]{4}){3}", "x-0123-4567-89ab", Outcome::Match(16)),
            ("a[0-9]{2,4}={0,2}", "a123==x", Outcome::Match(6)),
            ("(?:ab|cd)[0-9]{2}", "cd12", Outcome::Match(4)),
        ] {
            assert_eq!(run(pattern, hay, true), expected, "{pattern}");
        }
    }

    #[test]
    fn a_shape_that_could_go_on_asks_for_more() {
        let hay = "eyJab.cdefg";
        assert_eq!(run("eyJ[a-z]{2,}\\.[a-z]{3,}", hay, false), Outcome::More);
        assert_eq!(run("eyJ[a-z]{2,}\\.[a-z]{3}", hay, false), Outcome::Match(9));
        assert_eq!(run("sk-[a-z]{2,}T3B[a-z]{2,}", "sk-ab", false), Outcome::More);
        assert_eq!(run("sk-[a-z]{2,}T3B[a-z]{2,}", "sx-ab", false), Outcome::No);
    }

    #[test]
    fn a_shape_fed_byte_by_byte_goes_on_where_it_was_and_comes_to_the_same() {
        for (pattern, hay) in [
            ("ghp_[A-Za-z0-9]{36}", "ghp_0123456789abcdefghijABCDEFGHIJ012345;"),
            ("eyJ[a-z]{2,}\\.[a-z]{3,}", "eyJabc.defghi jk"),
            ("sk-[a-zA-Z]{2,}T3B[a-z]{2,}", "sk-abcT3BdeT3Bxyz."),
            ("a[0-9]{2,4}={0,2}", "a123==x"),
            ("a[0-9]{2,4}={0,2}", "a12"),
        ] {
            for shape in Parts::parse(pattern).unwrap().shapes {
                let (mut progress, mut work, mut once) = (Progress::default(), 0, 0);
                let mut walked = Walked::default();
                let expected = shape.run(hay.as_bytes(), true, &mut once);
                let first = (0..=hay.len()).find_map(|end| {
                    let walk = Walk { spent: &mut work, walked: &mut walked, at: 0 };
                    let outcome = shape.resume(&hay.as_bytes()[..end], end == hay.len(), walk, &mut progress);
                    (outcome != Outcome::More).then_some(outcome)
                });
                assert_eq!(first, Some(expected), "{pattern} {hay}");
                assert!(work <= once + 2 * hay.len() as u64, "{pattern}: {work} {once}");
            }
        }
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for pattern in ["", "a*", "(", r"\bx", "x$", "[a-z]{0,3}"] {
            assert!(Parts::parse(pattern).is_err(), "{pattern}");
        }
    }
}
