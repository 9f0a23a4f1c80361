//! JSON Schemas of what operators write, for editors.

use super::shapes::{FileShape, PolicyShape};
use schemars::generate::SchemaSettings;

/// The schema of a configuration file.
#[must_use]
pub fn file_schema() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<FileShape>().to_value()
}

/// The schema of a policy file: the body of one policy.
#[must_use]
pub fn policy_schema() -> serde_json::Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<PolicyShape>().to_value()
}
