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

/// A registry that takes what it is sent.
fn taking() -> Origin {
    Origin::tls().http(|request| match request.method.as_str() {
        "PUT" | "DELETE" => Reply::ok("{\"ok\": true}").with("Content-Type", "application/json"),
        _ => Reply::status(404).body("{}"),
    })
}

#[test]
fn npm_publishes_the_packages_of_its_scope_and_no_others() {
    let origin = taking();
    let rule = format!("host: {HOST}, service: npm, access: write, repos: [\"@acme/*\"]");
    let world = World::start(Setup::allowing(&[&rule]).origin("**", &origin));
    let publish = |name: &str| {
        let manifest = json!({"name": name, "version": "1.0.0"});
        // A folder of its own: what lies beside it, the gateway's key among it, would be packed too.
        std::fs::create_dir_all(world.path("package")).unwrap();
        std::fs::write(world.path("package/package.json"), manifest.to_string()).unwrap();
        let options = ["publish", "./package", "--access", "public", "--//npm.exeat.test/:_authToken=t"];
        npm(&world, Way::Intercepted, &options)
    };
    publish("@acme/site").ok();
    let refused = publish("@evil/site").failed();
    assert!(refused.all().contains("403"), "{refused:?}");
    publish("left-pad").failed();
    let tag = ["dist-tag", "add", "@evil/site@1.0.0", "beta", "--//npm.exeat.test/:_authToken=t"];
    npm(&world, Way::Intercepted, &tag).failed();
    let puts: Vec<String> =
        origin.requests().iter().filter(|r| r.method != "GET").map(|r| r.target.to_ascii_lowercase()).collect();
    assert_eq!(puts, ["/@acme%2fsite"]);
    let records = world.into_records();
    let told =
        |text: &str| records.iter().any(|record| record["error"].as_str().is_some_and(|error| error.contains(text)));
    assert!(
        told("a publish of @evil/site is not permitted: the rule agent.allow[0] lets @acme/* be written"),
        "{records:#?}"
    );
}

#[test]
fn npm_installs_and_does_not_publish_where_it_may_read() {
    let origin = registry();
    let rule = format!("host: {HOST}, service: npm");
    let world = World::start(Setup::allowing(&[&rule]).origin("**", &origin));
    std::fs::write(world.path("package.json"), "{\"name\": \"app\", \"version\": \"1.0.0\"}").unwrap();
    npm(&world, Way::Intercepted, &["install", "fixture"]).ok();
    npm(&world, Way::Intercepted, &["publish", "--//npm.exeat.test/:_authToken=t"]).failed();
    assert!(origin.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn npm_is_refused_where_the_registry_is_not_listed() {
    let origin = registry();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = npm(&world, Way::Intercepted, &["view", "fixture", "version"]).failed();
    assert!(done.all().contains("403"), "{done:?}");
    origin.assert_never_contacted();
}
