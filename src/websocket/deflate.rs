//! What permessage-deflate has packed (RFC 7692 §7.2.2).

use super::Violation;
use flate2::{Decompress, FlushDecompress, Status};

/// What the sender took off each message's end.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
/// The most that a step gives.
const OUT: usize = 16 * 1024;
/// A message may inflate to this much, and to so many times what it is, whichever is more: deflate comes to a
/// thousand at most, what people send to thirty.
const FREE: u64 = 16 << 20;
const RATIO: u64 = 200;

/// Inflates a sender's messages, its window in step with the receiver's.
pub struct Inflater {
    state: Box<Decompress>,
    /// Each message begins with an empty window.
    forgets: bool,
    /// The message's last block has come; a zero byte may follow (§7.2.3.4).
    ended: bool,
    padding: usize,
    given: u64,
    inflated: u64,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").field("forgets", &self.forgets).finish_non_exhaustive()
    }
}

impl Inflater {
    /// `forgets`: no context takeover.
    #[must_use]
    pub fn new(forgets: bool) -> Self {
        let state = Box::new(Decompress::new(false));
        Self { state, forgets, ended: false, padding: 0, given: 0, inflated: 0 }
    }

    /// Inflates a piece of a message; `give` gets what comes out, in pieces.
    pub fn push<E: From<Violation>>(
        &mut self,
        bytes: &[u8],
        give: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.given += bytes.len() as u64;
        self.run(bytes, give)
    }

    /// The message is complete.
    pub fn finish<E: From<Violation>>(&mut self, give: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !self.ended {
            self.run(TAIL, give)?;
        }
        // After a last block receivers differ in what they remember: here nothing, so that whoever goes back to
        // it is told.
        if self.forgets || self.ended {
            self.state.reset(false);
        }
        (self.ended, self.padding, self.given, self.inflated) = (false, 0, 0, 0);
        Ok(())
    }

    fn run<E: From<Violation>>(
        &mut self,
        mut bytes: &[u8],
        give: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut out = [0; OUT];
        while !self.ended {
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(bytes, &mut out, FlushDecompress::Sync);
            let status = status.map_err(|_| Violation::BadDeflate)?;
            let read = self.state.total_in() - read;
            let count = usize::try_from(self.state.total_out() - written).unwrap_or(OUT).min(OUT);
            bytes = bytes.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
            self.inflated += count as u64;
            if self.inflated > FREE.max(self.given * RATIO) {
                return Err(Violation::Bomb.into());
            }
            self.ended = status == Status::StreamEnd;
            if count > 0 {
                give(&out[..count])?;
            }
            if count < OUT && (bytes.is_empty() || read == 0) {
                break;
            }
        }
        // Behind a last block one receiver stops and another goes on.
        self.padding += bytes.len();
        if !bytes.is_empty() && (!self.ended || self.padding > 1 || bytes != [0]) {
            return Err(Violation::BadDeflate.into());
        }
        Ok(())
    }
}
