//! The composition root: a configuration becomes a running gateway, and a running gateway ends.

use crate::ca::{self, CertificateAuthority, Leaves, Trust};
use crate::config::Config;
use crate::control::{self, Control, OperatorKey};
use crate::dns::{OwnListeners, Resolver};
use crate::flow::{Feed, Journal};
use crate::proxy::{self, Shared};
use crate::store::{Embedded, Memory, Sessions, Store};
use crate::telemetry::Metrics;
use crate::upstream::Pool;
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often idle upstream connections are looked after.
const REAP_EVERY: Duration = Duration::from_secs(5);
/// How often a broken journal is asked whether it works again.
const RECOVERY_EVERY: Duration = Duration::from_millis(200);
/// How long connections have to end once the drain's grace is over.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// A running gateway. Everything that it started ends with [`Gateway::drain`].
pub struct Gateway {
    shared: Arc<Shared>,
    proxy_address: SocketAddr,
    control_address: Option<SocketAddr>,
    ca_certificate: PathBuf,
    ca_bundle: PathBuf,
    ready: Arc<AtomicBool>,
    connections: TaskTracker,
    /// Everything but connections.
    services: TaskTracker,
    stop_services: CancellationToken,
    drain: Duration,
}

/// Why a gateway does not start. Nothing accepts connections then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal.
    #[error("the journal can't be opened")]
    Journal(#[source] crate::flow::Error),
    /// The CA, its bundle or the trusted roots.
    #[error("the certificate authority can't be used")]
    Ca(#[source] ca::Error),
    /// The store of sessions.
    #[error("the sessions can't be loaded")]
    Store(#[source] crate::store::Error),
    /// The operator's key.
    #[error("the operator's key can't be used")]
    Key(#[source] control::KeyError),
    /// The name servers.
    #[error("the resolver can't be set up")]
    Resolver(#[source] crate::dns::Error),
    /// A listener.
    #[error("can't listen on {address} ({key})")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

impl Gateway {
    /// Builds every part in order (journal, CA, sessions, listeners, resolver), then begins to accept.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let journal = Journal::open(config.flows).map_err(StartError::Journal)?;
        let authority = Arc::new(CertificateAuthority::open_or_create(&config.ca).map_err(StartError::Ca)?);
        let ca_bundle = config.ca.certificate.with_file_name("ca-bundle.pem");
        ca::write_bundle(&authority, &ca_bundle).map_err(StartError::Ca)?;
        let trust = Trust::load(&config.trust).map_err(StartError::Ca)?;
        let leaves = Leaves::new(authority).map_err(StartError::Ca)?;
        let store: Arc<dyn Store> = match &config.store {
            Some(path) => Arc::new(Embedded::open(path).map_err(StartError::Store)?),
            None => Arc::new(Memory::default()),
        };
        let sessions = Sessions::open(store, config.sessions).await.map_err(StartError::Store)?;
        let listener = bind("listen.proxy", config.listen.proxy).await?;
        let proxy_address = local_address(&listener, config.listen.proxy);
        let control = match config.listen.control {
            Some(address) => Some((bind("listen.control", address).await?, config.control_key)),
            None => None,
        };
        let control_address =
            control.as_ref().zip(config.listen.control).map(|((listener, _), asked)| local_address(listener, asked));
        let own = OwnListeners::new([Some(proxy_address), control_address].into_iter().flatten());
        let resolver = Resolver::new(config.resolver, own).map_err(StartError::Resolver)?;
        let shared = Arc::new(Shared {
            sessions,
            rulesets: ArcSwap::from_pointee(config.rulesets),
            resolver,
            pool: Pool::new(trust),
            leaves,
            journal,
            journal_broken: ArcSwap::from_pointee(CancellationToken::new()),
            limits: config.limits,
            draining: CancellationToken::new(),
            killed: CancellationToken::new(),
        });
        let gateway = Self {
            shared,
            proxy_address,
            control_address,
            ca_certificate: config.ca.certificate,
            ca_bundle,
            ready: Arc::new(AtomicBool::new(true)),
            connections: TaskTracker::new(),
            services: TaskTracker::new(),
            stop_services: CancellationToken::new(),
            drain: config.drain,
        };
        if let Some((listener, key)) = control {
            gateway.serve_control(listener, key.as_deref()).await?;
        }
        gateway.run_services();
        gateway.services.spawn(proxy::listen(gateway.shared.clone(), listener, gateway.connections.clone()));
        Ok(gateway)
    }

    /// Where agents send their requests.
    #[must_use]
    pub fn proxy_address(&self) -> SocketAddr {
        self.proxy_address
    }

    /// Where operators do.
    #[must_use]
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// The sessions, to make and to end them.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The records written from now on.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.shared.journal.feed()
    }

    /// The CA's certificate (PEM).
    #[must_use]
    pub fn ca_certificate(&self) -> &Path {
        &self.ca_certificate
    }

    /// The system's roots with the CA's certificate (PEM): what agents are to trust.
    #[must_use]
    pub fn ca_bundle(&self) -> &Path {
        &self.ca_bundle
    }

    /// Ends the gateway: no new connections, flows finish within the configured time, then are cut; the
    /// journal is flushed last. Cut short by `hurry`. False: the journal could not be flushed.
    pub async fn drain(self, hurry: CancellationToken) -> bool {
        self.ready.store(false, Ordering::Relaxed);
        self.shared.draining.cancel();
        self.connections.close();
        tokio::select! {
            () = self.connections.wait() => {}
            () = sleep(self.drain) => {}
            () = hurry.cancelled() => {}
        }
        self.shared.killed.cancel();
        if timeout(KILL_GRACE, self.connections.wait()).await.is_err() {
            tracing::error!(connections = self.connections.len(), "connections did not end");
        }
        self.stop_services.cancel();
        self.services.close();
        self.services.wait().await;
        self.shared.journal.close().await.is_ok()
    }

    async fn serve_control(&self, listener: TcpListener, key: Option<&Path>) -> Result<(), StartError> {
        let (Some(listen), Some(key)) = (self.control_address, key) else { return Ok(()) };
        let shared = self.shared.clone();
        let control = Control {
            listen,
            key: OperatorKey::load_or_create(key).map_err(StartError::Key)?,
            sessions: self.shared.sessions.clone(),
            policies: Arc::new(move || shared.rulesets.load().keys().cloned().collect()),
            proxy: self.proxy_address,
            ca_bundle: Some(self.ca_bundle.clone()),
            metrics: Arc::new(Metrics::new()),
            ready: self.ready.clone(),
        };
        self.services.spawn(control::serve(listener, control::router(control), self.stop_services.clone()));
        Ok(())
    }

    fn run_services(&self) {
        self.services.spawn(self.shared.sessions.clone().expire(self.stop_services.clone()));
        self.services.spawn(reap(self.shared.clone(), self.stop_services.clone()));
        self.services.spawn(watch_journal(self.shared.clone(), self.stop_services.clone()));
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

/// With the port that the system chose where 0 was asked for.
fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Looks after idle connections, and forgets those of sessions that have ended.
async fn reap(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(REAP_EVERY)).await.is_some() {
        shared.pool.reap(|session| shared.sessions.show(session.as_str()).is_some());
    }
}

/// Interrupts live flows when the journal breaks, and lets new ones in when it works again.
async fn watch_journal(shared: Arc<Shared>, stop: CancellationToken) {
    while stop.run_until_cancelled(shared.journal.broken()).await.is_some() {
        shared.journal_broken.load().cancel();
        while !shared.journal.healthy() {
            if stop.run_until_cancelled(sleep(RECOVERY_EVERY)).await.is_none() {
                return;
            }
        }
        shared.journal_broken.store(Arc::new(CancellationToken::new()));
    }
}
