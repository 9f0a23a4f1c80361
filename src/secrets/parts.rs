//! Where in a level files may begin whose first bytes tell too little elsewhere: parts of a form, blocks of a tar, texts
//! of a PNG, streams of a PDF.

use super::decode::deflate::{Looks, looks};
use super::decode::inflate::Coding;
use super::embedded::{Magic, beginning, nearer, zlib};

/// What a level is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parts {
    #[default]
    None,
    /// What stands behind empty lines.
    Multipart,
    /// Blocks of a tar.
    Blocks,
    /// Texts in a PNG.
    Chunks,
    /// Streams in a PDF.
    Streams,
}

impl Parts {
    /// What the first bytes of a level say that it is.
    pub(super) fn of(text: &[u8]) -> Self {
        const TAR: std::ops::Range<usize> = 257..262;
        match text {
            [b'-', b'-', ..] => Self::Multipart,
            [0x89, b'P', b'N', b'G', ..] => Self::Chunks,
            [b'%', b'P', b'D', b'F', ..] => Self::Streams,
            _ if text.get(TAR) == Some(b"ustar") => Self::Blocks,
            _ => Self::None,
        }
    }

    /// The first part that begins with a file; `from` is where the bytes stand. An error is how far there is none for
    /// sure.
    pub(super) fn begin(self, rest: &[u8], from: u64, ended: bool) -> Result<(usize, Magic), usize> {
        const BLOCK: u64 = 512;
        match self {
            Self::None => Err(rest.len()),
            Self::Multipart => {
                let look = |at: usize| beginning(rest.get(at..).unwrap_or_default(), ended);
                behind(rest, b"\r\n\r\n", ended, &|at| (at, look(at)))
            }
            Self::Streams => {
                let look = |at: usize| match rest.get(at..).unwrap_or_default() {
                    [b'\r', b'\n', text @ ..] => (at + 2, text_in_zlib(text, ended)),
                    [b'\n', text @ ..] => (at + 1, text_in_zlib(text, ended)),
                    [b'\r'] | [] => (at, Magic::More),
                    _ => (at, Magic::No),
                };
                behind(rest, b"stream", ended, &look)
            }
            Self::Chunks => {
                let text = behind(rest, b"zTXt", ended, &|at| chunk(rest, at, ended));
                nearer(text, behind(rest, b"iTXt", ended, &|at| chunk(rest, at, ended)))
            }
            Self::Blocks => {
                let first = (from.next_multiple_of(BLOCK) - from) as usize;
                for at in (first..rest.len()).step_by(BLOCK as usize) {
                    match zlib(rest.get(at..).unwrap_or_default()) {
                        magic @ Magic::Stream(..) => return Ok((at, magic)),
                        Magic::More if !ended => return Err(at),
                        _ => {}
                    }
                }
                Err(rest.len())
            }
        }
    }
}

/// What begins at a stream's front, if it is text. Blank pages become a thousand times as long: no bomb, and nothing in it.
fn text_in_zlib(text: &[u8], ended: bool) -> Magic {
    const HEADER: usize = 2;
    match zlib(text) {
        found @ Magic::Stream(..) => match looks(text.get(HEADER..).unwrap_or_default(), ended) {
            Looks::Text => found,
            Looks::Open => Magic::More,
            Looks::No => Magic::No,
        },
        other => other,
    }
}

/// The compressed text of a PNG's chunk, behind names that end in NULs.
fn chunk(rest: &[u8], at: usize, ended: bool) -> (usize, Magic) {
    /// Longer names are none.
    const NEAR: usize = 256;
    let text = rest.get(at..).unwrap_or_default();
    let near = text.get(..NEAR).unwrap_or(text);
    let begins = |start: &usize| matches!(zlib(near.get(*start..).unwrap_or_default()), Magic::Stream(..));
    match memchr::memchr_iter(0, near).map(|end| end + 1).find(begins) {
        Some(start) => (at + start, Magic::Stream(Coding::Zlib, 0)),
        None if near.len() < NEAR && !ended => (at, Magic::More),
        None => (at, Magic::No),
    }
}

/// The first file that begins behind a mark; `look` gives where behind it one would, and what does.
fn behind(
    rest: &[u8],
    mark: &[u8],
    ended: bool,
    look: &dyn Fn(usize) -> (usize, Magic),
) -> Result<(usize, Magic), usize> {
    let mut open = rest.len();
    for found in memchr::memmem::find_iter(rest, mark) {
        match look(found + mark.len()) {
            (start, magic @ Magic::Stream(..)) => return Ok((start, magic)),
            (_, Magic::More) if !ended => open = open.min(found),
            _ => {}
        }
    }
    let ends = |length: &usize| rest.ends_with(mark.get(..*length).unwrap_or_default());
    let tail = if ended { 0 } else { (1..mark.len()).rev().find(ends).unwrap_or(0) };
    Err(open.min(rest.len() - tail))
}
