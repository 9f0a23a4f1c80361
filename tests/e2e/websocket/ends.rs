//! How WebSockets end: by either side, by the gateway, by the operator.

use super::world;
use crate::support::agent::{finish, push};
use crate::support::websocket::*;
use crate::support::*;
use nix::sys::signal::Signal;

#[test]
fn an_origin_may_close_first() {
    let origin = Origin::plain().websocket("", |peer| {
        push(peer, &server(FIN | TEXT, b"last words"));
        push(peer, &server(FIN | CLOSE, &close(4000, "enough")));
        assert_eq!(peer.frame()?.closing(), (4000, "enough".to_owned()));
        Ok(())
    });
    let world = world(&origin);
    let mut wire = open(&world.agent());
    assert_eq!(wire.frame().unwrap().text(), "last words");
    assert_eq!(wire.frame().unwrap().closing(), (4000, "enough".to_owned()));
    push(&mut wire, &client(FIN | CLOSE, &close(4000, "enough")));
    assert!(wire.is_ended());
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert_eq!(seen[0].fault, None);
    assert_eq!(world.into_records()[0].verdict(), "allowed");
}

#[test]
fn what_comes_after_a_close_frame_goes_nowhere() {
    let origin = Origin::plain().websocket("", |peer| {
        assert_eq!(peer.frame()?.opcode(), CLOSE);
        push(peer, &server(FIN | CLOSE, b""));
        peer.rest().map(|rest| assert!(rest.is_empty(), "{rest:?}"))
    });
    let world = world(&origin);
    let mut wire = open(&world.agent());
    push(&mut wire, &[client(FIN | CLOSE, b""), client(FIN | TEXT, b"more")].concat());
    assert_eq!(wire.frame().unwrap().first, FIN | CLOSE);
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert_eq!(seen[0].fault, None);
}

#[test]
fn a_side_that_leaves_without_a_word_is_passed_on_as_such() {
    let origin = Origin::plain().websocket("", |peer| {
        let frame = peer.frame()?;
        push(peer, &server(FIN | TEXT, &frame.payload));
        peer.rest().map(|_| ())
    });
    let world = world(&origin);
    let mut wire = open(&world.agent());
    push(&mut wire, &client(FIN | TEXT, b"hello"));
    assert_eq!(wire.frame().unwrap().text(), "hello");
    finish(&wire);
    assert!(wire.is_ended());
    origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    let origin = Origin::plain().websocket("", |peer| {
        push(peer, &server(FIN | TEXT, b"gone"));
        Ok(())
    });
    let silent = super::world(&origin);
    let mut wire = open(&silent.agent());
    assert_eq!(wire.frame().unwrap().text(), "gone");
    assert!(wire.is_ended());
    let record = &silent.into_records()[0];
    assert!(record.text("/error").unwrap().contains("origin left without a close frame"), "{record:?}");
    let record = &world.into_records()[0];
    assert!(record.text("/error").unwrap().contains("client left without a close frame"), "{record:?}");
}

#[test]
fn a_revoked_session_loses_its_websockets() {
    let origin = Origin::plain().websocket("", |peer| {
        assert_eq!(peer.frame()?.closing().0, 1008);
        Ok(())
    });
    let world = world(&origin);
    let session = world.session("agent", "1h");
    let mut wire = open(&world.agent_as(&session));
    assert_eq!(world.control("DELETE", &format!("/v1/sessions/{}", session.id), "").status, 204);
    let (code, reason) = wire.frame().unwrap().closing();
    assert_eq!((code, reason.as_str()), (1008, "session_ended"));
    assert!(wire.is_ended());
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert_eq!(seen[0].fault, None);
    world.into_records().only("denied", "session_ended");
}

#[test]
fn a_drain_closes_websockets_as_going_away() {
    let origin = Origin::plain().websocket("", |peer| {
        assert_eq!(peer.frame()?.closing().0, 1001);
        Ok(())
    });
    let mut world = world(&origin);
    let mut wire = open(&world.agent());
    world.signal(Signal::SIGTERM);
    assert_eq!(wire.frame().unwrap().closing(), (1001, "shutting_down".to_owned()));
    assert!(wire.is_ended());
    assert!(world.wait().success());
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert_eq!(seen[0].fault, None);
    Records::read(&world.path("flows")).only("failed", "shutting_down");
}

#[test]
fn a_websocket_on_which_nothing_moves_is_closed() {
    let origin = Origin::plain().websocket("", |peer| peer.rest().map(|_| ()));
    let setup = Setup::new().origin("**.exeat.test", &origin).extra("limits: {idle_timeout: 1s}");
    let world = World::start(setup);
    let mut wire = open(&world.agent());
    assert_eq!(wire.frame().unwrap().closing(), (1001, "idle".to_owned()));
    assert!(wire.is_ended());
    let record = &world.into_records()[0];
    assert_eq!((record.verdict(), record.text("/error")), ("allowed", Some("idle for too long")));
}

#[test]
fn messages_spend_the_budget_of_bytes() {
    let origin = Origin::plain().websocket("", |peer| peer.rest().map(|_| ()));
    let policy = setup::policy_for(&["host: ws.exeat.test"]) + "limits: {upload: 100KiB}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin));
    let mut wire = open(&world.agent());
    let (code, reason) = wire.closed_by(&client(FIN | BINARY, &[b' '; 30_000]).repeat(9));
    assert_eq!(code, 1008);
    assert!(reason.starts_with("quota_exceeded"), "{reason}");
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert!(seen[0].total <= 100 << 10, "{} bytes came through", seen[0].total);
    world.into_records().only("denied", "quota_exceeded");
}
