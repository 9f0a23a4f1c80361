//! What supervisors and monitoring ask.

use super::State;
use super::problem::Problem;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokio::runtime::Handle;

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    if (state.ready)() {
        "ready\n".into_response()
    } else {
        let detail = "The gateway takes no flows now: it is starting, draining or can't write its journal.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail).into_response()
    }
}

pub(super) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    state.metrics.set_sessions(state.sessions.count());
    (state.measure)(&state.metrics);
    state.metrics.set_tasks(Handle::current().metrics().num_alive_tasks());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match state.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => {
            let detail = "The metrics can't be encoded.";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail).into_response()
        }
    }
}
