//! Holds the README's tables to the code. `BLESS=1 cargo test --test readme` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers and all

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// Two sections that are written at one time would lose one of them.
static README: Mutex<()> = Mutex::new(());

fn check(section: &str, expected: &str) {
    let _alone = README.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {section}: begin -->\n"), format!("<!-- {section}: end -->"));
    let start = readme.find(&begin).expect("the section begins") + begin.len();
    let stop = readme.find(&end).expect("the section ends");
    if &readme[start..stop] == expected {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{}{expected}{}", &readme[..start], &readme[stop..])).unwrap();
    } else {
        panic!("README.md's section {section} is not what the code says; BLESS=1 cargo test --test readme writes it");
    }
}

#[test]
fn the_table_of_refusals_is_the_code_s() {
    let mut table = String::from("| status | reason | what happened | what helps |\n| --- | --- | --- | --- |\n");
    for reason in exeat::reason::Reason::ALL {
        let (status, code) = (reason.status(), reason.code());
        writeln!(table, "| {status} | `{code}` | {} | {} |", reason.sentence(), reason.hint()).unwrap();
    }
    check("reasons", &table);
}

#[test]
fn the_table_of_clients_is_the_environment_s() {
    check("clients", &exeat::sandbox::table());
}

#[test]
fn a_client_that_the_table_calls_tested_has_its_module_of_tests() {
    for (_, module) in exeat::sandbox::CLIENTS.iter().flat_map(|client| client.tested) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(format!("{module}.rs"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(text.contains("#[test]"), "{module}");
    }
}

#[test]
fn the_table_of_presets_is_the_code_s() {
    let mut table = String::from("| preset | access | what it allows |\n| --- | --- | --- |\n");
    for name in exeat::config::preset::names() {
        let preset = exeat::config::preset::load(name).expect("a listed preset is there").expect("it loads");
        let access = if preset.tells_access() { "read, write, admin" } else { "read" };
        writeln!(table, "| `{name}` | {access} | {} |", preset.description.trim()).unwrap();
    }
    check("presets", &table);
}
