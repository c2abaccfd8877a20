//! What is written in the same batch as a record of a run, so that no crash can part them: measures that a step has set
//! or lifted, what stakeholders were told, and what is owed when a run has ended.

use crate::journal::Kind;
use crate::playbook::run::Run;
use crate::playbook::schema::{Step, StepType};
use serde_json::{Value, json};

/// The records that go with one of a run; `had_effect` says that it tells of a request that had its effect, or of work
/// that is done.
pub fn records(run: &Run, kind: Kind, body: &Value, had_effect: bool) -> Vec<(Kind, Value)> {
    let mut records = Vec::new();
    if kind == Kind::RunFinished && body.get("state").is_some_and(|state| state == "finished") {
        records.extend(duties(run));
    }
    let Some(step) = run.current_step().filter(|_| had_effect) else { return records };
    let target = body.get("target").and_then(Value::as_str);
    let request = target.map_or_else(|| run.request(&step.id), |target| run.request_for(&step.id, target));
    records.extend(request.into_iter().flat_map(super::measures::all));
    records.extend(told(run, step, body).filter(|_| target.is_none()));
    records
}

/// A step whose purpose it is to tell or to call somebody has done so.
fn told(run: &Run, step: &Step, body: &Value) -> Option<(Kind, Value)> {
    let how = match &step.run {
        Some(call) => call.name(),
        None => "a person".to_owned(),
    };
    let said = body.get("summary").and_then(Value::as_str).unwrap_or_default();
    match step.kind {
        StepType::Notify => {
            let to = step.comms.as_ref().map(|c| c.audience.clone()).unwrap_or_default();
            let body = json!({ "run": run.id(), "step": step.id, "to": to, "channel": how, "text": said });
            Some((Kind::CommsSent, body))
        }
        StepType::Escalate => {
            let start = run.start();
            let body = match start.parent.as_ref().filter(|p| p.calls) {
                // A call belongs to the step that waits.
                Some(parent) => json!({
                    "run": parent.run, "step": parent.step, "person": start.params.get("audience"), "channel": how,
                    "reason": start.params.get("text"), "by_run": run.id(),
                    "source": start.params.get("source").cloned().unwrap_or(Value::Null),
                    "level": parent.branch.as_ref().and_then(|l| l.as_str().parse::<u64>().ok()).unwrap_or(0),
                }),
                None => {
                    let to = step.escalate.as_ref().map(|e| e.to.clone());
                    json!({ "run": run.id(), "step": step.id, "person": to, "channel": how, "reason": step.name })
                }
            };
            Some((Kind::EscalationSent, body))
        }
        _ => None,
    }
}

/// What is owed after the run: measures in force until each is done or handed to an owner.
fn duties(run: &Run) -> Vec<(Kind, Value)> {
    let playbook = run.plan().playbook();
    let duty = |(word, what): (&str, &str)| {
        let body = json!({
            "measure": format!("duty/{}/{word}", run.id()), "what": format!("{word}: {what}"),
            "lift": format!("measures done, or hand it to an owner with a date; owed by {}", playbook.id),
        });
        (Kind::MeasureSet, body)
    };
    playbook.post_incident.duties().map(duty).collect()
}
