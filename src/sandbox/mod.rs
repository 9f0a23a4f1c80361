//! What `exeat run` makes of a command: its environment, the files that some clients want, its life.
//!
//! Of the gateway this room knows an address, a token and a CA file, no more. It must never decide what
//! may go out, and never open a connection. The environment is a request that well-behaved clients
//! follow, not a wall: a program that ignores it reaches the network past the gateway.

mod child;
mod clients;
mod env;
mod files;
mod java;
mod truststore;

pub use child::{Exit, SpawnError, run};
pub use clients::{CLIENTS, Client, table};
pub use env::{ADDS_TO_ROOTS, PROXY_URL, REPLACES_ROOTS, Way, environment, is_replaced};
pub use files::{File, FilesError, files};
