//! The run itself and what it takes in. What a caller can ask it is in `ask`, what people do in `people`; the transitions are in
//! `prepare`, `flow`, `verify`, `outcome` and `halt`; what expressions say in `evaluate`; the bodies of the records in `record`.

use super::effect::{Effect, Mark, Ticket};
use super::input::{Input, Refusal, Start};
use super::record::Clean;
use super::state::{Choose, ConfirmedBy, Lasting, Phase, Question, StepRun, Then};
use crate::domain::id::{Person, StepId};
use crate::playbook::plan::Plan;
use crate::playbook::schema::Step;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How old the last evaluation of the preconditions may be when the start is durable.
pub const MAX_CHECK_AGE: SignedDuration = SignedDuration::from_secs(5);

/// A stop that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StopAsked {
    pub(super) reason: String,
    pub(super) by: Person,
    pub(super) emergency: bool,
}

/// One run of a playbook.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) plan: Arc<Plan>,
    pub(super) start: Start,
    pub(super) phase: Phase,
    pub(super) generation: u64,
    pub(super) current: usize,
    pub(super) steps: Vec<StepRun>,
    pub(super) lasting: Vec<Lasting>,
    /// Whether what was done is being taken back.
    pub(super) rolling: bool,
    pub(super) asked: u64,
    pub(super) stop: Option<StopAsked>,
    /// Whether nothing speaks against this playbook, or a person went on in spite of it.
    pub(super) cleared: bool,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// When the last input came.
    pub(super) now: Timestamp,
}

impl Run {
    /// A run that has not begun.
    pub fn new(plan: Arc<Plan>, start: Start) -> Self {
        let steps: Vec<StepRun> = plan.steps().iter().map(|s| StepRun::new(s.verify.len())).collect();
        let lasting = vec![Lasting::default(); steps.len()];
        Self {
            plan,
            start,
            phase: Phase::New,
            generation: 0,
            current: 0,
            steps,
            lasting,
            rolling: false,
            asked: 0,
            stop: None,
            cleared: false,
            started_at: None,
            ended_at: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// Notes that somebody was called because a step waits, by a run whose records are not this run's.
    pub fn note_called(&mut self, step: &StepId) {
        if let Some(lasting) = self.plan.index(step).and_then(|i| self.lasting.get_mut(i)) {
            lasting.escalated = true;
        }
    }

    /// Takes one input and says what follows from it. An answer to a question that is no longer asked is ignored.
    ///
    /// # Errors
    /// [`Refusal`] when a person asks for what can not be done now; nothing has changed then.
    pub fn apply(&mut self, input: Input, now: Timestamp) -> Result<Vec<Effect>, Refusal> {
        let mut out = Vec::new();
        self.now = now;
        match input {
            Input::Begin => self.begin(now, &mut out)?,
            Input::Rendered { ticket, rendering } => {
                if self.answers(ticket, Question::Render) {
                    self.rendered(*rendering, now, &mut out);
                } else if self.renews(ticket) {
                    self.rendered_again(*rendering, now, &mut out);
                }
            }
            Input::RenderFailed { ticket, why } => {
                if self.answers(ticket, Question::Render) {
                    self.refuse(format!("it can not be rendered: {}", why.clean()), now, &mut out);
                } else if self.renews(ticket) {
                    let why = format!("it changed while it waited, and can not be rendered now: {}", why.clean());
                    self.refuse(why, now, &mut out);
                }
            }
            Input::Evaluated { ticket, results } => self.evaluated(ticket, results, now, &mut out),
            Input::Durable { mark, seq } => self.durable(mark, seq, now, &mut out),
            Input::NotDurable { mark, why } => self.not_durable(mark, &why),
            Input::Confirm { step, generation, digest, typed, login, by } => {
                self.confirm(&step, ConfirmedBy { generation, digest, typed, login, by, seq: None }, &mut out)?;
            }
            Input::Approved { step, digest, approval } => self.approved(&step, &digest, approval, now, &mut out)?,
            Input::NotApproved { step, digest, expired, why, said } => {
                self.not_approved(&step, &digest, (expired, &why, said), &mut out)?;
            }
            Input::Executed { ticket, outcome } => {
                if self.item_executed(ticket, &outcome, now, &mut out) {
                } else if self.answers(ticket, Question::Execute) {
                    self.ended(outcome, now, &mut out);
                }
            }
            Input::Looked { ticket, outcome } => {
                if self.answers(ticket, Question::Look) {
                    self.ended(outcome, now, &mut out);
                } else {
                    self.watch_looked(ticket, outcome, now, &mut out);
                }
            }
            Input::Reconciled { ticket, found } => {
                if self.answers(ticket, Question::Reconcile) {
                    self.reconciled(found, None, &mut out);
                }
            }
            Input::DryRan { ticket, said } => {
                if self.answers(ticket, Question::DryRun) {
                    self.dry_ran(said, now, &mut out);
                }
            }
            Input::Children { ticket, found } => {
                if matches!(self.phase, Phase::Child { ticket: Some(asked), .. } if asked == ticket) {
                    self.children(found, now, &mut out);
                }
            }
            Input::Given { step, generation, values, by } => {
                self.given(&step, generation, &values, &by, &mut out)?;
            }
            Input::Hold { step } => self.hold(&step)?,
            Input::Told { step } => self.told(&step, now, &mut out)?,
            Input::Decide { step, generation, choice, reason, by } => {
                self.decide(&step, generation, &choice, &reason, by, &mut out)?;
            }
            Input::Recheck { step } => self.recheck(&step, now, &mut out)?,
            Input::Stop { reason, by, emergency } => {
                self.stop(StopAsked { reason: reason.clean(), by, emergency }, &mut out)?;
            }
            Input::Resume { by } => self.resume(&by, &mut out)?,
            Input::Seen => self.renew(&mut out),
            Input::Tick => self.tick(now, &mut out),
        }
        self.note_waiting(now);
        Ok(out)
    }

    pub(super) fn of(&self, step: &StepId) -> Option<&StepRun> {
        self.steps.get(self.plan.index(step)?)
    }

    pub(super) fn spec(&self) -> Option<Step> {
        self.current_step().cloned()
    }

    /// Changes what is known of the step in hand.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut StepRun)) {
        if let Some(step) = self.steps.get_mut(self.current) {
            change(step);
        }
    }

    pub(super) fn here(&self) -> Option<&StepRun> {
        self.steps.get(self.current)
    }

    /// Voids whatever was shown before.
    pub(super) const fn bump(&mut self) {
        self.generation += 1;
    }

    pub(super) const fn ticket(&mut self) -> Ticket {
        self.asked += 1;
        Ticket(self.asked)
    }

    pub(super) const fn mark(&mut self) -> Mark {
        self.asked += 1;
        Mark(self.asked)
    }

    fn answers(&self, ticket: Ticket, question: Question) -> bool {
        self.phase == Phase::Ask { ticket, question }
    }

    /// Whether this renews what waits for a confirmation.
    fn renews(&self, ticket: Ticket) -> bool {
        matches!(
            self.phase,
            Phase::Confirmation { refresh: Some(asked), .. } | Phase::Approval { refresh: Some(asked), .. }
                if asked == ticket
        )
    }

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.phase != Phase::New {
            return Err(Refusal(format!("the run {} has begun already", self.start.run)));
        }
        self.started_at = Some(now);
        let body = self.started_body();
        self.record("run.started", body, Then::RunStarted, out);
        Ok(())
    }

    /// What can not be recalled any more, one sentence each: what is being sent, and what was done irreversibly.
    pub fn irrevocable(&self) -> Vec<String> {
        use super::state::Sent;
        use crate::domain::risk::Reversible;
        let steps = self.plan.steps().iter().zip(&self.steps);
        steps
            .filter_map(|(step, run)| {
                let rendering = run.rendering.as_ref().filter(|r| !r.read_only)?;
                let object = &rendering.request.target.object;
                match (&run.sent, rendering.reversible) {
                    (Sent::InHand, _) => Some(format!("{}: the request to {object} is being sent", step.id)),
                    (Sent::Unknown, _) => Some(format!("{}: the request to {object} may have had its effect", step.id)),
                    (Sent::Done, Reversible::No) => Some(format!("{}: {object} can not be taken back", step.id)),
                    (Sent::Done, Reversible::Yes | Reversible::Compensatable) | (Sent::No | Sent::Refused, _) => None,
                }
            })
            .collect()
    }
}

/// What a choice is offered as.
pub(super) fn offer(
    key: &str,
    label: impl Into<String>,
    needs_reason: bool,
    choose: Choose,
) -> (super::Offered, Choose) {
    (super::Offered { key: key.to_owned(), label: label.into(), needs_reason }, choose)
}
