//! Known secrets as operators hand them over: never told again, never logged, never part of an error.

use super::State;
use super::problem::Problem;
use super::sessions::{bad_request, failed, read_body, unknown_session};
use crate::net::HostPattern;
use crate::secrets::KnownSecret;
use crate::session::SessionId;
use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// The most that one session has.
const KNOWN_MAX: usize = 512;
const NAME_MAX: usize = 64;

/// What `PUT /v1/sessions/{id}/known` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    known: Box<RawValue>,
}

/// One secret as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    value: Value,
    #[serde(default)]
    homes: Vec<String>,
}

struct Value(Zeroizing<String>);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Value(Zeroizing::new(text)))
    }
}

pub(super) async fn register(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id: SessionId = id.parse().map_err(|_| unknown_session())?;
    let body = read_body(body).await?;
    let parsed = serde_json::from_slice::<Registered>(&body);
    wipe(body);
    let known = read(parsed.map_err(|_| shape())?.known)?;
    if known.is_empty() {
        return Err(bad_request("bad_known", "There is no known secret in the list.".to_owned()));
    }
    let count = known.len();
    if !state.sessions.register(&id, known).await.map_err(failed)? {
        return Err(unknown_session());
    }
    tracing::info!(session.id = %id, count, "known secrets registered");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The secrets of a list. What is wrong with one is told by its name; its text goes into no message.
pub(super) fn read(list: Box<RawValue>) -> Result<Vec<KnownSecret>, Problem> {
    let text = Zeroizing::new(String::from(Box::<str>::from(list)));
    let written: Vec<Written> = serde_json::from_str(&text).map_err(|_| shape())?;
    if written.len() > KNOWN_MAX {
        return Err(bad_request("bad_known", format!("A session has at most {KNOWN_MAX} known secrets.")));
    }
    written.iter().map(one).collect()
}

fn one(written: &Written) -> Result<KnownSecret, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-' | b':');
    let name = &written.name;
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        let detail = format!("A known secret's name is 1 to {NAME_MAX} of A-Z, a-z, 0-9, `.`, `_`, `/`, `:`, `-`.");
        return Err(bad_request("bad_known", detail));
    }
    let Some(secret) = KnownSecret::new(name, written.value.0.as_bytes()) else {
        let detail = format!("{name} is too short or too plain to be a secret: it would be found everywhere.");
        return Err(bad_request("bad_known", detail));
    };
    written.homes.iter().try_fold(secret, |secret, home| match home.parse::<HostPattern>() {
        Ok(home) => Ok(secret.at_home(home)),
        Err(error) => Err(bad_request("bad_known", format!("A home of {name} is no host: {error}."))),
    })
}

fn shape() -> Problem {
    let detail = "Known secrets are a list of {\"name\", \"value\", \"homes\"}, homes being a list of hosts that may be left out.";
    bad_request("bad_known", detail.to_owned())
}

/// Writes over a body that has been read, where nobody else holds it.
pub(super) fn wipe(body: axum::body::Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}
