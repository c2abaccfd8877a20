//! A run as it can be shown.

use super::fan::{Item, ItemState};
use super::machine::Run;
use super::state::{Phase, Question, Sent, StepRun, Watch};
use super::view::{CheckLine, RunState, StepLine, StepState, TargetLine, View};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::schema::{Step, Verify};
use jiff::Timestamp;
use serde_json::Value;

/// Most lines of a look's answer that are shown.
const MAX_LINES: usize = 200;

impl Run {
    /// State of the run.
    pub fn state(&self) -> RunState {
        let unknown = self.here().is_some_and(|h| h.sent == Sent::Unknown || h.state == StepState::Unknown);
        match &self.phase {
            Phase::Over(state) => *state,
            _ if unknown => RunState::Unknown,
            Phase::Stopped { .. } | Phase::Unwritten { .. } => RunState::Stopped,
            Phase::Blocked { .. }
            | Phase::Confirmation { .. }
            | Phase::Approval { .. }
            | Phase::Form
            | Phase::Decision => RunState::Waiting,
            Phase::New
            | Phase::Record { .. }
            | Phase::Ask { .. }
            | Phase::Batch
            | Phase::Sleeping { .. }
            | Phase::Child { .. }
            | Phase::Verifying => RunState::Running,
        }
    }

    /// Everything that a screen shows of it.
    pub fn view(&self, now: Timestamp) -> View<'_> {
        View {
            state: self.state(),
            stands: matches!(self.phase, Phase::Stopped { .. } | Phase::Unwritten { .. }),
            generation: self.generation,
            current: self.shown_current(),
            steps: self.lines(now),
            now: self.now_line(),
            started_at: self.started_at,
            ended_at: self.ended_at,
        }
    }

    fn shown_current(&self) -> usize {
        let last = if self.is_rolling() { self.steps.len() } else { self.plan.flow() };
        self.current.min(last.saturating_sub(1))
    }

    fn lines(&self, now: Timestamp) -> Vec<StepLine<'_>> {
        let one = |(i, (spec, run))| {
            let mut line = line(spec, run, now);
            line.tell_at = self.tell_at(i);
            if i == self.current {
                line.asks = self.phase == Phase::Form;
                line.by_itself_at = match self.phase {
                    Phase::Confirmation { auto_at, .. } => auto_at,
                    Phase::Sleeping { until } => Some(until),
                    _ => None,
                };
            }
            line
        };
        self.plan.steps().iter().zip(&self.steps).enumerate().map(one).collect()
    }

    fn now_line(&self) -> String {
        let step = self.current_step().map(|s| s.id.to_string()).unwrap_or_default();
        let line = self.here().and_then(|h| h.line.clone()).unwrap_or_default();
        match &self.phase {
            Phase::New => "not begun".into(),
            Phase::Record { .. } if self.stop.is_some() => format!("stopping after {step}"),
            Phase::Record { kind, .. } => format!("writing {kind} of {step}"),
            Phase::Ask { question: Question::Execute, .. } if self.stop.is_some() => {
                format!("stopping: {step} is being executed and can not be recalled")
            }
            Phase::Ask { question, .. } => match question {
                Question::Contraindications | Question::Condition | Question::Render | Question::Preconditions => {
                    format!("preparing {step}")
                }
                Question::LastCheck => format!("checking once more before {step}"),
                Question::Execute => format!("executing {step}"),
                Question::Look => format!("looking: {step}"),
                Question::Reconcile => format!("looking whether {step} had its effect"),
                Question::Ways => format!("choosing the way: {step}"),
                Question::DryRun => format!("asking the server what {step} would do"),
            },
            Phase::Blocked { .. } => format!("{step} is blocked: {line}"),
            Phase::Confirmation { auto_at: Some(at), .. } => {
                format!("{step} runs by itself at {at:.0} unless you keep it from that")
            }
            Phase::Confirmation { .. } => format!("{step} waits for your confirmation"),
            Phase::Batch => format!("executing {step}: {line}"),
            Phase::Form => format!("{step} waits for values from you"),
            Phase::Sleeping { until } => format!("{step}: goes on at {until:.0}"),
            Phase::Child { .. } => format!("{step}: {line}"),
            Phase::Approval { .. } => format!("{step} waits for a second person"),
            Phase::Decision if line.is_empty() => format!("{step} waits for your decision"),
            Phase::Decision => format!("{step} waits for your decision: {line}"),
            Phase::Verifying => format!("waiting for the effect of {step}"),
            Phase::Stopped { why } => format!("stopped: {why}"),
            Phase::Unwritten { kind, why, .. } => format!("halted: {kind} could not be written: {why}"),
            Phase::Over(RunState::Finished) => "finished".into(),
            Phase::Over(RunState::RolledBack) => "ended; what was done was taken back".into(),
            Phase::Over(_) => "ended as failed".into(),
        }
    }
}

fn line<'a>(spec: &'a Step, run: &'a StepRun, now: Timestamp) -> StepLine<'a> {
    let rendering = run.rendering.as_ref();
    StepLine {
        id: &spec.id,
        name: &spec.name,
        why: &spec.why,
        state: run.state,
        risk: rendering.map_or(spec.declared_risk(), |r| r.assessment.risk),
        rendering,
        checks: if run.checks.is_empty() {
            spec.preconditions.iter().map(|p| bare(p.label())).collect()
        } else {
            run.checks.iter().map(check).collect()
        },
        verify: spec.verify.iter().zip(&run.watches).map(|(verify, watch)| watched(verify, watch, now)).collect(),
        outcome: run.line.clone(),
        output: run.result.as_ref().map(lines).unwrap_or_default(),
        targets: match &run.fan {
            Some(fan) => fan.items.iter().map(|item| target(item, run.state)).collect(),
            None => run.branches.clone(),
        },
        dry_run: run.dry_run.clone(),
        by_itself_at: None,
        asks: false,
        tell_at: None,
        choices: run.choices.iter().map(|(offered, _)| offered.clone()).collect(),
        started_at: run.started_at,
        ended_at: run.ended_at,
    }
}

fn target(item: &Item, step: StepState) -> TargetLine {
    let state = match item.state {
        ItemState::Waiting => StepState::Pending,
        ItemState::InHand => StepState::Executing,
        ItemState::Done if step == StepState::Verifying => StepState::Verifying,
        ItemState::Done => StepState::Done,
        ItemState::Failed => StepState::Failed,
        ItemState::Unknown => StepState::Unknown,
    };
    TargetLine { label: item.seat.label.clone(), state, line: item.line.clone().unwrap_or_default() }
}

fn bare(text: &str) -> CheckLine {
    CheckLine { text: text.to_owned(), holds: None, detail: String::new() }
}

fn check(evaluation: &Evaluation) -> CheckLine {
    let detail = match &evaluation.verdict {
        Verdict::Unknown(why) => why.clone(),
        Verdict::True | Verdict::False => evaluation.detail.clone(),
    };
    CheckLine { text: evaluation.text.clone(), holds: evaluation.verdict.holds(), detail }
}

fn watched(verify: &Verify, watch: &Watch, now: Timestamp) -> CheckLine {
    let hold = verify.hold().as_secs();
    let time = match (watch.satisfied, watch.holding_since) {
        (true, _) if hold > 0 => format!("held {hold} s"),
        (false, Some(since)) => format!("held {} s of {hold} s", now.duration_since(since).as_secs().max(0)),
        (true, _) => String::new(),
        (false, None) if hold > 0 => format!("within {} s, to hold {hold} s", verify.within().as_secs()),
        (false, None) => format!("within {} s", verify.within().as_secs()),
    };
    let seen = watch.last.as_ref().map_or_else(|| bare(verify.label()), check);
    let detail = [seen.detail, time].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    // True now is not yet verified: it has to hold.
    let holds = if watch.satisfied { Some(true) } else { seen.holds.filter(|holds| !holds) };
    CheckLine { text: verify.label().to_owned(), holds, detail }
}

/// A look's answer as lines: its own `lines` where it has some, else one line a field.
fn lines(result: &Value) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match result {
        Value::Object(fields) => match fields.get("lines") {
            Some(Value::Array(lines)) => lines.iter().take(MAX_LINES).map(plain).collect(),
            _ => fields.iter().take(MAX_LINES).map(|(name, value)| format!("{name}: {}", plain(value))).collect(),
        },
        Value::Array(items) => items.iter().take(MAX_LINES).map(plain).collect(),
        Value::Null => Vec::new(),
        other => vec![plain(other)],
    }
}
