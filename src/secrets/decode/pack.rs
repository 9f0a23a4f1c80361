//! Git packs: what `git push` sends. Every object is a zlib stream; of deltas the inserted bytes are read, and what
//! stands around them in the base, if that is in the pack and small.

use super::delta::{Bases, Delta, Name};
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
    /// Bytes of the pack that were read, and where the object began.
    position: u64,
    object: u64,
    bases: Bases,
}

enum State {
    Head,
    Object,
    Body(Inflate, Body),
}

/// What an object holds.
enum Body {
    /// Its type, and its content as long as it may be a base.
    Plain(u8, Option<Vec<u8>>),
    Delta(Delta),
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
            position: 0,
            object: 0,
            bases: Bases::default(),
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
                    Some((length, kind)) => {
                        self.object = self.position;
                        let body = match kind {
                            ObjectKind::Plain(kind) => Body::Plain(kind, Some(Vec::new())),
                            ObjectKind::Offset(back) => {
                                let base = self.object.checked_sub(back).map(Name::Offset);
                                Body::Delta(Delta::new(base.and_then(|name| self.bases.find(&name))))
                            }
                            ObjectKind::Id(id) => Body::Delta(Delta::new(self.bases.find(&Name::Id(id)))),
                        };
                        self.state = State::Body(Inflate::new(Coding::Zlib)?, body);
                        self.trail.step(length, 0);
                        (length, true)
                    }
                },
                State::Body(..) => self.body(scan, origin, rest)?,
            };
            taken += read;
            self.position += read as u64;
            if !more || scan.work.is_exhausted() {
                break;
            }
        }
        Ok(Fed { read: taken, ended: false })
    }

    /// One step of an object's zlib stream: bytes read, and whether to go on.
    fn body(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, rest: &[u8]) -> Result<(usize, bool), Broken> {
        let State::Body(inflate, body) = &mut self.state else { return Err(Broken) };
        self.inflated.clear();
        self.out.clear();
        let step = inflate.step(rest, &mut self.inflated);
        let Step { read, ended } = step.unwrap_or_default();
        scan.work.inflated += self.inflated.len() as u64;
        match body {
            Body::Delta(delta) => {
                let copied = delta.read(&self.inflated, &mut self.out);
                scan.work.inflated += copied as u64;
            }
            Body::Plain(_, content) => {
                Bases::keep(content, &self.inflated);
                std::mem::swap(&mut self.out, &mut self.inflated);
            }
        }
        self.rows.thin(&mut self.out);
        if ended {
            match body {
                Body::Delta(delta) => self.bases.add(self.object, delta.take_result()),
                Body::Plain(kind, content) => self.bases.add(self.object, content.take().map(|text| (*kind, text))),
            }
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

/// What an object is, and what a delta is based on.
#[derive(Debug, PartialEq, Eq)]
enum ObjectKind {
    Plain(u8),
    /// So many bytes before it.
    Offset(u64),
    Id([u8; 20]),
}

/// An object's head: its length, and what follows; `None` if it isn't there as a whole.
fn object_head(rest: &[u8]) -> Result<Option<(usize, ObjectKind)>, Broken> {
    let Some(end) = rest.iter().take(OBJECT_HEAD).position(|byte| byte & 0x80 == 0) else {
        return if rest.len() < OBJECT_HEAD { Ok(None) } else { Err(Broken) };
    };
    let kind = rest.first().map_or(0, |byte| byte >> 4 & 7);
    let length = end + 1;
    let base = rest.get(length..).unwrap_or_default();
    match kind {
        1..=4 => Ok(Some((length, ObjectKind::Plain(kind)))),
        6 => match base.iter().take(10).position(|byte| byte & 0x80 == 0) {
            Some(end) => Ok(Some((length + end + 1, ObjectKind::Offset(offset(base.get(..=end).unwrap_or_default()))))),
            None if base.len() < 10 => Ok(None),
            None => Err(Broken),
        },
        7 => Ok(base.first_chunk::<20>().map(|id| (length + 20, ObjectKind::Id(*id)))),
        _ => Err(Broken),
    }
}

/// How far back a base lies: seven bits a byte, one more at each continuation.
fn offset(bytes: &[u8]) -> u64 {
    bytes.iter().zip(0u32..).fold(0u64, |offset, (byte, number)| {
        let more = if number == 0 { 0 } else { offset.wrapping_add(1) };
        more.wrapping_shl(7) | u64::from(byte & 0x7f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objects_head_tells_its_length() {
        assert_eq!(object_head(&[0xb5, 0x01, 0x78]), Ok(Some((2, ObjectKind::Plain(3)))));
        assert_eq!(object_head(&[0x65, 0x81, 0x01, 0x78]), Ok(Some((3, ObjectKind::Offset(257)))));
        assert_eq!(object_head(&[0x75, 0]), Ok(None));
        assert_eq!(object_head(&[0x05]), Err(Broken));
        assert_eq!(object_head(&[0xb5]), Ok(None));
    }
}
