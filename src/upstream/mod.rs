//! Connections to the internet's side.
//!
//! Only a [`Vetted`](crate::dns::Vetted) can be dialled here, address by address as it was vetted;
//! nothing in this room ever looks up a name. TLS is checked against the host that policy allowed.
//! Serves the data path, which never opens a socket of its own.

mod connect;
mod dialler;
mod error;
mod opening;
mod parent;
mod pool;
mod streams;
mod tls;

#[cfg(test)]
mod tests;

pub use dialler::{Beyond, Dialled, Dialler, Route};
pub use error::Error;
pub use opening::{Opening, Turn};
pub use parent::{ByName, Parent, ParentCredentials, ParentError, ParentFields, ParentKind};
pub use pool::{Link, Pool, Upstream};
pub use streams::Streams;
