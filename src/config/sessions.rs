//! The sessions of the file.

use super::node::At;
use super::placed::Placed;
use super::rules::Notes;
use super::secret::SecretSource;
use super::shapes::SessionShape;
use super::similar::did_you_mean;
use crate::session::{Labels, Session, SessionId, TokenDigest, labels, task};
use jiff::Timestamp;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// 128 bits in base64url: what a guesser can't get through.
const SHORTEST: usize = 22;

/// Compiles sessions; reads their tokens and keeps the digests.
pub(super) fn compile(
    shapes: &[Placed<SessionShape>],
    policies: &[&str],
    base: &Path,
    notes: &mut Notes,
) -> Vec<Session> {
    let mut ids: HashMap<&str, usize> = HashMap::new();
    let mut tokens: HashMap<[u8; 32], usize> = HashMap::new();
    let mut sessions = Vec::new();
    for (position, Placed { at, value: shape }) in shapes.iter().enumerate() {
        if let Some(earlier) = ids.insert(&shape.id.value, position) {
            let message = format!("sessions[{earlier}] has this name already");
            notes.error(&shape.id.at, message, "give each session its own");
        }
        note_unknown_policy(&shape.policy, policies, notes);
        let id = shape.id.value.parse::<SessionId>();
        if let Err(error) = &id {
            notes.error(&shape.id.at, error.to_string(), "such as `dev` or `ci-42`");
        }
        let digest = digest((at, shape), base, &mut tokens, position, notes);
        let details = (compile_task(shape, notes), compile_labels(shape, notes));
        if let (Ok(id), Some(digest)) = (id, digest) {
            let (task, labels) = details;
            let policy = shape.policy.value.as_str().into();
            let created_at = Timestamp::now();
            sessions.push(Session { id, policy, task, labels, created_at, expires_at: None, digest, known: 0 });
        }
    }
    sessions
}

fn note_unknown_policy(policy: &Placed<String>, policies: &[&str], notes: &mut Notes) {
    if policies.contains(&policy.value.as_str()) {
        return;
    }
    let help = match did_you_mean(&policy.value, policies) {
        Some(name) => format!("did you mean `{name}`?"),
        None if policies.is_empty() => "the file has no policies".to_owned(),
        None => format!("there are: {}", policies.join(", ")),
    };
    notes.error(&policy.at, "there is no such policy", &help);
}

fn digest(
    (own, shape): (&At, &SessionShape),
    base: &Path,
    tokens: &mut HashMap<[u8; 32], usize>,
    position: usize,
    notes: &mut Notes,
) -> Option<TokenDigest> {
    let Some(token) = &shape.token else { return tokenless(shape, own, notes) };
    let at = &token.at;
    let source = match token.value.parse::<SecretSource>() {
        Ok(source) => source,
        Err(error) => {
            notes.mistake(at, &error.to_string());
            return None;
        }
    };
    let token = match source.clone().below(base).read() {
        Ok(token) => token,
        Err(error) => {
            notes.error(at, error.to_string(), "a session without a token would be open to all: provide it");
            return None;
        }
    };
    if token.chars().any(char::is_control) {
        notes.error(at, format!("{source} holds a control character, which no header carries"), "use one line of text");
    }
    if token.len() < SHORTEST {
        let help = "use 256 random bits: openssl rand -base64 32";
        notes.warn(at, format!("{source} is short: a token of under {SHORTEST} characters can be guessed"), help);
    }
    // Compared by a digest of the digest's kind, so that no token is kept for the comparison.
    let bits = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    if let Some(earlier) = <[u8; 32]>::try_from(bits.as_ref()).ok().and_then(|bits| tokens.insert(bits, position)) {
        let message = format!("sessions[{earlier}] has the same token");
        notes.error(at, message, "a bearer token would not tell them apart: give each its own");
    }
    Some(TokenDigest::of(&token))
}

/// A session that is known by something else than a token: the digest of bits that nobody has seen.
fn tokenless(shape: &SessionShape, at: &At, notes: &mut Notes) -> Option<TokenDigest> {
    let known = shape.certificates.iter().flatten().next().is_some() || shape.sources.iter().flatten().next().is_some();
    if !known {
        let help = "or say what else the session is known by: `certificates`, `sources`";
        notes.error(at, "the key `token` is missing", help);
        return None;
    }
    let mut bits = [0; 32];
    if aws_lc_rs::rand::fill(&mut bits).is_err() {
        notes.error(at, "the system's random source failed", "try again");
        return None;
    }
    Some(TokenDigest::from_bytes(bits))
}

fn compile_task(shape: &SessionShape, notes: &mut Notes) -> Option<Arc<str>> {
    let written = shape.task.as_ref()?;
    task(&written.value).unwrap_or_else(|error| {
        notes.error(&written.at, error.to_string(), "a short text in one line");
        None
    })
}

fn compile_labels(shape: &SessionShape, notes: &mut Notes) -> Labels {
    let Some(written) = &shape.labels else { return Labels::new() };
    labels(written.value.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap_or_else(|error| {
        notes.error(&written.at, error.to_string(), "labels are short: team: core");
        Labels::new()
    })
}
