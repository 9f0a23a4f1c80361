//! Judging the addresses of an answer. Pure but for the list of this machine's interfaces.

use super::{Error, OwnListeners};
use crate::net::{AddressClass, Authority};
use crate::policy::Permit;
use std::net::{IpAddr, SocketAddr};

/// Addresses that may be dialled for a permit: at least one, each of them classified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vetted {
    authority: Authority,
    addresses: Vec<SocketAddr>,
}

impl Vetted {
    /// The host and port that were allowed, which TLS is checked against.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The addresses in the order of the answer; to be dialled as they are.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Addresses that nobody vetted, for the tests of the rooms above.
    #[cfg(test)]
    pub(crate) fn for_tests(authority: Authority, addresses: Vec<SocketAddr>) -> Self {
        Self { authority, addresses }
    }
}

/// Judges all addresses of one answer. One that is forbidden refuses the whole name: to pick the good
/// ones from a mixed answer is to let whoever runs the zone probe which ones those are, and Squid, which
/// passed a name when any address matched, then dialled another.
pub(super) fn vet(permit: &Permit, port: u16, answer: &[IpAddr], own: &OwnListeners) -> Result<Vetted, Error> {
    let mut addresses = Vec::with_capacity(answer.len());
    for &address in answer {
        let target = SocketAddr::new(address, port);
        judge(permit, target, own)?;
        if !addresses.contains(&target) {
            addresses.push(target);
        }
    }
    if addresses.is_empty() {
        return Err(Error::NoAddress);
    }
    Ok(Vetted { authority: permit.authority().clone(), addresses })
}

/// Judges the addresses of a parent proxy: the operator's word stands for a rule that names its range.
pub(super) fn vet_parent(parent: &Authority, answer: &[IpAddr], own: &OwnListeners) -> Result<Vetted, Error> {
    let mut addresses = Vec::with_capacity(answer.len());
    for &address in answer {
        let target = SocketAddr::new(address, parent.port);
        if AddressClass::is_never_dialled(address) {
            return Err(Error::NeverDialled { address, class: AddressClass::of(address) });
        }
        if own.contains(target) {
            return Err(Error::OwnListener { address: target });
        }
        addresses.push(target);
    }
    if addresses.is_empty() {
        return Err(Error::NoAddress);
    }
    Ok(Vetted { authority: parent.clone(), addresses })
}

fn judge(permit: &Permit, target: SocketAddr, own: &OwnListeners) -> Result<(), Error> {
    let address = target.ip();
    let class = AddressClass::of(address);
    if AddressClass::is_never_dialled(address) {
        return Err(Error::NeverDialled { address, class });
    }
    if own.contains(target) {
        return Err(Error::OwnListener { address: target });
    }
    if !class.is_public() && !permit.names_address(address) {
        return Err(Error::NotNamed { address, class });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Scheme;
    use crate::reason::Reason;

    fn vetted(ranges: &[&str], answer: &[&str]) -> Result<Vetted, Error> {
        let authority = Authority::parse(b"name.test:443").unwrap();
        let permit = Permit::for_tests(Scheme::Https, authority, ranges);
        let answer: Vec<IpAddr> = answer.iter().map(|text| text.parse().unwrap()).collect();
        let own = OwnListeners::new(["127.0.0.1:3128".parse().unwrap(), "127.0.0.9:443".parse().unwrap()]);
        vet(&permit, 443, &answer, &own)
    }

    #[test]
    fn public_addresses_need_no_range() {
        let vetted = vetted(&[], &["203.0.113.1", "2001:db8::1", "203.0.113.1"]).unwrap();
        let shown: Vec<String> = vetted.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["203.0.113.1:443", "[2001:db8::1]:443"]);
        assert_eq!(vetted.authority().to_string(), "name.test:443");
    }

    #[test]
    fn an_address_that_is_not_public_needs_a_range_that_names_it() {
        for (ranges, address, expected) in [
            (&[][..], "127.0.0.1", false),
            (&["127.0.0.0/8"], "127.0.0.1", true),
            (&["127.0.0.1/32"], "127.0.0.2", false),
            (&["10.0.0.0/8"], "10.255.0.1", true),
            (&["10.0.0.0/8"], "192.168.0.1", false),
            (&["100.64.0.0/10"], "100.64.0.1", true),
            (&["198.18.0.0/15"], "198.18.0.1", true),
            (&["::1/128"], "::1", true),
            (&["fd00::/8"], "fd12::1", true),
            // A mapped address is not the IPv4 address that the rule names, though the kernel dials that one.
            (&["127.0.0.0/8"], "::ffff:127.0.0.3", false),
            (&["0.0.0.0/0"], "64:ff9b::10.0.0.1", false),
        ] {
            let result = vetted(ranges, &[address]);
            assert_eq!(result.is_ok(), expected, "{ranges:?} {address}");
            assert!(result.is_ok() || result.unwrap_err().reason() == Reason::AddressForbidden, "{address}");
        }
    }

    #[test]
    fn one_forbidden_address_refuses_the_whole_name() {
        for answer in [["203.0.113.1", "127.0.0.3"], ["127.0.0.3", "203.0.113.1"]] {
            let error = vetted(&[], &answer).unwrap_err();
            assert_eq!(error, Error::NotNamed { address: "127.0.0.3".parse().unwrap(), class: AddressClass::Loopback });
            assert!(error.to_string().contains("127.0.0.3"));
            assert!(!error.detail().contains("127.0.0.3"), "the agent doesn't get to read inner addresses");
            assert!(error.detail().contains("loopback"));
        }
        let mut many = vec!["203.0.113.1"; 300];
        many.push("10.0.0.1");
        assert_eq!(vetted(&[], &many).unwrap_err().reason(), Reason::AddressForbidden);
    }

    #[test]
    fn no_range_opens_what_is_never_dialled() {
        for address in [
            "169.254.169.254",
            "169.254.1.1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            let error = vetted(&["0.0.0.0/0", "::/0"], &[address]).unwrap_err();
            assert!(matches!(error, Error::NeverDialled { .. }), "{address}: {error}");
        }
    }

    #[test]
    fn the_gateways_own_listener_is_no_destination_for_any_rule() {
        let error = vetted(&["127.0.0.0/8"], &["127.0.0.9"]).unwrap_err();
        assert_eq!(error.reason(), Reason::SelfConnection);
        let error = vetted(&["::/0"], &["::ffff:127.0.0.9"]).unwrap_err();
        assert_eq!(error.reason(), Reason::SelfConnection);
        assert!(vetted(&["127.0.0.0/8"], &["127.0.0.1"]).is_ok(), "another port is another place");
    }

    #[test]
    fn an_empty_answer_is_no_answer() {
        assert_eq!(vetted(&[], &[]).unwrap_err(), Error::NoAddress);
    }
}
