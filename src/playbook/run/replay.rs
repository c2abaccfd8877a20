//! A run rebuilt from its records. What was being done when the records end is not guessed: a start without an outcome
//! is an unknown outcome, to be reconciled and never run again.

use super::fan::{Fan, ItemState, Seat};
use super::input::Start;
use super::machine::Run;
use super::outcome::BY_ITSELF;
use super::record;
use super::state::{Phase, Sent, StepRun};
use super::view::{RunState, StepState};
use crate::domain::id::{Digest, IncidentId, Person, RunId, StepId, TenantId};
use crate::playbook::params;
use crate::playbook::plan::{Over, Plan};
use crate::playbook::schema::{Class, Next};
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
                self.ended_at = Some(past.at);
                self.phase = Phase::Over(match text("state") {
                    Some("finished") => RunState::Finished,
                    Some("rolled-back") => RunState::RolledBack,
                    _ => RunState::Failed,
                });
            }
            _ => {
                let step = text("step").map(StepId::from);
                let index = step.as_ref().and_then(|id| self.plan.index(id));
                // What the engine writes beside a run does not move it.
                if let Some(lasting) = index.and_then(|i| self.lasting.get_mut(i)) {
                    match past.kind {
                        "comms.sent" => lasting.told_at = Some(past.at),
                        "escalation.sent" => lasting.escalated = true,
                        _ => {}
                    }
                }
                if !past.kind.starts_with("step.")
                    && !past.kind.starts_with("approval.")
                    && past.kind != "decision.made"
                {
                    return;
                }
                if let Some(index) = step.and_then(|id| self.plan.index(&id)) {
                    self.fold_step(index, past);
                }
            }
        }
    }

    fn fold_step(&mut self, index: usize, past: &Past<'_>) {
        let text = |name: &str| past.body.get(name).and_then(Value::as_str);
        // A step has another record only after the contraindications were false, or a person decided.
        let against = past.kind == "decision.made" || past.body.get("contraindications").is_some();
        self.cleared = self.cleared || !against || text("choice") == Some("start-anyway");
        if index > self.current {
            // What a jump passed over has no record of its own.
            let passed = index.min(self.plan.flow());
            for passed in self.steps.iter_mut().take(passed).filter(|s| s.state == StepState::Pending) {
                passed.state = StepState::Skipped;
            }
        }
        self.current = index;
        self.rolling = self.rolling || index >= self.plan.flow();
        let Some(spec) = self.spec() else { return };
        let verify = spec.verify.len();
        if past.kind == "decision.made"
            && text("choice") == Some(BY_ITSELF)
            && let Some(lasting) = self.lasting.get_mut(index)
        {
            lasting.retries = lasting.retries.saturating_add(1);
        }
        if past.kind == "step.finished"
            && let Some(finished) = past.body.get("branches").and_then(|b| serde_json::from_value(b.clone()).ok())
            && let Some(lasting) = self.lasting.get_mut(index)
        {
            lasting.finished = finished;
        }
        if past.kind == "step.rolled_back" {
            return self.note_taken_back();
        }
        if past.kind == "step.intended" {
            let fan = self.steps.get(index).and_then(|s| s.fan.clone()).or_else(|| self.recorded_fan(index, past));
            self.edit(|s| s.fan = fan);
        }
        if self.here().is_some_and(|h| h.fan.is_some()) && self.fold_several(verify, past) {
            return;
        }
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
                if spec.class() == Class::Acts {
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
            "decision.made" if matches!(text("choice"), Some("retry" | BY_ITSELF)) => *s = StepRun::new(verify),
            // A confirmation or an approval is for the moment; it is asked for again.
            _ => {}
        });
    }
}

impl Run {
    /// The items that the intent of a step names.
    fn recorded_fan(&self, index: usize, past: &Past<'_>) -> Option<Fan> {
        let over = self.plan.over(index)?;
        let text = past.body.get("items")?.as_str()?;
        let items: Vec<(String, Option<Value>)> = serde_json::from_str(text).ok()?;
        let seat = |(label, item): (String, Option<Value>)| Seat {
            tenant: (over == Over::Targets).then(|| TenantId::from(label.as_str())),
            label,
            item,
        };
        self.fan_of(index, items.into_iter().map(seat).collect())
    }

    /// Takes in a record of a step over several; whether that is all that it means.
    fn fold_several(&mut self, verify: usize, past: &Past<'_>) -> bool {
        let text = |name: &str| past.body.get(name).and_then(Value::as_str);
        let labels: Vec<&str> = past
            .body
            .get("targets")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let ring = past.body.get("ring").and_then(Value::as_u64).and_then(|r| usize::try_from(r).ok());
        let mut whole = true;
        self.edit(|s| {
            let Some(fan) = &mut s.fan else { return };
            let asked: Vec<usize> = labels.iter().filter_map(|label| fan.find(label)).collect();
            let item = text("target").and_then(|label| fan.find(label));
            match past.kind {
                "step.intended" => {
                    fan.ring = ring.unwrap_or(fan.ring);
                    fan.asked = asked;
                    s.forget(verify);
                    s.rendering = record::rendering(past.body);
                    s.intended = Some(past.seq);
                }
                "step.started" => {
                    for item in asked {
                        fan.set(item, ItemState::InHand, None);
                    }
                    s.started = Some(past.seq);
                    s.started_at = Some(past.at);
                    s.sent = Sent::InHand;
                    s.state = StepState::Unknown;
                }
                "step.finished" | "step.unknown" | "step.reconciled" => {
                    let done = text("ended") == Some("done") || text("found") == Some("took-effect");
                    let failed = text("ended") == Some("failed") || text("found") == Some("no-effect");
                    match (item, past.kind) {
                        (Some(item), "step.unknown") => fan.set(item, ItemState::Unknown, None),
                        (None, "step.unknown") => fan.interrupted(),
                        (Some(item), _) if done => {
                            fan.set(item, ItemState::Done, text("summary").map(str::to_owned));
                            if let Some(item) = fan.items.get_mut(item) {
                                item.result = text("result").and_then(|json| serde_json::from_str(json).ok());
                            }
                        }
                        (Some(item), _) if failed => {
                            let why = text("why").or_else(|| text("seen")).map(str::to_owned);
                            fan.set(item, ItemState::Failed, why);
                        }
                        (None, _) if text("ended") == Some("not-sent") => fan.not_sent(),
                        _ => {}
                    }
                    s.outcome_at = Some(past.at);
                    s.line = Some(fan.line());
                    s.sent = fan.sent();
                    s.state = if matches!(s.sent, Sent::InHand | Sent::Unknown) {
                        StepState::Unknown
                    } else {
                        StepState::Pending
                    };
                }
                "step.verified" => {
                    s.ended_at = Some(past.at);
                    s.ring_verified(verify);
                }
                "step.cancelled" => s.forget(verify),
                "decision.made" if matches!(text("choice"), Some("retry" | BY_ITSELF)) => s.again(verify),
                _ => whole = false,
            }
        });
        whole
    }
}

fn started(plan: &Plan, past: &Past<'_>) -> Result<Start, ReplayError> {
    let seq = past.seq;
    let text = |field: &'static str| {
        past.body.get(field).and_then(Value::as_str).ok_or(ReplayError::Incomplete { seq, field })
    };
    let of = |field: &str| past.body.get(field).cloned();
    let (then, now) = (text("playbook_digest")?, plan.digest().as_str());
    if then != now {
        return Err(ReplayError::OtherPlaybook {
            playbook: plan.playbook().id.to_string(),
            then: then.to_owned(),
            now: now.to_owned(),
        });
    }
    let mut typed = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    if let Some(Value::Object(fields)) = past.body.get("params") {
        for (name, value) in fields {
            let Some(parameter) = plan.playbook().parameters.get(name) else { continue };
            let commitment = value.get("commitment").and_then(Value::as_str).and_then(|c| c.strip_prefix("sha256:"));
            if let Some(commitment) = commitment.filter(|_| parameter.secret).and_then(Digest::parse) {
                typed.insert(name.clone(), Value::from(crate::domain::secret::word(&commitment)));
                secrets.insert(name.clone(), value.clone());
                continue;
            }
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
        targets: of("targets").and_then(|t| serde_json::from_value(t).ok()).unwrap_or_default(),
        parent: of("parent").and_then(|p| serde_json::from_value(p).ok()),
        secrets,
    })
}

fn next(text: Option<&str>) -> Next {
    match text {
        Some("abort") => Next::Abort,
        Some(other) => other.strip_prefix("step:").map_or(Next::Continue, |id| Next::Step(StepId::from(id))),
        None => Next::Continue,
    }
}
