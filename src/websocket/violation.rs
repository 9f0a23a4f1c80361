//! What is wrong with a stream of frames.

use super::CloseCode;

/// Why a stream of frames is read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// RSV1 without permessage-deflate or elsewhere than on a message's first frame; RSV2, RSV3.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode that has no meaning.
    #[error("a reserved opcode is used")]
    ReservedOpcode,
    /// A client's frame without a mask.
    #[error("a frame of the client is not masked")]
    NotMasked,
    /// A server's frame with a mask.
    #[error("a frame of the server is masked")]
    Masked,
    /// A control frame over 125 bytes.
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame in fragments.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A length in more bytes than it needs.
    #[error("a length is not written in its shortest form")]
    LengthNotMinimal,
    /// A length over 2^63.
    #[error("a length has its highest bit set")]
    LengthTooLarge,
    /// A continuation where no message is open.
    #[error("a continuation continues nothing")]
    NothingToContinue,
    /// A new message inside an open one.
    #[error("a message begins inside another")]
    MessageInMessage,
    /// Text, or a close reason, that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A close payload of one byte.
    #[error("a close frame has half a code")]
    HalfCloseCode,
    /// A close code that is reserved, or none.
    #[error("a close frame has a code that may not be sent")]
    BadCloseCode,
    /// Compressed bytes that don't inflate, or that two inflaters may read in two ways.
    #[error("a compressed message can't be inflated")]
    BadDeflate,
    /// A message that inflates to far more than it is.
    #[error("a compressed message grows too much")]
    Bomb,
    /// Pings, pongs or empty fragments without end.
    #[error("too many frames that bring nothing")]
    Flood,
}

impl Violation {
    /// The code that the connection is closed with (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Violation::NotUtf8 | Violation::BadDeflate => CloseCode::INVALID_DATA,
            Violation::Bomb => CloseCode::TOO_BIG,
            Violation::Flood => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
