//! What looks at many bytes at once, or tells by a few what is worth a look: sets of bytes, texts that are looked for,
//! what is known by its first bytes.

pub(super) mod byte_set;
pub(super) mod classes;
pub(super) mod heads;
pub(super) mod keys;
pub(super) mod teddy;
pub(super) mod walked;
pub(super) mod wide;
