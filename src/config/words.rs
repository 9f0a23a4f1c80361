//! Values that can be written in more than one form.

use super::entrances::Listener;
use super::placed::Placed;
use super::shapes::{PresetEntryShape, Range};
use super::similar::did_you_mean;
use crate::policy::Service;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// `system`, or a list of addresses.
#[derive(Clone, Debug)]
pub(super) enum NameserverWords {
    System,
    Fixed(Vec<Placed<SocketAddr>>),
}

/// `read-only`, or a list of methods in which `read-only` may stand too.
#[derive(Clone, Debug)]
pub(super) struct MethodWords(pub(super) Vec<Placed<String>>);

/// A port, or a range of ports.
#[derive(Clone, Debug)]
pub(super) struct PortWord(pub(super) RangeInclusive<u16>);

/// What a host serves.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceWord(pub(super) Service);

/// A preset: its name, or a mapping with more.
#[derive(Clone, Debug)]
pub(super) enum PresetWord {
    Name(String),
    Entry(Box<PresetEntryShape>),
}

/// A mapping from names to things, in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Placed<String>, T)>);

impl<'de> Deserialize<'de> for NameserverWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = NameserverWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`system` or a list of ADDRESS:PORT")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NameserverWords, E> {
                if text == "system" {
                    return Ok(NameserverWords::System);
                }
                Err(E::custom("expected `system` or a list of ADDRESS:PORT"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NameserverWords, A::Error> {
                let mut fixed = Vec::new();
                while let Some(Placed { at, value: super::units::Written(Listener(value)) }) = items.next_element()? {
                    fixed.push(Placed { at, value });
                }
                Ok(NameserverWords::Fixed(fixed))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for MethodWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = MethodWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`read-only` or a list of methods")
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<MethodWords, A::Error> {
                Err(de::Error::custom("expected `read-only` or a list of methods, found a mapping"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MethodWords, E> {
                if text != "read-only" {
                    return Err(E::custom(format!("expected `read-only` or a list of methods\nwrite [{text}]")));
                }
                let at = super::node::At { path: "".into(), span: 0..0, id: 0 };
                Ok(MethodWords(vec![Placed { at, value: text.to_owned() }]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<MethodWords, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = items.next_element()? {
                    words.push(word);
                }
                Ok(MethodWords(words))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl<'de> Deserialize<'de> for ServiceWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = Service::ALL.iter().find(|service| service.as_str() == word);
        found.map(|service| Self(*service)).ok_or_else(|| {
            let words: Vec<&str> = Service::ALL.iter().map(|service| service.as_str()).collect();
            let help = did_you_mean(&word, &words).map_or(String::new(), |word| format!("\ndid you mean `{word}`?"));
            de::Error::custom(format!("expected one of: {}{help}", words.join(", ")))
        })
    }
}

impl<'de> Deserialize<'de> for PresetWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl<'de> Visitor<'de> for Word {
            type Value = PresetWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a preset, or a mapping with `preset`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PresetWord, E> {
                Ok(PresetWord::Name(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<PresetWord, A::Error> {
                let entry = PresetEntryShape::deserialize(de::value::MapAccessDeserializer::new(entries))?;
                Ok(PresetWord::Entry(Box::new(entry)))
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl JsonSchema for PresetWord {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PresetWord".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<PresetEntryShape>();
        json_schema!({ "anyOf": [{ "type": "string" }, entry] })
    }
}

impl JsonSchema for ServiceWord {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ServiceWord".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Service::ALL.iter().map(|service| service.as_str()).collect();
        json_schema!({ "enum": words })
    }
}

impl<'de> Deserialize<'de> for PortWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        const FORMS: &str = "a port from 1 to 65535\nwrite 443, or a range in quotes: \"8000-8100\"";
        impl Visitor<'_> for Word {
            type Value = PortWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 1 to 65535")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<PortWord, E> {
                match u16::try_from(value) {
                    Ok(port) if port > 0 => Ok(PortWord(port..=port)),
                    _ => Err(E::custom(format!("expected {FORMS}"))),
                }
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<PortWord, E> {
                self.visit_u64(u64::try_from(value).unwrap_or(0))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortWord, E> {
                let (from, to) = text.split_once('-').unwrap_or((text, text));
                let port = |text: &str| crate::net::parse_port(text.as_bytes());
                match (port(from), port(to)) {
                    (Ok(from), Ok(to)) if from <= to => Ok(PortWord(from..=to)),
                    (Ok(_), Ok(_)) => Err(E::custom("the range ends before it starts\nwrite the smaller port first")),
                    _ => Err(E::custom(format!("expected {FORMS}"))),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping from names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Named<T>, A::Error> {
                let mut named = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    named.push(entry);
                }
                Ok(Named(named))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Why an address to listen on or to ask was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListenerError {
    #[error("expected ADDRESS:PORT\nwrite 127.0.0.1:3128 or \"[::1]:3128\"")]
    Form,
    #[error("a name is no address to listen on or to ask\nwrite its address: 127.0.0.1:3128")]
    Name,
}

impl FromStr for Listener {
    type Err = ListenerError;

    fn from_str(text: &str) -> Result<Self, ListenerError> {
        text.parse().map(Self).map_err(|_| match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() && host.contains(|c: char| c.is_ascii_alphabetic()) => {
                ListenerError::Name
            }
            _ => ListenerError::Form,
        })
    }
}

/// Why a range of addresses was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RangeError {
    #[error("expected an address or a range of addresses\nwrite 10.0.0.0/8, 192.168.1.7 or \"fd00::/8\"")]
    Form,
    #[error("the range has bits behind its prefix\ndid you mean {0}?")]
    HostBits(IpNet),
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        let range: IpNet = text.parse().map_err(|_| RangeError::Form)?;
        if range.trunc() == range { Ok(Self(range)) } else { Err(RangeError::HostBits(range.trunc())) }
    }
}

macro_rules! inline_schema {
    ($($name:ty: $schema:tt)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

inline_schema! {
    NameserverWords: { "anyOf": [{ "const": "system" }, { "type": "array", "items": { "type": "string" } }] }
    MethodWords: { "anyOf": [{ "const": "read-only" }, { "type": "array", "items": { "type": "string" } }] }
    PortWord: { "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 65535 },
        { "type": "string", "pattern": "^[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?$" },
    ] }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}
