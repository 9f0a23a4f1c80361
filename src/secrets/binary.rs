//! A run that is text of bytes: a compressed file, or text that isn't ASCII, in base64, base32 or hex. It is decoded
//! as a whole, from where it begins to the run's last character.

use super::decode::{base32, base64, hex};
use super::stream::{Origin, Scan, Stream};

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Base64,
    Base32,
    Hex,
}

/// Characters that a file or text in hex or base64 may begin with.
const MAY_BEGIN: [bool; 256] = {
    let mut may = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        let of_a_file = matches!(byte, b'H' | b'U' | b'K' | b'e');
        may[byte as usize] = byte.is_ascii_hexdigit() || of_a_file || base64::may_begin_text(byte);
        byte += 1;
    }
    may
};

impl Coding {
    /// What a run begins with, if it is told by its first characters.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let may_begin = text.first().is_some_and(|byte| MAY_BEGIN[usize::from(*byte)]);
        if may_begin && (base64::begins_a_file(text) || base64::begins_wide_text(text)) {
            Some(Self::Base64)
        } else if may_begin && (hex::begins_a_file(text) || hex::begins_wide_text(text)) {
            Some(Self::Hex)
        } else if base32::begins_a_file(text) || base32::begins_wide_text(text) {
            Some(Self::Base32)
        } else {
            base64::begins_deflate(text).then_some(Self::Base64)
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Base32 => "base32",
            Self::Hex => "hex",
        }
    }

    /// Characters of a group, and the bytes that they make.
    const fn group(self) -> (u64, u64) {
        match self {
            Self::Base64 => (4, 3),
            Self::Base32 => (8, 5),
            Self::Hex => (2, 1),
        }
    }

    fn decode(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Base64 => base64::decode(text, out),
            Self::Base32 => base32::decode_all(text, out),
            Self::Hex => hex::decode_all(text, out),
        }
    }
}

/// Such a run on its way.
pub(super) struct Binary {
    coding: Coding,
    child: Box<Stream>,
    layout: Layout,
    /// Characters of a group that isn't complete.
    open: Vec<u8>,
    cleared: u64,
}

/// Where a run's characters stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Where the run starts, and how many of its characters come before the first that is decoded.
    pub(super) start: u64,
    pub(super) first: u64,
    /// Characters a line, and bytes of a line break; 0 if there is one line only.
    pub(super) width: u64,
    pub(super) gap: u64,
}

impl Binary {
    pub(super) fn new(coding: Coding, depth: u8, layout: Layout) -> Self {
        Self { coding, child: Box::new(Stream::new(depth)), layout, open: Vec::new(), cleared: 0 }
    }

    /// At the latest where a decoded byte stands.
    fn source(&self, decoded: u64) -> u64 {
        let (characters, bytes) = self.coding.group();
        let Layout { start, first, width, gap } = self.layout;
        let at = first + decoded * characters / bytes;
        start + at + at.checked_div(width).unwrap_or(0) * gap
    }

    pub(super) fn feed(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, text: &[u8], ended: bool) {
        self.open.extend_from_slice(text);
        let group = self.coding.group().0 as usize;
        let whole = if ended { self.open.len() } else { self.open.len() / group * group };
        let mut bytes = Vec::with_capacity(whole);
        self.coding.decode(self.open.get(..whole).unwrap_or_default(), &mut bytes);
        self.open.drain(..whole);
        scan.work.spent += bytes.len() as u64;
        scan.path.push(self.coding.name());
        let mut child = std::mem::replace(&mut self.child, Box::new(Stream::new(0)));
        self.cleared = child.feed(scan, &|at| origin(self.source(at)), &bytes, ended);
        self.child = child;
        scan.path.pop();
    }

    /// Whether a group in base64 begins at the next character but so many.
    pub(super) fn has_group_at(&self, ahead: usize) -> bool {
        self.coding == Coding::Base64 && (self.open.len() + ahead).is_multiple_of(4)
    }

    /// Where the first character stands that isn't decided.
    pub(super) fn hold(&self) -> u64 {
        self.source(self.cleared)
    }
}
