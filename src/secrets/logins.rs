//! Logins that are another host's. Where services read logins a value passes that has no shape of its own: who may be
//! logged in to is the allowlist's to say. But three things tell of some that they are no login of this host: the value
//! begins like another service's, what the host takes begins otherwise, or it logged in to another's host before.

use super::finding::{Disposition, Finding, Fingerprint, Severity, Surface};
use super::guard::{Guard, Inner};
use super::head::HeadView;
use super::recall::logins::Logins;
use super::rules::catalogue::Group;
use super::rules::checksum;
use super::rules::filter::{entropy, is_identifier, is_placeholder};
use super::rules::generic::is_wordy;
use super::rules::home::Spot;
use super::rules::issued::owner;
use super::rules::logins::Given;
use super::rules::rule::Rule;
use super::settings::{Action, is_named, special};
use crate::net::{AddressClass, Host};
use std::borrow::Cow;

/// Shorter values are no login that opens much: `test`, `dummy`, a user's name.
const SHORTEST: usize = 16;
/// What follows the front of another service's key is no shorter.
const SHORTEST_REST: usize = 12;
/// Bits per character of what chance made.
const LEAST_ENTROPY: f32 = 2.8;
/// The name of a scheme is no longer.
const LONGEST_SCHEME: usize = 20;
/// Parameters in which services take logins.
const PARAMETERS: [&str; 8] =
    ["access_token", "api-key", "api_key", "apikey", "auth_token", "job_token", "private_token", "subscription-key"];
/// Names of other things too.
const OPEN_PARAMETERS: [&str; 6] = ["app_id", "appid", "auth", "key", "secret", "token"];

/// A value where services read logins.
struct Login<'a> {
    surface: Surface,
    /// The field or parameter.
    name: &'a str,
    /// Where in it the value begins.
    offset: usize,
    /// Without its scheme; of Basic name and password.
    value: Cow<'a, [u8]>,
    is_pair: bool,
    /// Its name is one of a login. Under others keys are sent, and much besides that is no login.
    is_sure: bool,
}

impl Guard {
    /// The logins of a head that are another host's. `found` is what shapes tell of it: what has its home here is a login
    /// of this host, and what is refused anyway goes nowhere.
    pub(super) fn logins_elsewhere(
        &self,
        head: &HeadView<'_>,
        found: &[Finding],
        memory: Option<&Logins>,
    ) -> Vec<Finding> {
        if head.trailers || found.iter().any(|finding| finding.disposition == Disposition::Blocked) {
            return Vec::new();
        }
        let logins = logins_of(head);
        let elsewhere =
            logins.iter().filter_map(|login| self.inner.judge_login(login, head.host, found, memory)).collect();
        for finding in found.iter().filter(|finding| finding.disposition == Disposition::CredentialUsed) {
            memory.inspect(|memory| memory.remember(finding.fingerprint, head.host));
        }
        elsewhere
    }
}

impl Inner {
    fn judge_login(
        &self,
        login: &Login<'_>,
        host: &Host,
        found: &[Finding],
        memory: Option<&Logins>,
    ) -> Option<Finding> {
        let secret = login.secret();
        if !may_open(secret) {
            return None;
        }
        if let Some(rule) = self.foreign_kind(secret, host).filter(|_| login.is_sure) {
            return self.tell_login(&rule.id, Some(rule.group), login, host);
        }
        let fingerprint = self.key.fingerprint(secret);
        let has_kind = found.iter().any(|finding| {
            let is_this = finding.fingerprint == fingerprint && finding.disposition == Disposition::CredentialUsed;
            is_this && !self.scanner.is_generic(&finding.rule)
        });
        let given = Given { whole: &login.value, secret, is_pair: login.is_pair };
        // JWTs name their hosts themselves.
        let memory = memory.filter(|_| !has_kind && checksum::jwt_claims(secret).is_none());
        let is_elsewhere = (!has_kind && login.is_sure && self.scanner.logins.refuse(given, host))
            || memory.is_some_and(|memory| self.went_elsewhere(fingerprint, host, memory));
        if !is_elsewhere {
            // A field under another name holds what is new with every request, too.
            let is_kept = login.is_sure || login.surface == Surface::Query;
            memory.filter(|_| is_kept).inspect(|memory| memory.remember(fingerprint, host));
            return None;
        }
        self.tell_login(special::LOGIN_ELSEWHERE, None, login, host)
    }

    /// The kind of a value that begins like the keys of a service which has no home here, whatever its length: formats
    /// grow.
    fn foreign_kind(&self, secret: &[u8], host: &Host) -> Option<&Rule> {
        let (front, numbers) = self.scanner.fronts.of(secret)?;
        let rest = secret.get(front.len()..).unwrap_or_default();
        if rest.len() < SHORTEST_REST || !rest.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let mut kind = None;
        for (number, rule) in numbers.filter_map(|number| Some((number, self.scanner.rules.get(number as usize)?))) {
            let permitted = self.permits.get(&number).is_some_and(|hosts| hosts.iter().any(|home| home.matches(host)));
            if permitted || rule.is_at_home(host) {
                return None;
            }
            kind = kind.or(Some(rule));
        }
        let is_key = || !is_identifier(rest) && !is_placeholder(rest) && !self.scanner.examples.may_go(secret, host);
        kind.filter(|_| is_key())
    }

    /// Whether a value logged in to a host of somebody else before.
    fn went_elsewhere(&self, login: Fingerprint, host: &Host, memory: &Logins) -> bool {
        let (Some(first), Some(here)) = (memory.first_of(login), owner_of(host)) else { return false };
        let have_a_kind = || self.scanner.rules.iter().any(|rule| rule.is_at_home(&first) && rule.is_at_home(host));
        owner_of(&first).is_some_and(|there| there != here) && !have_a_kind()
    }

    /// Nothing where it is switched off or permitted.
    fn tell_login(&self, rule: &str, group: Option<Group>, login: &Login<'_>, host: &Host) -> Option<Finding> {
        let mut permits = self.settings.permits.iter().filter(|permit| is_named(rule, &permit.rule));
        if permits.any(|permit| permit.hosts.iter().any(|pattern| pattern.matches(host))) {
            return None;
        }
        let disposition = match self.settings.action_for(rule, group, host)? {
            Action::Observe => Disposition::Observed,
            Action::Mask | Action::Block => Disposition::Blocked,
        };
        Some(Finding {
            rule: rule.into(),
            severity: Severity::High,
            surface: login.surface,
            place: Some(login.name.to_ascii_lowercase().into()),
            offset: login.offset as u64,
            length: login.value.len() as u32,
            decoded: login.is_pair.then(|| "base64".into()).into_iter().collect(),
            fingerprint: self.key.fingerprint(login.secret()),
            disposition,
        })
    }
}

impl Login<'_> {
    /// Of a pair the password; services that take one value take it in either place.
    fn secret(&self) -> &[u8] {
        let colon = if self.is_pair { memchr::memchr(b':', &self.value) } else { None };
        let (name, password) = match colon {
            Some(colon) => (self.value.get(..colon), self.value.get(colon + 1..)),
            None => (None, Some(&*self.value)),
        };
        password.filter(|password| password.len() >= SHORTEST).or(name).unwrap_or_default()
    }
}

/// Whether chance made a value: neither words nor what stands for a login where there is none.
fn may_open(secret: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| secret.iter().any(kind);
    let is_mixed = || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && !is_wordy(secret);
    let looks_so = secret.len() >= SHORTEST && (has(u8::is_ascii_digit) || is_mixed());
    looks_so && entropy(secret) >= LEAST_ENTROPY && !is_identifier(secret) && !is_placeholder(secret)
}

/// The values of a head that stand where services read logins.
fn logins_of<'a>(head: &HeadView<'a>) -> Vec<Login<'a>> {
    let fields = head.fields.iter().filter(|(_, value)| value.len() >= SHORTEST).filter_map(|(name, value)| {
        let name = std::str::from_utf8(name).ok().filter(|name| Spot::Header(name).is_key_field())?;
        Some(Login::of_field(name, value, Spot::Header(name).is_login_field(head.host)))
    });
    let parameters = head.query.into_iter().flat_map(|query| query.split('&')).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_in = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        let is_sure = is_in(&PARAMETERS);
        let value = percent_encoding::percent_decode_str(value).into();
        let login = Login { surface: Surface::Query, name, offset: name.len() + 1, value, is_pair: false, is_sure };
        (is_sure || is_in(&OPEN_PARAMETERS)).then_some(login)
    });
    fields.chain(parameters).collect()
}

impl<'a> Login<'a> {
    /// Without its scheme, and without the name that some write before the value (`Token token=…`).
    fn of_field(name: &'a str, field: &'a [u8], is_sure: bool) -> Self {
        let is_scheme = |word: &[u8]| {
            word.len() <= LONGEST_SCHEME && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        };
        let blank = memchr::memchr(b' ', field).filter(|at| field.get(..*at).is_some_and(is_scheme));
        let (scheme, rest) = field.split_at(blank.map_or(0, |at| at + 1));
        let offset = name.len() + 2 + scheme.len();
        let value = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"basic ")
            && let Ok(pair) = data_encoding::BASE64.decode(value)
        {
            return Self { surface: Surface::Header, name, offset, value: pair.into(), is_pair: true, is_sure };
        }
        let value = value.strip_prefix(b"token=").unwrap_or(value);
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        Self { surface: Surface::Header, name, offset, value: value.into(), is_pair: false, is_sure }
    }
}

/// The name that tells whose a host is; nothing for names and addresses inside somebody's own network.
fn owner_of(host: &Host) -> Option<Cow<'_, str>> {
    if let Some(address) = host.as_ip() {
        return AddressClass::of(address).is_public().then(|| address.to_string().into());
    }
    let name = host.as_name()?;
    let is_known = psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known());
    owner(name).filter(|_| is_known).map(Cow::from)
}
