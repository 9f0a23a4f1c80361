//! The control API: for operators with the key, on its own listener, and never by way of the proxy.

use crate::support::*;
use serde_json::{Value, json};

fn world() -> World {
    World::start(Setup::new())
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

#[test]
fn health_and_readiness_need_no_key() {
    let world = world();
    for path in ["/healthz", "/readyz"] {
        let response = world.control_with("GET", path, &world.control.to_string(), "", "");
        assert_eq!(response.status, 200, "{path}");
    }
}

#[test]
fn a_session_is_made_with_all_that_an_agent_needs() {
    let world = world();
    let body = json!({"policy": "agent", "ttl": "1h", "task": "fix it", "labels": {"team": "core"}}).to_string();
    let response = world.control("POST", "/v1/sessions", &body);
    assert_eq!(response.status, 201, "{}", response.text());
    let made = json_of(&response);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(made["proxy_url"], format!("http://{id}:{token}@{}", world.proxy));
    assert_eq!((made["policy"].as_str(), made["task"].as_str()), (Some("agent"), Some("fix it")));
    assert_eq!(made["labels"], json!({"team": "core"}));
    assert!(made["expires_at"].is_string() && token.len() >= 43, "{made}");
}

#[test]
fn task_and_labels_come_back_in_the_records() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin("plain.exeat.test", &origin));
    let body = json!({"policy": "agent", "ttl": "1h", "task": "fix it", "labels": {"team": "core"}}).to_string();
    let made = json_of(&world.control("POST", "/v1/sessions", &body));
    let text = |key: &str| made[key].as_str().unwrap().to_owned();
    let agent = Agent::new(&world, Some((text("id"), text("token"))));
    assert_eq!(agent.get("http://plain.exeat.test/").status, 200);
    let records = world.records(1);
    let session = &records[0]["session"];
    assert_eq!((session["task"].as_str(), session["labels"]["team"].as_str()), (Some("fix it"), Some("core")));
}

#[test]
fn a_token_is_shown_once() {
    let world = world();
    let session = world.session("agent", "1h");
    let list = world.control("GET", "/v1/sessions", "");
    let shown = world.control("GET", &format!("/v1/sessions/{}", session.id), "");
    for response in [&list, &shown] {
        assert_eq!(response.status, 200);
        assert!(
            response.text().contains(&session.id) && !response.text().contains(&session.token),
            "{}",
            response.text()
        );
        assert!(!response.text().contains(world.token("dev")));
    }
    assert!(!world.stderr().contains(&session.token));
}

#[test]
fn what_is_wrong_with_a_request_is_told() {
    let world = world();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("{}", 400),
        (r#"{"policy": "nope", "ttl": "1h"}"#, 422),
        (r#"{"policy": "agent", "ttl": "soon"}"#, 400),
        (r#"{"policy": "agent", "ttl": "-1h"}"#, 400),
        (r#"{"policy": "agent", "ttl": "0s"}"#, 400),
        (r#"{"policy": "agent", "tll": "1h"}"#, 400),
        (r#"{"policy": "agent", "ttl": "1h", "id": "dev"}"#, 400),
        (r#"{"policy": "agent", "ttl": "1h", "token": "mine"}"#, 400),
        (r#"{"policy": "agent", "policy": "agent"}"#, 400),
        (r#"{"policy": "agent", "labels": {"a": 1}}"#, 400),
        (r#"{"policy": "agent", "task": "two\nlines"}"#, 400),
    ] {
        let response = world.control("POST", "/v1/sessions", body);
        assert_eq!(response.status, status, "{body}: {}", response.text());
        assert_eq!(response.field("content-type"), Some("application/problem+json"));
        assert!(json_of(&response)["detail"].is_string());
    }
}

#[test]
fn a_body_without_end_is_cut_off() {
    let world = world();
    let body = format!("{{\"policy\": \"{}\"}}", "a".repeat(3 << 20));
    assert_eq!(world.control("POST", "/v1/sessions", &body).status, 413);
}

#[test]
fn without_the_key_nothing_is_told() {
    let world = world();
    let host = world.control.to_string();
    let key = world.key();
    let values = [
        String::new(),
        "Authorization: Bearer wrong\r\n".into(),
        format!("Authorization: Bearer {}\r\n", &key[..key.len() - 1]),
        format!("Authorization: Bearer {key}x\r\n"),
        format!("Authorization: Basic {key}\r\n"),
        format!("Authorization: {key}\r\n"),
        format!("Proxy-Authorization: Bearer {key}\r\n"),
        format!("Authorization: Bearer {}\r\n", world.token("dev")),
        format!("Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n"),
    ];
    for fields in values {
        for (method, path) in [("GET", "/v1/sessions"), ("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/dev")] {
            let response = world.control_with(method, path, &host, &fields, "");
            assert!(matches!(response.status, 401 | 429), "{method} {path} with {fields:?}: {}", response.status);
            assert!(!response.text().contains(&key));
        }
    }
    assert_eq!(world.control("GET", "/v1/sessions/dev", "").status, 200);
}

#[test]
fn wrong_keys_do_not_lock_the_right_one_out() {
    let world = world();
    for _ in 0..60 {
        world.control_with("GET", "/v1/sessions", &world.control.to_string(), "Authorization: Bearer no\r\n", "");
    }
    assert_eq!(world.control("GET", "/v1/sessions", "").status, 200);
}

#[test]
fn a_foreign_host_name_is_refused_against_rebinding() {
    let world = world();
    let fields = format!("Authorization: Bearer {}\r\n", world.key());
    for host in ["evil.test", "evil.test:3129", "localhost.evil.test", "metadata.google.internal"] {
        let response = world.control_with("GET", "/v1/sessions", host, &fields, "");
        assert!(matches!(response.status, 400 | 403 | 421), "{host}: {}", response.status);
    }
    assert_eq!(world.control_with("GET", "/v1/sessions", "localhost", &fields, "").status, 200);
}

#[test]
fn sessions_that_are_not_there_are_not_found() {
    let world = world();
    for id in ["nope", "..", "%2e%2e", "a%2fb", "DEV"] {
        assert_eq!(world.control("GET", &format!("/v1/sessions/{id}"), "").status, 404, "{id}");
        assert_eq!(world.control("DELETE", &format!("/v1/sessions/{id}"), "").status, 404, "{id}");
    }
}

#[test]
fn metrics_are_told_without_hosts_or_tokens() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin("plain.exeat.test", &origin));
    assert_eq!(world.agent().get("http://plain.exeat.test/").status, 200);
    let response = world.control("GET", "/metrics", "");
    let text = response.text();
    assert_eq!(response.status, 200);
    assert!(text.contains("exeat_"), "{text}");
    assert!(!text.contains("plain.exeat.test") && !text.contains(world.token("dev")), "{text}");
}

#[test]
fn the_control_api_is_not_reachable_through_the_proxy() {
    let probe = World::start(Setup::new());
    let (proxy, control) = (probe.proxy.port(), probe.control.port());
    drop(probe);
    let rule = format!("host: \"**\", ports: [{control}]");
    let numeric = format!("host: 127.0.0.1, ports: [{control}]");
    let world = World::start(Setup::allowing(&[&rule, &numeric]).listening(proxy, control));
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{control}/healthz");
        assert_refused(&world.agent().get(&url), "self_connection");
        assert_refused(&world.agent().refused(&format!("{host}:{control}")), "self_connection");
    }
    // And the proxy's own port serves nothing but proxying.
    for path in ["/v1/sessions", "/healthz", "/metrics"] {
        let fields = format!("{}Authorization: Bearer {}\r\n", world.agent().field(), world.key());
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", world.proxy);
        let response = world.agent().send(head).response_to("GET").unwrap();
        assert!(matches!(response.status, 400 | 405), "{path}: {}", response.status);
    }
}

#[test]
fn the_operators_key_is_made_once_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = world();
    let mode = std::fs::metadata(world.path("control.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = world.key();
    assert!(key.len() >= 43, "{} characters", key.len());
    let world = world.restart();
    assert_eq!(world.key(), key);
    assert!(!world.stderr().contains(&key));
}

#[test]
fn the_session_verbs_work_against_a_running_gateway() {
    let world = world();
    let url = format!("http://{}", world.control);
    let run = |arguments: &[&str]| {
        let done = world.run(&[&["session"], arguments, &["--control", &url, "--key", "control.key"]].concat());
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, made, stderr) =
        run(&["new", "--policy", "agent", "--ttl", "1h", "--task", "T", "--label", "k=v", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap();
    assert!(run(&["list"]).1.contains(id));
    assert!(run(&["show", id]).1.contains("agent"));
    assert_eq!(run(&["revoke", id]).0, Some(0));
    assert!(!run(&["list"]).1.contains(id));
    assert_eq!(run(&["show", id]).0, Some(1));
    assert_eq!(run(&["new", "--policy", "nope"]).0, Some(1));
    let (code, exports, _) = run(&["new", "--policy", "agent"]);
    assert_eq!(code, Some(0));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY"] {
        assert!(exports.lines().any(|line| line.starts_with(&format!("export {name}="))), "no {name}: {exports}");
    }
}

#[test]
fn the_session_verbs_find_the_gateway_by_its_configuration() {
    let probe = world();
    let (proxy, control) = (probe.proxy.port(), probe.control.port());
    drop(probe);
    let world = World::start(Setup::new().listening(proxy, control));
    let done = world.run(&["session", "list", "--config", "exeat.yaml"]);
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("dev"));
}
