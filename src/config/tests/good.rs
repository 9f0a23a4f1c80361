//! Files that load.

use super::super::load::{DEFAULT_POLICY, Wanted, load_with, policy_from_text};
use super::super::shapes::{FileShape, PolicyShape};
use super::super::{Action, SecretSource, file_schema, policy_schema};
use super::{allows, compile, compile_below, environment, target};
use crate::ca::TrustRoot;
use crate::dns::Nameservers;
use crate::flow::Durability;
use crate::net::{Authority, Host};
use crate::policy::{Mode, TlsMode};
use std::collections::BTreeSet;
use std::time::Duration;

const EVERY_KEY: &str = include_str!("../../../config/exeat.yaml");

#[test]
fn a_whole_file_means_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(folder.path().join(".env"), "DB_PASSWORD=correct horse battery\nDEBUG=1\n").unwrap();
    std::fs::write(folder.path().join("private.pem"), "").unwrap();
    let text = r#"
listen: {proxy: "127.0.0.1:0", control: "[::1]:9000"}
ca: {certificate: ca.pem, key: /keys/ca.key}
control: {key: "file:control.key"}
resolver:
  nameservers: ["127.0.0.1:5353", "[::1]:53"]
  connect:
    - {host: "*.example.com", to: "127.0.0.1:8443"}
upstream: {trust: [system, private.pem]}
flows: {journal: flows, durability: each}
state: state
drain: 5s
limits: {connections: 7, idle_timeout: 1h30m}
policies:
  agent:
    mode: observe
    presets: [npm]
    allow:
      - {host: api.example.com, ports: [443, "8000-8001"], methods: read-only, paths: ["/v1/**"], addresses: ["10.0.0.0/8", 127.0.0.1]}
      - {host: "**.relay.example", tls: tunnel, protocols: [tls, ssh]}
    deny: [{host: gist.example.com}]
    secrets:
      action: mask
      permit: [{rule: github-pat, hosts: ["git.example.dev"]}]
      known: ["file:.env"]
    limits: {requests_per_minute: 600, upload: 50MiB, connections: 256}
  empty: {}
sessions:
  - {id: dev, policy: agent, token: "file:token", task: "try", labels: {team: core}}
"#;
    let config = compile_below(folder.path(), text).unwrap();
    assert_eq!(config.listen.proxy.port(), 0);
    assert_eq!(config.listen.control.to_string(), "[::1]:9000");
    assert_eq!(config.ca.certificate, folder.path().join("ca.pem"));
    assert_eq!(config.ca.key, std::path::Path::new("/keys/ca.key"));
    assert_eq!(config.control_key, SecretSource::File(folder.path().join("control.key")));
    let Nameservers::Fixed(servers) = &config.resolver.nameservers else { panic!("fixed") };
    assert_eq!(servers.len(), 2);
    assert_eq!(config.resolver.connect[0].to.to_string(), "127.0.0.1:8443");
    assert_eq!(config.trust.roots, [TrustRoot::System, TrustRoot::File(folder.path().join("private.pem"))]);
    assert_eq!((&config.flows.journal, config.flows.durability), (&folder.path().join("flows"), Durability::Each));
    assert_eq!(config.state, folder.path().join("state"));
    assert_eq!(config.drain, Duration::from_secs(5));
    assert_eq!(config.limits.connections, 7);
    assert_eq!(config.limits.idle_timeout, Duration::from_secs(5_400));
    assert_eq!(config.limits.head_timeout, crate::proxy::Limits::default().head_timeout);

    let agent = &config.rulesets["agent"];
    assert_eq!(agent.policy.mode(), Mode::Observe);
    assert_eq!(agent.secrets.action, Action::Mask);
    assert_eq!(agent.secrets.permits[0].rule.as_ref(), "github-pat");
    let known: Vec<_> = agent.secrets.known.iter().map(|known| known.rule().to_string()).collect();
    assert_eq!(known, ["known:DB_PASSWORD"]);
    assert_eq!(agent.limits.upload, Some(50 << 20));
    let permit = agent.policy.decide(&target("GET", "https://api.example.com:8001/v1/x")).unwrap();
    assert_eq!((permit.rule().as_ref(), permit.observed().is_none()), ("agent.allow[0]", true));
    assert!(permit.names_address("127.0.0.1".parse().unwrap()) && !permit.names_address("::1".parse().unwrap()));
    let permit = agent.policy.decide_tunnel(&Authority::parse(b"a.b.relay.example:443").unwrap()).unwrap();
    assert_eq!(permit.tls(), TlsMode::Tunnel);

    let session = &config.sessions[0];
    assert_eq!((session.id.as_str(), session.policy.as_ref(), session.task.as_deref()), ("dev", "agent", Some("try")));
    assert_eq!(session.labels["team"].as_ref(), "core");
    assert!(session.digest == crate::session::TokenDigest::of("0123456789abcdef0123456789abcdef"));
    let told: Vec<_> = config.warnings.iter().map(|warning| &*warning.path).collect();
    assert_eq!(told, ["policies.empty"], "{}", config.warnings);
}

#[test]
fn what_is_left_out_lives_in_the_users_folders() {
    let config = compile("policies: {agent: {allow: [{host: a.test}]}}").unwrap();
    assert_eq!(config.listen.proxy.to_string(), "127.0.0.1:3128");
    assert_eq!(config.listen.control.to_string(), "127.0.0.1:3129");
    assert_eq!(config.ca.certificate.to_str(), Some("/home/operator/.local/share/exeat/ca.pem"));
    assert_eq!(config.control_key.to_string(), "file:/home/operator/.local/share/exeat/control.key");
    assert_eq!(config.flows.journal.to_str(), Some("/home/operator/.local/state/exeat/flows"));
    assert_eq!(config.state.to_str(), Some("/home/operator/.local/state/exeat"));
    assert_eq!(config.drain, Duration::from_secs(30));
    assert!(config.warnings.is_empty());
}

#[test]
fn a_journal_of_its_own_brings_a_state_of_its_own() {
    let config = compile("flows: {journal: flows}\npolicies: {a: {allow: [{host: a.test}]}}").unwrap();
    assert_eq!(config.state.to_str(), Some("/etc/exeat/flows"));
}

#[test]
fn without_a_file_there_is_the_policy_for_coding_agents() {
    let config = load_with(None, &environment, Wanted::All).unwrap();
    let policy = &config.rulesets["agent"].policy;
    assert_eq!(config.rulesets.len(), 1);
    assert_eq!(policy.mode(), Mode::Enforce);
    assert!(config.sessions.is_empty() && config.warnings.is_empty());
    for (method, url, expected) in [
        ("POST", "https://api.anthropic.com/v1/messages", true),
        ("POST", "https://api.openai.com/v1/responses", true),
        ("GET", "https://registry.npmjs.org/left-pad", true),
        ("GET", "https://registry.npmjs.org/@types%2fnode", true),
        ("POST", "https://registry.npmjs.org/-/npm/v1/security/advisories/bulk", true),
        ("PUT", "https://registry.npmjs.org/left-pad", false),
        ("GET", "https://files.pythonhosted.org/packages/x.whl", true),
        ("POST", "https://upload.pypi.org/legacy/", false),
        ("GET", "https://index.crates.io/se/rd/serde", true),
        ("PUT", "https://crates.io/api/v1/crates/new", false),
        ("GET", "https://proxy.golang.org/golang.org/x/net/@v/list", true),
        ("GET", "https://storage.googleapis.com/proxy-golang-org-prod/x.zip", true),
        ("GET", "https://storage.googleapis.com/another-bucket/x.zip", false),
        ("GET", "http://deb.debian.org/debian/dists/stable/InRelease", true),
        ("GET", "https://github.com/a/b.git/info/refs?service=git-upload-pack", true),
        ("POST", "https://github.com/a/b.git/git-upload-pack", true),
        ("POST", "https://github.com/a/b.git/git-receive-pack", false),
        ("GET", "https://api.github.com/repos/a/b", true),
        ("POST", "https://api.github.com/gists", false),
        // Queries: whether it is one is told by the body.
        ("POST", "https://api.github.com/graphql", true),
        ("POST", "https://uploads.github.com/repos/a/b/releases/1/assets?name=x", false),
        ("PUT", "https://github-cloud.s3.amazonaws.com/alambic/x", false),
        ("GET", "http://github.com/a/b", false),
        ("GET", "https://github.com.evil.test/", false),
        ("GET", "https://example.com/", false),
    ] {
        assert_eq!(allows(policy, method, url), expected, "{method} {url}");
    }
}

#[test]
fn without_a_home_the_defaults_have_no_place() {
    let error = load_with(None, &|_| None, Wanted::All).unwrap_err().to_string();
    assert!(error.contains("neither XDG_DATA_HOME nor HOME names a folder"), "{error}");
}

/// The lines that an example stands behind a `#` in are keys too.
fn with_examples(text: &str) -> String {
    let example = |line: &str| {
        let rest = line.trim_start();
        rest.starts_with('#') && rest.trim_start_matches('#').starts_with(|c: char| c.is_ascii_lowercase())
    };
    let mut out = String::new();
    let mut within = false;
    for line in text.lines() {
        let continues = within && line.trim_start().starts_with("#  ");
        within = example(line) || continues;
        if within {
            // The example takes the place of the value that stands there.
            let key = line.trim_start().trim_start_matches('#').split(':').next().unwrap_or_default();
            let stands = out.rfind(&format!("{key}: ")).filter(|_| example(line));
            if let Some(at) = stands {
                out.truncate(out[..at].rfind('\n').map_or(0, |end| end + 1));
            }
            out.push_str(&line.replacen('#', "", 1));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// All key paths that a schema has, list items as `[]` and free names as `*`.
fn schema_keys(schema: &serde_json::Value) -> BTreeSet<String> {
    fn walk(root: &serde_json::Value, schema: &serde_json::Value, path: &str, keys: &mut BTreeSet<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            return walk(root, &root["definitions"][name], path, keys);
        }
        for branch in ["anyOf", "allOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            walk(root, branch, path, keys);
        }
        if schema["items"].is_object() {
            walk(root, &schema["items"], &format!("{path}[]"), keys);
        }
        if schema["additionalProperties"].is_object() {
            walk(root, &schema["additionalProperties"], &format!("{path}.*"), keys);
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            keys.insert(path.clone());
            walk(root, below, &path, keys);
        }
    }
    let mut keys = BTreeSet::new();
    walk(schema, schema, "", &mut keys);
    keys
}

/// The same of a document.
fn document_keys(value: &serde_json::Value, path: &str, keys: &mut BTreeSet<String>) {
    for item in value.as_array().into_iter().flatten() {
        document_keys(item, &format!("{path}[]"), keys);
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        let free = path == ".policies" || path.ends_with(".labels") || path.ends_with(".rules");
        let path = if free { format!("{path}.*") } else { format!("{path}.{name}") };
        if !free {
            keys.insert(path.clone());
        }
        document_keys(below, &path, keys);
    }
}

#[test]
fn the_commented_file_has_every_key_of_the_schema_and_no_other() {
    let mut keys = BTreeSet::new();
    document_keys(&serde_yaml::from_str(&with_examples(EVERY_KEY)).unwrap(), "", &mut keys);
    assert_eq!(keys, schema_keys(&file_schema()));
}

#[test]
fn the_commented_file_holds_the_defaults() {
    let written = compile(EVERY_KEY).unwrap_or_else(|errors| panic!("{errors}"));
    let default = compile("policies: {}").unwrap();
    assert!(written.warnings.is_empty(), "{}", written.warnings);
    assert_eq!(written.listen, default.listen);
    assert_eq!(written.limits, default.limits);
    assert_eq!(written.drain, default.drain);
    assert_eq!(written.resolver, default.resolver);
    assert_eq!(written.trust, default.trust);
    assert_eq!(written.flows.durability, default.flows.durability);
    assert_eq!(written.rulesets["agent"].policy.mode(), Mode::default());
    assert_eq!(written.rulesets["agent"].secrets.action, Action::default());
    assert!(written.sessions.is_empty());
}

#[test]
fn the_examples_of_the_commented_file_are_right() {
    let text = with_examples(EVERY_KEY);
    let errors = compile(&text).unwrap_err();
    // Only what is not there on a test machine is missed.
    for error in &errors {
        let absent = error.message.contains("is not set") || error.message.contains("can't be read");
        assert!(absent, "{}: {}", error.path, error.message);
    }
    assert!(text.contains("  - {id: dev"), "the examples are read");
}

#[test]
fn schemas_are_of_what_is_read() {
    let policy = policy_schema();
    assert_eq!(policy["additionalProperties"], false);
    assert!(policy["properties"]["allow"].is_object());
    assert!(!schema_keys(&policy).is_empty());
    let _: (FileShape, PolicyShape) = Default::default();
}

#[test]
fn the_policy_for_coding_agents_is_a_policy_file() {
    let base = std::path::Path::new("/");
    let (ruleset, warnings) = policy_from_text("agent", "p.yaml".into(), DEFAULT_POLICY, base).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(ruleset.secrets.action, Action::Block);
}

#[test]
fn any_name_is_told_as_wide() {
    let config =
        compile("policies: {a: {allow: [{host: \"**\"}, {host: \"*.co.uk\"}, {host: \"*.acme.co.uk\"}]}}").unwrap();
    let told: Vec<_> = config.warnings.iter().map(|warning| &*warning.path).collect();
    assert_eq!(told, ["policies.a.allow[0].host", "policies.a.allow[1].host"]);
    assert!(Host::parse(b"a.test").is_ok_and(|host| host.as_name().is_some()));
}
