//! Carries out what runs ask for: writes their records, renders and assesses their steps, passes the gate and
//! hands permits to verbs. What the run means is decided in `playbook::run`; what may run, in `policy`.

use super::api::Reply;
use super::approvals::Asked;
use super::assess::Scene;
use super::core::{Answer, Came, Engine};
use super::held::Held;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, Person, PlaybookId, RunId, StepId, TenantId};
use crate::domain::mode::Mode;
use crate::domain::secret::SecretText;
use crate::journal::Kind;
use crate::playbook::run::{ApprovalGiven, Effect, Input, Parent, Rendering, Run, Start, StepState, Ticket};
use crate::policy::digest::{Bound, document};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who stands in for the second person in a drill.
const SIMULATED: &str = "ines (simulated)";

impl Engine {
    /// Starts a playbook.
    pub(super) async fn start_run(
        &mut self,
        playbook: &PlaybookId,
        given: (&BTreeMap<String, String>, &BTreeMap<String, SecretText>),
        incident: Option<IncidentId>,
        parent: Option<Parent>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        if let Some(why) = self.broken() {
            return Err(Reply::refused(format!("nothing runs while the journal is not in order: {why}")));
        }
        if self.mode == Mode::ReadOnly {
            return Err(Reply::denied("in the mode read-only no verb can be built, so no playbook can run"));
        }
        self.lead(incident.as_ref()).await.map_err(Reply::refused)?;
        let Some(plan) = self.library.get(playbook).map(|e| e.plan.clone()) else {
            return Err(Reply::refused(format!("there is no playbook {playbook}")));
        };
        let (params, secrets) = given;
        let entrusted = self.entrust(plan.playbook(), params, secrets, parent.as_ref())?;
        let mut params = params.clone();
        params.extend(entrusted.words.clone());
        let bound = crate::playbook::params::bind(plan.playbook(), &params, &self.world.estate)
            .map_err(|problems| Reply::refused(problems.join("; ")))?;
        let targets = self.scene().select(&plan, &bound.values, incident.as_ref()).map_err(Reply::refused)?;
        let numbered = self.number("run", self.state.next_run().as_str()).await.map_err(Reply::refused)?;
        let id = RunId::new(format!("RUN-{numbered}"));
        let start = Start {
            run: id.clone(),
            tenant: bound.tenant,
            params: bound.values,
            incident: incident.clone(),
            by: Person::new(actor.user.clone()),
            targets,
            parent,
            secrets: entrusted.references.clone(),
        };
        self.keep_salts(&id, &entrusted)?;
        let run = Run::new(plan, start);
        let held = Held {
            run,
            incident,
            params: shown(&params),
            actor: actor.clone(),
            other: None,
            began: actor.clone(),
            surveyed: Vec::new(),
            secrets: Arc::new(entrusted.values),
        };
        self.runs.insert(id.clone(), held);
        self.feed(&id, Input::Begin).await.map_err(Reply::refused)?;
        Ok(Reply::Accepted { message: format!("{id} of {playbook} started"), id: Some(id.to_string()) })
    }

    /// Feeds an input that a person gave; records from here on name that person.
    pub(super) async fn by_person(
        &mut self,
        run: &RunId,
        input: Input,
        actor: &Actor,
        done: &str,
    ) -> Result<Reply, Reply> {
        let Some(incident) = self.runs.get(run).map(|held| held.incident.clone()) else {
            return Err(Reply::refused(self.not_here(run)));
        };
        self.lead(incident.as_ref()).await.map_err(Reply::refused)?;
        let Some(held) = self.runs.get_mut(run) else {
            return Err(Reply::refused(self.not_here(run)));
        };
        let before = std::mem::replace(&mut held.actor, actor.clone());
        match self.feed(run, input).await {
            Ok(()) => Ok(Reply::accepted(done)),
            Err(why) => {
                if let Some(held) = self.runs.get_mut(run) {
                    held.actor = before;
                }
                Err(Reply::refused(why))
            }
        }
    }

    /// Feeds an input that somebody gave who is not the one whose step it is: only the records of it name them.
    pub(super) async fn by_other(&mut self, run: &RunId, input: Input, actor: &Actor) -> Result<(), String> {
        let Some(held) = self.runs.get_mut(run) else { return Err(format!("there is no run {run} here")) };
        held.other = Some(actor.clone());
        let done = self.feed(run, input).await;
        if let Some(held) = self.runs.get_mut(run) {
            held.other = None;
        }
        done
    }

    /// Stops every open run after the target in hand; says what can not be recalled.
    pub(super) async fn stop_all(&mut self, reason: &str, emergency: bool, actor: &Actor) -> String {
        let open: Vec<RunId> = self.runs.open().cloned().collect();
        let mut said = Vec::new();
        for run in open {
            let by = Person::new(actor.user.clone());
            let input = Input::Stop { reason: reason.to_owned(), by, emergency };
            match self.by_person(&run, input, actor, "").await {
                Err(Reply::Refused { why, .. }) => said.push(format!("{run}: {why}")),
                _ => match self.runs.get(&run) {
                    Some(held) if held.run.is_in_hand() => {
                        said.push(format!(
                            "{run} stops after the step in hand, which has been sent and can not be recalled"
                        ));
                    }
                    Some(held) if !held.run.irrevocable().is_empty() => {
                        let lasting = held.run.irrevocable().join(", ");
                        said.push(format!("{run} stopped; can not be recalled: {lasting}"));
                    }
                    _ => said.push(format!("{run} stopped, nothing was under way")),
                },
            }
        }
        if said.is_empty() { "no run was open; nothing was under way".to_owned() } else { said.join("; ") }
    }

    /// Feeds an input whose refusal concerns nobody but the log.
    pub(super) async fn feed_logged(&mut self, run: &RunId, input: Input) {
        if let Err(why) = self.feed(run, input).await {
            tracing::debug!(%run, %why, "an input was not taken");
        }
    }

    /// Feeds one input and everything that follows from it at once.
    pub(super) async fn feed(&mut self, run: &RunId, input: Input) -> Result<(), String> {
        let mut waiting = VecDeque::from([input]);
        let mut first = true;
        while let Some(input) = waiting.pop_front() {
            let now = self.clock.now();
            let Some(held) = self.runs.get_mut(run) else { return Err(format!("there is no run {run} here")) };
            let effects = match held.run.apply(input, now) {
                Ok(effects) => effects,
                Err(refusal) if first => return Err(refusal.to_string()),
                Err(refusal) => {
                    tracing::debug!(%run, %refusal, "an answer was not taken");
                    continue;
                }
            };
            first = false;
            for effect in effects {
                if let Some(answer) = self.carry(run, effect).await {
                    waiting.push_back(answer);
                }
            }
            if waiting.is_empty() {
                waiting.extend(self.approval_due(run));
            }
        }
        Ok(())
    }

    /// Carries out one effect; an answer that is there at once is returned, a later one comes as [`Answer`].
    async fn carry(&mut self, run: &RunId, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Append { mark, kind, body } => Some(match self.append_for(run, kind, body).await {
                Ok(seq) => Input::Durable { mark, seq },
                Err(why) => Input::NotDurable { mark, why },
            }),
            Effect::Render { ticket, step } => self.render(run, ticket, step),
            Effect::Evaluate { ticket, step, what, result } => {
                let held = self.runs.get(run)?;
                let (scene, of) = (self.scene(), held.of());
                let mut around = |tenant: Option<&TenantId>| scene.around_each(&of, tenant);
                let results = held.run.evaluate(&step, what, &mut around, result.as_ref());
                Some(Input::Evaluated { ticket, results })
            }
            Effect::Execute { ticket, step, part } => match self.witness_wait(run, &step) {
                Some(wait) => {
                    self.later(run, async move {
                        wait.over().await;
                        Came::Witnessed { ticket, step, part }
                    });
                    None
                }
                None => self.execute(run, ticket, &step, part, false),
            },
            Effect::Look { ticket, step, what } => self.look_for(run, ticket, &step, what),
            Effect::Reconcile { ticket, step, part } => self.reconcile(run, ticket, &step, part),
            Effect::DryRun { ticket, step } => self.dry_run(run, ticket, &step),
            Effect::Children { ticket, .. } => {
                let found = Box::pin(self.children(run)).await;
                Some(Input::Children { ticket, found })
            }
            Effect::Escalate { step, to, why } => {
                Box::pin(self.call(run, &step, &to, &why)).await;
                None
            }
            Effect::Finish { state } => {
                tracing::info!(%run, state = state.word(), "a run has ended");
                Box::pin(self.call_ended(run, state)).await;
                self.forget_secrets(run);
                None
            }
        }
    }

    pub(super) fn later(&self, run: &RunId, work: impl Future<Output = Came> + Send + 'static) {
        let (answers, run) = (self.answers.clone(), run.clone());
        self.under_way.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let what = work.await;
            // The engine outlives what is in hand; a closed channel means that it has ended without it.
            if answers.send(Answer { run, what }).await.is_err() {
                tracing::error!("an answer came after the engine had ended");
            }
        });
    }

    /// Takes what came from elsewhere.
    pub(super) async fn came(&mut self, answer: Answer) {
        let Answer { run, what } = answer;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        match what {
            Came::Input(input) => self.feed_logged(&run, input).await,
            Came::Witnessed { ticket, step, part } => {
                self.note_waiver(&run, &step).await;
                if let Some(input) = self.execute(&run, ticket, &step, part, true) {
                    self.feed_logged(&run, input).await;
                }
            }
            Came::Surveyed { ticket, step, surveyed } => {
                let rendering = surveyed.and_then(|surveyed| {
                    self.runs.get_mut(&run).ok_or("the run is gone")?.surveyed = surveyed;
                    self.rendering(&run, &step)
                });
                self.feed_logged(&run, rendered(ticket, rendering)).await;
            }
        }
    }

    /// Writes a record of a run. The measure that a step has set or lifted is written in the same batch as the outcome
    /// of that step, so that no crash can part them.
    async fn append_for(&mut self, run: &RunId, kind: &'static str, body: Value) -> Result<u64, String> {
        let kind: Kind = kind.parse().map_err(|_| format!("`{kind}` is no kind of record"))?;
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let speaks = matches!(kind, Kind::ApprovalGranted | Kind::ApprovalDenied | Kind::ApprovalExpired);
        let other = held.other.clone().filter(|_| speaks);
        let (incident, actor) = (held.incident.clone(), other.unwrap_or_else(|| held.actor.clone()));
        let body = if kind == Kind::ApprovalRequested { self.with_request(run, body).await? } else { body };
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let said = |key: &str, word: &str| body.get(key).is_some_and(|said| said == word);
        let had_effect = match kind {
            Kind::StepFinished => said("ended", "done"),
            Kind::StepReconciled => said("found", "took-effect"),
            _ => false,
        };
        let beside = self.as_in_force(super::beside::records(&held.run, kind, &body, had_effect));
        let mut records = self.with_evidence(kind, body).await;
        records.extend(beside);
        let written = self.record_all(records, incident, &actor).await?;
        let own = written.iter().find(|record| record.kind == kind);
        own.map(|record| record.seq).ok_or_else(|| "the journal acknowledged nothing".to_owned())
    }

    /// What a second person needs to answer: nonce, end, the request in full. A drill asks nobody, and its records stay
    /// those of its seed.
    async fn with_request(&self, run: &RunId, mut body: Value) -> Result<Value, String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let asked = held.run.current_step().map(|s| s.id.clone()).and_then(|step| self.asked(held, &step));
        let Some(asked) = asked.filter(|_| self.mode == Mode::Live) else { return Ok(body) };
        let id = self.next_request().await?;
        if let (Value::Object(body), Value::Object(more)) = (&mut body, self.request_body(&id, &asked)) {
            body.extend(more);
        }
        Ok(body)
    }

    /// The request for the approvals of a step.
    fn asked(&self, held: &Held, step: &StepId) -> Option<Asked> {
        let rendering = held.run.rendering(step)?;
        let spec = held.run.step(step)?;
        let playbook = held.run.plan().playbook();
        let preconditions = held.run.bound_lines(step, &rendering.bound);
        let document = document(&Bound {
            mode: self.mode,
            playbook: (&playbook.id, playbook.version),
            run: Some(held.run.id()),
            step,
            request: &rendering.request,
            preconditions: &preconditions,
            timeout: spec.timeout(),
        });
        Some(Asked {
            kind: Kind::ApprovalRequested,
            title: format!("{} {step}: {}", held.run.id(), rendering.request.target.object),
            digest: rendering.digest.clone(),
            document: document.ok()?,
            needed: rendering.assessment.approvals,
            terms: rendering.assessment.terms.clone()?,
            requester: self.person(&held.began),
            operator: self.person(&held.actor),
        })
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        let (world, state, verbs, findings) = (&self.world, &self.state, &self.verbs, self.findings());
        let policy = &self.governance.policy;
        let provider = self.sign_ins.has_provider();
        Scene { mode: self.mode, now: self.clock.now(), world, state, verbs, findings, policy, provider }
    }

    /// Where a step waits for a second person: a drill simulates one, a broken glass stands for one.
    fn approval_due(&self, run: &RunId) -> Option<Input> {
        let held = self.runs.get(run)?;
        let view = held.run.view(self.clock.now());
        let step = view.steps.get(view.current).filter(|s| s.state == StepState::AwaitsApproval)?;
        let digest = &step.rendering?.digest;
        let step = step.id;
        let approval = match self.mode {
            Mode::Drill if self.drill.as_ref().is_some_and(|drill| drill.exercise().approver_absent()) => return None,
            Mode::Drill => ApprovalGiven::Simulated { person: Person::new(SIMULATED) },
            _ => {
                let waives = self.governance.policy.glass_waives_approvals;
                let glass = self.state.broken_glass(self.clock.now()).filter(|_| waives)?;
                ApprovalGiven::Glass { by: glass.by.clone(), reason: glass.reason.clone(), until: glass.until }
            }
        };
        Some(Input::Approved { step: step.clone(), digest: digest.clone(), approval })
    }
}

/// The answer to the question for a rendering.
pub(super) fn rendered(ticket: Ticket, rendering: Result<Rendering, String>) -> Input {
    match rendering {
        Ok(rendering) => Input::Rendered { ticket, rendering: Box::new(rendering) },
        Err(why) => Input::RenderFailed { ticket, why },
    }
}

/// Parameters as they are shown: of a secret, only that there is one.
pub(super) fn shown(params: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let one = |(name, text): (&String, &String)| {
        let secret = crate::domain::secret::stands_in(text);
        (name.clone(), if secret { "(secret)".to_owned() } else { text.clone() })
    };
    params.iter().map(one).collect()
}
