//! The run itself: what it takes in and what a caller can ask it. What people ask is in `people`; the transitions are in
//! `prepare`, `flow`, `verify`, `outcome` and `halt`; what expressions say in `evaluate`; the bodies of the records in `record`.

use super::effect::{Effect, LookAt, Mark, Subject, Ticket};
use super::fan::Seat;
use super::input::{ApprovalGiven, Input, Parent, Refusal, Rendering, Start};
use super::record::Clean;
use super::state::{Choose, ConfirmedBy, Lasting, Phase, Question, StepRun, Then};
use super::view::StepState;
use crate::domain::id::{Digest, Person, PlaybookId, RunId, StepId};
use crate::domain::request::Request;
use crate::domain::risk::Risk;
use crate::playbook::expr::select;
use crate::playbook::plan::Plan;
use crate::playbook::schema::{Call, Class, Step, output_name};
use crate::playbook::template;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

/// Everything that the gate asks for at the start of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StartProof<'a> {
    /// The playbook and its version.
    pub playbook: (&'a PlaybookId, u32),
    /// What is to be sent.
    pub request: &'a Request,
    /// Its digest in the record `step.intended`.
    pub digest: &'a Digest,
    /// Time allowed for it.
    pub timeout: Duration,
    /// Generation of the plan now.
    pub generation: u64,
    /// Preconditions as the digest binds them, with what they said.
    pub checks: Vec<(String, Option<bool>)>,
    /// When they were evaluated.
    pub checked_at: Option<Timestamp>,
    /// The confirmation.
    pub confirmed: Option<&'a ConfirmedBy>,
    /// The approvals, with the sequence numbers of their records.
    pub approvals: &'a [(ApprovalGiven, Option<u64>)],
    /// Sequence number of `step.intended`.
    pub intended: Option<u64>,
    /// Sequence number of `step.started`.
    pub started: Option<u64>,
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

    /// Name of the run.
    pub const fn id(&self) -> &RunId {
        &self.start.run
    }

    /// What it was started with.
    pub const fn start(&self) -> &Start {
        &self.start
    }

    /// Its playbook.
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Generation of the plan; a confirmation or decision carries the one that was on the screen.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether something can still follow.
    pub const fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Over(_))
    }

    /// Whether a request is being sent or its outcome is not on disk yet; an engine does not end before.
    pub fn is_in_hand(&self) -> bool {
        match &self.phase {
            Phase::Ask { question: Question::Execute, .. } | Phase::Batch => true,
            Phase::Record { then, .. } => {
                matches!(
                    then,
                    Then::Started
                        | Then::ItemEnded
                        | Then::Done { .. }
                        | Then::Failed { .. }
                        | Then::NotSent { .. }
                        | Then::Unknown
                )
            }
            _ => self.has_items_in_hand(),
        }
    }

    /// Whether somebody has asked for a stop that takes effect after the step in hand.
    pub const fn is_stop_asked(&self) -> bool {
        self.stop.is_some()
    }

    /// Risk of a step as it was assessed when it was rendered.
    pub fn risk(&self, step: &StepId) -> Option<Risk> {
        self.of(step)?.rendering.as_ref().map(|r| r.assessment.risk)
    }

    /// The step in hand.
    pub fn current_step(&self) -> Option<&Step> {
        self.plan.steps().get(self.current)
    }

    /// State of a step.
    pub fn step_state(&self, step: &StepId) -> Option<StepState> {
        self.of(step).map(|s| s.state)
    }

    /// A step as its playbook has it.
    pub fn step(&self, step: &StepId) -> Option<&Step> {
        self.plan.playbook().step(step)
    }

    /// The runs of the step in hand that have not finished: of each how it names its parent, its playbook and its
    /// parameters, which are templates.
    pub fn open_children(&self) -> Vec<(Parent, &PlaybookId, &BTreeMap<String, String>)> {
        let (Some(step), Some(started)) = (self.current_step(), self.here().and_then(|h| h.started)) else {
            return Vec::new();
        };
        let finished = self.lasting.get(self.current).map(|l| &l.finished);
        let open = step.children().filter(|(b, ..)| b.is_none_or(|b| finished.is_none_or(|f| !f.contains_key(b))));
        open.map(|(branch, playbook, params)| {
            let (run, step) = (self.start.run.clone(), step.id.clone());
            (Parent { run, step, started, branch: branch.cloned(), calls: false }, playbook, params)
        })
        .collect()
    }

    /// Notes that somebody was called because a step waits, by a run whose records are not this run's.
    pub fn note_called(&mut self, step: &StepId) {
        if let Some(lasting) = self.plan.index(step).and_then(|i| self.lasting.get_mut(i)) {
            lasting.escalated = true;
        }
    }

    /// The request for one of several targets of a step.
    pub fn request_for(&self, step: &StepId, target: &str) -> Option<&Request> {
        let run = self.of(step)?;
        let fan = run.fan.as_ref()?;
        let item = fan.find(target)?;
        let part = fan.asked.iter().position(|asked| *asked == item)?;
        run.rendering.as_ref()?.request.part(part)
    }

    /// A step as it was rendered last.
    pub fn rendering(&self, step: &StepId) -> Option<&Rendering> {
        self.of(step)?.rendering.as_ref()
    }

    /// The rendered request of a step.
    pub fn request(&self, step: &StepId) -> Option<&Request> {
        self.of(step)?.rendering.as_ref().map(|r| &r.request)
    }

    /// What is to be called for a question about a step.
    pub fn call(&self, step: &StepId, what: LookAt) -> Option<&Call> {
        let step = self.step(step)?;
        match what {
            LookAt::Step => step.run.as_ref(),
            LookAt::Verify(i) => step.verify.get(i)?.run.as_ref(),
        }
    }

    /// What the steps have put out so far, by output name.
    pub fn outputs(&self) -> BTreeMap<String, Value> {
        let results = self.plan.steps().iter().zip(&self.steps);
        results
            .filter_map(|(step, run)| {
                let result = run.result.as_ref()?;
                if step.outputs.is_empty() || run.fan.is_some() {
                    return Some((step.output_name(), result.clone()));
                }
                let chosen = step.outputs.iter().filter_map(|o| {
                    let value = select(self.plan.parsed(&o.selector)?, &self.start.params, result)?;
                    Some((o.name.clone(), value))
                });
                Some((step.output_name(), Value::Object(chosen.collect())))
            })
            .collect()
    }

    /// The requests that a step consists of, each with what it is for; `None` where it is one.
    pub fn parts(&self, step: &StepId) -> Option<Vec<(Seat, &Call)>> {
        let index = self.plan.index(step)?;
        let spec = self.plan.steps().get(index)?;
        if !spec.looks.is_empty() {
            let seat = |label: String| Seat { label, tenant: self.start.tenant.clone(), item: None };
            let looks = spec.looks.iter().map(|look| (seat(output_name(&look.id)), &look.run));
            return Some(looks.collect());
        }
        let call = spec.run.as_ref()?;
        self.plan.over(index)?;
        let seats = match (spec.class(), self.steps.get(index).and_then(|s| s.fan.as_ref())) {
            (Class::Acts, Some(fan)) => {
                fan.asked.iter().filter_map(|i| fan.items.get(*i)).map(|i| i.seat.clone()).collect()
            }
            // Not begun yet, as in a preview.
            (Class::Acts, None) => self.new_fan(index).ok()??.items.into_iter().map(|i| i.seat).collect(),
            _ => self.target_seats(),
        };
        Some(seats.into_iter().map(|seat: Seat| (seat, call)).collect())
    }

    /// For what the look of one entry of `verify` is asked, each; `None` where it is one look.
    pub fn look_parts(&self, step: &StepId, entry: usize) -> Option<Vec<Seat>> {
        let index = self.plan.index(step)?;
        let call = self.plan.steps().get(index)?.verify.get(entry)?.run.as_ref()?;
        if !template::mentions(call, "tenant") && !template::mentions(call, "item") {
            return None;
        }
        self.seats_of(index, Subject::Verify(entry))
    }

    /// The values that a step's confirmation and approvals are bound to, as they are now.
    ///
    /// # Errors
    /// What the gate asks for; `None` unless this step is to be executed now.
    pub fn start_proof(&self, step: &StepId) -> Option<StartProof<'_>> {
        if !matches!(self.phase, Phase::Ask { question: Question::Execute, .. } | Phase::Batch) {
            return None;
        }
        let spec = self.current_step().filter(|s| &s.id == step)?;
        let run = self.steps.get(self.current)?;
        let rendering = run.rendering.as_ref()?;
        let said = run.checks.iter().map(|e| e.verdict.holds()).chain(std::iter::repeat(None));
        let playbook = self.plan.playbook();
        Some(StartProof {
            playbook: (&playbook.id, playbook.version),
            request: &rendering.request,
            digest: &rendering.digest,
            timeout: spec.timeout(),
            generation: self.generation,
            checks: self.bound_lines(step, &rendering.bound).into_iter().zip(said).collect(),
            checked_at: run.checked_at,
            confirmed: run.confirmed.as_ref(),
            approvals: &run.approvals,
            intended: run.intended,
            started: run.started,
        })
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
            Input::Confirm { step, generation, digest, typed, by } => {
                self.confirm(&step, ConfirmedBy { generation, digest, typed, by, seq: None }, &mut out)?;
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
