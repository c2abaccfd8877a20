//! One step as it is written.

use super::Parameter;
use super::kind::{Class, StepType};
use super::parts::{
    ApprovalSpec, Call, Capture, Choice, Comms, ConfirmationSpec, Escalate, Foreach, Member, OnUnknown, Output,
    ParallelRun, Precondition, Requires, Retry, Rollback, Verify, Way,
};
use super::scalar::{Next, OnFailure, Span};
use crate::domain::id::{PlaybookId, StepId};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use indexmap::IndexMap;
use serde::de::{self, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time allowed for a step's request when it names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

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
    /// Running it again when it failed, with new approvals.
    pub retry: Option<Retry>,
    /// How it is taken back.
    pub rollback: Option<Rollback>,
    /// What is kept before and after it.
    #[serde(default)]
    pub evidence: Vec<Capture>,
    /// Whom it is told to.
    pub comms: Option<Comms>,
    /// Who is called when it waits for too long; in a step of type escalate, who is called.
    pub escalate: Option<Escalate>,
    /// Ways of a branch, in order.
    #[serde(default)]
    pub branches: Vec<Way>,
    /// Where a branch leads when no way fits; the next step when absent.
    pub otherwise: Option<Next>,
    /// Looks of a parallel step.
    #[serde(default)]
    pub looks: Vec<Member>,
    /// Playbooks that a parallel step runs at the same time, instead of looks. When one fails the others go on to their
    /// ends; then the step has failed, and its `onFailure` says what follows.
    #[serde(default)]
    pub runs: Vec<ParallelRun>,
    /// Items of a foreach.
    pub foreach: Option<Foreach>,
    /// Values that a step of type input asks for; in arguments `{{ outputs.STEP.NAME }}`.
    #[serde(default)]
    pub inputs: IndexMap<String, Parameter>,
    /// Which playbook a `sub_playbook` runs.
    pub playbook: Option<PlaybookId>,
    /// Its parameters, templates.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// How long a step of type sleep takes.
    pub duration: Option<Span>,
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

    /// What carrying it out amounts to.
    pub const fn class(&self) -> Class {
        match self.kind {
            StepType::Parallel if !self.runs.is_empty() => Class::Child,
            StepType::Check | StepType::Evidence | StepType::Parallel => Class::Looks,
            StepType::Action | StepType::Foreach => Class::Acts,
            StepType::Notify | StepType::Escalate if self.run.is_some() => Class::Acts,
            StepType::Notify | StepType::Escalate | StepType::Manual => Class::Person,
            StepType::Approval => Class::Gate,
            StepType::Assert | StepType::WaitFor => Class::Waits,
            StepType::Decision => Class::Decides,
            StepType::Branch => Class::Branches,
            StepType::Input => Class::Asks,
            StepType::Sleep => Class::Sleeps,
            StepType::SubPlaybook => Class::Child,
        }
    }

    /// Whether later steps can use what comes out of it.
    pub const fn has_output(&self) -> bool {
        matches!(self.class(), Class::Looks | Class::Acts | Class::Asks)
    }

    /// The calls that are rendered when it is reached: its own, or those of its looks.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.run.iter().chain(self.looks.iter().map(|m| &m.run))
    }

    /// The playbooks that it runs: of each the branch, the playbook and its parameters.
    pub fn children(&self) -> impl Iterator<Item = (Option<&StepId>, &PlaybookId, &BTreeMap<String, String>)> {
        let own = self.playbook.iter().map(|playbook| (None, playbook, &self.params));
        own.chain(self.runs.iter().map(|r| (Some(&r.id), &r.playbook, &r.params)))
    }

    /// A step that has nothing but its name.
    pub fn bare(id: impl Into<StepId>, kind: StepType, name: String, why: String) -> Self {
        Self {
            id: id.into(),
            name,
            why,
            kind,
            risk: None,
            blast_radius: None,
            reversible: None,
            requires: Requires::default(),
            condition: None,
            preconditions: Vec::new(),
            bind: Vec::new(),
            run: None,
            timeout: None,
            confirmation: None,
            approval: None,
            verify: Vec::new(),
            choices: Vec::new(),
            on_failure: OnFailure::Ask,
            on_unknown: OnUnknown::Reconcile,
            outputs: Vec::new(),
            retry: None,
            rollback: None,
            evidence: Vec::new(),
            comms: None,
            escalate: None,
            branches: Vec::new(),
            otherwise: None,
            looks: Vec::new(),
            runs: Vec::new(),
            foreach: None,
            inputs: IndexMap::new(),
            playbook: None,
            params: BTreeMap::new(),
            duration: None,
        }
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
