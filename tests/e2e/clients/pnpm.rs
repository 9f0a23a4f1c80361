//! pnpm: install from a registry.

use super::npm::{HOST, registry};
use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, from_npm};
use crate::support::*;

fn install(world: &World, way: Way) -> Done {
    std::fs::write(world.path("package.json"), "{\"name\": \"app\", \"version\": \"1.0.0\"}").unwrap();
    let options = ["--registry", "https://npm.exeat.test/", "--store-dir", "store", "--config.fetch-retries=0"];
    Client::as_run(from_npm(".bin/pnpm"), world, way).args(["add", "fixture"]).args(options).env("CI", "1").run()
}

#[test]
fn pnpm_installs() {
    for way in WAYS {
        let origin = registry();
        let world = world(way, HOST, &origin);
        install(&world, way).ok();
        let installed = std::fs::read_to_string(world.path("node_modules/fixture/index.js")).unwrap();
        assert_eq!(installed, "module.exports = 42;\n");
        assert_went(way, world, HOST);
    }
}

#[test]
fn pnpm_is_refused_where_the_registry_is_not_listed() {
    let origin = registry();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = install(&world, Way::Intercepted).failed();
    assert!(done.all().contains("tunnel error"), "{done:?}");
    origin.assert_never_contacted();
}
