//! Calls by a roster: whoever is on call first, then, when nobody acknowledges in time, the next. What was called and who
//! answered is a fold over the records, so that a restart goes on where it was.

use super::api::Reply;
use super::core::Engine;
use crate::comms::board::CallView;
use crate::comms::roster::OnCall;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, RunId, StepId};
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
                let call = Call {
                    incident: record.incident.clone(),
                    run: RunId::from(run),
                    step: StepId::from(step),
                    person: person.to_owned(),
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

impl Engine {
    /// Who is called for a name, in this order; the name itself where no roster has it.
    fn chain(&self, to: &str) -> Vec<String> {
        match self.oncall(to) {
            Some(duty) => duty.chain(self.clock.now()),
            None => vec![to.to_owned()],
        }
    }

    fn oncall(&self, name: &str) -> Option<&OnCall> {
        self.desk.oncall().iter().find(|o| o.name == name)
    }

    /// Starts the call that a step asks for; where it is not known how, that is noted.
    pub(super) async fn call(&mut self, run: &RunId, step: &StepId, to: &str, why: &str) {
        self.call_level(run, step, to, why, 0).await;
    }

    /// Calls the next of a chain; once for each of them, whatever is restarted.
    async fn call_level(&mut self, run: &RunId, step: &StepId, to: &str, why: &str, level: usize) {
        let branch = (level > 0).then(|| StepId::new(level.to_string()));
        let parent = Parent { run: run.clone(), step: step.clone(), started: 0, branch, calls: true };
        if self.child_of(&parent).is_some() {
            return;
        }
        match self.chain(to).get(level).cloned() {
            Some(person) => self.call_by(parent, &person, why, &crate::playbook::library::CALLS).await,
            None if level == 0 => {
                let incident = self.runs.get(run).and_then(|held| held.incident.clone());
                let text = format!("{run} {step}: nobody is on call for {}: its roster has not begun", sanitize(to));
                let _ = self.record(Kind::NoteAdded, incident, json!({ "text": text }), &self.me.engine()).await;
            }
            None => {}
        }
    }

    /// Nobody could be reached at this place of the chain: the next is called at once.
    pub(super) async fn call_next(&mut self, parent: &Parent, why: &str) {
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
        let held = self.runs.get(&call.run).filter(|held| held.run.is_open())?;
        let step = held.run.current_step().filter(|s| s.id == call.step)?;
        step.escalate.as_ref().map(|e| e.to.clone())
    }

    /// Calls the next where nobody has acknowledged in time.
    pub(super) async fn heed_calls(&mut self, now: Timestamp) {
        for call in self.state.calls().all().to_vec() {
            let Some(to) = self.called_name(&call).filter(|_| call.acknowledged.is_none()) else { continue };
            let Some(within) = self.oncall(&to).map(|o| o.within) else { continue };
            if now.duration_since(call.at) >= within {
                self.call_level(&call.run, &call.step, &to, &call.reason, call.level.saturating_add(1)).await;
            }
        }
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
                let person = duty.chain(self.clock.now()).get(call.level.saturating_add(1)).cloned()?;
                Some((person, call.at.checked_add(duty.within).ok()?))
            });
            let call = call.clone();
            Some(CallView {
                run: call.run,
                step: call.step,
                to,
                person: call.person,
                reason: call.reason,
                at: call.at,
                next,
                acknowledged: call.acknowledged,
            })
        };
        self.state.calls().all().iter().filter_map(view).collect()
    }
}
