//! What a playbook would send now: every step with its request, digest, risk and preconditions, without a run, an
//! intent or anything sent. A step that needs something which is not there yet says what it waits for.

use super::api::CheckView;
use super::assess::{OfRun, Scene, expected};
use super::state::State;
use crate::act::Verbs;
use crate::domain::id::{Digest, Person, RunId, StepId, TenantId};
use crate::domain::mode::Mode;
use crate::domain::request::{Request, Target};
use crate::domain::risk::{Assessment, Risk};
use crate::domain::world::World;
use crate::playbook::expr::{Evaluation, Surroundings};
use crate::playbook::params;
use crate::playbook::plan::Plan;
use crate::playbook::run::{Run, Start};
use crate::playbook::schema::Step;
use crate::playbook::{Piece, Rendered, Requested};
use crate::policy::rules::Policy;
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step as it would be.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Preview {
    /// Id.
    pub id: StepId,
    /// Name.
    pub name: String,
    /// Type: check, action and so on.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Risk: assessed where it could be rendered, else declared.
    pub risk: Risk,
    /// Why it is that risk, and what it takes; at least, where the request is not there yet.
    pub assessment: Option<Assessment>,
    /// What would be sent.
    pub request: Option<Request>,
    /// At what; the same as in the request.
    pub target: Option<Target>,
    /// Digest of the request as shown here, for `playbook run --confirm`. It belongs to no run: a run that makes of it
    /// the same request takes it, and no other.
    pub digest: Option<Digest>,
    /// Preconditions, as they are now.
    pub preconditions: Vec<CheckView>,
    /// Why it can not be rendered now: `pending on STEP`, or what is not known.
    pub pending: Option<String>,
}

/// Renders every step against what is known now, and what its verb reads of the target.
///
/// # Errors
/// One sentence for each parameter that is wrong.
pub async fn preview(
    plan: &Arc<Plan>,
    given: &BTreeMap<String, String>,
    world: &World,
    verbs: &Verbs,
    (policy, state): (&Policy, &State),
    mode: Mode,
    now: Timestamp,
) -> Result<Vec<Preview>, Vec<String>> {
    // A secret is not needed to show what would be sent: a word stands for it.
    let secret = plan.playbook().parameters.iter().filter(|(name, p)| p.secret && !given.contains_key(*name));
    let words = secret.map(|(name, _)| (name.clone(), crate::domain::secret::no_word()));
    let given: BTreeMap<String, String> = given.iter().map(|(k, v)| (k.clone(), v.clone())).chain(words).collect();
    let bound = params::bind(plan.playbook(), &given, &world.estate)?;
    // Programs are started by the verb that the policy makes: only what it allows can be shown.
    let commands = mode.may_act().map(|may| crate::act::command::verbs(may, policy.commands.clone()));
    let verbs = &match commands.filter(|_| mode == Mode::Live) {
        Some(commands) => verbs.clone().and(commands),
        None => verbs.clone(),
    };
    let scene = Scene { mode, now, world, state, verbs, findings: &[], policy };
    let targets = scene.select(plan, &bound.values, None).map_err(|why| vec![why])?;
    let start = Start {
        run: RunId::new("RUN-0"),
        params: bound.values,
        tenant: bound.tenant,
        incident: None,
        by: Person::new("nobody"),
        targets,
        parent: None,
        secrets: BTreeMap::new(),
    };
    let run = Run::new(plan.clone(), start);
    let of = OfRun { run: &run, incident: None, user: "nobody", actor: None };
    let mut around = Nearby::new(&scene, &of);
    let mut readings = Vec::new();
    let mut collect = |step: &Step, pieces: Vec<Piece<'_>>| {
        for (i, piece) in pieces.iter().enumerate() {
            if let Some(reading) = scene.survey(piece.call, &piece.args)? {
                let id = (step.id.clone(), i);
                readings.push(async move { (id, reading.await) });
            }
        }
        Err(String::new())
    };
    crate::playbook::render(&run, &mut |tenant| around.of(tenant), &mut collect);
    let read: BTreeMap<(StepId, usize), Result<Value, String>> = join_all(readings).await.into_iter().collect();
    let mut renderer = |step: &Step, pieces: Vec<Piece<'_>>| {
        let place = |piece: &Piece<'_>| pieces.iter().position(|other| std::ptr::eq(other, piece)).unwrap_or(0);
        let found = |piece: &Piece<'_>| read.get(&(step.id.clone(), place(piece))).cloned().transpose();
        scene.compose(&of, step, &pieces, &found)
    };
    let steps = crate::playbook::render(&run, &mut |tenant| around.of(tenant), &mut renderer);
    let shown = |rendered: Rendered<'_>| {
        let mut preview = shown(&rendered);
        // Where the request is not there yet, policy still says what it will take at least.
        if preview.assessment.is_none()
            && let Some(call) = &rendered.step.run
            && let Some(verb) = verbs.get(&call.name())
            && let Ok(assessment) = expected(&scene, &of, rendered.step, verb.spec())
        {
            preview.risk = assessment.risk;
            preview.assessment = Some(assessment);
        }
        preview
    };
    Ok(steps.into_iter().map(shown).collect())
}

/// What is known around each tenant, gathered once.
struct Nearby<'a> {
    scene: &'a Scene<'a>,
    of: &'a OfRun<'a>,
    known: BTreeMap<Option<TenantId>, Surroundings>,
}

impl<'a> Nearby<'a> {
    const fn new(scene: &'a Scene<'a>, of: &'a OfRun<'a>) -> Self {
        Self { scene, of, known: BTreeMap::new() }
    }

    fn of(&mut self, tenant: Option<&TenantId>) -> Surroundings {
        let known = self.known.entry(tenant.cloned());
        known.or_insert_with(|| self.scene.around_each(self.of, tenant)).clone()
    }
}

fn shown(rendered: &Rendered<'_>) -> Preview {
    let step = rendered.step;
    let (rendering, pending) = match &rendered.requested {
        Requested::Nothing => (None, None),
        Requested::Rendered(rendering) => (Some(rendering), None),
        Requested::PendingOn(earlier) => (None, Some(format!("pending on {earlier}"))),
        Requested::Failed(why) => (None, Some(why.clone())),
    };
    let check = |e: &Evaluation| CheckView { text: e.text.clone(), holds: e.verdict.holds(), detail: e.detail.clone() };
    Preview {
        id: step.id.clone(),
        name: step.name.clone(),
        kind: step.kind.word(),
        risk: rendering.map_or_else(|| step.declared_risk(), |r| r.assessment.risk),
        assessment: rendering.map(|r| r.assessment.clone()),
        request: rendering.map(|r| r.request.clone()),
        target: rendering.map(|r| r.request.target.clone()),
        digest: rendering.and_then(|r| r.shown.clone()),
        preconditions: rendered.preconditions.iter().map(check).collect(),
        pending,
    }
}
