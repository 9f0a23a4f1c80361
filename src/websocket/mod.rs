//! WebSocket as a gate must read it: every frame has one reading or ends the connection (RFC 6455, RFC 7692).
//!
//! Pure: bytes in, frames and messages out; no sockets, no clock, no randomness. A handshake is checked on
//! both sides before a frame is read. Memory does not grow with a message: payload is given as it comes.
//! It serves the data path, whatever the two streams run over.

mod close;
mod decoder;
mod deflate;
mod frame;
mod handshake;
mod mask;
mod negotiation;
#[cfg(test)]
mod tests;
mod utf8;
mod violation;

pub use close::{CloseCode, close_frame};
pub use decoder::{Decoder, Event, Message, Sender};
pub use deflate::Inflater;
pub use frame::{Header, Opcode};
pub use handshake::{Handshake, HandshakeError};
pub use mask::{copy_masked, mask};
pub use negotiation::{Deflate, ExtensionsError, Offer};
pub use utf8::Utf8;
pub use violation::Violation;
