//! How one session is written down.

use crate::session::{Labels, Session, SessionId, TokenDigest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The shape that is written. A row of a later schema is not read: it lives on for the version that wrote it.
const SCHEMA: u8 = 1;
/// The shape of a session with known secrets: a version that knows nothing of them must not take it for one without.
const WITH_KNOWN: u8 = 2;

#[derive(Serialize, Deserialize)]
struct Kept {
    schema: u8,
    policy: Arc<str>,
    task: Option<Arc<str>>,
    labels: Labels,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    sha256: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    known: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn encode(session: &Session) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Kept {
        schema: if session.known == 0 { SCHEMA } else { WITH_KNOWN },
        policy: Arc::clone(&session.policy),
        task: session.task.clone(),
        labels: session.labels.clone(),
        created_at: session.created_at,
        expires_at: session.expires_at,
        sha256: HEXLOWER.encode(session.digest.as_bytes()),
        known: session.known,
    })
}

/// Nothing for a row that this version can't read.
pub(super) fn decode(id: &str, row: &[u8]) -> Option<Session> {
    let kept: Kept = serde_json::from_slice(row).ok()?;
    let id: SessionId = id.parse().ok()?;
    let digest = HEXLOWER.decode(kept.sha256.as_bytes()).ok()?.try_into().ok()?;
    matches!(kept.schema, SCHEMA | WITH_KNOWN).then_some(Session {
        id,
        policy: kept.policy,
        task: kept.task,
        labels: kept.labels,
        created_at: kept.created_at,
        expires_at: kept.expires_at,
        digest: TokenDigest::from_bytes(digest),
        known: kept.known,
    })
}
