//! A frame's header (RFC 6455 §5.2).

use super::{Sender, Violation};
use bytes::{BufMut, BytesMut};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that is open.
    Continuation = 0,
    /// A message of text begins.
    Text = 1,
    /// A message of bytes begins.
    Binary = 2,
    /// No more comes.
    Close = 8,
    /// An answer is wanted.
    Ping = 9,
    /// The answer, or a sign of life.
    Pong = 10,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message ends with this frame.
    pub fin: bool,
    /// The message is compressed (RFC 7692 §6).
    pub rsv1: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Bytes of payload.
    pub length: u64,
    /// The masking key: clients' frames have one.
    pub key: Option<[u8; 4]>,
}

/// The longest header.
const LONGEST: usize = 14;

impl Opcode {
    /// Whether it may stand between the frames of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }
}

impl Header {
    /// Reads a header off the front of `bytes`: itself and its size, or nothing while more is needed. What is
    /// wrong is told with the byte that makes it so.
    pub fn parse(bytes: &[u8], sender: Sender) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::of(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let (fin, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
        if opcode.is_control() {
            if rsv1 {
                return Err(Violation::ReservedBit);
            }
            if !fin {
                return Err(Violation::ControlFragmented);
            }
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        match (sender, second & 0x80 != 0) {
            (Sender::Client, false) => return Err(Violation::NotMasked),
            (Sender::Server, true) => return Err(Violation::Masked),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() && short > 125 {
            return Err(Violation::ControlTooLong);
        }
        let Some((length, mut size)) = parse_length(short, bytes)? else { return Ok(None) };
        let key = match sender {
            Sender::Server => None,
            Sender::Client => {
                let Some(key) = bytes.get(size..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
                size += 4;
                Some(*key)
            }
        };
        Ok(Some((Self { fin, rsv1, opcode, length, key }, size)))
    }

    /// Writes it.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(LONGEST);
        out.put_u8(u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8);
        let masked = u8::from(self.key.is_some()) << 7;
        if let Ok(length @ 0..=125) = u8::try_from(self.length) {
            out.put_u8(masked | length);
        } else if let Ok(length) = u16::try_from(self.length) {
            out.put_u8(masked | 126);
            out.put_u16(length);
        } else {
            out.put_u8(masked | 127);
            out.put_u64(self.length);
        }
        if let Some(key) = self.key {
            out.put_slice(&key);
        }
    }
}

/// The length and where the header goes on after it.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let rest = bytes.get(2..).unwrap_or_default();
    let (length, size, least) = match short {
        126 => match rest.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 4, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 10, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 2, 0),
    };
    if length >> 63 != 0 {
        return Err(Violation::LengthTooLarge);
    }
    if length < least {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((length, size)))
}
