//! One step as it is written.

use super::scalar::{Next, OnFailure, Span};
use crate::domain::id::StepId;
use crate::domain::incident::{Role, Severity};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde::de::{self, Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time allowed for a step's request when it names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Type of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepType {
    /// A verb that only looks.
    Check,
    /// Conditions that must hold now.
    Assert,
    /// Conditions that must come to hold in time.
    WaitFor,
    /// A verb that changes something.
    Action,
    /// Something that a person does outside and then confirms.
    Manual,
    /// A person chooses how to go on.
    Decision,
}

/// Step types of the full design that this version does not carry out.
const LATER: [&str; 10] =
    ["approval", "branch", "parallel", "foreach", "input", "notify", "escalate", "evidence", "sub_playbook", "sleep"];

impl<'de> Deserialize<'de> for StepType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let all = "`check`, `assert`, `wait_for`, `action`, `manual`, `decision`";
        match text.as_str() {
            "check" => Ok(Self::Check),
            "assert" => Ok(Self::Assert),
            "wait_for" => Ok(Self::WaitFor),
            "action" => Ok(Self::Action),
            "manual" => Ok(Self::Manual),
            "decision" => Ok(Self::Decision),
            later if LATER.contains(&later) => Err(de::Error::custom(format!(
                "step type `{later}` is not supported in this version, expected one of {all}"
            ))),
            other => Err(de::Error::custom(format!("unknown step type `{other}`, expected one of {all}"))),
        }
    }
}

impl StepType {
    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Assert => "assert",
            Self::WaitFor => "wait_for",
            Self::Action => "action",
            Self::Manual => "manual",
            Self::Decision => "decision",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Id: lower-case letters, digits and dashes.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Why the playbook has it, for somebody who reads it at two in the morning.
    pub why: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: StepType,
    /// Risk; policy may raise it, never lower it.
    pub risk: Option<Risk>,
    /// How far it reaches.
    pub blast_radius: Option<BlastRadius>,
    /// Whether it can be taken back: `true`, `false` or `compensatable`.
    #[serde(default, deserialize_with = "reversible")]
    #[schemars(schema_with = "super::json::reversible")]
    pub reversible: Option<Reversible>,
    /// What it takes besides.
    #[serde(default)]
    pub requires: Requires,
    /// CEL; the step is skipped when it is false.
    #[serde(rename = "if")]
    pub condition: Option<String>,
    /// What must hold immediately before it starts.
    #[serde(default)]
    pub preconditions: Vec<Precondition>,
    /// Values that a confirmation and an approval are bound to, one CEL expression each: when one of them changes, what
    /// was confirmed and approved is void.
    #[serde(default)]
    pub bind: Vec<String>,
    /// What is run.
    pub run: Option<Call>,
    /// Time allowed for the request.
    pub timeout: Option<Span>,
    /// How it is confirmed, beyond what policy asks.
    pub confirmation: Option<ConfirmationSpec>,
    /// Who approves, beyond what policy asks.
    pub approval: Option<ApprovalSpec>,
    /// How it is known to have worked.
    #[serde(default)]
    pub verify: Vec<Verify>,
    /// Choices of a decision.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// What follows a failure.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What follows an unknown outcome.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// What later steps may use; the whole result when empty.
    #[serde(default)]
    pub outputs: Vec<Output>,
}

impl Step {
    /// Risk as declared; a look is low, an action that says nothing is left to its verb and shown as low.
    pub fn declared_risk(&self) -> Risk {
        self.risk.unwrap_or(Risk::Low)
    }

    /// Time allowed for the request.
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(DEFAULT_TIMEOUT, |s| s.0)
    }

    /// The preconditions as a digest binds them: expression and greatest age.
    pub fn bound_preconditions(&self) -> Vec<String> {
        self.preconditions.iter().map(Precondition::bound).collect()
    }

    /// The name under which its output is found in expressions and templates: its id with dashes as underscores.
    pub fn output_name(&self) -> String {
        output_name(&self.id)
    }
}

/// The name under which a step's output is found in expressions and templates.
pub fn output_name(step: &StepId) -> String {
    step.as_str().replace('-', "_")
}

/// What a step takes besides confirmation and approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requires {
    /// Role that the person who asks must hold in the incident.
    pub role: Option<Role>,
    /// Whether an incident must be declared.
    #[serde(default)]
    pub incident_declared: bool,
    /// The least severity of that incident.
    pub severity_at_least: Option<Severity>,
}

/// What must hold immediately before a step starts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Precondition {
    /// CEL.
    pub check: String,
    /// The greatest age of the signals that it uses.
    pub max_age: Option<Span>,
    /// The same as a sentence.
    pub text: Option<String>,
}

impl Precondition {
    /// Sentence for people: the given one, else the expression.
    pub fn label(&self) -> &str {
        self.text.as_deref().unwrap_or(&self.check)
    }

    fn bound(&self) -> String {
        self.max_age.map_or_else(|| self.check.clone(), |age| format!("{} (not older than {age})", self.check))
    }
}

/// A verb with its arguments.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Adapter: `postgres`.
    pub adapter: String,
    /// Verb: `terminate_backend`.
    pub verb: String,
    /// Arguments; texts in them are templates.
    #[serde(default)]
    pub args: BTreeMap<String, serde_json::Value>,
}

impl Call {
    /// `adapter.verb`, as verbs are registered.
    pub fn name(&self) -> String {
        format!("{}.{}", self.adapter, self.verb)
    }
}

/// How a step is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmationSpec {
    /// Kind.
    pub kind: ConfirmationKind,
    /// What has to be typed, a template; the tenant id when absent.
    pub phrase: Option<String>,
}

/// Kind of a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConfirmationKind {
    /// A dialog.
    Keypress,
    /// A phrase is typed.
    Typed,
}

/// Who approves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalSpec {
    /// Number of distinct other people.
    pub quorum: u8,
    /// Of whom an approver must be distinct, by person; both when it is empty.
    #[serde(default)]
    pub distinct_from: Vec<DistinctFrom>,
    /// Roles of which an approver must hold one; empty leaves that to policy.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// For how long an approval is waited for; policy's time when absent.
    pub timeout: Option<Span>,
    /// What follows when nobody has approved by then.
    #[serde(default)]
    pub on_timeout: OnTimeout,
}

/// A person that an approver may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DistinctFrom {
    /// Who asked for the step.
    Requester,
    /// Who executes it.
    Operator,
}

/// What follows when an approval is not given in time. It is never granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// The request is denied.
    #[default]
    Deny,
    /// Somebody else is called, and the request goes on waiting.
    Escalate,
}

/// How a step is known to have worked.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verify {
    /// CEL; with `run`, the answer of that look is bound to `result`.
    pub check: String,
    /// By when it must come to hold.
    pub within: Option<Span>,
    /// For how long it must then hold without a gap.
    pub hold: Option<Span>,
    /// The greatest age of the signals that it uses.
    pub max_age: Option<Span>,
    /// The same as a sentence.
    pub text: Option<String>,
    /// A look at the real system each time it is evaluated.
    pub run: Option<Call>,
}

impl Verify {
    /// Time to come to hold when none is given.
    pub const DEFAULT_WITHIN: Duration = Duration::from_mins(1);

    /// Sentence for people: the given one, else the expression.
    pub fn label(&self) -> &str {
        self.text.as_deref().unwrap_or(&self.check)
    }

    /// By when it must come to hold.
    pub fn within(&self) -> Duration {
        self.within.map_or(Self::DEFAULT_WITHIN, |s| s.0)
    }

    /// For how long it must hold.
    pub fn hold(&self) -> Duration {
        self.hold.map_or(Duration::ZERO, |s| s.0)
    }
}

/// One choice of a decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Choice {
    /// Key by which it is chosen.
    pub key: String,
    /// What it means.
    pub label: String,
    /// Where it leads.
    pub then: Next,
}

/// What follows an unknown outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// The target is looked at.
    #[default]
    Reconcile,
    /// A person decides at once.
    Ask,
}

/// Something that later steps may use.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Name.
    pub name: String,
    /// CEL over `result`.
    pub selector: String,
}

fn reversible<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Reversible>, D::Error> {
    struct Word;
    impl de::Visitor<'_> for Word {
        type Value = Reversible;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("`true`, `false` or `compensatable`")
        }
        fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Reversible, E> {
            Ok(if yes { Reversible::Yes } else { Reversible::No })
        }
        fn visit_str<E: de::Error>(self, word: &str) -> Result<Reversible, E> {
            if word == "compensatable" {
                Ok(Reversible::Compensatable)
            } else {
                Err(E::invalid_value(de::Unexpected::Str(word), &self))
            }
        }
    }
    from.deserialize_any(Word).map(Some)
}
