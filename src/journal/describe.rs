//! One line for people from a record. The table below is also where the members of each body are laid down.

use super::kind::Kind;
use super::record::Record;
use crate::domain::text::sanitize;
use serde_json::Value;

/// Greatest length of a line in characters.
const MAX_CHARS: usize = 240;

/// One line for people: safe to show, never empty, whatever the body holds.
pub fn describe(record: &Record) -> String {
    let line = sanitize(&fill(template(record.kind), &record.body));
    let line = line.trim();
    match line.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

/// The sentence of each kind. `{member}` is a member of the body; a part in brackets is left out when the body
/// does not have all members that it names. A member that is an object shows its `object`, `name`, `id` or `sha256`.
const fn template(kind: Kind) -> &'static str {
    match kind {
        Kind::JournalOpened => "journal opened[ by {program}][ at record {records}]",
        Kind::JournalRecovered => {
            "journal recovered:[ {bytes} bytes set aside in {file}][ {segment} left for a new segment][ ({why})]"
        }
        Kind::JournalHeartbeat => "journal alive",
        Kind::JournalSnapshot => "snapshot of the state[ over {size} records][ in {file}]",
        Kind::JournalArchived => "records up to {size} archived[ in {places}]",
        Kind::JournalClosed => "journal closed[: {reason}]",
        Kind::KeyRotated => "log key changed[ to {to}]",
        Kind::ConfigLoaded => "configuration loaded[ from {path}][, digest {digest}]",
        Kind::RosterProposed => "policy proposed[: {title}][ ({request})]",
        Kind::RosterChanged => "roster changed[: {what}]",
        Kind::IncidentDeclared => "declared[ {severity}][: {title}]",
        Kind::IncidentUpdated => "incident updated[: severity {severity}][: state {state}][: {title}]",
        Kind::IncidentClosed => "incident closed[: {summary}]",
        Kind::RoleAssigned => "[{person} is now ]{role}[, after {from}][: {why}]",
        Kind::FindingRaised => "found[ {severity}]:[ {what}][ ({finding})]",
        Kind::FindingCleared => "cleared:[ {what}][ ({finding})]",
        Kind::FindingAcknowledged => "seen: [{finding}]",
        Kind::ReleaseSeen => "release[: {what}]",
        Kind::CapacitySeen => "capacity[ of {day}][: {what}]",
        Kind::LeadTaken => "{what} is led by the engine[ on {host}]",
        Kind::CommandPassed => "passed on[: {what}][ to the engine that leads {to}]",
        Kind::RunStarted => "[{run} ]started[: {playbook}][ for {finding}]",
        Kind::RunPaused => "[{run} ]paused[: {why}]",
        Kind::RunResumed => "[{run} ]resumed[: {why}]",
        Kind::RunStopped => "[{run} ]stopped[: {why}]",
        Kind::RunFinished => "[{run} ]finished[: {outcome}]",
        Kind::ConsoleAttached => "console attached[: {console}]",
        Kind::ConsoleDetached => "console detached[: {console}][ ({why})]",
        Kind::ConsoleProven => "console of {person} proven[ by key {key}]",
        Kind::ConsoleRefused => "turned away at the socket[: {why}][; {more} more]",
        Kind::EstateRefused => "refused in the place of {estate}[: {why}]",
        Kind::ElevationRequested => "more rights asked for[: {title}][ ({request})]",
        Kind::ElevationGranted => "more rights given[: {person} is {role}][ until {until}][, by {by}]",
        Kind::ElevationEnded => "more rights ended[: {person} is not {role} any more][ ({why})]",
        Kind::IdentityProven => "second factor of {person} proven[ at {issuer}][, {auth_time}][, for {title}]",
        Kind::IdentityRefused => "second factor of {person} NOT proven[: {why}]",
        Kind::MeasureSet => "measure in force:[ {what}][ ({measure})]",
        Kind::MeasureLifted => "measure lifted:[ {what}][ ({measure})][, {done}]",
        Kind::MeasureAcknowledged => "measure [{measure} ]acknowledged[ by {person}]",
        Kind::MeasureAssigned => "measure [{measure} ]handed to {owner}[ until {until}]",
        Kind::StepIntended => "[{run} ][{step}: ]intended[, risk {risk}][, on {target}][ ({digest})]",
        Kind::StepConfirmed => "[{run} ][{step}: ]confirmed[, on {target}][ ({digest})]",
        Kind::StepCancelled => "[{run} ][{step}: ]cancelled[: {why}]",
        Kind::StepRefused => "[{run} ][{step}: ]refused[: {why}]",
        Kind::ApprovalRequested => "[{run} ][{step}: ]approval asked for[ ({request}, until {not_after})]",
        Kind::ApprovalGranted => "[{run} ][{step}: ]approved[ by {person}][ as {role}][ ({request})]",
        Kind::ApprovalDenied => "[{run} ][{step}: ]approval denied[ by {person}][: {why}]",
        Kind::ApprovalExpired => "[{run} ][{step}: ]approval expired[: {why}]",
        Kind::StepStarted => "[{run} ][{step}: ]started[ on {target}]",
        Kind::StepFinished => {
            "[{run} ][{step}: ]finished[: {outcome}][: {why}][ ({summary})][, result kept as evidence {evidence}]"
        }
        Kind::StepUnknown => "[{run} ][{step}: ]outcome UNKNOWN[: {why}]",
        Kind::StepReconciled => "[{run} ][{step}: ]reconciled[: {found}][ ({seen})]",
        Kind::StepVerified => "[{run} ][{step}: ]verified[: {seen}]",
        Kind::StepVerificationFailed => "[{run} ][{step}: ]NOT verified[: {why}]",
        Kind::StepSkipped => "[{run} ][{step}: ]skipped[: {why}]",
        Kind::StepRolledBack => "[{run} ][{step}: ]rolled back[: {why}]",
        Kind::EscalationSent => "called [{person}][: {reason}][ (by {source})]",
        Kind::EscalationAcknowledged => "call answered[ by {person}]",
        Kind::ExerciseStarted => "exercise begins[: {name}][ ({scenario}, seed {seed})]",
        Kind::ExerciseObserved => "exercise saw[: {what}][ ({id})]",
        Kind::ExerciseSteered => "facilitator[: {act}][ {what}]",
        Kind::ExerciseEnded => "exercise over[: {why}][, {score} of {of} points]",
        Kind::InjectFired => "inject[ {inject}][: {what}]",
        Kind::HintGiven => "hint[ for {cost} points][: {text}]",
        Kind::ScoreOverridden => "score changed[: {what}][ to {score}][ ({reason})]",
        Kind::RecoveryAccepted => "recovery accepted[ by {person}][: {text}]",
        Kind::DecisionMade => "[{run} ][{step}: ]decided[: {choice}][ ({reason})]",
        Kind::EvidenceCaptured => "evidence kept[: {what}][, {bytes} bytes][, sha256 {sha256}]",
        Kind::NoteAdded => "note[: {text}]",
        Kind::CommsIntended => "[{message} ]telling[ {to}][ by {channel}][: {subject}]",
        Kind::CommsSent => "told[ {to}][ by {channel}][: {text}]",
        Kind::CommsFailed => "[{message} ]NOT told[ {to}][ by {channel}][: {detail}]",
        Kind::CommsUnknown => "[{message} ]UNKNOWN whether[ {to}] was told[ by {channel}][: {detail}]",
        Kind::FreezeSet => "changes frozen[ until {until}][: {reason}]",
        Kind::FreezeLifted => "freeze lifted[: {reason}]",
        Kind::GlassBroken => "GLASS BROKEN[ until {until}][: {reason}]",
        Kind::GlassRestored => "glass restored[: {reason}]",
        Kind::GlassReviewed => "broken glass reviewed[: {text}]",
        Kind::Redaction => "side file deleted[: {file}][, {bytes} bytes][ ({reason})]",
    }
}

/// Fills a template from a body.
fn fill(template: &str, body: &Value) -> String {
    let mut line = String::new();
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('[') {
        line.push_str(&part(plain, body).unwrap_or_else(|| without_members(plain)));
        let (optional, after) = after.split_once(']').unwrap_or((after, ""));
        line.push_str(&part(optional, body).unwrap_or_default());
        rest = after;
    }
    line.push_str(&part(rest, body).unwrap_or_else(|| without_members(rest)));
    line
}

/// A part with its members, if the body has them all.
fn part(template: &str, body: &Value) -> Option<String> {
    let mut line = String::new();
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        line.push_str(plain);
        line.push_str(&show(body.get(name)?)?);
        rest = after;
    }
    line.push_str(rest);
    Some(line)
}

/// A part that must stand although the body lacks its members.
fn without_members(template: &str) -> String {
    let mut line = String::new();
    let mut rest = template;
    while let Some((plain, after)) = rest.split_once('{') {
        line.push_str(plain);
        line.push('?');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    line + rest
}

/// A value in a line; nothing when it is empty.
fn show(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|t| !t.is_empty()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::Array(items) => {
            let shown: Vec<String> = items.iter().filter_map(show).take(5).collect();
            let more = if items.len() > shown.len() { ", …" } else { "" };
            Some(shown.join(", ") + more).filter(|t| !t.is_empty())
        }
        Value::Object(members) => ["object", "name", "id", "message", "sha256"]
            .iter()
            .find_map(|name| members.get(*name))
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Ready, tests::draft};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn line(kind: Kind, body: Value) -> String {
        describe(&Ready::new(draft(kind, body)).unwrap().into_committed(0).record)
    }

    #[test]
    fn lines_say_what_the_body_says() {
        let started = json!({"run": "RUN-9", "step": "terminate-root", "target": {"object": "backend 4711 of t017"}});
        assert_eq!(line(Kind::StepStarted, started), "RUN-9 terminate-root: started on backend 4711 of t017");
        assert_eq!(line(Kind::StepStarted, json!({})), "started");
        assert_eq!(
            line(Kind::IncidentDeclared, json!({"severity": "SEV2", "title": "no invoices"})),
            "declared SEV2: no invoices"
        );
        assert_eq!(line(Kind::RoleAssigned, json!({"person": "mara"})), "mara is now ?");
        assert_eq!(line(Kind::NoteAdded, json!({"text": "a\u{1b}[2J\nb"})), "note: a·[2J b");
        assert_eq!(line(Kind::CommsSent, json!({"to": ["ops", "sales"], "channel": null})), "told ops, sales");
        let long = line(Kind::NoteAdded, json!({"text": "é".repeat(1_000)}));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_CHARS + 1, true));
    }

    #[test]
    fn every_template_is_well_formed() {
        for kind in Kind::ALL {
            let (mut optional, mut member) = (false, false);
            for c in template(*kind).chars() {
                match c {
                    '[' => assert!(!std::mem::replace(&mut optional, true), "{kind}"),
                    ']' => assert!(std::mem::replace(&mut optional, false), "{kind}"),
                    '{' => assert!(!std::mem::replace(&mut member, true), "{kind}"),
                    '}' => assert!(std::mem::replace(&mut member, false), "{kind}"),
                    _ => {}
                }
            }
            assert!(!optional && !member, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn odd_bodies_still_make_a_line(kind in proptest::sample::select(Kind::ALL), text: String, n: i32, at in 0..8_usize) {
            let odd = [json!(text), json!(n), json!([text, [n]]), json!({"object": n}), json!({"name": text}), json!(null), json!({}), json!([])];
            let mut body = serde_json::Map::new();
            for name in ["run", "step", "text", "what", "why", "target", "person", "role", "owner", "title", "finding"] {
                body.insert(name.into(), odd[at].clone());
            }
            for body in [Value::Object(body), odd[at].clone()] {
                let line = line(kind, body);
                prop_assert!(!line.is_empty());
                prop_assert!(!line.chars().any(crate::domain::text::is_hostile));
                prop_assert!(line.chars().count() <= MAX_CHARS + 1);
            }
        }
    }
}
