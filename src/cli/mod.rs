//! argv to exit code: one file a verb.

pub mod doctor;
pub mod run;
