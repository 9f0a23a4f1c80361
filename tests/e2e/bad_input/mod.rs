//! What is not what it should be, row by row (R14): each is refused in a second with its reason, and leaves a record.
//! Requests are in `malformed`, configurations in `start`.

/// Sixty answers of origins.
mod answers;
/// Forty ClientHellos.
mod hellos;
/// Forty answers of name servers.
mod names;

use crate::support::*;
use std::time::{Duration, Instant};

/// Within this time a bad thing is told for what it is.
fn soon() -> Duration {
    promised(Duration::from_secs(1))
}

/// Everything that is wrong with a table's rows, at once.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "{} are wrong:\n{}", self.0.len(), self.0.join("\n"));
    }
}
