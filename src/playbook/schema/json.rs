//! The JSON schema of a playbook file, for editors: derived from the structs, and given here for the scalars whose
//! grammar is read by hand. The lint says more than a schema can.

use super::{Next, OnFailure, Playbook, Span, StepType};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The JSON schema (draft 2020-12) of a playbook file.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Playbook>()
}

/// How `reversible` is written.
pub fn reversible(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [true, false, "compensatable"] })
}

macro_rules! written_as {
    ($($name:ident: $schema:tt),+ $(,)?) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

written_as! {
    Span: { "type": "string", "description": "A length of time: `30s`, `5m`, `1h 30m`, or ISO 8601.", "examples": ["30s", "5m"] },
    Next: { "type": "string", "pattern": "^(continue|abort|step:.+)$" },
    OnFailure: { "type": "string", "pattern": "^(ask|continue|abort|rollback|step:.+)$", "default": "ask" },
    StepType: { "enum": ["check", "assert", "wait_for", "action", "approval", "manual", "decision", "branch", "parallel", "foreach", "input", "notify", "escalate", "evidence", "sub_playbook", "sleep"] },
}
