//! wget, whose GnuTLS reads no variable: the CA comes by a wgetrc.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way};
use crate::support::*;

const HOST: &str = "wget.exeat.test";

fn wget(world: &World, way: Way, arguments: &[&str]) -> Done {
    Client::as_run("wget", world, way).args(["-nv", "--tries=1", "-O", "-"]).args(arguments).run()
}

#[test]
fn wget_downloads_and_uploads() {
    for way in WAYS {
        let origin = Origin::tls().echo();
        let world = world(way, HOST, &origin);
        assert_eq!(wget(&world, way, &["https://wget.exeat.test/down"]).ok().stdout, "GET /down\n");
        let done = wget(&world, way, &["--post-data=hello", "https://wget.exeat.test/up"]).ok();
        assert_eq!(done.stdout, "POST /up\nhello");
        assert_went(way, world, HOST);
    }
}

#[test]
fn wget_speaks_plain_http() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    assert_eq!(wget(&world, Way::Intercepted, &["http://wget.exeat.test/x"]).ok().stdout, "GET /x\n");
}

#[test]
fn wget_shows_its_refusal() {
    let origin = Origin::plain().echo();
    let world = world(Way::Intercepted, HOST, &origin);
    for url in ["https://evil.exeat.test/", "http://evil.exeat.test/"] {
        let done = wget(&world, Way::Intercepted, &[url]).failed();
        assert!(done.stderr.contains("Forbidden"), "{done:?}");
    }
    origin.assert_never_contacted();
}
