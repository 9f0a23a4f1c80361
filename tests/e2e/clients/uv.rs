//! uv: install from an index.

use super::python::{HOST, index};
use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, python};
use crate::support::*;

fn install(world: &World, way: Way) -> Done {
    let python = python();
    let arguments = ["pip", "install", "--target", "out", "--no-cache", "--python"];
    let client = Client::as_run(python.with_file_name("uv"), world, way).args(arguments).args([&python]);
    let client = client.args(["--index-url", "https://python.exeat.test/simple/", "fixture"]);
    client.env("UV_NO_CONFIG", "1").env("UV_HTTP_RETRIES", "0").run()
}

#[test]
fn uv_installs_from_an_index() {
    for way in WAYS {
        let origin = index();
        let world = world(way, HOST, &origin);
        install(&world, way).ok();
        assert!(world.path("out/fixture/__init__.py").exists());
        assert_went(way, world, HOST);
    }
}

#[test]
fn uv_is_refused_where_the_index_is_not_listed() {
    let origin = index();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = install(&world, Way::Intercepted).failed();
    assert!(done.stderr.contains("tunnel"), "{done:?}");
    origin.assert_never_contacted();
    assert!(world.into_records().iter().all(|record| record.reason() == "dest_not_listed"));
}
