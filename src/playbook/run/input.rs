//! What the engine tells a run.

use super::effect::{Mark, Ticket};
use crate::domain::id::{Digest, IncidentId, Person, RunId, StepId, TenantId};
use crate::domain::identity::Identity;
use crate::domain::incident::Role;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::Request;
use crate::domain::risk::{Assessment, Confirmation, Reversible};
use crate::domain::run::RunState;
use crate::playbook::expr::Evaluation;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// Name of the run.
    pub run: RunId,
    /// Parameters, checked and typed by `playbook::params`.
    pub params: BTreeMap<String, Value>,
    /// Tenant that it is about.
    pub tenant: Option<TenantId>,
    /// Incident that it belongs to.
    pub incident: Option<IncidentId>,
    /// Who started it.
    pub by: Person,
    /// The tenants that it is run for, where its playbook selects several.
    pub targets: Vec<TenantId>,
    /// The step of another run that it was started by.
    pub parent: Option<Parent>,
    /// What the record says of each secret parameter: its commitment. Among the parameters stands the word for it.
    pub secrets: BTreeMap<String, Value>,
}

/// The step that another run was started by.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Sequence number of the record that the step was started with; a step that is begun again has another run.
    pub started: u64,
    /// Which branch of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<StepId>,
    /// Whether the run only calls somebody because the step waits for too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
}

/// How a run that belongs to a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFound {
    /// Which branch, where the step has several.
    pub branch: Option<StepId>,
    /// The run and its state, or why there is none; one sentence.
    pub found: Result<(RunId, RunState), String>,
}

/// A step as it was rendered at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendering {
    /// What would be sent.
    pub request: Request,
    /// Its digest, from `policy::digest` over [`super::Run::bound`].
    pub digest: Digest,
    /// What policy says.
    pub assessment: Assessment,
    /// Whether the verb may be run twice (`VerbSpec::idempotent`).
    pub idempotent: bool,
    /// Whether its effect can be taken back (verb and playbook, the worse).
    pub reversible: Reversible,
    /// Whether the verb only looks.
    pub read_only: bool,
    /// The values that it is bound to: expression and value.
    pub bound: Vec<(String, String)>,
    /// The digest of the same request for no run: what a preview shows.
    pub shown: Option<Digest>,
}

impl Rendering {
    /// Whether a later rendering of the same step means the same: the same target with the same checks of the server
    /// (identity of the session, generation of the Deployment), judged the same by policy. What only tells the time of
    /// rendering may differ; what was shown stays what runs.
    pub(super) fn stands(&self, later: &Self) -> bool {
        let (was, is) = (&self.assessment, &later.assessment);
        let asked = |a: &Assessment| a.confirmation.clone().unwrap_or(Confirmation::Keypress);
        self.request.verb == later.request.verb
            && self.request.target == later.request.target
            && self.request.server_checks == later.request.server_checks
            && self.bound == later.bound
            && was.terms == is.terms
            && (was.risk, was.approvals, was.login, asked(was)) == (is.risk, is.approvals, is.login, asked(is))
            && is.denials.is_empty()
    }
}

/// What stands for the second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalGiven {
    /// In a drill: one simulated person.
    Simulated {
        /// Who is simulated.
        person: Person,
    },
    /// A person has signed. Whether the signature counts was checked by the engine, and is again at the start.
    Signed(Box<SignedBy>),
    /// The glass is broken; it stands for all approvals.
    Glass {
        /// Who broke it.
        by: Person,
        /// Why.
        reason: String,
        /// When it mends itself.
        until: Timestamp,
    },
}

/// A signed approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// Who, by the roster.
    pub person: Person,
    /// In which role.
    pub role: Role,
    /// Name of the request.
    pub request: String,
    /// Fingerprint of the key.
    pub key: String,
    /// Whether that is a security key.
    pub key_is_security_key: bool,
    /// The certificate, where one was used.
    pub certificate: Option<String>,
    /// The bytes that were signed.
    pub statement: String,
    /// The armored signature.
    pub signature: String,
    /// What the identity provider has said of the person for this approval, where a second factor is asked for.
    pub login: Option<Identity>,
}

/// Why an input was not taken, one sentence. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Starts it; the first input.
    Begin,
    /// Answer to `Effect::Render`.
    Rendered {
        /// Ticket of the question.
        ticket: Ticket,
        /// The rendering.
        rendering: Box<Rendering>,
    },
    /// Answer to `Effect::Render`.
    RenderFailed {
        /// Ticket of the question.
        ticket: Ticket,
        /// Why, one sentence.
        why: String,
    },
    /// Answer to `Effect::Evaluate`, in the order of the playbook.
    Evaluated {
        /// Ticket of the question.
        ticket: Ticket,
        /// One for each expression asked for.
        results: Vec<Evaluation>,
    },
    /// Answer to `Effect::Append`: the record is on disk.
    Durable {
        /// Mark of the record.
        mark: Mark,
        /// Its sequence number.
        seq: u64,
    },
    /// Answer to `Effect::Append`: it could not be written. The run halts and can be resumed.
    NotDurable {
        /// Mark of the record.
        mark: Mark,
        /// Why.
        why: String,
    },
    /// A person confirms the step as shown.
    Confirm {
        /// Which step.
        step: StepId,
        /// Generation that was on the screen.
        generation: u64,
        /// Digest that was on the screen.
        digest: Digest,
        /// What was typed, where typing was asked for.
        typed: Option<String>,
        /// What the identity provider has said of the person for this confirmation, where a second factor is asked for.
        login: Option<Box<Identity>>,
        /// Who.
        by: Person,
    },
    /// A second person approves the step in hand.
    Approved {
        /// Which step.
        step: StepId,
        /// Digest that was approved.
        digest: Digest,
        /// What stands for that person.
        approval: ApprovalGiven,
    },
    /// The step in hand was not approved: a second person said no, or nobody answered in time.
    NotApproved {
        /// Which step.
        step: StepId,
        /// Digest that was to be approved.
        digest: Digest,
        /// Whether the time was over; else a person said no.
        expired: bool,
        /// Why, one sentence.
        why: String,
        /// What else the record says.
        said: Value,
    },
    /// Answer to `Effect::Execute`.
    Executed {
        /// Ticket of the question.
        ticket: Ticket,
        /// How it ended.
        outcome: Outcome,
    },
    /// Answer to `Effect::Look`.
    Looked {
        /// Ticket of the question.
        ticket: Ticket,
        /// What was seen.
        outcome: Outcome,
    },
    /// Answer to `Effect::Reconcile`.
    Reconciled {
        /// Ticket of the question.
        ticket: Ticket,
        /// What was found.
        found: Reconciled,
    },
    /// Answer to `Effect::DryRun`.
    DryRan {
        /// Ticket of the question.
        ticket: Ticket,
        /// What the server said that it would do, or why it would refuse.
        said: Result<String, String>,
    },
    /// Answer to `Effect::Children`.
    Children {
        /// Ticket of the question.
        ticket: Ticket,
        /// One for each that was asked for.
        found: Vec<ChildFound>,
    },
    /// A person gives the values that the step asks for.
    Given {
        /// Which step.
        step: StepId,
        /// Generation that was on the screen.
        generation: u64,
        /// Values as text, by name.
        values: BTreeMap<String, String>,
        /// Who.
        by: Person,
    },
    /// A person keeps a step from running by itself; it waits for a confirmation then.
    Hold {
        /// Which step.
        step: StepId,
    },
    /// The record is on disk that stakeholders were told what a step says.
    Told {
        /// Which step.
        step: StepId,
    },
    /// A person chooses one of the offered choices.
    Decide {
        /// Which step.
        step: StepId,
        /// Generation that was on the screen.
        generation: u64,
        /// Key of the choice.
        choice: String,
        /// Why, where the choice asks for it.
        reason: String,
        /// Who.
        by: Person,
    },
    /// Prepare the waiting step again.
    Recheck {
        /// Which step.
        step: StepId,
    },
    /// Stop after the step in hand.
    Stop {
        /// Why.
        reason: String,
        /// Who.
        by: Person,
        /// Whether it is the emergency stop.
        emergency: bool,
    },
    /// Go on after a stop, an interruption or an unwritable journal.
    Resume {
        /// Who.
        by: Person,
    },
    /// Something was observed anew: what waits for a confirmation is rendered again at once.
    Seen,
    /// Time has passed; to be sent at least once a second while the run is open.
    Tick,
}
