//! Parameters of a run: given as text, checked against the playbook and the estate, turned into typed values.

use super::expr::Type;
use super::schema::{Parameter, ParameterType, Playbook};
use crate::domain::estate::Estate;
use crate::domain::id::TenantId;
use crate::domain::secret::SecretText;
use crate::domain::text::sanitize;
use indexmap::IndexMap;
use serde_json::Value;
use std::collections::BTreeMap;

/// Checked parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Values by name; optional ones without a value are missing.
    pub values: BTreeMap<String, Value>,
    /// The tenant that the run is about, where a parameter says so.
    pub tenant: Option<TenantId>,
}

/// Checks what was given and fills in defaults.
///
/// # Errors
/// One sentence for each thing that is wrong.
pub fn bind(playbook: &Playbook, given: &BTreeMap<String, String>, estate: &Estate) -> Result<Bound, Vec<String>> {
    let mut problems = Vec::new();
    let mut values = BTreeMap::new();
    for name in given.keys().filter(|name| !playbook.parameters.contains_key(*name)) {
        let all: Vec<&str> = playbook.parameters.keys().map(String::as_str).collect();
        problems.push(format!("unknown parameter `{}`{}", sanitize(name), super::expr::nearest(name, &all)));
    }
    for (name, parameter) in &playbook.parameters {
        let value = match given.get(name) {
            Some(text) if parameter.secret => secret_word(text),
            None if parameter.secret && parameter.required => {
                Err("it is secret and must be given: from `env:`, `file:` or a prompt".into())
            }
            Some(text) => {
                typed(parameter.kind, text).and_then(|value| allowed(parameter, &value, text).map(|()| value))
            }
            None => match &parameter.default {
                Some(default) => Ok(default.clone()),
                None if parameter.required => Err("it must be given".into()),
                None => continue,
            },
        };
        match value.and_then(|value| known(parameter.kind, &value, estate).map(|()| value)) {
            Ok(value) => drop(values.insert(name.clone(), value)),
            Err(why) => problems.push(format!("parameter `{name}`: {why}")),
        }
    }
    let tenant = playbook.tenant_parameter().and_then(|name| values.get(name)?.as_str()).map(TenantId::from);
    if let Some(tenant) = tenant.as_ref().and_then(|id| estate.tenant(id))
        && !playbook.tenancy.is_empty()
        && !playbook.tenancy.contains(&tenant.tenancy)
    {
        problems.push(format!("the playbook {} is not for the tenancy of {}", playbook.id, tenant.id));
    }
    if problems.is_empty() { Ok(Bound { values, tenant }) } else { Err(problems) }
}

/// Checks the value of a secret parameter. What is wrong is said without repeating it.
///
/// # Errors
/// One sentence.
pub fn check_secret(parameter: &Parameter, value: &SecretText) -> Result<(), String> {
    value.check()?;
    if let Some(pattern) = &parameter.pattern
        && !super::expr::matches_whole(pattern, value.expose())?
    {
        return Err(format!("it does not match `{pattern}`"));
    }
    Ok(())
}

/// What takes the place of a secret value: the word for it, which is made of its commitment.
fn secret_word(text: &str) -> Result<Value, String> {
    let given = "it is secret, and is given from `env:`, `file:` or a prompt, never among the parameters";
    crate::domain::secret::commitment_of(text).map(|_| Value::from(text)).ok_or_else(|| given.to_owned())
}

/// Checks values that a person gives to a step, which names no estate: no tenant and no database.
///
/// # Errors
/// One sentence for each thing that is wrong.
pub fn typed_all(
    inputs: &IndexMap<String, Parameter>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let mut problems = Vec::new();
    let mut values = BTreeMap::new();
    for name in given.keys().filter(|name| !inputs.contains_key(*name)) {
        let all: Vec<&str> = inputs.keys().map(String::as_str).collect();
        problems.push(format!("unknown value `{}`{}", sanitize(name), super::expr::nearest(name, &all)));
    }
    for (name, parameter) in inputs {
        let text = given.get(name).filter(|text| !text.is_empty());
        let value = match (text, &parameter.default) {
            (Some(text), _) => {
                typed(parameter.kind, text).and_then(|value| allowed(parameter, &value, text).map(|()| value))
            }
            (None, Some(default)) => Ok(default.clone()),
            (None, None) if parameter.required => Err("it must be given".into()),
            (None, None) => continue,
        };
        match value {
            Ok(value) => drop(values.insert(name.clone(), value)),
            Err(why) => problems.push(format!("`{name}`: {why}")),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// Reads a value of a type from text.
///
/// # Errors
/// What was found and what is allowed.
pub fn typed(kind: ParameterType, text: &str) -> Result<Value, String> {
    let shown = sanitize(text);
    match kind {
        ParameterType::Integer => {
            text.parse::<i64>().map(Value::from).map_err(|_| format!("“{shown}” is not a whole number"))
        }
        ParameterType::Number => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err(format!("“{shown}” is not a number")),
        },
        ParameterType::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("“{shown}” is neither `true` nor `false`")),
        },
        ParameterType::String | ParameterType::Tenant | ParameterType::Database => {
            if text.chars().any(crate::domain::text::is_hostile) {
                return Err(format!("“{shown}” holds control characters"));
            }
            Ok(Value::from(text))
        }
    }
}

fn allowed(parameter: &Parameter, value: &Value, text: &str) -> Result<(), String> {
    if !parameter.allowed_values.is_empty() && !parameter.allowed_values.contains(value) {
        let all: Vec<String> = parameter.allowed_values.iter().map(ToString::to_string).collect();
        return Err(format!("“{}” is not allowed, there are {}", sanitize(text), all.join(", ")));
    }
    if let Some(pattern) = &parameter.pattern
        && !super::expr::matches_whole(pattern, text)?
    {
        return Err(format!("“{}” does not match `{pattern}`", sanitize(text)));
    }
    Ok(())
}

fn known(kind: ParameterType, value: &Value, estate: &Estate) -> Result<(), String> {
    let Some(name) = value.as_str() else { return Ok(()) };
    match kind {
        ParameterType::Tenant if estate.tenant(&TenantId::from(name)).is_none() => {
            Err(format!("there is no tenant “{}” in {}", sanitize(name), estate.name))
        }
        ParameterType::Database
            if !estate.tenants.iter().any(|t| t.database.as_ref().is_some_and(|d| d.name == name)) =>
        {
            Err(format!("no tenant of {} has a database “{}”", estate.name, sanitize(name)))
        }
        _ => Ok(()),
    }
}

/// Type of a parameter in expressions.
pub const fn type_of(kind: ParameterType) -> Type {
    match kind {
        ParameterType::String | ParameterType::Tenant | ParameterType::Database => Type::Text,
        ParameterType::Integer => Type::Int,
        ParameterType::Number => Type::Double,
        ParameterType::Boolean => Type::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::estate::{DatabaseRef, Environment, Tenancy, Tenant};
    use serde_json::json;

    fn estate() -> Estate {
        let tenant = |id: &str, tenancy| Tenant {
            id: id.into(),
            name: id.into(),
            tenancy,
            criticality: 1,
            plants: vec![],
            cutoffs: vec![],
            database: Some(DatabaseRef { instance: "pg-a".into(), name: format!("{id}_prod") }),
            namespace: None,
            router: None,
        };
        Estate {
            name: "acme".into(),
            environment: Environment::Production,
            time_zone: "UTC".into(),
            tenants: vec![tenant("t003", Tenancy::MultiTenant), tenant("t017", Tenancy::Dedicated)],
        }
    }

    fn bound(given: &[(&str, &str)]) -> Result<Bound, Vec<String>> {
        let playbook: Playbook = serde_saphyr::from_str(
            r"
schemaVersion: 1
id: p
name: P
version: 1
owner: o
description: d
tenancy: [dedicated]
parameters:
  tenant: {type: tenant, required: true}
  database: {type: database}
  age: {type: integer, default: 60}
  share: {type: number}
  force: {type: boolean}
  size: {type: string, allowedValues: [small, large]}
  channel: {type: string, pattern: '[a-z]+(\.[a-z]+)*'}
steps: []
",
        )
        .unwrap();
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        bind(&playbook, &given, &estate())
    }

    #[test]
    fn texts_become_values_and_defaults_are_filled_in() {
        let all = [
            ("tenant", "t017"),
            ("database", "t017_prod"),
            ("share", "0.5"),
            ("force", "true"),
            ("size", "small"),
            ("channel", "root.wms"),
        ];
        let bound = bound(&all).unwrap();
        assert_eq!(bound.tenant, Some("t017".into()));
        let expected = json!({
            "tenant": "t017", "database": "t017_prod", "age": 60, "share": 0.5, "force": true, "size": "small",
            "channel": "root.wms",
        });
        assert_eq!(json!(bound.values), expected);
    }

    #[test]
    fn each_thing_that_is_wrong_is_a_sentence() {
        for (given, part) in [
            (("tenant", "t999"), "parameter `tenant`: there is no tenant “t999” in acme"),
            (("tenant", "t003"), "the playbook p is not for the tenancy of t003"),
            (("tenent", "t017"), "unknown parameter `tenent`, did you mean `tenant`?"),
            (("age", "old"), "parameter `age`: “old” is not a whole number"),
            (("share", "inf"), "parameter `share`: “inf” is not a number"),
            (("force", "yes"), "“yes” is neither `true` nor `false`"),
            (("size", "huge"), "“huge” is not allowed, there are \"small\", \"large\""),
            (("channel", "root.WMS"), "“root.WMS” does not match"),
            (("channel", "root\nx"), "holds control characters"),
            (("database", "gone"), "no tenant of acme has a database “gone”"),
        ] {
            let problems = bound(&[given]).unwrap_err();
            assert!(problems.iter().any(|p| p.contains(part)), "{given:?}: {problems:?}");
        }
        assert_eq!(bound(&[]).unwrap_err(), ["parameter `tenant`: it must be given"]);
    }
}
