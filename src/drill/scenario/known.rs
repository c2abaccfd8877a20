//! What a scenario may name: playbooks with their steps, members of records, signals in conditions.

use crate::journal::Kind;
use crate::playbook::library::BUILT_IN;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The steps of each shipped playbook.
pub(in crate::drill) static PLAYBOOKS: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
    let read = |(_, text): &(&str, &str)| {
        let document = crate::playbook::yaml::read(text).ok()?;
        let mut steps = BTreeSet::new();
        ids(document.value.get("steps")?, &mut steps);
        Some((document.value.get("id")?.as_str()?.to_owned(), steps))
    };
    BUILT_IN.iter().filter_map(read).collect()
});

/// The ids of steps, also of those within steps.
fn ids(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| ids(item, into)),
        Value::Object(members) => {
            into.extend(members.get("id").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| ids(member, into));
        }
        _ => {}
    }
}

/// Members of the bodies that patterns may look at; `None` for a kind that no pattern may name.
pub(in crate::drill) const fn members(kind: Kind) -> Option<&'static [&'static str]> {
    Some(match kind {
        Kind::IncidentDeclared => &["title", "severity", "findings"],
        Kind::IncidentUpdated => &["severity", "state"],
        Kind::IncidentClosed => &["summary"],
        Kind::RoleAssigned => &["role", "person", "from"],
        Kind::FindingRaised => &["finding", "rule", "level", "severity", "what", "tenants", "plants", "playbooks"],
        Kind::FindingCleared => &["finding", "what"],
        Kind::FindingAcknowledged => &["finding"],
        Kind::RunStarted => &["playbook", "tenant", "by"],
        Kind::RunStopped => &["reason", "by", "emergency"],
        Kind::RunFinished => &["state"],
        Kind::MeasureSet => &["measure", "what"],
        Kind::MeasureLifted => &["measure"],
        Kind::MeasureAssigned => &["measure", "owner", "until"],
        Kind::StepConfirmed => &["by"],
        Kind::StepStarted => &["type", "risk"],
        Kind::StepFinished => &["ended", "summary", "why"],
        Kind::StepVerified
        | Kind::StepVerificationFailed
        | Kind::StepSkipped
        | Kind::StepUnknown
        | Kind::StepRefused
        | Kind::StepRolledBack
        | Kind::StepIntended
        | Kind::StepCancelled => &["why"],
        Kind::ApprovalRequested | Kind::ApprovalExpired => &["needed", "why"],
        Kind::ApprovalGranted | Kind::ApprovalDenied => &["person", "role", "simulated", "glass"],
        Kind::DecisionMade => &["choice", "label", "reason", "by"],
        Kind::NoteAdded => &["text"],
        Kind::CommsSent => &["to", "channel", "text"],
        Kind::FreezeSet | Kind::FreezeLifted | Kind::GlassBroken => &["reason"],
        Kind::GlassReviewed | Kind::RecoveryAccepted => &["text", "person"],
        Kind::EvidenceCaptured => &["what"],
        _ => return None,
    })
}

/// A signal that a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::drill) struct Used {
    pub tenant: String,
    pub signal: String,
}

/// Every `signals.TENANT["SIGNAL"]` of an expression, also written `signals["TENANT"]["SIGNAL"]`.
pub(in crate::drill) fn signals_in(expression: &str) -> Vec<Used> {
    let mut all = Vec::new();
    for rest in expression.split("signals").skip(1) {
        let Some((tenant, rest)) = member(rest) else { continue };
        let Some((signal, _)) = member(rest) else { continue };
        all.push(Used { tenant, signal });
    }
    all
}

/// `.name` or `["name"]` at the beginning, and what follows.
fn member(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return Some((name.to_owned(), rest));
    }
    let rest = text.strip_prefix('[')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = rest.get(1..)?.split_once(quote)?;
    Some((name.to_owned(), rest.trim_start().strip_prefix(']')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_playbook_is_known_with_its_steps() {
        assert_eq!(PLAYBOOKS.len(), BUILT_IN.len());
        assert!(PLAYBOOKS["schema-lock"].contains("terminate-root"));
    }

    #[test]
    fn signals_are_found_in_both_forms() {
        let found = signals_in(r#"signals.t017["lock.blocked"] > 1.0 && signals['t003']['queue.oldest'] < 2.0"#);
        let found: Vec<(&str, &str)> = found.iter().map(|u| (u.tenant.as_str(), u.signal.as_str())).collect();
        assert_eq!(found, [("t017", "lock.blocked"), ("t003", "queue.oldest")]);
        assert!(signals_in("elapsed_s > 5.0").is_empty());
    }
}
