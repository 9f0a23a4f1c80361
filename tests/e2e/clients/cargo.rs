//! cargo: a sparse registry in the place of crates.io, index and crate.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, prepare};
use crate::support::*;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde_json::json;

const HOST: &str = "crates.exeat.test";

/// A registry with the crate `fixture` 0.1.0.
fn registry() -> Origin {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("fixture-0.1.0");
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[package]\nname = \"fixture\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(folder.join("src/lib.rs"), "pub const ANSWER: u8 = 42;\n").unwrap();
    prepare("tar", &["-czf", "fixture.crate", "fixture-0.1.0"], home.path());
    let file = std::fs::read(home.path().join("fixture.crate")).unwrap();
    let checksum = HEXLOWER.encode(digest(&SHA256, &file).as_ref());
    let config = json!({"dl": format!("https://{HOST}/dl/{{crate}}/{{version}}")});
    let line =
        json!({"name": "fixture", "vers": "0.1.0", "deps": [], "cksum": checksum, "features": {}, "yanked": false});
    Origin::tls().http(move |request| match request.target.as_str() {
        "/index/config.json" => Reply::ok(config.to_string()),
        "/index/fi/xt/fixture" => Reply::ok(line.to_string() + "\n").with("ETag", "\"1\""),
        "/dl/fixture/0.1.0" => Reply::ok(file.clone()),
        _ => Reply::status(404),
    })
}

fn fetch(world: &World, way: Way) -> Done {
    let project = world.path("project");
    std::fs::create_dir_all(project.join("src")).unwrap();
    let manifest = "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nfixture = \"0.1\"\n[workspace]\n";
    std::fs::write(project.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(project.join("src/lib.rs"), "").unwrap();
    let home = world.path("cargo-home");
    std::fs::create_dir_all(&home).unwrap();
    let sources = "[source.crates-io]\nreplace-with = \"mirror\"\n\
                   [source.mirror]\nregistry = \"sparse+https://crates.exeat.test/index/\"\n[net]\nretry = 0\n";
    std::fs::write(home.join("config.toml"), sources).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| std::env::var("HOME").unwrap() + "/.rustup");
    let client = Client::behind(cargo, world, way).args(["fetch"]).within(&project);
    client.env("CARGO_HOME", &home).env("RUSTUP_HOME", rustup).run()
}

#[test]
fn cargo_fetches_from_a_sparse_registry() {
    for way in WAYS {
        let origin = registry();
        let world = world(way, HOST, &origin);
        fetch(&world, way).ok();
        let lock = std::fs::read_to_string(world.path("project/Cargo.lock")).unwrap();
        assert!(lock.contains("name = \"fixture\"") && lock.contains("checksum"), "{lock}");
        assert_went(way, world, HOST);
    }
}

/// A registry that takes publishes; its index has the crate from then on.
fn taking() -> Origin {
    let taken = std::sync::atomic::AtomicBool::new(false);
    let config = json!({"dl": format!("https://{HOST}/dl"), "api": format!("https://{HOST}")}).to_string();
    Origin::tls().http(move |request| match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/api/v1/crates/new") => {
            taken.store(true, std::sync::atomic::Ordering::SeqCst);
            Reply::ok("{\"warnings\": null}")
        }
        ("GET", "/index/config.json") => Reply::ok(config.clone()),
        ("GET", "/index/ac/me/acme-tool") if taken.load(std::sync::atomic::Ordering::SeqCst) => {
            let line = json!({"name": "acme-tool", "vers": "0.1.0", "deps": [], "cksum": "00", "features": {}, "yanked": false});
            Reply::ok(line.to_string() + "\n")
        }
        _ => Reply::status(404),
    })
}

fn publish(access: &str) -> (Done, Origin, Records) {
    let origin = taking();
    let rule = format!("host: {HOST}, service: crates, access: {access}");
    let world = World::start(Setup::allowing(&[&rule]).origin("**", &origin));
    let project = world.path("tool");
    std::fs::create_dir_all(project.join("src")).unwrap();
    let manifest = "[package]\nname = \"acme-tool\"\nversion = \"0.1.0\"\nedition = \"2021\"\ndescription = \"x\"\nlicense = \"MIT\"\npublish = [\"own\"]\n[workspace]\n";
    std::fs::write(project.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(project.join("src/lib.rs"), "").unwrap();
    let home = world.path("cargo-home");
    std::fs::create_dir_all(&home).unwrap();
    // No other registry is known to it, and every name leads to the origin on loopback.
    let settings = "[registries.own]\nindex = \"sparse+https://crates.exeat.test/index/\"\n[net]\nretry = 0\n";
    std::fs::write(home.join("config.toml"), settings).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| std::env::var("HOME").unwrap() + "/.rustup");
    let arguments = ["publish", "--registry", "own", "--no-verify", "--allow-dirty", "--token", "t"];
    let client = Client::behind(cargo, &world, Way::Intercepted).args(arguments).within(&project);
    let done = client.env("CARGO_HOME", &home).env("RUSTUP_HOME", rustup).run();
    (done, origin, world.into_records())
}

#[test]
fn cargo_publishes_where_it_may_write_and_only_there() {
    let (done, origin, _) = publish("write");
    done.ok();
    assert!(origin.requests().iter().any(|request| request.method == "PUT"));
    let (done, origin, records) = publish("read");
    done.failed();
    assert!(origin.requests().iter().all(|request| request.method == "GET"));
    let told = records
        .iter()
        .any(|record| record["error"] == "a publish is not permitted: the rule agent.allow[0] lets everything be read");
    assert!(told, "{records:#?}");
}

#[test]
fn cargo_is_refused_where_the_registry_is_not_listed() {
    let origin = registry();
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    let done = fetch(&world, Way::Intercepted).failed();
    assert!(done.stderr.contains("403") || done.stderr.contains("CONNECT"), "{done:?}");
    origin.assert_never_contacted();
}
