//! The verbs: argv in, exit code out; one file a verb.

pub mod session;
