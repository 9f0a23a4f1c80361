//! Secret detection: the catalogue of credential kinds, and the scanner that streams bytes past it.
//!
//! Pure: bytes in, findings out; no I/O but the catalogue compiled into the binary, no clock.
//! No finding ever holds the secret. One engine for every surface: [`Guard::scan_head`] and [`Guard::body`].

mod across;
mod anchor;
mod anchors;
mod binary;
mod body;
mod byte_set;
pub mod canary;
mod catalogue;
mod check;
mod checksum;
mod classes;
mod content;
mod decode;
mod dull;
mod embedded;
mod escapes;
mod examples;
mod filter;
mod finding;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod generic;
mod grpc;
mod guard;
mod head;
mod heads;
mod home;
mod inner_reversed;
mod joins;
mod keys;
pub mod known;
mod lists;
mod loose;
mod memory;
mod names;
mod odd;
mod own;
mod pieces;
mod reversed;
mod row;
mod rows;
mod rule;
mod runs;
mod scanner;
mod seams;
mod seen;
mod settings;
mod shape;
mod stream;
mod survey;
mod teddy;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod unpack;
mod walked;
mod wide;

pub use body::{BodyContext, BodyScan, Stopped};
pub use catalogue::{BoundarySpec, Catalogue, CatalogueError, ChecksumSpec, ContextSpec, Edge, Group, RuleSpec};
pub use finding::{Disposition, Finding, Fingerprint, Severity, Surface};
pub use grpc::Messages;
pub use guard::{FingerprintKey, Guard, GuardError};
pub use head::{HeadView, Screened};
pub use known::{KnownSecret, Source as KnownSource, UnknownSource, parse as parse_known};
pub use memory::SessionMemory;
pub use rule::RuleError;
pub use scanner::{BuiltinError, Error, Scanner};
pub use settings::{Action, Permitted, Scope, Settings, Switch, is_named, special};
