//! One agent's run: who it is, how it proves that, what it may spend.
//!
//! Pure: instants, random bits and header bytes are arguments; no I/O, no clock, no async. Never
//! holds a token: what stays is its digest. Serves the store, the data path and the control API.

mod budget;
mod credentials;
mod details;
mod id;
mod ruleset;
mod token;
mod ttl;

pub use budget::{Budget, Exceeded, Limits, Slot, Spent};
pub use credentials::{CREDENTIALS_MAX, Credentials, CredentialsBuffer, CredentialsError};
pub use details::{DetailError, LABELS_MAX, Labels, Session, labels, task};
pub use id::{SessionId, SessionIdError};
pub use ruleset::Ruleset;
pub use token::{Token, TokenDigest};
pub use ttl::{TTL_DEFAULT, TTL_MAX, TtlError, parse_ttl};
