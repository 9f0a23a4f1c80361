//! From a host to the rules that name it, without a walk over all rules.

use super::Rule;
use crate::net::{Host, HostPattern};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Far cheaper than by the standard hash: every request looks up a few. What is in them is the operator's.
type ByKey<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Positions of rules by host: a hash look-up for the exact name and one for each of its suffixes.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: ByKey<Arc<str>, Box<[u32]>>,
    addresses: ByKey<IpAddr, Box<[u32]>>,
    suffixes: ByKey<Arc<str>, Suffix>,
    any_name: Box<[u32]>,
}

/// The rules written as `*.x` and `**.x` for one `.x`.
#[derive(Debug, Default)]
struct Suffix {
    one_label: Box<[u32]>,
    any_depth: Box<[u32]>,
}

impl Index {
    /// Leaves out rules that can never match.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (position, rule) in (0u32..).zip(rules) {
            if rule.is_void() {
                continue;
            }
            let slot = match &rule.host {
                HostPattern::Exact(Host::Name(name)) => index.names.entry(Arc::clone(name)).or_default(),
                HostPattern::Exact(Host::V4(address)) => index.addresses.entry((*address).into()).or_default(),
                HostPattern::Exact(Host::V6(address)) => index.addresses.entry((*address).into()).or_default(),
                HostPattern::OneLabel(suffix) => &mut index.suffixes.entry(Arc::clone(suffix)).or_default().one_label,
                HostPattern::AnyDepth(suffix) => &mut index.suffixes.entry(Arc::clone(suffix)).or_default().any_depth,
                HostPattern::AnyName => &mut index.any_name,
            };
            let mut positions = std::mem::take(slot).into_vec();
            positions.push(position);
            *slot = positions.into();
        }
        index
    }

    /// The rules whose pattern matches the host, the most specific first: exact, longer suffixes
    /// before shorter, one label before any depth, any name last; within one pattern in file order.
    pub(super) fn matching<'i>(&'i self, host: &'i Host) -> impl Iterator<Item = usize> + 'i {
        let exact = match host {
            Host::Name(name) => self.names.get(name),
            Host::V4(address) => self.addresses.get(&IpAddr::V4(*address)),
            Host::V6(address) => self.addresses.get(&IpAddr::V6(*address)),
        };
        let exact = exact.map_or(&[][..], |rules| rules);
        let any_name = if host.as_name().is_some() { &*self.any_name } else { &[] };
        exact.iter().chain(self.by_suffix(host.as_name())).chain(any_name).map(|&position| position as usize)
    }

    fn by_suffix<'i>(&'i self, name: Option<&'i str>) -> impl Iterator<Item = &'i u32> + 'i {
        let name = name.filter(|_| !self.suffixes.is_empty()).unwrap_or_default();
        let dots = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
        dots.enumerate().flat_map(move |(labels_above, (dot, _))| {
            let suffix = self.suffixes.get(&name[dot..]);
            let one_label = suffix.filter(|_| labels_above == 0).map_or(&[][..], |suffix| &suffix.one_label);
            one_label.iter().chain(suffix.map_or(&[][..], |suffix| &suffix.any_depth))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(patterns: &[&str]) -> Vec<Rule> {
        patterns.iter().map(|pattern| Rule::new("t", pattern.parse().unwrap())).collect()
    }

    fn matching(patterns: &[&str], host: &str) -> Vec<String> {
        let rules = rules(patterns);
        let index = Index::new(&rules);
        let host = Host::parse(host.as_bytes()).unwrap();
        index.matching(&host).map(|position| rules[position].host.to_string()).collect()
    }

    #[test]
    fn the_most_specific_pattern_comes_first() {
        let patterns = ["**", "**.test", "**.b.test", "*.b.test", "a.b.test", "*.test", "b.test"];
        assert_eq!(matching(&patterns, "a.b.test"), ["a.b.test", "*.b.test", "**.b.test", "**.test", "**"]);
        assert_eq!(matching(&patterns, "x.y.b.test"), ["**.b.test", "**.test", "**"]);
        assert_eq!(matching(&patterns, "b.test"), ["b.test", "*.test", "**.test", "**"]);
        assert_eq!(matching(&["**", "127.0.0.1", "::1"], "127.0.0.1"), ["127.0.0.1"]);
        assert_eq!(matching(&["**", "127.0.0.1", "::1"], "[::1]"), ["::1"]);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_the_patterns_match_and_nothing_else(
            patterns in prop::collection::vec("(\\*\\.|\\*\\*\\.)?([ab]\\.){0,3}t", 0..12),
            host in "([ab]\\.){0,4}t",
        ) {
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let rules = rules(&patterns);
            let host = Host::parse(host.as_bytes()).unwrap();
            let found: Vec<usize> = Index::new(&rules).matching(&host).collect();
            let mut sorted = found.clone();
            sorted.sort_unstable();
            let expected: Vec<usize> =
                (0..rules.len()).filter(|&position| rules[position].host.matches(&host)).collect();
            prop_assert_eq!(sorted, expected);
            let narrowness: Vec<_> = found.iter().map(|&position| rules[position].host.specificity()).collect();
            prop_assert!(narrowness.is_sorted_by(|a, b| a >= b), "{:?}", narrowness);
        }
    }
}
