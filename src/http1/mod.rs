//! HTTP/1 as a gate must read it: every message has one reading or is refused (RFC 9112).
//!
//! Pure: bytes in, heads and body frames out; no sockets, no clocks. It never repairs: bare LF,
//! obs-fold, doubled lengths and the like are errors. It serves the data path in both directions;
//! what goes out is rebuilt by [`encode`] from the parsed parts, with exactly one framing.

mod body;
mod chunked;
pub mod encode;
mod fields;
mod framing;
mod head;

pub use body::{BodyReader, Frame};
pub use chunked::ChunkError;
pub use fields::{Field, Fields, FieldsError, list_tokens};
pub use framing::{Framing, FramingError, is_bodyless, request_framing, response_framing, stream_framing};
pub use head::{HeadError, HeadLimits, HeadScan, RequestHead, ResponseHead, Version};
