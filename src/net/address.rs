//! What kind of address this is, and whether a gateway may dial it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address, by the IANA special-purpose registries (RFC 6890) and the metadata
/// services of the big clouds.
///
/// Documentation ranges (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32) count as
/// public: nothing inside a network is addressed by them, and closed build networks map the names
/// of registries to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Globally reachable.
    Public,
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 10/8, 172.16/12, 192.168/16, fc00::/7, fec0::/10.
    Private,
    /// 100.64.0.0/10 (RFC 6598).
    CarrierGrade,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// An address at which a cloud serves its machines' credentials.
    Metadata,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 0.0.0.0/8, ::.
    Unspecified,
    /// Set aside and routed nowhere: 192.0.0.0/24, 198.18.0.0/15, 240.0.0.0/4, 100::/64 and the like.
    Reserved,
    /// An IPv4 address inside an IPv6 one: mapped, compatible, NAT64, 6to4, Teredo, ISATAP.
    Embedded,
}

/// Addresses at which clouds serve credentials outside the link-local range.
/// AWS over IPv6; Alibaba; Azure's wire server; Oracle.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

impl AddressClass {
    /// The class of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// Whether every rule may dial it.
    #[must_use]
    pub fn is_public(self) -> bool {
        self == AddressClass::Public
    }

    /// Whether no rule may dial `address`, not even one that names its range: metadata, link-local,
    /// multicast, broadcast, unspecified, also where such an IPv4 address is wrapped in an IPv6 one.
    #[must_use]
    pub fn is_never_dialled(address: IpAddr) -> bool {
        let never = |class| {
            matches!(
                class,
                AddressClass::Metadata
                    | AddressClass::LinkLocal
                    | AddressClass::Multicast
                    | AddressClass::Broadcast
                    | AddressClass::Unspecified
            )
        };
        let inner = match address {
            IpAddr::V6(address) => embedded(address).map(of_v4),
            IpAddr::V4(_) => None,
        };
        never(Self::of(address)) || inner.is_some_and(never)
    }
}

/// In lower case, as errors and records say it.
impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressClass::Public => "public",
            AddressClass::Loopback => "loopback",
            AddressClass::Private => "private",
            AddressClass::CarrierGrade => "carrier-grade NAT",
            AddressClass::LinkLocal => "link-local",
            AddressClass::Metadata => "cloud metadata",
            AddressClass::Multicast => "multicast",
            AddressClass::Broadcast => "broadcast",
            AddressClass::Unspecified => "unspecified",
            AddressClass::Reserved => "reserved",
            AddressClass::Embedded => "IPv4 inside IPv6",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::CarrierGrade,
        [169, 254, ..] => AddressClass::LinkLocal,
        [224..=239, ..] => AddressClass::Multicast,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        // IETF protocols (RFC 6890), 6to4 relays (RFC 7526), AMT and AS112 excepted as reachable,
        // benchmarking (RFC 2544), future use (RFC 1112).
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return AddressClass::Metadata;
    }
    if address.is_unspecified() {
        return AddressClass::Unspecified;
    }
    if address.is_loopback() {
        return AddressClass::Loopback;
    }
    if embedded(address).is_some() {
        return AddressClass::Embedded;
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2001, 0xdb8, ..] => AddressClass::Public,
        // IETF protocols (2001::/23) but for the parts of it that are reachable: AMT, AS112.
        [0x2001, 0x3, ..] | [0x2001, 0x4, 0x112, ..] => AddressClass::Public,
        [0x2001, 0..=0x1ff, ..] => AddressClass::Reserved,
        // Global unicast as handed out so far (RFC 4291 §2.4); everything else is set aside.
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

/// The IPv4 address that some router or kernel would take out of an IPv6 one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Compatible (RFC 4291 §2.5.5.1), mapped (§2.5.5.2), translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => v4(high, low),
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64: well-known prefix (RFC 6052) and local use (RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        // 6to4 (RFC 3056) and Teredo, whose client address is stored inverted (RFC 4380 §4).
        [0x2002, high, low, ..] => v4(high, low),
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        // ISATAP interface identifiers (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        AddressClass::of(text.parse().unwrap())
    }

    #[test]
    fn every_special_range_has_its_class() {
        for (text, expected) in [
            ("8.8.8.8", AddressClass::Public),
            ("2606:4700::1111", AddressClass::Public),
            ("203.0.113.80", AddressClass::Public),
            ("192.0.2.1", AddressClass::Public),
            ("2001:db8::1", AddressClass::Public),
            ("172.15.255.255", AddressClass::Public),
            ("172.32.0.0", AddressClass::Public),
            ("100.128.0.0", AddressClass::Public),
            ("127.0.0.1", AddressClass::Loopback),
            ("127.255.255.255", AddressClass::Loopback),
            ("::1", AddressClass::Loopback),
            ("10.0.0.1", AddressClass::Private),
            ("172.16.0.1", AddressClass::Private),
            ("172.31.255.255", AddressClass::Private),
            ("192.168.1.1", AddressClass::Private),
            ("fd00::1", AddressClass::Private),
            ("fec0::1", AddressClass::Private),
            ("100.64.0.1", AddressClass::CarrierGrade),
            ("169.254.0.1", AddressClass::LinkLocal),
            ("fe80::1", AddressClass::LinkLocal),
            ("169.254.169.254", AddressClass::Metadata),
            ("fd00:ec2::254", AddressClass::Metadata),
            ("100.100.100.200", AddressClass::Metadata),
            ("168.63.129.16", AddressClass::Metadata),
            ("224.0.0.1", AddressClass::Multicast),
            ("ff02::1", AddressClass::Multicast),
            ("255.255.255.255", AddressClass::Broadcast),
            ("0.0.0.0", AddressClass::Unspecified),
            ("0.1.2.3", AddressClass::Unspecified),
            ("::", AddressClass::Unspecified),
            ("192.0.0.1", AddressClass::Reserved),
            ("192.88.99.1", AddressClass::Reserved),
            ("198.18.0.1", AddressClass::Reserved),
            ("240.0.0.1", AddressClass::Reserved),
            ("100::1", AddressClass::Reserved),
            ("2001:20::1", AddressClass::Reserved),
            ("4000::1", AddressClass::Reserved),
            ("::ffff:8.8.8.8", AddressClass::Embedded),
            ("::ffff:127.0.0.1", AddressClass::Embedded),
            ("::127.0.0.1", AddressClass::Embedded),
            ("64:ff9b::10.0.0.1", AddressClass::Embedded),
            ("64:ff9b:1::10.0.0.1", AddressClass::Embedded),
            ("2002:7f00:1::", AddressClass::Embedded),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", AddressClass::Embedded),
            ("2001:db8::5efe:10.0.0.1", AddressClass::Embedded),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn some_addresses_are_dialled_for_no_rule() {
        for text in [
            "169.254.169.254",
            "169.254.1.1",
            "fd00:ec2::254",
            "fe80::1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::",
            "::ffff:0.0.0.0",
            "0.1.2.3",
        ] {
            assert!(AddressClass::is_never_dialled(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "8.8.8.8", "100.64.0.1"] {
            assert!(!AddressClass::is_never_dialled(text.parse().unwrap()), "{text}");
        }
    }
}
