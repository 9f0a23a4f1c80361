//! Header fields: which pass and how, which stay on their side, and which route nothing.

use crate::forward::{url, world};
use crate::support::*;

#[test]
fn large_header_fields_within_the_limit_pass() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let value = "v".repeat(30_000);
    let response = world.agent().request("GET", &url("/"), &format!("X-Large: {value}\r\n"), b"");
    assert_eq!(response.status, 200);
    assert_eq!(origin.only_request().field("x-large"), Some(value.as_str()));
}

#[test]
fn a_large_answer_head_within_the_limit_passes() {
    let value = "v".repeat(30_000);
    let reply = Reply::ok("x").with("X-Large", &value);
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/")).field("x-large"), Some(value.as_str()));
}

#[test]
fn hop_by_hop_fields_of_a_request_stay_here() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                  TE: gzip\r\nX-Stays: yes\r\n";
    assert_eq!(world.agent().request("GET", &url("/"), fields, b"").status, 200);
    let request = origin.only_request();
    for name in ["x-mine", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(request.field(name), None, "{name} went up");
    }
    assert_eq!(request.field("x-stays"), Some("yes"));
}

#[test]
fn hop_by_hop_fields_of_an_answer_stay_there() {
    let reply = Reply::ok("x")
        .with("Connection", "X-Mine")
        .with("X-Mine", "1")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Authenticate", "Basic")
        .with("X-Stays", "yes");
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    let response = world.agent().get(&url("/"));
    for name in ["x-mine", "keep-alive", "proxy-authenticate"] {
        assert_eq!(response.field(name), None, "{name} came down");
    }
    assert_eq!(response.field("x-stays"), Some("yes"));
}

#[test]
fn alt_svc_is_taken_out_of_answers() {
    let reply = Reply::ok("x").with("Alt-Svc", "h3=\":443\"; ma=86400");
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/")).field("alt-svc"), None);
}

#[test]
fn proxy_credentials_never_go_upstream() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/")).status, 200);
    let bytes = String::from_utf8(origin.bytes()).unwrap().to_ascii_lowercase();
    assert!(!bytes.contains("proxy-"), "{bytes}");
    assert!(!bytes.contains(&world.token("dev").to_ascii_lowercase()));
}

#[test]
fn an_origins_own_authorization_goes_up() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().request("GET", &url("/"), "Authorization: Basic dTpw\r\n", b"").status, 200);
    assert_eq!(origin.only_request().field("authorization"), Some("Basic dTpw"));
}

#[test]
fn field_names_and_values_go_up_as_sent_and_in_their_order() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "X-First: one\r\nx-SECOND: t w o\r\nSet: a\r\nSet: b\r\nX-Empty:\r\n";
    assert_eq!(world.agent().request("GET", &url("/"), fields, b"").status, 200);
    let sent: Vec<_> = origin.only_request().fields.into_iter().filter(|(name, _)| name != "Host").collect();
    let expected = [("X-First", "one"), ("x-SECOND", "t w o"), ("Set", "a"), ("Set", "b"), ("X-Empty", "")];
    let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!(expected.iter().all(|field| sent.contains(field)), "{sent:?}");
    let places: Vec<_> = expected.iter().map(|field| sent.iter().position(|other| other == field)).collect();
    assert!(places.is_sorted(), "{sent:?}");
}

#[test]
fn routing_headers_of_the_client_route_nothing() {
    let (origin, canary) = (Origin::plain().echo(), Origin::plain().echo());
    let world = world(&origin);
    let at = canary.address;
    let fields = format!(
        "X-Forwarded-Host: {at}\r\nX-Upstream-Https-Proxy: http://{at}\r\nForwarded: host={at}\r\nX-Host: {at}\r\n"
    );
    assert_eq!(world.agent().request("GET", &url("/"), &fields, b"").status, 200);
    assert_eq!(origin.requests().len(), 1);
    canary.assert_never_contacted();
}
