//! The command line itself: help for every verb, usage errors, the version.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test says what is wrong by failing")]

use assert_cmd::Command;

const VERBS: &[&[&str]] = &[
    &["serve"],
    &["run"],
    &["check"],
    &["session", "new"],
    &["session", "list"],
    &["session", "show"],
    &["session", "revoke"],
    &["policy", "test"],
    &["policy", "explain"],
    &["policy", "presets"],
    &["policy", "schema"],
    &["flows", "tail"],
    &["flows", "verify"],
    &["ca", "init"],
    &["ca", "show"],
    &["ca", "env"],
    &["doctor"],
];

fn exeat(arguments: &[&str]) -> std::process::Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("exeat").unwrap();
    command
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME");
    command.current_dir(home.path()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_version_is_told() {
    let done = exeat(&["--version"]);
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(text(&done.stdout), format!("exeat {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_lists_every_verb() {
    let done = exeat(&["--help"]);
    assert_eq!(done.status.code(), Some(0));
    let help = text(&done.stdout);
    for verb in VERBS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(verb[0])), "no {}: {help}", verb[0]);
    }
}

#[test]
fn every_verb_explains_itself() {
    for verb in VERBS {
        let done = exeat(&[verb, &["--help"][..]].concat());
        let help = text(&done.stdout);
        assert_eq!(done.status.code(), Some(0), "{verb:?}: {}", text(&done.stderr));
        assert!(help.contains("Usage: exeat") && help.lines().count() > 4, "{verb:?}: {help}");
        assert!(done.stderr.is_empty(), "{verb:?}");
    }
}

#[test]
fn no_verb_is_a_usage_error_that_shows_the_help() {
    let done = exeat(&[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("Usage:"));
}

#[test]
fn what_is_no_verb_or_option_is_a_usage_error() {
    for arguments in [
        &["nonsense"][..],
        &["serve", "--nonsense"],
        &["serve", "extra"],
        &["run"],
        &["run", "--allow"],
        &["session"],
        &["session", "new"],
        &["session", "nonsense"],
        &["session", "new", "--policy", "p", "--label", "no-equals-sign"],
        &["flows", "tail", "--verdict", "nonsense"],
        &["policy", "nonsense"],
        &["check", "--config"],
    ] {
        let done = exeat(arguments);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {}", text(&done.stderr));
        assert!(!done.stderr.is_empty() && done.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_running_gateway_that_is_not_there_is_a_failure_and_no_usage_error() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    std::fs::write(&key, "k".repeat(43)).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let done = exeat(&["session", "list", "--control", "http://127.0.0.1:9", "--key", key.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stderr).starts_with("exeat: "), "{}", text(&done.stderr));
}

#[test]
fn a_ca_is_made_where_it_is_asked_for_and_shown() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("exeat.yaml"), "ca: {certificate: ca.pem, key: ca.key}\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("exeat").unwrap();
        command.env("HOME", home.path()).current_dir(home.path()).args(arguments).output().unwrap()
    };
    let done = run(&["ca", "init", "--config", "exeat.yaml"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let mode = std::fs::metadata(home.path().join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let done = run(&["ca", "show", "--config", "exeat.yaml"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(!text(&done.stdout).contains("PRIVATE"), "the key is shown");
}

#[test]
fn presets_and_schema_are_printed() {
    let presets = text(&exeat(&["policy", "presets"]).stdout);
    let names = "anthropic openai github npm pypi crates go debian rubygems maven docker-hub huggingface";
    for name in names.split(' ') {
        assert!(presets.contains(name), "no {name}: {presets}");
    }
    let schema = exeat(&["policy", "schema"]);
    assert_eq!(schema.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"].is_object(), "{schema}");
}
