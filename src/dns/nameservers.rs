//! The hickory resolver behind a lookup, with options of our own.

use super::{Error, Nameservers};
use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
const DNS_PORT: u16 = 53;

/// The name servers as they are now.
pub(super) struct Servers {
    current: ArcSwap<Current>,
    follows_system: bool,
}

struct Current {
    resolver: TokioResolver,
    stamp: Option<Stamp>,
}

/// What changes when a file is written anew or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
    length: u64,
}

impl Servers {
    pub(super) fn new(settings: &Nameservers) -> Result<Self, Error> {
        let (current, follows_system) = match settings {
            Nameservers::System => (system()?, true),
            Nameservers::Fixed(servers) => (Current { resolver: resolver(servers)?, stamp: None }, false),
        };
        Ok(Self { current: ArcSwap::from_pointee(current), follows_system })
    }

    /// The resolver to ask; a changed `/etc/resolv.conf` (another network, a VPN) makes a new one.
    pub(super) fn resolver(&self) -> TokioResolver {
        if self.follows_system && Stamp::of(RESOLV_CONF.as_ref()) != self.current.load().stamp {
            match system() {
                Ok(current) => self.current.store(Arc::new(current)),
                Err(error) => tracing::warn!(%error, "kept the name servers of before: {RESOLV_CONF} has changed"),
            }
        }
        self.current.load().resolver.clone()
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            length: metadata.len(),
        })
    }
}

/// The servers of `/etc/resolv.conf` and nothing else of it: no search list, no options. Without any
/// there is one on this machine (resolv.conf(5)).
fn system() -> Result<Current, Error> {
    let stamp = Stamp::of(RESOLV_CONF.as_ref());
    let read = hickory_resolver::system_conf::read_system_conf();
    let servers: Vec<SocketAddr> = read
        .map(|(config, _)| config.name_servers().iter().map(|server| SocketAddr::new(server.ip, DNS_PORT)).collect())
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "no name server in {RESOLV_CONF}: this machine's own is asked");
            vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT)]
        });
    Ok(Current { resolver: resolver(&servers)?, stamp })
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, Error> {
    if servers.is_empty() {
        return Err(Error::Setup("the list of name servers is empty".to_owned()));
    }
    let servers = servers.iter().map(|server| {
        let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
        udp.port = server.port();
        tcp.port = server.port();
        NameServerConfig::new(server.ip(), true, vec![udp, tcp])
    });
    let config = ResolverConfig::from_parts(None, vec![], servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options();
    builder.build().map_err(|error| Error::Setup(error.to_string()))
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT;
    // Hickory counts what follows the first attempt: two in all.
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // The resolver above caches, by the name as it was asked for; two caches would add up their ages.
    options.cache_size = 0;
    // The chain of aliases is walked by us: who answers for another name is not believed.
    options.preserve_intermediates = true;
    // No cap below our own: at 32 the multiplexer of a TCP connection answers "busy".
    options.max_active_requests = 1024;
    options
}
