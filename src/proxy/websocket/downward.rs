//! The origin's frames on their way down: held to RFC 6455, and passed on.

use super::flood::Flood;
use super::outgoing::Outgoing;
use super::{Advance, Half, PIECE, QUEUED_MAX};
use crate::proxy::error::Error;
use crate::websocket::{Decoder, Event, Opcode, Sender};
use crate::wire::Duplex;
use bytes::BytesMut;
use std::time::Instant;

pub(super) struct Downward {
    decoder: Decoder,
    pub(super) out: Outgoing,
    flood: Flood,
    pub(super) received: u64,
    pub(super) messages: u64,
}

impl Downward {
    pub(super) fn new(may_compress: bool) -> Self {
        Self {
            decoder: Decoder::new(Sender::Server, may_compress),
            out: Outgoing::plain(),
            flood: Flood::default(),
            received: 0,
            messages: 0,
        }
    }

    fn take(&mut self, event: Event, to: &mut impl Duplex) -> Result<(), Error> {
        let spend = |flood: &mut Flood| flood.spend(Instant::now()).map_err(Error::UpstreamFrames);
        match event {
            Event::Message(message) => self.out.begin(message),
            Event::Frame { length, fin } => {
                self.out.frame(length, fin);
                if length == 0 && !fin {
                    spend(&mut self.flood)?;
                }
            }
            Event::Payload(bytes) => self.out.payload(bytes.freeze(), to)?,
            Event::End(fin) => {
                self.out.settle(to)?;
                self.messages += u64::from(fin);
            }
            Event::Ping(payload) => {
                spend(&mut self.flood)?;
                self.out.control(Opcode::Ping, &payload, to)?;
            }
            Event::Pong(payload) => {
                spend(&mut self.flood)?;
                self.out.control(Opcode::Pong, &payload, to)?;
            }
            Event::Close(payload) => self.out.control(Opcode::Close, &payload, to)?,
        }
        Ok(())
    }
}

impl Half for Downward {
    fn advance(&mut self, input: &mut BytesMut, to: &mut impl Duplex) -> Result<Advance, Error> {
        while !self.out.is_closed {
            if to.queued() >= QUEUED_MAX {
                return Ok(Advance::Full);
            }
            let before = input.len();
            let Some(event) = self.decoder.next(input, PIECE).map_err(Error::UpstreamFrames)? else {
                return Ok(Advance::WantsMore);
            };
            self.received += (before - input.len()) as u64;
            self.take(event, to)?;
        }
        Ok(Advance::Closed)
    }
}
