//! What `exeat run` makes of its arguments.

use super::super::run::{RunOptions, for_run_in};
use super::super::{Config, RUN_POLICY};
use super::{allows, environment, target};
use crate::net::Authority;
use crate::policy::TlsMode;

fn for_run(policy: Option<&str>, allow: &[&str]) -> Result<Config, String> {
    let allow: Vec<String> = allow.iter().map(|text| (*text).to_owned()).collect();
    let options = RunOptions { config: None, policy, allow: &allow };
    for_run_in(options, &environment).map_err(|errors| errors.to_string())
}

#[test]
fn a_run_listens_on_free_ports_and_takes_hosts_from_the_command_line() {
    let allow = ["a.test", "b.test:8443", "*.c.test", "127.0.0.1:8080", "localhost:9000", "[::1]:7000", "d.test"];
    let config = for_run(None, &allow).unwrap();
    assert_eq!((config.listen.proxy.port(), config.listen.control.port()), (0, 0));
    let policy = &config.rulesets[RUN_POLICY].policy;
    for (url, expected) in [
        ("https://a.test/", true),
        ("http://a.test/", true),
        ("https://a.test:444/", false),
        ("https://b.test:8443/", true),
        ("https://b.test/", false),
        ("https://x.c.test/", true),
        ("https://c.test/", false),
        ("http://127.0.0.1:8080/", true),
        ("http://127.0.0.1:8081/", false),
        ("http://localhost:9000/", true),
        ("http://[::1]:7000/", true),
        ("https://registry.npmjs.org/x", true),
    ] {
        assert_eq!(allows(policy, "GET", url), expected, "{url}");
    }
    let permit = policy.decide(&target("GET", "http://localhost:9000/")).unwrap();
    assert!(permit.names_address("127.0.0.1".parse().unwrap()) && permit.names_address("::1".parse().unwrap()));
    assert_eq!(permit.rule().as_ref(), "--allow localhost:9000");
    assert!(!permit.names_address("10.0.0.1".parse().unwrap()));
}

#[test]
fn a_run_takes_its_policy_from_a_file_or_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let policy = file("mine.yaml", "allow: [{host: a.test, tls: tunnel}]\ndeny: [{host: b.test}]\n");
    let config = for_run(Some(&policy), &["a.test"]).unwrap();
    let run = &config.rulesets[RUN_POLICY].policy;
    let permit = run.decide_tunnel(&Authority::parse(b"a.test:443").unwrap()).unwrap();
    assert_eq!((permit.rule().as_ref(), permit.tls()), ("mine.allow[0]", TlsMode::Tunnel));

    // The token of another session is no business of a run.
    let text =
        "policies: {one: {allow: [{host: c.test}]}}\nsessions: [{id: a, policy: one, token: \"env:NOT_THERE\"}]\n";
    let config = std::path::PathBuf::from(file("exeat.yaml", text));
    let named = |policy| for_run_in(RunOptions { config: Some(&config), policy, allow: &[] }, &environment);
    for policy in [Some("one"), None] {
        assert!(allows(&named(policy).unwrap().rulesets[RUN_POLICY].policy, "GET", "https://c.test/"), "{policy:?}");
    }
    let error = named(Some("oen")).unwrap_err().to_string();
    assert!(error.contains("there is no policy oen") && error.contains("did you mean `one`?"), "{error}");
}

#[test]
fn a_bad_argument_of_a_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    std::fs::write(&file, "deny: [{host: \"**.b.test\"}]\nallow: [{host: a.test}]\n").unwrap();
    let file = file.to_str().unwrap();
    for (policy, allow, told) in [
        (None, "https://a.test", "`https://a.test`: a host is written without scheme, port or path"),
        (None, "a.test:0", "the port is not a number from 1 to 65535"),
        (None, "a.test:443:443", "without scheme, port or path"),
        (None, "*", "`*`"),
        (None, "", "the host is empty"),
        (Some(file), "x.b.test", "x.b.test is denied by p.deny[0]"),
        (Some("npm"), "a.test", "npm is a preset"),
        (Some("./none.yaml"), "a.test", "can't be read"),
    ] {
        let error = for_run(policy, &[allow]).unwrap_err();
        assert!(error.contains(told), "{allow}: {error}");
    }
    let two = for_run(None, &["a b", "c d"]).unwrap_err();
    assert_eq!(two.matches("error: --allow").count(), 2, "{two}");
}
