//! Stopping and going on: by a person, after an interruption, after an unwritable journal, and with time.

use super::effect::{Effect, Mark};
use super::input::Refusal;
use super::machine::{Run, StopAsked};
use super::record::Clean;
use super::state::{Phase, Question, Sent, Then};
use super::view::{RunState, StepState};
use crate::domain::id::Person;
use crate::playbook::schema::{Class, Next, RetryOn};
use jiff::Timestamp;
use serde_json::json;

impl Run {
    pub(super) fn stop(&mut self, asked: StopAsked, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        match &self.phase {
            Phase::New => return Err(Refusal("the run has not begun".into())),
            Phase::Over(_) | Phase::Record { then: Then::RunFinished(_), .. } => {
                return Err(Refusal("the run has ended".into()));
            }
            Phase::Stopped { .. } | Phase::Unwritten { .. } => {
                return Err(Refusal("the run is stopped already".into()));
            }
            Phase::Record { .. }
            | Phase::Batch
            | Phase::Ask { question: Question::Execute | Question::Look | Question::Reconcile, .. } => {
                self.stop = Some(asked);
            }
            Phase::Ask { .. }
            | Phase::Blocked { .. }
            | Phase::Confirmation { .. }
            | Phase::Approval { .. }
            | Phase::Form
            | Phase::Sleeping { .. }
            | Phase::Child { .. }
            | Phase::Decision
            | Phase::Verifying => {
                self.stop = Some(asked);
                self.stop_now(out);
            }
        }
        Ok(())
    }

    pub(super) fn stop_now(&mut self, out: &mut Vec<Effect>) {
        let cancels = self.here().is_some_and(|h| h.intended.is_some() && h.started.is_none());
        if cancels {
            let digest = self.here().and_then(|h| h.rendering.as_ref()).map(|r| r.digest.clone());
            self.edit(|s| {
                s.state = StepState::Pending;
                s.intended = None;
                s.confirmed = None;
                s.approvals.clear();
            });
            self.record(
                "step.cancelled",
                json!({"why": "the run was stopped", "digest": digest}),
                Then::Cancelled,
                out,
            );
        } else {
            let waits = |s: StepState| matches!(s, StepState::Preparing | StepState::Blocked);
            self.edit(|s| {
                if waits(s.state) {
                    s.state = StepState::Pending;
                }
            });
            self.record_stop(out);
        }
    }

    pub(super) fn record_stop(&mut self, out: &mut Vec<Effect>) {
        self.edit(|s| s.choices.clear());
        let (reason, by, emergency) = self
            .stop
            .as_ref()
            .map_or((None, None, false), |s| (Some(s.reason.clone()), Some(s.by.clone()), s.emergency));
        let irrevocable: Vec<String> = self.irrevocable().iter().map(|line| line.clean()).collect();
        let body = json!({"reason": reason, "by": by, "emergency": emergency, "not_recallable": irrevocable});
        self.record("run.stopped", body, Then::Stopped, out);
    }

    pub(super) fn resume(&mut self, by: &Person, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        match self.phase.clone() {
            Phase::Stopped { .. } => {
                self.stop = None;
                self.record("run.resumed", json!({"by": by}), Then::Resumed, out);
                Ok(())
            }
            Phase::Unwritten { kind, body, then, .. } => {
                self.stop = None;
                if then.is_before_sending() {
                    // Nothing was sent: the step is prepared again, with everything that it takes.
                    self.enter(self.current, out);
                } else {
                    let mark = self.mark();
                    self.phase = Phase::Record { mark, kind, body: body.clone(), then };
                    out.push(Effect::Append { mark, kind, body });
                }
                Ok(())
            }
            Phase::Over(_) => Err(Refusal("the run has ended".into())),
            _ => Err(Refusal("the run is not stopped".into())),
        }
    }

    /// Goes on where a stopped or replayed run stands.
    pub(super) fn re_enter(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(here) = self.here() else { return self.finish(RunState::Finished, out) };
        let class = self.spec().map(|s| s.class());
        let over = matches!(here.state, StepState::Done | StepState::Skipped | StepState::Failed);
        if here.fan.is_some() && !over && !matches!(here.sent, Sent::InHand | Sent::Unknown) {
            return self.resume_fan(now, out);
        }
        match (&here.sent, here.state) {
            (Sent::InHand, _) => {
                let why = "the engine ended before the outcome was recorded";
                self.edit(|s| {
                    if let Some(fan) = &mut s.fan {
                        fan.interrupted();
                    }
                    s.sent = Sent::Unknown;
                    s.state = StepState::Unknown;
                    s.line = Some(format!("whether it had its effect is not known: {why}"));
                });
                self.record("step.unknown", json!({"why": why}), Then::Unknown, out);
            }
            (Sent::Unknown, _) => self.ask(Question::Reconcile, out),
            (_, StepState::Done) => {
                let next = here.next.clone();
                self.advance(&next, out);
            }
            (_, StepState::Skipped) => self.advance(&Next::Continue, out),
            (sent, StepState::Failed) => {
                let again = *sent != Sent::Done || here.rendering.as_ref().is_none_or(|r| r.idempotent);
                let why = here.line.clone().unwrap_or_default();
                let after = if *sent == Sent::Done { RetryOn::Verification } else { RetryOn::Failure };
                self.failed(why, again, after, now, out);
            }
            (Sent::Done, _) => self.verify_from(now, out),
            _ if here.outcome_at.is_some() => self.verify_from(now, out),
            _ if here.started.is_some()
                && matches!(
                    class,
                    Some(Class::Person | Class::Decides | Class::Asks | Class::Sleeps | Class::Child)
                ) =>
            {
                self.started(now, out);
            }
            _ => self.enter(self.current, out),
        }
    }

    pub(super) fn not_durable(&mut self, mark: Mark, why: &str) {
        if let Phase::Record { mark: awaited, kind, body, then } = &self.phase
            && *awaited == mark
        {
            let (kind, body, then) = (*kind, body.clone(), then.clone());
            self.bump();
            self.phase = Phase::Unwritten { kind, body, then, why: why.clean() };
        }
    }

    /// Renders what waits for a confirmation or an approval again, unless that is under way.
    pub(super) fn renew(&mut self, out: &mut Vec<Effect>) {
        let Some(step) = self.current_step().map(|s| s.id.clone()) else { return };
        let ticket = self.ticket();
        if let Phase::Confirmation { refresh: refresh @ None, .. } | Phase::Approval { refresh: refresh @ None, .. } =
            &mut self.phase
        {
            *refresh = Some(ticket);
            out.push(Effect::Render { ticket, step });
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.heed_waiting(now, out);
        match &self.phase {
            Phase::Blocked { retry_at } if now >= *retry_at => self.prepare(out),
            Phase::Confirmation { auto_at: Some(at), .. } if now >= *at && self.broken().is_none() => {
                self.run_by_itself(out);
            }
            Phase::Confirmation { refresh_at, .. } | Phase::Approval { refresh_at, .. } if now >= *refresh_at => {
                self.renew(out);
            }
            Phase::Sleeping { until } if now >= *until => self.woken(out),
            Phase::Child { ask_at, ticket: None } if now >= *ask_at => self.ask_child(now, out),
            Phase::Verifying => self.watch(now, out),
            _ => {}
        }
    }
}
