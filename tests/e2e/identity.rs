//! Who asks: credentials on every request, of exactly one session, that is alive.

use crate::support::agent::{basic, push};
use crate::support::*;
use std::io::Read;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

fn url(path: &str) -> String {
    format!("http://{HOST}{path}")
}

/// A GET with these fields instead of credentials.
#[track_caller]
fn with_fields(world: &World, fields: &str) -> Response {
    world.stranger().request("GET", &url("/"), fields, b"")
}

#[test]
fn no_credentials_are_asked_for() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_refused(&world.stranger().get(&url("/")), "proxy_auth_required");
    origin.assert_never_contacted();
    let records = world.into_records();
    assert_eq!((records[0].verdict(), records[0].reason()), ("denied", "proxy_auth_required"));
    assert!(records[0]["session"].is_null(), "{records:?}");
}

#[test]
fn no_credentials_on_a_connect_are_asked_for_before_anything_is_looked_up() {
    let nameserver = Nameserver::always(&["127.0.0.1"]);
    let world = World::start(Setup::new().nameserver(&nameserver));
    assert_refused(&world.stranger().refused("some.exeat.test:443"), "proxy_auth_required");
    assert_eq!(nameserver.asked(), []);
}

#[test]
fn wrong_credentials_are_refused_whatever_is_wrong_with_them() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let token = world.token("dev");
    let encode = |text: &[u8]| data_encoding::BASE64.encode(text);
    let whole = encode(format!("dev:{token}").as_bytes());
    let values = [
        basic("dev", "wrong"),
        basic("dev", &token[..token.len() - 1]),
        basic("dev", &format!("{token}x")),
        basic("dev", &token.to_ascii_uppercase()),
        basic("DEV", token),
        basic("other", token),
        basic("", token),
        basic("dev", ""),
        basic("dev ", token),
        basic("dev", &format!("{token}\0")),
        basic("dev", &format!("{token}\r\nX: 1")),
        format!("Basic {}", encode(token.as_bytes())),
        format!("Basic {}", whole.trim_end_matches('=').to_owned() + "!"),
        format!("Basic  {whole} x"),
        format!("Digest {whole}"),
        "Basic".into(),
        "Basic ".into(),
        "Bearer".into(),
        "Bearer wrong".into(),
        format!("Bearer dev:{token}"),
        format!("Bearer {token} x"),
        String::new(),
    ];
    for value in values {
        let response = with_fields(&world, &format!("Proxy-Authorization: {value}\r\n"));
        assert!(matches!(response.status, 400 | 407), "{value:?}: {}", response.status);
        problem(&response);
    }
    origin.assert_never_contacted();
}

#[test]
fn a_long_credential_is_refused_within_bounds() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let response = with_fields(&world, &format!("Proxy-Authorization: Basic {}\r\n", "QUFB".repeat(50_000)));
    assert!(matches!(response.status, 400 | 407 | 431), "{response:?}");
    origin.assert_never_contacted();
}

#[test]
fn two_credentials_are_ambiguous() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let right = world.agent().field();
    for fields in [format!("{right}{right}"), format!("{right}Proxy-Authorization: Basic eDp5\r\n")] {
        let response = with_fields(&world, &fields);
        assert_eq!(problem(&response)["status"], 400);
    }
    origin.assert_never_contacted();
}

#[test]
fn a_bearer_token_names_its_session_alone() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let field = format!("Proxy-Authorization: Bearer {}\r\n", world.token("dev"));
    assert_eq!(with_fields(&world, &field).status, 200);
    assert_eq!(world.records(1)[0].text("/session/id"), Some("dev"));
    assert_eq!(origin.only_request().field("proxy-authorization"), None);
}

#[test]
fn the_schemes_name_is_read_in_any_case() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for scheme in ["basic", "BASIC"] {
        let value = basic("dev", world.token("dev")).replacen("Basic", scheme, 1);
        assert_eq!(with_fields(&world, &format!("proxy-authorization: {value}\r\n")).status, 200);
    }
}

#[test]
fn credentials_for_the_origin_are_no_credentials_for_the_proxy() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let value = basic("dev", world.token("dev"));
    assert_refused(&with_fields(&world, &format!("Authorization: {value}\r\n")), "proxy_auth_required");
    origin.assert_never_contacted();
}

#[test]
fn headers_that_claim_a_session_are_no_credentials() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "X-Session-Id: dev\r\nX-Forwarded-User: dev\r\nX-Exeat-Session: dev\r\nX-Forwarded-For: 127.0.0.1\r\n";
    assert_refused(&with_fields(&world, fields), "proxy_auth_required");
    origin.assert_never_contacted();
}

#[test]
fn a_proxy_protocol_line_is_no_request() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let head = agent.head("GET", &url("/"), "");
    let mut wire = agent.send(format!("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n{head}"));
    assert!(wire.response_to("GET").is_ok_and(|response| response.status >= 400));
    origin.assert_never_contacted();
}

#[test]
fn credentials_are_asked_for_on_every_request_of_a_connection() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let mut wire = world.agent().dial();
    push(&mut wire, world.agent().head("GET", &url("/1"), "").as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    push(&mut wire, world.stranger().head("GET", &url("/2"), "").as_bytes());
    assert_refused(&wire.response_to("GET").unwrap(), "proxy_auth_required");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn pipelined_requests_are_each_judged_by_their_own_credentials() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let heads = world.agent().head("GET", &url("/1"), "") + &world.stranger().head("GET", &url("/2"), "");
    let mut wire = world.agent().send(heads);
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    assert_refused(&wire.response_to("GET").unwrap(), "proxy_auth_required");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_client_may_show_credentials_after_it_was_asked() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let mut wire = world.agent().dial();
    push(&mut wire, world.stranger().head("GET", &url("/"), "").as_bytes());
    let asked = wire.response_to("GET").unwrap();
    assert_eq!(asked.status, 407);
    // A gateway that closes must say so, else clients would send into the void.
    if asked.field("connection").is_none_or(|value| !value.contains("close")) {
        push(&mut wire, world.agent().head("GET", &url("/"), "").as_bytes());
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    }
}

#[test]
fn two_sessions_on_one_connection_stay_two() {
    let origin = Origin::plain().echo();
    let setup = Setup::bare()
        .policy("agent", &policy_for(&["host: \"**.exeat.test\""]))
        .policy("narrow", &policy_for(&["host: other.exeat.test"]))
        .session("dev", "agent")
        .session("low", "narrow")
        .origin("**.exeat.test", &origin);
    let world = World::start(setup);
    let mut wire = world.agent().dial();
    push(&mut wire, world.agent().head("GET", &url("/1"), "").as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    push(&mut wire, world.agent_of("low").head("GET", &url("/2"), "").as_bytes());
    assert_refused(&wire.response_to("GET").unwrap(), "dest_not_listed");
    drop(wire);
    let records = world.into_records();
    assert_eq!((records[0].text("/session/id"), records[1].text("/session/id")), (Some("dev"), Some("low")));
    assert_eq!(records[1].text("/session/policy"), Some("narrow"));
}

#[test]
fn upstream_connections_are_never_shared_between_sessions() {
    let origin = Origin::plain().echo();
    let setup = Setup::new().session("two", "agent").origin(HOST, &origin);
    let world = World::start(setup);
    for _ in 0..3 {
        assert_eq!(world.agent().get(&url("/dev")).status, 200);
        assert_eq!(world.agent_of("two").get(&url("/two")).status, 200);
    }
    for seen in origin.connections() {
        let targets: Vec<_> = seen.requests.iter().map(|request| request.target.as_str()).collect();
        assert!(targets.windows(2).all(|pair| pair[0] == pair[1]), "two sessions shared a connection: {targets:?}");
    }
}

#[test]
fn sessions_in_parallel_are_never_crossed() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().session("two", "agent").origin(HOST, &origin));
    std::thread::scope(|scope| {
        for session in ["dev", "two"] {
            let world = &world;
            for number in 0..10 {
                scope.spawn(move || {
                    let agent = world.agent_of(session);
                    for turn in 0..6 {
                        let path = format!("/{session}-{number}-{turn}");
                        assert_eq!(agent.get(&url(&path)).text(), format!("GET {path}\n"));
                    }
                });
            }
        }
    });
    let records = world.into_records();
    assert_eq!(records.len(), 120);
    for record in records.iter() {
        let (session, path) = (record.text("/session/id").unwrap(), record.text("/target/path").unwrap());
        assert!(path.starts_with(&format!("/{session}-")), "{record:?}");
    }
}

#[test]
fn the_token_of_one_session_does_not_open_another() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().session("two", "agent").origin(HOST, &origin));
    let value = basic("dev", world.token("two"));
    assert_refused(&with_fields(&world, &format!("Proxy-Authorization: {value}\r\n")), "proxy_auth_required");
}

#[test]
fn a_session_made_at_run_time_works_until_it_is_revoked() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let session = world.session("agent", "1h");
    assert_eq!(world.agent_as(&session).get(&url("/")).status, 200);
    let gone = world.control("DELETE", &format!("/v1/sessions/{}", session.id), "");
    assert!(matches!(gone.status, 200 | 204), "{gone:?}");
    let refused = world.agent_as(&session).get(&url("/"));
    assert_refused_with(&refused, &["proxy_auth_required", "session_ended"]);
}

#[test]
fn a_revocation_cuts_a_live_tunnel() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let session = world.session("agent", "1h");
    let mut tls = world.agent_as(&session).https("tls.exeat.test");
    assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
    world.control("DELETE", &format!("/v1/sessions/{}", session.id), "");
    assert_cut(&mut tls);
    let records = world.records_where("a tunnel's end", |records| !records.tunnels().is_empty());
    assert_eq!(records.tunnels()[0].reason(), "session_ended");
}

#[test]
fn a_revocation_cuts_a_live_relay() {
    let origin = Origin::tls().echo();
    let setup = Setup::allowing(&["host: relay.exeat.test, tls: tunnel"]).origin("relay.exeat.test", &origin);
    let world = World::start(setup);
    let session = world.session("agent", "1h");
    let hello = Hello::through("relay.exeat.test");
    let mut tls = world.agent_as(&session).https_with("relay.exeat.test:443", &hello);
    assert_eq!(tls.get("relay.exeat.test", "/").status, 200);
    world.control("DELETE", &format!("/v1/sessions/{}", session.id), "");
    assert_cut(&mut tls);
    assert_eq!(world.records(1)[0].reason(), "session_ended");
}

#[test]
fn an_expiry_ends_the_session_and_cuts_its_tunnel() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let session = world.session("agent", "2s");
    let began = Instant::now();
    let mut tls = world.agent_as(&session).https("tls.exeat.test");
    assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
    assert_cut(&mut tls);
    assert!(began.elapsed() > Duration::from_millis(1500), "cut after {:?}", began.elapsed());
    let refused = world.agent_as(&session).get(&url("/"));
    assert_refused_with(&refused, &["proxy_auth_required", "session_ended"]);
}

/// The connection ends by the deadline, without another word being said.
#[track_caller]
fn assert_cut(tls: &mut Wire<Tls>) {
    let began = Instant::now();
    let mut rest = Vec::new();
    let end = tls.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(8), "not cut within 8 s: {end:?}");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn wrong_guesses_do_not_lock_the_real_session_out() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for guess in 0..50 {
        let field = format!("Proxy-Authorization: {}\r\n", basic("dev", &format!("guess{guess}")));
        assert!(matches!(with_fields(&world, &field).status, 407 | 429));
    }
    assert_eq!(world.agent().get(&url("/")).status, 200);
}

#[test]
fn a_session_without_a_policy_that_allows_anything_reaches_nothing() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::under("allow: []").origin(HOST, &origin));
    assert_refused(&world.agent().get(&url("/")), "dest_not_listed");
    assert_refused(&world.agent().refused("plain.exeat.test:443"), "dest_not_listed");
    origin.assert_never_contacted();
}
