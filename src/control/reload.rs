//! The configuration read again at an operator's word.

use super::State;
use super::problem::Problem;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::Serialize;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Reads the configuration again: what changed, or why nothing did.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Reloading, String>> + Send>> + Send + Sync>;

/// What a reload came to.
#[derive(Clone, Debug, Serialize)]
pub struct Reloading {
    /// The policies that are in force now.
    pub policies: Vec<Arc<str>>,
    /// Keys that changed and that only a restart takes in.
    pub waiting: Vec<&'static str>,
    /// What is worth a second look.
    pub warnings: Vec<String>,
}

pub(super) async fn reload(Shared(state): Shared<Arc<State>>) -> Result<Json<Reloading>, Problem> {
    let reloading = (state.reload)().await;
    let refused = |why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_configuration", why);
    reloading.map(Json).map_err(refused)
}
