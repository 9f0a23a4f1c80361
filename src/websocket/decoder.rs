//! Frames out of a connection's bytes, held to the rules that span frames.

use super::close;
use super::{Header, Opcode, Utf8, Violation, mask};
use bytes::{Buf, BytesMut};

/// Whose frames they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Frames are masked.
    Client,
    /// Frames are not masked.
    Server,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Text, which must be UTF-8; else bytes.
    pub is_text: bool,
    /// Compressed by permessage-deflate.
    pub is_compressed: bool,
}

/// What comes next in a stream of frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A message begins; its first frame follows.
    Message(Message),
    /// A frame of the message begins: its length, and whether it is the last.
    Frame {
        /// Bytes of payload.
        length: u64,
        /// The message ends with it.
        fin: bool,
    },
    /// Payload of the frame, unmasked; never empty.
    Payload(BytesMut),
    /// The frame's payload is complete; `true`: the message too.
    End(bool),
    /// A ping and its payload.
    Ping(BytesMut),
    /// A pong and its payload.
    Pong(BytesMut),
    /// The last frame: nothing or code and reason, which are checked.
    Close(BytesMut),
}

/// Reads one direction of a connection. What was wrong once stays wrong: after a violation it is of no use.
#[derive(Debug)]
pub struct Decoder {
    sender: Sender,
    may_compress: bool,
    message: Option<OpenMessage>,
    frame: Option<OpenFrame>,
    /// The header of a message's first frame, told after the message.
    first: Option<Header>,
}

#[derive(Debug)]
struct OpenMessage {
    /// Text that can be read here: compressed text is checked by whom inflates it.
    text: Option<Utf8>,
}

#[derive(Debug)]
struct OpenFrame {
    left: u64,
    fin: bool,
    key: Option<[u8; 4]>,
}

impl Decoder {
    /// For a sender's frames; `may_compress`: permessage-deflate was agreed on.
    #[must_use]
    pub const fn new(sender: Sender, may_compress: bool) -> Self {
        Self { sender, may_compress, message: None, frame: None, first: None }
    }

    /// The next event of the bytes in `buffer`, which are taken; nothing while more are needed. Payload comes in
    /// pieces of at most `most` bytes, without copying.
    pub fn next(&mut self, buffer: &mut BytesMut, most: usize) -> Result<Option<Event>, Violation> {
        if let Some(header) = self.first.take() {
            return Ok(Some(self.begin_frame(&header)));
        }
        if self.frame.is_some() {
            return self.next_in_frame(buffer, most);
        }
        let Some((header, size)) = Header::parse(buffer, self.sender)? else { return Ok(None) };
        if header.opcode.is_control() {
            return self.take_control(buffer, &header, size);
        }
        self.check(&header)?;
        buffer.advance(size);
        if header.opcode == Opcode::Continuation {
            return Ok(Some(self.begin_frame(&header)));
        }
        let message = Message { is_text: header.opcode == Opcode::Text, is_compressed: header.rsv1 };
        let text = (message.is_text && !message.is_compressed).then(Utf8::default);
        self.message = Some(OpenMessage { text });
        self.first = Some(header);
        Ok(Some(Event::Message(message)))
    }

    fn check(&self, header: &Header) -> Result<(), Violation> {
        let continues = header.opcode == Opcode::Continuation;
        if header.rsv1 && (continues || !self.may_compress) {
            return Err(Violation::ReservedBit);
        }
        match (continues, self.message.is_some()) {
            (true, false) => Err(Violation::NothingToContinue),
            (false, true) => Err(Violation::MessageInMessage),
            _ => Ok(()),
        }
    }

    fn begin_frame(&mut self, header: &Header) -> Event {
        self.frame = Some(OpenFrame { left: header.length, fin: header.fin, key: header.key });
        Event::Frame { length: header.length, fin: header.fin }
    }

    fn next_in_frame(&mut self, buffer: &mut BytesMut, most: usize) -> Result<Option<Event>, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else { return Ok(None) };
        if frame.left == 0 {
            let fin = frame.fin;
            self.frame = None;
            if fin {
                message.text.as_mut().map_or(Ok(()), Utf8::finish)?;
                self.message = None;
            }
            return Ok(Some(Event::End(fin)));
        }
        let now = usize::try_from(frame.left).unwrap_or(usize::MAX).min(buffer.len()).min(most);
        if now == 0 {
            return Ok(None);
        }
        let mut payload = buffer.split_to(now);
        frame.left -= now as u64;
        frame.key = frame.key.map(|key| mask(&mut payload, key));
        message.text.as_mut().map_or(Ok(()), |text| text.push(&payload))?;
        Ok(Some(Event::Payload(payload)))
    }

    /// A control frame is short: it is taken whole.
    fn take_control(&self, buffer: &mut BytesMut, header: &Header, size: usize) -> Result<Option<Event>, Violation> {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if buffer.len() - size < length {
            return Ok(None);
        }
        buffer.advance(size);
        let mut payload = buffer.split_to(length);
        if let Some(key) = header.key {
            mask(&mut payload, key);
        }
        Ok(Some(match header.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => {
                close::check(&payload)?;
                Event::Close(payload)
            }
        }))
    }
}
