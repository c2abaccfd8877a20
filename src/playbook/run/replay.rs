//! A run rebuilt from its records. What was being done when the records end is not guessed: a start without an outcome
//! is an unknown outcome, to be reconciled and never run again.

use super::input::Start;
use super::machine::Run;
use super::record;
use super::state::{Phase, Sent, StepRun};
use super::view::{RunState, StepState};
use crate::domain::id::{IncidentId, Person, RunId, StepId, TenantId};
use crate::playbook::params;
use crate::playbook::plan::Plan;
use crate::playbook::schema::{Next, StepType};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far beyond the last recorded generation a rebuilt run begins, so that nothing shown before can confirm it.
const GENERATIONS: u64 = 1000;

/// One record of the run, in the order of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Sequence number.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Kind.
    pub kind: &'a str,
    /// Body.
    pub body: &'a Value,
}

/// Why a run can not be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The first record is not its start.
    #[error("the records of the run do not begin with run.started")]
    NoStart,
    /// The start does not name what is needed.
    #[error("the record {seq} (run.started) lacks `{field}`")]
    Incomplete {
        /// Sequence number.
        seq: u64,
        /// Field.
        field: &'static str,
    },
    /// The playbook is not the one that was run.
    #[error(
        "the run began with another text of the playbook {playbook} (sha256 {then}, now {now}); it can not be continued"
    )]
    OtherPlaybook {
        /// Playbook.
        playbook: String,
        /// Digest in the record.
        then: String,
        /// Digest now.
        now: String,
    },
    /// A parameter of the record is not valid any more.
    #[error("the record {seq} (run.started): {why}")]
    Parameter {
        /// Sequence number.
        seq: u64,
        /// Why.
        why: String,
    },
}

impl Run {
    /// The playbook that a `run.started` names: its id and the sha256 of its text.
    pub fn playbook_of(started: &Value) -> Option<(&str, &str)> {
        Some((started.get("playbook")?.as_str()?, started.get("playbook_digest")?.as_str()?))
    }

    /// Rebuilds a run from its records. One that had not ended comes back stopped; resuming goes on with it.
    ///
    /// # Errors
    /// [`ReplayError`] when the start is missing or names another text of the playbook.
    pub fn replay(plan: Arc<Plan>, records: &[Past<'_>]) -> Result<Self, ReplayError> {
        let first = records.first().filter(|r| r.kind == "run.started").ok_or(ReplayError::NoStart)?;
        let start = started(&plan, first)?;
        let mut run = Self::new(plan, start);
        run.started_at = Some(first.at);
        run.phase = Phase::Stopped { why: "the engine ended while the run was open".into() };
        for past in records {
            if let Some(generation) = past.body.get("generation").and_then(Value::as_u64) {
                run.generation = run.generation.max(generation);
            }
            run.fold(past);
        }
        run.generation += GENERATIONS;
        Ok(run)
    }

    fn fold(&mut self, past: &Past<'_>) {
        let text = |name: &str| past.body.get(name).and_then(Value::as_str);
        match past.kind {
            "run.stopped" => {
                self.phase = Phase::Stopped { why: text("reason").unwrap_or_default().to_owned() };
            }
            "run.resumed" => {
                self.phase = Phase::Stopped { why: "the engine ended while the run was open".into() };
            }
            "run.finished" => {
                let finished = text("state") == Some(RunState::Finished.word());
                self.ended_at = Some(past.at);
                self.phase = Phase::Over(if finished { RunState::Finished } else { RunState::Failed });
            }
            _ => {
                let step = text("step").map(StepId::from);
                if let Some(index) = step.and_then(|id| self.plan.index(&id)) {
                    self.fold_step(index, past);
                }
            }
        }
    }

    fn fold_step(&mut self, index: usize, past: &Past<'_>) {
        let text = |name: &str| past.body.get(name).and_then(Value::as_str);
        // A step has a record only after the contraindications were false, or a person decided.
        self.cleared = self.cleared || past.kind != "decision.made" || text("choice") == Some("start-anyway");
        if index > self.current {
            // What a jump passed over has no record of its own.
            for passed in self.steps.iter_mut().take(index).filter(|s| s.state == StepState::Pending) {
                passed.state = StepState::Skipped;
            }
        }
        self.current = index;
        let Some(spec) = self.spec() else { return };
        let verify = spec.verify.len();
        self.edit(|s| match past.kind {
            "step.intended" => {
                *s = StepRun::new(verify);
                s.rendering = record::rendering(past.body);
                s.intended = Some(past.seq);
            }
            "step.started" => {
                s.started = Some(past.seq);
                s.started_at = Some(past.at);
                s.choices.clear();
                if spec.kind == StepType::Action {
                    s.sent = Sent::InHand;
                    s.state = StepState::Unknown;
                }
            }
            "step.finished" => {
                s.outcome_at = Some(past.at);
                match text("ended") {
                    Some("done") => {
                        if spec.run.is_some() {
                            s.sent = Sent::Done;
                        }
                        s.result = text("result").and_then(|json| serde_json::from_str(json).ok());
                        s.line = text("summary").map(str::to_owned);
                        s.next = next(text("next"));
                        s.state = if verify == 0 { StepState::Done } else { StepState::Verifying };
                        if verify == 0 {
                            s.ended_at = Some(past.at);
                        }
                    }
                    Some("not-sent") => *s = StepRun::new(verify),
                    _ => {
                        s.sent = Sent::Refused;
                        s.state = StepState::Failed;
                        s.line = text("why").map(str::to_owned);
                        s.ended_at = Some(past.at);
                    }
                }
            }
            "step.unknown" => {
                s.sent = Sent::Unknown;
                s.state = StepState::Unknown;
                s.outcome_at = Some(past.at);
                s.line = text("why").map(|why| format!("whether it had its effect is not known: {why}"));
            }
            "step.reconciled" => {
                let seen = text("seen").unwrap_or_default();
                match text("found") {
                    Some("took-effect") => {
                        s.sent = Sent::Done;
                        s.outcome_at = Some(past.at);
                        s.state = if verify == 0 { StepState::Done } else { StepState::Verifying };
                        s.line = Some(format!("it had its effect: {seen}"));
                    }
                    Some("no-effect") => {
                        s.sent = Sent::Refused;
                        s.state = StepState::Failed;
                        s.line = Some(format!("it had no effect: {seen}"));
                    }
                    _ => s.line = Some(format!("looking can not tell: {seen}")),
                }
            }
            "step.verified" => {
                s.state = StepState::Done;
                s.ended_at = Some(past.at);
            }
            "step.verification_failed" => {
                s.state = StepState::Failed;
                s.line = text("why").map(str::to_owned);
                s.ended_at = Some(past.at);
            }
            "step.skipped" => {
                s.state = StepState::Skipped;
                s.line = text("why").map(str::to_owned);
                s.ended_at = Some(past.at);
            }
            "step.cancelled" => *s = StepRun::new(verify),
            "decision.made" if text("choice") == Some("retry") => *s = StepRun::new(verify),
            // A confirmation or an approval is for the moment; it is asked for again.
            _ => {}
        });
    }
}

fn started(plan: &Plan, past: &Past<'_>) -> Result<Start, ReplayError> {
    let seq = past.seq;
    let text = |field: &'static str| {
        past.body.get(field).and_then(Value::as_str).ok_or(ReplayError::Incomplete { seq, field })
    };
    let (then, now) = (text("playbook_digest")?, plan.digest().as_str());
    if then != now {
        return Err(ReplayError::OtherPlaybook {
            playbook: plan.playbook().id.to_string(),
            then: then.to_owned(),
            now: now.to_owned(),
        });
    }
    let mut typed = BTreeMap::new();
    if let Some(Value::Object(fields)) = past.body.get("params") {
        for (name, value) in fields {
            let Some(parameter) = plan.playbook().parameters.get(name) else { continue };
            let value = params::typed(parameter.kind, value.as_str().unwrap_or_default())
                .map_err(|why| ReplayError::Parameter { seq, why: format!("`{name}`: {why}") })?;
            typed.insert(name.clone(), value);
        }
    }
    Ok(Start {
        run: RunId::from(text("run")?),
        params: typed,
        tenant: text("tenant").ok().map(TenantId::from),
        incident: text("incident").ok().map(IncidentId::from),
        by: Person::from(text("by")?),
    })
}

fn next(text: Option<&str>) -> Next {
    match text {
        Some("abort") => Next::Abort,
        Some(other) => other.strip_prefix("step:").map_or(Next::Continue, |id| Next::Step(StepId::from(id))),
        None => Next::Continue,
    }
}
