//! Secret detection: the catalogue of credential kinds, and the scanner that streams bytes past it.
//!
//! Pure: bytes in, findings out; no I/O but the catalogue compiled into the binary, no clock.
//! No finding ever holds the secret. One engine for every surface: [`Guard::scan_head`] and [`Guard::body`].

mod alike;
mod anchors;
mod binary;
mod body;
pub mod canary;
mod content;
mod decode;
mod dull;
mod embedded;
mod escapes;
mod finding;
mod folds;
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod guard;
mod head;
mod inner_reversed;
mod joins;
pub mod known;
mod lists;
mod logins;
mod loose;
mod named;
mod odd;
mod own;
mod parts;
mod pieces;
mod recall;
mod reversed;
mod rows;
mod rules;
mod runs;
mod scanner;
mod search;
mod settings;
mod shards;
mod spelled;
mod spots;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod tokens;
mod unpack;
mod written;

pub use body::{BodyContext, BodyScan, Stopped};
pub use finding::{Disposition, Finding, Fingerprint, Severity, Surface};
pub use grpc::Messages;
pub use guard::{FingerprintKey, Guard, GuardError};
pub use head::{HeadView, Screened};
pub use known::{KnownSecret, Source as KnownSource, UnknownSource, parse as parse_known};
pub use recall::memory::SessionMemory;
pub use rules::catalogue::{BoundarySpec, Catalogue, CatalogueError, ChecksumSpec, ContextSpec, Edge, Group, RuleSpec};
pub use rules::rule::RuleError;
pub use scanner::{BuiltinError, Error, Scanner};
pub use settings::{Action, Permitted, Scope, Settings, Switch, is_named, special};
