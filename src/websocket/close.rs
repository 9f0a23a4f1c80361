//! Close frames.

use super::{Header, Opcode, Utf8, Violation, copy_masked};
use bytes::BytesMut;

/// Why an endpoint closes (RFC 6455 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The frames are not well-formed.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The payload is not what its type says.
    pub const INVALID_DATA: Self = Self(1007);
    /// A policy is violated.
    pub const POLICY: Self = Self(1008);
    /// The message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// The endpoint failed.
    pub const INTERNAL: Self = Self(1011);

    /// Whether an endpoint may send it: registered at IANA, or for libraries and applications.
    const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// Checks a close frame's payload (RFC 6455 §5.5.1).
pub(super) fn check(payload: &[u8]) -> Result<(), Violation> {
    match payload {
        [] => Ok(()),
        [_] => Err(Violation::HalfCloseCode),
        [high, low, reason @ ..] => {
            if !CloseCode(u16::from_be_bytes([*high, *low])).may_be_sent() {
                return Err(Violation::BadCloseCode);
            }
            let mut text = Utf8::default();
            text.push(reason)?;
            text.finish()
        }
    }
}

/// Writes a close frame; a reason over 123 bytes is cut. With a key it is a client's.
pub fn close_frame(out: &mut BytesMut, code: CloseCode, reason: &str, key: Option<[u8; 4]>) {
    let most = (0..=reason.len().min(123)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or_default();
    let reason = &reason[..most];
    let mut payload = code.0.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    Header { fin: true, rsv1: false, opcode: Opcode::Close, length: payload.len() as u64, key }.encode(out);
    copy_masked(out, &payload, key);
}
