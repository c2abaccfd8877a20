//! The mappings within a step.

use super::scalar::{Next, Span};
use crate::domain::id::{PlaybookId, StepId};
use crate::domain::incident::{Role, Severity};
use crate::domain::risk::Risk;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Whether a second factor has to be proven, as policy says by what; without a source the answer is no.
    #[serde(default)]
    pub mfa: bool,
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

    pub(super) fn bound(&self) -> String {
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
    /// Whether the server is asked what it would do, before a person confirms.
    #[serde(default)]
    pub dry_run: bool,
    /// Members of the answer that are kept nowhere, dotted: `token`, `user.password`.
    #[serde(default)]
    pub mask_outputs: Vec<String>,
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

/// One way of a branch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Way {
    /// CEL; the first way whose condition is true is taken.
    #[serde(rename = "if")]
    pub condition: String,
    /// Where it leads.
    pub then: Next,
}

/// One look of a parallel step.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// Id within the step; its answer is `outputs.STEP.ID`, with dashes as underscores.
    pub id: StepId,
    /// What is run.
    pub run: Call,
}

/// One branch of a parallel step that acts: a playbook of its own, with its own intents, confirmations and approvals.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParallelRun {
    /// Id within the step.
    pub id: StepId,
    /// Which playbook it runs.
    pub playbook: PlaybookId,
    /// Its parameters, templates.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// In which order several targets are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One alone, to its verification; then the others.
    #[default]
    CanaryFirst,
    /// All in one ring.
    AllAtOnce,
}

const fn one() -> u16 {
    1
}

/// The items of a foreach.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Foreach {
    /// CEL over `outputs` and `params` that comes out as a list; each of its values is `item` in the arguments.
    pub items: String,
    /// Order.
    #[serde(default)]
    pub order: Order,
    /// How many requests may be under way at the same time.
    #[serde(default = "one")]
    pub max_concurrency: u16,
    /// How many items may fail before the step does.
    #[serde(default)]
    pub max_errors: u16,
}

/// The tenants that a playbook is run for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Targets {
    /// CEL over `tenant`, `params` and the tenant's `signals`; evaluated once, when the run starts.
    pub selector: String,
    /// Order.
    #[serde(default)]
    pub order: Order,
    /// How many requests may be under way at the same time.
    #[serde(default = "one")]
    pub max_concurrency: u16,
    /// How many targets may fail in a step before it does.
    #[serde(default)]
    pub max_errors: u16,
}

/// Running a step again when it failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub max_attempts: u8,
    /// Time between two attempts; none when absent.
    pub backoff: Option<Span>,
    /// After what; both when empty.
    #[serde(default)]
    pub on: Vec<RetryOn>,
}

/// What a retry follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryOn {
    /// The server said no, or was not reached.
    Failure,
    /// The effect was not seen.
    Verification,
}

/// How a step is taken back; it goes through the same gates as the step.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// What is run.
    pub run: Call,
    /// How it is known to have worked.
    #[serde(default)]
    pub verify: Vec<Verify>,
    /// Risk; policy may raise it, never lower it.
    pub risk: Option<Risk>,
}

/// Something that is kept beside a step.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capture {
    /// When.
    pub capture: When,
    /// The look whose answer is kept.
    pub source: Call,
}

/// When something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before the step is rendered.
    Before,
    /// After it is done and verified.
    After,
}

/// Whom a step is told to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Comms {
    /// What is told, a template.
    pub template: String,
    /// Who is told.
    pub audience: Vec<String>,
    /// After what time they are to be told again while the run is open.
    pub every: Option<Span>,
    /// Whether the step waits until somebody says that it was told.
    #[serde(default)]
    pub block: bool,
}

/// Who is called when a step waits for too long.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Escalate {
    /// For how long it may wait; a step of type escalate has none, it calls at once.
    pub after: Option<Span>,
    /// Who is called.
    pub to: String,
}

/// What is owed after the incident; it closes only when each duty is done or handed to an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostIncident {
    /// What was changed on the running system and has to be brought into Git.
    pub reconcile_git: Option<String>,
    /// Which freeze is lifted.
    pub unfreeze: Option<String>,
    /// What the retrospective has to answer.
    pub retrospective: Option<String>,
    /// What is left to be cleaned up.
    pub cleanup: Option<String>,
}

impl PostIncident {
    /// The duties that there are: a word and what is to be done.
    pub fn duties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("reconcile-git", &self.reconcile_git),
            ("unfreeze", &self.unfreeze),
            ("retrospective", &self.retrospective),
            ("cleanup", &self.cleanup),
        ];
        all.into_iter().filter_map(|(word, what)| Some((word, what.as_deref()?)))
    }
}
