//! The scanner with one policy's settings: what a match means for a request.

use super::canary;
use super::catalogue::Group;
use super::checksum;
use super::finding::{Disposition, Finding, Fingerprint, Severity, Surface};
use super::home::Spot;
use super::known::{Known, KnownSecret};
use super::rule::Rule;
use super::scanner::Scanner;
use super::stream::{DEEPEST, Hit, Scan, Stream, Work};
use crate::net::{Host, HostPattern};
use aws_lc_rs::hmac;
use std::collections::HashMap;
use std::sync::Arc;

/// What to do about a secret on its way to where it doesn't belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Stop the request.
    #[default]
    Block,
    /// Replace it by others of the same length where that can be done: in textual bodies; else stop.
    Mask,
    /// Tell, and let it pass.
    Observe,
}

/// Which groups of rules are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Tokens and passwords of services.
    pub credentials: bool,
    /// Private keys.
    pub keys: bool,
    /// Cards, accounts, seed phrases, wallet keys.
    pub financial: bool,
    /// Names that say secret.
    pub generic: bool,
}

impl Default for Groups {
    fn default() -> Self {
        Self { credentials: true, keys: true, financial: true, generic: true }
    }
}

impl Groups {
    const fn has(self, group: Group) -> bool {
        match group {
            Group::Credentials => self.credentials,
            Group::Keys => self.keys,
            Group::Financial => self.financial,
            Group::Generic => self.generic,
        }
    }
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
    /// What to do about a finding.
    pub action: Action,
    /// More homes.
    pub permits: Vec<Permitted>,
    /// Which groups are on.
    pub groups: Groups,
    /// Values matched exactly.
    pub known: Vec<KnownSecret>,
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A permit for a rule that the catalogue doesn't have.
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

    fn fingerprint(&self, value: &[u8]) -> Fingerprint {
        let tag = hmac::sign(&self.0, value);
        Fingerprint(tag.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// One policy's guard. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) scanner: Arc<Scanner>,
    pub(super) settings: Settings,
    pub(super) known: Known,
    /// For each known secret, the rules that its value matches: it may go where they let it go.
    known_rules: Vec<Vec<u32>>,
    permits: HashMap<u32, Vec<HostPattern>>,
    key: FingerprintKey,
    /// The rule that a canary's finding names.
    canary: Arc<str>,
}

impl Guard {
    /// Joins scanner and settings.
    pub fn new(scanner: Arc<Scanner>, settings: Settings, key: FingerprintKey) -> Result<Self, GuardError> {
        let mut permits: HashMap<u32, Vec<HostPattern>> = HashMap::new();
        for permit in &settings.permits {
            let mut known = false;
            for (rule, number) in scanner.rules.iter().zip(0..) {
                if is_named(&rule.id, &permit.rule) {
                    known = true;
                    permits.entry(number).or_default().extend(permit.hosts.iter().cloned());
                }
            }
            if !known {
                return Err(GuardError::UnknownRule(permit.rule.clone()));
            }
        }
        let known = Known::new(&settings.known);
        let known_rules = settings.known.iter().map(|secret| rules_of(&scanner, secret.value())).collect();
        Ok(Self {
            inner: Arc::new(Inner { scanner, settings, known, known_rules, permits, key, canary: "canary".into() }),
        })
    }
}

/// The rules that a value as a whole matches.
fn rules_of(scanner: &Scanner, value: &[u8]) -> Vec<u32> {
    let mut rules = Vec::new();
    let mut report = |hit: &Hit<'_>| {
        if hit.candidate.value.len() == value.len() {
            rules.extend_from_slice(hit.rules);
        }
    };
    let (none, mut work) = (Known::default(), Work::new());
    let mut scan = Scan { scanner, known: &none, report: &mut report, work: &mut work, path: Vec::new() };
    Stream::new(DEEPEST).feed(&mut scan, &|at| at, value, true);
    rules
}

fn is_named(id: &str, name: &str) -> bool {
    id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
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
        let head = !matches!(at.surface, Surface::Body | Surface::Message);
        let on = |rule: &&Rule| self.settings.groups.has(rule.group) && if head { rule.head } else { rule.body };
        let numbered = |number: &u32| Some((*number, self.scanner.rules.get(*number as usize)?));
        let rules: Vec<(u32, &Rule)> = hit.rules.iter().filter_map(numbered).filter(|(_, rule)| on(rule)).collect();
        if canary::is_canary(hit.candidate.value) {
            let fingerprint = self.key.fingerprint(hit.candidate.value);
            return Some(self.finding((&self.canary, Severity::Critical), fingerprint, false, hit, at));
        }
        let home = rules.iter().find(|(number, rule)| self.is_home(*number, rule, hit, &at));
        let &(_, rule) = home.or(rules.first())?;
        let fingerprint = self.key.fingerprint(hit.candidate.value);
        Some(self.finding((&rule.id, rule.severity), fingerprint, home.is_some(), hit, at))
    }

    /// A known secret: at home where its file says, or where the rules that its value matches let it go.
    fn judge_known(&self, number: usize, hit: &Hit<'_>, at: At<'_>) -> Option<Finding> {
        let secret = self.settings.known.get(number)?;
        let rules = self.known_rules.get(number)?;
        let rules = rules.iter().filter_map(|rule| Some((*rule, self.scanner.rules.get(*rule as usize)?)));
        let own = at.spot.is_one_of(&[]) && secret.homes().iter().any(|pattern| pattern.matches(at.host));
        let home = own || rules.into_iter().any(|(number, rule)| self.is_home(number, rule, hit, &at));
        let fingerprint = self.key.fingerprint(secret.value());
        Some(self.finding((secret.rule(), Severity::High), fingerprint, home, hit, at))
    }

    fn finding(
        &self,
        (rule, severity): (&Arc<str>, Severity),
        fingerprint: Fingerprint,
        home: bool,
        hit: &Hit<'_>,
        at: At<'_>,
    ) -> Finding {
        let disposition = match self.settings.action {
            _ if home => Disposition::CredentialUsed,
            Action::Observe => Disposition::Observed,
            Action::Mask if at.maskable => Disposition::Masked,
            Action::Mask | Action::Block => Disposition::Blocked,
        };
        Finding {
            rule: rule.clone(),
            severity,
            surface: at.surface,
            place: at.place,
            offset: at.offset,
            length: hit.candidate.value.len() as u32,
            decoded: hit.path.iter().map(|step| (*step).into()).collect(),
            fingerprint,
            disposition,
        }
    }

    fn is_home(&self, number: u32, rule: &Rule, hit: &Hit<'_>, at: &At<'_>) -> bool {
        if self.permits.get(&number).is_some_and(|hosts| hosts.iter().any(|pattern| pattern.matches(at.host))) {
            return true;
        }
        if rule.names_its_home {
            return matches!(at.spot, Spot::Header(_) | Spot::Cookie(_)) && jwt_is_for(hit.candidate.value, at.host);
        }
        at.spot.is_one_of(&rule.places) && rule.homes.iter().any(|home| home.matches(at.host))
    }
}

/// Whether a JWT names this host, or one of the same owner, as issuer or audience; one that names no host at all is
/// taken to belong where it is shown.
fn jwt_is_for(value: &[u8], host: &Host) -> bool {
    let Some(claims) = checksum::jwt_claims(value) else { return false };
    let (Some(name), mut named) = (host.as_name(), false) else { return true };
    for claim in ["iss", "aud", "azp", "api"] {
        let texts: Vec<&str> = match claims.get(claim) {
            Some(serde_json::Value::String(text)) => vec![text],
            Some(serde_json::Value::Array(texts)) => texts.iter().filter_map(|text| text.as_str()).collect(),
            _ => continue,
        };
        for text in texts {
            let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
            let authority = authority.split(['/', ':', '?']).next().unwrap_or(authority);
            let Some(theirs) = psl::domain_str(authority) else { continue };
            named = true;
            if psl::domain_str(name) == Some(theirs) {
                return true;
            }
        }
    }
    !named
}
