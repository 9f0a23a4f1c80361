//! Sessions that are known by something else than a token.

use crate::session::SessionId;
use ipnet::IpNet;
use std::collections::HashMap;

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
}
