//! The name of a flow.

use jiff::Timestamp;
use std::fmt;
use uuid::fmt::Hyphenated;
use uuid::{NoContext, Uuid};

/// A flow's id: UUIDv7 (RFC 9562 §5.7), so that ids sort by the millisecond in which flows began.
///
/// Shown as 36 characters; the same value stands in the record, in the refusal and in `Proxy-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(Uuid);

impl FlowId {
    /// A new id for a flow that began at `at`. All bits beside the time are random: the usual counter would
    /// be a lock that every request takes.
    pub(super) fn at(at: Timestamp) -> Self {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)))
    }

    /// The 36 characters.
    pub(super) fn encode(self, text: &mut [u8; Hyphenated::LENGTH]) -> &str {
        self.0.hyphenated().encode_lower(text)
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let at = |millis| FlowId::at(Timestamp::from_millisecond(millis).unwrap());
        assert!(at(1) < at(2));
        assert!(at(1_800_000_000_000) < at(1_800_000_000_001));
        assert_ne!(at(5), at(5));
        assert_eq!(at(5).0.get_version_num(), 7);
        assert_eq!(at(-5).to_string().len(), 36);
    }
}
