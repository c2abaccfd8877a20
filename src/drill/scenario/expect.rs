//! What a good crew does, as patterns over records of the journal or conditions on the estate; what it must not do; and
//! the help that it may ask for.

use super::time::Lasting;
use crate::domain::text::means;
use crate::journal::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A pattern over records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Kind of the record.
    pub kind: Kind,
    /// Playbook of the run that the record belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<String>,
    /// Step of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Members of the body: a value, several of which one must be there, or a text that ends with `*` and begins so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub body: BTreeMap<String, Value>,
}

impl Match {
    /// Whether a record is meant; `playbook` is that of its run.
    pub fn is_met(&self, kind: Kind, body: &Value, playbook: Option<&str>) -> bool {
        let step = body.get("step").and_then(Value::as_str);
        self.kind == kind
            && self.playbook.as_deref().is_none_or(|p| playbook == Some(p))
            && self.step.as_deref().is_none_or(|s| step == Some(s))
            && self.body.iter().all(|(name, wanted)| body.get(name).is_some_and(|found| fits(wanted, found)))
    }
}

fn fits(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Array(any), _) => any.iter().any(|one| fits(one, found)),
        (_, Value::Array(all)) => all.iter().any(|one| fits(wanted, one)),
        (Value::String(wanted), Value::String(found)) => means(wanted, found),
        _ => wanted == found,
    }
}

/// Who judges an expectation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Judge {
    /// The journal.
    #[default]
    Auto,
    /// The facilitator, who says how many points it is worth.
    Manual,
}

/// What a good crew does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Id, unique in the scenario.
    pub id: String,
    /// One sentence for people.
    pub what: String,
    /// By when, counted from its inject, or from the beginning where it belongs to none.
    pub by: Lasting,
    /// The record that meets it.
    #[serde(default, rename = "match")]
    pub record: Option<Match>,
    /// Or what must hold on the estate, a CEL expression; the exercise writes a record when it does.
    #[serde(default)]
    pub when: Option<String>,
    /// Points.
    pub score: u32,
    /// Who judges it.
    #[serde(default)]
    pub kind: Judge,
}

/// What a crew must not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// Id, unique in the scenario.
    pub id: String,
    /// One sentence for people: why it is wrong.
    pub what: String,
    /// The record that shows it.
    #[serde(default, rename = "match")]
    pub record: Option<Match>,
    /// Or what must never hold on the estate, a CEL expression; the exercise writes a record when it does.
    #[serde(default)]
    pub when: Option<String>,
    /// Points that it costs, once.
    pub cost: u32,
}

/// Help that the crew may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// How long after its inject, or after the beginning, it can be had.
    #[serde(default)]
    pub after: Lasting,
    /// Points that it costs.
    pub cost: u32,
    /// What is said.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_means_the_records_that_it_says() {
        let pattern = |value: Value| serde_json::from_value::<Match>(value).unwrap();
        let one = pattern(json!({"kind": "step.finished", "playbook": "schema-lock", "body": {"ended": "done"}}));
        assert!(one.is_met(Kind::StepFinished, &json!({"ended": "done"}), Some("schema-lock")));
        assert!(!one.is_met(Kind::StepFinished, &json!({"ended": "failed"}), Some("schema-lock")));
        assert!(!one.is_met(Kind::StepFinished, &json!({"ended": "done"}), None));
        assert!(!one.is_met(Kind::StepStarted, &json!({"ended": "done"}), Some("schema-lock")));
        let any = pattern(json!({"kind": "incident.declared", "body": {"severity": ["SEV1", "SEV2"]}}));
        assert!(any.is_met(Kind::IncidentDeclared, &json!({"severity": "SEV2"}), None));
        assert!(!any.is_met(Kind::IncidentDeclared, &json!({}), None));
        let begins = pattern(json!({"kind": "finding.acknowledged", "body": {"finding": "lock-chain/*"}}));
        assert!(begins.is_met(Kind::FindingAcknowledged, &json!({"finding": "lock-chain/t017"}), None));
        let member = pattern(json!({"kind": "comms.sent", "body": {"to": "customer"}}));
        assert!(member.is_met(Kind::CommsSent, &json!({"to": ["executives", "customer"]}), None));
        assert!(serde_json::from_value::<Match>(json!({"kind": "incident.exploded"})).is_err());
    }
}
