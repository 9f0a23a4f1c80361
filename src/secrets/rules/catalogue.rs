//! The catalogue as its files are written: one YAML file a provider, compiled into the binary.

use super::super::finding::Severity;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));
/// The same files as one JSON list, without what only people and tests read.
static BARE: &str = include_str!(concat!(env!("OUT_DIR"), "/catalogue.json"));

/// Every rule there is, as written; [`Scanner`](super::super::Scanner) compiles it.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub(in crate::secrets) rules: Vec<RuleSpec>,
    pub(in crate::secrets) public: Vec<PublicSpec>,
    pub(in crate::secrets) examples: ExamplesSpec,
    pub(in crate::secrets) logins: Vec<LoginsSpec>,
}

/// Why a catalogue was refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not the YAML of a catalogue file.
    #[error("{file} is no catalogue file")]
    Syntax {
        /// The file's name.
        file: String,
        /// What is wrong, with line and column.
        source: serde_yaml::Error,
    },
    /// Not what the build wrote into the binary.
    #[error("the binary's own catalogue is no catalogue")]
    Compiled(#[source] serde_json::Error),
    /// Two rules of one id.
    #[error("{file}: the rule id `{id}` is taken")]
    DoubleId {
        /// The second file's name.
        file: String,
        /// The id.
        id: String,
    },
    /// A rule that would take the place of one that is not there.
    #[error("{file}: there is no rule `{id}` to override")]
    NothingToOverride {
        /// The file's name.
        file: String,
        /// The id.
        id: String,
    },
}

/// Groups of rules that are switched together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Tokens and passwords of services.
    Credentials,
    /// Private keys.
    Keys,
    /// Cards, accounts, seed phrases, wallet keys.
    Financial,
    /// A name that says secret and a value that looks random.
    Generic,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    public: Vec<PublicSpec>,
    #[serde(default)]
    examples: ExamplesSpec,
    #[serde(default)]
    #[allow(dead_code, reason = "holds the YAML anchor that the rules refer to")]
    homes: Vec<String>,
    #[serde(default)]
    logins: Vec<LoginsSpec>,
    #[serde(default)]
    rules: Vec<RuleSpec>,
}

impl File {
    fn parse(name: &str, text: &str) -> Result<Self, CatalogueError> {
        serde_yaml::from_str(text).map_err(|source| CatalogueError::Syntax { file: name.to_owned(), source })
    }
}

/// An identifier that looks like a credential and is public by design: nothing that lies wholly in it is a finding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::secrets) struct PublicSpec {
    pub(in crate::secrets) id: String,
    pub(in crate::secrets) pattern: String,
    /// What may stand beside it.
    #[serde(default)]
    pub(in crate::secrets) boundary: Option<BoundarySpec>,
    /// Texts in which nothing is a finding; a test holds the pattern to them.
    pub(in crate::secrets) examples: Vec<String>,
}

impl PublicSpec {
    /// As a rule, which tells of nothing.
    pub(in crate::secrets) fn to_rule(&self) -> RuleSpec {
        RuleSpec {
            id: format!("public:{}", self.id),
            provider: String::new(),
            file: None,
            overrides: false,
            name: String::new(),
            group: Group::Credentials,
            severity: Severity::Low,
            pattern: self.pattern.clone(),
            keywords: Vec::new(),
            context: None,
            checksum: None,
            entropy: None,
            boundary: self.boundary,
            homes: Vec::new(),
            places: Vec::new(),
            surfaces: Vec::new(),
            reference: None,
            examples: self.examples.clone(),
            counterexamples: Vec::new(),
        }
    }
}

/// Credentials that documentation prints for everyone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::secrets) struct ExamplesSpec {
    pub(in crate::secrets) values: Vec<String>,
    /// Where they may go: to models, to git hosts and registries, to documentation.
    pub(in crate::secrets) hosts: Vec<String>,
}

/// Hosts that take as a login nothing but what begins in these ways: another value there is no login of theirs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::secrets) struct LoginsSpec {
    pub(in crate::secrets) hosts: Vec<String>,
    /// The beginnings of all that they take, JWTs (`eyJ`) and client ids in front of a secret too.
    pub(in crate::secrets) begin: Vec<String>,
    /// They take client ids with their secrets too, in Basic, which have no shape.
    #[serde(default)]
    pub(in crate::secrets) client_pairs: bool,
    /// The provider's own words on it.
    #[cfg_attr(not(test), allow(dead_code, reason = "for people, and a test holds it to be there"))]
    pub(in crate::secrets) reference: String,
}

/// A rule as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Stable, kebab-case, unique.
    pub id: String,
    /// The file's provider.
    #[serde(skip_deserializing)]
    pub provider: String,
    /// The file that it was added from; none for a built-in one.
    #[serde(skip)]
    pub file: Option<String>,
    /// It takes the place of the rule that has its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    /// What people call it.
    pub name: String,
    /// The group it is switched with.
    pub group: Group,
    /// How much harm it does in wrong hands.
    pub severity: Severity,
    /// The shape: `regex-automata` syntax over bytes, without look-around.
    pub pattern: String,
    /// Literals one of which stands in the value; for values without a prefix of their own: before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Words that must stand before a value that has no prefix of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextSpec>,
    /// The check that a value must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumSpec>,
    /// Bits per character that the variable part must reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f32>,
    /// What may stand beside the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<BoundarySpec>,
    /// Hosts where it belongs; none: it is never allowed out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub homes: Vec<String>,
    /// Where in a request to a home the provider reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// Where it is looked for: `all`, `head`, `body`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surfaces: Vec<String>,
    /// The provider's own words on the format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Texts that must match; a test holds the rule to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
    /// Texts that must not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counterexamples: Vec<String>,
}

/// The words around a value without a prefix.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSpec {
    /// Any of them; case, `-`, `_`, `.` and spaces don't matter.
    pub keywords: Vec<String>,
    /// How many bytes before the value are looked at.
    #[serde(default = "default_within")]
    pub within: u16,
}

const fn default_within() -> u16 {
    64
}

/// A checksum by name, or by name and parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChecksumSpec {
    /// `crc32-base62`
    Name(String),
    /// `{kind: crc32-hex, prefix: cfut_, length: 8}`
    Detailed {
        /// The checksum's name.
        kind: String,
        /// The literal that is no part of the checked body.
        #[serde(default)]
        prefix: Option<String>,
        /// Characters of the checksum.
        #[serde(default)]
        length: Option<usize>,
    },
}

impl ChecksumSpec {
    pub(in crate::secrets) fn kind(&self) -> &str {
        match self {
            ChecksumSpec::Name(kind) | ChecksumSpec::Detailed { kind, .. } => kind,
        }
    }

    pub(in crate::secrets) fn prefix(&self) -> Option<&str> {
        match self {
            ChecksumSpec::Name(_) => None,
            ChecksumSpec::Detailed { prefix, .. } => prefix.as_deref(),
        }
    }
}

/// What may stand beside a value.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundarySpec {
    /// Before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Edge>,
    /// After it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Edge>,
}

/// The demand on a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// No `[A-Za-z0-9_]`.
    Word,
    /// Anything.
    None,
}

impl Catalogue {
    /// The catalogue that is compiled into the binary, without references and examples.
    pub fn builtin() -> Result<Self, CatalogueError> {
        let files: Vec<File> = serde_json::from_str(BARE).map_err(CatalogueError::Compiled)?;
        let mut catalogue = Self::default();
        let mut seen = HashMap::new();
        for ((name, _), file) in FILES.iter().zip(files) {
            catalogue.take(name, file, &mut seen)?;
        }
        Ok(catalogue)
    }

    /// The same with references and examples, as the files are written.
    pub fn annotated() -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        let mut seen = HashMap::new();
        for (name, text) in FILES {
            catalogue.take(name, File::parse(name, text)?, &mut seen)?;
        }
        Ok(catalogue)
    }

    /// Adds the rules of one file: the user's own, beside the built-in ones or in their place.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogueError> {
        let mut seen = self.rules.iter().map(|rule| rule.id.clone()).zip(0..).collect();
        self.take(file, File::parse(file, text)?, &mut seen)
    }

    fn take(&mut self, name: &str, file: File, seen: &mut HashMap<String, usize>) -> Result<(), CatalogueError> {
        for mut rule in file.rules {
            rule.provider.clone_from(&file.provider);
            rule.file = Some(name.to_owned());
            let (own, id) = (name.to_owned(), rule.id.clone());
            match (seen.get(&id).and_then(|at| self.rules.get_mut(*at)), rule.overrides) {
                (Some(other), true) if other.file != rule.file => *other = rule,
                (Some(_), _) => return Err(CatalogueError::DoubleId { file: own, id }),
                (None, true) => return Err(CatalogueError::NothingToOverride { file: own, id }),
                (None, false) => {
                    seen.insert(id, self.rules.len());
                    self.rules.push(rule);
                }
            }
        }
        self.public.extend(file.public);
        self.examples.values.extend(file.examples.values);
        self.examples.hosts.extend(file.examples.hosts);
        self.logins.extend(file.logins);
        Ok(())
    }

    /// The rules as written, in the order of their files.
    #[must_use]
    pub fn rules(&self) -> &[RuleSpec] {
        &self.rules
    }
}
