//! The control API: sessions made, listed and ended by operators; health and metrics.
//!
//! Knows sessions, metrics and the names of policies, nothing of the data path, and is no
//! destination of it. Wants the operator's key for everything that says anything about a session;
//! never shows a token again. Serves operators, `exeat session` and supervisors.

mod access;
mod backoff;
mod callers;
mod health;
mod key;
mod known;
mod problem;
mod reload;
mod serve;
mod sessions;

pub use key::{KeyError, OperatorKey};
pub use reload::{Reload, Reloading};
pub use serve::serve;

use crate::store::Sessions;
use crate::telemetry::Metrics;
use access::Access;
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What the control API may do and tell.
pub struct Control {
    /// Where it listens: what `Host` may say follows from it.
    pub listen: SocketAddr,
    /// What proves an operator.
    pub key: OperatorKey,
    /// The sessions.
    pub sessions: Sessions,
    /// The names of the policies that there are now.
    pub policies: Arc<dyn Fn() -> Vec<Arc<str>> + Send + Sync>,
    /// Where the proxy listens: what `proxy_url` says.
    pub proxy: SocketAddr,
    /// The CA certificates that agents are to trust, told to whoever makes a session.
    pub ca_bundle: Option<PathBuf>,
    /// Everything that is counted.
    pub metrics: Arc<Metrics>,
    /// Whether new flows are taken.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Sets the gauges of what others hold.
    pub measure: Measure,
    /// Reads the configuration again.
    pub reload: Reload,
}

/// Sets gauges before they are told.
pub type Measure = Arc<dyn Fn(&Metrics) + Send + Sync>;

/// What the handlers share.
struct State {
    access: Access,
    sessions: Sessions,
    policies: Arc<dyn Fn() -> Vec<Arc<str>> + Send + Sync>,
    proxy: SocketAddr,
    ca_bundle: Option<PathBuf>,
    metrics: Arc<Metrics>,
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
    measure: Measure,
    reload: Reload,
}

/// The routes. They expect [`serve`] to say where a connection comes from.
///
/// `/healthz` and `/readyz` want no key. `/metrics` wants it unless the listener is on loopback: its
/// counters tell nothing about any session, but load is nobody else's business.
pub fn router(control: Control) -> Router {
    let on_loopback = control.listen.ip().is_loopback();
    let state = Arc::new(State {
        access: Access::new(&control.key, control.listen),
        sessions: control.sessions,
        policies: control.policies,
        proxy: control.proxy,
        // Told to clients, which stand in folders of their own.
        ca_bundle: control.ca_bundle.map(|path| std::path::absolute(&path).unwrap_or(path)),
        metrics: control.metrics,
        ready: control.ready,
        measure: control.measure,
        reload: control.reload,
    });
    let keyed = from_fn_with_state(Arc::clone(&state), access::require_key);
    let metrics = Router::new().route("/metrics", get(health::metrics));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(if on_loopback { metrics } else { metrics.route_layer(keyed.clone()) })
        .nest(
            "/v1",
            Router::new()
                .route("/sessions", get(sessions::list).post(sessions::create))
                .route("/sessions/{id}", get(sessions::show).delete(sessions::revoke))
                .route("/sessions/{id}/known", put(known::register))
                .route("/reload", post(reload::reload))
                .fallback(problem::not_found)
                .method_not_allowed_fallback(problem::method_not_allowed)
                .layer(keyed),
        )
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&state), access::require_host))
        .layer(from_fn(access::bound))
        .with_state(state)
}

#[cfg(test)]
mod tests;
