//! npm: view and install from a registry, tarball and integrity included.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, prepare};
use crate::support::*;
use aws_lc_rs::digest::{SHA512, digest};
use data_encoding::BASE64;
use serde_json::json;

pub(super) const HOST: &str = "npm.exeat.test";

/// A registry with the package `fixture` 1.2.3.
pub(super) fn registry() -> Origin {
    let home = tempfile::tempdir().unwrap();
    let package = home.path().join("package");
    std::fs::create_dir(&package).unwrap();
    let manifest = json!({"name": "fixture", "version": "1.2.3", "main": "index.js"});
    std::fs::write(package.join("package.json"), manifest.to_string()).unwrap();
    std::fs::write(package.join("index.js"), "module.exports = 42;\n").unwrap();
    prepare("tar", &["-czf", "fixture.tgz", "package"], home.path());
    let tarball = std::fs::read(home.path().join("fixture.tgz")).unwrap();
    let integrity = format!("sha512-{}", BASE64.encode(digest(&SHA512, &tarball).as_ref()));
    let url = format!("https://{HOST}/fixture/-/fixture-1.2.3.tgz");
    let version = json!({"name": "fixture", "version": "1.2.3", "dist": {"tarball": url, "integrity": integrity}});
    let document = json!({"name": "fixture", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": version}});
    Origin::tls().http(move |request| match request.target.as_str() {
        "/fixture" => Reply::ok(document.to_string()).with("Content-Type", "application/json"),
        "/fixture/-/fixture-1.2.3.tgz" => Reply::ok(tarball.clone()).with("Content-Type", "application/octet-stream"),
        _ => Reply::status(404),
    })
}

fn npm(world: &World, way: Way, arguments: &[&str]) -> Done {
    let options = ["--registry", "https://npm.exeat.test/", "--no-audit", "--no-fund", "--fetch-retries=0"];
    Client::behind("npm", world, way)
        .args(arguments)
        .args(options)
        .env("NPM_CONFIG_USERCONFIG", "/dev/null")
        .env("NPM_CONFIG_GLOBALCONFIG", "/dev/null/none")
        .env("NPM_CONFIG_UPDATE_NOTIFIER", "false")
        .run()
}

#[test]
fn npm_views_and_installs() {
    for way in WAYS {
        let origin = registry();
        let world = world(way, HOST, &origin);
        assert_eq!(npm(&world, way, &["view", "fixture", "version"]).ok().stdout.trim(), "1.2.3");
        std::fs::write(world.path("package.json"), "{\"name\": \"app\", \"version\": \"1.0.0\"}").unwrap();
        npm(&world, way, &["install", "fixture"]).ok();
        let installed = std::fs::read_to_string(world.path("node_modules/fixture/index.js")).unwrap();
        assert_eq!(installed, "module.exports = 42;\n");
        assert_went(way, world, HOST);
    }
}

#[test]
fn npm_is_refused_where_the_registry_is_not_listed() {
    let origin = registry();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = npm(&world, Way::Intercepted, &["view", "fixture", "version"]).failed();
    assert!(done.all().contains("403"), "{done:?}");
    origin.assert_never_contacted();
}
