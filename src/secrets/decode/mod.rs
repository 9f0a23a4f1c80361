//! What hides a secret: one decoder a file. A decoder takes bytes apart and hands on what may be text; whether
//! that holds a secret is for the level that it feeds.

pub(super) mod base32;
pub(super) mod base64;

pub(super) mod escape;
pub(super) mod fold;
pub(super) mod hex;
pub(super) mod inflate;
pub(super) mod numbers;
pub(super) mod pack;
