//! What a run remembers: where it is, and of each step what was rendered, recorded, sent and seen.

use super::effect::{Mark, Ticket};
use super::fan::Fan;
use super::input::{ApprovalGiven, Rendering};
use super::view::{RunState, StepState, TargetLine};
use crate::domain::id::{Digest, Person, RunId, StepId};
use crate::domain::identity::Identity;
use crate::domain::ports::Reconciled;
use crate::playbook::expr::Evaluation;
use crate::playbook::schema::Next;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the run waits for. There is always exactly one thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// The first input.
    New,
    /// The journal.
    Record { mark: Mark, kind: &'static str, body: Value, then: Then },
    /// The engine's answer to a question.
    Ask { ticket: Ticket, question: Question },
    /// That what blocks the step goes away; tried again at `retry_at`.
    Blocked { retry_at: Timestamp },
    /// A person's confirmation; the request and the checks on the screen are renewed at `refresh_at`. A step that may
    /// run by itself is confirmed by nobody at `auto_at`.
    Confirmation { refresh_at: Timestamp, refresh: Option<Ticket>, auto_at: Option<Timestamp> },
    /// A second person; renewed as beside a confirmation.
    Approval { refresh_at: Timestamp, refresh: Option<Ticket> },
    /// A person's decision.
    Decision,
    /// Values from a person.
    Form,
    /// The outcomes of the requests that are under way.
    Batch,
    /// That a time passes.
    Sleeping { until: Timestamp },
    /// The end of another run; asked for again at `ask_at`.
    Child { ask_at: Timestamp, ticket: Option<Ticket> },
    /// That the effect shows, and holds.
    Verifying,
    /// A person's resume.
    Stopped { why: String },
    /// A person's resume, because a record could not be written.
    Unwritten { kind: &'static str, body: Value, then: Then, why: String },
    /// Nothing any more.
    Over(RunState),
}

/// What was asked of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Contraindications,
    Condition,
    Render,
    Preconditions,
    /// The preconditions once more, after the confirmation.
    LastCheck,
    Execute,
    Look,
    Reconcile,
    /// The ways of a branch.
    Ways,
    /// What the server says that it would do.
    DryRun,
}

/// What follows when the record is durable.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    RunStarted,
    Skipped,
    Intended,
    Confirmed,
    ApprovalRequested,
    Approved,
    Refused {
        why: String,
    },
    /// A contraindication of the playbook holds, or may hold.
    AdvisedAgainst {
        why: String,
    },
    Cancelled,
    Started,
    Done {
        next: Next,
    },
    Failed {
        why: String,
    },
    /// Its start is on disk and it was not sent after all.
    NotSent {
        why: String,
    },
    Unknown,
    Reconciled(Reconciled),
    Verified,
    NotVerified {
        why: String,
    },
    Decided(Action),
    /// The outcome of one of several requests is on disk.
    ItemEnded,
    /// What the step did is taken back.
    RolledBack,
    Stopped,
    Resumed,
    RunFinished(RunState),
}

impl Then {
    /// Whether nothing had been sent yet when the record was to be written, so that the step can be prepared anew.
    pub(super) const fn is_before_sending(&self) -> bool {
        matches!(
            self,
            Self::Intended
                | Self::Confirmed
                | Self::ApprovalRequested
                | Self::Approved
                | Self::Refused { .. }
                | Self::AdvisedAgainst { .. }
                | Self::Started
        )
    }
}

/// What a choice does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Go on in spite of a contraindication.
    StartAnyway,
    /// The step from its beginning, with everything that it takes.
    Retry,
    /// The same after a while, without a person.
    RetryAt { at: Timestamp, attempt: u8, of: u8 },
    /// Take back what was done.
    Rollback,
    /// Go on without it.
    Skip { reason: String, by: Person },
    /// End the run as failed.
    Abort,
    /// Look at the target again.
    Reconcile,
    /// Wait for the verification again.
    VerifyAgain,
    /// A person says what looking could not tell.
    Settle { took_effect: bool, reason: String, by: Person },
    /// The work of a manual step is done, or a decision leads somewhere.
    Go { next: Next, summary: String },
}

/// A confirmation that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedBy {
    /// Generation that was on the screen.
    pub generation: u64,
    /// Digest that was on the screen.
    pub digest: Digest,
    /// What was typed.
    pub typed: Option<String>,
    /// What the identity provider has said of the person for it, where a second factor is asked for.
    pub login: Option<Box<Identity>>,
    /// Who.
    pub by: Person,
    /// Sequence number of its record, once durable.
    pub seq: Option<u64>,
}

/// What has become of a step's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Not sent.
    No,
    /// Its start is on disk; sent, or about to be.
    InHand,
    /// The server said yes.
    Done,
    /// The server said no; nothing was changed.
    Refused,
    /// Not known, and recorded as such.
    Unknown,
}

/// One entry of `verify` while it is waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Watch {
    pub(super) ticket: Option<Ticket>,
    /// When the look that the evaluation is about was asked for.
    pub(super) looked_at: Option<Timestamp>,
    pub(super) next_at: Option<Timestamp>,
    /// When the unbroken row of true evaluations began.
    pub(super) holding_since: Option<Timestamp>,
    /// Up to which observation that row reaches.
    pub(super) held_until: Option<Timestamp>,
    pub(super) satisfied: bool,
    pub(super) last: Option<Evaluation>,
}

/// What is known of one step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepRun {
    pub(super) state: StepState,
    pub(super) rendering: Option<Rendering>,
    pub(super) checks: Vec<Evaluation>,
    pub(super) checked_at: Option<Timestamp>,
    pub(super) confirmed: Option<ConfirmedBy>,
    pub(super) approvals: Vec<(ApprovalGiven, Option<u64>)>,
    pub(super) intended: Option<u64>,
    pub(super) started: Option<u64>,
    pub(super) sent: Sent,
    /// When its outcome came; observations must be newer to verify it.
    pub(super) outcome_at: Option<Timestamp>,
    pub(super) result: Option<Value>,
    /// One line: what came out, or why it waits.
    pub(super) line: Option<String>,
    /// Since when its verification is waited for.
    pub(super) verifying_since: Option<Timestamp>,
    pub(super) watches: Vec<Watch>,
    pub(super) choices: Vec<(super::view::Offered, Choose)>,
    /// Where a finished decision led.
    pub(super) next: Next,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// The targets or items that it is repeated over.
    pub(super) fan: Option<Fan>,
    /// What the server said that it would do.
    pub(super) dry_run: Option<String>,
    /// Why it was last refused, as the record says.
    pub(super) refused: Option<String>,
    /// How each of its branches stands.
    pub(super) branches: Vec<TargetLine>,
}

/// What is remembered of a step however often it is begun.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lasting {
    /// How often it was begun again.
    pub(super) retries: u8,
    /// When somebody last said that stakeholders were told.
    pub(super) told_at: Option<Timestamp>,
    /// Since when it waits for a person or a system.
    pub(super) waits_since: Option<Timestamp>,
    /// Whether somebody was called because it waits.
    pub(super) escalated: bool,
    /// Whether what it did was taken back.
    pub(super) rolled_back: bool,
    /// The branches that have finished, with their runs; a retry does not run them again.
    pub(super) finished: BTreeMap<StepId, RunId>,
}

/// What an offered choice will do, before somebody has given a reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choose {
    StartAnyway,
    Retry,
    Rollback,
    Skip,
    Abort,
    Reconcile,
    VerifyAgain,
    TookEffect,
    NoEffect,
    Go(Next),
}

impl StepRun {
    pub(super) fn new(verify: usize) -> Self {
        Self {
            state: StepState::Pending,
            rendering: None,
            checks: Vec::new(),
            checked_at: None,
            confirmed: None,
            approvals: Vec::new(),
            intended: None,
            started: None,
            sent: Sent::No,
            outcome_at: None,
            result: None,
            line: None,
            verifying_since: None,
            watches: vec![Watch::default(); verify],
            choices: Vec::new(),
            next: Next::Continue,
            started_at: None,
            ended_at: None,
            fan: None,
            dry_run: None,
            refused: None,
            branches: Vec::new(),
        }
    }

    /// Begins again; of several targets, with those that failed.
    pub(super) fn again(&mut self, verify: usize) {
        if let Some(fan) = &mut self.fan {
            fan.again();
            self.forget(verify);
        } else {
            *self = Self::new(verify);
        }
    }

    /// The effect of a ring, or of the step, was seen.
    pub(super) fn ring_verified(&mut self, verify: usize) {
        match &mut self.fan {
            Some(fan) if !fan.is_over() => {
                fan.ring += 1;
                self.forget(verify);
            }
            _ => self.state = StepState::Done,
        }
    }

    /// Begins again with what is left of a step over several targets, or with the whole of any other.
    pub(super) fn forget(&mut self, verify: usize) {
        let (fan, result) = (self.fan.take(), self.result.take());
        *self = Self::new(verify);
        if let Some(fan) = fan {
            self.sent = if fan.has_done() { Sent::Done } else { Sent::No };
            self.line = Some(fan.line());
            self.fan = Some(fan);
            self.result = result;
        }
    }
}
