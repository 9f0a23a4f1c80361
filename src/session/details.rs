//! What is known about a session, and the bounds of what an operator may write on it.

use super::{SessionId, TokenDigest};
use crate::telemetry::steers_output;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An operator's labels: key to value.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// One agent's run. Holds the digest of the token, never the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The name of the policy that judges it.
    pub policy: Arc<str>,
    /// What the agent is to do, in the operator's words.
    pub task: Option<Arc<str>>,
    /// The operator's labels.
    pub labels: Labels,
    /// When it was made, by the wall clock.
    pub created_at: Timestamp,
    /// When it ends, by the wall clock; nothing for one that lives as long as the gateway.
    pub expires_at: Option<Timestamp>,
    /// What its token is compared with.
    pub digest: TokenDigest,
    /// How many known secrets were registered for it. The values are in memory only.
    pub known: u32,
}

/// Why a task or a label was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    /// A task of more than 256 bytes.
    #[error("a task is at most {TASK_MAX} bytes long")]
    TaskTooLong,
    /// A control, line-breaking or bidirectional character in a task.
    #[error("a task holds no control characters")]
    TaskCharacter,
    /// More labels than fit.
    #[error("a session has at most {LABELS_MAX} labels")]
    TooManyLabels,
    /// A key that is empty, too long or not plain.
    #[error("a label's key is 1 to {KEY_MAX} of A-Z, a-z, 0-9, `.`, `_`, `/`, `-`: {0:?} is not")]
    Key(String),
    /// The same key twice.
    #[error("the label {0:?} is there twice")]
    KeyTwice(String),
    /// A value of more than 256 bytes.
    #[error("the value of the label {0:?} is longer than {VALUE_MAX} bytes")]
    ValueTooLong(String),
    /// A control, line-breaking or bidirectional character in a value.
    #[error("the value of the label {0:?} holds control characters")]
    ValueCharacter(String),
}

/// The most labels that a session has.
pub const LABELS_MAX: usize = 16;
const TASK_MAX: usize = 256;
const KEY_MAX: usize = 64;
const VALUE_MAX: usize = 256;

/// A task as the operator writes it; an empty one is none.
pub fn task(text: &str) -> Result<Option<Arc<str>>, DetailError> {
    if text.len() > TASK_MAX {
        return Err(DetailError::TaskTooLong);
    }
    if text.chars().any(steers_output) {
        return Err(DetailError::TaskCharacter);
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Labels as the operator writes them.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Labels, DetailError> {
    let mut labels = Labels::new();
    for (key, value) in pairs {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(plain) {
            return Err(DetailError::Key(key.chars().take(KEY_MAX).collect()));
        }
        if value.len() > VALUE_MAX {
            return Err(DetailError::ValueTooLong(key.to_owned()));
        }
        if value.chars().any(steers_output) {
            return Err(DetailError::ValueCharacter(key.to_owned()));
        }
        if labels.insert(key.into(), value.into()).is_some() {
            return Err(DetailError::KeyTwice(key.to_owned()));
        }
        if labels.len() > LABELS_MAX {
            return Err(DetailError::TooManyLabels);
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_short_text_in_one_line() {
        assert_eq!(task("Fix issue 12, später").unwrap().as_deref(), Some("Fix issue 12, später"));
        assert_eq!(task("").unwrap(), None);
        assert!(task(&"x".repeat(256)).is_ok());
        assert_eq!(task(&"x".repeat(257)), Err(DetailError::TaskTooLong));
        for text in ["a\nb", "a\x1b[2J", "a\0", "\u{9b}2J", "a\u{2028}b", "a\u{202e}b", "a\u{2066}b"] {
            assert_eq!(task(text), Err(DetailError::TaskCharacter), "{text:?}");
        }
    }

    #[test]
    fn labels_are_few_and_plain() {
        let made = labels([("team", "core"), ("ci/run-id", "12 of 14"), ("empty", "")]).unwrap();
        assert_eq!(made.get("ci/run-id").map(|value| &**value), Some("12 of 14"));
        for key in ["", "a b", "a=b", "ä", "a\n", &"k".repeat(65)] {
            assert!(matches!(labels([(key, "v")]), Err(DetailError::Key(_))), "{key:?}");
        }
        assert_eq!(labels([("a", "1"), ("a", "2")]), Err(DetailError::KeyTwice("a".into())));
        assert_eq!(labels([("a", "x\ny")]), Err(DetailError::ValueCharacter("a".into())));
        assert_eq!(labels([("a", &*"x".repeat(257))]), Err(DetailError::ValueTooLong("a".into())));
        let keys: Vec<String> = (0..17).map(|number| format!("k{number}")).collect();
        assert!(labels(keys[..16].iter().map(|key| (&**key, ""))).is_ok());
        assert_eq!(labels(keys.iter().map(|key| (&**key, ""))), Err(DetailError::TooManyLabels));
    }
}
