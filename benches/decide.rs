//! The price of one decision: a policy of 1,000 rules, hosts that hit and hosts that miss.
#![allow(clippy::expect_used)] // what a bench writes itself is right, or the bench is wrong

use criterion::{Criterion, criterion_group, criterion_main};
use exeat::net::{Authority, Path, Scheme, Target};
use exeat::policy::{Methods, Mode, Paths, Policy, Rule, Rules};
use http::Method;
use std::hint::black_box;

fn policy() -> Policy {
    let rule = |number: usize, host: String| {
        Rule::new(format!("bench.allow[{number}]"), host.parse().expect("the bench writes hosts"))
    };
    let mut allow: Vec<Rule> = (0..1_000).map(|n| rule(n, format!("host-{n}.example.com"))).collect();
    allow.push(rule(1_000, "*.wild.example.org".to_owned()));
    allow.push(Rule {
        methods: Methods::Only(Methods::READ_ONLY.into()),
        paths: Paths::only(&["/repos/acme/**", "/users/*", "/**/info/refs"]).expect("the bench writes globs"),
        ..rule(1_001, "api.example.net".to_owned())
    });
    let deny = vec![rule(0, "gist.example.net".to_owned())];
    Policy::new("bench", Mode::Enforce, Rules { allow, deny }).expect("the bench's rules agree")
}

fn target(host: &str, path: &str) -> Target {
    Target {
        scheme: Scheme::Https,
        authority: Authority::parse(format!("{host}:443").as_bytes()).expect("the bench writes authorities"),
        method: Method::GET,
        path: Path::parse(path.as_bytes()).expect("the bench writes paths"),
    }
}

fn decide(criterion: &mut Criterion) {
    let policy = policy();
    for (name, target) in [
        ("exact", target("host-500.example.com", "/")),
        ("wildcard", target("a.wild.example.org", "/")),
        ("path", target("api.example.net", "/repos/acme/widget/pulls?page=2")),
        ("escaped path", target("api.example.net", "/repos/acme/a%2Fb")),
        ("miss", target("a.b.c.d.e.f.example.edu", "/")),
        ("denied", target("gist.example.net", "/")),
    ] {
        criterion.bench_function(&format!("decide/{name}"), |bench| bench.iter(|| policy.decide(black_box(&target))));
    }
    let authority = Authority::parse(b"host-500.example.com:443").expect("the bench writes authorities");
    criterion.bench_function("decide_tunnel", |bench| bench.iter(|| policy.decide_tunnel(black_box(&authority))));
}

criterion_group!(benches, decide);
criterion_main!(benches);
