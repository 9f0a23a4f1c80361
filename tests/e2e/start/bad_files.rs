//! Configurations that are wrong in one way each.

use super::failed_start;

/// A configuration of which one line is wrong.
const BAD_FILES: &[(&str, &str, &str)] = &[
    ("an unknown key", "colour: red", "colour"),
    ("a key twice", "drain: 1s\ndrain: 2s", "drain"),
    ("a list for a mapping", "policies: []", "policies"),
    ("text for a mapping", "listen: yes please", "listen"),
    ("a listener without a port", "listen: {proxy: 127.0.0.1}", "127.0.0.1"),
    ("a listener that is a name", "listen: {proxy: \"example.com:3128\"}", "example.com"),
    ("a listener beyond all ports", "listen: {proxy: \"127.0.0.1:65536\"}", "65536"),
    ("two listeners at one place", "listen: {proxy: \"127.0.0.1:4128\", control: \"127.0.0.1:4128\"}", "4128"),
    ("a duration without a unit", "drain: 30", "drain"),
    ("a duration that is negative", "drain: -1s", "-1s"),
    ("a nameserver that is a name", "resolver: {nameservers: [\"dns.example\"]}", "dns.example"),
    ("nameservers that are a word", "resolver: {nameservers: google}", "google"),
    ("an override without a host", "resolver: {connect: [{to: \"127.0.0.1:1\"}]}", "host"),
    ("an override to nowhere", "resolver: {connect: [{host: a.test, to: \"\"}]}", "to"),
    ("a trust file that is missing", "upstream: {trust: [\"missing.pem\"]}", "missing.pem"),
    ("a durability that is none", "flows: {durability: maybe}", "maybe"),
    ("a mode that is none", "policies: {a: {mode: audit}}", "audit"),
    ("a preset that is none", "policies: {a: {presets: [everything]}}", "everything"),
    ("a rule without a host", "policies: {a: {allow: [{ports: [443]}]}}", "host"),
    ("a rule's unknown key", "policies: {a: {allow: [{host: a.test, port: 443}]}}", "port"),
    ("a host with a star inside", "policies: {a: {allow: [{host: \"a*.test\"}]}}", "a*.test"),
    ("a host that is one star", "policies: {a: {allow: [{host: \"*\"}]}}", "*"),
    ("a host with a port", "policies: {a: {allow: [{host: \"a.test:443\"}]}}", "a.test:443"),
    ("a host that is a URL", "policies: {a: {allow: [{host: \"https://a.test/\"}]}}", "https://a.test/"),
    ("a host that is a strange address", "policies: {a: {allow: [{host: \"127.1\"}]}}", "127.1"),
    ("an empty host", "policies: {a: {allow: [{host: \"\"}]}}", "host"),
    ("a port that is none", "policies: {a: {allow: [{host: a.test, ports: [70000]}]}}", "70000"),
    ("a port that is a word", "policies: {a: {allow: [{host: a.test, ports: [https]}]}}", "https"),
    ("a method in lower case", "policies: {a: {allow: [{host: a.test, methods: [get]}]}}", "get"),
    ("a method that is none", "policies: {a: {allow: [{host: a.test, methods: [\"GE T\"]}]}}", "GE T"),
    ("a path without a slash", "policies: {a: {allow: [{host: a.test, paths: [\"x/**\"]}]}}", "x/**"),
    (
        "paths where TLS is not opened",
        "policies: {a: {allow: [{host: a.test, tls: tunnel, paths: [\"/x\"]}]}}",
        "paths",
    ),
    ("a tls that is none", "policies: {a: {allow: [{host: a.test, tls: mitm}]}}", "mitm"),
    ("a protocol that is none", "policies: {a: {allow: [{host: a.test, protocols: [ftp]}]}}", "ftp"),
    ("a range that is none", "policies: {a: {allow: [{host: a.test, addresses: [\"10.0.0.0/33\"]}]}}", "10.0.0.0/33"),
    ("an action that is none", "policies: {a: {secrets: {action: warn}}}", "warn"),
    (
        "a secret rule that is none",
        "policies: {a: {secrets: {permit: [{rule: no-such-rule, hosts: [a.test]}]}}}",
        "no-such-rule",
    ),
    (
        "a known value that is not there",
        "policies: {a: {secrets: {known: [\"env:NO_SUCH_VARIABLE\"]}}}",
        "NO_SUCH_VARIABLE",
    ),
    ("a limit that is a word", "policies: {a: {limits: {requests_per_minute: many}}}", "many"),
    ("a size without a unit that is known", "policies: {a: {limits: {upload: 5 apples}}}", "apples"),
    ("a session without a policy", "sessions: [{id: a, token: \"env:PATH\"}]", "policy"),
    ("a session of no such policy", "sessions: [{id: a, policy: ghost, token: \"env:PATH\"}]", "ghost"),
    (
        "a session whose id is none",
        "policies: {p: {}}\nsessions: [{id: \"A B\", policy: p, token: \"env:PATH\"}]",
        "A B",
    ),
    (
        "two sessions of one id",
        "policies: {p: {}}\nsessions: [{id: a, policy: p, token: \"env:PATH\"}, {id: a, policy: p, token: \"env:HOME\"}]",
        "a",
    ),
    (
        "a token that is not there",
        "policies: {p: {}}\nsessions: [{id: a, policy: p, token: \"env:NO_SUCH_VARIABLE\"}]",
        "NO_SUCH_VARIABLE",
    ),
    ("a tab for spaces", "policies:\n\ta: {}", ":2:"),
    ("a bracket that stays open", "listen: {proxy: \"127.0.0.1:0\"", "exeat.yaml:"),
    ("a control listener beyond all ports", "listen: {control: \"127.0.0.1:70000\"}", "70000"),
    ("a SOCKS listener where the proxy is", "listen: {proxy: \"127.0.0.1:4128\", socks: \"127.0.0.1:4128\"}", "4128"),
    ("a Unix socket for everybody", "listen: {unix: {path: s, mode: \"0666\"}}", "0666"),
    ("a balancer that may be anyone", "listen: {proxy_protocol: {from: [\"0.0.0.0/0\"]}}", "0.0.0.0/0"),
    ("a certificate without its key", "ca: {certificate: ca.pem}", "key"),
    ("a parent of no known kind", "upstream: {parent: {url: \"ftp://p.test:1\"}}", "ftp"),
    (
        "a parent with its password in the file",
        "upstream: {parent: {url: \"http://u:hunter2@p.test:1\"}}",
        "upstream.parent.url",
    ),
    ("a limit of nothing", "limits: {connections: 0}", "connections"),
    ("a time in which nothing can be done", "limits: {idle_timeout: 0s}", "idle_timeout"),
    ("a limit that is none of them", "limits: {conections: 5}", "conections"),
    ("the same rule twice", "policies: {a: {allow: [{host: a.test}, {host: a.test}]}}", "a.allow[0]"),
    ("a preset twice", "policies: {a: {presets: [npm, npm]}}", "npm"),
    ("write access to what can only be read", "policies: {a: {presets: [debian-write]}}", "debian-write"),
    ("access without a service", "policies: {a: {allow: [{host: a.test, access: write}]}}", "access"),
    ("an address that no rule can open", "policies: {a: {allow: [{host: 169.254.169.254}]}}", "169.254.169.254"),
    ("a policy whose name is none", "policies: {\"a b\": {}}", "a b"),
    ("known secrets that are one byte", "policies: {a: {secrets: {known: [\"env:SHLVL\"]}}}", "SHLVL"),
    ("two documents", "drain: 1s\n---\ndrain: 2s", "document"),
];

#[test]
fn bad_configurations_are_each_told_clearly_and_bind_nothing() {
    let mut wrong = Vec::new();
    for (name, yaml, word) in BAD_FILES {
        let home = tempfile::tempdir().unwrap();
        let (code, text) = failed_start(home.path(), yaml);
        let told = text.contains(word) && text.contains("exeat.yaml:") && !text.contains("panicked");
        if code != Some(2) || !told {
            wrong.push(format!("{name} ({yaml:?}): exit {code:?}, said {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), BAD_FILES.len(), wrong.join("\n"));
}
