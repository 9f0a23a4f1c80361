//! What a session may reach: rules compiled once, asked per request.
//!
//! Pure: a target in, a permit or a denial out; no I/O, no clock. Only this room makes a
//! [`Permit`], and every room that goes further upstream demands one.

mod permit;

pub use permit::{Permit, Protocol, Protocols, TlsMode};
