//! Verification: the effect of a step must show in observations made after it, and hold for its whole time. One that
//! is false or not known breaks the row; a row with a gap is no row.

use super::effect::{Effect, LookAt, Subject, Ticket};
use super::machine::{Run, offer};
use super::prepare::after;
use super::record::{Clean, checks};
use super::state::{Choose, Phase, Then, Watch};
use super::view::StepState;
use crate::domain::ports::Outcome;
use crate::playbook::expr::{Evaluation, Verdict};
use crate::playbook::schema::{Next, StepType, Verify};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How often each entry is evaluated.
const EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Observations further apart than this do not make an unbroken row.
const MAX_GAP: SignedDuration = SignedDuration::from_secs(60);

/// How long after the deadline an evaluation that was asked for may still come.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

impl Run {
    /// Begins to wait for the effect of the step in hand; without a `verify` it is done.
    pub(super) fn verify_from(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        if spec.verify.is_empty() {
            if self.next_ring(out) {
                return;
            }
            let next = self.here().map_or(Next::Continue, |h| h.next.clone());
            self.edit(|s| {
                s.state = StepState::Done;
                s.ended_at = Some(now);
            });
            return self.advance(&next, out);
        }
        self.bump();
        self.edit(|s| {
            s.state = StepState::Verifying;
            s.verifying_since = Some(now);
            s.watches = vec![Watch::default(); spec.verify.len()];
            if let Some(fan) = &mut s.fan {
                s.result = Some(fan.result());
            }
            s.choices.clear();
            if spec.kind == StepType::WaitFor {
                s.choices = vec![offer("skip", "go on without waiting for it", true, Choose::Skip)];
            }
        });
        self.phase = Phase::Verifying;
        self.watch(now, out);
    }

    /// Asks for the evaluations that are due, and gives up on what is too late.
    pub(super) fn watch(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (Some(spec), Some(here)) = (self.spec(), self.here()) else { return };
        let since = here.verifying_since.unwrap_or(now);
        let late =
            spec.verify.iter().zip(&here.watches).find(|(verify, watch)| is_late(verify, watch, spec.kind, since, now));
        if let Some((verify, watch)) = late {
            let said = watch.last.as_ref().map_or_else(|| "no answer".to_owned(), said);
            let why =
                format!("{} did not come to hold in {} s: {said}", verify.label(), within(verify, spec.kind).as_secs());
            return self.not_verified(why.clean(), out);
        }
        for index in 0..spec.verify.len() {
            let due = self
                .here()
                .and_then(|h| h.watches.get(index))
                .is_some_and(|w| !w.satisfied && w.ticket.is_none() && w.next_at.is_none_or(|at| now >= at));
            if !due {
                continue;
            }
            let ticket = self.ticket();
            let looks = spec.verify.get(index).is_some_and(|v| v.run.is_some());
            self.watch_at(index, |w| {
                w.ticket = Some(ticket);
                w.looked_at = looks.then_some(now);
            });
            let step = spec.id.clone();
            out.push(if looks {
                Effect::Look { ticket, step, what: LookAt::Verify(index) }
            } else {
                Effect::Evaluate { ticket, step, what: Subject::Verify(index), result: None }
            });
        }
    }

    fn watch_at(&mut self, index: usize, change: impl FnOnce(&mut Watch)) {
        self.edit(|s| {
            if let Some(watch) = s.watches.get_mut(index) {
                change(watch);
            }
        });
    }

    fn watched(&self, ticket: Ticket) -> Option<usize> {
        if self.phase != Phase::Verifying {
            return None;
        }
        self.here()?.watches.iter().position(|w| w.ticket == Some(ticket))
    }

    /// The look of one entry has answered.
    pub(super) fn watch_looked(&mut self, ticket: Ticket, outcome: Outcome, now: Timestamp, out: &mut Vec<Effect>) {
        let (Some(index), Some(spec)) = (self.watched(ticket), self.spec()) else { return };
        if self.here().and_then(|h| h.watches.get(index)).is_none_or(|w| w.looked_at.is_none()) {
            return;
        }
        match outcome {
            Outcome::Done { result, .. } => {
                let ticket = self.ticket();
                self.watch_at(index, |w| w.ticket = Some(ticket));
                let result: Option<Value> = Some(super::record::clean_json(result));
                out.push(Effect::Evaluate { ticket, step: spec.id, what: Subject::Verify(index), result });
            }
            Outcome::Failed { why } | Outcome::Unknown { why } => {
                let text = spec.verify.get(index).map(|v| v.label().to_owned()).unwrap_or_default();
                let verdict = Verdict::Unknown(why.message.clean());
                let evaluation = Evaluation { text, verdict, detail: String::new(), observed_at: None };
                self.judge(index, evaluation, now, out);
            }
        }
    }

    pub(super) fn watch_evaluated(
        &mut self,
        ticket: Ticket,
        said: Option<Evaluation>,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) {
        let (Some(index), Some(spec)) = (self.watched(ticket), self.spec()) else { return };
        let evaluation = said.unwrap_or_else(|| Evaluation {
            text: spec.verify.get(index).map(|v| v.label().to_owned()).unwrap_or_default(),
            verdict: Verdict::Unknown("it was not evaluated".into()),
            detail: String::new(),
            observed_at: None,
        });
        self.judge(index, evaluation, now, out);
    }

    /// Takes one evaluation of one entry into its row.
    fn judge(&mut self, index: usize, mut evaluation: Evaluation, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(spec) = self.spec() else { return };
        let Some(verify) = spec.verify.get(index) else { return };
        let outcome_at = self.here().and_then(|h| h.outcome_at);
        let hold = SignedDuration::try_from(verify.hold()).unwrap_or(SignedDuration::MAX);
        self.watch_at(index, |watch| {
            let observed = observed_at(&evaluation, watch, now);
            let after_outcome = outcome_at.is_none_or(|outcome| match evaluation.observed_at {
                // A sample taken in the very moment of the outcome may have been taken before it.
                Some(signal) => signal > outcome,
                None => observed >= outcome,
            });
            if evaluation.verdict == Verdict::True && !after_outcome {
                evaluation.verdict = Verdict::Unknown("not observed since the step was done".into());
            }
            if evaluation.verdict == Verdict::True {
                // The row begins when it was first known to be true and reaches to the oldest observation of the
                // newest evaluation: what is in between was true whichever of its signals changed last.
                let gap = watch.held_until.is_some_and(|until| observed.duration_since(until) > MAX_GAP);
                let since = if gap { now } else { watch.holding_since.unwrap_or(now) };
                watch.holding_since = Some(since);
                watch.held_until = Some(watch.held_until.map_or(observed, |until| until.max(observed)));
                watch.satisfied = hold.is_zero() || observed.duration_since(since) >= hold;
            } else {
                watch.holding_since = None;
                watch.held_until = None;
            }
            watch.last = Some(evaluation);
            watch.ticket = None;
            watch.looked_at = None;
            watch.next_at = Some(after(now, EVERY));
        });
        let all = self.here().is_some_and(|h| h.watches.iter().all(|w| w.satisfied));
        if all {
            let body = self.verification_body();
            self.edit(|s| s.choices.clear());
            self.record("step.verified", body, Then::Verified, out);
        } else {
            self.watch(now, out);
        }
    }

    fn verification_body(&self) -> Value {
        let said: Vec<Evaluation> =
            self.here().map(|h| h.watches.iter().filter_map(|w| w.last.clone()).collect()).unwrap_or_default();
        json!({"checks": checks(&said)})
    }

    fn not_verified(&mut self, why: String, out: &mut Vec<Effect>) {
        let mut body = self.verification_body();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("why".into(), json!(why));
        }
        self.edit(|s| s.choices.clear());
        self.record("step.verification_failed", body, Then::NotVerified { why }, out);
    }
}

fn observed_at(evaluation: &Evaluation, watch: &Watch, now: Timestamp) -> Timestamp {
    match (evaluation.observed_at, watch.looked_at) {
        (Some(signal), Some(look)) => signal.min(look),
        (Some(signal), None) => signal,
        (None, Some(look)) => look,
        (None, None) => now,
    }
}

/// An assertion holds now or fails; everything else has its time.
fn within(verify: &Verify, kind: StepType) -> SignedDuration {
    match kind {
        StepType::Assert => SignedDuration::ZERO,
        _ => SignedDuration::try_from(verify.within()).unwrap_or(SignedDuration::MAX),
    }
}

fn is_late(verify: &Verify, watch: &Watch, kind: StepType, since: Timestamp, now: Timestamp) -> bool {
    let deadline = after(since, within(verify, kind));
    if watch.satisfied || now < deadline {
        return false;
    }
    let holds = watch.held_until.is_some_and(|until| now.duration_since(until) <= MAX_GAP);
    let answered = watch.last.is_some();
    !holds && (answered || now >= after(deadline, GRACE))
}

fn said(evaluation: &Evaluation) -> String {
    match &evaluation.verdict {
        Verdict::True => format!("true ({})", evaluation.detail),
        Verdict::False => format!("false ({})", evaluation.detail),
        Verdict::Unknown(why) => format!("not known: {why}"),
    }
}
