//! Sessions made, shown and ended by operators.

use super::access::{AskedFor, reachable_host};
use super::problem::Problem;
use super::{State, known};
use crate::session::{self, SessionId, TTL_DEFAULT};
use crate::store::{Error, Live, New, Origin};
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// More than any session that can be made takes.
const BODY_MAX: usize = 512 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    policy: String,
    #[serde(default)]
    ttl: Option<String>,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    labels: Pairs,
    #[serde(default)]
    known: Option<Box<RawValue>>,
}

/// A JSON object as it was written: a key that is there twice is seen.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

/// A session as it is shown: never with its token or the digest of it.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    policy: &'a str,
    task: Option<&'a str>,
    labels: &'a session::Labels,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    origin: &'static str,
    connections: u32,
    uploaded: u64,
    /// How many known secrets are registered for it.
    known: usize,
    /// They were, and are gone: its requests are refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    known_lost: bool,
}

#[derive(Serialize)]
struct All<'a> {
    sessions: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Made<'a> {
    id: &'a str,
    token: &'a str,
    proxy_url: &'a str,
    policy: &'a str,
    task: Option<&'a str>,
    labels: &'a session::Labels,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    known: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_bundle: Option<&'a std::path::Path>,
}

pub(super) async fn create(
    Shared(state): Shared<Arc<State>>,
    Extension(AskedFor(host)): Extension<AskedFor>,
    body: Body,
) -> Result<Response, Problem> {
    let new = read(&state, body).await?;
    let created = state.sessions.create(new).await.map_err(failed)?;
    let (session, token) = (created.session, created.token.reveal());
    tracing::info!(session.id = %session.id, policy = %session.policy, "session made");
    let (reachable, port) = (reachable_host(state.proxy, &host), state.proxy.port());
    let proxy_url = Zeroizing::new(format!("http://{}:{}@{reachable}:{port}", session.id, *token));
    let made = Made {
        id: session.id.as_str(),
        token: &token,
        proxy_url: &proxy_url,
        policy: &session.policy,
        task: session.task.as_deref(),
        labels: &session.labels,
        created_at: session.created_at,
        expires_at: session.expires_at,
        known: session.known,
        ca_bundle: state.ca_bundle.as_deref(),
    };
    let location = format!("/v1/sessions/{}", session.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(made)).into_response())
}

pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Response {
    let all = state.sessions.list();
    Json(All { sessions: all.iter().map(|live| Shown::of(live)).collect() }).into_response()
}

pub(super) async fn show(Shared(state): Shared<Arc<State>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let live = state.sessions.show(&id).ok_or_else(unknown_session)?;
    Ok(Json(Shown::of(&live)).into_response())
}

pub(super) async fn revoke(Shared(state): Shared<Arc<State>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: SessionId = id.parse().map_err(|_| unknown_session())?;
    if !state.sessions.revoke(&id).await.map_err(|error| not_revoked(&error))? {
        return Err(unknown_session());
    }
    tracing::info!(session.id = %id, "session revoked");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A JSON object of bounded size.
pub(super) async fn read_body(body: Body) -> Result<axum::body::Bytes, Problem> {
    // What says that it is too large is not waited for.
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    let body = to_bytes(body, BODY_MAX).await.map_err(|_| too_large())?;
    // A derived reader would take an array of the fields' values too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad_request("bad_json", "The body is expected to be a JSON object.".to_owned()));
    }
    Ok(body)
}

async fn read(state: &State, body: Body) -> Result<New, Problem> {
    let body = read_body(body).await?;
    let wanted = serde_json::from_slice::<Wanted>(&body);
    known::wipe(body);
    let wanted = wanted.map_err(|error| bad_request("bad_json", error.to_string()))?;
    let policies = (state.policies)();
    let Some(policy) = policies.iter().find(|policy| ***policy == *wanted.policy) else {
        return Err(unknown_policy(&wanted.policy, &policies));
    };
    let ttl = match wanted.ttl.as_deref() {
        Some(text) => session::parse_ttl(text).map_err(|error| bad_request("bad_ttl", error.to_string()))?,
        None => TTL_DEFAULT,
    };
    let task = session::task(wanted.task.as_deref().unwrap_or_default())
        .map_err(|error| bad_request("bad_task", error.to_string()))?;
    let labels = session::labels(wanted.labels.0.iter().map(|(key, value)| (&**key, &**value)))
        .map_err(|error| bad_request("bad_labels", error.to_string()))?;
    let known = wanted.known.map_or_else(|| Ok(Vec::new()), known::read)?;
    Ok(New { policy: Arc::clone(policy), ttl: Some(ttl), task, labels, known })
}

impl<'a> Shown<'a> {
    fn of(live: &'a Live) -> Self {
        let session = &live.session;
        Self {
            id: session.id.as_str(),
            policy: &session.policy,
            task: session.task.as_deref(),
            labels: &session.labels,
            created_at: session.created_at,
            expires_at: session.expires_at,
            origin: match live.origin {
                Origin::Minted => "minted",
                Origin::Configured => "configured",
            },
            connections: live.budget.connections(),
            uploaded: live.budget.uploaded(),
            known: live.known().unwrap_or(0),
            known_lost: live.known().is_err(),
        }
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

pub(super) fn bad_request(reason: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, reason, detail)
}

fn too_large() -> Problem {
    let detail = format!("The body did not arrive whole, or is larger than {BODY_MAX} bytes.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn unknown_policy(wanted: &str, policies: &[Arc<str>]) -> Problem {
    let detail = if policies.is_empty() {
        "The configuration has no policies.".to_owned()
    } else {
        let wanted: String = wanted.chars().take(64).collect();
        format!("There is no policy {wanted:?}; there are: {}.", policies.join(", "))
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_policy", detail)
}

pub(super) fn unknown_session() -> Problem {
    let detail = "No live session has this name: it has expired, was revoked, or never was.";
    Problem::new(StatusCode::NOT_FOUND, "unknown_session", detail)
}

pub(super) fn failed(error: Error) -> Problem {
    tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be made");
    match error {
        Error::TooMany => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_sessions", error.to_string()),
        _ => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", error.to_string()),
    }
}

fn not_revoked(error: &Error) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a revoked session is still in the store");
    let detail = "The session is dead, but is still in the store and would be back after a restart. Revoke it again.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", detail)
}
