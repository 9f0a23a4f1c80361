use super::super::{Methods, Paths, Ports};
use super::*;
use crate::net::Path;
use http::Method;
use proptest::prelude::*;

fn rule(name: &str, host: &str) -> Rule {
    Rule::new(name, host.parse().unwrap())
}

fn policy(allow: Vec<Rule>, deny: Vec<Rule>) -> Policy {
    Policy::new("t", Mode::Enforce, Rules { allow, deny }).unwrap()
}

fn target(url: &str) -> Target {
    request("GET", url)
}

fn request(method: &str, url: &str) -> Target {
    let (scheme, rest) = match url.split_once("://").unwrap() {
        ("http", rest) => (Scheme::Http, rest),
        (_, rest) => (Scheme::Https, rest),
    };
    let path_at = rest.find('/').unwrap_or(rest.len());
    let path = if path_at == rest.len() { "/" } else { &rest[path_at..] };
    Target {
        scheme,
        authority: Authority::parse_or(&rest.as_bytes()[..path_at], scheme.default_port()).unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: Path::parse(path.as_bytes()).unwrap(),
    }
}

fn reason(decision: Result<Permit, Denial>) -> Result<String, Reason> {
    decision.map(|permit| permit.rule().to_string()).map_err(|denial| denial.reason)
}

/// T01: prefix, suffix, apex, depth, port; each on the matcher and through a tunnel.
#[test]
fn names_and_ports_match_as_listed_and_in_no_other_way() {
    let only = |ports: &[std::ops::RangeInclusive<u16>]| Ports::Only(ports.into());
    let policy = policy(
        vec![
            rule("exact", "allowed.test"),
            rule("one", "*.wild.test"),
            rule("any", "**.deep.test"),
            Rule { ports: only(&[8443..=8443, 9000..=9010]), ..rule("ports", "ports.test") },
            Rule { ports: only(&[]), ..rule("no port", "void.test") },
            rule("v4", "203.0.113.7"),
            rule("v6", "2001:db8::7"),
            rule("ace", "bücher.test"),
            rule("local", "localhost"),
        ],
        vec![],
    );
    const YES: bool = true;
    const NO: bool = false;
    for (authority, expected) in [
        ("allowed.test:443", YES),
        ("ALLOWED.TEST:443", YES),
        ("allowed.test.:443", YES),
        ("allowed.test:80", NO),
        ("allowed.test:22", NO),
        ("allowed.test:444", NO),
        ("allowed.test:8443", NO),
        ("allowed.test:65535", NO),
        ("allowed.test.evil.test:443", NO),
        ("evilallowed.test:443", NO),
        ("xallowed.test:443", NO),
        ("x.allowed.test:443", NO),
        ("allowed.tes:443", NO),
        ("allowed.testt:443", NO),
        ("allowed:443", NO),
        ("test:443", NO),
        ("allowed-test:443", NO),
        ("allowed.test.test:443", NO),
        ("a.wild.test:443", YES),
        ("A.Wild.Test.:443", YES),
        ("a-b_c.wild.test:443", YES),
        ("xn--bcher-kva.wild.test:443", YES),
        ("a.wild.test:80", NO),
        ("wild.test:443", NO),
        ("a.b.wild.test:443", NO),
        ("evilwild.test:443", NO),
        ("a.wild.test.evil.test:443", NO),
        ("a.wildtest:443", NO),
        ("a.xwild.test:443", NO),
        ("a.wild.tests:443", NO),
        ("a.deep.test:443", YES),
        ("a.b.deep.test:443", YES),
        ("a.b.c.d.e.f.deep.test:443", YES),
        ("deep.test:443", NO),
        ("xdeep.test:443", NO),
        ("a.xdeep.test:443", NO),
        ("deep.test.evil.test:443", NO),
        ("a.deep.test:444", NO),
        ("ports.test:8443", YES),
        ("ports.test:9000", YES),
        ("ports.test:9005", YES),
        ("ports.test:9010", YES),
        ("ports.test:9011", NO),
        ("ports.test:8999", NO),
        ("ports.test:443", NO),
        ("ports.test:80", NO),
        ("x.ports.test:8443", NO),
        ("void.test:443", NO),
        ("void.test:80", NO),
        ("203.0.113.7:443", YES),
        ("203.0.113.7:80", NO),
        ("203.0.113.70:443", NO),
        ("203.0.113.8:443", NO),
        ("[2001:db8::7]:443", YES),
        ("[2001:DB8:0::7]:443", YES),
        ("[2001:db8::8]:443", NO),
        ("[::ffff:203.0.113.7]:443", NO),
        ("xn--bcher-kva.test:443", YES),
        ("bcher-kva.test:443", NO),
        ("localhost:443", YES),
        ("x.localhost:443", NO),
        ("127.0.0.1:443", NO),
        ("[::1]:443", NO),
    ] {
        let tunnel = policy.decide_tunnel(&Authority::parse(authority.as_bytes()).unwrap());
        assert_eq!(tunnel.is_ok(), expected, "{authority}");
        if let Err(denial) = tunnel {
            assert_eq!(denial.reason, Reason::DestinationNotListed, "{authority}");
        }
        assert_eq!(policy.decide(&target(&format!("https://{authority}/"))).is_ok(), expected, "{authority}");
    }
}

#[test]
fn an_empty_policy_permits_nothing() {
    let policy = policy(vec![], vec![]);
    assert_eq!(reason(policy.decide(&target("https://a.test/"))), Err(Reason::DestinationNotListed));
    assert!(policy.decide_tunnel(&Authority::parse(b"a.test:443").unwrap()).is_err());
}

#[test]
fn without_ports_each_scheme_has_its_own() {
    let policy = policy(vec![rule("a", "a.test")], vec![]);
    for (url, expected) in [
        ("http://a.test/", true),
        ("https://a.test/", true),
        ("http://a.test:443/", false),
        ("https://a.test:80/", false),
        ("http://a.test:8080/", false),
    ] {
        assert_eq!(policy.decide(&target(url)).is_ok(), expected, "{url}");
    }
}

#[test]
fn method_and_path_are_judged_inside_and_only_there() {
    let rules = vec![
        Rule { methods: Methods::Only(Methods::READ_ONLY.into()), ..rule("read", "a.test") },
        Rule {
            methods: Methods::Only([Method::POST].into()),
            paths: Paths::only(&["/**/git-upload-pack"]).unwrap(),
            ..rule("fetch", "a.test")
        },
    ];
    let policy = policy(rules, vec![]);
    assert!(policy.decide_tunnel(&Authority::parse(b"a.test:443").unwrap()).is_ok());
    for (method, url, expected) in [
        ("GET", "https://a.test/x", Ok("read".to_owned())),
        ("OPTIONS", "https://a.test/x", Ok("read".to_owned())),
        ("POST", "https://a.test/r.git/git-upload-pack", Ok("fetch".to_owned())),
        ("POST", "https://a.test/r.git/git-receive-pack", Err(Reason::RequestNotListed)),
        ("POST", "https://a.test/x?/git-upload-pack", Err(Reason::RequestNotListed)),
        ("DELETE", "https://a.test/x", Err(Reason::RequestNotListed)),
        ("get", "https://a.test/x", Err(Reason::RequestNotListed)),
        ("GET", "https://b.test/x", Err(Reason::DestinationNotListed)),
    ] {
        assert_eq!(reason(policy.decide(&request(method, url))), expected, "{method} {url}");
    }
}

#[test]
fn a_path_is_allowed_in_every_reading_and_denied_in_any() {
    let allow = Rule { paths: Paths::only(&["/public/**"]).unwrap(), ..rule("allow", "a.test") };
    let deny = Rule { paths: Paths::only(&["/public/private/**"]).unwrap(), ..rule("deny", "a.test") };
    let policy = policy(vec![allow], vec![deny]);
    for (path, expected) in [
        ("/public/x", Ok("allow".to_owned())),
        ("/public/private/x", Err(Reason::DestinationDenied)),
        ("/public//private/x", Err(Reason::DestinationDenied)),
        ("/public/private;v=1/x", Err(Reason::DestinationDenied)),
        ("/public/private%2Fx", Err(Reason::DestinationDenied)),
        ("/public/%70rivate/x", Err(Reason::DestinationDenied)),
        ("//public/x", Err(Reason::RequestNotListed)),
        ("/Public/x", Err(Reason::RequestNotListed)),
        ("/publicx", Err(Reason::RequestNotListed)),
    ] {
        assert_eq!(reason(policy.decide(&target(&format!("https://a.test{path}")))), expected, "{path}");
    }
}

#[test]
fn a_deny_wins_on_every_port_and_closes_the_tunnel_unless_it_looks_inside() {
    let ports = Ports::Only([443..=443, 8443..=8443].into());
    let allow = |host| Rule { ports: ports.clone(), ..rule("allow", host) };
    let inside = Rule { methods: Methods::Only([Method::DELETE].into()), ..rule("deny", "b.test") };
    let policy = policy(vec![allow("**")], vec![rule("deny", "a.test"), inside]);
    for port in [443, 8443] {
        let authority = Authority::parse(format!("a.test:{port}").as_bytes()).unwrap();
        assert_eq!(reason(policy.decide_tunnel(&authority)), Err(Reason::DestinationDenied));
    }
    assert!(policy.decide_tunnel(&Authority::parse(b"b.test:443").unwrap()).is_ok());
    assert!(policy.decide(&request("GET", "https://b.test/")).is_ok());
    assert_eq!(reason(policy.decide(&request("DELETE", "https://b.test/"))), Err(Reason::DestinationDenied));
}

#[test]
fn the_most_specific_rule_grants_and_ranges_add_up() {
    let range = |text: &str| -> Arc<[IpNet]> { [text.parse().unwrap()].into() };
    let policy = policy(
        vec![
            Rule { addresses: range("10.0.0.0/8"), ..rule("any", "**.a.test") },
            Rule { tls: TlsMode::Tunnel, addresses: range("127.0.0.0/8"), ..rule("exact", "x.a.test") },
        ],
        vec![],
    );
    let permit = policy.decide_tunnel(&Authority::parse(b"x.a.test:443").unwrap()).unwrap();
    assert_eq!((permit.rule().as_ref(), permit.tls()), ("exact", TlsMode::Tunnel));
    assert!(permit.names_address("10.1.2.3".parse().unwrap()) && permit.names_address("127.0.0.1".parse().unwrap()));
    let permit = policy.decide(&target("https://y.a.test/")).unwrap();
    assert_eq!((permit.rule().as_ref(), permit.tls()), ("any", TlsMode::Intercept));
    assert!(!permit.names_address("127.0.0.1".parse().unwrap()));
}

#[test]
fn a_denial_tells_host_and_port_but_never_the_path_or_the_query() {
    let listed = Rule { paths: Paths::only(&["/x"]).unwrap(), ..rule("t.allow[0]", "a.test") };
    let denied = rule("t.deny[0]", "b.test");
    let policy = policy(vec![listed], vec![denied]);
    for (url, authority) in [
        ("https://a.test/s3cret?s3cret", "a.test:443"),
        ("https://a.test:1/s3cret?s3cret", "a.test:1"),
        ("https://b.test/s3cret?s3cret", "b.test:443"),
        ("https://c.test/s3cret?s3cret", "c.test:443"),
    ] {
        let detail = policy.decide(&target(url)).unwrap_err().detail.unwrap();
        assert!(detail.contains(authority) && !detail.contains("s3cret"), "{detail}");
    }
}

#[test]
fn observing_stops_nothing_and_tells_what_would_have_been() {
    let listed = Rule { paths: Paths::only(&["/x"]).unwrap(), ..rule("t.allow[0]", "a.test") };
    let rules = Rules { allow: vec![listed], deny: vec![rule("t.deny[0]", "b.test")] };
    let policy = Policy::new("t", Mode::Observe, rules).unwrap();
    for (url, expected) in [
        ("https://a.test/y", Reason::RequestNotListed),
        ("https://b.test/", Reason::DestinationDenied),
        ("https://c.test/", Reason::DestinationNotListed),
    ] {
        let permit = policy.decide(&target(url)).unwrap();
        assert_eq!(permit.observed().map(|denial| denial.reason), Some(expected), "{url}");
        assert!(!permit.names_address("127.0.0.1".parse().unwrap()), "the address guard still stands");
    }
    assert!(policy.decide(&target("https://a.test/x")).unwrap().observed().is_none());
    let permit = policy.decide_tunnel(&Authority::parse(b"c.test:443").unwrap()).unwrap();
    assert!(permit.observed().is_some() && permit.protocols().contains(Protocol::Ssh));
}

#[test]
fn a_policy_that_can_not_be_enforced_is_no_policy() {
    let tunnel = Rule { tls: TlsMode::Tunnel, ..rule("a", "a.test") };
    let rules = Rules { allow: vec![rule("b", "a.test"), tunnel], deny: vec![] };
    assert!(Policy::new("t", Mode::Enforce, rules).is_err());
}

#[test]
fn the_hash_is_of_what_is_decided_and_not_of_names() {
    let hash = |name: &str, host: &str, mode| {
        Policy::new(name, mode, Rules { allow: vec![rule(name, host)], deny: vec![] }).unwrap().hash().to_string()
    };
    assert_eq!(hash("a", "a.test", Mode::Enforce), hash("b", "a.test", Mode::Enforce));
    assert_ne!(hash("a", "a.test", Mode::Enforce), hash("a", "b.test", Mode::Enforce));
    assert_ne!(hash("a", "a.test", Mode::Enforce), hash("a", "a.test", Mode::Observe));
    assert_eq!(hash("a", "a.test", Mode::Enforce).len(), 16);
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let host = "(\\*\\*)|((\\*\\.|\\*\\*\\.)?(a\\.|b\\.){0,2}t)";
    let ports = prop_oneof![
        3 => Just(Ports::Unset),
        1 => prop::collection::vec((1u16..4).prop_map(|port| port..=port + 1), 0..2).prop_map(|p| Ports::Only(p.into())),
    ];
    let methods = prop_oneof![
        2 => Just(Methods::All),
        1 => prop::sample::subsequence(vec![Method::GET, Method::POST], 0..=2).prop_map(|m| Methods::Only(m.into())),
    ];
    let paths = prop_oneof![
        2 => Just(Paths::ALL),
        1 => prop::sample::subsequence(vec!["/a/**", "/a/b", "/*"], 0..=2).prop_map(|g| Paths::only(&g).unwrap()),
    ];
    (host, ports, methods, paths, prop::bool::weighted(0.2)).prop_map(|(host, ports, methods, paths, tunnel)| Rule {
        ports,
        methods,
        paths,
        tls: if tunnel { TlsMode::Tunnel } else { TlsMode::Intercept },
        ..Rule::new("t", host.parse().unwrap())
    })
}

fn any_target() -> impl Strategy<Value = Target> {
    let paths = vec!["/", "/a", "/a/b", "//a/b", "/a%2Fb", "/a/b/c", "/c"];
    (any::<bool>(), "(a\\.|b\\.){0,3}t", 1u16..5, prop::sample::select(paths), any::<bool>()).prop_map(
        |(https, host, port, path, post)| {
            let (scheme, default) = if https { ("https", 443) } else { ("http", 80) };
            let port = if port == 4 { default } else { port };
            request(if post { "POST" } else { "GET" }, &format!("{scheme}://{host}:{port}{path}"))
        },
    )
}

fn compiled(allow: Vec<Rule>, deny: Vec<Rule>) -> Option<Policy> {
    Policy::new("t", Mode::Enforce, Rules { allow, deny }).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn one_more_deny_never_allows_more(
        allow in prop::collection::vec(any_rule(), 0..4),
        deny in prop::collection::vec(any_rule(), 0..3),
        more in any_rule(),
        targets in prop::collection::vec(any_target(), 8),
    ) {
        let with = compiled(allow.clone(), [deny.clone(), vec![more]].concat());
        if let (Some(without), Some(with)) = (compiled(allow, deny), with) {
            for target in &targets {
                prop_assert!(with.decide(target).is_err() || without.decide(target).is_ok(), "{}", target);
                let tunnel = &target.authority;
                prop_assert!(with.decide_tunnel(tunnel).is_err() || without.decide_tunnel(tunnel).is_ok());
            }
        }
    }

    #[test]
    fn one_allow_less_never_allows_more(
        allow in prop::collection::vec(any_rule(), 1..5),
        deny in prop::collection::vec(any_rule(), 0..3),
        targets in prop::collection::vec(any_target(), 8),
    ) {
        if let (Some(less), Some(all)) = (compiled(allow[1..].to_vec(), deny.clone()), compiled(allow, deny)) {
            for target in &targets {
                prop_assert!(less.decide(target).is_err() || all.decide(target).is_ok(), "{}", target);
                let tunnel = &target.authority;
                prop_assert!(less.decide_tunnel(tunnel).is_err() || all.decide_tunnel(tunnel).is_ok());
            }
        }
    }

    #[test]
    fn what_may_be_requested_may_be_tunnelled_to(
        allow in prop::collection::vec(any_rule(), 0..5),
        deny in prop::collection::vec(any_rule(), 0..3),
        targets in prop::collection::vec(any_target(), 8),
    ) {
        if let Some(policy) = compiled(allow, deny) {
            for target in targets.iter().filter(|target| target.scheme == Scheme::Https) {
                if let Ok(permit) = policy.decide(target) {
                    let tunnel = policy.decide_tunnel(&target.authority);
                    prop_assert!(tunnel.is_ok(), "{} by {}", target, permit.rule());
                }
            }
        }
    }

    #[test]
    fn the_decision_is_what_the_rules_say_one_by_one(
        allow in prop::collection::vec(any_rule(), 0..5),
        deny in prop::collection::vec(any_rule(), 0..3),
        targets in prop::collection::vec(any_target(), 8),
    ) {
        if let Some(policy) = compiled(allow.clone(), deny.clone()) {
            for target in &targets {
                let host = &target.authority.host;
                let allowed = allow.iter().any(|rule| {
                    rule.host.matches(host)
                        && rule.allows_port(target.scheme, &target.authority)
                        && rule.allows_inside(target) == Allowed::Yes
                });
                let denied = deny.iter().any(|rule| {
                    rule.host.matches(host) && rule.denies_port(&target.authority) && rule.denies_inside(target)
                });
                // A void rule says nothing, whatever its host.
                prop_assert_eq!(policy.decide(target).is_ok(), allowed && !denied, "{}", target);
            }
        }
    }
}
