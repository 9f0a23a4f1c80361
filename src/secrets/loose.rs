//! Shapes without a literal of their own (32 hex digits): words before the value tell whose it is.

use super::keys::Keys;
use super::rule::Context;
use super::runs::{SHORTEST, is_value};
use super::scanner::run_length;
use super::shape::{ByteSet, Step};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::RangeInclusive;

/// Words are looked for in this many bytes before a value; rules that look further are asked last.
const NEAR: usize = 64;

/// All such shapes, by the words that must stand before them.
#[derive(Default)]
pub(super) struct Loose {
    shapes: Vec<LooseShape>,
    words: Vec<Word>,
    by_word: HashMap<Box<[u8]>, usize>,
    /// Words by their first bytes; the first three of all of them.
    heads: Keys,
    fronts: Heads,
    /// The first two characters of words that begin with no letter: few do, and such characters are many.
    signs: Vec<[u8; 2]>,
    /// For each length of a run, what it must be made of for some shape; then the shapes that need no word near.
    near: Vec<Gate>,
    far: Vec<(Gate, Vec<Alike>)>,
    /// Lengths and demands that the gates know already.
    seen: HashSet<(u32, u32, Demand)>,
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

/// A set of three-byte heads, by hash.
pub(super) struct Heads(Box<[u64; Heads::SLOTS / 64]>);

impl Default for Heads {
    fn default() -> Self {
        Self(Box::new([0; Heads::SLOTS / 64]))
    }
}

impl Heads {
    const SLOTS: usize = 32_768;

    #[inline]
    const fn slot([a, b, c]: [u8; 3]) -> usize {
        (a as usize ^ (b as usize) << 4 ^ (c as usize) << 8) & (Self::SLOTS - 1)
    }

    pub(super) fn insert(&mut self, head: [u8; 3]) {
        self.0[Self::slot(head) >> 6] |= 1 << (Self::slot(head) & 63);
    }

    #[inline]
    pub(super) fn has(&self, head: [u8; 3]) -> bool {
        self.0[Self::slot(head) >> 6] & 1 << (Self::slot(head) & 63) != 0
    }
}

/// Values by three-byte heads, most of which have none.
pub(super) struct ByHead<T> {
    seen: Heads,
    values: HashMap<u32, Vec<T>, BuildHasherDefault<Spread>>,
}

impl<T> Default for ByHead<T> {
    fn default() -> Self {
        Self { seen: Heads::default(), values: HashMap::default() }
    }
}

impl<T> ByHead<T> {
    const fn key([a, b, c]: [u8; 3]) -> u32 {
        u32::from_le_bytes([a, b, c, 0])
    }

    pub(super) fn add(&mut self, head: [u8; 3], value: T) {
        self.seen.insert(head);
        self.values.entry(Self::key(head)).or_default().push(value);
    }

    /// Whether there may be any.
    #[inline]
    pub(super) fn may_have(&self, head: [u8; 3]) -> bool {
        self.seen.has(head)
    }

    #[inline]
    pub(super) fn get(&self, head: [u8; 3]) -> &[T] {
        if !self.seen.has(head) {
            return &[];
        }
        self.values.get(&Self::key(head)).map_or(&[], Vec::as_slice)
    }
}

/// A hasher for keys that come from the catalogue, so that nobody chooses them.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
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
        let run = run.get(..LONGEST_LOOK).unwrap_or(run);
        Self(u16::from(run.iter().fold(0, |kinds, byte| kinds | KINDS[usize::from(*byte)])))
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
        let tiny = |context: &Context| context.keywords.iter().any(|word| word.len() < 3);
        let far = context.is_some_and(|context| context.within > NEAR || tiny(context));
        let free = context.is_none();
        let wide = most - least > 32 && lead.1 == 0;
        let demand = Demand { makeup, letters, wide };
        self.shapes.push(LooseShape { shape, lead, demand, least, most });
        self.near.resize(LENGTHS + 1, Gate::default());
        self.far.resize(LENGTHS + 1, Default::default());
        let lengths = least as usize..=(most as usize).min(LENGTHS);
        if far || free {
            let gate = Gate::of(demand);
            for (known, shapes) in self.far.get_mut(lengths).into_iter().flatten() {
                known.join(&gate);
                match shapes.iter_mut().find(|alike| alike.0 == (demand, free)) {
                    Some(alike) => alike.1.push(number as u16),
                    None => shapes.push(((demand, free), vec![number as u16])),
                }
            }
        } else if self.seen.insert((least, most, demand)) {
            let gate = Gate::of(demand);
            self.near.get_mut(lengths).into_iter().flatten().for_each(|known| known.join(&gate));
        }
        let Some(context) = context.filter(|_| !far) else { return };
        for text in &context.keywords {
            let word = *self.by_word.entry(text.clone()).or_insert_with(|| {
                let head = match text[..] {
                    [a, b, c] => Some([None, Some(a), Some(b), Some(c)]),
                    [a, b, c, d, ..] => Some([Some(a), Some(b), Some(c), Some(d)]),
                    _ => None,
                };
                if let (Some(head), Some(front)) = (head, text.first_chunk::<2>()) {
                    self.heads.add(head, self.words.len() as u32);
                    self.fronts.insert(text.first_chunk().copied().unwrap_or_default());
                    if !front[0].is_ascii_alphabetic() && !self.signs.contains(front) {
                        self.signs.push(*front);
                    }
                }
                self.words.push(Word::new(text.clone()));
                self.words.len() - 1
            });
            if let Some(word) = self.words.get_mut(word) {
                word.shapes.push((number, context.within));
            }
        }
    }

    /// Whether some shape takes a run of such a length and makeup.
    pub(super) fn may_take(&self, mut lengths: RangeInclusive<u32>, makeup: Makeup, assigned: bool) -> bool {
        lengths.any(|length| {
            let at = (length as usize).min(LENGTHS);
            self.near.get(at).is_some_and(|gate| gate.takes(makeup, assigned))
                || self.far.get(at).is_some_and(|(gate, _)| gate.takes(makeup, assigned))
        })
    }

    /// The shapes that a run of this length may hold, told by the words before it.
    #[inline(never)]
    pub(super) fn candidates(&self, before: &[u8], length: u32, makeup: Makeup, out: &mut Vec<(u32, (u32, u32))>) {
        let assigned = is_assigned(before);
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
        if self.near.get(at).is_some_and(|gate| gate.takes(makeup, assigned)) && !is_wrapped(before) {
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
        // The byte before the window, the window, and room for reading eight bytes from its last one on.
        let mut raw = [0u8; 1 + NEAR];
        let near = before.get(before.len().saturating_sub(NEAR)..).unwrap_or(before);
        if let Some(end) = raw.get_mut(1 + NEAR - near.len()..) {
            end.copy_from_slice(near);
        }
        let (mut folded, mut begins) = ([0u8; NEAR + 8], [0u8; NEAR]);
        for (at, (to, begin)) in folded.iter_mut().zip(&mut begins).enumerate() {
            let (last, byte) = (raw[at], raw[at + 1]);
            *to = fold(byte);
            *begin = u8::from((!is_letter(last) | !is_lower(byte)) & is_letter(byte));
        }
        // The letter of an escaped line break is none of the word behind it.
        for at in memchr::memchr_iter(b'\\', &raw) {
            if let (Some(b'n' | b'r' | b't'), Some(begin)) = (raw.get(at + 1), begins.get_mut(at + 1)) {
                *begin = 1;
            }
        }
        for [first, second] in &self.signs {
            for (at, begin) in begins.iter_mut().enumerate() {
                *begin |= u8::from((folded[at] == *first) & (folded[at + 1] == *second));
            }
        }
        let mut word_at = |at: usize| {
            let Some(window) = folded.get(at..) else { return };
            let Some(&head @ [a, b, c, _]) = window.first_chunk() else { return };
            if !self.fronts.has([a, b, c]) {
                return;
            }
            let head = u32::from_le_bytes(head);
            for key in [head, head & 0xff_ffff] {
                if !self.heads.may_have(key) {
                    continue;
                }
                for word in self.heads.get(key).iter().filter_map(|&word| self.words.get(word as usize)) {
                    if word.begins(window) {
                        let distance = NEAR - at;
                        let shapes = word.shapes.iter().filter(|(_, within)| distance <= *within);
                        shapes.filter_map(|(number, _)| self.shapes.get(*number)).for_each(&mut *each);
                    }
                }
            }
        };
        let (eights, _) = begins.as_chunks::<8>();
        for (number, eight) in eights.iter().enumerate() {
            let mut left = u64::from_le_bytes(*eight);
            while left != 0 {
                let at = number * 8 + left.trailing_zeros() as usize / 8;
                word_at(at);
                left &= left - 1;
            }
        }
    }
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

    fn begins(&self, window: &[u8]) -> bool {
        let front = window.first_chunk::<8>().is_some_and(|eight| u64::from_le_bytes(*eight) & self.mask == self.front);
        front && (self.text.len() <= 8 || window.starts_with(&self.text))
    }
}

const fn is_lower(byte: u8) -> bool {
    byte.wrapping_sub(b'a') < 26
}

const fn is_letter(byte: u8) -> bool {
    is_lower(byte | 0x20)
}

/// As [`fold_context`](super::rule::fold_context), for many bytes at once.
const fn fold(byte: u8) -> u8 {
    let upper = byte.wrapping_sub(b'A') < 26;
    let gap = (byte == b'-') | (byte == b'.') | (byte == b' ');
    if gap { b'_' } else { byte | (upper as u8) << 5 }
}

/// Whether only a line of value characters stands near before a value, or before one that its own first character is
/// told from: it is one of many lines, and has no name.
fn is_wrapped(before: &[u8]) -> bool {
    let end = before.iter().rev().take(2).position(|byte| *byte == b'\n').map(|back| before.len() - 1 - back);
    let line = end.and_then(|end| before.get(..end)).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let near = line.and_then(|line| line.get(line.len().checked_sub(NEAR)?..));
    near.is_some_and(|near| near.iter().rev().all(|byte| is_value(*byte)))
}

/// Whether a run may be such a value: others are names in code.
pub(super) fn may_be_value(before: &[u8], run: &[u8]) -> bool {
    is_assigned(before) || run.iter().take(LONGEST_LOOK).any(u8::is_ascii_digit)
}

/// Whether what follows is assigned to a name, or stands behind `Bearer`.
pub(super) fn is_assigned(before: &[u8]) -> bool {
    let gap = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b' ' | b'\\' | b'\t');
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
