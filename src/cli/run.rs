//! `exeat run`: one command behind a gateway of its own.

mod arguments;
mod place;
mod report;
mod summary;
mod watch;

pub use arguments::Args;
pub use place::{Place, PlaceError, runs_directory};
pub use report::Report;
pub use summary::Summary;
