//! A configuration read anew while the gateway runs: policies, secrets and limits.

use super::StartError;
use super::rulesets::{client_certificates, rulesets};
use crate::config::{self, Config, Diagnostics};
use crate::control::Reloading;
use crate::proxy::Shared;
use crate::secrets::FingerprintKey;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Puts a configuration that was read anew in the place of the old one, or changes nothing.
#[derive(Clone)]
pub struct Reloader {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
    key: FingerprintKey,
    /// What the gateway was started with of the parts that only a start takes in.
    started_with: Vec<(&'static str, String)>,
    /// Two at one time would end in either order.
    alone: Mutex<()>,
}

/// What a reload came to.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The policies that are in force now.
    pub policies: Vec<Arc<str>>,
    /// Keys that differ from what the gateway was started with, and that only a restart takes in.
    pub waiting: Vec<&'static str>,
    /// What is worth a second look.
    pub warnings: Diagnostics,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong.
    #[error("{0}")]
    File(Diagnostics),
    /// What it names can't be used.
    #[error(transparent)]
    Parts(#[from] StartError),
    /// The reading panicked.
    #[error("the configuration could not be read")]
    Failed,
}

impl Reloader {
    pub(super) fn new(shared: Arc<Shared>, started_with: Fixed, key: FingerprintKey) -> Self {
        let Fixed { file, parts } = started_with;
        Self { inner: Arc::new(Inner { shared, file, key, started_with: parts, alone: Mutex::new(()) }) }
    }

    /// Reads the file again. Requests from now on are judged by it; flows under way that it does not allow end.
    ///
    /// # Errors
    /// Whatever is wrong with it: the old configuration stays in force, all of it.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _alone = self.inner.alone.lock().await;
        let inner = self.inner.clone();
        let read = tokio::task::spawn_blocking(move || inner.read());
        let outcome = read.await.unwrap_or(Err(ReloadError::Failed));
        match &outcome {
            Ok(reloaded) => {
                let waiting = reloaded.waiting.join(", ");
                tracing::info!(policies = reloaded.policies.len(), waiting, "the configuration was read again");
            }
            Err(error) => tracing::error!(%error, "the configuration can't be used; the old one stays in force"),
        }
        outcome
    }
}

impl Inner {
    fn read(&self) -> Result<Reloaded, ReloadError> {
        let config = config::load(self.file.as_deref()).map_err(ReloadError::File)?;
        let rulesets = rulesets(&config.rulesets, &self.key)?;
        let clients = client_certificates(&config.rulesets)?;
        // Nothing fails from here on.
        let policies = rulesets.keys().cloned().collect();
        self.shared.pool.show(clients);
        self.shared.limits.store(Arc::new(config.limits));
        self.shared.in_force.replace(rulesets);
        let now = Fixed::of(&config).parts;
        let differ = now.into_iter().zip(&self.started_with).filter(|(now, then)| now != *then);
        Ok(Reloaded { policies, waiting: differ.map(|((key, _), _)| key).collect(), warnings: config.warnings })
    }
}

/// What of a configuration only a start takes in.
pub(super) struct Fixed {
    file: Option<PathBuf>,
    parts: Vec<(&'static str, String)>,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let upstream = format!("{:?} {:?}", config.trust, config.parent);
        let sessions = config.sessions.iter().map(|session| (&session.id, &session.policy));
        let parts = vec![
            ("listen", format!("{:?}", config.listen)),
            ("ca", format!("{:?}", config.ca)),
            ("control", format!("{:?}", config.control_key)),
            ("resolver", format!("{:?}", config.resolver)),
            ("upstream", upstream),
            ("flows", format!("{:?}", config.flows)),
            ("state", format!("{:?}", config.state)),
            ("sessions", format!("{:?} {:?}", sessions.collect::<Vec<_>>(), config.recognition)),
            ("drain", format!("{:?}", config.drain)),
        ];
        Self { file: config.file.clone(), parts }
    }
}

/// As the control API tells it.
impl From<Reloaded> for Reloading {
    fn from(reloaded: Reloaded) -> Self {
        let warnings = reloaded.warnings.to_string();
        let warnings = if warnings.is_empty() { Vec::new() } else { vec![warnings] };
        Self { policies: reloaded.policies, waiting: reloaded.waiting, warnings }
    }
}
