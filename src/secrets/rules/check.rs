//! Rules held to their own examples: the catalogue's by a test, a user's when they are loaded.

use super::super::guard::{FingerprintKey, Guard};
use super::super::scanner::Scanner;
use super::super::settings::{Action, Settings};
use super::super::{BodyContext, BodyScan};
use super::catalogue::{Catalogue, RuleSpec};
use crate::net::Host;
use bytes::Bytes;
use std::sync::Arc;

impl RuleSpec {
    /// What is wrong with the rule: a pattern that does not compile, an example that it misses. Examples are told by
    /// their number, for they look like secrets.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut alone = Catalogue::default();
        alone.rules.push(self.clone());
        let scanner = match Scanner::new(alone) {
            Ok(scanner) => Arc::new(scanner),
            Err(error) => {
                let mut text = String::new();
                let mut source = std::error::Error::source(&error);
                while let Some(error) = source {
                    text = if text.is_empty() { error.to_string() } else { format!("{text}: {error}") };
                    source = error.source();
                }
                return vec![text];
            }
        };
        let settings = Settings { action: Action::Observe, ..Settings::default() };
        // Of no concern: what is found is only counted.
        let Ok(guard) = Guard::new(scanner, settings, FingerprintKey::new(&[0; 32])) else { return Vec::new() };
        let Ok(host) = Host::parse(b"nowhere.invalid") else { return Vec::new() };
        let found = |text: &str| {
            let context =
                BodyContext { host: &host, method: "POST", path: "/", content_type: None, content_encoding: None };
            !findings(guard.body(&context), text).is_empty()
        };
        let missed = self.examples.iter().zip(1..).filter(|(text, _)| !found(text));
        let taken = self.counterexamples.iter().zip(1..).filter(|(text, _)| found(text));
        let missed = missed.map(|(_, number)| format!("it misses its example {number}"));
        missed.chain(taken.map(|(_, number)| format!("it takes its counterexample {number}"))).collect()
    }
}

fn findings(mut scan: BodyScan, text: &str) -> Vec<super::super::Finding> {
    // What stops a body that is only observed has no findings either.
    let _ = scan.push(Bytes::copy_from_slice(text.as_bytes()));
    let _ = scan.finish();
    scan.take_findings()
}
