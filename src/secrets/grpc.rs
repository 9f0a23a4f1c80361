//! A body of gRPC messages: each is looked into as a body of its own and goes on when it is complete, for its answer
//! may be what the next one waits for.
//!
//! Messages stand behind five bytes: whether they are compressed, and their length (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

use super::body::{BodyContext, BodyScan, Stopped};
use super::finding::Finding;
use super::guard::Guard;
use super::recall::memory::SessionMemory;
use crate::net::Host;
use crate::reason::Reason;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Bytes before a message.
const PREFIX: usize = 5;

/// The scan of a body of gRPC messages.
pub struct Messages {
    guard: Guard,
    host: Host,
    coding: Box<[u8]>,
    session: (Arc<SessionMemory>, Instant),
    prefix: Vec<u8>,
    /// The message under way, and how many of its bytes are to come.
    message: Option<BodyScan>,
    left: u64,
    /// Where it begins, and bytes taken so far.
    start: u64,
    taken: u64,
    released: VecDeque<Bytes>,
    findings: Vec<Finding>,
}

impl Guard {
    /// Begins the scan of a body of gRPC messages, whose compressed ones are in `coding` (`grpc-encoding`).
    #[must_use]
    pub fn messages(&self, host: &Host, coding: &[u8], session: (Arc<SessionMemory>, Instant)) -> Messages {
        Messages {
            guard: self.clone(),
            host: host.clone(),
            coding: coding.into(),
            session,
            prefix: Vec::with_capacity(PREFIX),
            message: None,
            left: 0,
            start: 0,
            taken: 0,
            released: VecDeque::new(),
            findings: Vec::new(),
        }
    }
}

impl Messages {
    /// Takes a chunk, wherever it was cut.
    pub fn push(&mut self, mut chunk: Bytes) -> Result<(), Stopped> {
        while !chunk.is_empty() {
            if self.message.is_none() {
                let missing = chunk.split_to((PREFIX - self.prefix.len()).min(chunk.len()));
                self.prefix.extend_from_slice(&missing);
                self.taken += missing.len() as u64;
                if self.prefix.len() < PREFIX {
                    return Ok(());
                }
                self.begin()?;
            }
            let piece = chunk.split_to(usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len()));
            self.left -= piece.len() as u64;
            self.feed(piece)?;
        }
        Ok(())
    }

    /// The body is complete. A message that is cut is looked into as far as it goes.
    pub fn finish(&mut self) -> Result<(), Stopped> {
        self.left = 0;
        if self.message.is_some() {
            self.feed(Bytes::new())?;
        }
        if !self.prefix.is_empty() {
            self.released.push_back(std::mem::take(&mut self.prefix).into());
        }
        Ok(())
    }

    /// What may go upstream; call it until there is none.
    pub fn released(&mut self) -> Option<Bytes> {
        self.released.pop_front()
    }

    /// The findings since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Begins the message whose prefix is here.
    fn begin(&mut self) -> Result<(), Stopped> {
        let Some((&[flags, a, b, c, d], _)) = self.prefix.split_first_chunk::<PREFIX>() else { return Ok(()) };
        (self.left, self.start) = (u64::from(u32::from_be_bytes([a, b, c, d])), self.taken);
        let compressed = flags & 1 == 1;
        if compressed && self.coding.is_empty() {
            return Err(Stopped { reason: Reason::BodyNotInspectable });
        }
        let context = BodyContext {
            host: &self.host,
            method: "POST",
            path: "",
            content_type: Some(b"application/grpc"),
            content_encoding: compressed.then_some(&self.coding),
        };
        let (memory, now) = &self.session;
        self.message = Some(self.guard.body(&context).in_session(memory.clone(), *now));
        self.released.push_back(std::mem::take(&mut self.prefix).into());
        Ok(())
    }

    /// Feeds the message under way; with nothing left of it, it is complete.
    fn feed(&mut self, piece: Bytes) -> Result<(), Stopped> {
        let Some(message) = &mut self.message else { return Ok(()) };
        self.taken += piece.len() as u64;
        let mut outcome = if piece.is_empty() { Ok(()) } else { message.push(piece) };
        let complete = self.left == 0;
        if complete && outcome.is_ok() {
            outcome = message.finish();
        }
        let findings = message.take_findings().into_iter();
        self.findings.extend(findings.map(|finding| Finding { offset: finding.offset + self.start, ..finding }));
        outcome?;
        self.released.extend(std::iter::from_fn(|| message.released()));
        if complete {
            self.message = None;
        }
        Ok(())
    }
}
