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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The most that are taken from it, as the C library does.
const SYSTEM_SERVERS: usize = 3;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
const DNS_PORT: u16 = 53;

/// The name servers as they are now.
pub(super) struct Servers {
    current: ArcSwap<Current>,
    /// The file to follow.
    file: Option<PathBuf>,
}

struct Current {
    resolver: TokioResolver,
    servers: Vec<SocketAddr>,
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
        match settings {
            Nameservers::System => Self::following(PathBuf::from(RESOLV_CONF)),
            Nameservers::Fixed(servers) => {
                let current = Current::new(servers.clone(), None)?;
                Ok(Self { current: ArcSwap::from_pointee(current), file: None })
            }
        }
    }

    /// The servers of a file in the form of resolv.conf, and nothing else of it: no search list, no
    /// options. A file without any means the one on this machine (resolv.conf(5)).
    fn following(file: PathBuf) -> Result<Self, Error> {
        let stamp = Stamp::of(&file);
        let mut servers = read(&file);
        if servers.is_empty() {
            tracing::warn!(file = %file.display(), "no name server is listed: this machine's own is asked");
            servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT));
        }
        Ok(Self { current: ArcSwap::from_pointee(Current::new(servers, stamp)?), file: Some(file) })
    }

    /// The resolver to ask; a changed file (another network, a VPN) makes a new one.
    pub(super) fn resolver(&self) -> TokioResolver {
        if let Some(file) = &self.file {
            self.refresh(file);
        }
        self.current.load().resolver.clone()
    }

    fn refresh(&self, file: &Path) {
        let stamp = Stamp::of(file);
        let current = self.current.load();
        if stamp == current.stamp {
            return;
        }
        // A file that is gone or empty is one that is being written: the servers of before stay.
        let read = Some(read(file)).filter(|servers| !servers.is_empty());
        let servers = read.unwrap_or_else(|| current.servers.clone());
        match Current::new(servers, stamp) {
            Ok(current) => self.current.store(Arc::new(current)),
            Err(error) => tracing::warn!(%error, "the name servers of before stay"),
        }
    }
}

impl Current {
    fn new(servers: Vec<SocketAddr>, stamp: Option<Stamp>) -> Result<Self, Error> {
        Ok(Self { resolver: resolver(&servers)?, servers, stamp })
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

fn read(file: &Path) -> Vec<SocketAddr> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "the list of name servers can't be read");
        String::new()
    });
    parse(&text)
}

/// The addresses after `nameserver`. One with a zone (`fe80::1%eth0`) is left out: hickory has no place
/// for the zone.
fn parse(text: &str) -> Vec<SocketAddr> {
    let listed = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        Some(SocketAddr::new(address.parse().ok()?, DNS_PORT))
    });
    listed.take(SYSTEM_SERVERS).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_the_first_three_that_are_listed() {
        let text = "# a comment\n; another\nsearch corp.test\nnameserver 192.0.2.1\n\tnameserver\t2001:db8::1 # x\n\
                    nameserver fe80::1%eth0\nnameserver nonsense\nnameserver\nnameservers 192.0.2.9\n\
                    options ndots:5\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let shown: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]);
    }

    #[test]
    fn a_changed_file_means_other_servers_and_a_broken_one_the_same() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("resolv.conf");
        let servers = Servers::following(file.clone()).unwrap();
        let now = || {
            servers.resolver();
            servers.current.load().servers.iter().map(|server| server.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(now(), ["127.0.0.1"], "there is no file");
        fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(now(), ["192.0.2.1"]);
        fs::write(&file, "nameserver 192.0.2.22\n").unwrap();
        assert_eq!(now(), ["192.0.2.22"]);
        fs::write(&file, "").unwrap();
        assert_eq!(now(), ["192.0.2.22"]);
        fs::remove_file(&file).unwrap();
        assert_eq!(now(), ["192.0.2.22"]);
    }
}
