//! Credentials that documentation prints for everyone: no one's secret where people read and write documentation.

use super::super::search::heads::Heads;
use super::catalogue::ExamplesSpec;
use super::home::{BadHome, Home};
use crate::net::Host;
use std::collections::HashMap;

/// Shorter values are compared as a whole only.
const HEAD: usize = 12;
/// What may stand around an example in a match: a scheme, a name.
const AROUND: usize = 16;

/// All examples, by their first bytes, and where they may go.
#[derive(Default)]
pub(in crate::secrets) struct Examples {
    by_head: HashMap<Box<[u8]>, Vec<Box<[u8]>>>,
    /// The first three bytes of all of them.
    fronts: Heads,
    hosts: Box<[Home]>,
}

impl Examples {
    pub(in crate::secrets) fn new(spec: &ExamplesSpec) -> Result<Self, BadHome> {
        let (mut by_head, mut fronts) = (HashMap::<Box<[u8]>, Vec<Box<[u8]>>>::new(), Heads::default());
        for value in spec.values.iter().map(String::as_bytes) {
            let head = value.get(..HEAD).unwrap_or(value);
            fronts.insert(front_of(value));
            by_head.entry(head.into()).or_default().push(value.into());
        }
        Ok(Self { by_head, fronts, hosts: spec.hosts.iter().map(|host| Home::parse(host)).collect::<Result<_, _>>()? })
    }

    /// Whether a match is an example on its way to a host that examples may go to. Elsewhere it is what it looks like:
    /// nobody tells there whether the value was put to use.
    pub(in crate::secrets) fn may_go(&self, value: &[u8], host: &Host) -> bool {
        self.has(value) && self.hosts.iter().any(|home| home.matches(host))
    }

    fn has(&self, value: &[u8]) -> bool {
        let starts = 0..=AROUND.min(value.len());
        let rests = starts.filter_map(|at| value.get(at..)).filter(|rest| self.fronts.has(front_of(rest)));
        rests.into_iter().any(|rest| {
            let head = rest.get(..HEAD).unwrap_or(rest);
            let Some(examples) = self.by_head.get(head) else { return false };
            examples.iter().any(|example| {
                rest.starts_with(example) && value.len() - example.len() <= AROUND.min(example.len() / 2)
            })
        })
    }
}

/// The first bytes of a text, of which there may be fewer.
fn front_of(text: &[u8]) -> [u8; 3] {
    text.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_passes_to_where_documentation_is_read_and_nowhere_else() {
        let spec = ExamplesSpec {
            values: vec!["sk_test_4eC39HqLyjWDarjtT1zdp7dc".into()],
            hosts: vec!["api.anthropic.com".into()],
        };
        let examples = Examples::new(&spec).unwrap();
        let may_go =
            |value: &str, host: &str| examples.may_go(value.as_bytes(), &Host::parse(host.as_bytes()).unwrap());
        assert!(may_go("sk_test_4eC39HqLyjWDarjtT1zdp7dc", "api.anthropic.com"));
        assert!(may_go("Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc", "api.anthropic.com"));
        assert!(!may_go("sk_test_4eC39HqLyjWDarjtT1zdp7dc", "evil.example"));
        assert!(!may_go("sk_test_4eC39HqLyjWDarjtT1zdp7dd", "api.anthropic.com"));
        assert!(!may_go("sk_test_4eC39HqLyjWDarjtT1zdp7dcAndASecretBehindTheExample", "api.anthropic.com"));
    }
}
