//! The ways out: straight to vetted addresses, or through a parent proxy.

use super::connect::connect;
use super::parent::{ByName, Parent, ParentKind};
use super::{Error, tls};
use crate::ca::Trust;
use crate::dns::Vetted;
use crate::net::{Authority, Host};
use crate::wire::{Descriptors, Stream, Transport};
use bytes::BytesMut;
use data_encoding::HEXLOWER;
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a connection is remembered as one of our own: a loop shows within milliseconds.
const REMEMBERED: Duration = Duration::from_secs(30);
const REMEMBERED_MOST: usize = 16 * 1024;
/// Addresses that a parent is asked for, one after the other.
const MOST: usize = 4;

/// Opens connections, as the operator wants them opened.
pub struct Dialler {
    parent: Option<Arc<Parent>>,
    config: Arc<ClientConfig>,
    descriptors: Descriptors,
    /// What this process is called in `Via`; nobody else's name.
    name: String,
    /// Nothing where no connection could come back: that takes an entrance which connections are led to unasked.
    own: Option<Mutex<VecDeque<(Instant, SocketAddr, SocketAddr)>>>,
}

/// Where a permitted destination is reached.
#[derive(Clone, Debug)]
pub enum Route {
    /// At these addresses.
    Direct(Vetted),
    /// Through the parent.
    Parent {
        /// The parent.
        parent: Arc<Parent>,
        /// Its addresses.
        at: Vetted,
        /// What it is asked for.
        to: Beyond,
    },
}

/// What a parent is asked for.
#[derive(Clone, Debug)]
pub enum Beyond {
    /// One of these addresses: they were vetted here.
    Vetted(Vetted),
    /// The name, which the parent resolves; the rule says so.
    Name(Authority),
}

/// A connection that was opened.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub stream: Stream,
    /// Of the destination where it was vetted, else of the parent.
    pub address: SocketAddr,
    /// Where a parent was given the name.
    pub by_name: Option<ByName>,
}

impl Dialler {
    /// Dials through `parent`, if there is one. `random` names this process for as long as it lives.
    #[must_use]
    pub fn new(parent: Option<Parent>, trust: &Trust, random: [u8; 16], descriptors: Descriptors) -> Self {
        let name = format!("exeat-{}", HEXLOWER.encode(&random));
        Self { parent: parent.map(Arc::new), config: trust.client_config(), descriptors, name, own: None }
    }

    /// Remembers the connections that it opens, for [`is_own`](Dialler::is_own): where one could be led back here.
    #[must_use]
    pub fn remembering(self, remembers: bool) -> Self {
        Self { own: remembers.then(Mutex::default), ..self }
    }

    /// The parent that a destination is reached through.
    #[must_use]
    pub fn parent_for(&self, host: &Host) -> Option<&Arc<Parent>> {
        self.parent.as_ref().filter(|parent| parent.is_for(host))
    }

    /// Whether a `Via` field's value names this process: the request was here before.
    #[must_use]
    pub fn is_named_in(&self, via: &[u8]) -> bool {
        memchr::memmem::find(via, self.name.as_bytes()).is_some()
    }

    /// Whether this process itself opened the connection from `local` to `remote`.
    #[must_use]
    pub fn is_own(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let Some(own) = &self.own else { return false };
        // A panic while it was held leaves a list that is whole.
        let own = own.lock().unwrap_or_else(PoisonError::into_inner);
        own.iter().any(|(_, from, to)| (*from, *to) == (local, remote))
    }

    /// Connects. `requests`: nothing but requests of plain HTTP will be sent, which a parent that is given the name takes
    /// in absolute form; most open tunnels to port 443 only. One that is given an address could not know the host.
    pub async fn connect(&self, route: &Route, requests: bool, deadline: Duration) -> Result<Dialled, Error> {
        let vetted = |(stream, address)| Dialled { stream, address, by_name: None };
        match route {
            Route::Direct(addresses) => self.dial(addresses, deadline).await.map(vetted),
            Route::Parent { parent, at, to: Beyond::Name(authority) } => {
                let fields = parent.fields(&self.name).filter(|_| requests);
                let by_name = fields.map_or(ByName::Tunnel, |fields| ByName::Requests(Arc::new(fields)));
                let to = matches!(by_name, ByName::Tunnel).then_some(authority);
                let (stream, address) = self.through(parent, at, to, deadline).await?;
                Ok(Dialled { stream, address, by_name: Some(by_name) })
            }
            Route::Parent { parent, at, to: Beyond::Vetted(vetted) } => {
                let mut last = Error::BadName;
                for address in vetted.addresses().iter().take(MOST) {
                    let authority = Authority { host: address.ip().into(), port: address.port() };
                    match self.through(parent, at, Some(&authority), deadline).await {
                        Ok((stream, _)) => return Ok(Dialled { stream, address: *address, by_name: None }),
                        // Another address may be one that the parent reaches.
                        Err(error @ Error::Parent(_)) => last = error,
                        Err(error) => return Err(error),
                    }
                }
                Err(last)
            }
        }
    }

    async fn dial(&self, vetted: &Vetted, deadline: Duration) -> Result<(Stream, SocketAddr), Error> {
        let (socket, address) = connect(vetted, deadline, self.descriptors).await?;
        if let Some(own) = &self.own
            && let Ok(local) = socket.local_addr()
        {
            let now = Instant::now();
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            let is_old = |since: Instant| now.duration_since(since) > REMEMBERED;
            while own.len() >= REMEMBERED_MOST || own.front().is_some_and(|(since, ..)| is_old(*since)) {
                own.pop_front();
            }
            own.push_back((now, local, address));
        }
        Ok((socket.into(), address))
    }

    /// Connects to the parent, and has it open a tunnel if it is to.
    async fn through(
        &self,
        parent: &Parent,
        at: &Vetted,
        to: Option<&Authority>,
        deadline: Duration,
    ) -> Result<(Stream, SocketAddr), Error> {
        let (mut stream, address) = self.dial(at, deadline).await.map_err(|error| Error::NoParent(Box::new(error)))?;
        if parent.kind == ParentKind::Https {
            let transport = Transport::new(stream, BytesMut::new());
            let shaken = tls::handshake(self.config.clone(), &parent.authority.host, transport, deadline).await;
            let tls = shaken.map_err(|error| Error::NoParent(Box::new(error)))?;
            stream = Stream::Upstream(Box::new(tls));
        }
        let Some(to) = to else { return Ok((stream, address)) };
        match timeout(deadline, parent.open(&mut stream, to, &self.name)).await {
            Ok(opened) => opened.map_err(Error::Parent)?,
            Err(_) => return Err(Error::ParentTimeout),
        }
        Ok((stream, address))
    }
}
