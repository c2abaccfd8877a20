//! What a caller can ask a run: how it stands, its steps with what they send and put out, and what the gate needs.

use super::effect::{LookAt, Subject};
use super::fan::Seat;
use super::input::{ApprovalGiven, Parent, Rendering, Start};
use super::machine::Run;
use super::state::{ConfirmedBy, Phase, Question, Then};
use super::view::StepState;
use crate::domain::id::{Digest, PlaybookId, RunId, StepId};
use crate::domain::request::Request;
use crate::domain::risk::Risk;
use crate::playbook::expr::select;
use crate::playbook::plan::Plan;
use crate::playbook::schema::{Call, Class, Step, output_name};
use crate::playbook::template;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
}
