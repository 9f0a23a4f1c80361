//! Why a target is allowed or not: for a person who asks, not for the data path.

use super::service::{Allowed, Scope};
use super::{Action, Permit, Policy, Rule};
use crate::net::{Host, Scheme, Target};
use crate::reason::Denial;
use std::sync::Arc;

/// How many rules for similar hosts are shown where none names the host itself.
const NEAREST: usize = 5;

/// What a policy says to one target, and by which rules.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What CONNECT would get; nothing for plain HTTP.
    pub tunnel: Option<Result<Permit, Denial>>,
    /// What the request would get.
    pub request: Result<Permit, Denial>,
    /// The rules that name the host, denies first, then the most specific; where there is none, those
    /// for similar hosts.
    pub considered: Vec<Considered>,
    /// What the request does, where a rule knows what its host serves.
    pub action: Option<Action>,
}

/// One rule and how far it was from matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    /// Its name: `agent.allow[2]`.
    pub rule: Arc<str>,
    /// Whether it is a deny.
    pub denies: bool,
    /// Its host as written.
    pub host: String,
    /// What does not match; nothing where all does.
    pub miss: Option<Miss>,
    /// Of a rule with a service, what it lets through of what.
    pub bound: Option<String>,
}

/// The first part of a rule that does not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Another host, though one of the same registrable domain.
    Host,
    /// The host, but not the port for this scheme.
    Port,
    /// Host and port, but not the method.
    Method,
    /// All but the path.
    Path,
    /// All but what the request does at the service, or to what.
    Service,
}

impl Miss {
    /// The part's name, as a file has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Miss::Host => "host",
            Miss::Port => "port",
            Miss::Method => "method",
            Miss::Path => "path",
            Miss::Service => "access",
        }
    }
}

impl Policy {
    /// Decides, and tells by which rules and how near the others were.
    #[must_use]
    pub fn explain(&self, target: &Target) -> Explanation {
        let host = &target.authority.host;
        let denies = self.deny_index.matching(host).map(|position| deny(&self.rules.deny[position], target));
        let allows = self.allow_index.matching(host).map(|position| allow(&self.rules.allow[position], target));
        let mut considered: Vec<_> = denies.chain(allows).collect();
        if considered.is_empty() {
            considered = self.similar(host);
        }
        Explanation {
            tunnel: (target.scheme == Scheme::Https).then(|| self.decide_tunnel(&target.authority)),
            request: self.decide(target),
            considered,
            action: self.action(target),
        }
    }

    fn action(&self, target: &Target) -> Option<Action> {
        let mut rules = self.allow_index.matching(&target.authority.host).map(|position| &self.rules.allow[position]);
        let scope =
            rules.find_map(|rule| rule.scope.as_ref().filter(|_| rule.allows_port(target.scheme, &target.authority)));
        scope.map(|scope| scope.action(target))
    }

    fn similar(&self, host: &Host) -> Vec<Considered> {
        let Some(domain) = host.as_name().and_then(psl::domain_str) else { return Vec::new() };
        let below = |rule: &&Rule| {
            let written = rule.host.to_string();
            let name = written.trim_start_matches("*").trim_start_matches('.');
            psl::domain_str(name) == Some(domain)
        };
        self.rules
            .allow
            .iter()
            .filter(below)
            .map(|rule| consider(rule, false, Some(Miss::Host)))
            .take(NEAREST)
            .collect()
    }
}

fn allow(rule: &Rule, target: &Target) -> Considered {
    let port = rule.allows_port(target.scheme, &target.authority);
    let miss = miss(rule, target, port, rule.paths.match_all_readings(&target.path));
    let beyond = || (rule.allows_inside(target) == Allowed::No).then_some(Miss::Service);
    consider(rule, false, miss.or_else(beyond))
}

fn deny(rule: &Rule, target: &Target) -> Considered {
    let port = rule.denies_port(&target.authority);
    consider(rule, true, miss(rule, target, port, rule.paths.match_any_reading(&target.path)))
}

fn miss(rule: &Rule, target: &Target, port: bool, path: bool) -> Option<Miss> {
    match (port, rule.methods.contain(&target.method), path) {
        (false, ..) => Some(Miss::Port),
        (_, false, _) => Some(Miss::Method),
        (.., false) => Some(Miss::Path),
        _ => None,
    }
}

fn consider(rule: &Rule, denies: bool, miss: Option<Miss>) -> Considered {
    Considered {
        rule: Arc::clone(&rule.name),
        denies,
        host: rule.host.to_string(),
        miss,
        bound: rule.scope.as_ref().map(Scope::bound),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Methods, Mode, Paths, Rules};
    use super::*;
    use crate::net::{Authority, Path};
    use http::Method;

    fn target(host: &str, path: &str) -> Target {
        Target {
            scheme: Scheme::Https,
            authority: Authority::parse_or(host.as_bytes(), 443).unwrap(),
            method: Method::POST,
            path: Path::parse(path.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn the_nearest_misses_are_told() {
        let rule = |name: &str, host: &str| Rule::new(name, host.parse().unwrap());
        let rules = Rules {
            allow: vec![
                rule("t.allow[0]", "api.a.example.com"),
                Rule { paths: Paths::only(&["/x"]).unwrap(), ..rule("t.allow[1]", "**.example.com") },
                Rule { methods: Methods::Only([Method::GET].into()), ..rule("t.allow[2]", "api.a.example.com") },
            ],
            deny: vec![Rule { paths: Paths::only(&["/y"]).unwrap(), ..rule("t.deny[0]", "api.a.example.com") }],
        };
        let policy = Policy::new("t", Mode::Enforce, rules).unwrap();
        let told = |host: &str, path: &str| -> Vec<(String, Option<Miss>)> {
            let explained = policy.explain(&target(host, path));
            explained.considered.into_iter().map(|c| (c.rule.to_string(), c.miss)).collect()
        };
        assert_eq!(
            told("api.a.example.com", "/z"),
            [
                ("t.deny[0]".to_owned(), Some(Miss::Path)),
                ("t.allow[0]".to_owned(), None),
                ("t.allow[2]".to_owned(), Some(Miss::Method)),
                ("t.allow[1]".to_owned(), Some(Miss::Path)),
            ]
        );
        assert_eq!(told("api.a.example.com:8443", "/y")[1], ("t.allow[0]".to_owned(), Some(Miss::Port)));
        assert_eq!(told("example.com", "/")[0], ("t.allow[0]".to_owned(), Some(Miss::Host)));
        assert_eq!(told("other.test", "/"), []);
    }
}
