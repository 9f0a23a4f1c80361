//! What a policy says about secrets: which are looked for, what is done about them, where they belong.

use super::known::KnownSecret;
use super::rules::catalogue::Group;
use crate::net::{Host, HostPattern};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What to do about a secret on its way to where it doesn't belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Tell, and let it pass.
    Observe,
    /// Replace it by others of the same length where that can be done: in textual bodies; else stop.
    Mask,
    /// Stop the request.
    #[default]
    Block,
}

/// What is said about one rule or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Looked for, with the action of what is around it: a rule's group, a host, the policy.
    On,
    /// Not looked for.
    Off,
    /// Looked for, with an action of its own.
    Act(Action),
}

/// What is said for one place: the policy as a whole, or some of its hosts.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What to do where neither rule nor group says it.
    pub action: Option<Action>,
    /// Groups of rules.
    pub groups: BTreeMap<Group, Switch>,
    /// Rules by id, or families of them by the part of the id before a hyphen (`github-pat`).
    pub rules: Vec<(Arc<str>, Switch)>,
}

/// More homes for a rule, any place in the request.
#[derive(Clone, Debug)]
pub struct Permitted {
    /// The rule's id, or a prefix of ids that ends at a hyphen (`github-pat`).
    pub rule: Arc<str>,
    /// The hosts.
    pub hosts: Vec<HostPattern>,
}

/// A policy's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What to do about a finding where nothing below says it.
    pub action: Action,
    /// What is said for every host.
    pub general: Scope,
    /// What is said for some hosts.
    pub hosts: Vec<(HostPattern, Scope)>,
    /// More homes.
    pub permits: Vec<Permitted>,
    /// Values matched exactly.
    pub known: Vec<KnownSecret>,
}

/// Findings that are no credential of the catalogue. Policies name them as they name rules.
pub mod special {
    /// A credential that was made to be found.
    pub const CANARY: &str = "canary";
    /// Values that the operator named; one of them is `known:NAME`.
    pub const KNOWN: &str = "known";
    /// What grows too much when it is decoded, or costs too much.
    pub const BOMB: &str = "decode-bomb";
    /// What is encoded more often than is followed.
    pub const DEPTH: &str = "decode-depth";
    /// A body that can't be looked into: an unknown coding, a broken one.
    pub const UNINSPECTABLE: &str = "uninspectable";
    /// A credential that the session has not registered, under a rule with `credentials: own`.
    pub const NOT_OWN: &str = "credential-not-own";
    /// A value without a shape of its own that is a login, and none of this host's.
    pub const LOGIN_ELSEWHERE: &str = "login-elsewhere";

    /// Those that a policy can switch.
    pub const ALL: [&str; 6] = [CANARY, KNOWN, BOMB, DEPTH, UNINSPECTABLE, LOGIN_ELSEWHERE];
}

impl Settings {
    /// The same settings of a policy that only observes: what they stop is told.
    #[must_use]
    pub fn observed(mut self) -> Self {
        self.action = Action::Observe;
        let scopes = self.hosts.iter_mut().map(|(_, scope)| scope).chain([&mut self.general]);
        for scope in scopes {
            scope.action = scope.action.map(|_| Action::Observe);
            let switches = scope.groups.values_mut().chain(scope.rules.iter_mut().map(|(_, switch)| switch));
            switches.filter(|switch| **switch != Switch::Off).for_each(|switch| *switch = Switch::Act(Action::Observe));
        }
        self
    }

    /// The same settings, the scopes of hosts in the order in which they are asked: the narrowest first.
    pub(super) fn ordered(mut self) -> Self {
        self.hosts.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        self
    }

    /// What to do about a rule's match on its way to a host; nothing if it isn't looked for there. A rule goes
    /// before its group and that before everything else; of each, what is said for the narrowest host goes first.
    pub(super) fn action_for(&self, rule: &str, group: Option<Group>, host: &Host) -> Option<Action> {
        let scopes = || {
            let own = self.hosts.iter().filter(|(pattern, _)| pattern.matches(host)).map(|(_, scope)| scope);
            own.chain([&self.general])
        };
        let of_rule = scopes().find_map(|scope| scope.rule(rule));
        let switch = match of_rule {
            // Nothing but the rule itself was switched on.
            Some(switch) => switch,
            None => group
                .and_then(|group| scopes().find_map(|scope| scope.groups.get(&group).copied()))
                .unwrap_or(Switch::On),
        };
        match switch {
            Switch::Off => None,
            Switch::Act(action) => Some(action),
            Switch::On => Some(scopes().find_map(|scope| scope.action).unwrap_or(self.action)),
        }
    }
}

impl Scope {
    /// What is said about a rule: the longest name that means it goes first.
    fn rule(&self, id: &str) -> Option<Switch> {
        let named = self.rules.iter().filter(|(name, _)| is_named(id, name));
        named.max_by_key(|(name, _)| name.len()).map(|(_, switch)| *switch)
    }
}

/// Whether a name means a rule: its id, or the family that it belongs to.
#[must_use]
pub fn is_named(id: &str, name: &str) -> bool {
    !name.is_empty() && id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let rules = |rules: &[(&str, Switch)]| rules.iter().map(|(name, switch)| ((*name).into(), *switch)).collect();
        let general = Scope {
            action: None,
            groups: BTreeMap::from([(Group::Generic, Switch::Off), (Group::Financial, Switch::Act(Action::Observe))]),
            rules: rules(&[
                ("github", Switch::Act(Action::Mask)),
                ("github-pat", Switch::Off),
                ("generic-secret", Switch::On),
            ]),
        };
        let near = Scope { action: Some(Action::Mask), ..Scope::default() };
        let exact = Scope { rules: rules(&[("github", Switch::Act(Action::Block))]), ..Scope::default() };
        let hosts = vec![("**.acme.dev".parse().unwrap(), near), ("git.acme.dev".parse().unwrap(), exact)];
        Settings { general, hosts, ..Settings::default() }.ordered()
    }

    #[track_caller]
    fn assert_action(rule: &str, group: Group, host: &str, expected: Option<Action>) {
        let host = Host::parse(host.as_bytes()).unwrap();
        assert_eq!(settings().action_for(rule, Some(group), &host), expected, "{rule} to {host}");
    }

    #[test]
    fn the_most_specific_word_decides() {
        use Group::{Credentials, Financial, Generic};
        assert_action("npm-token", Credentials, "a.test", Some(Action::Block));
        assert_action("npm-token", Credentials, "x.acme.dev", Some(Action::Mask));
        assert_action("npm-token", Credentials, "git.acme.dev", Some(Action::Mask));
        assert_action("github-oauth", Credentials, "a.test", Some(Action::Mask));
        assert_action("github-pat-classic", Credentials, "a.test", None);
        assert_action("github-pat-classic", Credentials, "x.acme.dev", None);
        assert_action("github-pat-classic", Credentials, "git.acme.dev", Some(Action::Block));
        assert_action("githubber-key", Credentials, "a.test", Some(Action::Block));
        assert_action("iban", Financial, "x.acme.dev", Some(Action::Observe));
        assert_action("generic-password", Generic, "a.test", None);
        assert_action("generic-secret-name", Generic, "a.test", Some(Action::Block));
        assert_action("generic-secret-name", Generic, "x.acme.dev", Some(Action::Mask));
    }

    #[test]
    fn a_policy_that_observes_stops_nothing_and_looks_for_no_more() {
        let observed = settings().observed();
        for host in ["a.test", "x.acme.dev", "git.acme.dev"] {
            let host = Host::parse(host.as_bytes()).unwrap();
            for rule in ["npm-token", "github-oauth", "github-pat-classic", "iban"] {
                let was = settings().action_for(rule, Some(Group::Financial), &host);
                let now = observed.action_for(rule, Some(Group::Financial), &host);
                assert_eq!(now, was.map(|_| Action::Observe), "{rule} to {host}");
            }
        }
    }
}
