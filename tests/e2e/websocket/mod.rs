//! WebSockets through the gateway.

mod clients;
mod ends;
mod frames;
mod handshake;
mod secrets;

use crate::support::*;

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}
