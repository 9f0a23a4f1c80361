//! From a permit to addresses that may be dialled.
//!
//! Only this room makes a [`Vetted`], it wants a [`Permit`](crate::policy::Permit) for it, and only
//! a `Vetted` can be dialled by `upstream`. Every address of an answer is classified and one that is
//! forbidden refuses the whole name; what was classified is what is dialled, so that a second answer
//! (rebinding) has no way in. Nothing here reads a hosts file or a search list.

mod error;
mod lookup;
mod nameservers;
mod own;
mod resolver;
mod settings;
mod vet;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use own::OwnListeners;
pub use resolver::Resolver;
pub use settings::{ConnectError, ConnectOverride, ConnectTo, Nameservers, Settings};
pub use vet::Vetted;
