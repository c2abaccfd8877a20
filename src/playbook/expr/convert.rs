//! JSON to CEL and back. The serialiser of the crate makes unsigned integers of JSON's positive ones, which CEL then
//! refuses to add to a literal; here every integer that fits is a signed one.

use cel::Value;
use cel::objects::{Key, Map};
use std::collections::HashMap;
use std::sync::Arc;

/// A JSON value as CEL sees it.
pub fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(u)) => Value::UInt(u),
            (None, None) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(from_json).collect())),
        serde_json::Value::Object(fields) => map(fields.iter().map(|(name, value)| (name.clone(), from_json(value)))),
    }
}

/// A CEL value as JSON; `None` for what JSON does not have.
pub fn to_json(value: &Value) -> Option<serde_json::Value> {
    value.json().ok()
}

/// A CEL map with text keys.
pub(super) fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    let map: HashMap<Key, Value> = entries.into_iter().map(|(k, v)| (Key::String(Arc::new(k)), v)).collect();
    Value::Map(Map { map: Arc::new(map) })
}

/// Whether a regular expression matches the whole text. CEL's own `matches` does it, so that patterns of parameters
/// and of expressions are of one kind.
///
/// # Errors
/// One sentence when the pattern is none.
pub fn matches_whole(pattern: &str, text: &str) -> Result<bool, String> {
    let program = cel::Program::compile("text.matches(pattern)").map_err(|e| e.to_string())?;
    let mut context = cel::Context::default();
    context.add_variable_from_value("text", text);
    context.add_variable_from_value("pattern", format!("^(?:{pattern})$"));
    match program.execute(&context) {
        Ok(Value::Bool(matches)) => Ok(matches),
        Ok(_) | Err(_) => Err(format!("`{pattern}` is not a regular expression")),
    }
}
