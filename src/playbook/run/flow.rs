//! The transitions of a run. Each function is one arrow of the order of an action; `durable` is where a record that
//! is on disk lets the next thing happen, and the only place that asks for an execution.

use super::effect::{Effect, LookAt, Mark, Subject, Ticket};
use super::input::{ApprovalGiven, Refusal, Rendering};
use super::machine::{MAX_CHECK_AGE, Run, StopAsked, offer};
use super::record::{self, Clean, checks, clean_json};
use super::state::{Action, Choose, Phase, Question, Sent, StepRun, Then};
use super::view::{Offered, RunState, StepState};
use crate::domain::id::Person;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::risk::{Confirmation, Risk};
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::schema::{Next, OnFailure, OnUnknown, StepType};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// How often a blocked step is tried again, and the checks beside a confirmation are renewed.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);

pub(super) fn after(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

impl Run {
    fn ask(&mut self, question: Question, out: &mut Vec<Effect>) {
        let Some(step) = self.current_step().map(|s| s.id.clone()) else { return };
        let ticket = self.ticket();
        self.phase = Phase::Ask { ticket, question };
        let evaluate = |what| Effect::Evaluate { ticket, step: step.clone(), what, result: None };
        out.push(match question {
            Question::Condition => evaluate(Subject::Condition),
            Question::Preconditions | Question::LastCheck => evaluate(Subject::Preconditions),
            Question::Render => Effect::Render { ticket, step },
            Question::Execute => Effect::Execute { ticket, step },
            Question::Look => Effect::Look { ticket, step, what: LookAt::Step },
            Question::Reconcile => Effect::Reconcile { ticket, step },
        });
    }

    /// Goes to a step, which starts from nothing.
    fn enter(&mut self, index: usize, out: &mut Vec<Effect>) {
        self.current = index;
        self.bump();
        let Some(verify) = self.plan.steps().get(index).map(|s| s.verify.len()) else {
            return self.finish(RunState::Finished, out);
        };
        self.edit(|s| {
            *s = StepRun::new(verify);
            s.state = StepState::Preparing;
        });
        self.prepare(out);
    }

    /// Renders and checks the step in hand, from its condition on.
    pub(super) fn prepare(&mut self, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        if spec.condition.is_some() {
            self.ask(Question::Condition, out);
        } else {
            self.needed(out);
        }
    }

    /// The step's condition is true.
    fn needed(&mut self, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        match spec.kind {
            StepType::Check | StepType::Action => self.ask(Question::Render, out),
            StepType::Assert | StepType::WaitFor | StepType::Manual | StepType::Decision => {
                self.record("step.started", json!({"type": spec.kind.word(), "risk": "low"}), Then::Started, out);
            }
        }
    }

    pub(super) fn rendered(&mut self, rendering: Rendering, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        let looks = spec.kind == StepType::Check;
        if rendering.read_only != looks {
            let which =
                if looks { "changes something, and the step only looks" } else { "only looks, and the step acts" };
            return self.block(format!("the verb {} {which}", rendering.request.verb), now);
        }
        let changed = self.here().is_some_and(|h| h.rendering.as_ref() != Some(&rendering));
        if changed {
            self.bump();
        }
        self.edit(|s| s.rendering = Some(rendering));
        if spec.preconditions.is_empty() {
            self.edit(|s| s.checks.clear());
            self.ready(now, out);
        } else {
            self.ask(Question::Preconditions, out);
        }
    }

    pub(super) fn evaluated(
        &mut self,
        ticket: Ticket,
        results: Vec<Evaluation>,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) {
        match &self.phase {
            Phase::Ask { ticket: asked, question } if *asked == ticket => match question {
                Question::Condition => self.condition(results.into_iter().next(), now, out),
                Question::Preconditions => {
                    self.checked(results, now);
                    self.ready(now, out);
                }
                Question::LastCheck => {
                    self.checked(results, now);
                    match self.broken() {
                        None => self.start_step(out),
                        Some(why) => {
                            let said = self.here().map(|h| checks(&h.checks));
                            self.record(
                                "step.refused",
                                json!({"why": why, "checks": said}),
                                Then::Refused { why },
                                out,
                            );
                        }
                    }
                }
                Question::Render | Question::Execute | Question::Look | Question::Reconcile => {}
            },
            Phase::Confirmation { refresh: Some(asked), .. } if *asked == ticket => {
                self.checked(results, now);
                self.phase = Phase::Confirmation { refresh_at: after(now, AGAIN), refresh: None };
            }
            Phase::Verifying => self.watch_evaluated(ticket, results.into_iter().next(), now, out),
            _ => {}
        }
    }

    fn condition(&mut self, said: Option<Evaluation>, now: Timestamp, out: &mut Vec<Effect>) {
        match said {
            Some(Evaluation { verdict: Verdict::True, .. }) => self.needed(out),
            Some(Evaluation { verdict: Verdict::False, text, detail, .. }) => {
                let why = format!("not needed: {text} is false ({detail})");
                self.record("step.skipped", json!({"why": why.clean()}), Then::Skipped, out);
            }
            Some(Evaluation { verdict: Verdict::Unknown(why), .. }) => {
                self.block(format!("whether it is needed is not known: {why}"), now);
            }
            None => self.block("whether it is needed is not known: the condition was not evaluated".into(), now),
        }
    }

    fn checked(&mut self, mut results: Vec<Evaluation>, now: Timestamp) {
        let Some(spec) = self.spec() else { return };
        // An answer that lacks an expression must not read as one that holds.
        results.truncate(spec.preconditions.len());
        for missing in spec.preconditions.iter().skip(results.len()) {
            results.push(Evaluation {
                text: missing.label().to_owned(),
                verdict: Verdict::Unknown("it was not evaluated".into()),
                detail: String::new(),
                observed_at: None,
            });
        }
        self.edit(|s| {
            s.checks = results;
            s.checked_at = Some(now);
        });
    }

    /// The first precondition that does not hold.
    fn broken(&self) -> Option<String> {
        self.here()?.checks.iter().find_map(|c| match &c.verdict {
            Verdict::True => None,
            Verdict::False => Some(format!("a precondition is false: {} ({})", c.text, c.detail).clean()),
            Verdict::Unknown(why) => Some(format!("a precondition is not known: {} ({why})", c.text).clean()),
        })
    }

    /// Rendered and checked: the intent is recorded, or the step is blocked.
    fn ready(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (Some(spec), Some(rendering)) = (self.spec(), self.here().and_then(|h| h.rendering.clone())) else {
            return;
        };
        let why = rendering.assessment.denials.first().map(|d| d.clean()).or_else(|| self.broken());
        if let Some(why) = why {
            return self.block(why, now);
        }
        if spec.kind == StepType::Check {
            return self.start_step(out);
        }
        match record::intended(&rendering, &spec.bound_preconditions()) {
            Ok(body) => self.record("step.intended", body, Then::Intended, out),
            Err(why) => self.block(why, now),
        }
    }

    pub(super) fn block(&mut self, why: String, now: Timestamp) {
        let same = self.here().is_some_and(|h| h.state == StepState::Blocked && h.line.as_ref() == Some(&why));
        if !same {
            self.bump();
        }
        self.edit(|s| {
            s.state = StepState::Blocked;
            s.line = Some(why);
            s.confirmed = None;
            s.approvals.clear();
            s.choices = vec![offer("skip", "go on without this step", true, Choose::Skip), abort()];
        });
        self.phase = Phase::Blocked { retry_at: after(now, AGAIN) };
    }

    fn start_step(&mut self, out: &mut Vec<Effect>) {
        let (Some(spec), Some(here)) = (self.spec(), self.here()) else { return };
        let rendering = here.rendering.as_ref();
        let body = json!({
            "type": spec.kind.word(),
            "risk": rendering.map(|r| r.assessment.risk.to_string()),
            "digest": rendering.map(|r| &r.digest),
            "target": rendering.map(|r| r.request.target.object.clean()),
            "checks": checks(&here.checks),
        });
        self.record("step.started", body, Then::Started, out);
    }

    /// A record is on disk.
    pub(super) fn durable(&mut self, mark: Mark, seq: u64, now: Timestamp, out: &mut Vec<Effect>) {
        let then = match &self.phase {
            Phase::Record { mark: awaited, then, .. } if *awaited == mark => then.clone(),
            _ => return,
        };
        self.note(&then, seq, now);
        if self.stop.is_some() {
            match then {
                Then::Stopped | Then::RunFinished(_) | Then::Cancelled => {}
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
            _ => {}
        });
    }

    /// Brings the step in hand to the state that a record says, where the run stops instead of going on.
    fn settle(&mut self, then: &Then) {
        match then {
            Then::Done { next } => {
                let verified = self.spec().is_none_or(|s| s.verify.is_empty());
                self.edit(|s| {
                    s.next = next.clone();
                    s.state = if verified { StepState::Done } else { StepState::Verifying };
                });
            }
            Then::Verified => self.edit(|s| s.state = StepState::Done),
            Then::Skipped => self.edit(|s| s.state = StepState::Skipped),
            Then::Failed { why } | Then::NotVerified { why } => self.edit(|s| {
                s.state = StepState::Failed;
                s.line = Some(why.clone());
            }),
            Then::NotSent { .. } => {
                let verify = self.spec().map_or(0, |s| s.verify.len());
                self.edit(|s| *s = StepRun::new(verify));
            }
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
                self.phase = Phase::Approval;
            }
            Then::Approved => {
                if self.is_approved() {
                    self.ask_last_check(out);
                } else {
                    self.phase = Phase::Approval;
                }
            }
            Then::Refused { why } => self.block(why, now),
            Then::Started => self.started(now, out),
            Then::Done { next } => {
                self.edit(|s| s.next = next);
                self.verify_from(now, out);
            }
            Then::Failed { why } => self.failed(why, true, out),
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
                let next = self.here().map_or(Next::Continue, |h| h.next.clone());
                self.edit(|s| s.state = StepState::Done);
                self.advance(&next, out);
            }
            Then::NotVerified { why } => {
                let again = self.here().is_some_and(|h| h.rendering.as_ref().is_none_or(|r| r.idempotent));
                self.failed(why, again, out);
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
        let asked = self.here().and_then(|h| h.rendering.as_ref()).map(|r| r.assessment.clone());
        // Only a low risk may run without a key, whatever an assessment says.
        let free = asked.is_some_and(|a| a.confirmation.is_none() && a.risk == Risk::Low);
        if free {
            return self.confirmed(out);
        }
        self.edit(|s| {
            if let Some(r) = &mut s.rendering {
                r.assessment.confirmation.get_or_insert(Confirmation::Keypress);
            }
            s.state = StepState::AwaitsConfirmation;
            s.line = None;
            s.choices = vec![offer("skip", "go on without this step", true, Choose::Skip), abort()];
        });
        self.phase = Phase::Confirmation { refresh_at: after(now, AGAIN), refresh: None };
    }

    fn confirmed(&mut self, out: &mut Vec<Effect>) {
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
        here.approvals.iter().any(|(a, _)| matches!(a, ApprovalGiven::Glass { .. }))
            || here.approvals.len() >= usize::from(needed)
    }

    fn ask_last_check(&mut self, out: &mut Vec<Effect>) {
        self.edit(|s| s.state = StepState::Preparing);
        if self.spec().is_some_and(|s| s.preconditions.is_empty()) {
            self.start_step(out);
        } else {
            self.ask(Question::LastCheck, out);
        }
    }

    /// The start is on disk.
    fn started(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        match spec.kind {
            StepType::Check => {
                self.edit(|s| s.state = StepState::Executing);
                self.ask(Question::Look, out);
            }
            StepType::Action => {
                let fresh = spec.preconditions.is_empty()
                    || self.here().and_then(|h| h.checked_at).is_some_and(|at| now.duration_since(at) <= MAX_CHECK_AGE);
                if !fresh {
                    return self.not_sent("the journal took so long that the preconditions are stale", out);
                }
                self.edit(|s| {
                    s.state = StepState::Executing;
                    s.sent = Sent::InHand;
                });
                self.ask(Question::Execute, out);
            }
            StepType::Assert | StepType::WaitFor => self.verify_from(now, out),
            StepType::Manual => {
                let done = Next::Continue;
                self.await_decision(vec![
                    offer("done", "it is done", false, Choose::Go(done)),
                    offer("skip", "go on without it", true, Choose::Skip),
                    abort(),
                ]);
            }
            StepType::Decision => {
                let choices =
                    spec.choices.iter().map(|c| offer(&c.key, c.label.as_str(), false, Choose::Go(c.then.clone())));
                self.await_decision(choices.collect());
            }
        }
    }

    fn not_sent(&mut self, why: &str, out: &mut Vec<Effect>) {
        let why = format!("{why}; nothing was sent");
        self.record("step.finished", json!({"ended": "not-sent", "why": why}), Then::NotSent { why }, out);
    }

    /// An execution or a look has ended.
    pub(super) fn ended(&mut self, outcome: Outcome, now: Timestamp, out: &mut Vec<Effect>) {
        let looks = self.spec().is_some_and(|s| s.kind == StepType::Check);
        self.bump();
        match outcome {
            Outcome::Done { result, summary } => {
                let result = clean_json(result);
                let (text, omitted) = record::result(&result);
                let summary = summary.clean();
                let body =
                    json!({"ended": "done", "summary": summary, "result": text, "result_omitted_bytes": omitted});
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
        let body = json!({"found": word, "seen": seen.as_str().clean(), "by": by, "reason": reason});
        self.record("step.reconciled", body, Then::Reconciled(found), out);
    }

    fn found(&mut self, found: Reconciled, now: Timestamp, out: &mut Vec<Effect>) {
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
                self.failed(format!("it had no effect: {}", seen.clean()), true, out);
            }
            Reconciled::Undecided { why } => {
                self.edit(|s| s.line = Some(format!("looking can not tell: {}", why.clean())));
                self.ask_person_what_happened();
            }
        }
    }

    fn ask_person_what_happened(&mut self) {
        self.await_decision(vec![
            offer("reconcile", "look at the target again", false, Choose::Reconcile),
            offer("took-effect", "it had its effect", true, Choose::TookEffect),
            offer("no-effect", "it had none", true, Choose::NoEffect),
            abort(),
        ]);
        self.edit(|s| s.state = StepState::Unknown);
    }

    fn await_decision(&mut self, choices: Vec<(Offered, Choose)>) {
        self.bump();
        self.edit(|s| {
            s.state = StepState::AwaitsDecision;
            s.choices = choices;
        });
        self.phase = Phase::Decision;
    }

    /// The step failed; `again` says whether it may be run a second time.
    pub(super) fn failed(&mut self, why: String, again: bool, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        self.bump();
        self.edit(|s| {
            s.state = StepState::Failed;
            s.line = Some(why);
        });
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
                choices.push(offer("skip", "go on without it", true, Choose::Skip));
                choices.push(abort());
                self.await_decision(choices);
            }
            OnFailure::Continue => self.advance(&Next::Continue, out),
            OnFailure::Step(id) => self.advance(&Next::Step(id), out),
            OnFailure::Abort => self.advance(&Next::Abort, out),
        }
    }

    /// The step in hand is over; goes where that leads.
    pub(super) fn advance(&mut self, next: &Next, out: &mut Vec<Effect>) {
        let to = match next {
            Next::Continue => self.current + 1,
            Next::Step(id) => match self.plan.index(id).filter(|i| *i > self.current) {
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

    fn finish(&mut self, state: RunState, out: &mut Vec<Effect>) {
        self.edit(|s| s.choices.clear());
        let states: serde_json::Map<String, serde_json::Value> = self
            .plan
            .steps()
            .iter()
            .zip(&self.steps)
            .map(|(spec, run)| (spec.id.to_string(), json!(run.state.word())))
            .collect();
        self.record("run.finished", json!({"state": state.word(), "steps": states}), Then::RunFinished(state), out);
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
            Choose::Retry => Action::Retry,
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

    fn act_on(&mut self, action: Action, now: Timestamp, out: &mut Vec<Effect>) {
        match action {
            Action::Retry => self.enter(self.current, out),
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
                let to = match &next {
                    Next::Continue => "continue".to_owned(),
                    Next::Step(id) => format!("step:{id}"),
                    Next::Abort => "abort".to_owned(),
                };
                self.edit(|s| {
                    s.outcome_at = Some(now);
                    s.line = Some(summary.clone());
                });
                let body = json!({"ended": "done", "summary": summary, "next": to});
                self.record("step.finished", body, Then::Done { next }, out);
            }
        }
    }

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
            | Phase::Ask { question: Question::Execute | Question::Look | Question::Reconcile, .. } => {
                self.stop = Some(asked);
            }
            Phase::Ask { .. }
            | Phase::Blocked { .. }
            | Phase::Confirmation { .. }
            | Phase::Approval
            | Phase::Decision
            | Phase::Verifying => {
                self.stop = Some(asked);
                self.stop_now(out);
            }
        }
        Ok(())
    }

    fn stop_now(&mut self, out: &mut Vec<Effect>) {
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

    fn record_stop(&mut self, out: &mut Vec<Effect>) {
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
    fn re_enter(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(here) = self.here() else { return self.finish(RunState::Finished, out) };
        let kind = self.spec().map(|s| s.kind);
        match (&here.sent, here.state) {
            (Sent::InHand, _) => {
                let why = "the engine ended before the outcome was recorded";
                self.edit(|s| {
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
                self.failed(why, again, out);
            }
            (Sent::Done, _) => self.verify_from(now, out),
            _ if here.outcome_at.is_some() => self.verify_from(now, out),
            _ if here.started.is_some() && matches!(kind, Some(StepType::Manual | StepType::Decision)) => {
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

    pub(super) fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Blocked { retry_at } if now >= *retry_at => self.prepare(out),
            Phase::Confirmation { refresh_at, refresh: None } if now >= *refresh_at => {
                let refresh_at = *refresh_at;
                let Some(spec) = self.spec().filter(|s| !s.preconditions.is_empty()) else { return };
                let ticket = self.ticket();
                self.phase = Phase::Confirmation { refresh_at, refresh: Some(ticket) };
                let what = Subject::Preconditions;
                out.push(Effect::Evaluate { ticket, step: spec.id, what, result: None });
            }
            Phase::Verifying => self.watch(now, out),
            _ => {}
        }
    }
}

fn abort() -> (Offered, Choose) {
    offer("stop", "end the run as failed", true, Choose::Abort)
}
