//! Shapes without a literal of their own (32 hex digits): words before the value tell whose it is.

use super::rules::assigned::before_parts;
use super::rules::rule::Context;
use super::rules::steps::Step;
use super::runs::SHORTEST;
use super::scanner::run_length;
use super::search::byte_set::ByteSet;
use super::search::classes::Classes;
use super::search::heads::Heads;
use super::search::keys::Keys;
use std::collections::{HashMap, HashSet};

/// Words are looked for in this many bytes before a value; rules that look further are asked last.
pub(super) const NEAR: usize = 64;

/// All such shapes, by the words that must stand before them.
#[derive(Default)]
pub(super) struct Loose {
    shapes: Vec<LooseShape>,
    words: Vec<Word>,
    by_word: HashMap<Box<[u8]>, usize>,
    /// Words by their first bytes; the first three of all of them.
    heads: Keys,
    fronts: Heads,
    /// For each length of a run, what it must be made of for some shape; then the shapes that need no word near.
    near: Vec<Gate>,
    far: Vec<(Gate, Vec<Alike>)>,
    /// What any shape takes of this length, or of one or two less.
    any: Vec<Gate>,
    /// Lengths and demands that the gates know already, of shapes that need words near and of others.
    seen: HashSet<(u32, u32, Demand, bool)>,
}

/// Which makeups some shape takes, one bit each: of values that are assigned to a name, and of others.
#[derive(Clone, Copy, Default)]
struct Gate([[u64; 4]; 2]);

impl Gate {
    fn of(demand: Demand) -> Self {
        let mut gate = Self::default();
        for makeup in 0..=255u8 {
            let bit = 1 << (makeup & 63);
            for (masks, assigned) in gate.0.iter_mut().zip([false, true]) {
                if demand.takes(Makeup(u16::from(makeup)), assigned) {
                    masks[usize::from(makeup >> 6)] |= bit;
                }
            }
        }
        gate
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(mask, more)| *mask |= more);
    }

    const fn takes(&self, makeup: Makeup, assigned: bool) -> bool {
        self.0[assigned as usize][(makeup.0 >> 6 & 3) as usize] & (1 << (makeup.0 & 63)) != 0
    }
}

/// What a shape asks of a run before its words are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Demand {
    /// What its values may be made of, and whether they may do without a digit.
    makeup: u16,
    letters: bool,
    /// Of any length: it is tried only where a value is assigned to a name.
    wide: bool,
}

impl Demand {
    const fn takes(self, makeup: Makeup, assigned: bool) -> bool {
        let random = makeup.0 & DIGIT != 0 || self.letters || (!self.wide && makeup.has_both_cases());
        (assigned || !self.wide) && random && makeup.0 & !self.makeup == 0
    }
}

/// As much of a run is looked at for what it is made of.
const LONGEST_LOOK: usize = 256;

/// Shapes of one demand, and whether they need no word at all.
type Alike = ((Demand, bool), Vec<u16>);

/// Longer runs are taken for as long as this.
const LENGTHS: usize = 512;

struct LooseShape {
    shape: u32,
    /// How much of it stands before the run.
    lead: (u32, u32),
    demand: Demand,
    /// The lengths of the run that it begins with.
    least: u32,
    most: u32,
}

struct Word {
    text: Box<[u8]>,
    /// Its first eight bytes, and which of them count.
    front: u64,
    mask: u64,
    /// The shapes it leads to, and how far before the value it may begin.
    shapes: Vec<(usize, usize)>,
}

/// The first stretch of value characters that is long enough to be seen, and how much stands before it.
fn lead(steps: &[Step]) -> (&[Step], (u32, u32)) {
    let (mut least, mut most) = (0u32, 0u32);
    for (at, step) in steps.iter().enumerate() {
        let rest = steps.get(at..).unwrap_or_default();
        if run_length(rest).0 as usize >= SHORTEST {
            return (rest, (least, most));
        }
        least += step.min;
        most = most.saturating_add(step.max);
        if most > 16 {
            break;
        }
    }
    (steps, (0, 0))
}

/// What a run is made of: one bit for each kind of character.
#[derive(Clone, Copy)]
pub(super) struct Makeup(u16);

/// A run that may be a value.
#[derive(Clone, Copy)]
pub(super) struct Value {
    pub(super) length: u32,
    pub(super) makeup: Makeup,
    /// Something says that it is one: it is assigned to a name.
    pub(super) assigned: bool,
}

const DIGIT: u16 = 1;
const UPPER: u16 = 2 | 8;
const LOWER: u16 = 4 | 16;

const KINDS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'0'..=b'9' => 1,
            b'A'..=b'F' => 2,
            b'a'..=b'f' => 4,
            b'G'..=b'Z' => 8,
            b'g'..=b'z' => 16,
            b'-' => 32,
            b'_' => 64,
            _ => 128,
        };
        byte += 1;
    }
    table
};

impl Makeup {
    pub(super) fn of(run: &[u8]) -> Self {
        let (eights, rest) = run.get(..LONGEST_LOOK).unwrap_or(run).as_chunks::<8>();
        let of = |byte: u8| KINDS[usize::from(byte)];
        let kinds = eights.iter().fold(0, |kinds, &[a, b, c, d, e, f, g, h]| {
            kinds | of(a) | of(b) | of(c) | of(d) | of(e) | of(f) | of(g) | of(h)
        });
        Self(u16::from(rest.iter().fold(kinds, |kinds, &byte| kinds | of(byte))))
    }

    const fn has_both_cases(self) -> bool {
        self.0 & UPPER != 0 && self.0 & LOWER != 0
    }

    pub(super) const fn has_digit(self) -> bool {
        self.0 & DIGIT != 0
    }

    pub(super) const fn is_mixed(self) -> bool {
        self.0 & DIGIT != 0 && self.has_both_cases()
    }
}

impl Loose {
    pub(super) fn add(&mut self, shape: u32, context: Option<&Context>, steps: &[Step]) {
        let number = self.shapes.len();
        let (steps, lead) = lead(steps);
        let (least, most) = run_length(steps);
        let digits = ByteSet::of(b'0'..=b'9');
        let letters = steps.iter().any(|step| step.min > 4 && !digits.within(&step.set));
        let bytes = steps.iter().flat_map(|step| (0..128).filter(|byte| step.set.has(*byte)));
        let makeup = bytes.fold(0, |kinds, byte| kinds | u16::from(KINDS[usize::from(byte)]));
        let from_letter = |word: &[u8]| word.iter().skip_while(|byte| !is_letter(**byte)).count();
        let tiny = |context: &Context| context.keywords.iter().any(|word| from_letter(word) < 3);
        let far = context.is_some_and(|context| context.within > NEAR || tiny(context));
        let free = context.is_none();
        let wide = most - least > 32 && lead.1 == 0;
        let demand = Demand { makeup, letters, wide };
        self.shapes.push(LooseShape { shape, lead, demand, least, most });
        self.near.resize(LENGTHS + 1, Gate::default());
        self.far.resize(LENGTHS + 1, Default::default());
        self.any.resize(LENGTHS + 1, Gate::default());
        let lengths = least as usize..=(most as usize).min(LENGTHS);
        let gate = Gate::of(demand);
        let fresh = self.seen.insert((least, most, demand, far || free));
        if fresh {
            let longer = least as usize..=(most.saturating_add(2) as usize).min(LENGTHS);
            self.any.get_mut(longer).into_iter().flatten().for_each(|known| known.join(&gate));
        }
        if far || free {
            for (known, shapes) in self.far.get_mut(lengths).into_iter().flatten() {
                known.join(&gate);
                match shapes.iter_mut().find(|alike| alike.0 == (demand, free)) {
                    Some(alike) => alike.1.push(number as u16),
                    None => shapes.push(((demand, free), vec![number as u16])),
                }
            }
        } else if fresh {
            self.near.get_mut(lengths).into_iter().flatten().for_each(|known| known.join(&gate));
        }
        let Some(context) = context.filter(|_| !far) else { return };
        for text in &context.keywords {
            // A word is known from its first letter on: its rule looks at all of it.
            let text: Box<[u8]> = text.iter().copied().skip_while(|byte| !is_letter(*byte)).collect();
            let word = *self.by_word.entry(text.clone()).or_insert_with(|| {
                let head = match text[..] {
                    [a, b, c] => Some([None, Some(a), Some(b), Some(c)]),
                    [a, b, c, d, ..] => Some([Some(a), Some(b), Some(c), Some(d)]),
                    _ => None,
                };
                if let Some(head) = head {
                    self.heads.add(head, self.words.len() as u32);
                    self.fronts.insert(text.first_chunk().copied().unwrap_or_default());
                }
                self.words.push(Word::new(text.clone()));
                self.words.len() - 1
            });
            if let Some(word) = self.words.get_mut(word) {
                word.shapes.push((number, context.within));
            }
        }
    }

    /// Whether some shape takes a run of such a length and makeup, or what is left of it behind its first byte or two.
    #[inline]
    pub(super) fn may_take(&self, length: usize, makeup: Makeup, assigned: bool) -> bool {
        self.any.get(length.min(LENGTHS)).is_some_and(|gate| gate.takes(makeup, assigned))
    }

    /// Whether some shape takes a run of this length that is assigned to nothing, without a word near.
    pub(super) fn takes_without_words(&self, length: usize) -> bool {
        self.far.get(length.min(LENGTHS)).is_some_and(|(gate, _)| gate.0[0] != [0; 4])
    }

    /// The shapes that a value may have, told by the words before it; without these, those that need none near.
    #[inline(never)]
    pub(super) fn candidates(&self, before: Option<&[u8]>, value: Value, out: &mut Vec<(u32, (u32, u32))>) {
        let Value { length, makeup, assigned } = value;
        // A name in code: nothing says that it is a value, and it has no digit.
        if !assigned && makeup.0 & DIGIT == 0 {
            return;
        }
        let at = (length as usize).min(LENGTHS);
        if let Some((gate, shapes)) = self.far.get(at)
            && gate.takes(makeup, assigned)
        {
            let fits = |demand: &Demand, free: bool| {
                demand.takes(makeup, assigned) && (free || !demand.wide || makeup.is_mixed())
            };
            let shapes = shapes.iter().filter(|((demand, free), _)| fits(demand, *free)).flat_map(|(_, shapes)| shapes);
            let shapes = shapes.filter_map(|&number| self.shapes.get(usize::from(number)));
            out.extend(shapes.map(|shape| (shape.shape, shape.lead)));
        }
        if let Some(before) = before.filter(|_| self.near.get(at).is_some_and(|gate| gate.takes(makeup, assigned))) {
            self.near_words(before, &mut |shape| {
                let fits = shape.least <= length && length.min(LENGTHS as u32) <= shape.most;
                if fits && shape.demand.takes(makeup, assigned) && !out.contains(&(shape.shape, shape.lead)) {
                    out.push((shape.shape, shape.lead));
                }
            });
        }
    }

    /// The shapes whose words stand before a value and near it.
    fn near_words<'a>(&'a self, before: &[u8], each: &mut dyn FnMut(&'a LooseShape)) {
        // The window, and room for reading eight bytes from its last one on.
        let mut text = [0u8; NEAR + 8];
        let near = before.get(before.len().saturating_sub(NEAR)..).unwrap_or(before);
        if let Some(end) = text.get_mut(NEAR - near.len()..NEAR) {
            end.copy_from_slice(near);
        }
        let mut begins = word_begins(&text);
        while begins != 0 {
            let at = begins.trailing_zeros() as usize;
            begins &= begins - 1;
            let Some((eight, rest)) = text.get(at..).and_then(|window| window.split_first_chunk::<8>()) else { return };
            let fold = |at: usize| FOLD[usize::from(eight[at])];
            if !self.fronts.has([fold(0), fold(1), fold(2)]) {
                continue;
            }
            let front = u64::from_le_bytes(std::array::from_fn(fold));
            let head = front as u32;
            for key in [head, head & 0xff_ffff] {
                if !self.heads.may_have(key) {
                    continue;
                }
                for word in self.heads.get(key).iter().filter_map(|&word| self.words.get(word as usize)) {
                    if word.begins(front, rest) {
                        let distance = NEAR - at;
                        let shapes = word.shapes.iter().filter(|(_, within)| distance <= *within);
                        shapes.filter_map(|(number, _)| self.shapes.get(*number)).for_each(&mut *each);
                    }
                }
            }
        }
    }
}

/// Where a word begins in the first 64 bytes, one bit each: behind another character, with a capital, or behind the
/// letter of an escaped line break.
fn word_begins(text: &[u8]) -> u64 {
    let (blocks, _) = text.as_chunks::<64>();
    let mut masks = [[0; 4]];
    LETTERS.masks_of(blocks, &mut masks);
    let [[letters, lower, backslashes, breaks]] = masks;
    letters & !(letters << 1 & lower) | (backslashes << 1 & breaks) << 1
}

impl Word {
    fn new(text: Box<[u8]>) -> Self {
        let front = |byte: &dyn Fn(u8) -> u8| {
            let mut front = [0; 8];
            front.iter_mut().zip(&text).for_each(|(to, from)| *to = byte(*from));
            u64::from_le_bytes(front)
        };
        let (front, mask) = (front(&|byte| byte), front(&|_| 0xff));
        Self { text, front, mask, shapes: Vec::new() }
    }

    /// Whether a text begins with it: its first eight bytes, folded, and those behind them.
    fn begins(&self, front: u64, rest: &[u8]) -> bool {
        let more = self.text.get(8..).unwrap_or_default();
        let same = |(word, text): (&u8, &u8)| *word == FOLD[usize::from(*text)];
        front & self.mask == self.front && more.len() <= rest.len() && more.iter().zip(rest).all(same)
    }
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic()
}

/// As [`fold_context`](super::rules::rule::fold_context), byte by byte.
const FOLD: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'-' | b'.' | b' ' => b'_',
            other => other.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
};

/// Letters, those of lower case, backslashes, and what makes one a line break.
const LETTERS: Classes<4> = {
    let mut has = [[false; 256]; 4];
    let mut byte = 0;
    while byte < 128 {
        has[0][byte] = is_letter(byte as u8);
        has[1][byte] = (byte as u8).is_ascii_lowercase();
        has[2][byte] = byte as u8 == b'\\';
        has[3][byte] = matches!(byte as u8, b'n' | b'r' | b't');
        byte += 1;
    }
    Classes::new(has)
};

/// Whether what follows is assigned to a name, or stands behind `Bearer`.
pub(super) fn is_assigned(before: &[u8]) -> bool {
    let gap = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b' ' | b'\\' | b'\t');
    let before = before_parts(before);
    match before.iter().rposition(|byte| !gap(byte)).and_then(|at| before.get(..=at)) {
        Some([.., b'=' | b':' | b'>']) => true,
        // An entry of a protobuf map (the tag of its value, and the length), or what stands for a value that is missing.
        Some([.., 0x12, _] | [.., b'|', b'|'] | [.., b'?', b'?']) => true,
        // An argument behind the name: `setenv("API_KEY", "…")`.
        Some([.., b'"' | b'\'', b',']) => true,
        // A definition, or a sentence: `PASSWORD '…'`.
        Some([.., byte]) if is_letter(*byte) && matches!(before, [.., b' ', b'"' | b'\'']) => true,
        // An option of a command, or an authorization scheme.
        Some([.., byte]) => byte.is_ascii_lowercase() && before.last() == Some(&b' '),
        _ => false,
    }
}
