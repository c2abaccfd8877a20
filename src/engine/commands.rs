//! What each command does: check against the state, write the record, answer. A refusal writes nothing.

use super::api::{Command, Reply};
use super::core::Engine;
use super::sign_in::Confirming;
use crate::domain::actor::Actor;
use crate::domain::id::{FindingId, IncidentId, Person};
use crate::domain::incident::{IncidentState, Role, Severity};
use crate::domain::mode::Mode;
use crate::journal::Kind;
use crate::playbook::run::Input;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Least length of a reason for breaking the glass, in characters.
const REASON: usize = 10;
/// Longest text of a person, in characters; a record holds 65,535 bytes.
const LONGEST: usize = 8_000;

/// Trims a text and refuses an empty or an endless one.
pub(super) fn words(text: &str, what: &str) -> Result<String, Reply> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Reply::refused(format!("{what} is empty")));
    }
    if text.chars().count() > LONGEST {
        return Err(Reply::refused(format!("{what} is longer than {LONGEST} characters")));
    }
    Ok(text.to_owned())
}

impl Engine {
    /// Carries out a command; `Err` is a refusal.
    pub(super) async fn carry_out(&mut self, command: Command, actor: &Actor) -> Result<Reply, Reply> {
        if self.is_stopping() {
            return Err(Reply::refused("the engine is ending and starts nothing new"));
        }
        match command {
            Command::Look { subject } => Ok(Reply::Seen { view: Box::new(self.subject(&subject)) }),
            Command::Declare { title, severity, findings } => self.declare(&title, severity, findings, actor).await,
            Command::UpdateIncident { incident, severity, state } => {
                self.update_incident(incident, severity, state, actor).await
            }
            Command::Note { incident, text } => {
                let text = words(&text, "the note")?;
                let incident = self.known(incident.or_else(|| self.current_incident()))?;
                self.write(Kind::NoteAdded, incident, json!({ "text": text }), actor, "noted").await
            }
            Command::AssignRole { incident, role, person } => self.assign_role(incident, role, person, actor).await,
            Command::TakeOver { incident, reason } => self.take_over(incident, &reason, actor).await,
            Command::Close { incident, summary } => self.close_incident(incident, &summary, actor).await,
            Command::Acknowledge { finding } => self.acknowledge(finding, actor).await,
            Command::StartRun { playbook, params, incident } => {
                let incident = self.known(incident.or_else(|| self.current_incident()))?;
                self.start_run(&playbook, (&params, &BTreeMap::new()), incident, None, actor).await
            }
            Command::StartRunWith { playbook, params, secrets, incident } => {
                let incident = self.known(incident.or_else(|| self.current_incident()))?;
                self.start_run(&playbook, (&params, &secrets), incident, None, actor).await
            }
            Command::Confirm { run, step, digest, generation, typed } => {
                self.confirm(Confirming { run, step, digest, generation, typed }, actor).await
            }
            Command::Decide { run, step, generation, choice, reason } => {
                let by = Person::new(actor.user.clone());
                let input = Input::Decide { step, generation, choice, reason, by };
                self.by_person(&run, input, actor, "decided").await
            }
            Command::Give { run, step, generation, values } => {
                let by = Person::new(actor.user.clone());
                let input = Input::Given { step, generation, values, by };
                self.by_person(&run, input, actor, "given").await
            }
            Command::Hold { run, step } => {
                self.by_person(&run, Input::Hold { step }, actor, "it waits for a key").await
            }
            Command::Told { run, step } => self.told(&run, &step, actor).await,
            Command::Recheck { run, step } => {
                self.by_person(&run, Input::Recheck { step }, actor, "it is checked again").await
            }
            Command::StopRun { run, reason } if self.runs.get(&run).is_none() && self.is_of_others(&run) => {
                let reason = words(&reason, "the reason")?;
                let to = run.to_string();
                self.pass_on(&Command::StopRun { run, reason }, &to, actor).await
            }
            Command::StopRun { run, reason } => {
                let reason = words(&reason, "the reason")?;
                let by = Person::new(actor.user.clone());
                let input = Input::Stop { reason: reason.clone(), by: by.clone(), emergency: false };
                let reply = self.by_person(&run, input, actor, "it stops after the step in hand").await?;
                self.stop_children(&run, &reason, &by).await;
                Ok(reply)
            }
            Command::ResumeRun { run } => self.resume_with(&run, &BTreeMap::new(), actor).await,
            Command::ResumeRunWith { run, secrets } => self.resume_with(&run, &secrets, actor).await,
            Command::EmergencyStop => {
                let said = self.stop_all("emergency stop", true, actor).await;
                if !self.others_run() {
                    return Ok(Reply::accepted(said));
                }
                match self.pass_on(&Command::EmergencyStop, "runs of other bastions", actor).await {
                    Err(Reply::Refused { why, .. }) => Err(Reply::refused(format!(
                        "{said}; but nothing was passed on to the engines that lead other runs, which go on: {why}"
                    ))),
                    _ => Ok(Reply::accepted(format!("{said}; passed on to the engines that lead other runs"))),
                }
            }
            Command::BreakGlass { reason } => self.break_glass(&reason, actor).await,
            Command::RestoreGlass => self.restore_glass(actor).await,
            Command::ReviewGlass { text } => self.review_glass(&text, actor).await,
            Command::AssignMeasure { measure, owner, until } => {
                self.assign_measure(&measure, &owner, until, actor).await
            }
            Command::ByHand { act } => self.by_hand(act, actor).await,
            Command::DutyDone { duty, text } => self.duty_done(&duty, &text, actor).await,
            Command::Answer { request, decision, role, signature, reason } => {
                self.answer(&request, (decision, role), &signature, &reason, actor).await
            }
            Command::Elevate { role, lasts_s, reason } => self.elevate(role, lasts_s, &reason, actor).await,
            Command::EndElevation { role } => self.end_elevation(role, actor).await,
            Command::CancelSignIn { id } => self.cancel_sign_in(&id, actor).await,
            Command::SetFreeze { reason, until } => self.set_freeze(&reason, until, actor).await,
            Command::LiftFreeze { reason } => self.lift_freeze(&reason, actor).await,
            Command::AcceptRecovery { incident, text } => self.accept_recovery(incident, &text, actor).await,
            Command::ProposePolicy { policy, revoked } => self.propose_policy(&policy, revoked.as_deref(), actor).await,
            Command::Redact { sha256, reason } => self.redact(&sha256, &reason, actor).await,
            Command::Prune { sha256 } => self.prune(&sha256, actor).await,
            Command::DrillHint => self.hint(actor).await,
            Command::Facilitate { act } => self.facilitate(act, actor).await,
            Command::DrillClock { speed } => Ok(self.set_speed(speed)),
            command @ (Command::Draft { .. }
            | Command::Tell { .. }
            | Command::Resend { .. }
            | Command::AcknowledgeCall { .. }) => self.comms_command(command, actor).await,
            Command::Replay { .. } => Err(Reply::refused("this is not a replay: its clock can not be set")),
            // Taken aside before it comes here.
            Command::Logs { .. } => Err(Reply::refused("logs are asked for apart from commands")),
        }
    }

    pub(super) async fn write(
        &mut self,
        kind: Kind,
        incident: Option<IncidentId>,
        body: Value,
        actor: &Actor,
        done: &str,
    ) -> Result<Reply, Reply> {
        self.record(kind, incident, body, actor).await.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(Reply::accepted(done))
    }

    /// An incident that a command names must be open.
    fn known(&self, incident: Option<IncidentId>) -> Result<Option<IncidentId>, Reply> {
        if let Some(id) = &incident {
            self.state.open_incident(id).map_err(Reply::refused)?;
        }
        Ok(incident)
    }

    async fn declare(
        &mut self,
        title: &str,
        severity: Severity,
        findings: Vec<FindingId>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let title = words(title, "the title")?;
        let numbered = self.number("incident", self.state.next_incident().as_str()).await.map_err(Reply::refused)?;
        let id = IncidentId::new(format!("INC-{numbered}"));
        let body = json!({ "title": title, "severity": severity, "findings": findings });
        self.write(Kind::IncidentDeclared, Some(id.clone()), body, actor, "").await?;
        if let Err(why) = self.lead(Some(&id)).await {
            tracing::warn!(%id, %why, "the incident is declared, and not led from here yet");
        }
        self.runs.adopt(&id);
        Ok(Reply::Accepted { message: format!("{id} declared, {severity}; you command it"), id: Some(id.to_string()) })
    }

    async fn update_incident(
        &mut self,
        incident: IncidentId,
        severity: Option<Severity>,
        state: Option<IncidentState>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        self.known(Some(incident.clone()))?;
        if state == Some(IncidentState::Closed) {
            return Err(Reply::refused("an incident is closed by its own command, with a summary"));
        }
        if severity.is_none() && state.is_none() {
            return Err(Reply::refused("neither a severity nor a state is given"));
        }
        let mut body = serde_json::Map::new();
        if let Some(severity) = severity {
            body.insert("severity".into(), json!(severity));
        }
        if let Some(state) = state {
            body.insert("state".into(), json!(state));
        }
        self.write(Kind::IncidentUpdated, Some(incident), Value::Object(body), actor, "updated").await
    }

    async fn assign_role(
        &mut self,
        incident: IncidentId,
        role: Role,
        person: Person,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let person = words(person.as_str(), "the person")?;
        self.known(Some(incident.clone()))?;
        let done = format!("{person} is {role} of {incident}");
        // A hand-over names both.
        let before = self.state.incident(&incident).and_then(|i| i.roles.get(&role));
        let body = match before.filter(|b| role == Role::Commander && b.as_str() != person) {
            Some(before) => json!({ "role": role, "person": person, "from": before }),
            None => json!({ "role": role, "person": person }),
        };
        self.write(Kind::RoleAssigned, Some(incident), body, actor, &done).await
    }

    async fn close_incident(&mut self, incident: IncidentId, summary: &str, actor: &Actor) -> Result<Reply, Reply> {
        let summary = words(summary, "the summary")?;
        self.known(Some(incident.clone()))?;
        let mut open = Vec::new();
        let runs = self.runs.open_of(&incident).chain(self.others_of(&incident));
        let runs: Vec<String> = runs.map(ToString::to_string).collect();
        if !runs.is_empty() {
            open.push(format!("{} still open", runs.join(", ")));
        }
        for measure in self.state.measures() {
            if measure.owner.is_none() && measure.incident.as_ref().is_none_or(|i| *i == incident) {
                open.push(format!("measure {} is in force and has no owner", measure.id));
            }
        }
        if let Some(glass) = self.state.glass() {
            let what = if glass.review_due { "is not reviewed" } else { "is broken" };
            open.push(format!("the glass that {} broke {what}", glass.by));
        }
        if let (Some(least), Some(known)) = (self.governance.policy.recovery_accepted, self.state.incident(&incident))
            && known.severity <= least
            && known.recovery_accepted.is_none()
        {
            open.push("the business owner has not accepted the recovery".to_owned());
        }
        if !open.is_empty() {
            return Err(Reply::denied(format!("{incident} can not be closed: {}", open.join("; "))));
        }
        let done = format!("{incident} closed");
        self.write(Kind::IncidentClosed, Some(incident), json!({ "summary": summary }), actor, &done).await
    }

    async fn acknowledge(&mut self, finding: FindingId, actor: &Actor) -> Result<Reply, Reply> {
        if !self.state.is_raised(&finding) {
            return Err(Reply::refused(format!("there is no finding {finding} now")));
        }
        let incident = self.current_incident();
        let done = format!("{finding} seen");
        self.write(Kind::FindingAcknowledged, incident, json!({ "finding": finding }), actor, &done).await
    }

    async fn break_glass(&mut self, reason: &str, actor: &Actor) -> Result<Reply, Reply> {
        let reason = words(reason, "the reason")?;
        if reason.chars().count() < REASON {
            return Err(Reply::refused(format!("a reason of at least {REASON} characters is needed")));
        }
        if self.mode == Mode::ReadOnly {
            return Err(Reply::denied("in the mode read-only there is nothing that the glass protects"));
        }
        if let Some(glass) = self.state.glass() {
            let what = if glass.review_due { "waits for its review" } else { "is broken already" };
            return Err(Reply::refused(format!("the glass that {} broke {what}", glass.by)));
        }
        let until = self.clock.now() + self.governance.policy.glass;
        let body = json!({ "reason": reason, "until": until });
        let done = format!("the glass is broken until {until:.0}; it is recorded and has to be reviewed");
        self.write(Kind::GlassBroken, self.current_incident(), body, actor, &done).await
    }

    async fn restore_glass(&mut self, actor: &Actor) -> Result<Reply, Reply> {
        match self.state.glass() {
            Some(glass) if !glass.review_due => {
                let body = json!({ "why": "mended by hand", "reason": glass.reason });
                self.write(Kind::GlassRestored, self.current_incident(), body, actor, "the glass is mended").await
            }
            _ => Err(Reply::refused("the glass is not broken")),
        }
    }

    async fn review_glass(&mut self, text: &str, actor: &Actor) -> Result<Reply, Reply> {
        let text = words(text, "the review")?;
        match self.state.glass() {
            Some(glass) if glass.review_due => {
                let body = json!({ "text": text, "reason": glass.reason, "broken_by": glass.by });
                self.write(Kind::GlassReviewed, self.current_incident(), body, actor, "the review is recorded").await
            }
            Some(_) => Err(Reply::refused("the glass is still broken; mend it first")),
            None => Err(Reply::refused("there is no broken glass to review")),
        }
    }

    async fn assign_measure(
        &mut self,
        measure: &str,
        owner: &Person,
        until: Timestamp,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let owner = words(owner.as_str(), "the owner")?;
        let Some(known) = self.state.measures().into_iter().find(|m| m.id == measure) else {
            return Err(Reply::refused(format!("there is no measure {measure} in force")));
        };
        if until <= self.clock.now() {
            return Err(Reply::refused("the end lies in the past"));
        }
        let body = json!({ "measure": measure, "owner": owner, "until": until });
        self.write(Kind::MeasureAssigned, known.incident, body, actor, &format!("{owner} answers for {measure}")).await
    }
}
