//! Deltas of git packs (gitformat-pack, "Deltified representation"): what they insert, and what stands around it.

use crate::secrets::stream::SEPARATOR;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::VecDeque;
use std::sync::Arc;

/// Longer objects are no bases, and all that are kept come to no more than this.
const LONGEST: usize = 32 * 1024;
const MOST: usize = 128 * 1024;
/// Of what is copied, so much is read at each end: the rest was read in the base.
const AROUND: usize = 160;

/// What a delta says that it is based on.
pub(super) enum Name {
    /// Where it begins in the pack.
    Offset(u64),
    Id([u8; 20]),
}

/// An object that others may be based on.
struct Base {
    offset: u64,
    id: Option<[u8; 20]>,
    object: Arc<(u8, Vec<u8>)>,
}

/// The objects that were read last.
#[derive(Default)]
pub(super) struct Bases {
    all: VecDeque<Base>,
    size: usize,
}

impl Bases {
    /// Adds to an object's content as long as it may be a base.
    pub(super) fn keep(content: &mut Option<Vec<u8>>, more: &[u8]) {
        match content {
            Some(text) if text.len() + more.len() <= LONGEST => text.extend_from_slice(more),
            _ => *content = None,
        }
    }

    /// Adds a complete object.
    pub(super) fn add(&mut self, offset: u64, object: Option<(u8, Vec<u8>)>) {
        let Some(object) = object else { return };
        self.size += object.1.len();
        self.all.push_back(Base { offset, id: None, object: Arc::new(object) });
        while self.size > MOST {
            let gone = self.all.pop_front();
            self.size -= gone.map_or(self.size, |base| base.object.1.len());
        }
    }

    pub(super) fn find(&mut self, name: &Name) -> Option<Arc<(u8, Vec<u8>)>> {
        let found = match name {
            Name::Offset(offset) => self.all.iter().find(|base| base.offset == *offset),
            Name::Id(id) => self.all.iter_mut().find_map(|base| (base.id() == *id).then_some(&*base)),
        };
        found.map(|base| base.object.clone())
    }
}

impl Base {
    /// The object's name: the digest of its type, its length and its content.
    fn id(&mut self) -> [u8; 20] {
        *self.id.get_or_insert_with(|| {
            let (kind, content) = &*self.object;
            let kind = ["", "commit", "tree", "blob", "tag"].get(usize::from(*kind)).copied().unwrap_or_default();
            let mut text = format!("{kind} {}\0", content.len()).into_bytes();
            text.extend_from_slice(content);
            digest(&SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref().first_chunk().copied().unwrap_or_default()
        })
    }
}

/// A delta on its way.
pub(super) struct Delta {
    base: Option<Arc<(u8, Vec<u8>)>>,
    /// What it makes of its base, as long as that may be a base too.
    result: Option<Vec<u8>>,
    /// Sizes of base and result that are still to be read.
    sizes: u8,
    /// The copy that is being read: its instruction, and the operands so far.
    copy: Option<(u8, u8, [u8; 7])>,
    /// Bytes of an insert that are still to come.
    insert: u8,
}

impl Delta {
    pub(super) fn new(base: Option<Arc<(u8, Vec<u8>)>>) -> Self {
        let result = base.is_some().then(Vec::new);
        Self { base, result, sizes: 2, copy: None, insert: 0 }
    }

    /// What came out of it, with its base's type; nothing where that isn't known.
    pub(super) fn take_result(&mut self) -> Option<(u8, Vec<u8>)> {
        Some((self.base.as_ref()?.0, self.result.take()?))
    }

    /// Appends what a delta inserts and the ends of what it copies, or a separator where that isn't known; gives how
    /// much was copied.
    pub(super) fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut copied = 0;
        for &byte in bytes {
            if self.sizes > 0 {
                self.sizes -= u8::from(byte & 0x80 == 0);
            } else if self.insert > 0 {
                out.push(byte);
                Bases::keep(&mut self.result, &[byte]);
                self.insert -= 1;
            } else if let Some((op, count, operands)) = &mut self.copy {
                if let Some(operand) = operands.get_mut(usize::from(*count)) {
                    *operand = byte;
                }
                *count += 1;
                if u32::from(*count) == (*op & 0x7f).count_ones() {
                    let range = range(*op, *operands);
                    self.copy = None;
                    copied += self.copy(range, out);
                }
            } else if byte & 0x7f == 0 && byte != 0 {
                copied += self.copy(0..0x1_0000, out);
            } else if byte & 0x80 != 0 {
                self.copy = Some((byte, 0, [0; 7]));
            } else {
                self.insert = byte;
            }
        }
        copied
    }

    fn copy(&mut self, range: std::ops::Range<usize>, out: &mut Vec<u8>) -> usize {
        let Some(text) = self.base.as_ref().and_then(|base| base.1.get(range)) else {
            out.push(SEPARATOR);
            self.result = None;
            return 0;
        };
        Bases::keep(&mut self.result, text);
        let before = out.len();
        match (text.get(..AROUND), text.len().checked_sub(AROUND)) {
            (Some(head), Some(tail)) if tail > AROUND => {
                out.extend_from_slice(head);
                out.push(SEPARATOR);
                out.extend_from_slice(text.get(tail..).unwrap_or_default());
            }
            _ => out.extend_from_slice(text),
        }
        out.len() - before
    }
}

/// What a copy takes: the bits of its instruction say which bytes of offset and size follow.
fn range(op: u8, operands: [u8; 7]) -> std::ops::Range<usize> {
    let mut next = operands.into_iter();
    let mut number = |bits: std::ops::Range<u8>| {
        bits.clone()
            .filter(|bit| op >> bit & 1 == 1)
            .fold(0usize, |number, bit| number | usize::from(next.next().unwrap_or(0)) << (8 * (bit - bits.start)))
    };
    let (offset, size) = (number(0..4), number(4..7));
    offset..offset.saturating_add(if size == 0 { 0x1_0000 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes 300 and 5, insert "ab", copy five bytes from the third on, insert "c".
    const BYTES: [u8; 10] = [0xac, 0x02, 5, 2, b'a', b'b', 0x81 | 0x10, 3, 5, 1];

    #[test]
    fn a_delta_gives_what_it_inserts_and_what_it_copies() {
        let bytes = [&BYTES[..], b"c"].concat();
        let (mut unknown, mut out) = (Delta::new(None), Vec::new());
        unknown.read(&bytes, &mut out);
        assert_eq!(out, [b'a', b'b', SEPARATOR, b'c']);
        let mut bases = Bases::default();
        bases.add(12, Some((3, b"0123456789".to_vec())));
        let mut known = Delta::new(bases.find(&Name::Offset(12)));
        out.clear();
        for byte in bytes {
            known.read(&[byte], &mut out);
        }
        assert_eq!(out, b"ab34567c");
        assert_eq!(known.take_result(), Some((3, b"ab34567c".to_vec())));
    }

    #[test]
    fn a_base_is_known_by_its_name_too_and_few_are_kept() {
        let mut bases = Bases::default();
        bases.add(12, Some((3, b"hello\n".to_vec())));
        let id = data_encoding::HEXLOWER.decode(b"ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        assert!(bases.find(&Name::Id(*id.first_chunk().unwrap())).is_some());
        for number in 0..9 {
            bases.add(100 + number, Some((3, vec![b'x'; LONGEST])));
        }
        assert!(bases.find(&Name::Offset(12)).is_none() && bases.size <= MOST);
    }
}
