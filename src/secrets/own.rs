//! `credentials: own`: in the places where services read credentials, nothing but a registered one may stand, whatever
//! it looks like. A key of a shape that no rule knows is as good to an attacker as one that a rule does.

use super::finding::{Finding, Surface};
use super::guard::Guard;
use super::head::{HeadView, Part};
use super::rules::home::Spot;
use super::settings::special;
use crate::net::Host;

/// What the names of such fields end in.
const ENDS: [&str; 5] = ["-token", "-key", "-secret", "-password", "-api-key"];
/// Fields that end so and carry none.
const OTHERS: [&str; 8] = [
    "sec-websocket-key",
    "idempotency-key",
    "x-idempotency-key",
    "x-csrf-token",
    "x-xsrf-token",
    "csrf-token",
    "surrogate-key",
    "x-cache-key",
];
/// Parameters of the query that carry credentials.
const PARAMETERS: [&str; 14] = [
    "access_token",
    "api_key",
    "api-key",
    "apikey",
    "key",
    "token",
    "auth",
    "auth_token",
    "private_token",
    "job_token",
    "client_secret",
    "secret",
    "password",
    "subscription-key",
];
/// Shorter values are no credential; a scheme's name alone isn't one either.
const SHORTEST: usize = 8;

impl Guard {
    /// The credentials of a head that no registered one accounts for. `registered` are the places of those in the
    /// composed text.
    pub(super) fn not_own(
        &self,
        head: &HeadView<'_>,
        parts: &[Part<'_>],
        text: &[u8],
        registered: &[(u64, u64)],
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        let ends = parts.iter().skip(1).map(|part| part.start.saturating_sub(1)).chain([text.len()]);
        for (part, end) in parts.iter().zip(ends) {
            let whole = text.get(part.start..end).unwrap_or_default();
            match (part.surface, part.field()) {
                (Surface::Query, _) => {
                    let mut start = part.start;
                    for parameter in whole.split(|byte| *byte == b'&') {
                        let equals = memchr::memchr(b'=', parameter).unwrap_or(parameter.len());
                        let (name, value) = parameter.split_at(equals);
                        let name = String::from_utf8_lossy(name);
                        if PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)) && value.len() > SHORTEST {
                            let from = start + equals + 1;
                            found.extend(self.unless(registered, part, &name, (from, start + parameter.len()), head));
                        }
                        start += parameter.len() + 1;
                    }
                }
                (_, Some(field)) if carries_credentials(field, head.host) => {
                    let from = part.start + (field.len() + 2).min(whole.len());
                    if end - from >= SHORTEST {
                        found.extend(self.unless(registered, part, field, (from, end), head));
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn unless(
        &self,
        registered: &[(u64, u64)],
        part: &Part<'_>,
        name: &str,
        (from, to): (usize, usize),
        head: &HeadView<'_>,
    ) -> Option<Finding> {
        if registered.iter().any(|(start, end)| *start >= from as u64 && *end <= to as u64) {
            return None;
        }
        let finding = self.inner.unscanned(special::NOT_OWN, part.surface, head.host)?;
        let place = Some(name.to_ascii_lowercase().into());
        Some(Finding { place, offset: (from - part.start) as u64, length: (to - from) as u32, ..finding })
    }
}

fn carries_credentials(field: &str, host: &Host) -> bool {
    let name = field.to_ascii_lowercase();
    let ends = Spot::Header(&name).is_login_field(host) || ENDS.iter().any(|end| name.ends_with(end));
    ends && !OTHERS.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{PAT, SCANNER, head, host};
    use super::super::*;

    fn own() -> Guard {
        let known = vec![
            KnownSecret::new("GITHUB_TOKEN", PAT.as_bytes()).unwrap(),
            KnownSecret::new("ACME", b"pa55w0rd-of-acme").unwrap().at_home("acme.test".parse().unwrap()),
        ];
        let settings = Settings { known, ..Settings::default() };
        Guard::new(SCANNER.clone(), settings, FingerprintKey::new(&[7; 32])).unwrap().own_only()
    }

    fn is_stopped(name: &str, query: Option<&str>, fields: &[(&str, &str)]) -> bool {
        head(&own(), name, "/", query, fields).contains(&Disposition::Blocked)
    }

    #[test]
    fn only_a_registered_credential_goes_home_whatever_its_shape() {
        let basic = |pair: &str| format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
        let acme = basic("me:pa55w0rd-of-acme");
        for (host, query, fields) in [
            ("api.github.com", None, vec![("Authorization", format!("Bearer {PAT}"))]),
            ("api.github.com", None, vec![("authorization", basic(&format!("x-access-token:{PAT}")))]),
            ("acme.test", None, vec![("Authorization", acme.clone())]),
            ("acme.test", None, vec![("X-API-Key", "pa55w0rd-of-acme".to_owned())]),
            ("acme.test", Some("a=1&key=pa55w0rd-of-acme"), vec![]),
            ("acme.test", Some("page_token=abcdefghijklmnop"), vec![("Accept", "*/*".to_owned())]),
            ("acme.test", None, vec![("Idempotency-Key", "0123456789abcdef".to_owned())]),
        ] {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert!(!is_stopped(host, query, &fields), "{host} {query:?} {fields:?}");
        }
        // Another token of the same kind, an opaque one, a pair, and an own one beside another's.
        let other = "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";
        for (host, query, fields) in [
            ("api.github.com", None, vec![("Authorization", format!("Bearer {other}"))]),
            ("api.github.com", None, vec![("Authorization", basic(&format!("x:{other}")))]),
            ("acme.test", None, vec![("Authorization", "Bearer opaque-as-can-be".to_owned())]),
            ("acme.test", None, vec![("Authorization", basic("me:another-password"))]),
            ("acme.test", None, vec![("X-API-Key", "4n0ther-k3y".to_owned())]),
            ("acme.test", None, vec![("AccessKey", "4n0ther-k3y".to_owned())]),
            ("acme.test", None, vec![("X-Authorization", "4n0ther-k3y".to_owned())]),
            ("acme.test", Some("key=4n0ther-k3y-1234"), vec![]),
            ("acme.test", Some("key=pa55w0rd-of-acme&key=4n0ther-k3y-1234"), vec![]),
            ("acme.test", None, vec![("Authorization", acme.clone()), ("Authorization", basic("me:another-one"))]),
            ("other.test", None, vec![("Authorization", acme)]),
        ] {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert!(is_stopped(host, query, &fields), "{host} {query:?} {fields:?}");
        }
    }

    #[test]
    fn a_form_takes_a_registered_credential_and_no_other() {
        let acme = host("acme.test");
        let form = |value: &str| {
            let kind = Some(&b"application/x-www-form-urlencoded"[..]);
            let context =
                BodyContext { host: &acme, method: "POST", path: "/", content_type: kind, content_encoding: None };
            let body = format!("grant_type=client_credentials&client_secret={value}");
            super::super::tests::run(own().body(&context), &[body.as_bytes()]).2.is_some()
        };
        assert!(!form("pa55w0rd-of-acme"));
        assert!(form(PAT), "registered, but at home elsewhere");
    }
}
