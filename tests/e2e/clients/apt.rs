//! apt-get: an archive over http and https, its index and a package.

use super::{assert_went, world};
use crate::support::clients::{Client, Done, WAYS, Way, prepare};
use crate::support::*;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

const HOST: &str = "deb.exeat.test";
const CONTROL: &str =
    "Package: fixture\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@exeat.test>\nDescription: f\n";

/// An archive with the package `fixture` 1.0.
fn archive(listen: crate::support::origin::Listen) -> Origin {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("fixture/DEBIAN")).unwrap();
    std::fs::write(home.path().join("fixture/DEBIAN/control"), CONTROL).unwrap();
    prepare("dpkg-deb", &["--root-owner-group", "-b", "fixture", "fixture.deb"], home.path());
    let package = std::fs::read(home.path().join("fixture.deb")).unwrap();
    let (size, sum) = (package.len(), HEXLOWER.encode(digest(&SHA256, &package).as_ref()));
    let index = format!("{CONTROL}Filename: pool/fixture.deb\nSize: {size}\nSHA256: {sum}\n\n");
    let (size, sum) = (index.len(), HEXLOWER.encode(digest(&SHA256, index.as_bytes()).as_ref()));
    let file = "main/binary-amd64/Packages";
    let release = format!("Suite: stable\nComponents: main\nArchitectures: amd64\nSHA256:\n {sum} {size} {file}\n");
    listen.http(move |request| match request.target.as_str() {
        "/debian/dists/stable/Release" => Reply::ok(release.clone()),
        "/debian/dists/stable/main/binary-amd64/Packages" => Reply::ok(index.clone()),
        "/debian/pool/fixture.deb" => Reply::ok(package.clone()),
        _ => Reply::status(404),
    })
}

/// `apt-get` with all that it keeps in the world's folder.
fn apt(world: &World, way: Way, scheme: &str, arguments: &[&str]) -> Done {
    let root = world.path("apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "parts", "log"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("status"), "").unwrap();
    let source = format!("deb [trusted=yes] {scheme}://{HOST}/debian stable main\n");
    std::fs::write(root.join("sources.list"), source).unwrap();
    let at = |key: &str, name: &str| format!("-oDir::{key}={}", root.join(name).display());
    let folders = [
        at("State", "state"),
        at("State::status", "status"),
        at("Cache", "cache"),
        at("Log", "log"),
        at("Etc::sourcelist", "sources.list"),
        at("Etc::sourceparts", "parts"),
        at("Etc::parts", "parts"),
        // The archive and the CA lie in a folder that only this user may enter; so does a run's unless root runs it.
        "-oAPT::Sandbox::User=".into(),
        "-oAPT::Architecture=amd64".into(),
        "-oAcquire::Retries=0".into(),
        "-oAcquire::Languages=none".into(),
        "-oAPT::Update::Error-Mode=any".into(),
    ];
    Client::as_run("apt-get", world, way).args(folders).args(arguments).run()
}

#[track_caller]
fn assert_downloads(world: &World, way: Way, scheme: &str) {
    apt(world, way, scheme, &["update"]).ok();
    apt(world, way, scheme, &["download", "fixture"]).ok();
    assert!(world.path("fixture_1.0_all.deb").exists());
}

#[test]
fn apt_updates_and_downloads_over_https() {
    for way in WAYS {
        let origin = archive(Origin::tls());
        let world = world(way, HOST, &origin);
        assert_downloads(&world, way, "https");
        assert_went(way, world, HOST);
    }
}

#[test]
fn apt_updates_and_downloads_over_http() {
    let origin = archive(Origin::plain());
    let world = world(Way::Intercepted, HOST, &origin);
    assert_downloads(&world, Way::Intercepted, "http");
    assert!(world.into_records().iter().all(|record| (record.mode(), record.verdict()) == ("forward", "allowed")));
}

#[test]
fn apt_shows_its_refusal() {
    let origin = archive(Origin::plain());
    let world = world(Way::Intercepted, "other.exeat.test", &origin);
    for scheme in ["http", "https"] {
        let done = apt(&world, Way::Intercepted, scheme, &["update"]).failed();
        assert!(done.all().contains("403"), "{done:?}");
    }
    origin.assert_never_contacted();
}
