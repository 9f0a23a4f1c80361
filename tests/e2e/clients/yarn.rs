//! yarn, classic and berry: install from a registry.

use super::npm::{HOST, registry};
use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, from_npm};
use crate::support::*;

#[derive(Clone, Copy, Debug)]
enum Yarn {
    Classic,
    Berry,
}

const BOTH: [Yarn; 2] = [Yarn::Classic, Yarn::Berry];

fn install(yarn: Yarn, world: &World, way: Way) -> Done {
    std::fs::write(world.path("package.json"), "{\"name\": \"app\", \"version\": \"1.0.0\"}").unwrap();
    // Classic calls itself fresh without a network; berry would look for a project above this one.
    std::fs::write(world.path("yarn.lock"), "").unwrap();
    let file = match yarn {
        Yarn::Classic => "yarn/bin/yarn.js",
        Yarn::Berry => "@yarnpkg/cli-dist/bin/yarn.js",
    };
    let client = Client::as_run("node", world, way).args([from_npm(file).to_str().unwrap(), "add", "fixture"]);
    match yarn {
        Yarn::Classic => client
            .args(["--registry", "https://npm.exeat.test/", "--non-interactive"])
            .env("YARN_CACHE_FOLDER", world.path("cache")),
        Yarn::Berry => client
            .env("YARN_NPM_REGISTRY_SERVER", "https://npm.exeat.test/")
            .env("YARN_ENABLE_TELEMETRY", "0")
            .env("YARN_ENABLE_GLOBAL_CACHE", "0")
            .env("YARN_HTTP_RETRY", "0")
            // The fixture is younger than any package that berry takes by itself.
            .env("YARN_NPM_MINIMAL_AGE_GATE", "0")
            .env("YARN_NODE_LINKER", "node-modules"),
    }
    .run()
}

#[test]
fn yarn_installs() {
    for yarn in BOTH {
        for way in WAYS {
            let origin = registry();
            let world = world(way, HOST, &origin);
            install(yarn, &world, way).ok();
            let installed = std::fs::read_to_string(world.path("node_modules/fixture/index.js")).unwrap();
            assert_eq!(installed, "module.exports = 42;\n");
            assert_went(way, world, HOST);
        }
    }
}

#[test]
fn yarn_is_refused_where_the_registry_is_not_listed() {
    for yarn in BOTH {
        let origin = registry();
        let world = world(Way::Intercepted, "other.exeat.test", &origin);
        let done = install(yarn, &world, Way::Intercepted).failed();
        assert!(done.all().contains("403"), "{yarn:?} {done:?}");
        origin.assert_never_contacted();
    }
}
