//! What the gateway shows of itself to origins that ask, by rule.

use crate::support::certs::CLIENTS;
use crate::support::*;

const HOST: &str = "mtls.exeat.test";

fn setup(rules: &[&str], origin: &Origin) -> Setup {
    let (certificate, key) = CLIENTS.client(vec![rcgen::SanType::DnsName("gateway.exeat.test".try_into().unwrap())]);
    Setup::allowing(rules).origin(HOST, origin).file("agent.pem", &certificate).file("agent.key", &key)
}

#[test]
fn a_rules_certificate_is_shown_for_its_requests_and_no_others() {
    let origin = Origin::tls_for_clients().echo();
    let world = World::start(setup(
        &[
            "host: mtls.exeat.test, paths: [\"/with/**\"], client_certificate: {certificate: agent.pem, key: agent.key}",
            "host: mtls.exeat.test, paths: [\"/without/**\"]",
        ],
        &origin,
    ));
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.get(HOST, "/with/x").text(), "GET /with/x\n");
    // The connection that the other rule opened is not this one's to use.
    let refused = tls.get(HOST, "/without/x");
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert_eq!(tls.get(HOST, "/with/y").text(), "GET /with/y\n");
    let paths: Vec<_> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(paths, ["/with/x", "/with/y"]);
}

#[test]
fn a_pair_that_can_t_be_used_is_told_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let origin = Origin::plain().silent();
    let rule = "host: mtls.exeat.test, client_certificate: {certificate: agent.pem, key: agent.key}";
    std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
    std::fs::write(home.path().join("exeat.yaml"), setup(&[rule], &origin).yaml()).unwrap();
    let run = |verb: &str| {
        let mut command = crate::support::world::exeat(home.path());
        command.env("EXEAT_TEST_TOKEN_DEV", "0123456789abcdef0123456789abcdef");
        let done = command.args([verb, "--config", "exeat.yaml"]).output().unwrap();
        assert!(!done.status.success());
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let said = run("check");
    assert!(said.contains("agent.pem") && said.contains("can't be read"), "{said}");
    std::fs::write(home.path().join("agent.pem"), "no certificate\n").unwrap();
    std::fs::write(home.path().join("agent.key"), "no key\n").unwrap();
    let said = run("serve");
    assert!(said.contains("client_certificate"), "{said}");
}
