//! Sessions that are known by something else than a token.

use crate::session::SessionId;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// Sessions that are known by something else than a token: by the name in a client certificate, or, where
/// the network leads agents here who know of no proxy, by the address that they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognition {
    /// By a URI or DNS name of the certificate.
    pub certificates: HashMap<String, SessionId>,
    /// By source address; the longest prefix counts.
    pub sources: Vec<(IpNet, SessionId)>,
}

/// A certificate with the names of two sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client certificate has the names of more than one session")]
pub(super) struct TwoSessions;

impl Recognition {
    /// The session of a certificate with these names, if one is.
    pub(super) fn by_certificate(&self, names: &[String]) -> Result<Option<&SessionId>, TwoSessions> {
        let mut found = names.iter().filter_map(|name| self.certificates.get(name));
        let first = found.next();
        if found.any(|other| Some(other) != first) { Err(TwoSessions) } else { Ok(first) }
    }

    /// The session of agents at this address, if one is.
    pub(super) fn by_source(&self, address: IpAddr) -> Option<&SessionId> {
        let address = address.to_canonical();
        let matching = self.sources.iter().filter(|(range, _)| range.contains(&address));
        matching.max_by_key(|(range, _)| range.prefix_len()).map(|(_, session)| session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().unwrap()
    }

    #[test]
    fn a_certificate_names_one_session_or_none() {
        let certificates = [("spiffe://a.test/x", "x"), ("x.a.test", "x"), ("spiffe://a.test/y", "y")];
        let certificates = certificates.map(|(name, session)| (name.to_owned(), id(session))).into();
        let recognition = Recognition { certificates, sources: Vec::new() };
        let by = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            recognition.by_certificate(&names).map(|found| found.map(|id| id.as_str().to_owned()))
        };
        assert_eq!(by(&["spiffe://a.test/x", "x.a.test", "other"]), Ok(Some("x".to_owned())));
        assert_eq!(by(&["spiffe://a.test/x/"]), Ok(None));
        assert_eq!(by(&[]), Ok(None));
        assert_eq!(by(&["x.a.test", "spiffe://a.test/y"]), Err(TwoSessions));
    }

    #[test]
    fn the_longest_prefix_of_a_source_counts() {
        let sources = [("10.0.0.0/8", "all"), ("10.1.0.0/16", "some"), ("fd00::/8", "six")];
        let sources = sources.map(|(range, session)| (range.parse().unwrap(), id(session))).into();
        let recognition = Recognition { sources, ..Recognition::default() };
        let by = |address: &str| recognition.by_source(address.parse().unwrap()).map(SessionId::as_str);
        assert_eq!(by("10.1.2.3"), Some("some"));
        assert_eq!(by("::ffff:10.2.0.1"), Some("all"));
        assert_eq!(by("fd00::1"), Some("six"));
        assert_eq!(by("192.168.0.1"), None);
    }
}
