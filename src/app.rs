//! The composition root: a configuration becomes a running gateway, and a running gateway ends.

mod entrances;
mod keys;
mod reload;
mod rulesets;
mod services;

pub use reload::{ReloadError, Reloaded, Reloader};

use crate::ca::{self, CertificateAuthority, Leaves, Trust};
use crate::config::{self, Config, SecretSource};
use crate::control::{self, Control};
use crate::dns::{OwnListeners, Resolver};
use crate::flow::{Feed, Journal};
use crate::proxy::{self, Admission, Floods, InForce, Shared};
use crate::secrets;
use crate::store::{Embedded, Memory, Sessions, Store};
use crate::telemetry::Metrics;
use crate::upstream::{Dialler, Pool};
use crate::wire::Descriptors;
use arc_swap::ArcSwap;
use entrances::Entrances;
use keys::{fingerprint_key, operator_key, random};
use reload::Fixed;
use rulesets::{client_certificates, rulesets};
use services::{reap, watch_journal};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections have to end once the drain's grace is over: all flows are recorded by then, and what is left waits
/// for peers to take in their last answer.
const KILL_GRACE: Duration = Duration::from_millis(700);

/// A running gateway. Everything that it started ends with [`Gateway::drain`].
pub struct Gateway {
    shared: Arc<Shared>,
    reloader: Reloader,
    proxy_address: SocketAddr,
    control_address: Option<SocketAddr>,
    /// The listeners that agents come in by, by name.
    entrances: Vec<(&'static str, String)>,
    ca_certificate: PathBuf,
    ca_bundle: PathBuf,
    connections: TaskTracker,
    /// Everything but connections.
    services: TaskTracker,
    stop_services: CancellationToken,
    drain: Duration,
}

/// What a gateway is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Agents of others: sessions are made over the control API and kept over a restart.
    Service,
    /// One command of this process: no control API, and nothing outlives it but the journal.
    Command,
}

/// Why a gateway does not start. Nothing accepts connections then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal.
    #[error("the journal can't be opened")]
    Journal(#[source] crate::flow::Error),
    /// The CA or its bundle.
    #[error("the certificate authority can't be used")]
    Ca(#[source] ca::Error),
    /// The roots that destinations are checked against.
    #[error("the trusted certificates (upstream.trust) can't be used")]
    Trust(#[source] ca::Error),
    /// The certificates of rules.
    #[error("a rule's client_certificate can't be used")]
    Clients(#[source] ca::Error),
    /// Random bits.
    #[error("the system's random source failed")]
    Random(#[source] io::Error),
    /// The certificates of the gateway itself.
    #[error("the certificates of listen.tls can't be used")]
    Tls(#[source] ca::Error),
    /// The store of sessions.
    #[error("the sessions can't be loaded")]
    Store(#[source] crate::store::Error),
    /// The operator's key.
    #[error("the operator's key can't be used")]
    Key(#[source] control::KeyError),
    /// The catalogue of secrets.
    #[error("the catalogue of secrets can't be compiled")]
    Catalogue(#[source] secrets::BuiltinError),
    /// A policy's settings for secrets.
    #[error("a policy's secrets can't be guarded")]
    Secrets(#[source] secrets::GuardError),
    /// The key of the findings' fingerprints.
    #[error("{} can't be used", path.display())]
    FingerprintKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Where the operator's key should be.
    #[error("the operator's key can't be read")]
    KeySource(#[source] config::SecretError),
    /// The name servers.
    #[error("the resolver can't be set up")]
    Resolver(#[source] crate::dns::Error),
    /// A listener at a file.
    #[error("can't listen on {} (listen.unix)", path.display())]
    ListenUnix {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
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
    pub async fn start(config: Config, role: Role) -> Result<Self, StartError> {
        let fixed = Fixed::of(&config);
        let key = fingerprint_key(&config.state, role)?;
        let rulesets = rulesets(&config.rulesets, &key)?;
        let metrics = Arc::new(Metrics::new());
        let journal = Journal::open_counting(config.flows, metrics.clone()).map_err(StartError::Journal)?;
        let authority = Arc::new(CertificateAuthority::open_or_create(&config.ca).map_err(StartError::Ca)?);
        let ca_bundle = config.ca.certificate.with_file_name("ca-bundle.pem");
        ca::write_bundle(&authority, &ca_bundle).map_err(StartError::Ca)?;
        let trust = Trust::load(&config.trust).map_err(StartError::Trust)?;
        let leaves = Leaves::new(authority.clone()).map_err(StartError::Ca)?;
        let clients = client_certificates(&config.rulesets)?;
        let store: Arc<dyn Store> = match role {
            Role::Service => Arc::new(Embedded::open(&Embedded::path_in(&config.state)).map_err(StartError::Store)?),
            Role::Command => Arc::new(Memory),
        };
        let sessions = Sessions::open(store, config.sessions).await.map_err(StartError::Store)?;
        let entrances = Entrances::open(&config.listen, &authority).await?;
        let proxy_address = entrances.proxy;
        let control = match role {
            Role::Service => Some(bind("listen.control", config.listen.control)?),
            Role::Command => None,
        };
        let control_address = control.as_ref().map(|listener| local_address(listener, config.listen.control));
        let own = OwnListeners::new(entrances.addresses.into_iter().chain(control_address));
        let resolver = Resolver::new(config.resolver, own).map_err(StartError::Resolver)?;
        let descriptors = Descriptors::of_process();
        let shared = Arc::new(Shared {
            sessions,
            recognition: config.recognition,
            in_force: Arc::new(InForce::new(rulesets)),
            resolver,
            dialler: Dialler::new(config.parent, &trust, random().map_err(StartError::Random)?, descriptors)
                .remembering(config.listen.transparent.is_some()),
            pool: Pool::new(trust, clients),
            leaves,
            journal,
            journal_broken: ArcSwap::from_pointee(CancellationToken::new()),
            limits: ArcSwap::from_pointee(config.limits),
            admission: Admission::new(descriptors),
            metrics,
            floods: Floods::default(),
            draining: CancellationToken::new(),
            killed: CancellationToken::new(),
        });
        let reloader = Reloader::new(shared.clone(), fixed, key);
        let gateway = Self {
            shared,
            reloader,
            proxy_address,
            control_address,
            entrances: entrances.named,
            ca_certificate: config.ca.certificate,
            ca_bundle,
            connections: TaskTracker::new(),
            services: TaskTracker::new(),
            stop_services: CancellationToken::new(),
            drain: config.drain,
        };
        if let Some(listener) = control {
            gateway.serve_control(listener, &config.control_key)?;
        }
        gateway.run_services();
        for entrance in entrances.open {
            gateway.services.spawn(proxy::listen(gateway.shared.clone(), entrance, gateway.connections.clone()));
        }
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

    /// The listeners that agents come in by, by name; the proxy is the first.
    #[must_use]
    pub fn entrances(&self) -> &[(&'static str, String)] {
        &self.entrances
    }

    /// The sessions, to make and to end them.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// Reads the configuration again.
    #[must_use]
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
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
        self.shared.draining.cancel();
        self.connections.close();
        tokio::select! {
            () = self.connections.wait() => {}
            () = sleep(self.drain) => {}
            () = hurry.cancelled() => {}
        }
        self.shared.killed.cancel();
        if timeout(KILL_GRACE, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections are cut");
        }
        self.stop_services.cancel();
        self.services.close();
        self.services.wait().await;
        self.shared.record_floods(true);
        self.shared.journal.close().await.is_ok()
    }

    fn serve_control(&self, listener: TcpListener, key: &SecretSource) -> Result<(), StartError> {
        let Some(listen) = self.control_address else { return Ok(()) };
        let (shared, ready, measured) = (self.shared.clone(), self.shared.clone(), self.shared.clone());
        let reloader = self.reloader.clone();
        let control = Control {
            listen,
            key: operator_key(key)?,
            sessions: self.shared.sessions.clone(),
            policies: Arc::new(move || shared.in_force.names()),
            proxy: self.proxy_address,
            ca_bundle: Some(self.ca_bundle.clone()),
            metrics: self.shared.metrics.clone(),
            measure: Arc::new(move |metrics| {
                metrics.set_journal_queue(measured.journal.queued());
                metrics.set_work(measured.admission.under_way());
            }),
            ready: Arc::new(move || !ready.draining.is_cancelled() && ready.journal.healthy()),
            reload: Arc::new(move || {
                let reloader = reloader.clone();
                Box::pin(async move { reloader.reload().await.map(Into::into).map_err(|error| told(&error)) })
            }),
        };
        self.services.spawn(control::serve(listener, control::router(control), self.stop_services.clone()));
        Ok(())
    }

    fn run_services(&self) {
        self.services.spawn(self.shared.sessions.clone().expire(self.stop_services.clone()));
        self.services.spawn(reap(self.shared.clone(), self.stop_services.clone()));
        let (shared, stop) = (self.shared.clone(), self.stop_services.clone());
        self.services.spawn(async move { shared.admission.watch_load(stop).await });
        self.services.spawn(watch_journal(self.shared.clone(), self.stop_services.clone()));
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    entrances::bind_with(address, |_| Ok(())).map_err(|source| StartError::Listen { key, address, source })
}

/// With the port that the system chose where 0 was asked for.
fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}
