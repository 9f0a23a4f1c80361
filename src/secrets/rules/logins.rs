//! What the logins of some hosts begin with, and what begins like the credentials of one service only.

use super::super::scanner::last_labels;
use super::catalogue::LoginsSpec;
use super::home::{BadHome, Home};
use super::names::is_common;
use crate::net::Host;
use std::collections::HashMap;
use std::sync::Arc;

/// Hosts whose every login begins in one of a few ways, by the last two labels of their names.
#[derive(Default)]
pub(in crate::secrets) struct Logins(HashMap<Box<str>, Vec<Known>>);

struct Known {
    host: Home,
    begin: Arc<[Box<[u8]>]>,
    client_pairs: bool,
}

/// What is given as a login.
#[derive(Clone, Copy)]
pub(in crate::secrets) struct Given<'a> {
    /// Without its scheme; of Basic name and password.
    pub(in crate::secrets) whole: &'a [u8],
    /// Of the two the one that is a secret.
    pub(in crate::secrets) secret: &'a [u8],
    pub(in crate::secrets) is_pair: bool,
}

impl Logins {
    pub(in crate::secrets) fn new(specs: &[LoginsSpec]) -> Result<Self, BadHome> {
        let mut hosts: HashMap<Box<str>, Vec<Known>> = HashMap::new();
        for spec in specs {
            let begin: Arc<[Box<[u8]>]> = spec.begin.iter().map(|begin| begin.as_bytes().into()).collect();
            for name in &spec.hosts {
                let known = Known { host: Home::parse(name)?, begin: begin.clone(), client_pairs: spec.client_pairs };
                hosts.entry(last_labels(name).into()).or_default().push(known);
            }
        }
        Ok(Self(hosts))
    }

    /// Whether a host is known to take other logins only: neither the whole of it, a name with a password too, nor its
    /// secret begins as theirs do, or more follows. Where two files know a host, it takes what
    /// either says.
    pub(in crate::secrets) fn refuse(&self, login: Given<'_>, host: &Host) -> bool {
        let name = host.as_name().unwrap_or_default();
        let of_end = self.0.get(last_labels(name)).into_iter().flatten();
        let known: Vec<&Known> = of_end.filter(|known| known.host.matches(host)).collect();
        let mut begin = known.iter().flat_map(|known| known.begin.iter());
        // A key alone goes as the name, with no password or a short one.
        let has_both = login.is_pair && login.whole.ends_with(login.secret);
        let is_client = has_both && known.iter().any(|known| known.client_pairs);
        let is_one = begin.any(|begin| login.whole.starts_with(begin) || login.secret.starts_with(begin));
        let is_more = || login.secret.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b',');
        !known.is_empty() && !is_client && (!is_one || is_more())
    }
}

/// Bytes by which fronts are found.
const HEAD: usize = 4;
/// Words in fronts that many services write into their keys.
const EVERYONES: [&str; 20] = [
    "acct", "apikey", "base", "bot", "cli", "data", "key", "live", "prod", "proj", "pub", "sandbox", "sbox", "sdk",
    "sec", "svc", "test", "tok", "usr", "web",
];

/// What values of rules begin with, where the front says whose they are (`apify_api_`).
#[derive(Default)]
pub(in crate::secrets) struct Fronts(HashMap<[u8; HEAD], Vec<Front>>);

/// A front, and the rules whose values begin with it.
struct Front {
    literal: Box<[u8]>,
    rules: Vec<u32>,
}

impl Fronts {
    /// Adds the literal that a rule's values begin with, up to its last sign, if that tells whose they are.
    pub(in crate::secrets) fn add(&mut self, literal: &[u8], rule: u32) {
        let end = literal.iter().rposition(|byte| matches!(byte, b'_' | b'-')).map_or(0, |sign| sign + 1);
        let literal = literal.get(..end).unwrap_or_default();
        let Some(head) = literal.first_chunk().filter(|_| says_whose(literal)) else { return };
        let fronts = self.0.entry(*head).or_default();
        match fronts.iter_mut().find(|front| *front.literal == *literal) {
            Some(front) => front.rules.push(rule),
            None => fronts.push(Front { literal: literal.into(), rules: vec![rule] }),
        }
    }

    /// The longest front of a value, and the rules whose values begin with it.
    pub(in crate::secrets) fn of(&self, value: &[u8]) -> Option<(&[u8], impl Iterator<Item = u32>)> {
        let fronts = self.0.get(value.first_chunk()?)?;
        let same = fronts.iter().filter(|front| value.starts_with(&front.literal));
        let longest = same.clone().max_by_key(|front| front.literal.len())?;
        Some((&longest.literal, same.flat_map(|front| &front.rules).copied()))
    }
}

/// Whether the beginning of a key is a name and a sign that parts it from the rest, and no name that anybody gives.
fn says_whose(literal: &[u8]) -> bool {
    let Some((b'_' | b'-', name)) = literal.split_last() else { return false };
    let mut words = name.split(|byte| !byte.is_ascii_alphanumeric());
    let is_everyones = |word: &[u8]| {
        let word = word.to_ascii_lowercase();
        is_common(&word) || EVERYONES.iter().any(|known| known.as_bytes() == word)
    };
    name.len() + 1 >= HEAD
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && words.any(|word| word.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= 3 && !is_everyones(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_one_service_s_if_a_name_stands_in_it_that_is_none_of_keys() {
        for front in ["apify_api_", "bkua_", "glpat-", "sk-ant-api03-", "polar_at_", "xai-"] {
            assert!(says_whose(front.as_bytes()), "{front}");
        }
        for front in ["sk-", "sk_live_", "pk_test_", "api-key-", "re_", "secret_", "token-", "AKIA", "https://api-"] {
            assert!(!says_whose(front.as_bytes()), "{front}");
        }
    }

    #[test]
    fn of_two_fronts_the_longer_counts_and_the_rules_of_both() {
        let mut fronts = Fronts::default();
        fronts.add(b"acmex_", 1);
        fronts.add(b"acmex_api_", 2);
        fronts.add(b"other_", 3);
        fronts.add(b"acmex_v1", 4);
        let (front, rules) = fronts.of(b"acmex_api_k3JhX9").unwrap();
        assert_eq!((front, rules.collect::<Vec<_>>()), (&b"acmex_api_"[..], vec![1, 4, 2]));
        assert!(fronts.of(b"acme_k3JhX9").is_none());
    }
}
