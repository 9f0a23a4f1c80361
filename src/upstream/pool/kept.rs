//! What is kept of a session's connections, and which of them goes first.

use super::{ByName, Opening, Streams};
use crate::flow::UpstreamTls;
use crate::net::{Authority, Scheme};
use crate::wire::Wire;
use rustls::ClientConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// One session's TLS settings and connections.
pub(super) struct Owned {
    pub(super) config: Arc<ClientConfig>,
    /// The same, sharing the tickets, that offers HTTP/2 too.
    pub(super) config_h2: Arc<ClientConfig>,
    pub(super) origins: HashMap<(Scheme, Authority), PerOrigin, foldhash::fast::RandomState>,
    /// Connections that are idle, all origins together.
    pub(super) idle: usize,
}

/// The connections to one origin.
#[derive(Default)]
pub(super) struct PerOrigin {
    /// In the order in which they came.
    pub(super) idle: Vec<Idle>,
    pub(super) shared: Vec<Shared>,
    pub(super) speaks: Speaks,
    pub(super) opening: Arc<Opening>,
}

/// The versions that an origin was seen to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speaks {
    #[default]
    Unknown,
    /// It was offered HTTP/2 and chose HTTP/1.1.
    Http1,
    /// It chose HTTP/2.
    Http2,
    /// It takes nothing else.
    OnlyHttp2,
}

/// A connection that serves one request at a time, and none now.
pub(super) struct Idle {
    pub(super) wire: Wire,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<UpstreamTls>,
    pub(super) by_name: Option<ByName>,
    pub(super) since: Instant,
    pub(super) _counted: Arc<()>,
}

/// A connection that serves many, or none now.
pub(super) struct Shared {
    pub(super) streams: Streams,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<UpstreamTls>,
    pub(super) by_name: Option<ByName>,
    pub(super) used: Instant,
    pub(super) _counted: Arc<()>,
}

impl Owned {
    /// How many connections that serve many are kept.
    pub(super) fn shared(&self) -> usize {
        self.origins.values().map(|origin| origin.shared.len()).sum()
    }

    /// The connection that has been idle for longest.
    pub(super) fn take_oldest(&mut self) -> Option<Idle> {
        let with_idle = self.origins.values_mut().filter(|origin| !origin.idle.is_empty());
        let origin = with_idle.min_by_key(|origin| origin.idle.first().map(|idle| idle.since))?;
        self.idle -= 1;
        Some(origin.idle.remove(0))
    }

    /// Lets the connection go that could serve many, and has served nobody for longest.
    pub(super) fn forget_unused(&mut self) {
        let unused = |shared: &&Shared| shared.streams.in_use() == 0;
        let longest = |origin: &PerOrigin| origin.shared.iter().filter(unused).map(|shared| shared.used).min();
        let origins = self.origins.values_mut().filter_map(|origin| Some((longest(origin)?, origin)));
        if let Some((used, origin)) = origins.min_by_key(|(used, _)| *used) {
            origin.shared.retain(|shared| shared.used != used || shared.streams.in_use() > 0);
        }
    }
}
