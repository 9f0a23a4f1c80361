//! Names, addresses and targets: what a request asks for, parsed once.
//!
//! Pure: bytes in, values out; no sockets, no clocks. Every other room decides, resolves, dials and
//! logs these values and never the string they came from. Nothing here repairs: what is not in the
//! narrow grammar is an error that says which rule was broken.

mod address;
mod authority;
mod client_hello;
mod host;
mod ja4;
mod path;
mod pattern;
mod proxy_protocol;
pub mod socks;
mod ssh;
mod target;

pub use address::AddressClass;
pub use authority::{Authority, AuthorityError, parse_port};
pub use client_hello::{ClientHello, HelloError, HelloReader};
pub use host::{Host, HostError};
pub use path::{Path, PathError};
pub use pattern::{HostPattern, PatternError};
pub use proxy_protocol::{ProxyHeader, ProxyHeaderError};
pub use ssh::{SshError, SshOpening};
pub use target::{HostFields, Scheme, Target, TargetError};
