//! What is told of frames, whatever they are cut into.

mod deflate;
mod frames;
mod handshakes;
