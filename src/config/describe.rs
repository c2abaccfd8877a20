//! The JSON schema of the configuration file, made by watching the decoder: it is run on a file of empty tables, and
//! each key that it asks for becomes a property. So the schema can not differ from what is read.

use super::decode;
use super::reader::{Asked, Form, Source, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use toml::de::DeTable;

/// The JSON schema (draft 2020-12) of `config.toml`.
pub fn schema() -> Value {
    let mut root = object("", &asked());
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Quarterdeck configuration",
        "description": "config.toml: the estate, its systems, its tenants. Secrets are references, never values.",
    });
    if let (Some(root), Value::Object(head)) = (root.as_object_mut(), head) {
        root.extend(head);
        // A file that only names estates is none itself.
        root.remove("required");
        root.insert("anyOf".to_owned(), json!([{ "required": ["estate"] }, { "required": ["estates"] }]));
    }
    root
}

/// All that the decoder asks for: tables that it asks for are put into the next file, until it asks for no other.
fn asked() -> Vec<Asked> {
    let mut tables: BTreeSet<(String, bool)> = BTreeSet::new();
    let mut all = Vec::new();
    loop {
        let text: String = tables
            .iter()
            .map(|(path, many)| if *many { format!("[[{path}]]\n") } else { format!("[{path}]\n") })
            .collect();
        let source = Source::recording("", &text);
        let (root, _) = DeTable::parse_recoverable(&text);
        // What the file lacks is of no interest here, only what was asked for.
        drop(decode::whole(Table::root(&source, &root)));
        let asked = source.into_asked();
        let found = asked.iter().filter_map(|a| match a.form {
            Form::Table => Some((path(a), false)),
            Form::Tables => Some((path(a), true)),
            _ => None,
        });
        let before = tables.len();
        tables.extend(found);
        // Of every round: that a table must be there is said only while it is not.
        all.extend(asked);
        if tables.len() == before {
            return all;
        }
    }
}

fn path(asked: &Asked) -> String {
    if asked.table.is_empty() { asked.key.clone() } else { format!("{}.{}", asked.table, asked.key) }
}

fn object(table: &str, all: &[Asked]) -> Value {
    let mut properties: Map<String, Value> = Map::new();
    let mut required = BTreeSet::new();
    for asked in all.iter().filter(|a| a.table == table) {
        let entry = properties.entry(asked.key.clone()).or_insert_with(|| json!({}));
        let Some(property) = entry.as_object_mut() else { continue };
        let facts = match &asked.form {
            Form::Needed(example) => {
                required.insert(asked.key.clone());
                example.as_ref().map_or_else(|| json!({}), |e| json!({ "examples": [e] }))
            }
            Form::Text => json!({ "type": "string", "minLength": 1 }),
            Form::Parsed { words, .. } if !words.is_empty() => json!({ "enum": words }),
            Form::Parsed { allowed, .. } => json!({ "type": "string", "description": allowed }),
            Form::Boolean => json!({ "type": "boolean" }),
            Form::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Form::Number => json!({ "type": "number" }),
            Form::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Form::Table => object(&path(asked), all),
            Form::Tables => json!({ "type": "array", "items": object(&path(asked), all) }),
        };
        if let Value::Object(facts) = facts {
            property.extend(facts);
        }
    }
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_the_keys_that_the_decoder_takes() {
        let schema = schema();
        assert_eq!(schema["anyOf"], json!([{ "required": ["estate"] }, { "required": ["estates"] }]));
        assert_eq!(schema["properties"]["estates"]["items"]["required"], json!(["name"]));
        let postgres = &schema["properties"]["postgres"]["items"];
        assert_eq!(postgres["required"], json!(["host", "id", "user"]));
        assert_eq!(postgres["properties"]["port"], json!({ "type": "integer", "minimum": 1, "maximum": 65535 }));
        assert_eq!(postgres["properties"]["tls"], json!({ "enum": ["disable", "verify-full"] }));
        assert_eq!(postgres["properties"]["act"]["required"], json!(["user"]));
        let tenant = &schema["properties"]["tenant"]["items"]["properties"];
        assert_eq!(tenant["cutoffs"]["items"]["required"], json!(["at", "what"]));
        assert_eq!(tenant["router"]["properties"]["host"]["examples"], json!(["t001.example"]));
        let text = "a time of day such as \"06:00\"";
        assert_eq!(tenant["cutoffs"]["items"]["properties"]["at"], json!({ "type": "string", "description": text }));
    }
}
