//! The playbook as it is written: one struct a mapping of the YAML file, unknown keys refused. What is accepted here
//! works; keys of the full design that this version does not carry out are refused with a sentence.

mod json;
mod kind;
mod parts;
mod scalar;
mod step;

pub use json::schema;
pub use kind::{Class, StepType};
pub use parts::{
    ApprovalSpec, Call, Capture, Choice, Comms, ConfirmationKind, ConfirmationSpec, DistinctFrom, Escalate, Foreach,
    Member, OnTimeout, OnUnknown, Order, Output, ParallelRun, PostIncident, Precondition, Requires, Retry, RetryOn,
    Rollback, Targets, Verify, Way, When,
};
pub use scalar::{Next, OnFailure, Span};
pub use step::{Step, output_name};

use crate::domain::estate::Tenancy;
use crate::domain::id::PlaybookId;
use crate::domain::incident::Severity;
use crate::domain::risk::Risk;
use indexmap::IndexMap;
use jiff::civil::Date;
use serde::Deserialize;

/// The version of the schema that this program reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One playbook.
#[derive(Clone, Debug, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Playbook {
    /// Always [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Id: lower-case letters, digits and dashes.
    pub id: PlaybookId,
    /// Name.
    pub name: String,
    /// Counts up with each change.
    pub version: u32,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub description: String,
    /// When somebody last read it through.
    pub last_reviewed: Option<Date>,
    /// When it was last run in an exercise.
    pub last_exercised: Option<Date>,
    /// Severities it is meant for; empty means any.
    #[serde(default)]
    pub severity: Vec<Severity>,
    /// Tenancies it may be run for; empty means any.
    #[serde(default)]
    pub tenancy: Vec<Tenancy>,
    /// What it has to reach.
    #[serde(default)]
    pub objectives: Objectives,
    /// When it is offered.
    #[serde(default)]
    pub triggers: Triggers,
    /// Conditions under which it must not be started.
    #[serde(default)]
    pub contraindications: Vec<Contraindication>,
    /// Parameters by name, in the order of the file.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// The tenants that it is run for, where they are several.
    pub targets: Option<Targets>,
    /// The times in which its changes need nobody besides.
    pub change_window: Option<ChangeWindow>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// What must hold at the end: CEL, all of them.
    #[serde(default)]
    pub exit_criteria: Vec<String>,
    /// What is owed after the incident.
    #[serde(default)]
    pub post_incident: PostIncident,
}

/// The times in which the steps of a playbook may change something like any other step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeWindow {
    /// Name of the windows of kind `change` in the policy. A name that the policy does not know is never open.
    pub calendar: String,
    /// What steps of medium and high risk need outside of them.
    pub on_closed: OnClosed,
}

/// What a step needs outside its change window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnClosed {
    /// The approval of the role that policy names for it (`[freeze] approver`).
    RequireFreezeApprover,
    /// Nothing helps: the step waits for the window.
    Deny,
}

/// What a playbook has to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    /// Recovery time objective.
    pub rto: Option<Span>,
    /// Recovery point objective.
    pub rpo: Option<Span>,
}

/// When a playbook is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Triggers {
    /// Rules whose findings it fits.
    #[serde(default)]
    pub findings: Vec<String>,
    /// CEL over the tenant of the finding; it is offered only where this is true.
    pub when: Option<String>,
    /// For how long the finding must have stood before its low-risk steps may run without a key.
    #[serde(rename = "for")]
    pub lasting: Option<Span>,
    /// Up to which risk its steps may run without a key, on a dedicated tenant; only `low` is allowed.
    pub auto_run_max_risk: Option<Risk>,
}

/// A condition under which a playbook must not be started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contraindication {
    /// CEL; true or unknown keeps the run from starting.
    pub when: String,
    /// Why, one sentence.
    pub text: String,
    /// Rules of `triggers.findings` for whose findings the playbook is offered all the same, since they say themselves
    /// what this asks for. Who starts it is asked none the less.
    #[serde(default)]
    pub except_for: Vec<String>,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// The id of a tenant of the estate.
    Tenant,
    /// The name of a tenant's database.
    Database,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameter {
    /// Type.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Value when it is not given.
    pub default: Option<serde_json::Value>,
    /// Allowed values; empty means any.
    #[serde(default)]
    pub allowed_values: Vec<serde_json::Value>,
    /// Regular expression that the whole text must match.
    pub pattern: Option<String>,
    /// Whether its value is kept nowhere and shown nowhere.
    #[serde(default)]
    pub secret: bool,
}

impl Playbook {
    /// The step of that id.
    pub fn step(&self, id: &crate::domain::id::StepId) -> Option<&Step> {
        self.steps.iter().find(|s| &s.id == id)
    }

    /// The greatest risk that a step declares.
    pub fn risk(&self) -> Risk {
        self.steps.iter().map(Step::declared_risk).max().unwrap_or(Risk::Low)
    }

    /// Name of the parameter that says which tenant a run is about.
    pub fn tenant_parameter(&self) -> Option<&str> {
        self.parameters.iter().find(|(_, p)| p.kind == ParameterType::Tenant).map(|(name, _)| name.as_str())
    }
}
