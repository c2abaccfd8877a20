//! What steps ask of verbs besides executing: rendering with what they read of their targets, looks, dry runs, looking
//! for an effect; each for one request or for several at the same time. And steps that are runs of their own.

use super::api::Reply;
use super::assess::Surveying;
use super::core::{Came, Engine};
use super::held::{Args, Surveyed};
use super::secrets::filled;
use crate::act::DynVerb;
use crate::domain::actor::Actor;
use crate::domain::behalf::Behalf;
use crate::domain::id::{Person, PlaybookId, RunId, StepId};
use crate::domain::ports::{BoxFuture, Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::domain::run::RunState;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::secret::Secrets;
use crate::journal::Kind;
use crate::playbook::run::{ChildFound, Input, LookAt, Parent, Rendering, Seat, Ticket};
use crate::playbook::schema::Class;
use crate::playbook::template;
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Looks that are under way at the same time for one step.
const AT_ONCE: usize = 8;

/// A verb with a request of it.
type Work = (Arc<DynVerb>, Request);

/// A run that a step asks for: how it names its parent, its playbook, and its parameters or why they are not known.
type Wanted = (Parent, PlaybookId, Result<BTreeMap<String, String>, String>);

fn local(why: impl AsRef<str>) -> Failure {
    Failure::new(FailureKind::Local, why)
}

impl Engine {
    /// Renders a step; where a verb reads its target first, the answer comes later.
    pub(super) fn render(&self, run: &RunId, ticket: Ticket, step: StepId) -> Option<Input> {
        let readings = match self.surveys(run, &step) {
            Ok(readings) => readings,
            Err(why) => return Some(Input::RenderFailed { ticket, why }),
        };
        if readings.is_empty() {
            return Some(super::runs::rendered(ticket, self.rendering(run, &step)));
        }
        self.later(run, async move {
            let mut all: Vec<BoxFuture<'static, Result<Surveyed, String>>> = Vec::new();
            for (verb, args, reading) in readings {
                all.push(Box::pin(async move {
                    let found = reading.await?;
                    Ok(Surveyed { verb, args, found, at: Instant::now() })
                }));
            }
            let all = together(all).await;
            Came::Surveyed { ticket, step, surveyed: all.into_iter().collect() }
        });
        None
    }

    /// What the verbs of a step have to read before they can render; nothing where they have just read it.
    fn surveys(&self, run: &RunId, step: &StepId) -> Result<Vec<(String, Args, Surveying)>, String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let spec = held.run.step(step).ok_or("the run has no such step")?;
        if spec.class() == Class::Gate {
            return Ok(Vec::new());
        }
        let scene = self.scene();
        let pieces = scene.pieces(&held.of(), spec)?;
        let fresh = pieces.iter().all(|p| held.surveyed(&p.call.name(), &p.args).is_some());
        if fresh && !pieces.is_empty() {
            return Ok(Vec::new());
        }
        let mut readings = Vec::new();
        for mut piece in pieces {
            if let Some(reading) = scene.survey(&mut piece)? {
                readings.push((piece.call.name(), piece.args, reading));
            }
        }
        Ok(readings)
    }

    /// Renders a step with what has been read.
    pub(super) fn rendering(&self, run: &RunId, step: &StepId) -> Result<Rendering, String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let spec = held.run.step(step).ok_or("the run has no such step")?;
        let scene = self.scene();
        if spec.class() == Class::Gate {
            return scene.gate(&held.of(), spec);
        }
        let pieces = scene.pieces(&held.of(), spec)?;
        scene.compose(&held.of(), spec, &pieces, &|_, p| Ok(held.surveyed(&p.call.name(), &p.args).cloned()))
    }

    fn secrets(&self, run: &RunId) -> Arc<Secrets> {
        self.runs.get(run).map(|held| held.secrets.clone()).unwrap_or_default()
    }

    fn verb_of(&self, request: &Request) -> Result<Arc<DynVerb>, String> {
        let verb = self.verbs.get(&request.verb).cloned();
        verb.ok_or_else(|| format!("the verb {} is not configured on this estate", request.verb))
    }

    /// The requests of a rendered step: one, or several with their names.
    fn requests(&self, run: &RunId, step: &StepId) -> Result<Vec<(Option<String>, Work)>, String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let request = held.run.request(step).ok_or("the step is not rendered")?;
        let filled = |request: &Request| filled(&held.secrets, request.clone());
        let Operation::Several { requests } = &request.operation else {
            return Ok(vec![(None, (self.verb_of(request)?, filled(request)?))]);
        };
        let labels = held.run.parts(step).unwrap_or_default().into_iter().map(|(seat, _)| seat.label);
        let named = labels.zip(requests).map(|(label, r)| Ok((Some(label), (self.verb_of(r)?, filled(r)?))));
        named.collect()
    }

    /// Runs the looks of a step or of one entry of its verification.
    pub(super) fn look_for(&self, run: &RunId, ticket: Ticket, step: &StepId, what: LookAt) -> Option<Input> {
        let work = match what {
            LookAt::Step => self.requests(run, step),
            LookAt::Verify(entry) => self.verifying(run, step, entry),
        };
        match work {
            Ok(work) => {
                let secrets = self.secrets(run);
                self.later(run, async move {
                    let outcome = secrets.outcome(looked(work, what == LookAt::Step).await);
                    Came::Input(Input::Looked { ticket, outcome })
                });
                None
            }
            Err(why) => Some(Input::Looked { ticket, outcome: Outcome::Failed { why: local(why) } }),
        }
    }

    fn verifying(&self, run: &RunId, step: &StepId, entry: usize) -> Result<Vec<(Option<String>, Work)>, String> {
        let held = self.runs.get(run).ok_or("the run is gone")?;
        let call = held.run.call(step, LookAt::Verify(entry)).ok_or("there is nothing to look at")?;
        let Some(seats) = held.run.look_parts(step, entry) else {
            let (verb, request) = self.scene().request(&held.of(), call, None)?;
            return Ok(vec![(None, (verb, filled(&held.secrets, request)?))]);
        };
        let one = |seat: Seat| {
            let (verb, request) = self.scene().request(&held.of(), call, Some(&seat))?;
            Ok((Some(seat.label), (verb, filled(&held.secrets, request)?)))
        };
        seats.into_iter().map(one).collect()
    }

    /// Looks whether a request had its effect.
    pub(super) fn reconcile(&self, run: &RunId, ticket: Ticket, step: &StepId, part: Option<usize>) -> Option<Input> {
        let whole = self.runs.get(run).and_then(|h| h.run.request(step));
        let request = match part {
            Some(part) => whole.and_then(|request| request.part(part)),
            None => whole.filter(|request| !matches!(request.operation, Operation::Several { .. })),
        };
        let work = request.cloned().ok_or_else(|| "its request is not known any more".to_owned());
        let secrets = self.secrets(run);
        match work.and_then(|request| Ok((self.verb_of(&request)?, filled(&secrets, request)?))) {
            Ok((verb, request)) => {
                self.later(run, async move {
                    let found = secrets.reconciled(verb.reconcile(&request).await);
                    Came::Input(Input::Reconciled { ticket, found })
                });
                None
            }
            Err(why) => {
                let why = format!("{why}, so nobody can look");
                Some(Input::Reconciled { ticket, found: Reconciled::Undecided { why } })
            }
        }
    }

    /// In whose name a step is tried out: of who asks for it, where that is proven.
    fn behalf(&self, run: &RunId, step: &StepId) -> Option<Behalf> {
        let person = self.governance.policy.proven(&self.runs.get(run)?.actor)?.clone();
        Some(Behalf { person, run: run.clone(), step: step.clone() })
    }

    /// Asks the server what a step would do.
    pub(super) fn dry_run(&self, run: &RunId, ticket: Ticket, step: &StepId) -> Option<Input> {
        let work = match self.requests(run, step) {
            Ok(work) => work,
            Err(why) => return Some(Input::DryRan { ticket, said: Err(why) }),
        };
        let secrets = self.secrets(run);
        let behalf = self.behalf(run, step);
        self.later(run, async move {
            let mut all: Vec<BoxFuture<'static, Result<String, String>>> = Vec::new();
            for (label, (verb, request)) in work {
                let behalf = behalf.clone();
                let named = move |text: String| label.as_ref().map_or_else(|| text.clone(), |l| format!("{l}: {text}"));
                all.push(Box::pin(async move {
                    match verb.dry_run(&request, behalf.as_ref()).await {
                        Ok(text) => Ok(named(text)),
                        Err(why) => Err(named(why.message)),
                    }
                }));
            }
            let said = together(all).await.into_iter().collect::<Result<Vec<_>, _>>().map(|lines| lines.join("; "));
            let said = said.map(|text| secrets.scrub(&text)).map_err(|why| secrets.scrub(&why));
            Came::Input(Input::DryRan { ticket, said })
        });
        None
    }

    /// The runs of the step in hand, started where they are not there yet.
    pub(super) async fn children(&mut self, run: &RunId) -> Vec<ChildFound> {
        let Some(held) = self.runs.get(run) else { return Vec::new() };
        let (around, outputs) = (self.scene().surroundings(&held.of()), held.run.outputs());
        let values = super::assess::values(&held.run, &around, &outputs);
        let text = |(name, source): (&String, &String)| Ok((name.clone(), template::text(source, &values)?));
        let wanted: Vec<Wanted> = held
            .run
            .open_children()
            .into_iter()
            .map(|(parent, playbook, params)| (parent, playbook.clone(), params.iter().map(text).collect()))
            .collect();
        let (incident, actor) = (held.incident.clone(), held.actor.clone());
        let mut all = Vec::new();
        for (parent, playbook, params) in wanted {
            let branch = parent.branch.clone();
            let found = match (self.child_of(&parent), params) {
                (Some(found), _) => Ok(found),
                (None, Err(why)) => Err(why),
                (None, Ok(params)) => {
                    let started = self
                        .start_run(
                            &playbook,
                            (&params, &BTreeMap::new()),
                            incident.clone(),
                            Some(parent.clone()),
                            &actor,
                        )
                        .await;
                    match started {
                        Err(reply) => Err(format!("{playbook} can not be started: {}", reply.words())),
                        Ok(_) => self.child_of(&parent).ok_or_else(|| format!("{playbook} was not started")),
                    }
                }
            };
            all.push(ChildFound { branch, found });
        }
        all
    }

    /// The run that names its parent like this: one that is held, else what the records say of it, so that no restart
    /// runs it a second time.
    pub(super) fn child_of(&self, parent: &Parent) -> Option<(RunId, RunState)> {
        self.runs.child_of(parent).or_else(|| self.state.child_of(parent))
    }

    /// What a step tells stakeholders, with its templates filled in.
    pub(super) fn comms_text(&self, run: &RunId, step: &StepId) -> Option<String> {
        let held = self.runs.get(run)?;
        let comms = held.run.step(step)?.comms.as_ref()?;
        let (around, outputs) = (self.scene().surroundings(&held.of()), held.run.outputs());
        let values = super::assess::values(&held.run, &around, &outputs);
        Some(template::text(&comms.template, &values).unwrap_or_else(|why| format!("can not be written now: {why}")))
    }

    /// A person says that stakeholders were told what a step says.
    pub(super) async fn told(&mut self, run: &RunId, step: &StepId, actor: &Actor) -> Result<Reply, Reply> {
        let text = self.comms_text(run, step);
        let held = self.runs.get(run).ok_or_else(|| Reply::refused(self.not_here(run)))?;
        let comms = held.run.step(step).and_then(|s| s.comms.as_ref()).filter(|_| held.run.is_open());
        let Some((comms, text)) = comms.zip(text) else {
            return Err(Reply::refused(format!("the step {step} of {run} tells nobody anything now")));
        };
        let body = json!({ "run": run, "step": step, "to": comms.audience, "text": text, "channel": "a person", "by": actor.user });
        let incident = held.incident.clone();
        let written = self.record(Kind::CommsSent, incident, body, actor).await;
        written.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        self.by_person(run, Input::Told { step: step.clone() }, actor, "noted; they were told").await
    }

    /// Stops the runs that belong to steps of a run.
    pub(super) async fn stop_children(&mut self, run: &RunId, reason: &str, by: &Person) {
        for child in self.runs.children_of(run) {
            let input = Input::Stop { reason: reason.to_owned(), by: by.clone(), emergency: false };
            self.feed_logged(&child, input).await;
        }
    }
}

/// Does several things at the same time, but not too many; the answers come in their order.
async fn together<T>(work: Vec<BoxFuture<'static, T>>) -> Vec<T> {
    stream::iter(work).buffered(AT_ONCE).collect().await
}

/// Runs looks; several give one answer by their names. A look of a step fails with any of them, one that verifies only
/// leaves out what did not answer: that is not known then.
async fn looked(work: Vec<(Option<String>, Work)>, all: bool) -> Outcome {
    let mut looks: Vec<BoxFuture<'static, (Option<String>, Outcome)>> = Vec::new();
    for (label, (verb, request)) in work {
        looks.push(Box::pin(async move { (label, verb.look(&request).await) }));
    }
    let mut answers = together(looks).await;
    if answers.iter().all(|(label, _)| label.is_none()) {
        let nothing = || Outcome::Failed { why: local("there is nothing to look at") };
        return answers.pop().map_or_else(nothing, |(_, outcome)| outcome);
    }
    let count = answers.len();
    let mut result = Map::new();
    let mut first = None;
    for (label, outcome) in answers {
        let label = label.unwrap_or_default();
        match outcome {
            Outcome::Done { result: answer, .. } => drop(result.insert(label, answer)),
            Outcome::Failed { why } | Outcome::Unknown { why } => {
                let message = format!("{label}: {}", why.message);
                first.get_or_insert(Failure { message, ..why });
            }
        }
    }
    match first {
        Some(why) if all || result.is_empty() => Outcome::Failed { why },
        _ => Outcome::Done { summary: format!("{} of {count} answered", result.len()), result: Value::Object(result) },
    }
}
