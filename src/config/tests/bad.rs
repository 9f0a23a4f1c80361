//! Files that do not load: each with every mistake that it must be told, at its line and column (T50).

use super::super::Severity;
use super::{compile, compile_below};

/// Line, column, key path, part of the message.
type Told = (usize, usize, &'static str, &'static str);

fn check(text: &str, expected: &[Told]) {
    let errors = match compile(text) {
        Ok(_) => panic!("this loads:\n{text}"),
        Err(errors) => errors,
    };
    let found: Vec<_> = errors
        .iter()
        .map(|error| (error.line.unwrap_or(0), error.column.unwrap_or(0), &*error.path, error.message.as_str()))
        .collect();
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.0, found.1, found.2), (expected.0, expected.1, expected.2), "{text}\n{found:#?}");
        assert!(found.3.contains(expected.3), "{text}\n{found:#?}");
    }
    assert!(errors.iter().all(|error| error.severity == Severity::Error && &*error.file == "exeat.yaml"));
    assert!(!errors.to_string().is_empty());
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    for (text, expected) in [
        ("listen: {proxy: 127.0.0.1:0", (2, 1, "", "no YAML")),
        ("a: [1, 2", (2, 1, "", "no YAML")),
        ("a: b: c", (1, 5, "", "no YAML")),
        ("listen:\n\tproxy: x", (2, 1, "", "no YAML")),
        ("a: 'open", (2, 1, "", "no YAML")),
        ("policies: *nowhere", (1, 11, "", "no YAML")),
        ("drain: !fast 1s", (1, 8, "", "tags")),
        ("? {a: b}\n: c\n", (1, 1, "", "a key is neither")),
        ("drain: 1s\n---\ndrain: 2s\n", (2, 1, "", "a second document")),
        ("---\ndrain: 1s\n---\ndrain: 2s\n", (3, 1, "", "a second document")),
    ] {
        let errors = compile(text).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(&*error.path, expected.2);
        assert!(error.message.contains(expected.3), "{text}: {}", error.message);
        let (line, _) = (error.line.unwrap_or(0), error.column.unwrap_or(0));
        assert!(line == expected.0 || line + 1 == expected.0, "{text}: line {line}");
    }
}

#[test]
fn unknown_and_doubled_keys_are_told_with_what_was_meant() {
    for (text, expected) in [
        ("lisen: {}", &[(1, 1, "lisen", "unknown key")][..]),
        ("listen: {prxoy: 127.0.0.1:1}", &[(1, 10, "listen.prxoy", "unknown key")]),
        ("ca: {certificate: a, key: b, chain: c}", &[(1, 30, "ca.chain", "unknown key")]),
        ("flows: {durable: true}", &[(1, 9, "flows.durable", "unknown key")]),
        ("upstream: {roots: [system]}", &[(1, 12, "upstream.roots", "unknown key")]),
        (
            "resolver:\n  connect:\n    - {host: a.test, to: 127.0.0.1, port: 1}",
            &[(3, 37, "resolver.connect[0].port", "unknown key")],
        ),
        ("policies:\n  a:\n    alow: []\n", &[(3, 5, "policies.a.alow", "unknown key")]),
        (
            "policies:\n  a:\n    allow:\n      - host: a.test\n        path: /x\n",
            &[(5, 9, "policies.a.allow[0].path", "unknown key")],
        ),
        ("policies: {a: {deny: [{host: a.test, tls: tunnel}]}}", &[(1, 38, "policies.a.deny[0].tls", "unknown key")]),
        ("policies: {a: {limits: {requests: 5}}}", &[(1, 25, "policies.a.limits.requests", "unknown key")]),
        ("policies: {a: {<<: {mode: observe}}}", &[(1, 16, "policies.a.<<", "unknown key")]),
        ("drain: 1s\ndrain: 2s\n", &[(2, 1, "drain", "is there twice")]),
        ("policies:\n  a: {}\n  b: {}\n  a: {}\n", &[(4, 3, "policies.a", "is there twice")]),
        ("listen: {proxy: 127.0.0.1:1, proxy: 127.0.0.1:2}", &[(1, 30, "listen.proxy", "is there twice")]),
    ] {
        check(text, expected);
    }
    let told = |text| compile(text).unwrap_err().to_string();
    assert!(told("lisen: {}").contains("did you mean `listen`?"));
    assert!(told("policies: {a: {alow: []}}").contains("did you mean `allow`?"));
    assert!(told("flows: {x: 1}").contains("keys here: journal, durability"));
}

#[test]
fn values_of_the_wrong_kind_are_told() {
    for (text, expected) in [
        ("just a text", &[(1, 1, "", "expected a mapping, found a string")][..]),
        ("- a\n- b", &[(1, 1, "", "expected a mapping, found a list")]),
        ("listen: 3128", &[(1, 9, "listen", "expected a mapping, found a number")]),
        ("listen: [a]", &[(1, 9, "listen", "expected a mapping, found a list")]),
        ("policies: []", &[(1, 11, "policies", "a mapping from names")]),
        ("policies: {a: 5}", &[(1, 15, "policies.a", "expected a mapping, found a number")]),
        ("policies: {a: }", &[(1, 12, "policies.a", "expected a mapping, found nothing")]),
        ("policies: {a: {allow: a.test}}", &[(1, 23, "policies.a.allow", "found a string")]),
        ("policies: {a: {allow: [a.test]}}", &[(1, 24, "policies.a.allow[0]", "expected a mapping, found a string")]),
        ("policies: {a: {presets: npm}}", &[(1, 25, "policies.a.presets", "found a string")]),
        ("policies: {a: {presets: [1]}}", &[(1, 26, "policies.a.presets[0]", "found a number")]),
        ("policies: {a: {mode: enforced}}", &[(1, 22, "policies.a.mode", "expected one of: enforce, observe")]),
        ("policies: {a: {mode: true}}", &[(1, 22, "policies.a.mode", "expected one of")]),
        (
            "policies: {a: {secrets: {action: stop}}}",
            &[(1, 34, "policies.a.secrets.action", "expected one of: block, mask, observe")],
        ),
        (
            "policies: {a: {limits: {connections: 0}}}",
            &[(1, 38, "policies.a.limits.connections", "expected a nonzero")],
        ),
        (
            "policies: {a: {limits: {connections: -1}}}",
            &[(1, 38, "policies.a.limits.connections", "expected a nonzero")],
        ),
        (
            "policies: {a: {limits: {requests_per_minute: many}}}",
            &[(1, 46, "policies.a.limits.requests_per_minute", "found a string")],
        ),
        ("flows: {durability: always}", &[(1, 21, "flows.durability", "expected one of: batched, each")]),
        ("sessions: {a: b}", &[(1, 11, "sessions", "found a mapping")]),
        ("ca: {certificate: a}", &[(1, 5, "ca", "the key `key` is missing")]),
        ("ca: {certificate: [a], key: b}", &[(1, 19, "ca.certificate", "found a list")]),
    ] {
        check(text, expected);
    }
}

#[test]
fn values_that_mean_nothing_are_told() {
    for (text, expected) in [
        ("drain: 30", &[(1, 8, "drain", "a duration is a number with its unit")][..]),
        ("drain: 30 seconds", &[(1, 8, "drain", "a duration")]),
        ("drain: -5s", &[(1, 8, "drain", "a duration")]),
        ("limits: {idle_timeout: 0s}", &[(1, 24, "limits.idle_timeout", "would end everything")]),
        ("policies: {a: {limits: {upload: 50}}}", &[(1, 33, "policies.a.limits.upload", "a size is a whole number")]),
        ("policies: {a: {limits: {upload: 50Mb}}}", &[(1, 33, "policies.a.limits.upload", "a size")]),
        ("listen: {proxy: 3128}", &[(1, 17, "listen.proxy", "expected ADDRESS:PORT")]),
        ("listen: {proxy: \":3128\"}", &[(1, 17, "listen.proxy", "expected ADDRESS:PORT")]),
        ("listen: {proxy: \"localhost:3128\"}", &[(1, 17, "listen.proxy", "a name is no address")]),
        ("listen: {proxy: 127.0.0.1:99999}", &[(1, 17, "listen.proxy", "expected ADDRESS:PORT")]),
        ("listen: {proxy: 127.0.0.1:5, control: 127.0.0.1:5}", &[(1, 39, "listen.control", "can't share")]),
        ("listen: {control: 127.0.0.1:3128}", &[(1, 19, "listen.control", "can't share")]),
        (
            "listen: {transparent: {address: 127.0.0.1:1, session: s}}",
            &[(1, 55, "listen.transparent.session", "no such session in the file")],
        ),
        (
            "listen: {proxy_protocol: {from: [\"0.0.0.0/0\"]}}",
            &[(1, 34, "listen.proxy_protocol.from[0]", "could be anyone")],
        ),
        ("listen: {unix: {path: s, mode: \"0666\"}}", &[(1, 32, "listen.unix.mode", "at most a group")]),
        ("listen: {tls: {address: 127.0.0.1:1, key: k}}", &[(1, 15, "listen.tls", "go together")]),
        (
            "listen: {tls: {address: 127.0.0.1:1, require_client: true}}",
            &[(1, 54, "listen.tls.require_client", "no client certificate")],
        ),
        (
            "upstream: {parent: {url: \"ftp://p.test:1\"}}",
            &[(1, 26, "upstream.parent.url", "speaks http, https or socks5")],
        ),
        (
            "upstream: {parent: {url: \"http://u:hunter2@p.test:1\"}}",
            &[(1, 26, "upstream.parent.url", "not written here")],
        ),
        ("upstream: {parent: {url: \"http://p.test\"}}", &[(1, 26, "upstream.parent.url", "no port")]),
        (
            "policies: {p: {allow: [{host: a.test, dangerously_allow: [ech]}]}}",
            &[(1, 24, "policies.p.allow[0]", "means nothing where TLS is opened")],
        ),
        (
            "policies: {p: {allow: [{host: a.test, tls: tunnel, client_certificate: {certificate: /dev/null, key: /dev/null}}]}}",
            &[(1, 72, "policies.p.allow[0].client_certificate", "means nothing where TLS is relayed")],
        ),
        ("listen: {socks: 127.0.0.1:3129}", &[(1, 17, "listen.socks", "can't share")]),
        ("resolver: {nameservers: dns}", &[(1, 25, "resolver.nameservers", "`system` or a list")]),
        ("resolver: {nameservers: [dns.example:53]}", &[(1, 26, "resolver.nameservers[0]", "a name is no address")]),
        ("resolver: {connect: [{host: a.test, to: \"a b\"}]}", &[(1, 41, "resolver.connect[0].to", "character")]),
        (
            "resolver: {connect: [{host: \"a*.test\", to: 127.0.0.1}]}",
            &[(1, 29, "resolver.connect[0].host", "a star stands")],
        ),
        ("upstream: {trust: [\"\"]}", &[(1, 20, "upstream.trust[0]", "the path is empty")]),
        ("policies: {-a: {allow: [{host: a.test}]}}", &[(1, 12, "policies.-a", "a policy's name")]),
        ("policies: {\"a b\": {allow: [{host: a.test}]}}", &[(1, 12, "policies.a b", "a policy's name")]),
    ] {
        check(text, expected);
    }
}

fn rule(fields: &str) -> String {
    format!("policies:\n  a:\n    allow:\n      - {{{fields}}}\n")
}

#[test]
fn rules_that_mean_nothing_are_told() {
    const HOST: &str = "policies.a.allow[0].host";
    for (fields, expected) in [
        ("host: \"https://a.test\"", (4, 16, HOST, "without scheme, port or path")),
        ("host: \"a.test:443\"", (4, 16, HOST, "without scheme, port or path")),
        ("host: a.test/x", (4, 16, HOST, "without scheme, port or path")),
        ("host: \"*\"", (4, 16, HOST, "a star stands")),
        ("host: \"a.*.test\"", (4, 16, HOST, "a star stands")),
        ("host: \"*.10.0.0.1\"", (4, 16, HOST, "a star can't stand in an address")),
        ("host: 127.1", (4, 16, HOST, "")),
        ("host: \"\"", (4, 16, HOST, "the host is empty")),
        ("host: a..test", (4, 16, HOST, "empty label")),
        ("host: 169.254.169.254", (4, 16, HOST, "no rule can open")),
        ("host: a.test, ports: [0]", (4, 32, "policies.a.allow[0].ports[0]", "a port from 1")),
        ("host: a.test, ports: [65536]", (4, 32, "policies.a.allow[0].ports[0]", "a port from 1")),
        ("host: a.test, ports: [-1]", (4, 32, "policies.a.allow[0].ports[0]", "a port from 1")),
        ("host: a.test, ports: [443, \"9-8\"]", (4, 37, "policies.a.allow[0].ports[1]", "ends before it starts")),
        ("host: a.test, ports: [\"1-\"]", (4, 32, "policies.a.allow[0].ports[0]", "a port from 1")),
        ("host: a.test, ports: [https]", (4, 32, "policies.a.allow[0].ports[0]", "a port from 1")),
        ("host: a.test, ports: 443", (4, 31, "policies.a.allow[0].ports", "found a number")),
        ("host: a.test, methods: [get]", (4, 34, "policies.a.allow[0].methods[0]", "case-sensitive")),
        ("host: a.test, methods: GET", (4, 33, "policies.a.allow[0].methods", "`read-only` or a list")),
        ("host: a.test, methods: [\"G T\"]", (4, 34, "policies.a.allow[0].methods[0]", "a method is a word")),
        ("host: a.test, methods: [CONNECT]", (4, 34, "policies.a.allow[0].methods[0]", "CONNECT")),
        ("host: a.test, paths: [x]", (4, 32, "policies.a.allow[0].paths[0]", "starts with a slash")),
        ("host: a.test, paths: [\"/x?y=1\"]", (4, 32, "policies.a.allow[0].paths[0]", "without query")),
        ("host: a.test, paths: [\"/a/../b\"]", (4, 32, "policies.a.allow[0].paths[0]", "dot segment")),
        ("host: a.test, paths: [\"/a**\"]", (4, 32, "policies.a.allow[0].paths[0]", "whole segments")),
        ("host: a.test, paths: [\"/{a\"]", (4, 32, "policies.a.allow[0].paths[0]", "can't be read")),
        ("host: a.test, paths: [\"/x\"], tls: tunnel", (4, 31, "policies.a.allow[0].paths", "tls: tunnel")),
        ("host: a.test, methods: [GET], tls: tunnel", (4, 33, "policies.a.allow[0].methods", "tls: tunnel")),
        ("host: a.test, paths: [], tls: tunnel", (4, 31, "policies.a.allow[0].paths", "tls: tunnel")),
        ("host: a.test, tls: relay", (4, 29, "policies.a.allow[0].tls", "expected one of: intercept, tunnel")),
        ("host: a.test, protocols: [ftp]", (4, 36, "policies.a.allow[0].protocols[0]", "expected one of")),
        ("host: a.test, protocols: ssh", (4, 35, "policies.a.allow[0].protocols", "found a string")),
        ("host: a.test, addresses: [10.0.0.0/33]", (4, 36, "policies.a.allow[0].addresses[0]", "a range of addresses")),
        ("host: a.test, addresses: [10.0.0.1/8]", (4, 36, "policies.a.allow[0].addresses[0]", "behind its prefix")),
        ("host: a.test, addresses: [b.test]", (4, 36, "policies.a.allow[0].addresses[0]", "a range of addresses")),
        ("host: a.test, addresses: [169.254.0.0/16]", (4, 36, "policies.a.allow[0].addresses[0]", "never dialled")),
        ("ports: [443]", (4, 9, "policies.a.allow[0]", "the key `host` is missing")),
    ] {
        check(&rule(fields), &[expected]);
    }
}

/// Of each the text that the mistake must point at.
#[test]
fn rules_that_contradict_each_other_are_told() {
    for (policy, place, path, told) in [
        ("presets: [npm, nmp]", "nmp]", "policies.a.presets[1]", "no such preset"),
        ("presets: [npm, npm]", "npm]}", "policies.a.presets[1]", "listed twice"),
        ("presets: [npm, npm-read]", "npm-read]}", "policies.a.presets[1]", "listed twice"),
        ("presets: [{preset: gitub}]", "gitub}", "policies.a.presets[0].preset", "no such preset"),
        ("presets: [{preset: github, repo: [a/b]}]", "repo:", "policies.a.presets[0].repo", "unknown key"),
        ("presets: [{preset: github, repos: [a/b, acme]}]", "acme]", "policies.a.presets[0].repos[1]", "OWNER/REPO"),
        ("presets: [{preset: github, access: push}]", "push}", "policies.a.presets[0].access", "expected one of: read"),
        ("presets: [{preset: github-read, access: write}]", "write}", "policies.a.presets[0].access", "already"),
        ("presets: [{preset: debian, access: write}]", "{preset: debian", "policies.a.presets[0]", "for reading only"),
        ("presets: [debian-write]", "debian-write", "policies.a.presets[0]", "for reading only"),
        ("allow: [{host: a.test, access: write}]", "write}", "policies.a.allow[0].access", "only with `service`"),
        ("allow: [{host: a.test, repos: [a/b]}]", "[a/b]", "policies.a.allow[0].repos", "only with `service`"),
        ("allow: [{host: a.test, service: gitub}]", "gitub}", "policies.a.allow[0].service", "expected one of: git"),
        (
            "allow: [{host: a.test, service: github, repos: [\"a/b/c\"]}]",
            "\"a/b/c\"",
            "policies.a.allow[0].repos[0]",
            "OWNER/REPO",
        ),
        (
            "allow: [{host: a.test, service: github, tls: tunnel}]",
            "a.test, service",
            "policies.a.allow[0].host",
            "can't be seen under `tls: tunnel`",
        ),
        ("allow: [{host: a.test}, {host: a.test}]", "{host: a.test}]", "policies.a.allow[1]", "the same as a.allow[0]"),
        ("deny: [{host: a.test}, {host: a.test}]", "{host: a.test}]", "policies.a.deny[1]", "the same as a.deny[0]"),
        (
            "allow: [{host: a.test}, {host: a.test, tls: tunnel}]",
            "a.test, tls",
            "policies.a.allow[1].host",
            "a.allow[0] has the same host and port",
        ),
        (
            "allow: [{host: a.test, tls: tunnel}, {host: a.test, tls: tunnel, protocols: [ssh]}]",
            "a.test, tls: tunnel, protocols",
            "policies.a.allow[1].host",
            "another `tls` or `protocols`",
        ),
        (
            "allow: [{host: x.a.test}], deny: [{host: \"**.a.test\"}]",
            "{host: x.a.test}",
            "policies.a.allow[0]",
            "a.deny[0] denies all",
        ),
        (
            "allow: [{host: \"**.a.test\", tls: tunnel}], deny: [{host: x.a.test, paths: [\"/x\"]}]",
            "[\"/x\"]",
            "policies.a.deny[0].paths",
            "a.allow[0] leaves tunnels to this host closed",
        ),
        (
            "allow: [{host: a.test, tls: tunnel}], deny: [{host: a.test, methods: [POST]}]",
            "[POST]",
            "policies.a.deny[0].methods",
            "closed",
        ),
        (
            "presets: [npm], allow: [{host: registry.npmjs.org, tls: tunnel, ports: [443]}]",
            "npm]",
            "policies.a.presets[0]",
            "a.allow[0] has the same host and port",
        ),
        (
            "allow: [{host: a.test}], secrets: {permit: [{rule: gihtub-pat-fine, hosts: [b.test]}]}",
            "gihtub",
            "policies.a.secrets.permit[0].rule",
            "no such rule",
        ),
        (
            "allow: [{host: a.test}], secrets: {permit: [{rule: github-pa, hosts: [b.test]}]}",
            "github-pa",
            "policies.a.secrets.permit[0].rule",
            "no such rule",
        ),
    ] {
        let text = format!("policies: {{a: {{{policy}}}}}");
        let errors = compile(&text).unwrap_err();
        let error = errors.iter().next().unwrap();
        let column = text.find(place).unwrap() + 1;
        assert_eq!((error.line, error.column, &*error.path), (Some(1), Some(column), path), "{errors}");
        assert!(error.message.contains(told), "{text}: {}", error.message);
    }
}

/// `file:t` holds a good token.
#[test]
fn sessions_that_nobody_could_use_are_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t"), "0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(folder.path().join("u"), "fedcba9876543210fedcba9876543210\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    std::fs::write(folder.path().join("two-lines"), "0123456789abcdef0123456789\nabcdef\n").unwrap();
    std::fs::write(folder.path().join("latin"), b"\xe9").unwrap();
    for (sessions, expected) in [
        ("{id: A, policy: p, token: \"file:t\"}", (2, 17, "sessions[0].id", "a session's name")),
        ("{id: a, policy: q, token: \"file:t\"}", (2, 28, "sessions[0].policy", "no such policy")),
        ("{id: a, policy: p}", (2, 12, "sessions[0]", "the key `token` is missing")),
        ("{id: a, policy: p, token: s3cr3t-t0k3n}", (2, 38, "sessions[0].token", "not written here but named")),
        ("{id: a, policy: p, token: \"env:\"}", (2, 38, "sessions[0].token", "the name of an environment variable")),
        ("{id: a, policy: p, token: \"file:\"}", (2, 38, "sessions[0].token", "the path is missing")),
        (
            "{id: a, policy: p, token: \"env:EXEAT_TEST_NO_SUCH_VARIABLE\"}",
            (2, 38, "sessions[0].token", "the environment variable EXEAT_TEST_NO_SUCH_VARIABLE is not set"),
        ),
        ("{id: a, policy: p, token: \"file:none\"}", (2, 38, "sessions[0].token", "can't be read")),
        ("{id: a, policy: p, token: \"file:empty\"}", (2, 38, "sessions[0].token", "is empty")),
        ("{id: a, policy: p, token: \"file:latin\"}", (2, 38, "sessions[0].token", "is not UTF-8")),
        ("{id: a, policy: p, token: \"file:two-lines\"}", (2, 38, "sessions[0].token", "control character")),
        ("{id: a, policy: p, token: \"file:t\", labels: {\"a b\": c}}", (2, 56, "sessions[0].labels", "a label's key")),
        ("{id: a, policy: p, token: \"file:t\", labels: {a: 1}}", (2, 60, "sessions[0].labels.a", "found a number")),
        ("{id: a, policy: p, token: \"file:t\", task: \"a\\nb\"}", (2, 54, "sessions[0].task", "control characters")),
        (
            "{id: a, policy: p, token: \"file:t\"}, {id: a, policy: p, token: \"file:u\"}",
            (2, 54, "sessions[1].id", "sessions[0] has this name"),
        ),
        (
            "{id: a, policy: p, token: \"file:t\"}, {id: b, policy: p, token: \"file:t\"}",
            (2, 75, "sessions[1].token", "sessions[0] has the same token"),
        ),
    ] {
        let text = format!("policies: {{p: {{allow: [{{host: a.test}}]}}}}\nsessions: [{sessions}]\n");
        let errors = compile_below(folder.path(), &text).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert_eq!(errors.len(), 1, "{errors}");
        assert_eq!((error.line, error.column), (Some(expected.0), Some(expected.1)), "{text}\n{errors}");
        assert_eq!(&*error.path, expected.2, "{text}");
        assert!(error.message.contains(expected.3), "{text}: {}", error.message);
    }
}

#[test]
fn secrets_that_can_not_be_had_are_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("short"), "abc").unwrap();
    for (known, told) in [
        ("[\"env:EXEAT_TEST_NO_SUCH_VARIABLE\"]", "is not set"),
        ("[\"file:none\"]", "can't be read"),
        ("[\"file:short\"]", "too short or too plain"),
        ("[hunter2-hunter2]", "not written here but named"),
        ("\"file:short\"", "found a string"),
    ] {
        let text = format!("policies: {{a: {{allow: [{{host: a.test}}], secrets: {{known: {known}}}}}}}");
        let errors = compile_below(folder.path(), &text).unwrap_err();
        let error = errors.iter().next().unwrap();
        assert!(errors.len() == 1 && error.message.contains(told), "{errors}");
        assert!(error.path.starts_with("policies.a.secrets.known"), "{errors}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "\
listen: {proxy: nowhere, contorl: 127.0.0.1:1}
policies:
  agent:
    mode: enforced
    presets: [nmp]
    allow:
      - host: \"http://a.test\"
        pots: [443]
        methods: [get]
      - {host: b.test, paths: [\"x\"], tls: tunnel, addresses: [10.0.0.1/8]}
      - ports: [0]
sessions:
  - {id: Dev, policy: agnet, token: plain, labels: {a: 1}}
drain: 30
";
    check(
        text,
        &[
            (1, 17, "listen.proxy", "ADDRESS:PORT"),
            (1, 26, "listen.contorl", "unknown key"),
            (4, 11, "policies.agent.mode", "expected one of"),
            (5, 15, "policies.agent.presets[0]", "no such preset"),
            (7, 15, "policies.agent.allow[0].host", "without scheme"),
            (8, 9, "policies.agent.allow[0].pots", "unknown key"),
            (9, 19, "policies.agent.allow[0].methods[0]", "capitals"),
            (10, 31, "policies.agent.allow[1].paths", "tls: tunnel"),
            (10, 32, "policies.agent.allow[1].paths[0]", "slash"),
            (10, 63, "policies.agent.allow[1].addresses[0]", "behind its prefix"),
            (11, 9, "policies.agent.allow[2]", "`host` is missing"),
            (11, 17, "policies.agent.allow[2].ports[0]", "a port"),
            (13, 10, "sessions[0].id", "a session's name"),
            (13, 23, "sessions[0].policy", "no such policy"),
            (13, 37, "sessions[0].token", "named"),
            (13, 56, "sessions[0].labels.a", "found a number"),
            (14, 8, "drain", "a duration"),
        ],
    );
}

#[test]
fn a_session_of_a_policy_with_mistakes_is_not_blamed_for_it() {
    check(
        "policies: {a: 5}\nsessions: [{id: s, policy: a, token: \"env:\"}]",
        &[(1, 15, "policies.a", "expected a mapping"), (2, 38, "sessions[0].token", "variable")],
    );
}

#[test]
fn a_diagnostic_looks_like_a_compilers() {
    let errors = compile("policies:\n  agent:\n    allow:\n      - {host: a.test, pots: [443]}\n").unwrap_err();
    insta::assert_snapshot!(errors, @r"
    error: policies.agent.allow[0].pots: unknown key
     --> exeat.yaml:4:24
      |
    4 |       - {host: a.test, pots: *****}
      |                        ^^^^
      |
      = help: did you mean `ports`?
    ");
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json[0]["severity"], "error");
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&4.into(), &24.into()));
    assert_eq!(json[0]["help"], "did you mean `ports`?");
}

#[test]
fn no_diagnostic_shows_the_value_of_a_secret() {
    const SECRET: &str = "hunter2-hunter2";
    for text in [
        format!("control: {{key: {SECRET}}}"),
        format!("control: {{key: [{SECRET}]}}"),
        format!("control: {{kee: {SECRET}}}"),
        format!("control: {{keys: {{a: [{SECRET}, 1]}}}}"),
        format!("sessions: [{{id: A, policy: b, token: {SECRET}}}]"),
        format!("sessions:\n  - id: A\n    policy: b\n    token: {SECRET}\n"),
        format!("sessions:\n  - id: A\n    policy: b\n    token: |\n      {SECRET}\n"),
        format!("sessions: [{{id: A, policy: b, token: \"{SECRET}\", tokn: {SECRET}}}]"),
        format!("sessions: [{{id: A, policy: b, token: {{env: {SECRET}}}}}]"),
        format!("sessions: [{{id: A, token: \"file:x\"}}] # was {SECRET}"),
        format!("token: {SECRET}"),
        format!("token: {SECRET}\ntoken: {SECRET}\n"),
        format!("{SECRET}: 1\nsessions: [{{id: 1, policy: 2, token: {SECRET}}}]").replacen(SECRET, "tokens", 1),
        format!("policies: {{a: {{mode: {SECRET}, secrets: {{known: {SECRET}}}}}}}").replacen(SECRET, "x", 1),
        format!("policies: {{a: {{secrets: {{known: [1, {SECRET}]}}, x: 1}}}}"),
        format!("policies: {{a: {{secrets: {{known: &k [{SECRET}]}}}}, b: *k}}"),
        format!("control: {{key: {SECRET}"),
        format!("control: {{key: \"{SECRET}\\q\"}}"),
        format!("control: !secret {SECRET}"),
    ] {
        let errors = compile(&text).unwrap_err();
        assert!(!errors.is_empty());
        assert!(!errors.to_string().contains(SECRET), "{errors}");
        assert!(!errors.render(true).contains(SECRET), "{errors}");
        assert!(!serde_json::to_string(&errors).unwrap().contains(SECRET), "{errors}");
    }
}
