//! The fuzz targets' seeds and what they once broke on, replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)] // a seed that can't be read is a failure

#[path = "../fuzz/protocols.rs"]
mod protocols;

use exeat::secrets::fuzzing;
use std::path::Path;
use std::time::Instant;

#[test]
fn every_seed_of_every_fuzz_target_goes_through() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let session: fuzzing::Target = |data| fuzzing::session(data, Instant::now());
    for (name, target) in fuzzing::TARGETS.into_iter().chain(protocols::TARGETS).chain([("session", session)]) {
        let files: Vec<_> = std::fs::read_dir(seeds.join(name)).unwrap().collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            target(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}
