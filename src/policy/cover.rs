//! How two host patterns lie to each other.

use crate::net::HostPattern::{self, AnyDepth, AnyName, Exact, OneLabel};

/// Whether every host that `inner` matches is matched by `outer`.
pub(super) fn covers(outer: &HostPattern, inner: &HostPattern) -> bool {
    match (outer, inner) {
        (_, Exact(host)) => outer.matches(host),
        (AnyName, _) => true,
        // Suffixes start with their dot, so that a longer one ends with a shorter at a label's start.
        (AnyDepth(suffix), OneLabel(inner) | AnyDepth(inner)) => inner.ends_with(&**suffix),
        (OneLabel(suffix), OneLabel(inner)) => suffix == inner,
        (OneLabel(_) | AnyDepth(_) | Exact(_), _) => false,
    }
}

/// Whether some host is matched by both.
pub(super) fn overlap(a: &HostPattern, b: &HostPattern) -> bool {
    match (a, b) {
        (Exact(host), other) | (other, Exact(host)) => other.matches(host),
        (AnyName, _) | (_, AnyName) => true,
        (OneLabel(a), OneLabel(b)) => a == b,
        (OneLabel(one), AnyDepth(any)) | (AnyDepth(any), OneLabel(one)) => one.ends_with(&**any),
        (AnyDepth(a), AnyDepth(b)) => a.ends_with(&**b) || b.ends_with(&**a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Host;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = HostPattern> {
        "(\\*\\*)|((\\*\\.|\\*\\*\\.)?([ab]\\.){0,2}t)|127\\.0\\.0\\.1"
            .prop_map(|text: String| text.parse().expect("the generator writes patterns"))
    }

    /// Every name of up to four labels over `a`, `b` above `t`, and an address.
    fn universe() -> Vec<Host> {
        let mut names = vec!["t".to_owned()];
        for depth in 0..4 {
            let longest: Vec<_> = names.iter().filter(|name| name.matches('.').count() == depth).cloned().collect();
            names.extend(longest.iter().flat_map(|name| [format!("a.{name}"), format!("b.{name}")]));
        }
        names.push("127.0.0.1".to_owned());
        names.iter().map(|name| Host::parse(name.as_bytes()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn cover_and_overlap_agree_with_every_host_there_is(a in pattern(), b in pattern()) {
            let universe = universe();
            let covered = universe.iter().filter(|host| b.matches(host)).all(|host| a.matches(host));
            let overlapping = universe.iter().any(|host| a.matches(host) && b.matches(host));
            // `**` covers no finite set of suffixes, so a universe under one top label proves nothing about it.
            if b != AnyName {
                prop_assert_eq!(covers(&a, &b), covered, "{} covers {}", a, b);
            }
            prop_assert_eq!(overlap(&a, &b), overlapping, "{} overlaps {}", a, b);
        }
    }

    #[test]
    fn nothing_but_any_name_covers_any_name() {
        assert!(covers(&AnyName, &AnyName));
        assert!(!covers(&"**.test".parse().unwrap(), &AnyName));
        assert!(!covers(&AnyName, &"127.0.0.1".parse().unwrap()));
    }
}
