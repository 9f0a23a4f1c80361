//! Git packs: what `git push` sends. Every object is a zlib stream; of deltas the inserted bytes are read.

use super::inflate::{Broken, Coding, Inflate, Step};
use crate::secrets::stream::{Origin, SEPARATOR, Scan, Stream};
use crate::secrets::unpack::{Fed, Rows, Trail};

/// A pack's signature, version and count.
const HEAD: usize = 12;
/// The most bytes of an object's head: type and size, then the base's name or offset.
const OBJECT_HEAD: usize = 10 + 20;

/// A pack's reader.
pub(in crate::secrets) struct Pack {
    child: Box<Stream>,
    state: State,
    /// Objects that are still to come.
    left: u32,
    trail: Trail,
    inflated: Vec<u8>,
    out: Vec<u8>,
    rows: Rows,
}

enum State {
    Head,
    Object,
    Body(Inflate, Option<Delta>),
}

/// A delta's instructions (gitformat-pack, "Deltified representation").
#[derive(Default)]
struct Delta {
    /// Sizes of base and result that are still to be read.
    sizes: u8,
    /// Bytes of a copy's operands that are still to come, or of an insert.
    skip: u8,
    insert: u8,
    begun: bool,
}

impl Pack {
    pub(in crate::secrets) fn new(depth: u8, start: u64) -> Self {
        Self {
            child: Box::new(Stream::new(depth)),
            state: State::Head,
            left: 0,
            trail: Trail::new(start),
            inflated: Vec::new(),
            out: Vec::new(),
            rows: Rows::default(),
        }
    }

    /// Takes as much of the pack as there is.
    pub(in crate::secrets) fn feed(
        &mut self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        bytes: &[u8],
    ) -> Result<Fed, Broken> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let (read, more) = match &mut self.state {
                State::Head => {
                    let Some(head) = rest.first_chunk::<HEAD>() else { break };
                    self.left = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
                    self.state = State::Object;
                    self.trail.step(HEAD, 0);
                    (HEAD, true)
                }
                State::Object if self.left == 0 => return Ok(Fed { read: taken, ended: true }),
                State::Object => match object_head(rest)? {
                    None => break,
                    Some((length, delta)) => {
                        self.state = State::Body(Inflate::new(Coding::Zlib)?, delta.then(Delta::new));
                        self.trail.step(length, 0);
                        (length, true)
                    }
                },
                State::Body(..) => self.body(scan, origin, rest)?,
            };
            taken += read;
            if !more || scan.work.is_exhausted() {
                break;
            }
        }
        Ok(Fed { read: taken, ended: false })
    }

    /// One step of an object's zlib stream: bytes read, and whether to go on.
    fn body(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, rest: &[u8]) -> Result<(usize, bool), Broken> {
        let State::Body(inflate, delta) = &mut self.state else { return Err(Broken) };
        self.inflated.clear();
        self.out.clear();
        let step = inflate.step(rest, &mut self.inflated);
        let Step { read, ended } = step.unwrap_or_default();
        scan.work.inflated += self.inflated.len() as u64;
        match delta {
            Some(delta) => delta.read(&self.inflated, &mut self.out),
            None => std::mem::swap(&mut self.out, &mut self.inflated),
        }
        self.rows.thin(&mut self.out);
        if ended {
            self.out.extend_from_slice(&[SEPARATOR; 16]);
            self.left -= 1;
            self.state = State::Object;
        }
        let idle = read == 0 && self.out.is_empty();
        self.trail.step(read, self.out.len());
        if !self.out.is_empty() {
            let start = self.trail.start;
            scan.path.push("git-pack");
            let cleared = self.child.feed(scan, &|_| origin(start), &self.out, false);
            scan.path.pop();
            self.trail.settle(cleared, self.trail.read);
        }
        step?;
        Ok((read, !idle))
    }

    /// No more comes: what was cut off is judged as it is.
    pub(in crate::secrets) fn finish(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>) {
        let start = self.trail.start;
        scan.path.push("git-pack");
        self.child.feed(scan, &|_| origin(start), &[], true);
        scan.path.pop();
    }

    /// The offset before which everything is decided.
    pub(in crate::secrets) fn cleared(&self) -> u64 {
        self.trail.cleared()
    }
}

/// An object's head: its length, and whether a delta follows; `None` if it isn't there as a whole.
fn object_head(rest: &[u8]) -> Result<Option<(usize, bool)>, Broken> {
    let Some(end) = rest.iter().take(OBJECT_HEAD).position(|byte| byte & 0x80 == 0) else {
        return if rest.len() < OBJECT_HEAD { Ok(None) } else { Err(Broken) };
    };
    let kind = rest.first().map_or(0, |byte| byte >> 4 & 7);
    let length = end + 1;
    match kind {
        1..=4 => Ok(Some((length, false))),
        6 => {
            let offset = rest.get(length..).unwrap_or_default();
            match offset.iter().take(10).position(|byte| byte & 0x80 == 0) {
                Some(end) => Ok(Some((length + end + 1, true))),
                None if offset.len() < 10 => Ok(None),
                None => Err(Broken),
            }
        }
        7 => Ok((rest.len() >= length + 20).then_some((length + 20, true))),
        _ => Err(Broken),
    }
}

impl Delta {
    fn new() -> Self {
        Self { sizes: 2, ..Self::default() }
    }

    /// Appends what a delta inserts; where it copies from its base, a separator stands.
    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            if self.sizes > 0 {
                self.sizes -= u8::from(byte & 0x80 == 0);
            } else if self.insert > 0 {
                out.push(byte);
                self.insert -= 1;
            } else if self.skip > 0 {
                self.skip -= 1;
            } else if byte & 0x80 != 0 {
                self.skip = (byte & 0x7f).count_ones() as u8;
                if self.begun {
                    out.push(SEPARATOR);
                }
            } else {
                self.insert = byte;
                self.begun = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_gives_what_it_inserts() {
        let mut delta = Delta::new();
        let mut out = Vec::new();
        // Sizes 300 and 5, insert "ab", copy with two operands, insert "c".
        delta.read(&[0xac, 0x02, 5, 2, b'a', b'b', 0x81 | 0x10, 9, 9, 1, b'c'], &mut out);
        assert_eq!(out, [b'a', b'b', SEPARATOR, b'c']);
    }

    #[test]
    fn an_objects_head_tells_its_length() {
        assert_eq!(object_head(&[0xb5, 0x01, 0x78]), Ok(Some((2, false))));
        assert_eq!(object_head(&[0x65, 0x81, 0x01, 0x78]), Ok(Some((3, true))));
        assert_eq!(object_head(&[0x75, 0]), Ok(None));
        assert_eq!(object_head(&[0x05]), Err(Broken));
        assert_eq!(object_head(&[0xb5]), Ok(None));
    }
}
