//! Compressed files inside other bytes, told by their magic: gzip, zstd, zip entries, git packs; and zlib and raw deflate
//! where a text or a part of it begins, whose first bytes tell too little elsewhere.

use super::decode::deflate::{self, Looks};
use super::decode::inflate::Coding;
use super::decode::pack::Pack;
use super::parts::Parts;
use super::stream::{DEEPEST, Origin, Scan, Stream};
use super::unpack::Unpack;

/// A zip entry's header up to its name, and the longest name that is followed.
const ZIP_HEAD: usize = 30;
const ZIP_NAMES: usize = 4096;

/// Files that may be open at once at one level. Bytes that only look like one end soon; what begins within an open
/// one is followed beside it, so that a file's head that is none hides nothing behind it.
const MOST_OPEN: usize = 2;
/// The next one waits for one of them to end. How soon a file that is none is known to be none depends on how its
/// bytes come, and what is found must not: so it is only at these places, in bytes of the level, that one may have
/// waited for too long.
const CHECKPOINT: u64 = 16 * 1024;
/// What it costs to open a pack.
const OPENING: u64 = 2048;

/// Every magic has a byte that text never has: gzip 1f, zip 03, zstd fd, a pack's version 02 or 03.
pub(super) const MARKS: [bool; 256] = {
    let mut has = [false; 256];
    let marks = [0x1f, 0x02, 0x03, 0xfd];
    let mut at = 0;
    while at < marks.len() {
        has[marks[at]] = true;
        at += 1;
    }
    has
};

/// The pass over embedded files.
#[derive(Default)]
pub(super) struct Embedded {
    /// Where the search for the next one goes on.
    at: u64,
    /// How far the open ones have been fed.
    seen: u64,
    open: Vec<Open>,
    /// Where members of open files begin: they are no files of their own.
    members: Vec<u64>,
    /// What the level is made of, each of which may begin with a file.
    parts: Parts,
}

/// An open file, and where it goes on.
struct Open {
    at: u64,
    file: File,
}

enum File {
    Stream(Box<Unpack>),
    Pack(Box<Pack>),
}

impl Open {
    /// Takes what there is of it before `to`; gives whether it goes on.
    fn feed(&mut self, to: u64, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> bool {
        let rest = (self.at - level.base) as usize..(to - level.base) as usize;
        let rest = level.buffer.get(rest).unwrap_or_default();
        let fed = match &mut self.file {
            File::Stream(unpack) => unpack.feed(scan, origin, rest),
            File::Pack(pack) => pack.feed(scan, origin, rest),
        };
        let goes_on = fed.as_ref().is_ok_and(|fed| !fed.ended);
        if let Ok(fed) = fed {
            self.at += fed.read as u64;
        }
        if !goes_on || ended {
            self.finish(scan, origin);
        }
        goes_on
    }

    fn finish(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>) {
        match &mut self.file {
            File::Stream(unpack) => unpack.finish(scan, origin),
            File::Pack(pack) => pack.finish(scan, origin),
        }
    }

    /// Where members began that followed another.
    fn members(&mut self) -> Vec<u64> {
        match &mut self.file {
            File::Stream(unpack) => unpack.members().collect(),
            File::Pack(_) => Vec::new(),
        }
    }

    fn cleared(&self) -> u64 {
        match &self.file {
            File::Stream(unpack) => unpack.cleared().min(self.at),
            File::Pack(pack) => pack.cleared().min(self.at),
        }
    }
}

/// What begins at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Stream(Coding, usize),
    Pack,
    /// Too few bytes to tell.
    More,
    No,
}

impl Magic {
    const fn cost(&self) -> u64 {
        match self {
            Magic::Stream(coding, _) => coding.opening(),
            _ => OPENING,
        }
    }
}

impl Embedded {
    pub(super) fn reset(&mut self) {
        (self.at, self.seen, self.parts) = (0, 0, Parts::None);
        self.open.clear();
        self.members.clear();
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let end = level.base + level.buffer.len() as u64;
        if level.depth >= DEEPEST {
            self.at = self.at.max(level.base);
            let rest = level.buffer.get((self.at - level.base) as usize..).unwrap_or_default();
            // Three bytes of a magic may be chance: gzip's head has more.
            let is_file = |at: usize| matches!(rest.get(at..at + 4), Some([0x1f, 0x8b, 8, flags]) if flags & 0xe0 == 0);
            scan.work.is_too_deep |= memchr::memchr_iter(0x1f, rest).any(is_file);
            let open = if ended { 0 } else { open_magic(rest) };
            self.at = end - open as u64;
            return self.at;
        }
        loop {
            self.seen = end.min((self.seen + 1).next_multiple_of(CHECKPOINT));
            self.pass_to(self.seen, level, scan, origin, ended && self.seen == end);
            if self.seen == end {
                break;
            }
        }
        let held = self.open.iter().map(Open::cleared).min().unwrap_or(end);
        if ended { end } else { held.min(self.at) }
    }

    /// The text ends in which the open files stand: they end with it.
    pub(super) fn close(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>) {
        for open in &mut self.open {
            open.finish(scan, origin);
        }
        self.open.clear();
    }

    /// The pass over the bytes before `to`.
    fn pass_to(&mut self, to: u64, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) {
        if level.base == 0 {
            self.parts = Parts::of(&level.buffer);
        }
        let (at, members) = (self.at, &mut self.members);
        members.retain(|member| *member >= at);
        self.open.retain_mut(|open| {
            let goes_on = open.feed(to, level, scan, origin, ended);
            members.extend(open.members());
            goes_on && !ended
        });
        loop {
            let (from, end) = ((self.at - level.base) as usize, (to - level.base) as usize);
            let rest = level.buffer.get(from..end).unwrap_or_default();
            let marks = || level.survey.places(|block| block.marks, from..end).map(|at| at - from);
            let found = find(rest, marks, self.at == 0, ended);
            let found = match self.parts {
                Parts::None => found,
                parts => nearer(found, parts.begin(rest, self.at, ended)),
            };
            let (start, magic) = match found {
                Ok(found) => found,
                Err(clear) => {
                    self.at += clear as u64;
                    break;
                }
            };
            let start = self.at + start as u64;
            if self.members.contains(&start) {
                self.at = start + 1;
                continue;
            }
            if self.open.len() == MOST_OPEN {
                self.at = start;
                if to.is_multiple_of(CHECKPOINT) && to - start >= CHECKPOINT {
                    scan.work.give_up();
                }
                break;
            }
            self.at = start + 1;
            scan.work.spent += magic.cost();
            if scan.work.is_exhausted() {
                break;
            }
            let Some(mut open) = Open::new(magic, level.depth + 1, start) else { continue };
            let goes_on = open.feed(to, level, scan, origin, ended);
            self.members.extend(open.members());
            if goes_on && !ended {
                self.open.push(open);
            }
        }
    }
}

impl Open {
    fn new(magic: Magic, depth: u8, start: u64) -> Option<Self> {
        let (at, file) = match magic {
            Magic::Stream(coding, head) => {
                let at = start + head as u64;
                (at, File::Stream(Box::new(Unpack::new(coding, Stream::new(depth), at).ok()?)))
            }
            _ => (start, File::Pack(Box::new(Pack::new(depth, start)))),
        };
        Some(Self { at, file })
    }
}

/// The first embedded file; an error is how far there is none for sure.
///
/// `marks` are the places of the bytes that magics have and text never has.
fn find<M: Iterator<Item = usize>>(
    rest: &[u8],
    marks: impl Fn() -> M,
    at_start: bool,
    ended: bool,
) -> Result<(usize, Magic), usize> {
    if at_start {
        match beginning(rest, ended) {
            Magic::More => return Err(0),
            Magic::Stream(coding, head) => return Ok((0, Magic::Stream(coding, head))),
            _ => {}
        }
    }
    let mut open = rest.len();
    for at in marks().filter(|at| rest.get(*at) != Some(&0x02)) {
        let start = match rest.get(at) {
            Some(0x1f) => Some(at),
            _ => at.checked_sub(3).or_else(|| at.checked_sub(2)),
        };
        for start in start.into_iter().chain(at.checked_sub(2)) {
            match magic(rest.get(start..).unwrap_or_default()) {
                Magic::No => {}
                Magic::More if ended => {}
                Magic::More => open = open.min(start),
                Magic::Pack => {}
                found @ Magic::Stream(..) => {
                    let pack = before_pack(rest, marks(), start);
                    return pack.map_or(Ok((start, found)), |pack| Ok((pack, Magic::Pack)));
                }
            }
        }
        if open < at {
            break;
        }
    }
    if let Some(pack) = before_pack(rest, marks(), rest.len()) {
        return Ok((pack, Magic::Pack));
    }
    if ended {
        return Err(rest.len());
    }
    // What the bytes end in may be the start of a magic.
    Err(open.min(rest.len() - open_magic(rest)))
}

/// Of two looks at the same bytes the one that tells of what comes first.
pub(super) fn nearer(
    a: Result<(usize, Magic), usize>,
    b: Result<(usize, Magic), usize>,
) -> Result<(usize, Magic), usize> {
    let place = |found: &Result<(usize, Magic), usize>| match found {
        Ok((start, _)) => *start,
        Err(clear) => *clear,
    };
    if place(&b) < place(&a) { b } else { a }
}

/// Where the first pack begins whose head ends before `limit` but for its version.
fn before_pack(rest: &[u8], marks: impl Iterator<Item = usize>, limit: usize) -> Option<usize> {
    let begins = |at: usize| {
        let start = at.checked_sub(7).filter(|_| at <= limit)?;
        (rest.get(start..at)? == b"PACK\0\0\0" && matches!(rest.get(at), Some(2 | 3))).then_some(start)
    };
    marks.take_while(|at| *at <= limit).find_map(begins)
}

/// How many of the last bytes begin a magic.
fn open_magic(rest: &[u8]) -> usize {
    const MAGICS: [&[u8]; 4] = [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"PACK\0\0\0\x02"];
    let ends = |length: &usize| {
        let tail = rest.get(rest.len() - length..).unwrap_or_default();
        MAGICS.iter().any(|magic| magic.first() == tail.first() && magic.starts_with(tail))
    };
    (1..=7.min(rest.len())).rev().find(ends).unwrap_or(0)
}

/// What begins where nothing else stands before: zlib, or raw deflate, which is told by the text in it.
pub(super) fn beginning(text: &[u8], ended: bool) -> Magic {
    match (zlib(text), deflate::looks(text, ended)) {
        (Magic::No, Looks::Text) => Magic::Stream(Coding::Deflate, 0),
        (Magic::More, _) | (Magic::No, Looks::Open) if !ended => Magic::More,
        (Magic::More, _) => Magic::No,
        (magic, _) => magic,
    }
}

pub(super) fn zlib(text: &[u8]) -> Magic {
    match text {
        [0x78, second, ..] => {
            let checked = u16::from_be_bytes([0x78, *second]).is_multiple_of(31) && second & 0x20 == 0;
            if checked { Magic::Stream(Coding::Zlib, 0) } else { Magic::No }
        }
        [0x78] | [] => Magic::More,
        _ => Magic::No,
    }
}

fn magic(text: &[u8]) -> Magic {
    match text {
        // Method 8, and no reserved flag.
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Magic::Stream(Coding::Gzip, 0),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Magic::Stream(Coding::Zstd, 0),
        [b'P', b'K', 3, 4, ..] => zip_entry(text),
        [0x1f] | [0x1f, 0x8b] | [0x1f, 0x8b, 8] | [b'P', b'K', 3] => Magic::More,
        _ => Magic::No,
    }
}

/// A local file header (APPNOTE 4.3.7): deflated entries are inflated, stored ones are there to read.
fn zip_entry(text: &[u8]) -> Magic {
    let Some(head) = text.first_chunk::<ZIP_HEAD>() else { return Magic::More };
    let length = ZIP_HEAD + usize::from(u16::from_le_bytes([head[26], head[27]]));
    let length = length + usize::from(u16::from_le_bytes([head[28], head[29]]));
    let coding = match u16::from_le_bytes([head[8], head[9]]) {
        8 => Coding::Deflate,
        93 => Coding::Zstd,
        _ => return Magic::No,
    };
    let encrypted = head[6] & 1 == 1;
    if encrypted || length > ZIP_NAMES {
        return Magic::No;
    }
    if text.len() < length { Magic::More } else { Magic::Stream(coding, length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_is_found_and_a_cut_one_is_awaited() {
        let marks =
            |text: &[u8]| -> Vec<usize> { (0..text.len()).filter(|at| MARKS[usize::from(text[*at])]).collect() };
        let find = |text: &[u8], at_start| find(text, || marks(text).into_iter(), at_start, false);
        let found = |text: &[u8]| find(text, false).map(|(at, _)| at);
        assert_eq!(found(b"--x\r\n\r\n\x1f\x8b\x08\0abc"), Ok(7));
        assert_eq!(found(b"..\x28\xb5\x2f\xfd.."), Ok(2));
        assert_eq!(found(b"xPACK\0\0\0\x02\0\0\0\x01"), Ok(1));
        assert_eq!(found(b"text\x1f\x8b"), Err(4));
        assert_eq!(found(b"text PK\x03\x04"), Err(5));
        assert_eq!(found(b"only text here"), Err(14));
        assert_eq!(find(b"\x78\x9cabc", true).map(|(at, _)| at), Ok(0));
        assert_eq!(find(b"\x78", true).map(|(at, _)| at), Err(0));
    }
}
