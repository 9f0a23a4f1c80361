//! The catalogue compiled: one for the process, shared by all policies.

use super::anchors::{Anchors, Traits};
use super::inner_reversed::InnerReversed;
use super::loose::Loose;
use super::rules::anchor::{Anchor, anchors_of, has_delimiter};
use super::rules::catalogue::{Catalogue, Group, PublicSpec, RuleSpec};
use super::rules::examples::Examples;
use super::rules::logins::{Fronts, Logins};
use super::rules::rule::{Rule, RuleError};
use super::rules::shape::{Parts, Shape};
use super::rules::steps::Step;
use super::runs::SHORTEST;
use super::search::byte_set::ByteSet;
use super::search::heads::ByHead;
use std::collections::HashSet;
use std::sync::Arc;

/// Every rule of the catalogue, ready to run.
pub struct Scanner {
    pub(super) rules: Vec<Rule>,
    pub(super) shapes: Vec<RuleShape>,
    pub(super) anchors: Anchors,
    /// The same for joined pieces: there are no runs there.
    pub(super) joined: Anchors,
    /// Shapes without a literal, tried where a run of value characters begins.
    pub(super) loose: Loose,
    /// Shapes that begin a token in such a run.
    pub(super) starts: Starts,
    /// What others begin with that are found in long runs only: a short run may be the first piece of one.
    first_pieces: ByHead<Box<[u8]>>,
    /// What documentation prints for everyone.
    pub(super) examples: Examples,
    /// The literals that shapes begin with, backwards, by their last three bytes.
    pub(super) reversed: ByHead<Box<[u8]>>,
    /// The last two labels of hosts whose addresses are credentials as a whole.
    address_homes: HashSet<Box<str>>,
    /// The rules whose values only a name tells.
    generic: Vec<Arc<str>>,
    /// The same for literals inside shapes.
    inner_reversed: InnerReversed,
    /// What the logins of some hosts begin with.
    pub(super) logins: Logins,
    /// What values begin with that says whose they are.
    pub(super) fronts: Fronts,
}

/// A shape and whose it is.
pub(super) struct RuleShape {
    pub(super) shape: Shape,
    pub(super) rule: u32,
    /// Bytes of the literal at its front.
    pub(super) prefix: u16,
    /// It holds an `@`: most addresses don't.
    pub(super) has_at: bool,
}

/// Why a catalogue does not compile.
#[derive(Debug, thiserror::Error)]
#[error("the rule `{rule}` is wrong")]
pub struct Error {
    /// Its id.
    pub rule: String,
    /// What is wrong.
    pub source: RuleError,
}

/// Values of a rule that differ by no more are all about as long.
const LEEWAY: u32 = 8;

impl Scanner {
    /// Compiles a catalogue.
    pub fn new(catalogue: Catalogue) -> Result<Self, Error> {
        let scanner = Self::compile(catalogue)?;
        scanner.build()?;
        Ok(scanner)
    }

    /// Builds every shape, so that a wrong one is told now.
    fn build(&self) -> Result<(), Error> {
        for RuleShape { shape, rule, .. } in &self.shapes {
            let id = || self.rules.get(*rule as usize).map(|rule| rule.id.to_string()).unwrap_or_default();
            shape.build().map_err(|error| Error { rule: id(), source: error.into() })?;
        }
        Ok(())
    }

    fn compile(catalogue: Catalogue) -> Result<Self, Error> {
        let mut this = Self {
            examples: Examples::new(&catalogue.examples)
                .map_err(|error| Error { rule: "_examples".to_owned(), source: error.into() })?,
            rules: Vec::new(),
            shapes: Vec::new(),
            anchors: Anchors::new([], &Traits::NONE),
            joined: Anchors::new([], &Traits::NONE),
            loose: Loose::default(),
            starts: Starts::default(),
            first_pieces: ByHead::default(),
            reversed: ByHead::default(),
            address_homes: HashSet::new(),
            generic: Vec::new(),
            inner_reversed: InnerReversed::default(),
            logins: Logins::new(&catalogue.logins)
                .map_err(|error| Error { rule: "logins".to_owned(), source: error.into() })?,
            fronts: Fronts::default(),
        };
        let (mut anchors, mut joined, mut in_runs) = (Vec::new(), Vec::new(), HashSet::new());
        let public: Vec<RuleSpec> = catalogue.public.iter().map(PublicSpec::to_rule).collect();
        for (at, spec) in catalogue.rules.iter().chain(&public).enumerate() {
            let make = if at < catalogue.rules.len() { Rule::new } else { Rule::public };
            let wrong = |source: RuleError| Error { rule: spec.id.clone(), source };
            let parts = Parts::parse(&spec.pattern).map_err(|error| wrong(error.into()))?;
            let prefix = parts.alternatives.iter().map(|steps| prefix_of(steps)).min().unwrap_or(0);
            let rule = this.rules.len() as u32;
            this.rules.push(make(spec, prefix).map_err(wrong)?);
            // Of pieces that are joined, a row of letters must tell whose they are.
            let tells = |steps: &Vec<Step>| prefix >= 3 || anchors_of(steps).iter().any(|a| a.literal.len() >= 3);
            let is_name =
                |steps: &Vec<Step>| anchors_of(steps).iter().any(|a| a.farthest == 0 && begins_names(&a.literal));
            if let Some(rule) = this.rules.last_mut() {
                rule.joins &= parts.alternatives.iter().all(|steps| tells(steps) && !is_name(steps));
                rule.is_exact = parts.alternatives.iter().all(|steps| leeway(steps) <= LEEWAY);
                rule.is_mixed = parts.alternatives.iter().all(|steps| has_both_cases(steps));
            }
            this.address_homes.extend(this.rules.last().into_iter().flat_map(Rule::address_homes));
            let generic = this.rules.last().filter(|rule| rule.group == Group::Generic);
            this.generic.extend(generic.map(|rule| rule.id.clone()));
            let left = this.rules.last().is_some_and(Rule::wants_left_edge);
            let one_each = parts.shapes.len() == parts.alternatives.len();
            let first = this.shapes.len() as u32;
            for (number, steps) in parts.alternatives.iter().enumerate() {
                let shape = if one_each { first + number as u32 } else { first };
                let (least, _) = run_length(steps);
                let found = anchors_of(steps);
                if at < catalogue.rules.len() && !spec.homes.is_empty() {
                    this.fronts.add(&front_of(steps), rule);
                }
                for anchor in &found {
                    if anchor.farthest == 0 {
                        this.add_reversed(&anchor.literal);
                    }
                    this.inner_reversed.add(anchor);
                    this.inner_reversed.add_tail(steps, anchor);
                }
                if at < catalogue.rules.len() {
                    joined.extend(found.iter().cloned().map(|anchor| (anchor, shape)));
                }
                if left && begins_a_run(steps, least) && !has_delimiter(&found) && this.starts.add(steps, shape) {
                } else if !found.is_empty() {
                    if found.iter().all(|anchor| lies_in_a_run(steps, anchor)) {
                        in_runs.insert(shape);
                        let fronts = found.iter().filter(|anchor| anchor.farthest == 0);
                        for (head, anchor) in fronts.filter_map(|anchor| Some((anchor.literal.first_chunk()?, anchor)))
                        {
                            this.first_pieces.add(*head, anchor.literal.clone().into());
                        }
                    }
                    anchors.extend(found.into_iter().map(|anchor| (anchor, shape)));
                } else if spec.context.is_some() || spec.checksum.is_some() {
                    this.loose.add(shape, this.rules.last().and_then(|rule| rule.context.as_ref()), steps);
                } else {
                    return Err(wrong(RuleError::NoAnchor));
                }
            }
            if parts.alternatives.is_empty() {
                return Err(wrong(RuleError::NoAnchor));
            }
            let at = ByteSet::of([b'@']);
            let has_at = parts.alternatives.iter().all(|steps| steps.iter().any(|step| step.min > 0 && step.set == at));
            let prefixes = parts.alternatives.iter().map(|steps| if one_each { prefix_of(steps) } else { prefix });
            for (shape, prefix) in parts.shapes.into_iter().zip(prefixes) {
                this.shapes.push(RuleShape { shape, rule, prefix: prefix as u16, has_at });
            }
        }
        let traits = Traits {
            has_left_edge: &|shape| {
                let owner = this.shapes.get(shape as usize).and_then(|shape| this.rules.get(shape.rule as usize));
                owner.is_some_and(Rule::wants_left_edge)
            },
            lies_in_a_run: &|shape| in_runs.contains(&shape),
            has_at: &|shape| this.shapes.get(shape as usize).is_some_and(|shape| shape.has_at),
        };
        // On a level of joined pieces an edge is where a piece begins.
        let joined = Anchors::new(joined, &Traits { has_at: traits.has_at, ..Traits::NONE });
        let anchors = Anchors::new(anchors, &traits);
        (this.anchors, this.joined) = (anchors, joined);
        Ok(this)
    }

    fn add_reversed(&mut self, literal: &[u8]) {
        let reversed: Box<[u8]> = literal.iter().rev().copied().collect();
        // Ids and digests end in any digits.
        let tells = !literal.iter().all(u8::is_ascii_digit);
        if let Some(head) = literal.first_chunk().filter(|_| tells)
            && !self.reversed.get(*head).contains(&reversed)
        {
            self.reversed.add(*head, reversed);
        }
    }

    /// Whether a word ends like a token begins, backwards.
    pub(super) fn ends_reversed(&self, word: &[u8]) -> bool {
        let Some(&[c, b, a]) = word.last_chunk::<3>() else { return false };
        self.reversed.get([a, b, c]).iter().any(|literal| word.ends_with(literal))
    }

    /// Whether a run begins like a token that is found in longer ones.
    pub(super) fn begins_a_first_piece(&self, run: &[u8]) -> bool {
        let head = run.first_chunk().copied().unwrap_or_default();
        self.first_pieces.get(head).iter().any(|literal| run.starts_with(literal))
    }

    /// Whether a rule's name alone tells its values, which says nothing of whose they are.
    pub(super) fn is_generic(&self, id: &str) -> bool {
        self.generic.iter().any(|generic| **generic == *id)
    }

    /// Whether one of these rules tells its values by more than a few letters at an edge.
    pub(super) fn is_telling(&self, rules: &[u32]) -> bool {
        rules.iter().filter_map(|rule| self.rules.get(*rule as usize)).any(Rule::is_telling)
    }

    /// Whether one of these rules is of a group.
    pub(super) fn is_of(&self, group: Group, rules: &[u32]) -> bool {
        rules.iter().filter_map(|rule| self.rules.get(*rule as usize)).any(|rule| rule.group == group)
    }

    /// Whether addresses at a host may be credentials as a whole: webhooks.
    pub(super) fn has_addresses_at(&self, host: &str) -> bool {
        self.address_homes.contains(last_labels(host))
    }

    /// Whether a token stands backwards around the end of a run, whose literal goes over that end.
    pub(super) fn is_reversed_around(&self, text: &[u8], end: usize) -> bool {
        self.inner_reversed.stands_around(text, end)
    }

    /// Whether a token stands backwards in a run, whose literal is far from its front.
    pub(super) fn is_reversed_in(&self, run: &[u8]) -> bool {
        self.inner_reversed.stands_in(run)
    }

    /// Whether that may be, by the byte behind the run.
    pub(super) fn may_be_reversed_around(&self, text: &[u8], end: usize) -> bool {
        self.inner_reversed.may_stand_around(text, end)
    }

    /// The catalogue of the binary, compiled. Its DFAs are built when they are needed: a test builds all of them.
    pub fn builtin() -> Result<Arc<Self>, BuiltinError> {
        Ok(Arc::new(Self::compile(Catalogue::builtin()?)?))
    }

    /// How many rules there are.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.rules.iter().filter(|rule| !rule.public).count()
    }

    /// Whether a rule of this id exists: policies name rules.
    #[must_use]
    pub fn has_rule(&self, id: &str) -> bool {
        self.rules.iter().any(|rule| !rule.public && &*rule.id == id)
    }
}

/// Why the binary's own catalogue does not compile.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// A file of it does not parse.
    #[error(transparent)]
    Catalogue(#[from] super::rules::catalogue::CatalogueError),
    /// A rule of it is wrong.
    #[error(transparent)]
    Rule(#[from] Error),
}

/// A name's last two labels.
pub(super) fn last_labels(name: &str) -> &str {
    let start = name.rmatch_indices('.').nth(1).map_or(0, |(dot, _)| dot + 1);
    name.get(start..).unwrap_or(name)
}

/// A token that begins at an edge is found where runs are, which are few, instead of by its letters everywhere. A
/// run is seen from fifteen characters on, which is also the length of a JWT's shortest header.
fn begins_a_run(steps: &[Step], least: u32) -> bool {
    let jwt = || b"eyJ".iter().zip(steps).all(|(byte, step)| step.set == ByteSet::of([*byte]));
    least as usize >= SHORTEST || (least + 2 >= SHORTEST as u32 && jwt())
}

/// Runs that are searched for letters of tokens are this long: in shorter ones the search costs more than it saves.
pub(super) const SEARCHED_RUN: usize = 30;

/// Whether an anchor is a part of a run of value characters that is long enough to be seen.
fn lies_in_a_run(steps: &[Step], anchor: &Anchor) -> bool {
    let (least, _) = run_length(steps);
    least as usize >= SEARCHED_RUN && usize::from(anchor.farthest) + anchor.literal.len() <= least as usize
}

/// Shapes by their first three bytes, each with what the fourth may be: a flood of heads is cheap to turn away.
#[derive(Default)]
pub(super) struct Starts(ByHead<(u32, ByteSet)>);

impl Starts {
    /// Adds a shape whose first three bytes are few; else gives false.
    fn add(&mut self, steps: &[Step], shape: u32) -> bool {
        let sets: Vec<_> = steps
            .iter()
            .take_while(|step| step.min == step.max)
            .flat_map(|step| std::iter::repeat_n(step.set, step.min.min(3) as usize))
            .take(3)
            .collect();
        let [a, b, c] = sets.as_slice() else { return false };
        let fourth = fourth_of(steps);
        if a.len() * b.len() * c.len() > 64 {
            return false;
        }
        for first in a.bytes() {
            for second in b.bytes() {
                for third in c.bytes() {
                    self.0.add([first, second, third], (shape, fourth));
                }
            }
        }
        true
    }

    /// Whether a shape may begin with these three bytes.
    pub(super) fn may_be(&self, head: [u8; 3]) -> bool {
        self.0.may_have(head)
    }

    /// The shapes that begin with these three bytes, and what their fourth byte is one of.
    pub(super) fn of(&self, head: [u8; 3]) -> &[(u32, ByteSet)] {
        self.0.get(head)
    }
}

/// What a shape's fourth byte is one of: any that the step may have which it belongs to.
fn fourth_of(steps: &[Step]) -> ByteSet {
    let mut before = 0;
    for step in steps {
        before += step.min;
        if before > 3 {
            return step.set;
        }
        if step.min != step.max {
            break;
        }
    }
    ByteSet::of(0..=255)
}

fn prefix_of(steps: &[Step]) -> usize {
    steps.iter().take_while(|step| step.min == 1 && step.max == 1 && step.set.len() == 1).count()
}

/// The literal that a shape begins with.
fn front_of(steps: &[Step]) -> Vec<u8> {
    steps.iter().take(prefix_of(steps)).filter_map(|step| step.set.bytes().next()).collect()
}

/// How many value characters (`[A-Za-z0-9+/_-]`) a shape begins with, at least and at most.
pub(super) fn run_length(steps: &[Step]) -> (u32, u32) {
    let run = super::runs::value_set();
    let inside = steps.iter().take_while(|step| step.set.within(&run));
    let (least, most) =
        inside.fold((0u32, 0u32), |(least, most), step| (least + step.min, most.saturating_add(step.max)));
    (least, most)
}

/// By how much values of a shape may differ in length.
fn leeway(steps: &[Step]) -> u32 {
    steps.iter().fold(0, |leeway, step| leeway.saturating_add(step.max - step.min))
}

/// Whether what values of a shape differ in has letters of both cases, beyond those of hex.
fn has_both_cases(steps: &[Step]) -> bool {
    let differs = steps.iter().max_by_key(|step| step.min);
    differs.is_some_and(|step| step.min > 1 && step.set.has(b'z') && step.set.has(b'Z'))
}

/// Whether names begin with it too (`secret-store`, `test_login`): with a digest put behind one, they look like tokens.
fn begins_names(literal: &[u8]) -> bool {
    const WORDS: [&[u8]; 10] =
        [b"access", b"api", b"client", b"console", b"key", b"live", b"secret", b"server", b"test", b"token"];
    literal.strip_suffix(b"-").or_else(|| literal.strip_suffix(b"_")).is_some_and(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_the_binarys_catalogue_can_be_built() {
        Scanner::builtin().unwrap().build().unwrap();
    }
}
