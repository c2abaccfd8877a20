//! The order of an action: what a durable record lets happen next. `started` is the only place that asks for an
//! execution.

use super::effect::{Effect, Mark};
use super::input::{ApprovalGiven, Refusal};
use super::machine::{MAX_CHECK_AGE, Run, offer};
use super::outcome::abort;
use super::prepare::{AGAIN, after};
use super::state::{Choose, ConfirmedBy, Phase, Question, Sent, Then};
use super::view::{RunState, StepState};
use crate::domain::id::{Person, StepId};
use crate::domain::incident::Role;
use crate::domain::ports::Reconciled;
use crate::domain::risk::{Confirmation, Risk};
use crate::playbook::schema::{Class, Next, OnUnknown, RetryOn, StepType};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// For how long a step that may run by itself is shown before it does.
pub(super) const COUNTDOWN: SignedDuration = SignedDuration::from_secs(10);

/// Who stands in the record of a confirmation that nobody gave.
const AUTOMATION: &str = "automation";

impl Run {
    /// A record is on disk.
    pub(super) fn durable(&mut self, mark: Mark, seq: u64, now: Timestamp, out: &mut Vec<Effect>) {
        let then = match &self.phase {
            Phase::Record { mark: awaited, then, .. } if *awaited == mark => then.clone(),
            _ => return,
        };
        self.note(&then, seq, now);
        if self.stop.is_some() {
            match then {
                // What is under way is waited for; its outcomes are written first.
                Then::Stopped | Then::RunFinished(_) | Then::Cancelled | Then::ItemEnded => {}
                Then::Started if self.spec().is_some_and(|s| s.run.is_some()) => {
                    return self.not_sent("the run was stopped before it was sent", out);
                }
                other => {
                    self.settle(&other);
                    return self.stop_now(out);
                }
            }
        }
        self.go_on(then, now, out);
    }

    /// What a durable record means for the step that it is about.
    fn note(&mut self, then: &Then, seq: u64, now: Timestamp) {
        let ended = matches!(then, Then::Done { .. } | Then::Reconciled(Reconciled::TookEffect { .. }));
        if ended && self.spec().is_some_and(|spec| spec.kind == StepType::Notify) {
            // It is told with that record: the next time is counted from here.
            self.note_told(self.current, now);
        }
        self.edit(|s| match then {
            Then::Intended => s.intended = Some(seq),
            Then::Confirmed => {
                if let Some(given) = &mut s.confirmed {
                    given.seq = Some(seq);
                }
            }
            Then::Approved => {
                if let Some((_, record)) = s.approvals.last_mut() {
                    *record = Some(seq);
                }
            }
            Then::Started => {
                s.started = Some(seq);
                s.started_at = Some(now);
                s.choices.clear();
            }
            Then::Skipped | Then::Verified | Then::NotVerified { .. } | Then::Failed { .. } => s.ended_at = Some(now),
            // Also where the run is stopped now: what was observed before does not count when it goes on.
            Then::Reconciled(Reconciled::TookEffect { .. }) if s.fan.is_none() => s.outcome_at = Some(now),
            _ => {}
        });
    }

    /// Brings the step in hand to the state that a record says, where the run stops instead of going on.
    pub(super) fn settle(&mut self, then: &Then) {
        match then {
            Then::Done { next } => {
                let verified = self.spec().is_none_or(|s| s.verify.is_empty());
                self.edit(|s| {
                    s.next = next.clone();
                    s.state = if verified { StepState::Done } else { StepState::Verifying };
                });
            }
            Then::Verified => {
                let verify = self.spec().map_or(0, |s| s.verify.len());
                self.edit(|s| s.ring_verified(verify));
            }
            Then::RolledBack => self.note_taken_back(),
            Then::Skipped => self.edit(|s| s.state = StepState::Skipped),
            Then::Failed { why } | Then::NotVerified { why } => self.edit(|s| {
                s.state = StepState::Failed;
                s.line = Some(why.clone());
            }),
            Then::NotSent { .. } => {
                let verify = self.spec().map_or(0, |s| s.verify.len());
                self.edit(|s| s.forget(verify));
            }
            Then::Reconciled(found) if self.unknown_item().is_some() => self.settle_item(found),
            Then::Reconciled(Reconciled::TookEffect { seen }) => self.edit(|s| {
                s.sent = Sent::Done;
                s.state = StepState::Verifying;
                s.line = Some(format!("it had its effect: {seen}"));
            }),
            Then::Reconciled(Reconciled::NoEffect { seen }) => self.edit(|s| {
                s.sent = Sent::Refused;
                s.state = StepState::Failed;
                s.line = Some(format!("it had no effect: {seen}"));
            }),
            _ => {}
        }
    }

    fn go_on(&mut self, then: Then, now: Timestamp, out: &mut Vec<Effect>) {
        match then {
            Then::RunStarted => self.enter(0, out),
            Then::Resumed => self.re_enter(now, out),
            Then::Skipped => {
                self.edit(|s| s.state = StepState::Skipped);
                self.advance(&Next::Continue, out);
            }
            Then::Intended => self.intended(now, out),
            Then::Confirmed => self.confirmed(out),
            Then::ApprovalRequested => {
                self.edit(|s| s.state = StepState::AwaitsApproval);
                self.phase = Phase::Approval { refresh_at: after(now, AGAIN), refresh: None };
            }
            Then::Approved => {
                if self.is_approved() {
                    self.ask_last_check(out);
                } else {
                    self.phase = Phase::Approval { refresh_at: after(now, AGAIN), refresh: None };
                }
            }
            Then::Refused { why } => self.block(why, now),
            Then::AdvisedAgainst { why } => self.advise_against(why, now),
            Then::Started => self.started(now, out),
            Then::Done { next } => {
                self.edit(|s| s.next = next);
                self.verify_from(now, out);
            }
            Then::Failed { why } => self.failed(why, true, RetryOn::Failure, now, out),
            Then::ItemEnded => self.next_outcome(now, out),
            Then::RolledBack => {
                self.note_taken_back();
                self.roll_back(out);
            }
            Then::NotSent { why } => {
                self.edit(|s| s.started = None);
                self.block(why, now);
            }
            Then::Unknown => match self.spec().map(|s| s.on_unknown) {
                Some(OnUnknown::Reconcile) | None => self.ask(Question::Reconcile, out),
                Some(OnUnknown::Ask) => self.ask_person_what_happened(),
            },
            Then::Reconciled(found) => self.found(found, now, out),
            Then::Verified => {
                if self.next_ring(out) {
                    return;
                }
                let next = self.here().map_or(Next::Continue, |h| h.next.clone());
                self.edit(|s| s.state = StepState::Done);
                self.advance(&next, out);
            }
            Then::NotVerified { why } => {
                let again = self.here().is_some_and(|h| h.rendering.as_ref().is_none_or(|r| r.idempotent));
                self.failed(why, again, RetryOn::Verification, now, out);
            }
            Then::Decided(action) => self.act_on(action, now, out),
            Then::Cancelled => self.record_stop(out),
            Then::Stopped => {
                let why = self.stop.take().map(|s| s.reason).unwrap_or_default();
                self.bump();
                self.phase = Phase::Stopped { why };
            }
            Then::RunFinished(state) => {
                self.ended_at = Some(now);
                self.phase = Phase::Over(state);
                out.push(Effect::Finish { state });
            }
        }
    }

    fn intended(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.bump();
        if self.spec().is_some_and(|s| s.class() == Class::Gate) {
            return self.confirmed(out);
        }
        let asked = self.here().and_then(|h| h.rendering.as_ref()).map(|r| r.assessment.clone());
        // Only a low risk may run without a key, whatever an assessment says.
        let free = asked.is_some_and(|a| a.confirmation.is_none() && a.risk == Risk::Low);
        self.edit(|s| {
            if let Some(r) = s.rendering.as_mut().filter(|_| !free) {
                r.assessment.confirmation.get_or_insert(Confirmation::Keypress);
            }
            s.state = StepState::AwaitsConfirmation;
            s.line = None;
            s.choices = vec![offer("skip", "go on without this step", true, Choose::Skip), abort()];
        });
        let auto_at = free.then(|| after(now, COUNTDOWN));
        self.phase = Phase::Confirmation { refresh_at: after(now, AGAIN), refresh: None, auto_at };
    }

    /// A person keeps the step from running by itself: it waits for a key then.
    pub(super) fn hold(&mut self, step: &StepId) -> Result<(), Refusal> {
        self.is_current(step)?;
        let Phase::Confirmation { auto_at: auto_at @ Some(_), .. } = &mut self.phase else {
            return Err(Refusal(format!("the step {step} is not about to run by itself")));
        };
        *auto_at = None;
        self.edit(|s| {
            if let Some(r) = &mut s.rendering {
                r.assessment.confirmation.get_or_insert(Confirmation::Keypress);
            }
            s.line = Some("kept from running by itself".into());
        });
        Ok(())
    }

    /// The countdown of a step that may run by itself is over: that is recorded as its confirmation.
    pub(super) fn run_by_itself(&mut self, out: &mut Vec<Effect>) {
        let generation = self.generation;
        let Some(digest) = self.here().and_then(|h| h.rendering.as_ref()).map(|r| r.digest.clone()) else { return };
        let by = Person::from(AUTOMATION);
        let body = json!({"digest": digest, "generation": generation, "by": by, "automatic": true});
        self.edit(|s| s.confirmed = Some(ConfirmedBy { generation, digest, typed: None, login: None, by, seq: None }));
        self.record("step.confirmed", body, Then::Confirmed, out);
    }

    pub(super) fn confirmed(&mut self, out: &mut Vec<Effect>) {
        let rendering = self.here().and_then(|h| h.rendering.as_ref());
        let needed = rendering.map_or(0, |r| r.assessment.approvals);
        if needed == 0 {
            return self.ask_last_check(out);
        }
        let body = json!({"digest": rendering.map(|r| &r.digest), "needed": needed});
        self.record("approval.requested", body, Then::ApprovalRequested, out);
    }

    fn is_approved(&self) -> bool {
        let Some(here) = self.here() else { return false };
        let needed = here.rendering.as_ref().map_or(u8::MAX, |r| r.assessment.approvals);
        if here.approvals.iter().any(|(a, _)| matches!(a, ApprovalGiven::Glass { .. })) {
            return true;
        }
        let roles: Vec<Role> = here
            .approvals
            .iter()
            .filter_map(|(a, _)| match a {
                ApprovalGiven::Signed(by) => Some(by.role),
                ApprovalGiven::Simulated { .. } | ApprovalGiven::Glass { .. } => None,
            })
            .collect();
        let simulated = here.approvals.iter().any(|(a, _)| matches!(a, ApprovalGiven::Simulated { .. }));
        let terms = here.rendering.as_ref().and_then(|r| r.assessment.terms.as_ref());
        let covered = simulated || terms.is_none_or(|t| t.also.iter().all(|role| roles.contains(role)));
        here.approvals.len() >= usize::from(needed) && covered
    }

    pub(super) fn ask_last_check(&mut self, out: &mut Vec<Effect>) {
        let fanned = self.here().is_some_and(|h| h.fan.is_some());
        if fanned && self.here().and_then(|h| h.fan.as_ref()).is_some_and(|f| f.batch.is_empty()) {
            self.choose_batch();
        }
        self.edit(|s| s.state = StepState::Preparing);
        if self.spec().is_some_and(|s| s.preconditions.is_empty() && s.bind.is_empty()) {
            self.start_step(out);
        } else {
            self.ask(Question::LastCheck, out);
        }
    }

    /// The start is on disk.
    pub(super) fn started(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        match spec.class() {
            Class::Looks => {
                self.edit(|s| s.state = StepState::Executing);
                self.ask(Question::Look, out);
            }
            Class::Acts => {
                let fresh = (spec.preconditions.is_empty() && spec.bind.is_empty())
                    || self.here().and_then(|h| h.checked_at).is_some_and(|at| now.duration_since(at) <= MAX_CHECK_AGE);
                if !fresh {
                    return self.not_sent("the journal took so long that the preconditions are stale", out);
                }
                if self.here().is_some_and(|h| h.fan.is_some()) {
                    return self.send_batch(out);
                }
                self.edit(|s| {
                    s.state = StepState::Executing;
                    s.sent = Sent::InHand;
                });
                self.ask(Question::Execute, out);
            }
            Class::Gate => {
                let summary = "approved".to_owned();
                self.edit(|s| s.line = Some(summary.clone()));
                let body = json!({"ended": "done", "summary": summary});
                self.record("step.finished", body, Then::Done { next: Next::Continue }, out);
            }
            Class::Asks => self.show_form(),
            Class::Sleeps => self.sleep(now),
            Class::Child => self.begin_child(now, out),
            Class::Branches => {}
            Class::Waits => self.verify_from(now, out),
            Class::Person => {
                let done = Next::Continue;
                let said = match spec.kind {
                    StepType::Notify => "it was told",
                    StepType::Escalate => "somebody was called",
                    _ => "it is done",
                };
                self.await_decision(vec![
                    offer("done", said, false, Choose::Go(done)),
                    offer("skip", "go on without it", true, Choose::Skip),
                    abort(),
                ]);
            }
            Class::Decides => {
                let choices =
                    spec.choices.iter().map(|c| offer(&c.key, c.label.as_str(), false, Choose::Go(c.then.clone())));
                self.await_decision(choices.collect());
            }
        }
    }

    pub(super) fn not_sent(&mut self, why: &str, out: &mut Vec<Effect>) {
        let why = format!("{why}; nothing was sent");
        self.record("step.finished", json!({"ended": "not-sent", "why": why}), Then::NotSent { why }, out);
    }

    /// The step in hand is over; goes where that leads.
    pub(super) fn advance(&mut self, next: &Next, out: &mut Vec<Effect>) {
        if self.is_rolling() {
            return match next {
                Next::Abort => self.finish(RunState::Failed, out),
                Next::Continue | Next::Step(_) => self.taken_back(out),
            };
        }
        let to = match next {
            Next::Continue => self.current + 1,
            Next::Step(id) => match self.plan.entry(id).filter(|i| *i > self.current) {
                Some(index) => index,
                // The lint lets only later steps be named.
                None => return self.finish(RunState::Failed, out),
            },
            Next::Abort => return self.finish(RunState::Failed, out),
        };
        for passed in self.steps.iter_mut().take(to).skip(self.current + 1) {
            passed.state = StepState::Skipped;
        }
        self.edit(|s| s.choices.clear());
        self.enter(to, out);
    }

    pub(super) fn finish(&mut self, state: RunState, out: &mut Vec<Effect>) {
        self.edit(|s| s.choices.clear());
        let states: serde_json::Map<String, serde_json::Value> = self
            .plan
            .steps()
            .iter()
            .zip(&self.steps)
            .enumerate()
            .filter(|(i, (_, run))| *i < self.plan.flow() || run.state != StepState::Pending)
            .map(|(_, (spec, run))| (spec.id.to_string(), json!(run.state.word())))
            .collect();
        self.record("run.finished", json!({"state": state.word(), "steps": states}), Then::RunFinished(state), out);
    }
}
