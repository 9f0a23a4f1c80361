//! What the network leads to the gateway: agents that know of no proxy, in a network namespace of their own.

use crate::support::agent::{dial, push};
use crate::support::hello::{client_hello, ech_outer, with_extension};
use crate::support::*;
use std::net::SocketAddr;
use std::process::{Command, Output};

const HOST: &str = "led.exeat.test";
/// Documentation addresses: nobody is there, so that whatever answers was led astray.
const TLS: &str = "198.51.100.7:443";
const PLAIN: &str = "198.51.100.7:80";

const TLS_V6: &str = "[2001:db8::7]:443";
const PLAIN_V6: &str = "[2001:db8::7]:80";

const REDIRECT_V6: &str = "
ip -6 address add 2001:db8:1::1/128 dev lo && ip -6 route add default dev lo src 2001:db8:1::1 &&
ip6tables -t nat -A OUTPUT -p tcp -d 2001:db8::/64 -j REDIRECT --to-ports 3130";
const REDIRECT: &str = "
iptables -t nat -A OUTPUT -p tcp -d 198.51.100.0/24 -j REDIRECT --to-ports 3130";
const TPROXY: &str = "
ip rule add fwmark 1 lookup 100 && ip route add local default dev lo table 100 &&
iptables -t mangle -A OUTPUT -p tcp -d 198.51.100.0/24 -j MARK --set-mark 1 &&
iptables -t mangle -A PREROUTING -p tcp -d 198.51.100.0/24 -j TPROXY --on-port 3130 --tproxy-mark 1";

/// Runs words of a shell where the network is the test's own.
fn in_namespace(words: &str) -> Output {
    let prepare = "ip link set lo up && ip route add default dev lo src 127.0.0.1";
    Command::new("unshare").args(["-rn", "sh", "-c", &format!("{prepare} && {words}")]).output().unwrap()
}

/// Runs an inner test of this file there.
fn run_inside(rules: &str, inner: &str) {
    let allowed = in_namespace(rules);
    if !allowed.status.success() {
        // Aloud: a machine that lets nobody make namespaces can't show this.
        eprintln!("SKIPPED {inner}: {}", String::from_utf8_lossy(&allowed.stderr));
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let name = format!("transparent::{inner}");
    let done = in_namespace(&format!("{rules}\nexec {} --ignored --exact {name}", binary.display()));
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn redirected_connections_are_judged_by_their_names() {
    run_inside(REDIRECT, "inside_redirect");
}

#[test]
fn redirected_connections_of_ipv6_are_judged_by_their_names() {
    run_inside(REDIRECT_V6, "inside_redirect_v6");
}

#[test]
fn connections_of_tproxy_are_judged_by_their_names() {
    run_inside(TPROXY, "inside_tproxy");
}

#[test]
fn a_connection_to_the_listener_itself_leads_nowhere() {
    let origin = Origin::tls().echo();
    let setup = Setup::new().origin(HOST, &origin).listen("transparent: {address: \"127.0.0.1:0\", session: dev}");
    let world = World::start(setup);
    let mut wire = dial(world.listening("transparent"));
    push(&mut wire, &client_hello(&Hello::to(&world, HOST)));
    assert!(wire.rest().unwrap_or_default().is_empty());
    origin.assert_never_contacted();
    world.into_records().only("denied", "self_connection");
}

#[test]
#[ignore = "runs in a network namespace, started by redirected_connections_are_judged_by_their_names"]
fn inside_redirect() {
    names_decide("redirect", "0.0.0.0", [TLS, PLAIN]);
    sources_are_sessions("redirect");
    loops_are_refused();
}

#[test]
#[ignore = "runs in a network namespace, started by connections_of_tproxy_are_judged_by_their_names"]
fn inside_tproxy() {
    names_decide("tproxy", "0.0.0.0", [TLS, PLAIN]);
}

#[test]
#[ignore = "runs in a network namespace, started by redirected_connections_of_ipv6_are_judged_by_their_names"]
fn inside_redirect_v6() {
    names_decide("redirect", "[::]", [TLS_V6, PLAIN_V6]);
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn setup(original: &str, at: &str, session: &str) -> Setup {
    Setup::new().listen(&format!("transparent: {{address: \"{at}:3130\", original: {original}{session}}}"))
}

fn names_decide(original: &str, at: &str, [secured, unsecured]: [&str; 2]) {
    let (secure, plain) = (Origin::tls().echo(), Origin::plain().echo());
    let setup = setup(original, at, ", session: dev").origin(HOST, &secure).origin("plain.exeat.test", &plain);
    let world = World::start(setup);
    let mut tls = Hello::to(&world, HOST).shake(dial(address(secured))).unwrap();
    assert_eq!(tls.get(HOST, "/led").text(), "GET /led\n");
    assert_refused(&tls.get("plain.exeat.test", "/"), "authority_mismatch");
    let ask = |host: &str| {
        let mut wire = dial(address(unsecured));
        push(&mut wire, format!("GET /led HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        wire.response_to("GET").unwrap()
    };
    assert_eq!(ask("plain.exeat.test").text(), "GET /led\n");
    assert_refused(&ask("evil.test"), "dest_not_listed");
    assert_refused(&ask("plain.exeat.test:8080"), "bad_host");
    assert_refused(&ask("198.51.100.7"), "bad_host");
    // What is refused in TLS is an alert: access_denied, or unrecognized_name.
    let evil = client_hello(&Hello::to(&world, "evil.test"));
    let nameless = client_hello(&Hello::to(&world, HOST).without_sni());
    let hidden = with_extension(&client_hello(&Hello::to(&world, "evil.test")), 0xfe0d, &ech_outer());
    for hello in [&evil, &nameless, &hidden] {
        let mut wire = dial(address(secured));
        push(&mut wire, hello);
        assert_eq!(wire.exact(7).unwrap(), [21, 3, 3, 0, 2, 2, 49]);
    }
    let mut ssh = dial(address(secured));
    push(&mut ssh, b"SSH-2.0-OpenSSH_9.9\r\n");
    assert!(ssh.rest().unwrap_or_default().is_empty());
    let records = world.into_records();
    let tunnel = records.iter().find(|record| record.host() == HOST).unwrap();
    assert_eq!(tunnel.text("/downstream/original"), Some(secured), "{tunnel:?}");
    assert_eq!(tunnel.text("/downstream/way"), Some("transparent"));
    assert_eq!(tunnel.text("/session/id"), Some("dev"));
    for reason in ["dest_not_listed", "sni_missing", "tunnel_not_tls"] {
        assert!(records.iter().any(|record| record.reason() == reason), "{reason} {records:#?}");
    }
    assert_eq!((secure.connections().len(), plain.connections().len()), (1, 1));
}

fn sources_are_sessions(original: &str) {
    let origin = Origin::plain().echo();
    let setup = setup(original, "0.0.0.0", "").session("led", "agent").session_key("led", "sources: [\"127.0.0.0/8\"]");
    let world = World::start(setup.origin("plain.exeat.test", &origin));
    let mut wire = dial(address(PLAIN));
    push(&mut wire, b"GET /led HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n");
    assert_eq!(wire.response_to("GET").unwrap().text(), "GET /led\n");
    assert_eq!(world.control("DELETE", "/v1/sessions/led", "").status, 204);
    let mut wire = dial(address(PLAIN));
    push(&mut wire, b"GET /led HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n");
    assert!(wire.rest().unwrap_or_default().is_empty());
    let records = world.into_records();
    assert_eq!(records.requests()[0].text("/session/id"), Some("led"), "{records:#?}");
    records.only("denied", "proxy_auth_required");
}
/// The gateway's own connections are led back to it, as when nobody exempts it from the rule.
fn loops_are_refused() {
    let setup = setup("redirect", "0.0.0.0", ", session: dev").connect("plain.exeat.test", "198.51.100.7:80");
    let world = World::start(setup);
    let mut wire = dial(address(PLAIN));
    push(&mut wire, b"GET /loop HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n");
    let response = wire.response_to("GET").unwrap();
    assert_eq!(response.status, 508, "{}", response.text());
    let records = world.into_records();
    assert!(records.len() <= 6, "{records:#?}");
    assert!(records.iter().any(|record| record.reason() == "loop_detected"), "{records:#?}");
}
