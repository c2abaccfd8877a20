//! Steps that send nothing themselves: ways of a branch, values from a person, a time that passes, another run; and what
//! goes on beside a step that waits: that stakeholders are told, and that somebody is called.

use super::effect::Effect;
use super::input::{ChildFound, Refusal};
use super::machine::{Run, offer};
use super::outcome::abort;
use super::prepare::{AGAIN, Broken, after};
use super::record::Clean;
use super::state::{Choose, Phase, Then};
use super::view::{RunState, StepState, TargetLine};
use crate::domain::id::{Person, RunId, StepId};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::params;
use crate::playbook::schema::{Next, Step};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Run {
    /// The conditions of a branch have been evaluated: the first that is true leads on. One that is not known, before
    /// it, blocks: nothing is guessed.
    pub(super) fn branch(&mut self, said: &[Evaluation], now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        for (i, way) in spec.branches.iter().enumerate() {
            match said.get(i).map(|e| (&e.verdict, &e.detail)) {
                Some((Verdict::True, detail)) => {
                    return self.take_way(&way.then, &format!("{} is true ({detail})", way.condition), out);
                }
                Some((Verdict::False, _)) => {}
                Some((Verdict::Unknown(why), _)) => {
                    let what = format!("which way to go is not known: {}", way.condition);
                    return self.refuse_for(Broken::of(what, why), now, out);
                }
                None => {
                    let why = "which way to go is not known: a condition was not evaluated";
                    return self.refuse(why.into(), now, out);
                }
            }
        }
        let next = spec.otherwise.clone().unwrap_or(Next::Continue);
        self.take_way(&next, "no condition is true", out);
    }

    fn take_way(&mut self, next: &Next, why: &str, out: &mut Vec<Effect>) {
        let summary = format!("{}: {why}", next.word()).clean();
        self.edit(|s| s.line = Some(summary.clone()));
        let body = json!({"ended": "done", "summary": summary, "next": next.word()});
        self.record("step.finished", body, Then::Done { next: next.clone() }, out);
    }

    /// The start of a step that asks for values is on disk.
    pub(super) fn show_form(&mut self) {
        self.bump();
        self.edit(|s| {
            s.state = StepState::AwaitsDecision;
            s.choices = vec![offer("skip", "go on without them", true, Choose::Skip), abort()];
        });
        self.phase = Phase::Form;
    }

    pub(super) fn given(
        &mut self,
        step: &StepId,
        generation: u64,
        values: &BTreeMap<String, String>,
        by: &Person,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.is_current(step)?;
        self.is_generation(generation)?;
        let Some(spec) = self.spec().filter(|_| self.phase == Phase::Form) else {
            return Err(Refusal(format!("the step {step} does not ask for values")));
        };
        let given = params::typed_all(&spec.inputs, values).map_err(|problems| Refusal(problems.join("; ")))?;
        let result = super::record::clean_json(Value::Object(given.into_iter().collect()));
        let summary = format!("given by {by}").clean();
        self.edit(|s| {
            s.choices.clear();
            s.result = Some(result.clone());
            s.line = Some(summary.clone());
        });
        self.bump();
        let body = json!({"ended": "done", "summary": summary, "result": result.to_string(), "by": by});
        self.record("step.finished", body, Then::Done { next: Next::Continue }, out);
        Ok(())
    }

    /// The start of a step that lets time pass is on disk.
    pub(super) fn sleep(&mut self, now: Timestamp) {
        let Some(spec) = self.spec() else { return };
        let long = SignedDuration::try_from(spec.duration.map_or(std::time::Duration::ZERO, |d| d.0));
        let from = self.here().and_then(|h| h.started_at).unwrap_or(now);
        let until = after(from, long.unwrap_or(SignedDuration::MAX));
        self.edit(|s| {
            s.state = StepState::Executing;
            s.line = Some(format!("goes on at {until:.0}"));
            s.choices = vec![offer("skip", "go on without waiting", true, Choose::Skip), abort()];
        });
        self.phase = Phase::Sleeping { until };
    }

    pub(super) fn woken(&mut self, out: &mut Vec<Effect>) {
        let summary = "the time has passed".to_owned();
        self.edit(|s| {
            s.choices.clear();
            s.line = Some(summary.clone());
        });
        let body = json!({"ended": "done", "summary": summary});
        self.record("step.finished", body, Then::Done { next: Next::Continue }, out);
    }

    /// The start of a step that is another run is on disk.
    pub(super) fn begin_child(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let finished = self.lasting.get(self.current).map(|l| l.finished.clone()).unwrap_or_default();
        let line = |(branch, run): (StepId, RunId)| TargetLine {
            label: branch.to_string(),
            state: StepState::Done,
            line: format!("{run} finished").as_str().clean(),
        };
        self.edit(|s| {
            s.state = StepState::Executing;
            s.branches = finished.into_iter().map(line).collect();
        });
        self.ask_child(now, out);
    }

    pub(super) fn ask_child(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(step) = self.current_step().map(|s| s.id.clone()) else { return };
        let ticket = self.ticket();
        self.phase = Phase::Child { ask_at: after(now, AGAIN), ticket: Some(ticket) };
        out.push(Effect::Children { ticket, step });
    }

    /// How the runs of the step stand. The step is over when all of them are: when one fails, the others go on to their
    /// ends first.
    pub(super) fn children(&mut self, found: Vec<ChildFound>, now: Timestamp, out: &mut Vec<Effect>) {
        let mut failed = Vec::new();
        let done = self.lasting.get(self.current).map_or(0, |l| l.finished.len());
        let mut open = found.is_empty() && self.spec().is_none_or(|s| s.runs.is_empty() || s.runs.len() > done);
        for ChildFound { branch, found } in found {
            let label = branch.as_ref().map(|b| format!("{b}: ")).unwrap_or_default();
            let (state, line) = match found {
                Ok((run, RunState::Finished)) => {
                    let line = format!("{run} finished").clean();
                    if let (Some(branch), Some(lasting)) = (&branch, self.lasting.get_mut(self.current)) {
                        lasting.finished.insert(branch.clone(), run);
                    }
                    (StepState::Done, line)
                }
                Ok((run, state)) if state.is_over() => {
                    (StepState::Failed, format!("{run} ended as {}", state.word()).clean())
                }
                Ok((run, state)) => {
                    open = true;
                    (StepState::Executing, format!("{run} is {}", state.word()).clean())
                }
                Err(why) => (StepState::Failed, why.clean()),
            };
            if state == StepState::Failed {
                failed.push(format!("{label}{line}"));
            }
            self.edit(|s| match branch {
                Some(branch) => {
                    s.branches.retain(|b| b.label != branch.as_str());
                    s.branches.push(TargetLine { label: branch.to_string(), state, line });
                }
                None => s.line = Some(line),
            });
        }
        self.edit(|s| {
            s.branches.sort_by(|a, b| a.label.cmp(&b.label));
            if !s.branches.is_empty() {
                s.line = Some(branches_line(&s.branches));
            }
        });
        if open {
            self.phase = Phase::Child { ask_at: after(now, AGAIN), ticket: None };
            return;
        }
        let finished = self.lasting.get(self.current).map(|l| json!(l.finished)).filter(|f| *f != json!({}));
        if failed.is_empty() {
            let summary = self.here().and_then(|h| h.line.clone()).unwrap_or_default();
            let body = json!({"ended": "done", "summary": summary, "branches": finished});
            self.record("step.finished", body, Then::Done { next: Next::Continue }, out);
        } else {
            let why = failed.join("; ");
            let body = json!({"ended": "failed", "why": why, "branches": finished});
            self.record("step.finished", body, Then::Failed { why }, out);
        }
    }

    /// Whether the step waits until stakeholders were told, and they were not.
    pub(super) fn must_be_told(&self, spec: &Step) -> Option<String> {
        let comms =
            spec.comms.as_ref().filter(|c| c.block && spec.class() != crate::playbook::schema::Class::Person)?;
        let told = self.lasting.get(self.current).is_some_and(|l| l.told_at.is_some());
        (!told).then(|| format!("{} must be told first", comms.audience.join(", ")))
    }

    pub(super) fn told(&mut self, step: &StepId, now: Timestamp, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let spec = self.step(step).filter(|s| s.comms.is_some());
        let Some(index) = spec.and_then(|s| self.plan.index(&s.id)) else {
            return Err(Refusal(format!("the step {} tells nobody anything", step.as_str().clean())));
        };
        if !self.is_open() {
            return Err(Refusal("the run is not open: nothing of it is told".to_owned()));
        }
        self.note_told(index, now);
        if index == self.current && matches!(self.phase, Phase::Blocked { .. }) {
            self.prepare(out);
        }
        Ok(())
    }

    pub(super) fn note_told(&mut self, index: usize, now: Timestamp) {
        if let Some(lasting) = self.lasting.get_mut(index) {
            lasting.told_at = Some(now);
        }
    }

    /// When stakeholders are to be told again, of a step that was reached while the run is open.
    pub(super) fn tell_at(&self, index: usize) -> Option<Timestamp> {
        let comms = self.plan.steps().get(index)?.comms.as_ref()?;
        if index > self.current || !self.is_open() {
            return None;
        }
        let lasting = self.lasting.get(index)?;
        match (lasting.told_at, comms.every) {
            (Some(told), Some(every)) => SignedDuration::try_from(every.0).ok().map(|every| after(told, every)),
            (Some(_), None) => None,
            (None, _) => self.steps.get(index)?.started_at.or(self.started_at),
        }
    }

    /// Whether the step in hand waits for a person or a system.
    const fn waits(&self) -> bool {
        matches!(
            self.phase,
            Phase::Blocked { .. }
                | Phase::Confirmation { .. }
                | Phase::Approval { .. }
                | Phase::Decision
                | Phase::Form
                | Phase::Verifying
        )
    }

    /// Notes since when the step in hand waits.
    pub(super) fn note_waiting(&mut self, now: Timestamp) {
        if self.waits()
            && let Some(lasting) = self.lasting.get_mut(self.current)
        {
            lasting.waits_since.get_or_insert(now);
        }
    }

    /// Calls somebody when the step in hand has waited for too long; once.
    pub(super) fn heed_waiting(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let waits = self.waits();
        let Some((step, escalate)) = self.current_step().and_then(|s| Some((s.id.clone(), s.escalate.clone()?))) else {
            return;
        };
        let Some(limit) = escalate.after.and_then(|a| SignedDuration::try_from(a.0).ok()) else { return };
        let Some(lasting) = self.lasting.get_mut(self.current) else { return };
        if !waits {
            return;
        }
        let since = *lasting.waits_since.get_or_insert(now);
        if lasting.escalated || now.duration_since(since) < limit {
            return;
        }
        lasting.escalated = true;
        let why = format!("{step} has waited for {} s", now.duration_since(since).as_secs());
        out.push(Effect::Escalate { step, to: escalate.to, why });
    }
}

/// One line: how the branches of a step stand.
fn branches_line(branches: &[TargetLine]) -> String {
    branches.iter().map(|b| format!("{}: {}", b.label, b.line)).collect::<Vec<_>>().join("; ")
}
