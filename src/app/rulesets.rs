//! Policies as the configuration has them become what the data path judges by.

use super::StartError;
use crate::ca::ClientCertificates;
use crate::config;
use crate::policy::Mode;
use crate::proxy::Rulesets;
use crate::secrets::{self, FingerprintKey, Guard, Scanner};
use crate::session::Ruleset;
use std::collections::HashMap;
use std::sync::Arc;

/// The policies with the scanner that they share.
pub(super) fn rulesets<'c>(
    configured: &'c HashMap<Arc<str>, Arc<config::Ruleset>>,
    key: &FingerprintKey,
) -> Result<Rulesets, StartError> {
    let mut scanners: HashMap<&config::OwnRules, Arc<Scanner>> = HashMap::new();
    let mut compile = |ruleset: &'c config::Ruleset| {
        let scanner = match scanners.get(&ruleset.own_rules) {
            Some(scanner) => scanner.clone(),
            None => {
                let scanner = scanner(&ruleset.own_rules).map_err(StartError::Catalogue)?;
                scanners.insert(&ruleset.own_rules, scanner.clone());
                scanner
            }
        };
        let guard = Guard::new(scanner, secret_settings(ruleset), key.clone()).map_err(StartError::Secrets)?;
        Ok(Ruleset { policy: ruleset.policy.clone(), guard: Arc::new(guard), limits: ruleset.limits })
    };
    configured.iter().map(|(name, ruleset)| Ok((name.clone(), Arc::new(compile(ruleset)?)))).collect()
}

/// The built-in rules, and a user's own where there are some.
fn scanner(own: &config::OwnRules) -> Result<Arc<Scanner>, secrets::BuiltinError> {
    if own.is_empty() { Scanner::builtin() } else { Ok(Arc::new(Scanner::new(own.with_builtin()?)?)) }
}

fn secret_settings(ruleset: &config::Ruleset) -> secrets::Settings {
    match ruleset.policy.mode() {
        // A policy that observes stops nothing but addresses inside the network.
        Mode::Observe => ruleset.secrets.clone().observed(),
        Mode::Enforce => ruleset.secrets.clone(),
    }
}

/// What the rules of all policies show to destinations.
pub(super) fn client_certificates(
    rulesets: &HashMap<Arc<str>, Arc<config::Ruleset>>,
) -> Result<ClientCertificates, StartError> {
    let rules = rulesets.values().flat_map(|ruleset| &ruleset.policy.rules().allow);
    let named = rules.filter_map(|rule| rule.client_certificate.as_deref());
    ClientCertificates::load(named).map_err(StartError::Clients)
}
