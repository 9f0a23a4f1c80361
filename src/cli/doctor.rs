//! `exeat doctor`: what stands in the way of a working gateway, and what to do about it.

mod check;
mod clients;
mod probe;

pub use check::{Check, Level};
