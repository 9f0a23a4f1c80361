//! What the operator sets about the journal.

use std::path::PathBuf;

/// Where flows are written, and how firmly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory of the journal; made with mode 0700 if it is not there.
    pub journal: PathBuf,
    /// When a record counts as written.
    pub durability: Durability,
}

/// When a record counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// In the file: survives the gateway's death at any moment. Synced to the disk within about a second, so
    /// that a power cut can take the last second's records.
    #[default]
    Batched,
    /// On the disk: survives a power cut too. The answer's last byte waits for it.
    Each,
}

/// Bounds of the machinery, in one place so that tests can reach them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Records that may wait for the writer before new flows are refused.
    pub(super) records: usize,
    /// Bytes that may wait for the writer before new flows are refused.
    pub(super) bytes: usize,
    /// The size at which the live file is moved aside.
    pub(super) rotate_at: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { records: 4_096, bytes: 16 << 20, rotate_at: 64 << 20 }
    }
}
