//! What a run asks the engine to do.

use crate::domain::id::StepId;
use serde_json::Value;

/// Names one question to the engine; its answer carries the same ticket. An answer to a question that the run no
/// longer asks is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// Names one record that is to become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub(super) u64);

/// Which expressions of a step are to be evaluated; [`super::Run::evaluate`] does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The contraindications of the playbook; the step is the one that would come next.
    Contraindications,
    /// Its `if`.
    Condition,
    /// All its preconditions.
    Preconditions,
    /// One entry of its `verify`.
    Verify(usize),
    /// The conditions of its ways.
    Ways,
}

/// Which look of a step is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookAt {
    /// The request of a step of type `check`, as it was rendered.
    Step,
    /// The `run` of one entry of `verify`; the engine renders it for this look ([`super::Run::call`]).
    Verify(usize),
}

/// What the engine has to do. Effects are carried out in order; all but [`Effect::Append`] may take their time.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Template the step's arguments, let the verb render, assess and digest it;
    /// answer [`super::Input::Rendered`] or [`super::Input::RenderFailed`].
    Render {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
    },
    /// Evaluate expressions against what is known now; answer [`super::Input::Evaluated`].
    Evaluate {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
        /// Which of its expressions.
        what: Subject,
        /// What a look answered, bound to `result`.
        result: Option<Value>,
    },
    /// Write a record; answer [`super::Input::Durable`] or [`super::Input::NotDurable`].
    Append {
        /// Mark of the answer.
        mark: Mark,
        /// Kind of the record, from the journal's list.
        kind: &'static str,
        /// Its body; without numbers that are no integers, and names the run and the step.
        body: Value,
    },
    /// Pass the gate ([`super::Run::start_proof`] has all that it asks) and execute the request, once;
    /// answer [`super::Input::Executed`]. A gate that stays shut is answered with `Outcome::Failed`.
    Execute {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
        /// Which of several requests of the step, where they are several.
        part: Option<usize>,
    },
    /// Run a verb that only looks; answer [`super::Input::Looked`].
    Look {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
        /// Which look.
        what: LookAt,
    },
    /// Look whether the step's request had its effect; answer [`super::Input::Reconciled`].
    Reconcile {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
        /// Which of several requests of the step, where they are several.
        part: Option<usize>,
    },
    /// Ask the server what the rendered request would do; answer [`super::Input::DryRan`].
    DryRun {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
    },
    /// See to it that the runs of the step exist ([`super::Run::open_children`]), and how they stand; answer
    /// [`super::Input::Children`].
    Children {
        /// Ticket of the answer.
        ticket: Ticket,
        /// Which step.
        step: StepId,
    },
    /// Call somebody, and record it: a step waits for too long.
    Escalate {
        /// Which step.
        step: StepId,
        /// Who is called.
        to: String,
        /// Why, one sentence.
        why: String,
    },
    /// The run has ended and its last record is durable; nothing follows.
    Finish {
        /// How it ended.
        state: super::RunState,
    },
}
