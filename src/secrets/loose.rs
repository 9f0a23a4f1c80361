//! Shapes without a literal of their own (32 hex digits): words before the value tell whose it is.

use super::rule::{Context, fold_context};
use super::scanner::run_length;
use super::shape::{ByteSet, Step};
use std::collections::HashMap;

/// Words are looked for in this many bytes before a value; rules that look further are asked last.
const NEAR: usize = 112;

/// All such shapes, by the words that must stand before them.
#[derive(Default)]
pub(super) struct Loose {
    shapes: Vec<LooseShape>,
    words: Vec<Word>,
    by_word: HashMap<Box<[u8]>, usize>,
    /// Words by their first three bytes, and one bit for each such head.
    heads: HashMap<[u8; 3], Vec<usize>>,
    seen: Heads,
    /// Shapes that look further than [`NEAR`], and shapes that need no word.
    far: Vec<usize>,
    free: Vec<usize>,
    /// For each length of a run, which kinds of shapes it may hold.
    lengths: Vec<u8>,
}

/// Shapes of one length or few; of any length: they are tried only where a value is assigned to a name.
const NARROW: u8 = 1;
const WIDE: u8 = 2;
/// The same for values without a digit.
const LETTERS: u8 = 2;
const LENGTHS: usize = 512;

struct LooseShape {
    shape: u32,
    /// How many value characters it begins with.
    least: u32,
    most: u32,
    /// Whether a value may do without a digit.
    letters: bool,
    wide: bool,
}

struct Word {
    text: Box<[u8]>,
    /// The shapes it leads to, and how far before the value it may begin.
    shapes: Vec<(usize, usize)>,
}

/// A set of three-byte heads, by hash.
pub(super) struct Heads(Box<[u64; 128]>);

impl Default for Heads {
    fn default() -> Self {
        Self(Box::new([0; 128]))
    }
}

impl Heads {
    const fn slot([a, b, c]: [u8; 3]) -> usize {
        (a as usize ^ (b as usize) << 4 ^ (c as usize) << 7) & 8191
    }

    pub(super) fn insert(&mut self, head: [u8; 3]) {
        self.0[Self::slot(head) >> 6] |= 1 << (Self::slot(head) & 63);
    }

    #[inline]
    pub(super) fn has(&self, head: [u8; 3]) -> bool {
        self.0[Self::slot(head) >> 6] & 1 << (Self::slot(head) & 63) != 0
    }
}

/// What a run is made of, as far as it saves work.
#[derive(Clone, Copy)]
pub(super) struct Makeup {
    digit: bool,
    mixed: bool,
}

impl Makeup {
    pub(super) fn of(run: &[u8]) -> Self {
        let run = run.get(..256).unwrap_or(run);
        let digit = run.iter().any(u8::is_ascii_digit);
        let mixed = digit && run.iter().any(u8::is_ascii_uppercase) && run.iter().any(u8::is_ascii_lowercase);
        Self { digit, mixed }
    }
}

impl Loose {
    pub(super) fn add(&mut self, shape: u32, context: Option<&Context>, steps: &[Step]) {
        let number = self.shapes.len();
        let (least, most) = run_length(steps);
        let digits = ByteSet::of(b'0'..=b'9');
        let letters = steps.iter().any(|step| step.min > 4 && !digits.within(&step.set));
        let wide = most - least > 32;
        self.shapes.push(LooseShape { shape, least, most, letters, wide });
        self.lengths.resize(LENGTHS + 1, 0);
        let kind = if wide { WIDE } else { NARROW };
        for flags in self.lengths.iter_mut().take(most as usize + 1).skip(least as usize) {
            *flags |= kind | if letters { kind << LETTERS } else { 0 };
        }
        let Some(context) = context else {
            self.free.push(number);
            return;
        };
        if context.within > NEAR || context.keywords.iter().any(|word| word.len() < 3) {
            self.far.push(number);
            return;
        }
        for text in &context.keywords {
            let word = *self.by_word.entry(text.clone()).or_insert_with(|| {
                if let Some(head) = text.first_chunk::<3>() {
                    self.seen.insert(*head);
                    self.heads.entry(*head).or_default().push(self.words.len());
                }
                self.words.push(Word { text: text.clone(), shapes: Vec::new() });
                self.words.len() - 1
            });
            if let Some(word) = self.words.get_mut(word) {
                word.shapes.push((number, context.within));
            }
        }
    }

    /// The shapes that a run of this length may hold, told by the words before it.
    #[inline(never)]
    pub(super) fn candidates(&self, before: &[u8], length: u32, makeup: Makeup, out: &mut Vec<u32>) {
        let flags = self
            .lengths
            .get((length as usize).min(LENGTHS))
            .map_or(0, |flags| if makeup.digit { *flags } else { flags >> LETTERS });
        let assigned = flags & WIDE != 0 && is_assigned(before);
        if flags & NARROW == 0 && !assigned {
            return;
        }
        let mut take = |number: usize| {
            let Some(loose) = self.shapes.get(number) else { return };
            let fits = (loose.least..=loose.most).contains(&length)
                && (makeup.digit || loose.letters)
                && (assigned || !loose.wide);
            if fits && !out.contains(&loose.shape) {
                out.push(loose.shape);
            }
        };
        self.free.iter().for_each(|&number| take(number));
        if makeup.mixed {
            self.far.iter().for_each(|&number| take(number));
        }
        let near = before.get(before.len().saturating_sub(NEAR)..).unwrap_or(before);
        let window = fold_context(near);
        for (at, head) in window.windows(3).enumerate() {
            let Some(head) = head.first_chunk::<3>().filter(|head| self.seen.has(**head)) else { continue };
            for word in self.heads.get(head).into_iter().flatten().filter_map(|&word| self.words.get(word)) {
                if window.get(at..).is_some_and(|rest| rest.starts_with(&word.text)) {
                    let distance = window.len() - at;
                    word.shapes.iter().filter(|(_, within)| distance <= *within).for_each(|(number, _)| take(*number));
                }
            }
        }
    }
}

/// Whether what follows is assigned to a name, or stands behind `Bearer`.
fn is_assigned(before: &[u8]) -> bool {
    let gap = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b' ' | b'\\' | b'\t');
    match before.iter().rposition(|byte| !gap(byte)).and_then(|at| before.get(..=at)) {
        Some([.., b'=' | b':' | b'>']) => true,
        // An option of a command, or an authorization scheme.
        Some([.., byte]) => byte.is_ascii_lowercase() && before.last() == Some(&b' '),
        _ => false,
    }
}
