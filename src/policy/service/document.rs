//! Bodies that tell reading from writing: GraphQL, and the batches of git LFS.

use super::request::READ;
use super::{Access, Action, On, Verb, graphql};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// What a body is to be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// A GraphQL request in JSON (<https://graphql.org/learn/serving-over-http/>).
    GraphQl,
    /// A batch request of git LFS.
    LfsBatch,
}

/// Why a body could not be told to be a read. Servers differ in what they make of such bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than is held back for it.
    #[error("its body is too long to be read before it goes out")]
    TooLong,
    /// A content type or a coding besides plain JSON.
    #[error("its body is not plain JSON by its fields")]
    NotJson,
    /// JSON with other or doubled keys, or none.
    #[error("its body is not the one JSON object with the keys of its kind")]
    Form,
    /// A GraphQL document that is not of operations and fragments.
    #[error("its GraphQL document can't be read")]
    GraphQl,
    /// The client waits to be asked for the body.
    #[error("its body is held back (Expect), so that it can't be read before it goes out")]
    HeldBack,
}

impl Document {
    /// How much of a body is held back until it is told.
    pub const MOST: usize = 1 << 20;

    /// What a body does.
    ///
    /// # Errors
    /// Whatever leaves room for two readings: it must count as a write.
    pub fn access(self, content_type: Option<&[u8]>, body: &[u8]) -> Result<Access, Unreadable> {
        if body.len() > Self::MOST {
            return Err(Unreadable::TooLong);
        }
        if !self.is_its_type(content_type) {
            return Err(Unreadable::NotJson);
        }
        let Entries(entries) = serde_json::from_slice(body).map_err(|_| Unreadable::Form)?;
        // Some servers take keys without regard to case, so that one beyond these could stand for one of them.
        if !entries.iter().all(|(key, _)| self.keys().contains(&key.as_str())) {
            return Err(Unreadable::Form);
        }
        let text = |wanted: &str| {
            entries.iter().find(|(key, _)| key == wanted).and_then(|(_, value)| value.as_str()).ok_or(Unreadable::Form)
        };
        match self {
            Document::GraphQl => graphql::access(text("query")?).ok_or(Unreadable::GraphQl),
            Document::LfsBatch => match text("operation")? {
                "download" => Ok(Access::Read),
                "upload" => Ok(Access::Write),
                _ => Err(Unreadable::Form),
            },
        }
    }

    /// What a body that writes is called.
    pub(in crate::policy) fn writing(self) -> Action {
        let verb = match self {
            Document::GraphQl => Verb("a GraphQL mutation", "on"),
            Document::LfsBatch => Verb("git lfs push", "to"),
        };
        Action::new(verb, Access::Write, On::Anything)
    }

    pub(super) fn reading(self, on: On) -> Action {
        let verb = match self {
            Document::GraphQl => Verb("a GraphQL query", "on"),
            Document::LfsBatch => READ,
        };
        Action::new(verb, Access::Read, on)
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Document::GraphQl => &["query", "variables", "operationName"],
            Document::LfsBatch => &["operation", "transfers", "ref", "objects", "hash_algo"],
        }
    }

    fn is_its_type(self, content_type: Option<&[u8]>) -> bool {
        let text = content_type.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
        let lower: String = text.to_ascii_lowercase().chars().filter(|c| !matches!(c, ' ' | '\t' | '"')).collect();
        let kind = lower.strip_suffix(";charset=utf-8").unwrap_or(&lower);
        kind == "application/json" || self == Document::LfsBatch && kind == "application/vnd.git-lfs+json"
    }
}

/// The entries of an object, of which no two have one key.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries: Vec<(String, Value)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if entries.iter().any(|(earlier, _)| *earlier == key) {
                        return Err(serde::de::Error::custom("a doubled key"));
                    }
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Once)
    }
}
