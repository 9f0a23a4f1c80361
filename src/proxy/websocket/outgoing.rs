//! Frames on their way on: what was cleared of a message, in frames of our own.

use crate::proxy::error::Error;
use crate::reason::Reason;
use crate::websocket::{CloseCode, Header, Message, Opcode, close_frame, copy_masked};
use crate::wire::Duplex;
use aws_lc_rs::rand;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// A frame up to this size goes on as one; of a longer one what is cleared goes on in fragments (RFC 6455 §5.4),
/// so that the stream is never inside a frame when it must be closed.
const LONGEST: usize = 64 * 1024;
/// Frames of a message that wait for what is before them; of more, fragments are joined.
const MOST_FRAMES: usize = 64;

/// One direction's frames as they go on.
pub(super) struct Outgoing {
    /// Towards an origin: frames are masked.
    keys: Option<Keys>,
    /// How the message's next frame begins.
    opcode: Opcode,
    rsv1: bool,
    frames: VecDeque<Frame>,
    /// What was cleared of the first of them and has not gone on.
    gathered: BytesMut,
    /// Bytes of frames that were queued.
    pub(super) sent: u64,
    /// A close frame was queued: it is the last.
    pub(super) is_closed: bool,
}

/// A frame that came and has not gone on as a whole.
struct Frame {
    left: u64,
    fin: bool,
}

impl Outgoing {
    pub(super) fn masked() -> Self {
        Self { keys: Some(Keys::default()), ..Self::plain() }
    }

    pub(super) fn plain() -> Self {
        Self {
            keys: None,
            opcode: Opcode::Binary,
            rsv1: false,
            frames: VecDeque::new(),
            gathered: BytesMut::new(),
            sent: 0,
            is_closed: false,
        }
    }

    pub(super) fn begin(&mut self, message: Message) {
        self.opcode = if message.is_text { Opcode::Text } else { Opcode::Binary };
        self.rsv1 = message.is_compressed;
    }

    /// A frame of the message has begun.
    pub(super) fn frame(&mut self, length: u64, fin: bool) {
        let is_full = self.frames.len() >= MOST_FRAMES;
        match self.frames.back_mut().filter(|_| is_full) {
            Some(last) => {
                last.left += length;
                last.fin = fin;
            }
            None => self.frames.push_back(Frame { left: length, fin }),
        }
    }

    /// Payload was cleared.
    pub(super) fn payload(&mut self, mut bytes: Bytes, to: &mut impl Duplex) -> Result<(), Error> {
        while let Some(frame) = self.frames.front_mut().filter(|_| !bytes.is_empty()) {
            let now = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
            frame.left -= now as u64;
            let (left, fin) = (frame.left, frame.fin);
            let piece = bytes.split_to(now);
            if left == 0 {
                self.frames.pop_front();
                self.write(&piece, fin, to)?;
            } else if self.gathered.len() + now >= LONGEST {
                self.write(&piece, false, to)?;
            } else {
                self.gathered.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    /// Everything before was cleared: frames without payload go on.
    pub(super) fn settle(&mut self, to: &mut impl Duplex) -> Result<(), Error> {
        while let Some(&Frame { left: 0, fin }) = self.frames.front() {
            self.frames.pop_front();
            self.write(&Bytes::new(), fin, to)?;
        }
        Ok(())
    }

    /// A ping, a pong, or a close frame that came; it overtakes what is held back.
    pub(super) fn control(&mut self, opcode: Opcode, payload: &[u8], to: &mut impl Duplex) -> Result<(), Error> {
        let key = self.key()?;
        let (out, before) = (to.head_buffer(), self.sent);
        let start = out.len();
        Header { fin: true, rsv1: false, opcode, length: payload.len() as u64, key }.encode(out);
        copy_masked(out, payload, key);
        self.sent = before + (out.len() - start) as u64;
        self.is_closed |= opcode == Opcode::Close;
        Ok(())
    }

    /// The gateway's own close frame, unless the peer's went before it. What is held back stays here.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str, to: &mut impl Duplex) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_closed, true) {
            let key = self.key()?;
            close_frame(to.head_buffer(), code, reason, key);
        }
        Ok(())
    }

    /// A frame of what was gathered and a piece after it.
    fn write(&mut self, piece: &Bytes, fin: bool, to: &mut impl Duplex) -> Result<(), Error> {
        let key = self.key()?;
        let length = self.gathered.len() + piece.len();
        let opcode = std::mem::replace(&mut self.opcode, Opcode::Continuation);
        let header = Header { fin, rsv1: std::mem::take(&mut self.rsv1), opcode, length: length as u64, key };
        let out = to.head_buffer();
        let start = out.len();
        header.encode(out);
        self.sent += (out.len() - start + length) as u64;
        if key.is_some() {
            let turned = copy_masked(out, &self.gathered, key);
            copy_masked(out, piece, turned);
            self.gathered.clear();
        } else {
            if !self.gathered.is_empty() {
                to.queue(self.gathered.split().freeze());
            }
            to.queue(piece.clone());
        }
        Ok(())
    }

    fn key(&mut self) -> Result<Option<[u8; 4]>, Error> {
        self.keys.as_mut().map(Keys::next).transpose()
    }
}

/// Masking keys of our own, drawn ahead: the agent's would be four bytes a frame that nobody looks at.
#[derive(Default)]
struct Keys {
    drawn: [[u8; 4]; 16],
    left: usize,
}

impl Keys {
    fn next(&mut self) -> Result<[u8; 4], Error> {
        if self.left == 0 {
            rand::fill(self.drawn.as_flattened_mut()).map_err(|_| Reason::InternalError)?;
            self.left = self.drawn.len();
        }
        self.left -= 1;
        Ok(self.drawn[self.left])
    }
}
