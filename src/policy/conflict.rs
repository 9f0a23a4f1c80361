//! Rules that contradict each other, found at load so that no request meets them.

use super::cover::{covers, overlap};
use super::{Credentials, Methods, Protocols, Rule, TlsMode};

/// Two rules, or one, that can't both mean what they say. Numbers are positions in `allow` and `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// An allow names methods, paths or `credentials: own` under `tls: tunnel`, where none can be seen.
    InsideTunnel {
        /// The allow.
        allow: usize,
    },
    /// A deny names methods or paths of a host whose tunnels an allow leaves closed.
    DenyInsideTunnel {
        /// The allow with `tls: tunnel`.
        allow: usize,
        /// The deny that could not be enforced.
        deny: usize,
    },
    /// Two allows for one host and port differ in `tls` or `protocols`.
    Ambiguous {
        /// The later one.
        allow: usize,
        /// The earlier one.
        earlier: usize,
    },
    /// A deny takes away all that an allow gives.
    Unreachable {
        /// The allow.
        allow: usize,
        /// The deny.
        deny: usize,
    },
    /// Two allows are the same.
    RepeatedAllow {
        /// The later one.
        allow: usize,
        /// The earlier one.
        earlier: usize,
    },
    /// Two denies are the same.
    RepeatedDeny {
        /// The later one.
        deny: usize,
        /// The earlier one.
        earlier: usize,
    },
}

impl Conflict {
    /// Whether a policy with it could not be enforced. The others are harmless, and mistakes
    /// only where one hand wrote both rules: a preset may repeat another.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Conflict::InsideTunnel { .. } | Conflict::DenyInsideTunnel { .. } | Conflict::Ambiguous { .. })
    }
}

/// All conflicts among the rules of one policy.
#[must_use]
pub fn conflicts(allow: &[Rule], deny: &[Rule]) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (position, rule) in allow.iter().enumerate() {
        if rule.tls == TlsMode::Tunnel && (rule.looks_inside() || rule.credentials == Credentials::Own) {
            found.push(Conflict::InsideTunnel { allow: position });
        }
        found.extend(among_allows(position, rule, allow));
        for (at, denial) in deny.iter().enumerate() {
            if takes_all(denial, rule) {
                found.push(Conflict::Unreachable { allow: position, deny: at });
            } else if rule.tls == TlsMode::Tunnel && hides(rule, denial, allow) {
                found.push(Conflict::DenyInsideTunnel { allow: position, deny: at });
            }
        }
    }
    for (position, rule) in deny.iter().enumerate() {
        if let Some(earlier) = deny[..position].iter().position(|earlier| matches_the_same(earlier, rule)) {
            found.push(Conflict::RepeatedDeny { deny: position, earlier });
        }
    }
    found
}

fn among_allows(position: usize, rule: &Rule, allow: &[Rule]) -> Option<Conflict> {
    let same_host = |earlier: &&(usize, &Rule)| earlier.1.host == rule.host;
    let before: Vec<_> = allow[..position].iter().enumerate().collect();
    let repeated = before.iter().filter(same_host).find(|(_, earlier)| {
        let same = earlier.addresses == rule.addresses && earlier.credentials == rule.credentials;
        same && matches_the_same(earlier, rule) && grants(earlier) == grants(rule)
    });
    if let Some(&(earlier, _)) = repeated {
        return Some(Conflict::RepeatedAllow { allow: position, earlier });
    }
    let ambiguous = before
        .iter()
        .filter(same_host)
        .find(|(_, earlier)| earlier.ports.overlap(&rule.ports) && grants(earlier) != grants(rule));
    ambiguous.map(|&(earlier, _)| Conflict::Ambiguous { allow: position, earlier })
}

fn grants(rule: &Rule) -> (TlsMode, Protocols) {
    (rule.tls, rule.protocols)
}

fn matches_the_same(a: &Rule, b: &Rule) -> bool {
    a.host == b.host && a.ports == b.ports && a.methods == b.methods && a.paths == b.paths && a.scope == b.scope
}

/// Whether a deny leaves nothing of an allow. Globs are compared as written: one that covers another
/// by its meaning is not found, which errs on the side of silence.
fn takes_all(deny: &Rule, allow: &Rule) -> bool {
    let ports = deny.ports == super::Ports::Unset || deny.ports.cover(&allow.ports);
    let methods = match (&deny.methods, &allow.methods) {
        (Methods::All, _) => true,
        (Methods::Only(_), Methods::All) => false,
        (Methods::Only(denied), Methods::Only(allowed)) => allowed.iter().all(|method| denied.contains(method)),
    };
    let paths = deny.paths.is_all() || deny.paths == allow.paths;
    let void = deny.is_void() || allow.is_void();
    !void && covers(&deny.host, &allow.host) && ports && methods && paths
}

/// Whether a deny by method or path could concern a tunnel that `tunnel` leaves closed: it does
/// unless a more specific allow opens every tunnel that the deny means.
fn hides(tunnel: &Rule, deny: &Rule, allow: &[Rule]) -> bool {
    let ports = deny.ports == super::Ports::Unset || deny.ports.overlap(&tunnel.ports);
    if !deny.looks_inside() || deny.is_void() || tunnel.is_void() || !ports || !overlap(&tunnel.host, &deny.host) {
        return false;
    }
    !allow.iter().any(|opened| {
        opened.tls == TlsMode::Intercept
            && !opened.is_void()
            && opened.host.specificity() > tunnel.host.specificity()
            && covers(&opened.host, &deny.host)
            && opened.ports.cover(&tunnel.ports)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Paths, Ports, Protocol};
    use super::*;
    use http::Method;

    fn allow(host: &str) -> Rule {
        Rule::new("t.allow", host.parse().unwrap())
    }

    fn tunnel(host: &str) -> Rule {
        Rule { tls: TlsMode::Tunnel, ..allow(host) }
    }

    fn with_path(rule: Rule, glob: &str) -> Rule {
        Rule { paths: Paths::only(&[glob]).unwrap(), ..rule }
    }

    #[test]
    fn a_rule_about_paths_or_methods_can_not_hold_in_a_closed_tunnel() {
        let methods = Rule { methods: Methods::Only([Method::GET].into()), ..tunnel("a.test") };
        let found = conflicts(&[with_path(tunnel("b.test"), "/x"), methods], &[]);
        assert_eq!(found, [Conflict::InsideTunnel { allow: 0 }, Conflict::InsideTunnel { allow: 1 }]);
    }

    #[test]
    fn a_deny_by_path_does_not_go_with_a_closed_tunnel_to_the_same_host() {
        let deny = with_path(allow("api.a.test"), "/admin/**");
        let hidden = [Conflict::DenyInsideTunnel { allow: 0, deny: 0 }];
        assert_eq!(conflicts(&[tunnel("**.a.test")], std::slice::from_ref(&deny)), hidden);
        assert_eq!(conflicts(&[tunnel("**")], std::slice::from_ref(&deny)), hidden);
        assert_eq!(conflicts(&[tunnel("b.test")], std::slice::from_ref(&deny)), []);
        let other_port = Rule { ports: Ports::Only([8443..=8443].into()), ..deny.clone() };
        assert_eq!(conflicts(&[tunnel("**.a.test")], &[other_port]), []);
        // The more specific rule opens the tunnel, so that the path is seen.
        assert_eq!(conflicts(&[tunnel("**"), allow("api.a.test")], std::slice::from_ref(&deny)), []);
        let elsewhere = Rule { ports: Ports::Only([1..=1].into()), ..allow("api.a.test") };
        assert_eq!(conflicts(&[tunnel("**"), elsewhere], &[deny]), hidden);
    }

    #[test]
    fn one_host_and_port_has_one_tls_mode() {
        let found = [Conflict::Ambiguous { allow: 1, earlier: 0 }];
        assert_eq!(conflicts(&[allow("a.test"), tunnel("a.test")], &[]), found);
        assert_eq!(conflicts(&[allow("a.test"), tunnel("*.test")], &[]), [], "the more specific decides");
        let ssh = Rule { protocols: Protocols::NONE.with(Protocol::Ssh), ..tunnel("a.test") };
        assert_eq!(conflicts(&[tunnel("a.test"), ssh.clone()], &[]), found);
        let elsewhere = Rule { ports: Ports::Only([22..=22].into()), ..ssh };
        assert_eq!(conflicts(&[tunnel("a.test"), elsewhere], &[]), []);
    }

    #[test]
    fn an_allow_that_a_deny_takes_away_is_unreachable() {
        let found = [Conflict::Unreachable { allow: 0, deny: 0 }];
        let get = Rule { methods: Methods::Only([Method::GET].into()), ..allow("a.test") };
        assert_eq!(conflicts(&[allow("a.test")], &[allow("a.test")]), found);
        assert_eq!(conflicts(&[with_path(allow("a.test"), "/x")], &[allow("**.test")]), found);
        assert_eq!(conflicts(std::slice::from_ref(&get), std::slice::from_ref(&get)), found);
        assert_eq!(conflicts(&[allow("a.test")], &[get]), []);
        assert_eq!(conflicts(&[allow("**.test")], &[allow("a.test")]), []);
        assert_eq!(conflicts(&[allow("a.test")], &[with_path(allow("a.test"), "/x")]), []);
    }

    #[test]
    fn a_rule_written_twice_is_told() {
        assert_eq!(
            conflicts(&[allow("a.test"), allow("b.test"), allow("a.test")], &[allow("c.test"), allow("c.test")]),
            [Conflict::RepeatedAllow { allow: 2, earlier: 0 }, Conflict::RepeatedDeny { deny: 1, earlier: 0 }]
        );
        let range = Rule { addresses: ["10.0.0.0/8".parse().unwrap()].into(), ..allow("a.test") };
        assert_eq!(conflicts(&[allow("a.test"), range], &[]), [], "it adds a range");
    }
}
