//! What a session may reach: hosts, ports, methods, paths; deny wins; observe only tells.

use crate::support::*;

const CANARY: &str = "plain.exeat.test";

/// A world whose every name leads to the same origin.
fn world(policy: &str, origin: &Origin) -> World {
    World::start(Setup::under(policy).origin("**", origin))
}

fn allow(rules: &[&str]) -> String {
    policy_for(rules)
}

#[test]
fn names_and_ports_are_matched_whole() {
    let origin = Origin::tls().echo();
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let policy = allow(&[
        "host: allowed.test",
        "host: \"*.wild.test\"",
        "host: \"**.deep.test\"",
        "host: ported.test, ports: [8443, 9443]",
        "host: bücher.test",
    ]);
    let world = World::start(Setup::under(&policy).origin("**", &origin).nameserver(&nameserver));
    for (authority, listed) in [
        ("allowed.test:443", true),
        ("ALLOWED.test:443", true),
        ("allowed.test.:443", true),
        ("a.wild.test:443", true),
        ("xn--bcher-kva.test:443", true),
        ("a.deep.test:443", true),
        ("a.b.c.deep.test:443", true),
        ("ported.test:8443", true),
        ("ported.test:9443", true),
        ("allowed.test:22", false),
        ("allowed.test:8443", false),
        ("ported.test:443", false),
        ("allowed.test.evil.test:443", false),
        ("evilallowed.test:443", false),
        ("sub.allowed.test:443", false),
        ("allowed.tes:443", false),
        ("allowed.testt:443", false),
        ("test:443", false),
        ("allowed:443", false),
        ("wild.test:443", false),
        ("a.b.wild.test:443", false),
        ("awild.test:443", false),
        ("a.wild.test.evil.test:443", false),
        ("deep.test:443", false),
        ("adeep.test:443", false),
        ("a.deep.test.evil.test:443", false),
        ("xn--bcher-kva.evil.test:443", false),
        ("127.0.0.1:443", false),
        ("[::1]:443", false),
        ("localhost:443", false),
    ] {
        let (_, response) = world.agent().connect(authority, "");
        if listed {
            assert_eq!(response.status, 200, "{authority}: {}", response.text());
        } else {
            let refusal = assert_refused(&response, "dest_not_listed");
            let host = authority.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
            assert!(refusal["detail"].as_str().unwrap().contains(host), "{refusal}");
        }
    }
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn a_rule_without_ports_is_for_the_schemes_default() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test"]), &origin);
    assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
    assert_eq!(world.agent().get("http://plain.exeat.test:80/").status, 200);
    assert_refused(&world.agent().get("http://plain.exeat.test:8080/"), "dest_not_listed");
    assert_refused(&world.agent().get("http://plain.exeat.test:443/"), "dest_not_listed");
}

#[test]
fn two_stars_alone_are_every_name() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: \"**\""]), &origin);
    for host in ["plain.exeat.test", "a.b.c.example", "single"] {
        assert_eq!(world.agent().get(&format!("http://{host}/")).status, 200, "{host}");
    }
}

#[test]
fn methods_are_held_to_the_rule() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test, methods: [GET, HEAD]"]), &origin);
    assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
    for method in ["POST", "PUT", "DELETE", "get", "GETX", "PATCH"] {
        let response = world.agent().request(method, "http://plain.exeat.test/", "Content-Length: 0\r\n", b"");
        let refusal = assert_refused(&response, "request_not_listed");
        assert!(refusal["detail"].as_str().unwrap().contains("plain.exeat.test"), "{refusal}");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn read_only_is_short_for_three_methods() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test, methods: read-only"]), &origin);
    for (method, status) in [("GET", 200), ("HEAD", 200), ("OPTIONS", 200), ("POST", 403), ("DELETE", 403)] {
        let response = world.agent().request(method, "http://plain.exeat.test/", "", b"");
        assert_eq!(response.status, status, "{method}");
    }
}

#[test]
fn a_header_that_overrides_the_method_does_not_change_what_is_judged() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test, methods: [GET]"]), &origin);
    let fields = "X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n";
    assert_refused(&world.agent().request("POST", "http://plain.exeat.test/", fields, b""), "request_not_listed");
}

#[test]
fn paths_are_matched_in_every_reading() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test, paths: [\"/repos/acme/**\", \"/exact\"]"]), &origin);
    for (path, status) in [
        ("/repos/acme/x", 200),
        ("/repos/acme/a/b/c?q=1", 200),
        ("/repos/%61cme/x", 200),
        ("/exact", 200),
        ("/exact?a=/../..", 200),
        ("/exact/", 403),
        ("/exact/more", 403),
        ("/repos/other/x", 403),
        ("/repos/acmex/y", 403),
        ("/REPOS/acme/x", 403),
        ("/repos//acme/x", 403),
        ("/", 403),
        ("/?/repos/acme/x", 403),
        ("/repos/acme/../other/x", 400),
        ("/repos/acme/..%2fother/x", 400),
        ("/repos/acme/%2e%2e/other", 400),
        ("/repos/acme/%252e%252e/other", 400),
        ("/repos/acme/..;/other", 400),
        ("/repos/acme\\..\\other", 400),
        ("/repos/acme/%zz", 400),
    ] {
        let response = world.agent().get(&format!("http://plain.exeat.test{path}"));
        assert_eq!(response.status, status, "{path}: {}", response.text());
    }
    for request in origin.requests() {
        assert!(!request.target.contains("other"), "{request:?}");
    }
}

#[test]
fn a_path_goes_up_as_it_was_sent() {
    let origin = Origin::plain().echo();
    let world = world(&allow(&["host: plain.exeat.test"]), &origin);
    for path in ["/@scope%2fname", "/a%20b?q=%2F&r=a+b", "/;v=1/x", "//double", "/~user/'()*!", "/?"] {
        assert_eq!(world.agent().get(&format!("http://plain.exeat.test{path}")).text(), format!("GET {path}\n"));
    }
}

#[test]
fn deny_wins_over_allow() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: \"**.exeat.test\""]) + "deny: [{host: evil.exeat.test}]";
    let world = world(&policy, &origin);
    assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
    let refusal = assert_refused(&world.agent().get("http://evil.exeat.test/"), "dest_denied");
    assert!(refusal["rule"].is_string(), "{refusal}");
    assert_refused(&world.agent().refused("evil.exeat.test:443"), "dest_denied");
}

#[test]
fn a_denied_path_is_denied_in_any_reading() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: plain.exeat.test"]) + "deny: [{host: plain.exeat.test, paths: [\"/admin/**\"]}]";
    let world = world(&policy, &origin);
    for path in ["/admin/x", "/%61dmin/x", "//admin/x", "/admin;v=1/x", "/%2561dmin/x", "/admin%2fx", "/admin//x"] {
        let response = world.agent().get(&format!("http://plain.exeat.test{path}"));
        assert!(matches!(response.status, 400 | 403), "{path} passed");
    }
    for path in ["/ADMIN/x", "/x/admin/y", "/administrator"] {
        assert_eq!(world.agent().get(&format!("http://plain.exeat.test{path}")).status, 200, "{path}");
    }
}

#[test]
fn a_deny_of_one_method_leaves_the_others() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: plain.exeat.test"]) + "deny: [{host: plain.exeat.test, methods: [DELETE]}]";
    let world = world(&policy, &origin);
    assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
    assert_refused(&world.agent().request("DELETE", "http://plain.exeat.test/", "", b""), "dest_denied");
}

#[test]
fn rules_hold_inside_an_opened_tunnel() {
    let origin = Origin::tls().echo();
    let policy = allow(&["host: tls.exeat.test, methods: [GET], paths: [\"/ok/**\"]"])
        + "deny: [{host: tls.exeat.test, paths: [\"/ok/not/**\"]}]";
    let world = world(&policy, &origin);
    let mut tls = world.agent().https("tls.exeat.test");
    assert_eq!(tls.get("tls.exeat.test", "/ok/x").status, 200);
    assert_refused(&tls.get("tls.exeat.test", "/other"), "request_not_listed");
    assert_refused(&tls.get("tls.exeat.test", "/ok/not/x"), "dest_denied");
    assert_refused(&tls.ask("DELETE", "tls.exeat.test", "/ok/x", "", b""), "request_not_listed");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_more_specific_rule_says_what_happens_to_tls() {
    let origin = Origin::tls().echo();
    let rules = ["host: \"**.exeat.test\", tls: intercept", "host: pinned.exeat.test, tls: tunnel"];
    let world = world(&allow(&rules), &origin);
    let hello = Hello::through("pinned.exeat.test");
    let mut relayed = world.agent().https_with("pinned.exeat.test:443", &hello);
    assert_eq!(relayed.get("pinned.exeat.test", "/").status, 200);
    assert_eq!(world.agent().https("other.exeat.test").get("other.exeat.test", "/").status, 200);
}

#[test]
fn observe_lets_pass_and_tells_what_it_would_have_refused() {
    let origin = Origin::plain().echo();
    let policy = format!("mode: observe\n{}", allow(&["host: listed.exeat.test"]));
    let nameserver = Nameserver::always(&["192.0.2.1"]);
    let world = World::start(Setup::under(&policy).origin("**.exeat.test", &origin).nameserver(&nameserver));
    assert_eq!(world.agent().get("http://listed.exeat.test/").status, 200);
    world.records(1);
    // Not listed, so no rule names the loopback range: the SSRF guard is stopped by nothing.
    assert_refused(&world.agent().get("http://plain.exeat.test/"), "dest_address_forbidden");
    let records = world.into_records();
    assert_eq!(records[0].verdict(), "allowed");
    assert_eq!(records[1].reason(), "dest_address_forbidden");
}

#[test]
fn observe_records_the_denial_of_a_method() {
    let origin = Origin::plain().echo();
    let policy = format!(
        "mode: observe\n{}",
        allow(&["host: plain.exeat.test, methods: [GET]", "host: \"**.exeat.test\", methods: [PUT]"])
    );
    let world = world(&policy, &origin);
    let response = world.agent().post("http://plain.exeat.test/", b"x");
    let records = world.records(1);
    if response.status == 200 {
        assert_eq!((records[0].verdict(), records[0].reason()), ("observed", "request_not_listed"), "{records:#?}");
    } else {
        assert_refused(&response, "dest_address_forbidden");
    }
}

#[test]
fn presets_list_the_hosts_of_their_clients() {
    let world =
        World::start(Setup::under("presets: [github-read, npm, pypi, crates, anthropic]").connect("**", "127.0.0.1:9"));
    for host in [
        "api.github.com",
        "github.com",
        "registry.npmjs.org",
        "pypi.org",
        "files.pythonhosted.org",
        "index.crates.io",
        "static.crates.io",
        "api.anthropic.com",
    ] {
        // Listed, and stopped only because loopback is not named by any of these rules.
        assert_refused(&world.agent().refused(&format!("{host}:443")), "dest_address_forbidden");
    }
    for host in ["gist.github.com.evil.test", "example.com", "evil.npmjs.org.test"] {
        assert_refused(&world.agent().refused(&format!("{host}:443")), "dest_not_listed");
    }
}

#[test]
fn deny_wins_over_a_preset() {
    let policy = "presets: [pypi]\ndeny: [{host: pypi.org}]";
    let world = World::start(Setup::under(policy).connect("**", "127.0.0.1:9"));
    assert_refused(&world.agent().refused("pypi.org:443"), "dest_denied");
    assert_refused(&world.agent().refused("files.pythonhosted.org:443"), "dest_address_forbidden");
}

#[test]
fn a_refusal_tells_an_agent_what_would_help() {
    let world = World::start(Setup::new().connect("**", "127.0.0.1:9"));
    let refusal = assert_refused(&world.agent().get("http://evil.test/x?token=abc"), "dest_not_listed");
    assert!(refusal["hint"].as_str().unwrap().contains("--allow"), "{refusal}");
    assert_eq!(refusal["session"], "dev", "{refusal}");
    assert!(!refusal.to_string().contains("abc"), "the query is told: {refusal}");
}

#[test]
fn a_budget_of_requests_is_held() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: plain.exeat.test"]) + "limits: {requests_per_minute: 5}";
    let world = world(&policy, &origin);
    let statuses: Vec<u16> = (0..8).map(|_| world.agent().get("http://plain.exeat.test/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    let last = world.agent().get("http://plain.exeat.test/");
    assert_refused(&last, "quota_exceeded");
    assert!(last.field("retry-after").is_some(), "{last:?}");
}

#[test]
fn a_budget_of_bytes_is_held() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: plain.exeat.test"]) + "limits: {upload: 100KiB}";
    let world = world(&policy, &origin);
    assert_eq!(world.agent().post("http://plain.exeat.test/", &[b'x'; 50_000]).status, 200);
    let response = world.agent().post("http://plain.exeat.test/", &[b'x'; 80_000]);
    assert_refused(&response, "quota_exceeded");
    assert!(origin.requests().len() == 1, "the second upload came through whole");
}

#[test]
fn one_sessions_budget_is_not_anothers() {
    let origin = Origin::plain().echo();
    let policy = allow(&["host: plain.exeat.test"]) + "limits: {requests_per_minute: 2}";
    let world = World::start(Setup::under(&policy).session("two", "agent").origin(CANARY, &origin));
    for _ in 0..4 {
        world.agent().get("http://plain.exeat.test/");
    }
    assert_refused(&world.agent().get("http://plain.exeat.test/"), "quota_exceeded");
    assert_eq!(world.agent_of("two").get("http://plain.exeat.test/").status, 200);
}

#[test]
fn a_budget_of_connections_is_held_and_given_back() {
    let origin = Origin::plain().silent();
    let rule = "host: plain.exeat.test, ports: [443], tls: tunnel, protocols: [any]";
    let world = world(&(allow(&[rule]) + "limits: {connections: 3}"), &origin);
    let agent = world.agent();
    let held: Vec<_> = (0..3).map(|_| agent.tunnel("plain.exeat.test:443")).collect();
    assert_refused_with(&agent.refused("plain.exeat.test:443"), &["quota_exceeded", "too_many_connections"]);
    drop(held);
    world.records(4);
    assert_eq!(agent.connect("plain.exeat.test:443", "").1.status, 200);
}
