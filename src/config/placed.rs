//! A value of a shape that knows its place in the file, for the checks that come after the shape.

use super::node::At;
use super::read::PLACED;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) at: At,
    pub(super) value: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(PLACED, &[], PlacedVisitor(PhantomData))
    }
}

struct PlacedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for PlacedVisitor<T> {
    type Value = Placed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut place: A) -> Result<Placed<T>, A::Error> {
        // In the order in which the reader gives them; the names are for whoever debugs it.
        let next_key = |place: &mut A| place.next_key::<String>().map(drop);
        next_key(&mut place)?;
        let path: String = place.next_value()?;
        next_key(&mut place)?;
        let start: usize = place.next_value()?;
        next_key(&mut place)?;
        let end: usize = place.next_value()?;
        next_key(&mut place)?;
        let id: usize = place.next_value()?;
        next_key(&mut place)?;
        Ok(Placed { at: At { path: path.into(), span: start..end, id }, value: place.next_value()? })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
