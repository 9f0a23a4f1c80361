//! Where a session's logins went first: a value that logs in to one service is no login of another's.

use super::super::finding::Fingerprint;
use crate::net::Host;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Logins that are remembered, some 64 bytes for each: the oldest goes first.
const MOST: usize = 128;

/// A session's, by the keyed fingerprints of their values.
#[derive(Default)]
pub(in crate::secrets) struct Logins(Mutex<VecDeque<(Fingerprint, Host)>>);

impl Logins {
    /// The host that a login went to first, if it is known.
    pub(in crate::secrets) fn first_of(&self, login: Fingerprint) -> Option<Host> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(known, _)| *known == login).map(|(_, first)| first.clone())
    }

    /// Remembers a login for this host, unless it went to another before.
    pub(in crate::secrets) fn remember(&self, login: Fingerprint, host: &Host) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|(known, _)| *known == login) {
            return;
        }
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back((login, host.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_remembered_for_the_host_that_it_went_to_first_and_the_oldest_is_forgotten() {
        let logins = Logins::default();
        let [a, b] = ["a.test", "b.test"].map(|name| Host::parse(name.as_bytes()).unwrap());
        let login = |number: usize| Fingerprint((number as u64).to_le_bytes());
        assert_eq!(logins.first_of(login(0)), None);
        logins.remember(login(0), &a);
        logins.remember(login(0), &b);
        assert_eq!(logins.first_of(login(0)), Some(a.clone()));
        (1..=MOST).for_each(|number| logins.remember(login(number), &b));
        assert_eq!(logins.first_of(login(0)), None);
        assert_eq!(logins.0.lock().unwrap().len(), MOST);
    }
}
