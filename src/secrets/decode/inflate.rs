//! Compressed bytes: gzip, zlib, raw deflate, zstd and brotli, step by step.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

/// The most that a step gives.
const OUT: usize = 16 * 1024;
/// zstd's window at most (8 MiB, as RFC 8878 §3.1.1.1.2 recommends).
const ZSTD_WINDOW_LOG: u32 = 23;
/// zstd takes in a block before it gives any of it: smaller steps tell better where bytes come from.
const ZSTD_IN: usize = 4096;

/// A compressed format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) enum Coding {
    Gzip,
    Zlib,
    Deflate,
    /// HTTP's `deflate`: zlib, or raw as some senders have it (RFC 9110 §8.4.1.2).
    HttpDeflate,
    Zstd,
    Brotli,
}

impl Coding {
    /// The name in a finding's decode path.
    pub(in crate::secrets) const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zlib => "zlib",
            Coding::Deflate | Coding::HttpDeflate => "deflate",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
        }
    }

    /// What it costs to open one.
    pub(in crate::secrets) const fn opening(self) -> u64 {
        const OPENING: u64 = 2048;
        match self {
            Coding::Zstd => 4 * OPENING,
            _ => OPENING,
        }
    }

    /// Whether files of it may stand one behind the other and are one.
    pub(in crate::secrets) const fn has_members(self) -> bool {
        matches!(self, Coding::Gzip | Coding::Zstd)
    }

    /// Whether another member begins with these bytes; nothing if they are too few to tell. Frames of zstd that are
    /// skipped stand between others.
    pub(in crate::secrets) fn begins_member(self, bytes: &[u8]) -> Option<bool> {
        const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
        const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
        const SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
        let begins = |magic: &[u8], bytes: &[u8]| {
            let front = bytes.get(..magic.len()).unwrap_or(bytes);
            if magic.starts_with(front) { (front.len() == magic.len()).then_some(true) } else { Some(false) }
        };
        match (self, bytes) {
            (Coding::Gzip, _) => begins(&GZIP, bytes),
            (Coding::Zstd, [0x50..=0x5f, rest @ ..]) => begins(&SKIPPED, rest),
            (Coding::Zstd, _) => begins(&ZSTD, bytes),
            _ => Some(false),
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::secrets) struct Step {
    pub(in crate::secrets) read: usize,
    /// The compressed stream is complete.
    pub(in crate::secrets) ended: bool,
}

/// The bytes are not of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::secrets) struct Broken;

/// A decompressor.
pub(in crate::secrets) struct Inflate {
    coding: Coding,
    state: State,
}

enum State {
    /// The first byte of `deflate`: the second tells which it is.
    Unknown(Option<u8>),
    Flate(Box<Decompress>),
    /// With what it wants to read next: given no more than a block at once, it has told all before a broken one.
    Zstd(Box<zstd::stream::raw::Decoder<'static>>, usize),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

impl Inflate {
    pub(in crate::secrets) fn new(coding: Coding) -> Result<Self, Broken> {
        let state = match coding {
            Coding::Gzip => State::Flate(Box::new(Decompress::new_gzip(15))),
            Coding::Zlib => State::Flate(Box::new(Decompress::new(true))),
            Coding::Deflate => State::Flate(Box::new(Decompress::new(false))),
            Coding::HttpDeflate => State::Unknown(None),
            Coding::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new().map_err(|_| Broken)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(|_| Broken)?;
                State::Zstd(Box::new(decoder), 1)
            }
            Coding::Brotli => State::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
        };
        Ok(Self { coding, state })
    }

    pub(in crate::secrets) const fn coding(&self) -> Coding {
        self.coding
    }

    /// Whether input may be taken in long before its output comes.
    pub(in crate::secrets) const fn lags(&self) -> bool {
        matches!(self.coding, Coding::Zstd)
    }

    /// Reads from `input` and appends to `out` until the one is read or a good piece of the other is written.
    pub(in crate::secrets) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
        match &mut self.state {
            State::Unknown(first @ None) => {
                *first = input.first().copied();
                Ok(Step { read: usize::from(first.is_some()), ended: false })
            }
            State::Unknown(Some(first)) => {
                let (first, Some(&second)) = (*first, input.first()) else { return Ok(Step { read: 0, ended: false }) };
                let zlib = first & 15 == 8 && u16::from_be_bytes([first, second]).is_multiple_of(31);
                let mut state = Decompress::new(zlib);
                flate(&mut state, &[first], out)?;
                self.state = State::Flate(Box::new(state));
                self.step(input, out)
            }
            State::Flate(state) => flate(state, input, out),
            State::Zstd(state, wanted) => zstd(state, wanted, input, out),
            State::Brotli(state) => catch_unwind(AssertUnwindSafe(|| brotli(state, input, out))).map_err(|_| Broken)?,
        }
    }
}

fn flate(state: &mut Decompress, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Broken> {
    let before = state.total_in();
    out.reserve_exact(OUT);
    let status = state.decompress_vec(input, out, FlushDecompress::None).map_err(|_| Broken);
    let read = (state.total_in() - before) as usize;
    match status? {
        Status::StreamEnd => Ok(Step { read, ended: true }),
        Status::Ok | Status::BufError => Ok(Step { read, ended: false }),
    }
}

fn zstd(
    state: &mut zstd::stream::raw::Decoder<'static>,
    wanted: &mut usize,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Broken> {
    /// What it wants to read goes as far as the next block's header, which may be broken.
    const BLOCK_HEADER: usize = 3;
    let start = out.len();
    out.reserve_exact(OUT);
    let block = if *wanted > BLOCK_HEADER { *wanted - BLOCK_HEADER } else { *wanted };
    let mut source = InBuffer::around(input.get(..ZSTD_IN.min(block)).unwrap_or(input));
    let mut sink = OutBuffer::around_pos(out, start);
    let left = state.run(&mut source, &mut sink);
    let (read, wrote) = (source.pos(), sink.pos() - start);
    let left = left.map_err(|_| Broken)?;
    *wanted = left.max(1);
    Ok(Step { read, ended: left == 0 && read + wrote > 0 })
}

fn brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Broken> {
    let start = out.len();
    out.resize(start + OUT, 0);
    let (mut available_in, mut read, mut available_out, mut wrote, mut total) = (input.len(), 0, OUT, 0, 0);
    let space = out.get_mut(start..).unwrap_or_default();
    let result = BrotliDecompressStream(
        &mut available_in,
        &mut read,
        input,
        &mut available_out,
        &mut wrote,
        space,
        &mut total,
        state,
    );
    out.truncate(start + wrote);
    match result {
        BrotliResult::ResultSuccess => Ok(Step { read, ended: true }),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(Step { read, ended: false }),
        BrotliResult::ResultFailure => Err(Broken),
    }
}

#[cfg(test)]
pub(in crate::secrets) mod tests {
    use super::*;
    use std::io::Write as _;

    pub(in crate::secrets) fn compress(coding: Coding, text: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match coding {
            Coding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Coding::Zlib | Coding::HttpDeflate => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Coding::Deflate => {
                let mut writer = flate2::write::DeflateEncoder::new(Vec::new(), level);
                writer.write_all(text).unwrap();
                writer.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(text, 3).unwrap(),
            // An uncompressed meta-block: window bits 16, then length, then the bytes (RFC 7932 §9.2).
            Coding::Brotli => {
                assert!(!text.is_empty() && text.len() <= 65_536);
                let bits: u32 = (text.len() as u32 - 1) << 4 | 1 << 20;
                [&bits.to_le_bytes()[..3], text, &[3]].concat()
            }
        }
    }

    #[test]
    fn every_coding_comes_back_however_it_is_cut() {
        let text = "all work and no play ".repeat(500);
        for coding in [Coding::Gzip, Coding::Zlib, Coding::Deflate, Coding::HttpDeflate, Coding::Zstd, Coding::Brotli] {
            let packed = compress(coding, text.as_bytes());
            for size in [1, 3, 100, packed.len()] {
                let mut inflate = Inflate::new(coding).unwrap();
                let (mut out, mut ended, mut held) = (Vec::new(), false, Vec::new());
                for chunk in packed.chunks(size) {
                    held.extend_from_slice(chunk);
                    loop {
                        let before = out.len();
                        let step = inflate.step(&held, &mut out).unwrap();
                        held.drain(..step.read);
                        ended = step.ended;
                        if ended || (step.read == 0 && out.len() == before) {
                            break;
                        }
                    }
                }
                assert!(ended, "{coding:?} {size}");
                assert_eq!(out, text.as_bytes(), "{coding:?} {size}");
            }
        }
    }

    #[test]
    fn what_is_broken_is_told() {
        for coding in [Coding::Gzip, Coding::Zlib, Coding::Zstd, Coding::Brotli] {
            let mut inflate = Inflate::new(coding).unwrap();
            assert_eq!(inflate.step(&[0xff; 64], &mut Vec::new()), Err(Broken), "{coding:?}");
        }
    }
}
