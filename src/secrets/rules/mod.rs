//! The kinds of credentials: the catalogue as it is written, the rules that it compiles to, and what a match must hold
//! besides its shape.

mod listed;

pub(super) mod anchor;
pub(super) mod assigned;
pub(super) mod catalogue;
pub(super) mod check;
pub(super) mod checksum;
pub(super) mod examples;
pub(super) mod filter;
pub(super) mod generic;
pub(super) mod home;
pub(super) mod issued;
pub(super) mod logins;
pub(super) mod names;
pub(super) mod rule;
pub(super) mod shape;
pub(super) mod steps;
