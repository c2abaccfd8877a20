//! A script: what a crew does in an exercise without a screen, act after act. YAML, told in `docs/drills.md`.

use super::condition::{self, Condition};
use super::scenario::time::{Lasting, Offset};
use super::scenario::{ScenarioError, read_form};
use crate::domain::incident::{Role, Severity};
use crate::playbook::yaml::Document;
use cel::objects::Value;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Id and text of the script of each built-in scenario.
pub static BUILT_IN: &[(&str, &str)] = &[
    ("schema-lock", include_str!("../../playbooks/drills/scripts/schema-lock.yaml")),
    ("queue-backlog", include_str!("../../playbooks/drills/scripts/queue-backlog.yaml")),
    ("certificate-and-maintenance", include_str!("../../playbooks/drills/scripts/certificate-and-maintenance.yaml")),
    ("release-instability", include_str!("../../playbooks/drills/scripts/release-instability.yaml")),
    ("mrp-degradation", include_str!("../../playbooks/drills/scripts/mrp-degradation.yaml")),
    ("regional-outage", include_str!("../../playbooks/drills/scripts/regional-outage.yaml")),
    ("shared-cluster", include_str!("../../playbooks/drills/scripts/shared-cluster.yaml")),
    ("supplier-portal", include_str!("../../playbooks/drills/scripts/supplier-portal.yaml")),
    ("storage-corruption", include_str!("../../playbooks/drills/scripts/storage-corruption.yaml")),
    ("night-deploy", include_str!("../../playbooks/drills/scripts/night-deploy.yaml")),
    ("ransomware", include_str!("../../playbooks/drills/scripts/ransomware.yaml")),
    ("identity-outage", include_str!("../../playbooks/drills/scripts/identity-outage.yaml")),
    ("integration-failure", include_str!("../../playbooks/drills/scripts/integration-failure.yaml")),
    ("certificate-expiry", include_str!("../../playbooks/drills/scripts/certificate-expiry.yaml")),
    ("split-brain", include_str!("../../playbooks/drills/scripts/split-brain.yaml")),
    ("dropped-table", include_str!("../../playbooks/drills/scripts/dropped-table.yaml")),
    ("barcode-burst", include_str!("../../playbooks/drills/scripts/barcode-burst.yaml")),
    ("legacy-link", include_str!("../../playbooks/drills/scripts/legacy-link.yaml")),
];

/// How long an act may wait for its condition where it does not say so itself.
const PATIENCE_S: i64 = 1800;

/// Names that a condition of a script may use: what a crew sees.
const NAMES: &[&str] = &["elapsed_s", "findings", "runs", "told"];

/// A whole script.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The scenario that it plays.
    pub scenario: String,
    /// Another seed.
    #[serde(default)]
    pub seed: Option<u64>,
    /// What the crew does, in this order.
    pub acts: Vec<Act>,
}

/// One act. Exactly one of the members from `declare` on says what is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Act {
    /// Not before this time.
    #[serde(default)]
    pub at: Option<Offset>,
    /// Not before this holds, a CEL expression over what a crew sees.
    #[serde(default)]
    pub when: Option<String>,
    /// For how long it is waited for; then the act was for nothing, which is said.
    #[serde(default)]
    pub within: Option<Lasting>,
    /// Who does it; else the crew.
    #[serde(default, rename = "as")]
    pub person: Option<String>,
    /// Declares an incident.
    #[serde(default)]
    pub declare: Option<Declare>,
    /// Says that a finding was seen.
    #[serde(default)]
    pub acknowledge: Option<String>,
    /// Writes a note.
    #[serde(default)]
    pub note: Option<String>,
    /// Gives a role to a person.
    #[serde(default)]
    pub role: Option<Assign>,
    /// Changes the severity.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// Starts a playbook, and answers what it asks.
    #[serde(default)]
    pub run: Option<StartRun>,
    /// Ends the newest run of a playbook after the step in hand.
    #[serde(default)]
    pub stop: Option<String>,
    /// Presses the emergency stop.
    #[serde(default)]
    pub emergency: Option<String>,
    /// Asks for a hint, so many times.
    #[serde(default)]
    pub hint: Option<u32>,
    /// Breaks the glass for a reason.
    #[serde(default)]
    pub glass: Option<String>,
    /// Hands every measure in force to a person.
    #[serde(default)]
    pub handover: Option<String>,
    /// The business owner accepts the recovery.
    #[serde(default)]
    pub accept: Option<String>,
    /// Closes the incident with a summary.
    #[serde(default)]
    pub close: Option<String>,
    /// Presses keys of the console: one character each, or a name in `<>` such as `<Enter>`.
    #[serde(default)]
    pub press: Option<String>,
}

/// An incident to declare.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// Title.
    pub title: String,
    /// Severity.
    pub severity: Severity,
    /// Findings that it is for.
    #[serde(default)]
    pub findings: Vec<String>,
}

/// A role to give.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Role.
    pub role: Role,
    /// Who.
    pub person: String,
}

/// A run, with what the crew answers: it confirms what is to be confirmed and says that it has told whom a step tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// Playbook.
    pub playbook: String,
    /// Parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Choices by step; `done` is chosen where it is offered and nothing stands here.
    #[serde(default)]
    pub decide: BTreeMap<String, String>,
    /// Values by step and name.
    #[serde(default)]
    pub give: BTreeMap<String, BTreeMap<String, String>>,
    /// Steps that are answered only when a condition holds.
    #[serde(default)]
    pub hold: BTreeMap<String, String>,
}

/// What a crew sees.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Seconds since the beginning.
    pub elapsed_s: f64,
    /// Ids of the findings that are up.
    pub findings: Vec<String>,
    /// State of the newest run of each playbook.
    pub runs: BTreeMap<String, String>,
    /// What the crew was told, oldest first.
    pub told: Vec<String>,
}

/// Whether a condition of a script holds; what can not be told does not hold.
pub fn holds(text: &str, seen: &Seen) -> bool {
    let text_of = |text: &String| Value::String(Arc::new(text.clone()));
    Condition::over(text, NAMES).is_ok_and(|condition| {
        condition.holds_with([
            ("elapsed_s", Value::Float(seen.elapsed_s)),
            ("findings", condition::list(seen.findings.iter().map(String::as_str))),
            ("runs", condition::map(seen.runs.iter().map(|(playbook, state)| (playbook.clone(), text_of(state))))),
            ("told", condition::list(seen.told.iter().map(String::as_str))),
        ])
    })
}

impl Act {
    /// What is done, in a word; all of them where there are several.
    pub fn words(&self) -> Vec<&'static str> {
        let all = [
            ("declare", self.declare.is_some()),
            ("acknowledge", self.acknowledge.is_some()),
            ("note", self.note.is_some()),
            ("role", self.role.is_some()),
            ("severity", self.severity.is_some()),
            ("run", self.run.is_some()),
            ("stop", self.stop.is_some()),
            ("emergency", self.emergency.is_some()),
            ("hint", self.hint.is_some()),
            ("glass", self.glass.is_some()),
            ("handover", self.handover.is_some()),
            ("accept", self.accept.is_some()),
            ("close", self.close.is_some()),
            ("press", self.press.is_some()),
        ];
        all.into_iter().filter(|(_, is)| *is).map(|(word, _)| word).collect()
    }

    /// For how long it may wait, in seconds.
    pub fn patience_s(&self) -> i64 {
        self.within.map_or(PATIENCE_S, |within| within.0)
    }
}

/// A script with the place of each act.
#[derive(Debug)]
pub struct Placed {
    /// The script.
    pub script: Script,
    file: String,
    document: Document,
}

impl Placed {
    /// An error about an act.
    pub fn at(&self, act: usize, message: impl Into<String>) -> ScenarioError {
        self.near(&format!("/acts/{act}"), message)
    }

    fn near(&self, pointer: &str, message: impl Into<String>) -> ScenarioError {
        let place = self.document.place(pointer);
        ScenarioError { file: self.file.clone(), place: Some((place.line, place.column)), message: message.into() }
    }
}

/// Reads a script and checks it against the scenario that it plays.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn parse(file: &str, text: &str) -> Result<Placed, Vec<ScenarioError>> {
    let (script, document) = read_form::<Script>(file, text)?;
    let placed = Placed { script, file: file.into(), document };
    let mut errors = Vec::new();
    for (n, act) in placed.script.acts.iter().enumerate() {
        let words = act.words();
        if words.len() != 1 {
            let found = if words.is_empty() { "nothing".to_owned() } else { words.join(" and ") };
            errors.push(placed.at(n, format!("an act does exactly one thing, this one does {found}")));
        }
        let hold = act.run.iter().flat_map(|run| &run.hold).map(|(step, when)| (format!("run/hold/{step}"), when));
        for (member, when) in act.when.iter().map(|when| ("when".to_owned(), when)).chain(hold) {
            if let Err(why) = Condition::over(when, NAMES) {
                errors.push(placed.near(&format!("/acts/{n}/{member}"), why));
            }
        }
    }
    if errors.is_empty() { Ok(placed) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_and_its_errors_have_their_places() {
        let text = "scenario: schema-lock\nacts:\n- at: T+1m\n  note: seen\n- when: '\"a/b\" in findings'\n  hint: 1\n";
        let placed = parse("s.yaml", text).unwrap();
        assert_eq!(placed.script.acts.len(), 2);
        let seen = Seen { findings: vec!["a/b".into()], ..Seen::default() };
        assert!(holds(placed.script.acts[1].when.as_ref().unwrap(), &seen));
        assert!(!holds(placed.script.acts[1].when.as_ref().unwrap(), &Seen::default()));
        let wrong = |text: &str| parse("s.yaml", text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            wrong("scenario: x\nacts:\n- {at: T+1m}\n"),
            ["s.yaml:3:3: an act does exactly one thing, this one does nothing"]
        );
        assert!(wrong("scenario: x\nacts:\n- {hint: 1, note: n}\n")[0].contains("does note and hint"));
        assert!(wrong("scenario: x\nacts:\n- {hnit: 1}\n")[0].starts_with("s.yaml:3:4: unknown field `hnit`"));
        assert!(
            wrong("scenario: x\nacts:\n- {hint: 1, when: signals > 1}\n")[0].contains("`signals` is not known here")
        );
    }
}
