//! Where the gateway itself listens.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// The listeners of this process: no permit leads to them (threat: the proxy as its own destination,
/// and the control API through the proxy).
#[derive(Clone, Debug)]
pub struct OwnListeners {
    listeners: Box<[SocketAddr]>,
    interfaces: fn() -> io::Result<Vec<IpAddr>>,
}

impl OwnListeners {
    /// The listeners as they are bound; `0.0.0.0` and `[::]` mean every address of this machine.
    pub fn new(listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { listeners: listeners.into_iter().collect(), interfaces }
    }

    /// Whether a connection to `target` would reach a listener.
    pub(super) fn contains(&self, target: SocketAddr) -> bool {
        let address = target.ip().to_canonical();
        self.listeners.iter().filter(|listener| listener.port() == target.port()).any(|listener| {
            let own = listener.ip().to_canonical();
            own == address || (own.is_unspecified() && self.is_local(address))
        })
    }

    fn is_local(&self, address: IpAddr) -> bool {
        if address.is_loopback() || address.is_unspecified() {
            return true;
        }
        // Asked anew each time: interfaces come and go, and a port that is ours is rarely dialled. If
        // the kernel doesn't tell, the address may be ours.
        (self.interfaces)().map_or(true, |local| local.contains(&address))
    }
}

fn interfaces() -> io::Result<Vec<IpAddr>> {
    let entries = nix::ifaddrs::getifaddrs()?;
    Ok(entries
        .filter_map(|entry| entry.address)
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listeners: &[&str]) -> OwnListeners {
        let interfaces = || Ok(vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]);
        OwnListeners { interfaces, ..OwnListeners::new(listeners.iter().map(|text| text.parse().unwrap())) }
    }

    fn contains(listeners: &[&str], target: &str) -> bool {
        own(listeners).contains(target.parse().unwrap())
    }

    #[test]
    fn a_listener_is_its_address_and_port() {
        let listeners = &["127.0.0.1:3128", "[::1]:3129"];
        for (target, expected) in [
            ("127.0.0.1:3128", true),
            ("[::ffff:127.0.0.1]:3128", true),
            ("[::1]:3129", true),
            ("127.0.0.1:3129", false),
            ("127.0.0.2:3128", false),
            ("192.0.2.7:3128", false),
            ("[::1]:3128", false),
        ] {
            assert_eq!(contains(listeners, target), expected, "{target}");
        }
    }

    #[test]
    fn a_wildcard_listener_is_every_address_of_the_machine() {
        for listener in ["0.0.0.0:3128", "[::]:3128"] {
            for (target, expected) in [
                ("127.0.0.1:3128", true),
                ("127.9.9.9:3128", true),
                ("0.0.0.0:3128", true),
                ("192.0.2.7:3128", true),
                ("[::ffff:192.0.2.7]:3128", true),
                ("[2001:db8::7]:3128", true),
                ("[::1]:3128", true),
                ("192.0.2.8:3128", false),
                ("192.0.2.7:3129", false),
            ] {
                assert_eq!(contains(&[listener], target), expected, "{listener} {target}");
            }
        }
    }

    #[test]
    fn the_kernel_tells_the_loopback_address_among_the_interfaces() {
        assert!(interfaces().unwrap().iter().any(IpAddr::is_loopback));
    }

    #[test]
    fn when_the_kernel_does_not_tell_every_address_may_be_ours() {
        let own = OwnListeners { interfaces: || Err(io::Error::other("no")), ..own(&["0.0.0.0:3128"]) };
        assert!(own.contains("203.0.113.1:3128".parse().unwrap()));
        assert!(!own.contains("203.0.113.1:443".parse().unwrap()));
    }
}
