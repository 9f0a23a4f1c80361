//! Certificates that the gateway shows to destinations, where a rule says so.

use super::Error;
use super::gateway::read_pair;
use crate::policy::ClientCertificate;
use rustls::client::ResolvesClientCert;
use rustls::sign::SingleCertAndKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Certificates that the gateway shows to destinations, read once.
#[derive(Debug, Default)]
pub struct ClientCertificates(HashMap<ClientCertificate, Arc<SingleCertAndKey>>);

impl ClientCertificates {
    /// Reads the pairs of these rules.
    pub fn load<'r>(rules: impl IntoIterator<Item = &'r ClientCertificate>) -> Result<Self, Error> {
        let mut read = HashMap::new();
        for pair in rules {
            if !read.contains_key(pair) {
                let certified = read_pair(&pair.certificate, &pair.key)?;
                read.insert(pair.clone(), Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(certified))));
            }
        }
        Ok(Self(read))
    }

    /// What shows this one in a handshake.
    #[must_use]
    pub fn resolver(&self, pair: &ClientCertificate) -> Option<Arc<dyn ResolvesClientCert>> {
        self.0.get(pair).map(|shown| shown.clone() as Arc<dyn ResolvesClientCert>)
    }
}
