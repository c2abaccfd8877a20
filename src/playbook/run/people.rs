//! What people ask of a run. Each answer is a refusal with a sentence, or a record that says what was asked.

use super::effect::Effect;
use super::input::{ApprovalGiven, Refusal, SignedBy};
use super::machine::Run;
use super::record::Clean;
use super::state::{ConfirmedBy, Phase, Then};
use crate::domain::id::{Digest, Person, StepId};
use crate::domain::risk::{Assessment, Confirmation};
use crate::playbook::expr::Verdict;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Shortest reason that is taken for one.
const MIN_REASON: usize = 3;

impl Run {
    pub(super) fn is_current(&self, step: &StepId) -> Result<(), Refusal> {
        match self.current_step() {
            Some(current) if &current.id == step => Ok(()),
            Some(current) => {
                Err(Refusal(format!("the run is at the step {}, not at {}", current.id, step.as_str().clean())))
            }
            None => Err(Refusal("the run has no step in hand".into())),
        }
    }

    pub(super) fn is_generation(&self, generation: u64) -> Result<(), Refusal> {
        if generation == self.generation {
            return Ok(());
        }
        Err(Refusal(format!(
            "the plan has changed since it was shown (generation {generation}, now {}); look again",
            self.generation
        )))
    }

    /// Whether a person may confirm the step in hand as it was shown to them: what policy says of it.
    ///
    /// # Errors
    /// [`Refusal`] with what stands in the way.
    pub fn may_confirm(
        &self,
        step: &StepId,
        generation: u64,
        digest: &Digest,
        typed: Option<&str>,
    ) -> Result<&Assessment, Refusal> {
        self.is_current(step)?;
        if !matches!(self.phase, Phase::Confirmation { .. }) {
            return Err(Refusal(format!("the step {step} does not wait for a confirmation")));
        }
        self.is_generation(generation)?;
        let Some((here, rendering)) = self.here().and_then(|h| Some((h, h.rendering.as_ref()?))) else {
            return Err(Refusal(format!("the step {step} has no rendered request")));
        };
        if rendering.digest != *digest {
            return Err(Refusal(format!(
                "the request {} was confirmed, the step has {}; nothing was sent",
                digest.short().clean(),
                rendering.digest.short()
            )));
        }
        if let Some(Confirmation::Typed { phrase }) = &rendering.assessment.confirmation
            && typed != Some(phrase)
        {
            return Err(Refusal(format!("“{phrase}” has to be typed to confirm this step")));
        }
        if let Some(broken) = here.checks.iter().find(|c| c.verdict != Verdict::True) {
            return Err(Refusal(format!("a precondition does not hold: {}", broken.text)));
        }
        Ok(&rendering.assessment)
    }

    pub(super) fn confirm(&mut self, step: &StepId, given: ConfirmedBy, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        let assessment = self.may_confirm(step, given.generation, &given.digest, given.typed.as_deref())?;
        if assessment.login && given.login.is_none() {
            return Err(Refusal(format!("the step {step} takes a second factor of whoever confirms it")));
        }
        let body = json!({
            "digest": given.digest, "generation": given.generation, "by": given.by,
            "typed": given.typed.as_ref().map(|t| t.clean()), "identity": given.login,
        });
        self.edit(|s| s.confirmed = Some(given));
        self.record("step.confirmed", body, Then::Confirmed, out);
        Ok(())
    }

    pub(super) fn approved(
        &mut self,
        step: &StepId,
        digest: &Digest,
        approval: ApprovalGiven,
        now: Timestamp,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.is_current(step)?;
        if !matches!(self.phase, Phase::Approval { .. }) {
            return Err(Refusal(format!("the step {step} does not wait for an approval")));
        }
        let rendering = self.here().and_then(|h| h.rendering.as_ref());
        if rendering.map(|r| &r.digest) != Some(digest) {
            return Err(Refusal("another request was approved than the one that waits".into()));
        }
        let body = match &approval {
            ApprovalGiven::Simulated { person } => json!({"digest": digest, "simulated": true, "person": person}),
            ApprovalGiven::Signed(by) => {
                let SignedBy { person, role, request, key, certificate, statement, signature, login, .. } = by.as_ref();
                let before = self.here().map(|h| h.approvals.as_slice()).unwrap_or_default();
                if before.iter().any(|(a, _)| matches!(a, ApprovalGiven::Signed(b) if b.person == *person)) {
                    return Err(Refusal(format!(
                        "{person} has approved this request already; it takes another person"
                    )));
                }
                let terms = rendering.and_then(|r| r.assessment.terms.as_ref());
                if terms.is_some_and(|terms| terms.login) && login.is_none() {
                    return Err(Refusal(format!("the approval of {step} takes a second factor of {person}")));
                }
                json!({
                    "digest": digest, "person": person, "role": role, "request": request, "key": key,
                    "certificate": certificate, "decision": "approve", "statement": statement, "signature": signature,
                    "identity": login,
                })
            }
            ApprovalGiven::Glass { until, .. } if *until <= now => {
                return Err(Refusal(format!("the broken glass has mended itself at {until}")));
            }
            ApprovalGiven::Glass { by, reason, until } => json!({
                "digest": digest, "glass": true, "by": by, "reason": reason.as_str().clean(), "until": until.to_string(),
            }),
        };
        self.edit(|s| s.approvals.push((approval, None)));
        self.record("approval.granted", body, Then::Approved, out);
        Ok(())
    }

    pub(super) fn not_approved(
        &mut self,
        step: &StepId,
        digest: &Digest,
        (expired, why, said): (bool, &str, Value),
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.is_current(step)?;
        let waits = matches!(self.phase, Phase::Approval { .. });
        if !waits || self.here().and_then(|h| h.rendering.as_ref()).map(|r| &r.digest) != Some(digest) {
            return Err(Refusal(format!("the step {step} does not wait for this approval")));
        }
        let (kind, why) = (if expired { "approval.expired" } else { "approval.denied" }, why.clean());
        let mut body = json!({"digest": digest, "why": why});
        if let (Value::Object(body), Value::Object(said)) = (&mut body, said) {
            body.extend(said);
        }
        self.record(kind, body, Then::Refused { why }, out);
        Ok(())
    }

    pub(super) fn decide(
        &mut self,
        step: &StepId,
        generation: u64,
        key: &str,
        reason: &str,
        by: Person,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.is_current(step)?;
        self.is_generation(generation)?;
        if !matches!(
            self.phase,
            Phase::Decision
                | Phase::Blocked { .. }
                | Phase::Confirmation { .. }
                | Phase::Approval { .. }
                | Phase::Form
                | Phase::Sleeping { .. }
                | Phase::Verifying
        ) {
            return Err(Refusal(format!("the step {step} does not wait for a decision")));
        }
        let choices = self.here().map(|h| h.choices.clone()).unwrap_or_default();
        let Some((offered, choose)) = choices.iter().find(|(o, _)| o.key == key).cloned() else {
            let keys: Vec<&str> = choices.iter().map(|(o, _)| o.key.as_str()).collect();
            return Err(Refusal(format!("there is no choice “{}”, there are: {}", key.clean(), keys.join(", "))));
        };
        let reason = reason.trim().clean();
        if offered.needs_reason && reason.chars().count() < MIN_REASON {
            return Err(Refusal(format!("“{}” needs a reason of at least {MIN_REASON} characters", offered.label)));
        }
        self.chosen(&offered, choose, reason, by, out);
        Ok(())
    }

    pub(super) fn recheck(&mut self, step: &StepId, now: Timestamp, out: &mut Vec<Effect>) -> Result<(), Refusal> {
        self.is_current(step)?;
        match self.phase {
            Phase::Blocked { .. } | Phase::Confirmation { .. } => self.prepare(out),
            Phase::Verifying => {
                self.edit(|s| s.watches.iter_mut().for_each(|w| w.next_at = Some(now)));
                self.watch(now, out);
            }
            _ => return Err(Refusal(format!("the step {step} can not be checked again now"))),
        }
        Ok(())
    }
}
