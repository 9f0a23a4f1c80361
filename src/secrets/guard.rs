//! The scanner with one policy's settings: what a match means for a request.

use super::canary;
use super::finding::{Disposition, Finding, Fingerprint, Severity, Surface};
use super::known::{Known, KnownSecret};
use super::rules::catalogue::Group;
use super::rules::filter;
use super::rules::home::Spot;
use super::rules::issued;
use super::rules::rule::Rule;
use super::scanner::Scanner;
use super::settings::{Action, Settings, is_named, special};
use super::stream::{DEEPEST, Hit, Scan, Stream, Work};
use crate::net::{Host, HostPattern};
use aws_lc_rs::hmac;
use std::collections::HashMap;
use std::sync::Arc;

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A word about a rule that the catalogue doesn't have.
    #[error("there is no secret rule `{0}`")]
    UnknownRule(Arc<str>),
}

/// The key of the fingerprints: one for a gateway's state.
#[derive(Clone)]
pub struct FingerprintKey(hmac::Key);

impl FingerprintKey {
    /// From 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    pub(super) fn fingerprint(&self, value: &[u8]) -> Fingerprint {
        let tag = hmac::sign(&self.0, value);
        Fingerprint(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// One policy's guard, or one session's. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    pub(super) inner: Arc<Inner>,
}

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) scanner: Arc<Scanner>,
    pub(super) settings: Arc<Settings>,
    pub(super) known: Arc<Known>,
    /// For each known secret, the rules that its value matches: it may go where they let it go.
    known_rules: Arc<[Vec<u32>]>,
    pub(super) permits: Arc<HashMap<u32, Vec<HostPattern>>>,
    pub(super) key: FingerprintKey,
    /// Known secrets only may go home.
    pub(super) own: bool,
}

impl Guard {
    /// Joins scanner and settings.
    pub fn new(scanner: Arc<Scanner>, settings: Settings, key: FingerprintKey) -> Result<Self, GuardError> {
        let settings = settings.ordered();
        let mut permits: HashMap<u32, Vec<HostPattern>> = HashMap::new();
        for permit in &settings.permits {
            let named = scanner.rules.iter().zip(0..).filter(|(rule, _)| is_named(&rule.id, &permit.rule));
            for (_, number) in named {
                permits.entry(number).or_default().extend(permit.hosts.iter().cloned());
            }
        }
        let scopes = settings.hosts.iter().map(|(_, scope)| scope).chain([&settings.general]);
        let switched = scopes.flat_map(|scope| &scope.rules).map(|(name, _)| name);
        for name in settings.permits.iter().map(|permit| &permit.rule).chain(switched) {
            let special = special::ALL.iter().any(|id| is_named(name, id));
            if !special && !scanner.rules.iter().any(|rule| is_named(&rule.id, name)) {
                return Err(GuardError::UnknownRule(name.clone()));
            }
        }
        let known = Known::new(&settings.known);
        let known_rules = settings.known.iter().map(|secret| rules_of(&scanner, secret)).collect();
        let (settings, permits) = (Arc::new(settings), Arc::new(permits));
        Ok(Self {
            inner: Arc::new(Inner { scanner, settings, known: Arc::new(known), known_rules, permits, key, own: false }),
        })
    }

    /// The same for a session with known secrets of its own beside the policy's.
    #[must_use]
    pub fn with_known(&self, more: &[KnownSecret]) -> Self {
        let mut inner = Inner::clone(&self.inner);
        let mut settings = Settings::clone(&inner.settings);
        settings.known.extend_from_slice(more);
        inner.known = Arc::new(Known::new(&settings.known));
        let new = more.iter().map(|secret| rules_of(&inner.scanner, secret));
        inner.known_rules = inner.known_rules.iter().cloned().chain(new).collect();
        inner.settings = Arc::new(settings);
        Self { inner: Arc::new(inner) }
    }

    /// The same for a request that may carry the session's own credentials only (`credentials: own`).
    #[must_use]
    pub fn own_only(&self) -> Self {
        Self { inner: Arc::new(Inner { own: true, ..Inner::clone(&self.inner) }) }
    }
}

/// The rules that a value as a whole matches, by itself or behind its name.
fn rules_of(scanner: &Scanner, secret: &KnownSecret) -> Vec<u32> {
    let value = secret.value();
    let mut rules = Vec::new();
    let mut report = |hit: &Hit<'_>| {
        let new = hit.rules.iter().filter(|rule| hit.candidate.value == value && !rules.contains(*rule));
        let new: Vec<u32> = new.copied().collect();
        rules.extend(new);
    };
    let none = Known::default();
    let name = secret.name().as_bytes();
    let named = zeroize::Zeroizing::new([name, b"=", value, b"\n"].concat());
    for text in [value, &named] {
        let mut work = Work::new();
        let mut scan = Scan { scanner, known: &none, report: &mut report, work: &mut work, path: Vec::new() };
        Stream::new(DEEPEST).feed(&mut scan, &|at| at, text, true);
    }
    rules
}

/// Where a hit lies in the request.
pub(super) struct At<'a> {
    pub(super) host: &'a Host,
    pub(super) surface: Surface,
    pub(super) place: Option<Arc<str>>,
    pub(super) spot: Spot<'a>,
    /// The offset within the surface.
    pub(super) offset: u64,
    /// Whether the bytes can be replaced where they stand.
    pub(super) maskable: bool,
}

impl Inner {
    /// What a hit means; nothing if its rules are switched off.
    pub(super) fn judge(&self, hit: &Hit<'_>, at: At<'_>) -> Option<Finding> {
        if let Some(known) = hit.known {
            return self.judge_known(known as usize, hit, at);
        }
        let value = hit.candidate.value;
        if canary::is_canary(value) {
            let action = self.settings.action_for(special::CANARY, None, at.host)?;
            return Some(self.finding((special::CANARY.into(), Severity::Critical), action, value, hit, at));
        }
        if self.scanner.examples.may_go(value, at.host) {
            return None;
        }
        let head = !matches!(at.surface, Surface::Body | Surface::Message);
        let on = |number: &u32| {
            let rule =
                self.scanner.rules.get(*number as usize).filter(|rule| if head { rule.head } else { rule.body })?;
            Some((*number, rule, self.settings.action_for(&rule.id, Some(rule.group), at.host)?))
        };
        let rules: Vec<(u32, &Rule, Action)> = hit.rules.iter().filter_map(on).collect();
        let home = rules.iter().find(|(number, rule, _)| self.is_home(*number, rule, hit, &at));
        if let Some((_, rule, action)) = home {
            if self.own && !self.is_own(value) {
                return Some(self.finding((special::NOT_OWN.into(), rule.severity), *action, value, hit, at));
            }
            return Some(self.used((rule.id.clone(), rule.severity), value, hit, at));
        }
        // Of rules that take the same bytes, the strictest decides; of equals the first.
        let (_, rule, action) = rules.iter().rev().max_by_key(|(_, _, action)| *action)?;
        let registered = self.settings.known.iter().zip(0..).filter(|(secret, _)| secret.is_or_holds(value));
        if registered.into_iter().any(|(_, number)| self.is_known_home(number, hit, &at)) {
            return Some(self.used((rule.id.clone(), rule.severity), value, hit, at));
        }
        Some(self.finding((rule.id.clone(), rule.severity), *action, value, hit, at))
    }

    /// A known secret: at home where its file says, or where the rules that its value matches let it go.
    fn judge_known(&self, number: usize, hit: &Hit<'_>, at: At<'_>) -> Option<Finding> {
        let secret = self.settings.known.get(number)?;
        let action = self.settings.action_for(secret.rule(), None, at.host)?;
        if filter::is_credential_scope(hit.candidate.after) {
            // An AWS key id in a signature: open to everyone, and no more than a name.
            let scoped = self.known_rules.get(number)?.iter().filter_map(|rule| self.scanner.rules.get(*rule as usize));
            let mut homes = scoped.flat_map(|rule| &rule.homes);
            let what = (secret.rule().clone(), Severity::Low);
            let home = homes.any(|home| home.matches(at.host));
            return home.then(|| self.used(what, secret.value(), hit, at));
        }
        let what = (secret.rule().clone(), Severity::High);
        if self.is_known_home(number, hit, &at) {
            return Some(self.used(what, secret.value(), hit, at));
        }
        Some(self.finding(what, action, secret.value(), hit, at))
    }

    fn is_known_home(&self, number: usize, hit: &Hit<'_>, at: &At<'_>) -> bool {
        let (Some(secret), Some(rules)) = (self.settings.known.get(number), self.known_rules.get(number)) else {
            return false;
        };
        let own = at.spot.is_credentials() && secret.homes().iter().any(|pattern| pattern.matches(at.host));
        let permitted = || {
            let mut permits = self.settings.permits.iter().filter(|permit| is_named(secret.rule(), &permit.rule));
            permits.any(|permit| permit.hosts.iter().any(|pattern| pattern.matches(at.host)))
        };
        let mut rules = rules.iter().filter_map(|rule| Some((*rule, self.scanner.rules.get(*rule as usize)?)));
        own || permitted() || rules.any(|(number, rule)| self.is_home(number, rule, hit, at))
    }

    /// Whether a credential is one that was registered, or a part of one.
    fn is_own(&self, value: &[u8]) -> bool {
        self.settings.known.iter().any(|secret| secret.is_or_holds(value))
    }

    /// A finding that lies somewhere else than at home.
    fn finding(&self, what: (Arc<str>, Severity), action: Action, value: &[u8], hit: &Hit<'_>, at: At<'_>) -> Finding {
        let disposition = match action {
            Action::Observe => Disposition::Observed,
            Action::Mask if at.maskable => Disposition::Masked,
            Action::Mask | Action::Block => Disposition::Blocked,
        };
        Finding { disposition, ..self.used(what, value, hit, at) }
    }

    /// A credential on its way home.
    fn used(&self, (rule, severity): (Arc<str>, Severity), value: &[u8], hit: &Hit<'_>, at: At<'_>) -> Finding {
        Finding {
            rule,
            severity,
            surface: at.surface,
            place: at.place,
            offset: at.offset,
            length: hit.candidate.value.len() as u32,
            decoded: hit.path.iter().map(|step| (*step).into()).collect(),
            fingerprint: self.key.fingerprint(value),
            disposition: Disposition::CredentialUsed,
        }
    }

    /// What could not be looked into, as a finding of its own; nothing where that is switched off.
    pub(super) fn unscanned(&self, what: &str, surface: Surface, host: &Host) -> Option<Finding> {
        let action = self.settings.action_for(what, None, host)?;
        Some(Finding {
            rule: what.into(),
            severity: Severity::Medium,
            surface,
            place: None,
            offset: 0,
            length: 0,
            decoded: Vec::new(),
            fingerprint: Fingerprint([0; 8]),
            disposition: match action {
                Action::Observe => Disposition::Observed,
                Action::Mask | Action::Block => Disposition::Blocked,
            },
        })
    }

    fn is_home(&self, number: u32, rule: &Rule, hit: &Hit<'_>, at: &At<'_>) -> bool {
        if self.permits.get(&number).is_some_and(|hosts| hosts.iter().any(|pattern| pattern.matches(at.host))) {
            return true;
        }
        // Where a more telling rule takes the same bytes, its hosts are the ones that count.
        let others = || hit.rules.iter().filter_map(|rule| self.scanner.rules.get(*rule as usize));
        if rule.names_its_home {
            return !others().any(|other| !other.homes.is_empty())
                && issued::is_home(hit.candidate.value, at.host, at.spot);
        }
        if rule.group == Group::Generic {
            return others().all(|other| other.group == Group::Generic) && self.is_login(at);
        }
        rule.is_read_at(at.spot) && rule.is_at_home(at.host)
    }

    /// Whether a host is a home of a hit's own kind.
    pub(super) fn has_home_at(&self, hit: &Hit<'_>, host: &Host) -> bool {
        hit.rules.iter().filter_map(|rule| self.scanner.rules.get(*rule as usize)).any(|rule| rule.is_at_home(host))
    }

    /// Whether a value that nobody knows the owner of stands where services read logins: in Authorization, in the fields
    /// that stand in for it (`x-api-key`) and in a session's cookies on every host, under names of keys that may be theirs
    /// on the hosts of known services. Who may be logged in to is the allowlist's to say.
    fn is_login(&self, at: &At<'_>) -> bool {
        let has = |name: &str, words: &[&str]| words.iter().any(|word| name.to_ascii_lowercase().contains(word));
        match at.spot {
            Spot::Cookie(name) => !has(name, &["key", "secret", "password"]),
            spot if spot.is_login_field(at.host) => true,
            spot => {
                let suffix = at.host.as_name().and_then(|name| psl::suffix(name.as_bytes()));
                let rented = suffix.is_some_and(|suffix| suffix.typ() == Some(psl::Type::Private));
                spot.is_key_of(at.host)
                    && self
                        .scanner
                        .rules
                        .iter()
                        .any(|rule| rule.is_at_home(at.host) && (!rented || rule.names_exactly(at.host)))
            }
        }
    }
}
