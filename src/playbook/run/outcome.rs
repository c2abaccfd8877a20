//! What follows an execution: its outcome, its reconciliation, its failure, and what a person decides then.

use super::effect::Effect;
use super::machine::{Run, offer};
use super::prepare::after;
use super::record::{Clean, clean_json, masked};
use super::state::{Action, Choose, Phase, Question, Sent, Then};
use super::view::{Offered, RunState, StepState};
use crate::domain::id::Person;
use crate::domain::ports::{Outcome, Reconciled};
use crate::playbook::schema::{Class, Next, OnFailure, RetryOn, StepType};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Key in the record of a retry that the playbook asked for.
pub(super) const BY_ITSELF: &str = "retry-by-itself";

impl Run {
    /// An execution or a look has ended.
    pub(super) fn ended(&mut self, outcome: Outcome, now: Timestamp, out: &mut Vec<Effect>) {
        let looks = self.spec().is_some_and(|s| s.class() == Class::Looks);
        let mask = self.spec().and_then(|s| s.run).map(|r| r.mask_outputs).unwrap_or_default();
        let keep = self.spec().is_some_and(|s| s.kind == StepType::Evidence).then_some(true);
        self.bump();
        match outcome {
            Outcome::Done { result, summary } => {
                let result = masked(clean_json(result), &mask);
                let summary = summary.clean();
                let body = json!({
                    "ended": "done", "summary": summary, "result": result.to_string(), "keep": keep,
                });
                self.edit(|s| {
                    s.sent = Sent::Done;
                    s.outcome_at = Some(now);
                    s.result = Some(result);
                    s.line = Some(summary);
                });
                self.record("step.finished", body, Then::Done { next: Next::Continue }, out);
            }
            // A look changes nothing: not knowing what it would have said is a failure of the look.
            Outcome::Unknown { why } if !looks => {
                let why = why.message.clean();
                self.edit(|s| {
                    s.sent = Sent::Unknown;
                    s.state = StepState::Unknown;
                    s.outcome_at = Some(now);
                    s.line = Some(format!("whether it had its effect is not known: {why}"));
                });
                self.record("step.unknown", json!({"why": why}), Then::Unknown, out);
            }
            Outcome::Failed { why } | Outcome::Unknown { why } => {
                let why = why.message.clean();
                self.edit(|s| s.sent = Sent::Refused);
                self.record("step.finished", json!({"ended": "failed", "why": why}), Then::Failed { why }, out);
            }
        }
    }

    pub(super) fn reconciled(&mut self, found: Reconciled, by: Option<(Person, String)>, out: &mut Vec<Effect>) {
        let (word, seen) = match &found {
            Reconciled::TookEffect { seen } => ("took-effect", seen),
            Reconciled::NoEffect { seen } => ("no-effect", seen),
            Reconciled::Undecided { why } => ("undecided", why),
        };
        let (by, reason) = by.unzip();
        let target = self
            .unknown_item()
            .and_then(|(item, _)| Some(self.here()?.fan.as_ref()?.items.get(item)?.seat.label.clone()));
        let body = json!({
            "found": word, "seen": seen.as_str().clean(), "by": by, "reason": reason, "target": target,
        });
        self.record("step.reconciled", body, Then::Reconciled(found), out);
    }

    pub(super) fn found(&mut self, found: Reconciled, now: Timestamp, out: &mut Vec<Effect>) {
        if self.item_found(&found, now, out) {
            return;
        }
        match found {
            Reconciled::TookEffect { seen } => {
                self.edit(|s| {
                    s.sent = Sent::Done;
                    // When it had its effect is not known; only what is observed from now on counts as seen after it.
                    s.outcome_at = Some(now);
                    s.line = Some(format!("it had its effect: {}", seen.clean()));
                });
                self.verify_from(now, out);
            }
            Reconciled::NoEffect { seen } => {
                self.edit(|s| s.sent = Sent::Refused);
                self.failed(format!("it had no effect: {}", seen.clean()), true, RetryOn::Failure, now, out);
            }
            Reconciled::Undecided { why } => {
                self.edit(|s| s.line = Some(format!("looking can not tell: {}", why.clean())));
                self.ask_person_what_happened();
            }
        }
    }

    pub(super) fn ask_person_what_happened(&mut self) {
        self.await_decision(super::fan::unknown_choices());
        self.edit(|s| s.state = StepState::Unknown);
    }

    pub(super) fn await_decision(&mut self, choices: Vec<(Offered, Choose)>) {
        self.bump();
        self.edit(|s| {
            s.state = StepState::AwaitsDecision;
            s.choices = choices;
        });
        self.phase = Phase::Decision;
    }

    /// The step failed; `again` says whether it may be run a second time, `of` what of it failed.
    pub(super) fn failed(&mut self, why: String, again: bool, of: RetryOn, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        self.bump();
        self.edit(|s| {
            s.state = StepState::Failed;
            s.line = Some(why);
        });
        let retries = self.lasting.get(self.current).map_or(0, |l| l.retries);
        if let Some(retry) = spec.retry.as_ref().filter(|r| again && (r.on.is_empty() || r.on.contains(&of)))
            && retries + 1 < retry.max_attempts
        {
            let wait = retry.backoff.and_then(|b| SignedDuration::try_from(b.0).ok()).unwrap_or_default();
            let (at, attempt, of) = (after(now, wait), retries + 2, retry.max_attempts);
            let label = format!("attempt {attempt} of {of}");
            let body = json!({"choice": BY_ITSELF, "label": label, "by": "the playbook", "at": at.to_string()});
            return self.record("decision.made", body, Then::Decided(Action::RetryAt { at, attempt, of }), out);
        }
        match spec.on_failure {
            OnFailure::Ask => {
                let mut choices = Vec::new();
                if again {
                    choices.push(offer("retry", "run the step again from its beginning", false, Choose::Retry));
                }
                let executed = self.here().is_some_and(|h| h.sent == Sent::Done);
                if executed && !spec.verify.is_empty() {
                    choices.push(offer("verify", "wait for its effect again", false, Choose::VerifyAgain));
                }
                if self.can_roll_back() {
                    choices.push(offer("rollback", "take back what was done", true, Choose::Rollback));
                }
                choices.push(offer("skip", "go on without it", true, Choose::Skip));
                choices.push(abort());
                self.await_decision(choices);
            }
            OnFailure::Continue => self.advance(&Next::Continue, out),
            OnFailure::Step(id) => self.advance(&Next::Step(id), out),
            OnFailure::Abort => self.advance(&Next::Abort, out),
            OnFailure::Rollback => self.roll_back(out),
        }
    }

    pub(super) fn chosen(
        &mut self,
        offered: &Offered,
        choose: Choose,
        reason: String,
        by: Person,
        out: &mut Vec<Effect>,
    ) {
        let body = json!({"choice": offered.key, "label": offered.label, "reason": reason, "by": by});
        let action = match choose {
            Choose::StartAnyway => Action::StartAnyway,
            Choose::Retry => Action::Retry,
            Choose::Rollback => Action::Rollback,
            Choose::Skip => Action::Skip { reason, by },
            Choose::Abort => Action::Abort,
            Choose::Reconcile => Action::Reconcile,
            Choose::VerifyAgain => Action::VerifyAgain,
            Choose::TookEffect => Action::Settle { took_effect: true, reason, by },
            Choose::NoEffect => Action::Settle { took_effect: false, reason, by },
            Choose::Go(next) => Action::Go { next, summary: offered.label.clone() },
        };
        self.edit(|s| s.choices.clear());
        self.bump();
        self.record("decision.made", body, Then::Decided(action), out);
    }

    /// The step in hand from its beginning; of several targets, those that failed.
    fn retry(&mut self, out: &mut Vec<Effect>) {
        if self.here().is_some_and(|h| h.fan.is_some()) {
            let verify = self.spec().map_or(0, |s| s.verify.len());
            self.edit(|s| s.again(verify));
            self.prepare_rest(out);
        } else {
            self.enter(self.current, out);
        }
    }

    pub(super) fn act_on(&mut self, action: Action, now: Timestamp, out: &mut Vec<Effect>) {
        match action {
            Action::StartAnyway => {
                self.cleared = true;
                self.enter(self.current, out);
            }
            Action::Retry => self.retry(out),
            Action::RetryAt { at, attempt, of } => {
                let verify = self.spec().map_or(0, |s| s.verify.len());
                if let Some(lasting) = self.lasting.get_mut(self.current) {
                    lasting.retries += 1;
                }
                self.edit(|s| s.again(verify));
                self.block(format!("attempt {attempt} of {of} at {at:.0}"), now);
                self.phase = Phase::Blocked { retry_at: at };
            }
            Action::Rollback => self.roll_back(out),
            Action::Skip { reason, by } => {
                self.record("step.skipped", json!({"why": reason, "by": by}), Then::Skipped, out);
            }
            Action::Abort => self.finish(RunState::Failed, out),
            Action::Reconcile => self.ask(Question::Reconcile, out),
            Action::VerifyAgain => self.verify_from(now, out),
            Action::Settle { took_effect, reason, by } => {
                let seen = format!("said by {by}");
                let found = if took_effect { Reconciled::TookEffect { seen } } else { Reconciled::NoEffect { seen } };
                self.reconciled(found, Some((by, reason)), out);
            }
            Action::Go { next, summary } => {
                let to = next.word();
                self.edit(|s| {
                    s.outcome_at = Some(now);
                    s.line = Some(summary.clone());
                });
                let body = json!({"ended": "done", "summary": summary, "next": to});
                self.record("step.finished", body, Then::Done { next }, out);
            }
        }
    }
}

/// The choice that ends the run.
pub(super) fn abort() -> (Offered, Choose) {
    offer("stop", "end the run as failed", true, Choose::Abort)
}
