//! From nodes to serde shapes, with a place for every error.
//!
//! serde stops at the first error. [`read`] takes the part that it names out of the tree and reads
//! again until a shape comes out, so that one run tells every mistake.

use super::diagnostic::Mistake;
use super::node::{At, Node, Value};
use super::similar::did_you_mean;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

/// The name by which [`Placed`](super::placed::Placed) asks for its place.
pub(super) const PLACED: &str = "$exeat::Placed";

/// More mistakes than anyone reads at once.
const MOST: usize = 200;

/// Reads a shape and all mistakes on the way. What is mistaken is left out of the shape; there is none
/// where nothing could be kept.
pub(super) fn read<T: DeserializeOwned>(mut root: Node) -> (Option<T>, Vec<Mistake>) {
    let unknown = RefCell::new(Unknown::default());
    let mut mistakes = Vec::new();
    let mut removed: HashSet<(usize, String)> = HashSet::new();
    let shape = loop {
        let error = match T::deserialize(Reader { node: &root, unknown: &unknown }) {
            Ok(shape) => break Some(shape),
            Err(error) => error,
        };
        let at = error.at.unwrap_or_else(|| root.at.clone());
        // A key that is missing because this loop took it out has been told already.
        let told = error.missing.is_some_and(|key| removed.contains(&(at.id, key.to_owned())));
        if !told {
            mistakes.push(Mistake::new(at.clone(), error.message).with_help(error.help));
        }
        match root.remove(at.id) {
            Some((parent, Some(key))) if mistakes.len() < MOST => drop(removed.insert((parent, key))),
            Some((_, None)) if mistakes.len() < MOST => {}
            _ => break None,
        }
    };
    mistakes.extend(unknown.into_inner().mistakes);
    (shape, mistakes)
}

#[derive(Default)]
struct Unknown {
    seen: HashSet<usize>,
    mistakes: Vec<Mistake>,
}

impl Unknown {
    fn key(&mut self, key: &Node, fields: &[&str]) {
        if !self.seen.insert(key.at.id) {
            return;
        }
        let name = key.text().unwrap_or_default();
        let help = match did_you_mean(name, fields) {
            Some(field) => format!("did you mean `{field}`?"),
            None => format!("keys here: {}", fields.join(", ")),
        };
        self.mistakes.push(Mistake::new(key.at.clone(), "unknown key").with_help(Some(help)).hiding_the_value());
    }
}

/// Why a node is not of the wanted shape. Never holds the value: it may be a credential.
#[derive(Debug)]
pub(super) struct ReadError {
    message: String,
    help: Option<String>,
    at: Option<At>,
    missing: Option<&'static str>,
}

impl ReadError {
    fn new(message: String) -> Self {
        Self { message, help: None, at: None, missing: None }
    }

    fn at(mut self, node: &Node) -> Self {
        self.at.get_or_insert_with(|| node.at.clone());
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    /// A line end parts what is wrong from what to do.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let (message, help) = match text.split_once('\n') {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (text, None),
        };
        Self { help, ..Self::new(message) }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Unit | de::Unexpected::Option => "nothing",
            de::Unexpected::Bool(_) => "true or false",
            de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) => "a number",
            de::Unexpected::Str(_) => "a string",
            de::Unexpected::Seq => "a list",
            _ => "a mapping",
        };
        // serde's derive asks for `struct Name`; the operator knows mappings.
        let expected = expected.to_string();
        let expected = if expected.starts_with("struct ") { "a mapping".to_owned() } else { expected };
        let help = (found == "a number" && expected.contains("a string")).then(|| "put it in quotes".to_owned());
        Self { help, ..Self::new(format!("expected {expected}, found {found}")) }
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let help = did_you_mean(variant, expected).map(|word| format!("did you mean `{word}`?"));
        Self { help, ..Self::new(format!("expected one of: {}", expected.join(", "))) }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let help = match did_you_mean(field, expected) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("keys here: {}", expected.join(", ")),
        };
        Self { help: Some(help), ..Self::new("unknown key".to_owned()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("the key `{field}` is missing")) }
    }
}

#[derive(Clone, Copy)]
struct Reader<'n> {
    node: &'n Node,
    unknown: &'n RefCell<Unknown>,
}

impl<'n> Reader<'n> {
    fn of(self, node: &'n Node) -> Self {
        Reader { node, ..self }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items { reader: self, items: items.iter() }),
            Value::Map(entries) => {
                visitor.visit_map(Entries { reader: self, fields: None, entries: entries.iter(), value: None })
            }
        }
        .map_err(|error| error.at(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == PLACED {
            return visitor.visit_map(Place { reader: self, next: 0 });
        }
        match &self.node.value {
            Value::Map(entries) => visitor
                .visit_map(Entries { reader: self, fields: Some(fields), entries: entries.iter(), value: None })
                .map_err(|error| error.at(self.node)),
            // A list would do for serde; here a key has a name.
            other => Err(de::Error::invalid_type(other.unexpected(), &visitor)).map_err(|e: ReadError| e.at(self.node)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let read = match self.node.text() {
            Some(text) => visitor.visit_enum(IntoDeserializer::<ReadError>::into_deserializer(text)),
            None => Err(ReadError::new(format!("expected one of: {}", variants.join(", ")))),
        };
        read.map_err(|error| error.at(self.node))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'n> {
    reader: Reader<'n>,
    items: std::slice::Iter<'n, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        seed.deserialize(self.reader.of(item)).map(Some).map_err(|error| error.at(item))
    }
}

struct Entries<'n> {
    reader: Reader<'n>,
    /// The keys of a struct; of a free mapping none.
    fields: Option<&'static [&'static str]>,
    entries: std::slice::Iter<'n, (Node, Node)>,
    value: Option<&'n Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        for (key, value) in self.entries.by_ref() {
            let fields = self.fields.filter(|fields| !key.text().is_some_and(|name| fields.contains(&name)));
            if let Some(fields) = fields {
                self.reader.unknown.borrow_mut().key(key, fields);
                continue;
            }
            self.value = Some(value);
            return seed.deserialize(self.reader.of(key)).map(Some).map_err(|error| error.at(key));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let value = self.value.take().unwrap_or(self.reader.node);
        seed.deserialize(self.reader.of(value)).map_err(|error| error.at(value))
    }
}

/// What [`Placed`](super::placed::Placed) reads: path, span and id of a node, then its value.
struct Place<'n> {
    reader: Reader<'n>,
    next: usize,
}

impl<'de> MapAccess<'de> for Place<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(name) = ["path", "start", "end", "id", "value"].get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let at = &self.reader.node.at;
        match self.next {
            1 => seed.deserialize(StrDeserializer::new(&at.path)),
            2 => seed.deserialize(at.span.start.into_deserializer()),
            3 => seed.deserialize(at.span.end.into_deserializer()),
            4 => seed.deserialize(at.id.into_deserializer()),
            _ => seed.deserialize(self.reader).map_err(|error| error.at(self.reader.node)),
        }
    }
}
