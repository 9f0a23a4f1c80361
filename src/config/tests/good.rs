//! Files that load.

use super::super::load::{DEFAULT_POLICY, Wanted, load_with, policy_from_text};
use super::super::run::{RunOptions, for_run_in};
use super::super::shapes::{FileShape, PolicyShape};
use super::super::{Action, Config, RUN_POLICY, SecretSource, file_schema, policy_schema, preset};
use super::{compile, compile_below, environment};
use crate::ca::TrustRoot;
use crate::dns::Nameservers;
use crate::flow::Durability;
use crate::net::{Authority, Host, Path, Scheme, Target};
use crate::policy::{Mode, Policy, TlsMode};
use http::Method;
use std::collections::BTreeSet;
use std::time::Duration;

const EVERY_KEY: &str = include_str!("../../../config/exeat.yaml");

fn target(method: &str, url: &str) -> Target {
    let (scheme, rest) = match url.split_once("://").unwrap() {
        ("http", rest) => (Scheme::Http, rest),
        (_, rest) => (Scheme::Https, rest),
    };
    let path_at = rest.find('/').unwrap();
    Target {
        scheme,
        authority: Authority::parse_or(&rest.as_bytes()[..path_at], scheme.default_port()).unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        path: Path::parse(&rest.as_bytes()[path_at..]).unwrap(),
    }
}

fn allows(policy: &Policy, method: &str, url: &str) -> bool {
    let target = target(method, url);
    let tunnel = target.scheme == Scheme::Http || policy.decide_tunnel(&target.authority).is_ok();
    tunnel && policy.decide(&target).is_ok()
}

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

#[test]
fn every_preset_loads_says_where_it_is_documented_and_is_reachable_alone() {
    let names: Vec<_> = preset::names().collect();
    assert!(names.is_sorted() && names.len() >= 40, "{names:?}");
    for required in ["anthropic", "openai", "github", "npm", "pypi", "crates", "go", "debian"] {
        assert!(names.contains(&required), "{required}");
    }
    for name in names {
        let preset = preset::load(name).unwrap().unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(&*preset.name, name);
        assert!(preset.description.ends_with('.') && preset.description.len() < 120, "{name}");
        assert!(preset.documentation.iter().all(|url| url.starts_with("https://")), "{name}");
        assert!(!preset.documentation.is_empty() && !preset.rules.is_empty(), "{name}");
        for rule in &preset.rules {
            assert!(!rule.host.is_wide() && !rule.is_void() && rule.addresses.is_empty(), "{name}: {}", rule.host);
        }
        let config = compile(&format!("policies: {{p: {{presets: [{name}]}}}}")).unwrap_or_else(|e| panic!("{e}"));
        assert!(config.warnings.is_empty(), "{name}");
    }
}

#[test]
fn all_presets_go_together() {
    let names: Vec<_> = preset::names().collect();
    let config = compile(&format!("policies: {{p: {{presets: [{}]}}}}", names.join(", "))).unwrap();
    let policy = &config.rulesets["p"].policy;
    assert!(!allows(policy, "POST", "https://github.com/a/b/git-receive-pack"), "a preset alone reads");
    assert!(allows(policy, "GET", "https://registry-1.docker.io/v2/library/debian/manifests/stable"));
    assert!(!allows(policy, "GET", "https://example.com/"));
}

/// Every preset is a file of its own, and every file a preset.
#[test]
fn the_folder_of_presets_and_the_binary_agree() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/presets");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".yaml").to_owned())
        .collect();
    assert_eq!(files, preset::names().map(str::to_owned).collect());
}

#[test]
fn presets_that_only_read_take_no_write() {
    let config = compile("policies: {p: {presets: [github-read, gitlab-read, bitbucket-read]}}").unwrap();
    let policy = &config.rulesets["p"].policy;
    for host in ["github.com", "gitlab.com", "bitbucket.org"] {
        assert!(allows(policy, "POST", &format!("https://{host}/a/b.git/git-upload-pack")), "{host}");
        for (method, path) in [
            ("POST", "/a/b.git/git-receive-pack"),
            ("POST", "/git-upload-pack/../git-receive-pack"),
            ("POST", "/a/git-receive-pack?/git-upload-pack"),
            ("POST", "/a/git-receive-pack%2Fgit-upload-pack"),
            ("PUT", "/a/b"),
            ("DELETE", "/a/b"),
            ("PATCH", "/a/b"),
        ] {
            if Path::parse(path.as_bytes()).is_ok() {
                assert!(!allows(policy, method, &format!("https://{host}{path}")), "{method} {host}{path}");
            }
        }
    }
    for host in ["api.github.com", "uploads.github.com", "api.bitbucket.org"] {
        assert!(!allows(policy, "POST", &format!("https://{host}/repos/a/b/issues")), "{host}");
    }
}

#[test]
fn a_preset_goes_as_far_as_its_entry_says_and_no_further() {
    let text = "policies: {p: {presets: [github, npm-write, {preset: github, access: write, repos: [acme/site, \"acme/t-*\"]}]}}";
    let config = compile(text).unwrap();
    let policy = &config.rulesets["p"].policy;
    for (method, url, expected) in [
        ("POST", "https://github.com/a/b.git/git-upload-pack", true),
        ("POST", "https://github.com/acme/site.git/git-receive-pack", true),
        ("POST", "https://github.com/acme/t-x/git-receive-pack", true),
        ("POST", "https://github.com/acme/other/git-receive-pack", false),
        ("POST", "https://github.com/evil/site/git-receive-pack", false),
        ("PUT", "https://api.github.com/repos/acme/site/contents/x", true),
        ("PUT", "https://api.github.com/repos/evil/site/contents/x", false),
        ("POST", "https://api.github.com/repos/acme/site/hooks", false),
        ("POST", "https://uploads.github.com/repos/acme/site/releases/1/assets?name=x", true),
        ("PUT", "https://github-cloud.s3.amazonaws.com/alambic/x", false),
        ("PUT", "https://registry.npmjs.org/left-pad", true),
    ] {
        assert_eq!(allows(policy, method, url), expected, "{method} {url}");
    }
    let graphql = policy.decide(&target("POST", "https://api.github.com/graphql")).unwrap();
    assert!(graphql.provided().is_some(), "a write of some repositories is no mutation of any");
    let denial = policy.decide(&target("POST", "https://github.com/evil/x.git/git-receive-pack")).unwrap_err();
    assert_eq!(denial.rule.as_deref(), Some("github-write.allow[0]"));
    assert_eq!(denial.permitted_by.as_deref(), Some("github-write:evil/x"));
}

#[test]
fn the_command_line_takes_presets_as_policies_do() {
    let allowing = |allow: &[&str]| {
        let allow: Vec<String> = allow.iter().map(|text| (*text).to_owned()).collect();
        for_run_in(RunOptions { allow: &allow, ..RunOptions::default() }, &environment)
    };
    let config = allowing(&["github-write:acme/site", "npm-write", "ghcr", "npm.example.test", "npm:8080"]).unwrap();
    let policy = &config.rulesets[RUN_POLICY].policy;
    for (method, url, expected) in [
        ("POST", "https://github.com/acme/site.git/git-receive-pack", true),
        ("POST", "https://github.com/acme/other.git/git-receive-pack", false),
        ("POST", "https://github.com/any/other.git/git-upload-pack", true),
        ("PUT", "https://registry.npmjs.org/left-pad", true),
        ("GET", "https://ghcr.io/v2/acme/x/manifests/latest", true),
        ("PUT", "https://ghcr.io/v2/acme/x/manifests/latest", false),
        ("GET", "https://npm.example.test/", true),
        ("GET", "https://npm:8080/", true),
    ] {
        assert_eq!(allows(policy, method, url), expected, "{method} {url}");
    }
    for (wrong, told) in [
        ("github-write:acme", "OWNER/REPO"),
        ("debian-write", "for reading only"),
        ("debian:acme/x", "for reading only"),
        ("github:acme/x?", "a name has letters"),
    ] {
        let errors = allowing(&[wrong]).unwrap_err().to_string();
        assert!(errors.contains(told), "{wrong}: {errors}");
    }
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

#[test]
fn any_name_is_told_as_wide() {
    let config =
        compile("policies: {a: {allow: [{host: \"**\"}, {host: \"*.co.uk\"}, {host: \"*.acme.co.uk\"}]}}").unwrap();
    let told: Vec<_> = config.warnings.iter().map(|warning| &*warning.path).collect();
    assert_eq!(told, ["policies.a.allow[0].host", "policies.a.allow[1].host"]);
    assert!(Host::parse(b"a.test").is_ok_and(|host| host.as_name().is_some()));
}
