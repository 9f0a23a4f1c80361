//! Connections to origins that are kept for a session's next request.

use crate::support::agent::push;
use crate::support::*;

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("*.exeat.test", origin))
}

#[test]
fn an_upstream_connection_is_used_again_by_the_same_session() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    for _ in 0..5 {
        push(&mut wire, agent.head("GET", "http://plain.exeat.test/", "").as_bytes());
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    }
    assert_eq!(origin.connections().len(), 1);
}

#[test]
fn a_session_that_has_seen_hundreds_of_hosts_keeps_the_connection_that_it_used_last() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    let mut get = |host: &str| {
        push(&mut wire, agent.head("GET", &format!("http://{host}.exeat.test/"), "").as_bytes());
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    };
    let hosts = 300;
    (0..hosts).for_each(|number| get(&format!("h{number}")));
    (0..5).for_each(|_| get("last"));
    assert_eq!(origin.connections().len(), hosts + 1, "one for each host, the last one too");
    (0..3).for_each(|_| get("h0"));
    assert_eq!(origin.connections().len(), hosts + 2, "the one that was idle for longest had made room");
}
