//! What a session may reach: rules compiled once, asked per request.
//!
//! Pure: a target in, a permit or a denial out; no I/O, no clock. Only this room makes a
//! [`Permit`], and every room that goes further upstream demands one. Serves `config`, which
//! compiles files into [`Policy`], and `proxy`, which asks it twice: for a tunnel, for a request.

mod conflict;
mod cover;
mod decide;
mod explain;
mod index;
mod paths;
mod permit;
mod rule;
mod service;

pub use conflict::{Conflict, conflicts};
pub use decide::{Mode, Policy, PolicyError, Rules};
pub use explain::{Considered, Explanation, Miss};
pub use paths::{GlobError, Paths};
pub use permit::{Permit, Protocol, Protocols, TlsMode};
pub use rule::{ClientCertificate, Credentials, Hidden, MethodError, Methods, Ports, Resolve, Rule};
pub use service::{Access, Action, Document, On, Repos, ReposError, Scope, Service, Unreadable, Verb};
