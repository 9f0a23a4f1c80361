//! A parsed document that remembers where each of its parts stands.

use super::locate::{Parts, Spot};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// The path of keys: `policies.agent.allow[2].host`.
    pub(crate) path: Arc<str>,
    /// Bytes in the text.
    pub(crate) span: Range<usize>,
    /// The same for no other node of the document.
    pub(super) id: usize,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// The keys' nodes are texts.
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// What serde calls it; holds nothing of the value.
    pub(super) fn unexpected(&self) -> de::Unexpected<'static> {
        match self {
            Value::Null => de::Unexpected::Unit,
            Value::Bool(_) => de::Unexpected::Bool(false),
            Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) => de::Unexpected::Unsigned(0),
            Value::Text(_) => de::Unexpected::Str(""),
            Value::List(_) => de::Unexpected::Seq,
            Value::Map(_) => de::Unexpected::Map,
        }
    }
}

/// A value as the parser gives it: no places, doubled keys kept.
#[derive(Debug)]
pub(super) enum Bare {
    Scalar(Value),
    List(Vec<Bare>),
    Map(Vec<(String, Bare)>),
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bare, E> {
        Ok(Bare::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bare, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Bare::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Bare, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Bare>()? {
            let key = match key {
                Bare::Scalar(Value::Text(text)) => text,
                Bare::Scalar(Value::Bool(value)) => value.to_string(),
                Bare::Scalar(Value::Integer(value)) => value.to_string(),
                Bare::Scalar(Value::Unsigned(value)) => value.to_string(),
                _ => return Err(de::Error::custom("a key is neither a word nor a number")),
            };
            map.push((key, entries.next_value()?));
        }
        Ok(Bare::Map(map))
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, _: A) -> Result<Bare, A::Error> {
        Err(de::Error::custom("tags (`!word`) mean nothing here"))
    }
}

/// A key that stands twice in one mapping.
pub(super) struct Doubled {
    pub(super) key: String,
    pub(super) at: At,
}

/// Joins values and places. Where their shapes differ, the parts take the place of the whole.
pub(super) fn join(bare: Bare, spot: &Spot) -> (Node, Vec<Doubled>) {
    let mut join = Join { next: 0, doubled: Vec::new() };
    let root = join.node(bare, spot.span.clone(), Some(spot), "".into());
    (root, join.doubled)
}

struct Join {
    next: usize,
    doubled: Vec<Doubled>,
}

impl Join {
    fn at(&mut self, path: Arc<str>, span: Range<usize>) -> At {
        self.next += 1;
        At { path, span, id: self.next }
    }

    fn node(&mut self, bare: Bare, span: Range<usize>, spot: Option<&Spot>, path: Arc<str>) -> Node {
        let at = self.at(Arc::clone(&path), span.clone());
        let value = match bare {
            Bare::Scalar(value) => value,
            Bare::List(items) => {
                let spots = spot.and_then(|spot| match &spot.parts {
                    Parts::List(spots) if spots.len() == items.len() => Some(spots),
                    _ => None,
                });
                let place = |position: usize| spots.map(|spots| &spots[position]);
                let item = |(position, item): (usize, Bare)| {
                    let spot = place(position);
                    let own = spot.map_or(span.clone(), |spot| spot.span.clone());
                    self.node(item, own, spot, format!("{path}[{position}]").into())
                };
                Value::List(items.into_iter().enumerate().map(item).collect())
            }
            Bare::Map(entries) => self.map(entries, &span, spot, &path),
        };
        Node { at, value }
    }

    fn map(&mut self, entries: Vec<(String, Bare)>, span: &Range<usize>, spot: Option<&Spot>, path: &str) -> Value {
        let spots = spot.and_then(|spot| match &spot.parts {
            Parts::Map(spots) if spots.len() == entries.len() => Some(spots),
            _ => None,
        });
        let mut seen = HashSet::new();
        let mut map = Vec::with_capacity(entries.len());
        for (position, (name, value)) in entries.into_iter().enumerate() {
            let below: Arc<str> = if path.is_empty() { name.as_str().into() } else { format!("{path}.{name}").into() };
            let place = spots.map(|spots| &spots[position]);
            let key_at = self.at(Arc::clone(&below), place.map_or(span.clone(), |(key, _)| key.clone()));
            // A value that is left out stands where its key does.
            let own = match place {
                Some((key, value)) if value.span.is_empty() => key.clone(),
                Some((_, value)) => value.span.clone(),
                None => span.clone(),
            };
            let value = self.node(value, own, place.map(|(_, spot)| spot), below);
            if seen.insert(name.clone()) {
                map.push((Node { at: key_at, value: Value::Text(name) }, value));
            } else {
                self.doubled.push(Doubled { key: name, at: key_at });
            }
        }
        Value::Map(map)
    }
}

impl Node {
    /// Takes out the part with this id, be it a key, a value or an item, and tells from which node; for an
    /// entry of a mapping also its key.
    pub(super) fn remove(&mut self, id: usize) -> Option<(usize, Option<String>)> {
        let own = self.at.id;
        match &mut self.value {
            Value::List(items) => {
                if let Some(position) = items.iter().position(|item| item.at.id == id) {
                    items.remove(position);
                    return Some((own, None));
                }
                items.iter_mut().find_map(|item| item.remove(id))
            }
            Value::Map(entries) => {
                let here = entries.iter().position(|(key, value)| key.at.id == id || value.at.id == id);
                let Some(position) = here else { return entries.iter_mut().find_map(|(_, value)| value.remove(id)) };
                let (key, _) = entries.remove(position);
                Some((own, key.text().map(str::to_owned)))
            }
            _ => None,
        }
    }

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
