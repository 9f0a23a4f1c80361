//! The client's frames on their way up: inflated, scanned, held back until they are cleared, masked anew.

use super::flood::Flood;
use super::outgoing::Outgoing;
use super::{Advance, Half, PIECE, QUEUED_MAX, WORK};
use crate::net::{Host, Target};
use crate::proxy::error::Error;
use crate::proxy::identify::Identity;
use crate::proxy::{Shared, gate};
use crate::reason::{Denial, Reason};
use crate::secrets::{BodyScan, Finding, Stopped};
use crate::websocket::{Decoder, Deflate, Event, Inflater, Message, Opcode, Sender, Utf8};
use crate::wire::Duplex;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Pieces up to this size are held as copies: a byte that the scanner holds back must not keep alive the
/// whole buffer that it was read into.
const COPY_MAX: usize = 4 * 1024;
/// Compressed bytes are inflated in pieces of this size: each may come to four megabytes.
const PACKED_PIECE: usize = 4 * 1024;

pub(super) struct Upward<'a> {
    decoder: Decoder,
    pub(super) out: Outgoing,
    target: &'a Target,
    identity: Identity,
    /// The message that is open.
    scan: Option<BodyScan>,
    packed: Option<Packed>,
    deflate: Option<Deflate>,
    inflater: Option<Inflater>,
    pub(super) findings: Vec<Finding>,
    flood: Flood,
    pub(super) received: u64,
    pub(super) messages: u64,
    /// Bytes that were scanned since the task last gave way.
    work: usize,
}

/// A compressed message: what came of it goes on when all that it inflates to is cleared.
#[derive(Default)]
struct Packed {
    /// Pieces, each with how much of the message is inflated at its end.
    pieces: VecDeque<(u64, Bytes)>,
    inflated: u64,
    cleared: u64,
    text: Option<Utf8>,
}

impl<'a> Upward<'a> {
    pub(super) fn new(target: &'a Target, identity: Identity, deflate: Option<Deflate>) -> Self {
        Self {
            decoder: Decoder::new(Sender::Client, deflate.is_some()),
            out: Outgoing::masked(),
            target,
            identity,
            scan: None,
            packed: None,
            deflate,
            inflater: None,
            findings: Vec::new(),
            flood: Flood::default(),
            received: 0,
            messages: 0,
            work: 0,
        }
    }

    /// Holds the flow to the policy in force now: a reload that narrows it ends what it no longer allows.
    pub(super) fn refresh(&mut self, shared: &Shared) -> Result<(), Error> {
        let before = self.identity.ruleset.clone();
        self.identity.refresh(shared)?;
        if !Arc::ptr_eq(&before, &self.identity.ruleset) {
            self.identity.ruleset.policy.decide(self.target)?;
        }
        Ok(())
    }

    fn host(&self) -> &'a Host {
        &self.target.authority.host
    }

    fn new_scan(&self) -> BodyScan {
        let scan = self.identity.ruleset.guard.message(self.host());
        scan.in_session(self.identity.live.memory.clone(), Instant::now())
    }

    fn take(&mut self, event: Event, to: &mut impl Duplex) -> Result<(), Error> {
        match event {
            Event::Message(message) => self.begin(message),
            Event::Frame { length, fin } => {
                self.out.frame(length, fin);
                if length == 0 && !fin {
                    self.flood.spend(Instant::now())?;
                }
            }
            Event::Payload(bytes) => {
                self.work += bytes.len();
                self.push(bytes.freeze())?;
                self.release(to)?;
            }
            Event::End(fin) => {
                if fin {
                    self.finish()?;
                    self.release(to)?;
                    (self.scan, self.packed) = (None, None);
                    self.messages += 1;
                }
                self.out.settle(to)?;
            }
            Event::Ping(payload) => self.control(Opcode::Ping, &payload, to)?,
            Event::Pong(payload) => self.control(Opcode::Pong, &payload, to)?,
            Event::Close(payload) => self.control(Opcode::Close, &payload, to)?,
        }
        Ok(())
    }

    fn begin(&mut self, message: Message) {
        self.out.begin(message);
        // What is compressed can't be written over.
        self.scan = Some(if message.is_compressed { self.new_scan().fixed() } else { self.new_scan() });
        self.packed =
            message.is_compressed.then(|| Packed { text: message.is_text.then(Utf8::default), ..Packed::default() });
        if message.is_compressed {
            let forgets = self.deflate.is_some_and(|deflate| deflate.client_forgets);
            self.inflater.get_or_insert_with(|| Inflater::new(forgets));
        }
    }

    /// Takes payload through the scanner, inflated first where it is compressed.
    fn push(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        if bytes.len() <= COPY_MAX {
            bytes = Bytes::copy_from_slice(&bytes);
        }
        if let (Some(packed), Some(inflater)) = (&mut self.packed, &mut self.inflater) {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PACKED_PIECE));
                let (scan, findings, work) = (&mut self.scan, &mut self.findings, &mut self.work);
                inflater.push(&piece, &mut |inflated| packed.scan(inflated, scan, findings, work))?;
                packed.pieces.push_back((packed.inflated, piece));
            }
            return Ok(());
        }
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let pushed = scan.push(bytes);
        settle(pushed, scan, &mut self.findings)
    }

    /// The message is complete.
    fn finish(&mut self) -> Result<(), Error> {
        if let (Some(packed), Some(inflater)) = (&mut self.packed, &mut self.inflater) {
            let (scan, findings, work) = (&mut self.scan, &mut self.findings, &mut self.work);
            inflater.finish(&mut |inflated| packed.scan(inflated, scan, findings, work))?;
            packed.text.as_mut().map_or(Ok(()), Utf8::finish)?;
        }
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let finished = scan.finish();
        settle(finished, scan, &mut self.findings)?;
        self.findings.extend(scan.take_findings());
        Ok(())
    }

    /// Passes on what the scanner has cleared.
    fn release(&mut self, to: &mut impl Duplex) -> Result<(), Error> {
        let Some(scan) = &mut self.scan else { return Ok(()) };
        while let Some(bytes) = scan.released() {
            match &mut self.packed {
                None => self.out.payload(bytes, to)?,
                Some(packed) => packed.cleared += bytes.len() as u64,
            }
        }
        if let Some(packed) = &mut self.packed {
            let cleared = packed.cleared;
            let ready = packed.pieces.partition_point(|(end, _)| *end <= cleared);
            for (_, piece) in packed.pieces.drain(..ready) {
                self.out.payload(piece, to)?;
            }
        }
        Ok(())
    }

    /// A control frame: its payload is looked through like a message's.
    fn control(&mut self, opcode: Opcode, payload: &[u8], to: &mut impl Duplex) -> Result<(), Error> {
        self.flood.spend(Instant::now())?;
        let text = if opcode == Opcode::Close { payload.get(2..).unwrap_or_default() } else { payload };
        if !text.is_empty() {
            let mut scan = self.new_scan().fixed();
            let pushed = scan.push(Bytes::copy_from_slice(text)).and_then(|()| scan.finish());
            settle(pushed, &mut scan, &mut self.findings)?;
            self.findings.extend(scan.take_findings());
        }
        self.out.control(opcode, payload, to)
    }
}

impl Packed {
    /// Takes what a piece inflates to.
    fn scan(
        &mut self,
        bytes: &[u8],
        scan: &mut Option<BodyScan>,
        findings: &mut Vec<Finding>,
        work: &mut usize,
    ) -> Result<(), Error> {
        self.inflated += bytes.len() as u64;
        *work += bytes.len();
        self.text.as_mut().map_or(Ok(()), |text| text.push(bytes))?;
        let Some(scan) = scan else { return Ok(()) };
        let pushed = scan.push(Bytes::copy_from_slice(bytes));
        settle(pushed, scan, findings)?;
        self.cleared += std::iter::from_fn(|| scan.released()).map(|bytes| bytes.len() as u64).sum::<u64>();
        Ok(())
    }
}

/// Why a scan stopped, as what the connection is closed with.
fn settle(outcome: Result<(), Stopped>, scan: &mut BodyScan, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let Err(stopped) = outcome else { return Ok(()) };
    let new = scan.take_findings();
    let named = (stopped.reason == Reason::SecretInRequest).then(|| gate::blocking(&new)).flatten();
    findings.extend(new);
    Err(named.unwrap_or_else(|| Denial::new(stopped.reason)).into())
}

impl Half for Upward<'_> {
    fn advance(&mut self, input: &mut BytesMut, to: &mut impl Duplex) -> Result<Advance, Error> {
        while !self.out.is_closed {
            if to.queued() >= QUEUED_MAX {
                return Ok(Advance::Full);
            }
            if self.work >= WORK {
                self.work = 0;
                return Ok(Advance::Busy);
            }
            let before = input.len();
            let Some(event) = self.decoder.next(input, PIECE)? else { return Ok(Advance::WantsMore) };
            let taken = (before - input.len()) as u64;
            self.received += taken;
            gate::spend_upload(&self.identity, taken)?;
            self.take(event, to)?;
        }
        Ok(Advance::Closed)
    }
}
