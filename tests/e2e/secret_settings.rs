//! What an operator says about secrets: which are looked for, what is done about them, where, and for whom.

use crate::support::secrets::{anthropic_key, github_token, npm_token};
use crate::support::world::exeat;
use crate::support::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const URL: &str = "http://plain.exeat.test/";

fn world(origin: &Origin, secrets: &str) -> World {
    World::start(Setup::under(&policy(secrets)).origin("**.exeat.test", origin))
}

fn policy(secrets: &str) -> String {
    format!("{}secrets: {secrets}\n", policy_for(&["host: \"**.exeat.test\""]))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn dispositions(world: &World, count: usize) -> Vec<(String, String)> {
    let records = world.records(count);
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let findings = records.iter().flat_map(|record| record.0["findings"].as_array().cloned().unwrap_or_default());
    findings.map(|finding| (text(&finding, "rule"), text(&finding, "disposition"))).collect()
}

#[test]
fn a_rule_goes_before_its_group_and_a_host_before_the_policy() {
    let origin = Origin::plain().echo();
    let secrets = "{groups: {credentials: observe}, rules: {npm: block, anthropic: off}, \
                   hosts: [{host: strict.exeat.test, groups: {credentials: block}, rules: {anthropic: block}}]}";
    let world = world(&origin, secrets);
    let post = |host: &str, token: &str| world.agent().post(&format!("http://{host}.exeat.test/"), token.as_bytes());
    assert_eq!(post("plain", &github_token()).status, 200);
    assert_refused(&post("plain", &npm_token()), "secret_in_request");
    assert_eq!(post("plain", &anthropic_key()).status, 200);
    assert_refused(&post("strict", &github_token()), "secret_in_request");
    assert_refused(&post("strict", &npm_token()), "secret_in_request");
    assert_refused(&post("strict", &anthropic_key()), "secret_in_request");
    let seen: Vec<String> = dispositions(&world, 6).into_iter().map(|(_, disposition)| disposition).collect();
    assert_eq!(seen, ["observed", "blocked", "blocked", "blocked", "blocked"]);
}

#[test]
fn a_host_may_have_its_secrets_masked() {
    let origin = Origin::plain().echo();
    let world = world(&origin, "{hosts: [{host: llm.exeat.test, action: mask}]}");
    let token = github_token();
    let body = format!("{{\"text\": \"mine is {token}\"}}");
    assert_refused(&world.agent().post(URL, body.as_bytes()), "secret_in_request");
    assert_eq!(world.agent().post("http://llm.exeat.test/", body.as_bytes()).status, 200);
    let got = origin.only_request().text();
    assert_eq!(got, body.replace(&token, &"X".repeat(token.len())));
}

#[test]
fn what_can_not_be_looked_into_has_a_switch_of_its_own() {
    let bomb = gzip(&vec![0; 100 << 20]);
    let fields = |coding: &str, length| format!("Content-Encoding: {coding}\r\nContent-Length: {length}\r\n");
    let origin = Origin::plain().echo();
    let world = world(&origin, "{rules: {uninspectable: observe, decode-bomb: observe}}");
    let agent = world.agent();
    assert_eq!(agent.request("POST", URL, &fields("x-own", 5), b"hello").status, 200);
    assert_eq!(agent.request("POST", URL, &fields("gzip", bomb.len()), &bomb).status, 200);
    assert!(origin.requests()[1].body == bomb);
    assert_eq!(
        dispositions(&world, 2),
        [("uninspectable".into(), "observed".into()), ("decode-bomb".into(), "observed".into())]
    );
    assert_refused(&agent.post(URL, github_token().as_bytes()), "secret_in_request");
}

#[test]
fn a_policy_that_observes_stops_no_body_for_what_is_in_it() {
    let bomb = gzip(&vec![0; 100 << 20]);
    let origin = Origin::plain().echo();
    let policy = policy("{rules: {npm: block}}") + "mode: observe\n";
    let world = World::start(Setup::under(&policy).origin("**.exeat.test", &origin));
    let fields = |coding: &str, length| format!("Content-Encoding: {coding}\r\nContent-Length: {length}\r\n");
    let agent = world.agent();
    assert_eq!(agent.request("POST", URL, &fields("x-own", 5), b"hello").status, 200);
    assert_eq!(agent.request("POST", URL, &fields("gzip", 5), b"hello").status, 200);
    assert_eq!(agent.request("POST", URL, &fields("gzip", bomb.len()), &bomb).status, 200);
    assert_eq!(agent.post(URL, npm_token().as_bytes()).status, 200);
    let seen = dispositions(&world, 4);
    let rules: Vec<&str> = seen.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(rules, ["uninspectable", "uninspectable", "decode-bomb", "npm-token"], "{seen:?}");
    assert!(seen.iter().all(|(_, disposition)| disposition == "observed"), "{seen:?}");
}

#[test]
fn mistakes_in_what_is_said_about_secrets_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "policies:\n  a:\n    allow: [{host: a.test}]\n    secrets:\n      rules: {gihub-pat: off, known: off}\n      \
                groups: {generc: off}\n      hosts: [{host: \"a.*.b\", action: block}]\n      \
                permit: [{rule: credentials, hosts: [a.test]}]\n";
    std::fs::write(folder.path().join("exeat.yaml"), text).unwrap();
    let done = exeat(folder.path()).args(["check", "--json", "--config", "exeat.yaml"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let places: Vec<(u64, u64)> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].as_u64().unwrap(), error["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [(5, 15), (5, 38), (6, 16), (7, 22), (8, 23)], "{told:#}");
    assert!(told.to_string().contains("did you mean `github-pat"), "{told:#}");
}

/// A rule of `credentials: own`, and the one GitHub token that is registered.
fn own(host: &str) -> (World, Origin, String) {
    let (origin, token) = (Origin::tls().echo(), github_token());
    let policy = policy_for(&[&format!("host: {host}, credentials: own")]) + "secrets: {known: [\"env:OWN_TOKEN\"]}\n";
    let setup = Setup::under(&policy).origin(host, &origin).env("OWN_TOKEN", &token);
    (World::start(setup), origin, token)
}

#[test]
fn under_own_the_registered_credential_goes_home_and_another_one_does_not() {
    let (world, origin, token) = own("api.github.com");
    let other = github_token();
    let basic = |token: &str| format!("Basic {}", data_encoding::BASE64.encode(format!("x:{token}").as_bytes()));
    let ask = |value: &str| {
        let field = format!("Authorization: {value}\r\n");
        world.agent().https("api.github.com").ask("GET", "api.github.com", "/user", &field, b"")
    };
    assert_eq!(ask(&format!("Bearer {token}")).status, 200);
    assert_eq!(ask(&basic(&token)).status, 200);
    assert_eq!(world.agent().https("api.github.com").get("api.github.com", "/zen").status, 200);
    for value in [format!("Bearer {other}"), basic(&other), "Bearer some-opaque-thing".to_owned()] {
        let refusal = assert_refused(&ask(&value), "credential_not_own");
        assert!(refusal["hint"].as_str().unwrap().contains("--known"), "{refusal}");
    }
    assert_eq!(origin.requests().len(), 3);
    // The tunnels are told too.
    let text = world.into_records().iter().map(|record| record.0.to_string()).collect::<String>();
    assert!(!text.contains(&token[4..]) && !text.contains(&other[4..]) && !text.contains("opaque"), "{text}");
    assert!(text.contains("known:OWN_TOKEN") && text.contains("credential_not_own"), "{text}");
}

#[test]
fn under_own_queries_and_forms_take_registered_credentials_only() {
    let (origin, token) = (Origin::tls().echo(), github_token());
    let permits = "{rule: \"known:OWN_TOKEN\", hosts: [gitlab.exeat.test]}, {rule: github, hosts: [gitlab.exeat.test]}";
    let policy = policy_for(&["host: gitlab.exeat.test, credentials: own"])
        + &format!("secrets: {{known: [\"env:OWN_TOKEN\"], permit: [{permits}]}}\n");
    let setup = Setup::under(&policy).origin("gitlab.exeat.test", &origin).env("OWN_TOKEN", &token);
    let world = World::start(setup);
    let host = "gitlab.exeat.test";
    let query = |token: &str| world.agent().https(host).get(host, &format!("/api?private_token={token}"));
    let form = |token: &str| {
        let body = format!("grant_type=refresh_token&client_secret={token}");
        let fields = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        world.agent().https(host).ask("POST", host, "/oauth/token", &fields, body.as_bytes())
    };
    assert_eq!((query(&token).status, form(&token).status), (200, 200));
    let other = github_token();
    assert_refused(&query(&other), "credential_not_own");
    assert_refused(&form(&other), "credential_not_own");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn own_can_not_be_asked_of_a_tunnel_that_stays_closed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "policies:\n  a:\n    allow:\n      - {host: a.test, tls: tunnel, credentials: own}\n";
    std::fs::write(folder.path().join("exeat.yaml"), text).unwrap();
    let done = exeat(folder.path()).args(["check", "--config", "exeat.yaml"]).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.code() == Some(2) && told.contains("exeat.yaml:4:"), "{told}");
}

/// A session that was made over the control API with one known secret, at home on one host.
fn registered(world: &World, known: &serde_json::Value) -> (String, String) {
    let body = serde_json::json!({"policy": "agent", "known": known}).to_string();
    let response = world.control("POST", "/v1/sessions", &body);
    assert_eq!(response.status, 201, "{}", response.text());
    let made: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(made["known"], known.as_array().unwrap().len());
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

const VALUE: &str = "correct-horse-77";

#[test]
fn a_session_has_known_secrets_of_its_own() {
    let origin = Origin::plain().echo();
    let world = world(&origin, "{}");
    let known = serde_json::json!([{"name": "ACME", "value": VALUE, "homes": ["home.exeat.test"]}]);
    let (id, token) = registered(&world, &known);
    let agent = Agent::new(&world, Some((id.clone(), token)));
    let encoded = data_encoding::BASE64.encode(format!("a {VALUE} b").as_bytes());
    for text in [VALUE, &encoded, &data_encoding::HEXLOWER.encode(VALUE.as_bytes())] {
        let refusal = assert_refused(&agent.post(URL, format!("note={text}").as_bytes()), "secret_in_request");
        assert_eq!(refusal["rule"], "known:ACME");
    }
    let field = format!("X-Api-Key: {VALUE}\r\n");
    assert_eq!(agent.request("GET", "http://home.exeat.test/", &field, b"").status, 200);
    assert_refused(&agent.request("GET", URL, &field, b""), "secret_in_request");
    // Another session knows nothing of it.
    assert_eq!(world.agent().post(URL, format!("note {VALUE}").as_bytes()).status, 200);
    let shown = world.control("GET", &format!("/v1/sessions/{id}"), "").text();
    assert!(shown.contains("\"known\":1") && !shown.contains(VALUE), "{shown}");
    assert!(!world.stderr().contains(VALUE));
    assert!(!is_on_disk(&world, VALUE.as_bytes()));
}

/// Whether a file of the gateway holds these bytes.
fn is_on_disk(world: &World, bytes: &[u8]) -> bool {
    let mut folders = vec![world.directory.path().to_owned()];
    let mut found = false;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found |= std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes);
            }
        }
    }
    found
}

#[test]
fn after_a_restart_a_session_is_refused_until_its_known_secrets_are_given_again() {
    let origin = Origin::plain().echo();
    let world = world(&origin, "{}");
    let known = serde_json::json!([{"name": "ACME", "value": VALUE}]);
    let (id, token) = registered(&world, &known);
    let (bare, bare_token) = registered(&world, &serde_json::json!([]));
    let world = world.restart();
    let agent = Agent::new(&world, Some((id.clone(), token)));
    let refusal = assert_refused(&agent.get(URL), "known_secrets_lost");
    assert!(refusal["hint"].as_str().unwrap().contains("exeat session known"), "{refusal}");
    assert_eq!(Agent::new(&world, Some((bare, bare_token))).get(URL).status, 200);
    let shown = world.control("GET", &format!("/v1/sessions/{id}"), "").text();
    assert!(shown.contains("\"known_lost\":true"), "{shown}");

    std::fs::write(world.path("acme.env"), format!("ACME_TOKEN={VALUE}\n")).unwrap();
    let given = {
        let control = format!("http://{}", world.control);
        let at = ["--control", &control, "--key", "control.key"];
        world.run(&[&["session", "known", &id, "--known", "file:acme.env"][..], &at].concat())
    };
    assert!(given.status.success(), "{given:?}");
    assert_eq!(agent.get(URL).status, 200);
    assert_refused(&agent.post(URL, VALUE.as_bytes()), "secret_in_request");
}

#[test]
fn secrets_that_are_given_later_hold_in_tunnels_that_are_open_already() {
    let origin = Origin::tls().echo();
    let world = world(&origin, "{}");
    let mut tls = world.agent().https("tls.exeat.test");
    assert_eq!(tls.post("tls.exeat.test", "/", VALUE.as_bytes()).status, 200);
    let body = serde_json::json!({"known": [{"name": "ACME", "value": VALUE}]}).to_string();
    assert_eq!(world.control("PUT", "/v1/sessions/dev/known", &body).status, 204);
    assert_refused(&tls.post("tls.exeat.test", "/", VALUE.as_bytes()), "secret_in_request");
}

#[test]
fn what_is_wrong_with_known_secrets_is_told_without_them() {
    let world = World::start(Setup::new());
    for known in [
        serde_json::json!(VALUE),
        serde_json::json!([VALUE]),
        serde_json::json!([{"name": "A", "value": 7}]),
        serde_json::json!([{"name": "A", "value": "short"}]),
        serde_json::json!([{"name": "A\nB", "value": VALUE}]),
        serde_json::json!([{"name": "A", "value": VALUE, "homes": ["https://x"]}]),
        serde_json::json!([{"name": "A", "value": VALUE, "extra": VALUE}]),
    ] {
        let body = serde_json::json!({"policy": "agent", "known": known}).to_string();
        let response = world.control("POST", "/v1/sessions", &body);
        assert_eq!(response.status, 400, "{body}: {}", response.text());
        assert!(response.text().contains("bad_known") && !response.text().contains(VALUE), "{}", response.text());
        let response = world.control("PUT", "/v1/sessions/dev/known", &serde_json::json!({"known": known}).to_string());
        assert_eq!(response.status, 400, "{}", response.text());
    }
    assert_eq!(world.control("PUT", "/v1/sessions/dev/known", "{\"known\": []}").status, 400);
    let body = serde_json::json!({"known": [{"name": "A", "value": VALUE}]}).to_string();
    assert_eq!(world.control("PUT", "/v1/sessions/nobody/known", &body).status, 404);
    assert!(!world.stderr().contains(VALUE));
}

#[test]
fn a_session_is_made_with_variables_and_files_of_the_operator() {
    let origin = Origin::plain().echo();
    let world = world(&origin, "{}");
    std::fs::write(world.path(".netrc"), format!("machine home.exeat.test login me password {VALUE}\n")).unwrap();
    let mut command = exeat(world.directory.path());
    let control = format!("http://{}", world.control);
    command.args(["session", "new", "--policy", "agent", "--control", &control, "--key", "control.key", "--json"]);
    command.args(["--known", "env:DEPLOY_KEY", "--known", "file:.netrc", "--home", "DEPLOY_KEY=deploy.exeat.test"]);
    let done = command.env("DEPLOY_KEY", "a-deploy-key-9").output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let made: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let agent = Agent::new(&world, Some((text("id"), text("token"))));
    let get = |host: &str, value: &str| {
        let basic = data_encoding::BASE64.encode(format!("me:{value}").as_bytes());
        let url = format!("http://{host}.exeat.test/");
        agent.request("GET", &url, &format!("Authorization: Basic {basic}\r\n"), b"")
    };
    assert_eq!((get("home", VALUE).status, get("deploy", "a-deploy-key-9").status), (200, 200));
    assert_refused(&get("deploy", VALUE), "secret_in_request");
    assert_refused(&get("home", "a-deploy-key-9"), "secret_in_request");
    let wrong = world.run(&["session", "new", "--policy", "agent", "--config", "exeat.yaml", "--home", "X=a.test"]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("--home X"), "{wrong:?}");
}

#[test]
fn no_core_dump_is_left_of_a_gateway_whatever_its_limits_were() {
    use std::os::unix::process::ExitStatusExt;
    let setup = Setup::under(&policy("{known: [\"env:OWN\"]}")).env("OWN", VALUE).after_shell("ulimit -S -c unlimited");
    let mut world = World::start(setup);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // A process that may not be dumped belongs to root in /proc, whoever runs it; its memory is closed to its user.
    world.signal(nix::sys::signal::Signal::SIGABRT);
    let status = world.wait();
    assert!(status.signal() == Some(6) && !status.core_dumped(), "{status:?}");
}

#[test]
fn a_command_keeps_its_own_limit_for_core_dumps() {
    let folder = tempfile::tempdir().unwrap();
    let limit = |command: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$@\"", "sh"]).args(command);
        let done = shell.env("HOME", folder.path()).env_remove("XDG_STATE_HOME").output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let exeat = crate::support::world::binary();
    let alone = limit(&["sh", "-c", "ulimit -S -c"]);
    assert_eq!(
        limit(&[exeat.to_str().unwrap(), "run", "--quiet", "--no-gather", "--", "sh", "-c", "ulimit -S -c"]),
        alone
    );
}

#[test]
fn a_canary_is_critical_wherever_it_is_seen() {
    let origin = Origin::tls().echo();
    let policy = policy_for(&["host: api.github.com", "host: \"**.exeat.test\""])
        + "secrets: {groups: {credentials: off}, permit: [{rule: github, hosts: [api.github.com]}]}\n";
    let world = World::start(Setup::under(&policy).origin("**", &origin));
    let made = world.run(&["secrets", "canary"]);
    let canary = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    // At its kind's home, with its group switched off and a permit: it is nobody's credential.
    let field = format!("Authorization: Bearer {canary}\r\n");
    let ask = |host: &str, field: &str, body: &[u8]| {
        let fields = format!("{field}Content-Length: {}\r\n", body.len());
        world.agent().https(host).ask("POST", host, "/", &fields, body)
    };
    for (host, field, body) in [
        ("api.github.com", field.as_str(), String::new()),
        ("tls.exeat.test", "", canary.clone()),
        ("tls.exeat.test", "", data_encoding::BASE64.encode(format!("see {canary} here").as_bytes())),
    ] {
        let refusal = assert_refused(&ask(host, field, body.as_bytes()), "secret_in_request");
        assert_eq!(refusal["rule"], "canary");
    }
    assert!(origin.requests().is_empty());
    let records = world.into_records();
    let findings: Vec<_> = records.iter().filter_map(|record| record.0.pointer("/findings/0").cloned()).collect();
    assert_eq!(findings.len(), 3);
    assert!(findings.iter().all(|finding| finding["severity"] == "critical"), "{findings:?}");
}
