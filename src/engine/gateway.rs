//! From a durable start to the request that is sent: witnesses are waited for, the gate looks at everything again, the
//! secrets take their places, the verb gets its permit.

use super::api::{Decision, RequestState};
use super::assess::rendering;
use super::core::{Came, Engine};
use super::outsiders::Wait;
use crate::act::DynVerb;
use crate::domain::id::{RunId, StepId, TenantId};
use crate::domain::mode::Mode;
use crate::domain::ports::Outcome;
use crate::domain::risk::Risk;
use crate::domain::sample::{Failure, FailureKind};
use crate::journal::Kind;
use crate::playbook::run::{ApprovalGiven, Input, Subject, Ticket};
use crate::policy::gate::{Approval, Checked, Confirmed, Durable, Gate, Witnessed};
use serde_json::json;
use std::sync::Arc;

impl Engine {
    /// What a step waits for at the witnesses before it may pass the gate.
    pub(super) fn witness_wait(&self, run: &RunId, step: &StepId) -> Option<Wait> {
        if self.mode == Mode::Drill {
            return None;
        }
        let held = self.runs.get(run)?;
        let proof = held.run.start_proof(step)?;
        self.outsiders.wait(held.run.risk(step)?, proof.started)
    }

    /// Says in the journal that a broken glass stands for witnesses that did not answer.
    pub(super) async fn note_waiver(&mut self, run: &RunId, step: &StepId) {
        let waives = self.governance.policy.glass_waives_witnesses;
        let glass = self.state.broken_glass(self.clock.now()).filter(|_| waives);
        let glass = glass.map(|g| (g.until, g.reason.clone()));
        let Some(held) = self.runs.get(run) else { return };
        let started = held.run.start_proof(step).and_then(|p| p.started);
        let high = held.run.risk(step) == Some(Risk::High);
        let said = glass.zip(self.outsiders.witnessed(started, None)).filter(|_| high);
        let Some(((until, reason), Witnessed { needed, confirmed, size, .. })) = said else { return };
        if started.is_some_and(|seq| size > seq) {
            return;
        }
        let text = format!(
            "{run} {step}: {confirmed} of {needed} witnesses have cosigned its start; the glass, broken until {until}, \
             stands for the others: {reason}"
        );
        let (incident, actor) = (held.incident.clone(), held.actor.clone());
        let _ = self.record(Kind::NoteAdded, incident, json!({ "text": text }), &actor).await;
    }

    /// Passes the gate and sends the request; an answer that is there at once is returned.
    pub(super) fn execute(
        &self,
        run: &RunId,
        ticket: Ticket,
        step: &StepId,
        part: Option<usize>,
        waited: bool,
    ) -> Option<Input> {
        match self.permit(run, step, part, waited) {
            Ok((verb, permit)) => {
                let secrets = self.runs.get(run).map(|held| held.secrets.clone()).unwrap_or_default();
                match permit.filled(&secrets) {
                    Ok(permit) => {
                        self.later(run, async move {
                            let outcome = secrets.outcome(verb.execute(permit).await);
                            Came::Input(Input::Executed { ticket, outcome })
                        });
                        None
                    }
                    Err(why) => {
                        let why = Failure::new(FailureKind::Local, format!("{why}; nothing was sent"));
                        Some(Input::Executed { ticket, outcome: Outcome::Failed { why } })
                    }
                }
            }
            Err(why) => {
                let why = Failure::new(FailureKind::Local, why);
                Some(Input::Executed { ticket, outcome: Outcome::Failed { why } })
            }
        }
    }

    /// Passes the gate with everything looked up again; after a wait the preconditions too, which may be false by then.
    fn permit(
        &self,
        run: &RunId,
        step: &StepId,
        part: Option<usize>,
        waited: bool,
    ) -> Result<(Arc<DynVerb>, crate::policy::authorized::Authorized), String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        if let Some(why) = self.outsiders.alarm() {
            return Err(format!("{why}; nothing was sent"));
        }
        if waited && held.run.is_stop_asked() {
            return Err("the run was stopped while its start waited for the witnesses; nothing was sent".into());
        }
        if !self.leads_run(run) {
            return Err("this engine does not lead its incident any more; nothing was sent".into());
        }
        let proof = held.run.start_proof(step).ok_or("the step is not ready to start")?;
        let verb = self.verbs.get(&proof.request.verb).ok_or("its verb is not configured on this estate")?;
        let fresh = rendering(&self.scene(), &held.of(), step, verb.spec(), proof.request.clone())?;
        if fresh.bound != held.run.rendering(step).map(|r| r.bound.clone()).unwrap_or_default() {
            return Err("a value that the approval is bound to has changed; nothing was sent".into());
        }
        let mut evaluated_at = proof.checked_at.unwrap_or_default();
        let mut said = proof.checks;
        if waited {
            let (scene, of) = (self.scene(), held.of());
            let mut around = |tenant: Option<&TenantId>| scene.around_each(&of, tenant);
            let again = held.run.evaluate(step, Subject::Preconditions, &mut around, None);
            evaluated_at = scene.now;
            let again = again.iter().map(|e| e.verdict.holds()).chain(std::iter::repeat(None));
            said = said.into_iter().zip(again).map(|((text, _), holds)| (text, holds)).collect();
        }
        let checks: Vec<Checked> =
            said.into_iter().map(|(text, holds)| Checked { text, holds, evaluated_at }).collect();
        let confirmed = proof.confirmed.and_then(|c| {
            let record = Durable::new(c.seq?);
            let login = c.login.as_ref().and_then(|who| self.governance.policy.named_by(&who.name).cloned());
            Some(Confirmed {
                digest: c.digest.clone(),
                generation: c.generation,
                typed: c.typed.clone(),
                login,
                record,
            })
        });
        let approvals = proof.approvals.iter().filter_map(|given| self.approval(given).transpose());
        let approvals: Vec<Approval> = approvals.collect::<Result<_, String>>()?;
        let (requester, operator) = (self.person(&held.began), self.person(&held.actor));
        let gate = Gate {
            now: self.clock.now(),
            mode: self.mode,
            playbook: proof.playbook,
            run,
            step,
            request: proof.request,
            timeout: proof.timeout,
            generation: proof.generation,
            assessment: &fresh.assessment,
            checks: &checks,
            confirmed: confirmed.as_ref(),
            approvals: &approvals,
            requester: requester.as_ref(),
            operator: operator.as_ref(),
            proven: self.governance.policy.proven(&held.actor),
            incident: held.incident.as_ref(),
            intended_digest: proof.digest,
            intended: proof.intended.map(Durable::new),
            started: proof.started.map(Durable::new),
            witnessed: self.outsiders.witnessed(proof.started, self.glass_for_witnesses()),
        };
        let permit = crate::policy::gate::authorize(&gate).map_err(|denial| denial.to_string())?;
        let permit = match part {
            Some(part) => permit.part(part).ok_or("there is no such part of the request")?,
            None => permit,
        };
        Ok((verb.clone(), permit))
    }

    /// Until when a broken glass stands for witnesses.
    fn glass_for_witnesses(&self) -> Option<jiff::Timestamp> {
        let glass = self.state.broken_glass(self.clock.now()).filter(|_| self.governance.policy.glass_waives_witnesses);
        glass.map(|g| g.until)
    }

    /// An approval as the gate takes it; one whose record is not durable counts for nothing. A signature is checked
    /// again under the policy, the roles and the revocations of this moment.
    fn approval(&self, (given, seq): &(ApprovalGiven, Option<u64>)) -> Result<Option<Approval>, String> {
        let Some(record) = seq.map(Durable::new) else { return Ok(None) };
        Ok(Some(match given {
            ApprovalGiven::Simulated { .. } => Approval::Simulated { record },
            ApprovalGiven::Glass { until, .. } => Approval::Glass { until: *until, record },
            ApprovalGiven::Signed(by) => {
                let request = self.state.requests().named(&by.request).ok_or("the request of an approval is gone")?;
                let now = self.latest();
                let again = self.verify(request, Decision::Approve, by.role, &by.signature, now)?;
                if again.person != by.person || again.statement != by.statement {
                    return Err(format!("the approval of {} is not what was signed", by.person));
                }
                // What the records say: the one start that these approvals are for is the last thing that happened.
                if !matches!(request.state, RequestState::Used | RequestState::Granted) {
                    return Err(format!("{} is {}", request.id, request.state.word()));
                }
                let security_key = again.key_is_security_key;
                let (digest, not_after) = (request.digest.clone(), request.not_after);
                let named = by.login.as_ref().and_then(|who| self.governance.policy.named_by(&who.name));
                let login = named == Some(&again.person);
                Approval::Signed {
                    person: again.person,
                    role: again.role,
                    digest,
                    not_after,
                    security_key,
                    login,
                    record,
                }
            }
        }))
    }
}
