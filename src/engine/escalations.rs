//! Calls by a roster: whoever is on call first, then, when nobody acknowledges in time, the next. What was called and who
//! answered is a fold over the records, so that a restart goes on where it was.

use super::api::Reply;
use super::core::Engine;
use crate::comms::board::{CallView, DutyView};
use crate::comms::oncall::{Called, Chain, OnCall};
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, RunId, StepId};
use crate::domain::run::RunState;
use crate::domain::text::sanitize;
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record};
use crate::playbook::run::Parent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A step for which somebody was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Incident of the run.
    pub incident: Option<IncidentId>,
    /// Run.
    pub run: RunId,
    /// Step.
    pub step: StepId,
    /// Who was called last.
    pub person: String,
    /// On whose word.
    pub source: Option<String>,
    /// Everybody who was called, the last one too.
    pub called: Vec<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How many were called before.
    pub level: usize,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<(String, Timestamp)>,
}

/// The calls of runs that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls(Vec<Call>);

fn text<'a>(body: &'a Value, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

impl Fold for Calls {
    fn apply(&mut self, record: &Record) {
        let body = &record.body;
        let Some(run) = text(body, "run") else { return };
        if record.kind == Kind::RunFinished {
            return self.0.retain(|c| c.run.as_str() != run);
        }
        let Some(step) = text(body, "step") else { return };
        let known = self.0.iter_mut().find(|c| c.run.as_str() == run && c.step.as_str() == step);
        match (record.kind, known) {
            (Kind::EscalationSent, known) => {
                let Some(person) = text(body, "person") else { return };
                let level = body.get("level").and_then(Value::as_u64).and_then(|l| usize::try_from(l).ok());
                let mut called = known.as_ref().map(|k| k.called.clone()).unwrap_or_default();
                called.push(person.to_owned());
                let call = Call {
                    incident: record.incident.clone(),
                    run: RunId::from(run),
                    step: StepId::from(step),
                    person: person.to_owned(),
                    source: text(body, "source").map(str::to_owned),
                    called,
                    reason: text(body, "reason").unwrap_or_default().to_owned(),
                    at: record.time,
                    level: level.unwrap_or(0),
                    acknowledged: None,
                };
                match known {
                    Some(known) => *known = call,
                    None => self.0.push(call),
                }
            }
            (Kind::EscalationAcknowledged, Some(known)) => {
                known.acknowledged = Some((text(body, "person").unwrap_or_default().to_owned(), record.time));
            }
            _ => {}
        }
    }
}

impl Calls {
    /// All of them.
    pub fn all(&self) -> &[Call] {
        &self.0
    }
}

/// A step for which nobody could be called yet, since nobody knows who is on call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uncalled {
    run: RunId,
    step: StepId,
    to: String,
    why: String,
}

impl Engine {
    /// Who is called for a name, in this order; the name itself where no duty has it.
    fn chain(&self, to: &str) -> Chain {
        match self.oncall(to) {
            Some(duty) => duty.chain(self.clock.now(), &self.desk.standing(to)),
            None => {
                Chain { people: vec![Called { person: to.to_owned(), source: String::new() }], unknown: Vec::new() }
            }
        }
    }

    fn oncall(&self, name: &str) -> Option<&OnCall> {
        self.desk.oncall().iter().find(|o| o.name == name)
    }

    /// Starts the call that a step asks for; where it is not known how, that is noted and tried again.
    pub(super) async fn call(&mut self, run: &RunId, step: &StepId, to: &str, why: &str) {
        if self.call_level(run, step, to, why, 0).await {
            return;
        }
        let incident = self.runs.get(run).and_then(|held| held.incident.clone());
        let unknown = self.chain(to).unknown.join("; ");
        let unknown = if unknown.is_empty() { "everybody was called".to_owned() } else { unknown };
        let text = format!("{run} {step}: nobody could be called for {}: {unknown}", sanitize(to));
        let _ = self.record(Kind::NoteAdded, incident, json!({ "text": sanitize(&text) }), &self.me.engine()).await;
        let again = Uncalled { run: run.clone(), step: step.clone(), to: to.to_owned(), why: why.to_owned() };
        if self.oncall(to).is_some() && !self.desk.uncalled.contains(&again) {
            self.desk.uncalled.push(again);
        }
    }

    /// Calls the next of a chain who was not called yet; once for each level, whatever is restarted. False where nobody
    /// is left.
    async fn call_level(&mut self, run: &RunId, step: &StepId, to: &str, why: &str, level: usize) -> bool {
        let mut level = level;
        let parent = loop {
            let branch = (level > 0).then(|| StepId::new(level.to_string()));
            let parent = Parent { run: run.clone(), step: step.clone(), started: 0, branch, calls: true };
            match self.child_of(&parent) {
                None => break parent,
                // An engine that has ended since may not have come to the next.
                Some((_, RunState::Failed)) => level = level.saturating_add(1),
                Some(_) => return true,
            }
        };
        let calls = self.state.calls().all();
        let known = calls.iter().find(|c| c.run == *run && c.step == *step).map(|c| c.called.clone());
        let called = known.unwrap_or_default();
        let chain = self.chain(to);
        let passed = |c: &Called| called.contains(&c.person) || self.desk.was_passed(run, step, &c.person);
        let Some(next) = chain.people.iter().find(|c| !passed(c)).cloned() else { return false };
        let word = chain.word_on(&next);
        self.call_by(parent, (&next.person, &word), why, &crate::playbook::library::CALLS).await;
        true
    }

    /// Nobody could be reached at this place of the chain: the next is called at once.
    pub(super) async fn call_next(&mut self, parent: &Parent, person: &str, why: &str) {
        self.desk.pass(&parent.run, &parent.step, person);
        let to = self.runs.get(&parent.run).and_then(|held| {
            let step = held.run.step(&parent.step)?;
            step.escalate.as_ref().map(|e| e.to.clone())
        });
        let level = parent.branch.as_ref().and_then(|l| l.as_str().parse().ok()).unwrap_or(0_usize);
        if let Some(to) = to {
            self.call_level(&parent.run, &parent.step, &to, why, level.saturating_add(1)).await;
        }
    }

    /// Whom an open call goes to, where its step still waits: the name that the step says.
    fn called_name(&self, call: &Call) -> Option<String> {
        self.waits_for(&call.run, &call.step)
    }

    fn waits_for(&self, run: &RunId, step: &StepId) -> Option<String> {
        let held = self.runs.get(run).filter(|held| held.run.is_open())?;
        let step = held.run.current_step().filter(|s| s.id == *step)?;
        step.escalate.as_ref().map(|e| e.to.clone())
    }

    /// Calls the next where nobody has acknowledged in time, and whoever is known now to be on call.
    pub(super) async fn heed_calls(&mut self, now: Timestamp) {
        for call in self.state.calls().all().to_vec() {
            let Some(to) = self.called_name(&call).filter(|_| call.acknowledged.is_none()) else { continue };
            let Some(within) = self.oncall(&to).map(|o| o.within) else { continue };
            if now.duration_since(call.at) >= within {
                self.call_level(&call.run, &call.step, &to, &call.reason, call.level.saturating_add(1)).await;
            }
        }
        for again in std::mem::take(&mut self.desk.uncalled) {
            let Uncalled { run, step, to, why } = &again;
            if self.waits_for(run, step).is_some() && !self.call_level(run, step, to, why, 0).await {
                self.desk.uncalled.push(again);
            }
        }
    }

    /// Who is on call, as it is shown.
    pub(super) fn duty_views(&self) -> Vec<DutyView> {
        let view = |o: &OnCall| DutyView { name: o.name.clone(), chain: self.chain(&o.name) };
        self.desk.oncall().iter().map(view).collect()
    }

    /// A person says that the call has reached them.
    pub(super) async fn acknowledge_call(&mut self, run: &RunId, step: &StepId, actor: &Actor) -> Result<Reply, Reply> {
        let calls = self.state.calls().all();
        let Some(call) = calls.iter().find(|c| c.run == *run && c.step == *step).cloned() else {
            return Err(Reply::refused(format!("nobody was called for {step} of {run}")));
        };
        if let Some((person, at)) = &call.acknowledged {
            return Err(Reply::refused(format!("{person} has acknowledged it at {at:.0}")));
        }
        let body = json!({ "run": run, "step": step, "person": actor.user, "called": call.person });
        let done = format!("{} of {run} acknowledged; nobody else is called", call.step);
        self.write(Kind::EscalationAcknowledged, call.incident, body, actor, &done).await
    }

    /// The calls as they are shown.
    pub(super) fn call_views(&self) -> Vec<CallView> {
        let view = |call: &Call| {
            let to = self.called_name(call)?;
            let next = self.oncall(&to).filter(|_| call.acknowledged.is_none()).and_then(|duty| {
                let chain = self.chain(&to);
                let passed =
                    |p: &str| call.called.iter().any(|c| c == p) || self.desk.was_passed(&call.run, &call.step, p);
                let next = chain.people.into_iter().find(|c| !passed(&c.person))?;
                Some((next.person, call.at.checked_add(duty.within).ok()?))
            });
            let call = call.clone();
            Some(CallView {
                run: call.run,
                step: call.step,
                to,
                person: call.person,
                source: call.source,
                reason: call.reason,
                at: call.at,
                next,
                acknowledged: call.acknowledged,
            })
        };
        self.state.calls().all().iter().filter_map(view).collect()
    }
}
