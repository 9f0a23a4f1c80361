//! Real clients against registries of the tests' own, each through interception and through a tunnel.

mod apt;
mod cargo;
mod curl;
mod git;
mod go;
mod http2;
mod java;
mod node;
mod npm;
mod pnpm;
mod python;
mod socks;
mod ssh;
mod tls_listener;
mod uv;
mod wget;
mod yarn;

use crate::support::clients::Way;
use crate::support::*;

/// A world whose one rule sends `host` to this origin in that way.
fn world(way: Way, host: &str, origin: &Origin) -> World {
    let rule = format!("host: {host}, {}", way.tls());
    World::start(Setup::allowing(&[&rule]).origin("**", origin))
}

/// The tunnels' records say that the bytes went the way they should, and no flow failed.
#[track_caller]
fn assert_went(way: Way, world: World, host: &str) -> Records {
    let records = world.into_records();
    let tunnels = records.tunnels();
    // Clients that wait to be asked for credentials leave a 407 each.
    let opened: Vec<_> = tunnels.iter().filter(|record| record.reason() != "proxy_auth_required").collect();
    assert!(!opened.is_empty(), "{records:#?}");
    for record in opened {
        assert_eq!((record.mode(), record.host()), (way.mode(), host), "{record:?}");
        assert_ne!(record.verdict(), "denied", "{record:?}");
    }
    if way == Way::Intercepted {
        let requests = records.requests();
        assert!(requests.iter().any(|record| record.verdict() == "allowed"), "{records:#?}");
    }
    records
}
