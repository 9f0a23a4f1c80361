//! Parent proxies: other gateways as parents, and parents that fail in every way.

use crate::support::agent::push;
use crate::support::*;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const HOST: &str = "far.exeat.test";
const URL: &str = "http://far.exeat.test/x";

/// A gateway that lets anything through to 127.0.0.1 and to the name: a parent, whatever it speaks.
fn parent_world(origin: &Origin) -> World {
    let rules = [
        "host: \"127.0.0.1\", ports: [\"1-65535\"], tls: tunnel, protocols: [any]",
        "host: far.exeat.test, ports: [80, 443], tls: tunnel, protocols: [any]",
    ];
    let setup = Setup::allowing(&rules).origin(HOST, origin).listen("socks: \"127.0.0.1:0\"");
    World::start(setup.listen("tls: {address: \"127.0.0.1:0\"}"))
}

fn child(parent: &str, origin: &Origin) -> Setup {
    Setup::new().origin(HOST, origin).parent(&format!("url: {parent:?}, credentials: \"env:PARENT\""))
}

/// What the parent wants to be shown, as its child has it.
fn credentials(parent: &World) -> String {
    format!("dev:{}", parent.token("dev"))
}

/// Everything goes through the parent, which gets the address that was vetted.
#[track_caller]
fn assert_goes_through(url: &str, parent: World, setup: impl Fn(Setup) -> Setup, secure: &Origin, plain: &Origin) {
    for origin in [secure, plain] {
        let setup = setup(child(url, origin).env("PARENT", &credentials(&parent)));
        let world = World::start(setup);
        if std::ptr::eq(origin, plain) {
            assert_eq!(world.agent().get(URL).text(), "GET /x\n");
        } else {
            assert_eq!(world.agent().https(HOST).get(HOST, "/x").text(), "GET /x\n");
        }
        let records = world.into_records();
        let requests = records.requests();
        assert_eq!(requests[0].text("/upstream/parent"), Some(url), "{records:#?}");
        assert_eq!(requests[0].text("/upstream/address"), Some(origin.address.to_string().as_str()));
        assert!(!format!("{records:?}").contains(parent.token("dev")));
    }
    let records = parent.into_records();
    let asked: Vec<_> = records.iter().map(Record::host).collect();
    assert_eq!(asked, ["127.0.0.1", "127.0.0.1"], "{records:#?}");
}

#[test]
fn an_http_parent_opens_the_way() {
    let (secure, plain) = (Origin::tls().echo(), Origin::plain().echo());
    let parent = parent_world(&secure);
    let url = format!("http://{}", parent.proxy);
    assert_goes_through(&url, parent, |setup| setup, &secure, &plain);
}

#[test]
fn an_https_parent_opens_the_way() {
    let (secure, plain) = (Origin::tls().echo(), Origin::plain().echo());
    let parent = parent_world(&secure);
    let (url, ca) = (format!("https://{}", parent.listening("tls")), parent.ca());
    assert_goes_through(&url, parent, |setup| setup.trusting("parent.pem", &ca), &secure, &plain);
}

#[test]
fn a_socks5_parent_opens_the_way() {
    let (secure, plain) = (Origin::tls().echo(), Origin::plain().echo());
    let parent = parent_world(&secure);
    let url = format!("socks5://{}", parent.listening("socks"));
    assert_goes_through(&url, parent, |setup| setup, &secure, &plain);
}

#[test]
fn an_https_parent_whose_certificate_is_not_trusted_gets_no_credentials() {
    let origin = Origin::plain().echo();
    let parent = parent_world(&origin);
    let url = format!("https://{}", parent.listening("tls"));
    let world = World::start(child(&url, &origin).env("PARENT", &credentials(&parent)));
    assert_failed(&world.agent().get(URL), "upstream_parent_failed");
    assert!(parent.into_records().iter().all(|record| record.reason() == "downstream_tls_failed"));
}

#[test]
fn a_relay_goes_through_the_parent_too() {
    let origin = Origin::tls().echo();
    let parent = parent_world(&origin);
    let rule = "host: far.exeat.test, tls: tunnel";
    let keys = format!("url: \"http://{}\", credentials: \"env:PARENT\"", parent.proxy);
    let setup = Setup::allowing(&[rule]).origin(HOST, &origin).parent(&keys).env("PARENT", &credentials(&parent));
    let world = World::start(setup);
    let mut tls = world.agent().https_with("far.exeat.test:443", &Hello::through(HOST));
    assert_eq!(tls.get(HOST, "/x").text(), "GET /x\n");
}

/// A parent that keeps the heads that it gets and answers with these bytes.
fn scripted(answer: &'static [u8]) -> (Origin, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let own = heads.clone();
    let origin = Origin::plain().raw(move |peer| {
        let Some(head) = peer.request_head()? else { return Ok(()) };
        let fields: String = head.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        own.lock().unwrap().push(format!("{} {}\n{fields}", head.method, head.target));
        push(peer, answer);
        peer.rest().map(|_| ())
    });
    (origin, heads)
}

fn through(parent: SocketAddr, rule: &str) -> World {
    let keys = format!("url: \"http://{parent}\", credentials: \"env:PARENT\"");
    let setup = Setup::allowing(&[rule]).connect(HOST, "127.0.0.1:4711").parent(&keys);
    World::start(setup.env("PARENT", "me:secret").extra("limits: {connect_timeout: 1s}"))
}

#[test]
fn a_name_is_handed_over_only_where_the_rule_says_so() {
    for (rule, asked) in [
        ("host: far.exeat.test", "CONNECT 127.0.0.1:4711\n"),
        ("host: far.exeat.test, resolve: gateway", "CONNECT 127.0.0.1:4711\n"),
    ] {
        let (parent, heads) = scripted(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
        let world = through(parent.address, rule);
        assert_eq!(world.agent().get(URL).status, 204, "{rule}");
        let heads = heads.lock().unwrap();
        assert!(heads[0].starts_with(asked), "{heads:?}");
        assert!(heads[0].contains("Proxy-Authorization: Basic bWU6c2VjcmV0\n"), "{heads:?}");
        assert!(!heads[0].contains(world.token("dev")));
    }
}

const BY_NAME: &str = "host: far.exeat.test, resolve: parent";

#[test]
fn a_parent_that_is_given_the_name_gets_plain_requests_in_absolute_form_and_websockets_by_a_tunnel() {
    let (parent, heads) = scripted(b"HTTP/1.1 204 No Content\r\n\r\n");
    let world = through(parent.address, BY_NAME);
    assert_eq!(world.agent().get("http://far.exeat.test/a?b").status, 204);
    {
        let heads = heads.lock().unwrap();
        assert!(heads[0].starts_with("GET http://far.exeat.test/a?b\nHost: far.exeat.test\n"), "{heads:?}");
        assert_eq!(heads[0].matches("Proxy-Authorization: Basic bWU6c2VjcmV0\n").count(), 1, "{heads:?}");
        assert!(heads[0].contains("Via: 1.1 exeat-") && !heads[0].contains(world.token("dev")), "{heads:?}");
    }
    let asking = crate::support::websocket::asking("");
    let agent = world.agent();
    let waiting = agent.send(agent.head("GET", URL, &asking));
    let seen = parent.wait("a tunnel", |seen| seen.get(1).is_some_and(|seen| seen.bytes.ends_with(b"\r\n\r\n")));
    assert!(seen[1].bytes.starts_with(b"CONNECT far.exeat.test:80 HTTP/1.1\r\n"), "{seen:?}");
    drop(waiting);
    let records = world.into_records();
    assert_eq!(records[0].text("/upstream/address"), Some(parent.address.to_string().as_str()), "{records:#?}");
}

#[test]
fn a_parent_s_own_refusal_of_credentials_is_not_for_the_agent() {
    let (parent, _) = scripted(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n");
    let world = through(parent.address, BY_NAME);
    let response = world.agent().get(URL);
    assert_failed(&response, "upstream_parent_refused");
    assert_eq!(response.field("proxy-authenticate"), None);
}

/// The parent's own address is an inner one, as parents' are.
#[test]
fn connections_through_a_parent_are_used_again() {
    let origin = Origin::plain().echo();
    let parent = parent_world(&origin);
    let keys = format!("url: \"http://{}\", credentials: \"env:PARENT\"", parent.proxy);
    let setup = Setup::allowing(&[BY_NAME]).parent(&keys).env("PARENT", &credentials(&parent));
    let world = World::start(setup);
    for _ in 0..3 {
        assert_eq!(world.agent().get(URL).text(), "GET /x\n");
    }
    drop(world);
    let records = parent.into_records();
    assert_eq!(records.len(), 3, "{records:#?}");
    let from: std::collections::BTreeSet<_> = records.iter().map(|record| record.text("/downstream/address")).collect();
    assert_eq!(from.len(), 1, "{records:#?}");
}

#[test]
fn an_address_that_may_not_be_dialled_is_not_asked_for() {
    let (parent, heads) = scripted(b"HTTP/1.1 200 OK\r\n\r\n");
    let policy = "allow: [{host: far.exeat.test}, {host: \"127.0.0.1\", ports: [80]}]";
    let keys = format!("url: \"http://{}\"", parent.address);
    let world = World::start(Setup::under(policy).connect(HOST, "10.0.0.1:80").parent(&keys));
    assert_refused(&world.agent().get(URL), "dest_address_forbidden");
    assert_refused(&world.agent().get("http://127.0.0.1/"), "dest_address_forbidden");
    assert!(heads.lock().unwrap().is_empty());
}

#[test]
fn a_host_of_the_bypass_list_is_dialled_without() {
    let origin = Origin::plain().echo();
    let (parent, heads) = scripted(b"HTTP/1.1 200 OK\r\n\r\n");
    let keys = format!("url: \"http://{}\", bypass: [\"**.exeat.test\"]", parent.address);
    let world = World::start(Setup::new().origin(HOST, &origin).parent(&keys));
    assert_eq!(world.agent().get(URL).text(), "GET /x\n");
    assert!(heads.lock().unwrap().is_empty());
    assert_eq!(world.into_records()[0].text("/upstream/parent"), None);
}

#[test]
fn a_parent_that_fails_is_told_by_its_reason() {
    let refusals: [(&'static [u8], &str); 8] = [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello", "upstream_parent_refused"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "upstream_parent_refused"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "upstream_parent_refused"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://evil.test/\r\n\r\n", "upstream_parent_refused"),
        (b"\x05\x00", "upstream_parent_timeout"),
        (b"HTTP/1.1 200 OK\nX: y\n\n", "upstream_parent_failed"),
        (b"SSH-2.0-x\r\n\r\n", "upstream_parent_failed"),
        (b"HTTP/1.1 200 OK\r\nX: ", "upstream_parent_timeout"),
    ];
    for (answer, reason) in refusals {
        let (parent, _) = scripted(answer);
        let world = through(parent.address, "host: far.exeat.test");
        assert_failed(&world.agent().get(URL), reason);
        assert_failed(&world.agent().get(URL), reason);
    }
    let closing = Origin::plain().raw(|_| Ok(()));
    assert_failed(&through(closing.address, "host: far.exeat.test").agent().get(URL), "upstream_parent_failed");
    let nobody = "127.0.0.1:1".parse().unwrap();
    assert_failed(&through(nobody, "host: far.exeat.test").agent().get(URL), "upstream_parent_failed");
}

#[test]
fn a_parent_that_does_not_open_the_way_is_told_before_the_200() {
    let (parent, _) = scripted(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    let world = through(parent.address, "host: far.exeat.test, tls: tunnel");
    assert_failed(&world.agent().refused("far.exeat.test:443"), "upstream_parent_refused");
}

#[test]
fn what_an_origin_says_right_behind_the_parents_head_is_not_lost() {
    let (parent, _) = scripted(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-server\r\n");
    let world = through(parent.address, "host: far.exeat.test, ports: [22], tls: tunnel, protocols: [ssh]");
    let mut wire = world.agent().tunnel("far.exeat.test:22");
    push(&mut wire, b"SSH-2.0-client\r\n");
    assert_eq!(wire.exact(16).unwrap(), b"SSH-2.0-server\r\n");
}

#[test]
fn a_request_that_was_here_before_is_a_loop() {
    let (parent, heads) = scripted(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    let world = through(parent.address, "host: far.exeat.test");
    assert_failed(&world.agent().get(URL), "upstream_parent_refused");
    let via = heads.lock().unwrap()[0].lines().find(|line| line.starts_with("Via: ")).unwrap().to_owned();
    let fields = format!("Via: 1.1 squid\r\n{via}, 1.1 other\r\n");
    assert_refused(&world.agent().request("GET", URL, &fields, b""), "loop_detected");
    let (_, response) = world.agent().connect("far.exeat.test:443", &fields);
    assert_refused(&response, "loop_detected");
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[test]
fn the_gateway_is_not_its_own_parent() {
    let world = World::start(
        Setup::new().connect(HOST, "127.0.0.1:4711").listening(0, 0).parent("url: \"http://127.0.0.1:9\""),
    );
    assert_failed(&world.agent().get(URL), "upstream_parent_failed");
    let port = world.proxy.port();
    drop(world);
    let setup = Setup::new().connect(HOST, "127.0.0.1:4711").listening(port, 0);
    let world = World::start(setup.parent(&format!("url: \"http://127.0.0.1:{port}\"")));
    assert_refused(&world.agent().get(URL), "self_connection");
}
