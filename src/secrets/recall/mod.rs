//! A session's memory: pieces that meet over several requests, and heads that were looked at already, and where logins went.

mod across;
pub(super) mod frame;
pub(super) mod logins;
pub(super) mod memory;
pub(super) mod row;
pub(super) mod seams;
pub(super) mod seen;
mod trail;
