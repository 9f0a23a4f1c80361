//! Holds `src/` to the table of rooms in `lib.rs`: imports go down, and pure rooms stay pure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers and all

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const LEVELS: &[(u32, &[&str])] = &[
    (10, &["cli", "main"]),
    (9, &["app"]),
    (8, &["config"]),
    (7, &["proxy", "control", "sandbox"]),
    (6, &["upstream"]),
    (5, &["dns", "ca", "wire"]),
    (4, &["store"]),
    (3, &["flow"]),
    (2, &["session"]),
    (1, &["policy", "secrets", "websocket"]),
    (0, &["net", "http1", "reason", "telemetry"]),
];

/// Rooms without async, clocks or I/O: bytes and instants in, decisions out.
const PURE: &[&str] = &["net", "http1", "policy", "secrets", "session", "reason", "websocket"];
const IMPURE: &[&str] =
    &["tokio", "std::net::Tcp", "std::fs", "std::thread", "Instant::now", "SystemTime", "Timestamp::now"];

/// Crates that one room uses, so that a swap is one room's work.
const SINGLE_USE: &[(&str, &str)] = &[
    ("hickory_resolver", "dns"),
    ("rcgen", "ca"),
    ("redb", "store"),
    ("axum", "control"),
    ("serde_yaml", "config secrets"),
    ("prometheus_client", "telemetry"),
    ("tracing_subscriber", "telemetry"),
    ("globset", "policy"),
    ("anyhow", "cli"),
    ("clap", "cli"),
];

struct Source {
    room: String,
    path: PathBuf,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let code = without_comments_and_tests(&path, &fs::read_to_string(&path).unwrap());
                found.push(Source { room, path, code });
            }
        }
    }
    found
}

/// Tests may build what they need; they stand at a file's end or in files of their own.
fn without_comments_and_tests(path: &Path, text: &str) -> String {
    let is_tests = path.iter().any(|part| part.to_str().is_some_and(|part| part.contains("tests")));
    let text = if is_tests { "" } else { text.split("#[cfg(test)]\nmod ").next().unwrap_or(text) };
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn levels() -> HashMap<&'static str, u32> {
    LEVELS.iter().flat_map(|(level, rooms)| rooms.iter().map(|room| (*room, *level))).collect()
}

/// The rooms that a file names by `crate::room`, in braces or not.
fn imported_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for part in code.split("crate::").skip(1) {
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match part.strip_prefix('{') {
            None => rooms.push(name(part)),
            Some(list) => {
                let (mut depth, mut item) = (0, String::new());
                for character in list.chars() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => rooms.push(name(std::mem::take(&mut item).trim())),
                        _ => item.push(character),
                    }
                }
                rooms.push(name(item.trim()));
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn imports_go_down_only() {
    let levels = levels();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let own = levels.get(source.room.as_str()).unwrap_or_else(|| panic!("{} is in no room", source.path.display()));
        for room in imported_rooms(&source.code) {
            let Some(level) = levels.get(room.as_str()) else { continue };
            assert!(
                room == source.room || level < own,
                "{} imports {room}, which is not below it",
                source.path.display()
            );
        }
    }
}

#[test]
fn every_room_has_a_level_and_every_level_its_rooms() {
    let rooms: Vec<_> = sources().into_iter().map(|source| source.room).collect();
    for (_, listed) in LEVELS {
        for room in *listed {
            assert!(rooms.iter().any(|found| found == room), "there is no room {room}");
        }
    }
}

#[test]
fn pure_rooms_have_no_clock_and_no_io() {
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for word in IMPURE {
            assert!(!source.code.contains(word), "{} uses {word}", source.path.display());
        }
    }
}

#[test]
fn a_crate_that_one_room_owns_is_used_there_only() {
    for source in sources() {
        for (name, rooms) in SINGLE_USE {
            let used = source.code.contains(&format!("{name}::"));
            let allowed = rooms.split(' ').any(|room| room == source.room);
            assert!(!used || allowed, "{} uses {name}, which belongs to {rooms}", source.path.display());
        }
    }
}

#[test]
fn nothing_prints_but_the_command_line() {
    for source in sources().iter().filter(|source| source.room != "cli") {
        for word in ["println!", "eprintln!", "eprint!", "process::exit"] {
            assert!(!source.code.contains(word), "{} uses {word}", source.path.display());
        }
    }
}
