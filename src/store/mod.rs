//! Where sessions live: the table that every request asks, and what of it survives a restart.
//!
//! The table answers without I/O; the [`Store`] behind it blocks and is only asked when a session is
//! made or ends. Only digests are kept, never a token. Serves the data path and the control API.

mod embedded;
mod guarded;
mod kept;
mod memory;
mod sessions;
mod table;

pub use embedded::Embedded;
pub use guarded::KnownLost;
pub use memory::Memory;
pub use sessions::{Created, New, SESSIONS_MAX, Sessions};
pub use table::{Live, Origin};

use crate::session::{Session, SessionId};
use std::io;
use std::path::PathBuf;

/// What keeps sessions over a restart. Every method blocks: call it where blocking is allowed.
pub trait Store: Send + Sync + 'static {
    /// All the sessions that are kept, expired ones too.
    fn load(&self) -> Result<Vec<Session>, Error>;

    /// Keeps a session; returns when it would survive a crash.
    fn put(&self, session: &Session) -> Result<(), Error>;

    /// Forgets sessions; returns how many of them were kept, when a crash would not bring them back.
    fn remove(&self, ids: &[SessionId]) -> Result<usize, Error>;
}

/// Why sessions could not be loaded, made or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the file.
    #[error("{} is in use by another exeat: stop it, or give this one a state folder of its own", .0.display())]
    InUse(PathBuf),
    /// The file or its folder can't be made or opened.
    #[error("{} can't be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there, but is not a store of sessions.
    #[error("{} can't be used as a store of sessions", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A read or write failed.
    #[error("the store of sessions failed")]
    Failed(#[from] Box<redb::Error>),
    /// A session could not be written down.
    #[error("the session can't be encoded")]
    Encode(#[from] serde_json::Error),
    /// Two sessions of the configuration have one name.
    #[error("the session {0} is there twice")]
    SameName(SessionId),
    /// Two sessions of the configuration have one token: a bearer token would not tell them apart.
    #[error("the sessions {0} and {1} have the same token")]
    SameToken(SessionId, SessionId),
    /// As many sessions as may live do.
    #[error("{SESSIONS_MAX} sessions are live, and no more may be")]
    TooMany,
    /// The system gave no random bits.
    #[error("the system's random source failed")]
    Random,
    /// The work was cut off: the process is ending.
    #[error("the gateway is shutting down")]
    Stopped,
}
